// The device at the other end: our orders, its sounds.

// Resolves to {problem, id}: what went wrong (a key of the texts, or the device's own sentence), and
// which utterance was meant if the device knows better than the page.
export async function order(name, content = {}) {
  try {
    const answer = await fetch(`do/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
      signal: AbortSignal.timeout(10_000),
    });
    const told = await answer.json();
    if (answer.ok) return told;
    return { problem: answer.status === 401 ? "is_refused" : (told.problem ?? "not_done") };
  } catch {
    return { problem: "not_reached" };
  }
}

let player;

// Plays an utterance from its beginning; resolves to what went wrong, calls ended() in any case.
export async function play(id, ended) {
  stop();
  try {
    const answer = await fetch(`sound/${id}.wav`);
    if (!answer.ok) {
      ended();
      return "no_sound";
    }
    player = new Audio(URL.createObjectURL(await answer.blob()));
    const playing = player;
    const finish = () => {
      URL.revokeObjectURL(playing.src);
      ended();
    };
    playing.addEventListener("ended", finish, { once: true });
    playing.addEventListener("pause", finish, { once: true });
    await playing.play();
    return null;
  } catch {
    ended();
    return "no_playing";
  }
}

export function stop() {
  player?.pause();
}
