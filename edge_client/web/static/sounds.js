// The sounds of the device at the other end.

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
