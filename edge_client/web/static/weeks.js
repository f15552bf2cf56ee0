// How often the device was right. Weeks begin on Mondays, by the clock of the device, which says which
// of them is this one.
import { make, say } from "./pieces.js";

export function showWeeks(place, weeks, texts, { dates, decimals, percents }) {
  const items = weeks.map(({ begins, current, answered, right }) => {
    const title = current ? texts.this_week : say(texts.week, { date: dates.format(Date.parse(begins)) });
    const bar = make("i", {}, make("i"));
    bar.firstChild.style.setProperty("--share", right / answered);
    const told = `${say(texts.week_right, { right: decimals.format(right), answered: decimals.format(answered) })} · ${percents.format(right / answered)}`;
    return make("li", {}, make("span", { textContent: title }), make("b", { textContent: told }), bar);
  });
  place.replaceChildren(...(items.length ? items : [make("li", { className: "hint", textContent: texts.no_weeks })]));
}
