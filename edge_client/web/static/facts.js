// What the device tells of itself, in words.
import { make, say } from "./pieces.js";

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
  card: ({ taught_by, reached }, texts, { decimals, percents }) => [
    ...taught_by.map(({ title, clips, speakers }) => (clips && speakers ? say(texts.taught, { title, clips: decimals.format(clips), speakers }) : title)),
    ...Object.entries(reached).map(([title, uars]) =>
      say(texts.reached, { title, uars: Object.entries(uars).map(([known, uar]) => `${percents.format(uar)} ${texts.moods_heard[known] ?? known}`).join(", ") })),
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

// Shows how far the device has got to know its user; `clock` writes when something was heard.
export function showFirstMinute(place, facts, texts, word, clock) {
  const lines = [];
  if (facts) {
    const { heard, wanted, changed, unknown } = facts;
    const left = wanted - heard;
    lines.push(left > 0 ? say(heard ? texts.minute_going : texts.minute_begins, { heard, wanted }) : texts.minute_over);
    for (const { heard_at, before, now } of changed) {
      lines.push(say(texts.minute_changed, { time: clock(heard_at), before: word(before), now: word(now) }));
    }
    if (unknown.length) lines.push(say(texts.minute_unknown, { labels: unknown.map(word).join(", ") }));
  }
  if (place.textContent !== lines.join("")) place.replaceChildren(...lines.map((textContent) => make("p", { textContent })));
}
