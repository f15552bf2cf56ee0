// The sounds of the device at the other end.

let player;
let turn = 0;

// Plays an utterance from its beginning; resolves to what went wrong, calls ended() in any case.
export async function play(id, ended) {
  stop();
  const own = turn;
  let sound;
  try {
    const answer = await fetch(`sound/${id}.wav`);
    if (!answer.ok) {
      ended();
      return "no_sound";
    }
    sound = await answer.blob();
  } catch {
    ended();
    return "is_away";
  }
  if (own !== turn) {
    ended();
    return null; // it was stopped before it came
  }
  player = new Audio(URL.createObjectURL(sound));
  const playing = player;
  const finish = () => {
    URL.revokeObjectURL(playing.src);
    ended();
  };
  playing.addEventListener("ended", finish, { once: true });
  playing.addEventListener("pause", finish, { once: true });
  try {
    await playing.play();
    return null;
  } catch {
    ended();
    return own === turn ? "no_playing" : null;
  }
}

export function stop() {
  turn += 1;
  player?.pause();
}
