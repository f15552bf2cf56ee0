// The device at the other end: its events, our orders.

// A little more than two of its heartbeats: then it is away.
const LONGEST_SILENCE = 12_000;
const BETWEEN_TRIES = 2_000;

// Calls listener.state(state), listener.level({level, now}) and listener.away(reason), for as long
// as the page is open.
export function listen(listener) {
  let current;
  let silence;

  function heard(source) {
    clearTimeout(silence);
    silence = setTimeout(() => restart(source, "is_away"), LONGEST_SILENCE);
  }

  // Silence and an error may both say that a source has ended; the first is enough.
  function restart(source, reason) {
    source.close();
    if (source !== current) return;
    current = null;
    clearTimeout(silence);
    listener.away(reason);
    setTimeout(connect, BETWEEN_TRIES);
  }

  function connect() {
    const source = (current = new EventSource("events"));
    heard(source);
    source.addEventListener("state", (event) => {
      heard(source);
      listener.state(JSON.parse(event.data));
    });
    source.addEventListener("level", (event) => {
      heard(source);
      listener.level(JSON.parse(event.data));
    });
    source.addEventListener("error", async () => {
      source.close();
      restart(source, await reason());
    });
  }

  connect();
}

// An event source does not tell why it failed.
async function reason() {
  try {
    const ending = new AbortController();
    const answer = await fetch("events", { signal: ending.signal });
    ending.abort();
    return { 401: "is_refused", 503: "is_crowded" }[answer.status] ?? "is_away";
  } catch {
    return "is_away";
  }
}

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
