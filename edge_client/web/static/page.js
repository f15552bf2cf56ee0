// What the page shows, and what its buttons and keys do.
import { play, stop } from "./sounds.js";
import { listen, order } from "./listen.js";
import { describe, showFirstMinute } from "./facts.js";
import { offerKeys } from "./keys.js";
import { remarks } from "./remarks.js";
import { showSent } from "./sent.js";
import { showWeeks } from "./weeks.js";
import { asked, following, isOpen, NEWEST } from "./questions.js";
import { ago, make, say, select as $, stickBelow } from "./pieces.js";

// Whoever reaches for a button just as a new utterance takes the old one's place means the old one.
const SETTLING = 400;
const GUIDED = 8; // examples until which the page says how to begin
const MOST_IN_A_COLUMN = 5;
const LONGEST_IN_LARGE = 8;
const QUIETEST = -60;

const texts = await (await fetch("texts.json")).json();
const language = texts.language;
const percents = new Intl.NumberFormat(language, { style: "percent" });
const decimals = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

const times = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
const dates = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });

let state = { labels: [], recent: [], counts: {}, weeks: [], name: "", status: {}, paused: false };
let chosen = null; // the utterance that its user went back to, or NEWEST; null: what the page asks
let answered = null; // the utterance that was answered last, and the newest at that time
let shown = null; // the utterance on the card
let playing = null;
let clockOffset = 0; // a device without a battery may have another idea of the time
let away = true;
let latest = null; // when the newest was heard of all that the page was told of

// ---- pieces ----

function shape(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  return draw(svg, name);
}

function draw(svg, name) {
  const { colour, shape } = look(name);
  svg.dataset.colour = colour;
  svg.firstElementChild.setAttribute("href", `shapes.svg#${shape}`);
  return svg;
}

// What people see of a label: the device says it. It may have had other labels before, and without
// a model there is none.
function look(name) {
  const known = state.labels.find((label) => label.name === name);
  return known ?? { word: name ?? texts.no_model, colour: "none", shape: "unknown" };
}

const word = (name) => look(name).word;

const share = ({ probabilities }, name) => probabilities[state.labels.findIndex((label) => label.name === name)];

function percent(utterance, name) {
  const found = share(utterance, name);
  return found == null ? "" : percents.format(found);
}

const age = (utterance) => ago(Date.parse(utterance.heard_at), Date.now() + clockOffset, texts);

const clock = (at) => times.format(Date.parse(at) - clockOffset);

const isKept = ({ id }) => id > 0;

function answerTo(utterance) {
  const { label, predicted } = utterance;
  if (!label) return "";
  if (label === predicted) return texts.confirmed;
  return predicted === null ? texts.named : say(texts.corrected, { label: word(predicted) });
}

// ---- showing ----

let rows = [];
let tiles = [];

const hint = (key) => make("kbd", { textContent: key.toUpperCase(), ariaHidden: "true" });

function makeRow({ name, word, colour, key }) {
  const bar = make("i");
  const share = make("span", { className: "share" });
  const title = make("span", { className: "name", textContent: word });
  const button = make("button", { type: "button" }, bar, shape(name), title, share);
  Object.assign(button.dataset, { label: name, colour });
  if (key) {
    button.append(hint(key));
    button.setAttribute("aria-keyshortcuts", key.toUpperCase());
  }
  button.addEventListener("click", () => rests() || answer(name));
  return { name, button, bar, share };
}

function makeTile({ name, word }) {
  const count = make("b");
  const tile = make("li", {}, shape(name), count, make("span", { textContent: word }));
  return { name, tile, count };
}

// Makes a button, a tile and a key for each label that the device tells.
function showLabels() {
  rows = state.labels.map(makeRow);
  tiles = state.labels.map(makeTile);
  $("#rows").replaceChildren(...rows.map(({ button }) => button));
  $("#rows").classList.toggle("many", rows.length > MOST_IN_A_COLUMN);
  $("#counts").replaceChildren(...tiles.map(({ tile }) => tile));
  const keyed = state.labels.filter(({ key }) => key);
  $("#label-keys").replaceChildren(...keyed.flatMap(({ key }) => [hint(key), " "]));
  answers = { y: confirmShown, x: discard };
  for (const { name, key } of keyed) answers[key] = () => answer(name);
}

function show() {
  if (!state.labels.length) return; // nothing was told yet
  const newest = state.recent[0];
  const before = shown;
  shown = asked(state.recent, chosen, answered);
  $("#card").hidden = $("#list").hidden = !shown;
  $("#empty").hidden = Boolean(shown);
  $("#empty").textContent = state.paused ? texts.empty_paused : texts.empty;
  if (shown) showCard();
  if (before && shown && before.id !== shown.id && shown.id !== chosen) settle();
  showList();
  showDevice();
  showLearning();
  $("h1").textContent = state.name ? `${texts.title} · ${state.name}` : texts.title;
  document.title = shown ? `${word(newest.predicted)} · ${$("h1").textContent}` : $("h1").textContent;
}

let settling;

function settle() {
  $("#card").classList.add("settling");
  clearTimeout(settling);
  settling = setTimeout(() => $("#card").classList.remove("settling"), SETTLING);
}

const rests = () => $("#card").classList.contains("settling");

function question(utterance) {
  if (!isKept(utterance)) return texts.not_kept;
  if (utterance.unsure) return texts.ask_unsure;
  return utterance.predicted ? texts.ask : texts.ask_without_model;
}

function showCard() {
  const { predicted } = shown;
  const settled = shown.label ?? predicted;
  const answer = answerTo(shown);
  $("#card").dataset.id = shown.id;
  $("#when span").textContent = `${age(shown)} · ${say(texts.length, { seconds: decimals.format(shown.seconds) })}`;
  draw($("#recognised svg"), settled);
  $("#word").textContent = word(settled);
  $("#recognised").classList.toggle("long", word(settled).length > LONGEST_IN_LARGE);
  $("#recognised small").textContent = settled === predicted ? percent(shown, predicted) : "";
  $("#answer").textContent = answer || question(shown);
  $("#answer").className = answer ? "done" : "open";
  for (const row of rows) {
    row.bar.style.setProperty("--share", share(shown, row.name) ?? 0);
    row.share.textContent = percent(shown, row.name);
    row.button.setAttribute("aria-pressed", shown.label === row.name);
    row.button.classList.toggle("recognised", row.name === predicted);
    row.button.disabled = !isKept(shown);
  }
  $("#discard").disabled = !isKept(shown);
  $("#replay").disabled = !shown.sound;
  $("#replay span").textContent = playing === shown.id ? texts.playing : texts.replay;
  const next = following(state.recent, shown);
  const text = isOpen(next) ? texts.unsure_is : next.label ? texts.newest : texts.newest_is;
  $("#newest").hidden = shown.id === next.id;
  $("#newest").textContent = `↑ ${say(text, { label: word(next.predicted) })}`;
}

const items = new Map();

function showList() {
  for (const id of items.keys()) if (!state.recent.some((each) => each.id === id)) items.delete(id);
  for (const utterance of state.recent) {
    const { predicted } = utterance;
    if (!items.has(utterance.id)) {
      const button = make("button", { type: "button" }, shape(predicted), ...["b", "small", "span", "time"].map((tag) => make(tag)));
      button.addEventListener("click", () => choose(utterance.id, true));
      items.set(utterance.id, make("li", {}, button));
    }
    const button = items.get(utterance.id).firstChild;
    const [drawing, name, share, answer, time] = button.children;
    const settled = utterance.label ?? predicted;
    draw(drawing, settled);
    name.textContent = word(settled);
    share.textContent = settled === predicted ? percent(utterance, predicted) : "";
    answer.textContent = utterance.label ? "✓" : utterance.unsure ? "?" : "";
    time.textContent = age(utterance);
    button.setAttribute("aria-current", utterance === shown);
    button.ariaLabel = say(texts.earlier_item, {
      facts: [name, share, time].map(({ textContent }) => textContent).filter(Boolean).join(", "),
      answer: answerTo(utterance) || texts[!isKept(utterance) ? "not_kept" : utterance.unsure ? "unsure" : "unanswered"],
    });
  }
  const list = $("#list ol");
  const wanted = state.recent.map(({ id }) => items.get(id));
  if (wanted.length === list.children.length && wanted.every((item, place) => item === list.children[place])) return;
  const focused = document.activeElement;
  list.replaceChildren(...wanted);
  if (list.contains(focused)) focused.focus({ preventScroll: true });
}

function showDevice() {
  for (const { name, count } of tiles) count.textContent = decimals.format(state.counts[name] ?? 0);
  const known = Object.entries(texts.status).filter(([name]) => name in state.status && (state.status[name] || !["source", "card"].includes(name)));
  $("#status").replaceChildren(...known.flatMap(([name, title]) => [
    make("dt", { textContent: title }),
    make("dd", { textContent: describe(name, state.status[name], texts, { decimals, percents }) }),
  ]));
  showSent($("#sent"), state.status.round, texts, { decimals, dates });
  document.body.dataset.state = away ? "away" : state.status.state;
  $("#state").textContent = texts.states[away ? "away" : state.status.state] ?? state.status.state;
  $("#pause span").textContent = state.paused ? texts.resume : texts.pause;
}

function showLearning() {
  showWeeks($("#weeks"), state.weeks, texts, { dates, decimals, percents });
  const examples = state.labels.reduce((sum, { name }) => sum + (state.counts[name] ?? 0), 0);
  $("#guide").hidden = away || examples >= GUIDED;
  showFirstMinute($("#minute"), state.status.first_minute, texts, word, clock);
}

// Where the focus goes when the button that had it is no more to be seen.
const focusCard = () => $("#card").focus({ preventScroll: true });

const { trouble, remark, toast } = remarks(texts, focusCard);

// ---- what its user wants ----

async function want(name, content, done) {
  const isAnswer = ["correct", "discard"].includes(name);
  const before = { answered, chosen };
  const given = { id: content.id, newest: state.recent[0]?.id };
  if (isAnswer) {
    // At once: the device may tell what has changed before it says that all is well.
    answered = given;
    if (chosen === NEWEST) chosen = null;
  }
  const { problem, id } = await order(name, content);
  remark(problem);
  if (problem && answered === given) {
    answered = before.answered;
    chosen ??= before.chosen;
  }
  if (!problem && done) toast(done, isAnswer);
  return id;
}

function answer(label) {
  if (!shown || !isKept(shown)) return;
  // What is shown is what is meant: what was recognised may change meanwhile, by the words.
  const right = label === shown.predicted;
  const said = right ? texts.confirmed : say(texts.noted, { label: word(label) });
  want("correct", { id: shown.id, label }, said);
}

function confirmShown() {
  if (shown?.predicted) answer(shown.predicted);
}

function discard() {
  if (rests() || !shown || !isKept(shown)) return;
  if (playing === shown.id) stop();
  want("discard", { id: shown.id }, texts.discarded);
}

async function undo() {
  const before = { chosen, answered };
  const id = await want("undo", {}, texts.undone);
  // Who has gone to another utterance meanwhile, or answered one, stays there.
  if (id && chosen === before.chosen && answered === before.answered) chosen = id;
  show();
}

const pause = () => want(state.paused ? "resume" : "pause", {});

async function replay() {
  if (!shown?.sound) return;
  if (playing === shown.id) return stop();
  const id = shown.id;
  playing = id; // before its sound has come, so that a second press stops it
  show();
  const problem = await play(id, () => {
    if (playing === id) playing = null;
    show();
  });
  if (problem) remark(problem);
}

function choose(id, scroll) {
  chosen = id === state.recent[0]?.id ? NEWEST : id;
  show();
  const hidden = $("header").getBoundingClientRect().bottom - $("#card").getBoundingClientRect().top;
  if (scroll && hidden > 0) $("#card").scrollIntoView();
}

function goOn() {
  const next = following(state.recent, shown);
  choose(next.id);
  if ($("#newest").hidden) focusCard();
  if (isOpen(next)) chosen = answered = null; // and after it the next one
}

function step(by) {
  const place = state.recent.indexOf(shown) + by;
  if (shown && state.recent[place]) choose(state.recent[place].id, true);
}

async function forget() {
  $("#sure").close();
  stop();
  chosen = null;
  await want("delete", {}, texts.deleted);
}

const clicks = {
  "#pause": pause,
  "#replay": replay,
  "#discard": discard,
  "#undo": undo,
  "#toast button": undo,
  "#newest": goOn,
  "#delete": () => $("#sure").showModal(),
  "#no": () => $("#sure").close(),
  "#yes": forget,
};
for (const [selector, action] of Object.entries(clicks)) $(selector).addEventListener("click", action);

let answers = {};
const keys = { u: undo, r: replay, p: pause, n: () => choose(state.recent[0]?.id), j: () => step(1), k: () => step(-1) };

document.addEventListener("keydown", (event) => {
  // A key that is held down would press the button again and again, for one utterance after the other.
  if (event.repeat && event.key === "Enter" && $("#card").contains(event.target)) event.preventDefault();
  if (!$("#keys-on").checked) return;
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || $("#sure").open) return;
  const key = event.key.toLowerCase();
  const action = keys[key] ?? (rests() ? undefined : answers[key]);
  if (!action) return;
  event.preventDefault();
  action();
});

// ---- what the device tells ----

const told = {
  state(told) {
    const { problem } = told.status;
    trouble(problem);
    away = false;
    const labels = JSON.stringify(state.labels);
    state = { ...state, ...told, status: { ...state.status, ...told.status } };
    if (JSON.stringify(state.labels) !== labels) showLabels();
    if (!state.labels.length) return; // a device that cannot tell its state told nothing else
    show();
    const newest = state.recent[0];
    const at = newest ? Date.parse(newest.heard_at) : 0;
    const isNew = latest !== null && at > latest;
    latest = Math.max(latest ?? 0, at);
    if (isNew && !newest.label) {
      const { predicted } = newest;
      const values = { label: word(predicted), percent: percent(newest, predicted) };
      const heard = newest.unsure ? texts.heard_unsure : texts.heard;
      $("#spoken").textContent = say(predicted === null ? texts.heard_without_model : heard, values);
    }
  },
  level({ level, now }) {
    const before = clockOffset;
    clockOffset = Date.parse(now) - Date.now();
    if (Math.abs(clockOffset - before) > 1000) show(); // ages were told by another clock
    const share = level === null || state.paused ? 0 : 1 - level / QUIETEST;
    $("#level i").style.setProperty("--share", Math.min(1, Math.max(0, share)));
  },
};

listen(told, (reason) => {
  away = true;
  trouble(reason);
  showDevice();
});

offerKeys();
stickBelow($("header"));
setInterval(show, 20_000); // "2 min ago" grows older
history.replaceState(null, "", "./"); // the token is in the cookie now, and need not be seen
