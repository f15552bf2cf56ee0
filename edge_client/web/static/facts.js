// What the device says of its parts, in words.
import { say } from "./pieces.js";

const parts = {
  source: ({ detail, overruns }, texts) => [detail, overruns && say(texts.overruns, { overruns })],
  // Enough of a digest to tell it from others.
  model: ({ architecture, digest, personal, unsure }, texts, { decimals, percents }) => [
    architecture,
    digest.slice(0, 8),
    personal && texts.personal,
    unsure?.answers && say(texts.unsure_means, {
      below: percents.format(unsure.below),
      answers: decimals.format(unsure.answers),
      wrong: decimals.format(unsure.wrong),
    }),
  ],
  training: ({ examples }, texts, { decimals }) => [say(texts.learned, { examples: decimals.format(examples) })],
  round: ({ number, state, accepted, lacks }, texts, { decimals }) => [
    number && say(texts.round_number, { number: decimals.format(number) }),
    texts.round_states[state] ?? state,
    accepted && say(texts.accepted, { accepted: decimals.format(accepted) }),
    lacks && say(texts.lacks, { lacks: decimals.format(lacks) }),
  ],
};

// Describes a part by its facts, of which there may be none; the formats write numbers.
export function describe(name, facts, texts, formats) {
  return facts ? parts[name](facts, texts, formats).filter(Boolean).join(" · ") : texts.none;
}
