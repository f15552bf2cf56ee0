// What has left the device for its federation, and what its owner lets a federation ask.
import { make, say } from "./pieces.js";

function line({ round, at, bytes, codec, examples, scored }, texts, { decimals, dates }) {
  const parts = [
    say(texts.round_number, { number: decimals.format(round) }),
    dates.format(Date.parse(at)),
    codec === "ring"
      ? say(texts.sent_masked, { bytes: decimals.format(bytes) })
      : say(texts.sent_update, { bytes: decimals.format(bytes), codec, examples: decimals.format(examples) }),
    scored && say(texts.sent_table, { examples: decimals.format(scored) }),
  ];
  return make("li", { textContent: parts.filter(Boolean).join(" · ") });
}

function words(terms, texts, { decimals }) {
  const { fewest_examples, smallest_batch, fewest_steps, most_counted, signed } = terms;
  const { secure_only, fewest_others, most_strangers, most_epsilon } = terms;
  const asked = [
    say(texts.terms_examples, { examples: decimals.format(fewest_examples) }),
    say(texts.terms_batch, { examples: decimals.format(smallest_batch) }),
    fewest_steps > 1 && say(texts.terms_steps, { steps: decimals.format(fewest_steps) }),
    most_counted && say(texts.terms_counted, { examples: decimals.format(most_counted) }),
    signed && texts.terms_signed,
    secure_only && texts.terms_secure,
    fewest_others > 2 && say(texts.terms_others, { others: decimals.format(fewest_others) }),
    Number.isInteger(most_strangers) && say(texts.terms_strangers, { strangers: decimals.format(most_strangers) }),
    most_epsilon && say(texts.terms_epsilon, { epsilon: most_epsilon }),
  ];
  return say(texts.terms, { asked: asked.filter(Boolean).join("; ") });
}

function told(budget, texts, { decimals }) {
  if (!budget) return "";
  const { epsilon, delta, rounds, noise_by } = budget;
  const facts = { epsilon, delta, rounds: decimals.format(rounds) };
  const said = { aggregator: texts.budget_aggregator, devices: texts.budget_devices };
  return say(said[noise_by], facts);
}

// Shows both below a heading; the place is hidden where there is no federation.
export function showSent(place, facts, texts, formats) {
  place.hidden = !facts?.sent;
  if (place.hidden) return;
  const { updates, bytes, latest } = facts.sent;
  const sum = updates ? say(texts.sent_sum, { updates: formats.decimals.format(updates), bytes: formats.decimals.format(bytes) }) : texts.sent_nothing;
  place.querySelector(".sum").textContent = sum;
  place.querySelector("ol").replaceChildren(...latest.map((each) => line(each, texts, formats)));
  place.querySelector(".terms").textContent = words(facts.terms, texts, formats);
  place.querySelector(".budget").textContent = told(facts.budget, texts, formats);
}
