// What the page shows, and what its buttons and keys do.
import { listen, order, play, stop } from "./device.js";

const EMOTIONS = ["angry", "happy", "neutral", "sad"];
// Whoever reaches for a button just as a new utterance takes the old one's place means the old one.
const SETTLING = 400;
const QUIETEST = -60;

const texts = await (await fetch("texts.json")).json();
const language = texts.language;
const percents = new Intl.NumberFormat(language, { style: "percent" });
const decimals = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const ages = new Intl.RelativeTimeFormat(language, { style: "short" });

const $ = (selector) => document.querySelector(selector);
const say = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

let state = { recent: [], counts: {}, status: {}, paused: false };
let chosen = null; // the utterance that its user went back to; null follows the newest
let shown = null; // the utterance on the card
let playing = null;
let clockOffset = 0; // a device without a battery may have another idea of the time
let away = true;
let troubled = true; // the notice is about the device, and not about what its user wanted

// ---- pieces ----

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function shape(emotion) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
  return draw(svg, emotion);
}

function draw(svg, emotion) {
  svg.dataset.emotion = emotion;
  svg.firstElementChild.setAttribute("href", `shapes.svg#${emotion}`);
  return svg;
}

const word = (emotion) => texts.emotions[emotion] ?? texts.no_model;

// The emotion with the highest probability, or "unknown" while there is no model.
function recognised({ probabilities }) {
  if (!probabilities.length) return "unknown";
  return EMOTIONS[probabilities.indexOf(Math.max(...probabilities))];
}

function percent({ probabilities }, emotion) {
  const share = probabilities[EMOTIONS.indexOf(emotion)];
  return share == null ? "" : percents.format(share);
}

function age(utterance) {
  const seconds = (Date.now() + clockOffset - Date.parse(utterance.heard_at)) / 1000;
  if (seconds < 45) return texts.just_now;
  if (seconds < 3600) return ages.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86_400) return ages.format(-Math.round(seconds / 3600), "hour");
  return ages.format(-Math.round(seconds / 86_400), "day");
}

const isKept = ({ id }) => id > 0;

function answerTo(utterance) {
  const emotion = recognised(utterance);
  if (!utterance.label) return "";
  if (utterance.label === emotion) return texts.confirmed;
  return emotion === "unknown" ? texts.named : say(texts.corrected, { emotion: word(emotion) });
}

// ---- showing ----

const rows = EMOTIONS.map((emotion, index) => {
  const bar = make("i");
  const share = make("span", { className: "share" });
  const hint = make("kbd", { textContent: index + 1, ariaHidden: "true" });
  const name = make("span", { className: "name", textContent: word(emotion) });
  const button = make("button", { type: "button" }, bar, shape(emotion), name, share, hint);
  button.dataset.emotion = emotion;
  button.setAttribute("aria-keyshortcuts", index + 1);
  button.addEventListener("click", () => label(emotion));
  $("#rows").append(button);
  return { emotion, button, bar, share };
});

const tiles = EMOTIONS.map((emotion) => {
  const count = make("b");
  $("#counts").append(make("li", {}, shape(emotion), count, make("span", { textContent: word(emotion) })));
  return { emotion, count };
});

function show() {
  const newest = state.recent[0];
  const before = shown;
  shown = state.recent.find(({ id }) => id === chosen) ?? newest;
  $("#card").hidden = $("#list").hidden = !shown;
  $("#empty").hidden = Boolean(shown);
  $("#empty").textContent = state.paused ? texts.empty_paused : texts.empty;
  if (shown) showCard(newest);
  if (before && shown && before.id !== shown.id && shown.id !== chosen) settle();
  showList();
  showDevice();
  document.title = shown ? `${word(recognised(newest))} · ${texts.title}` : texts.title;
}

function settle() {
  $("#card").classList.add("settling");
  setTimeout(() => $("#card").classList.remove("settling"), SETTLING);
}

function question(utterance) {
  if (!isKept(utterance)) return texts.not_kept;
  return utterance.probabilities.length ? texts.ask : texts.ask_without_model;
}

function showCard(newest) {
  const emotion = recognised(shown);
  const settled = shown.label ?? emotion;
  const answer = answerTo(shown);
  $("#card").dataset.id = shown.id;
  $("#when span").textContent = `${age(shown)} · ${say(texts.length, { seconds: decimals.format(shown.seconds) })}`;
  draw($("#recognised svg"), settled);
  $("#word").textContent = word(settled);
  $("#recognised small").textContent = settled === emotion ? percent(shown, emotion) : "";
  $("#answer").textContent = answer || question(shown);
  $("#answer").className = answer ? "done" : "open";
  for (const row of rows) {
    row.bar.style.setProperty("--share", shown.probabilities[EMOTIONS.indexOf(row.emotion)] ?? 0);
    row.share.textContent = percent(shown, row.emotion);
    row.button.setAttribute("aria-pressed", shown.label === row.emotion);
    row.button.classList.toggle("recognised", row.emotion === emotion);
    row.button.disabled = !isKept(shown);
  }
  $("#discard").disabled = !isKept(shown);
  $("#replay").disabled = !shown.sound;
  $("#replay span").textContent = playing === shown.id ? texts.playing : texts.replay;
  $("#newest").hidden = shown.id === newest.id;
  $("#newest").textContent = `↑ ${newest.label ? texts.newest : say(texts.newest_is, { emotion: word(recognised(newest)) })}`;
}

const items = new Map();

function showList() {
  for (const id of items.keys()) if (!state.recent.some((each) => each.id === id)) items.delete(id);
  for (const utterance of state.recent) {
    const emotion = recognised(utterance);
    if (!items.has(utterance.id)) {
      const button = make("button", { type: "button" }, shape(emotion), ...["b", "small", "span", "time"].map((tag) => make(tag)));
      button.addEventListener("click", () => choose(utterance.id, true));
      items.set(utterance.id, make("li", {}, button));
    }
    const button = items.get(utterance.id).firstChild;
    const [drawing, name, share, answer, time] = button.children;
    const settled = utterance.label ?? emotion;
    draw(drawing, settled);
    name.textContent = word(settled);
    share.textContent = settled === emotion ? percent(utterance, emotion) : "";
    answer.textContent = utterance.label ? "✓" : "";
    time.textContent = age(utterance);
    button.setAttribute("aria-current", utterance === shown);
    button.ariaLabel = say(texts.earlier_item, {
      emotion: word(emotion),
      percent: percent(utterance, emotion),
      time: age(utterance),
      answer: answerTo(utterance) || (isKept(utterance) ? texts.unanswered : texts.not_kept),
    });
  }
  const focused = document.activeElement;
  const list = $("#list ol");
  list.replaceChildren(...state.recent.map(({ id }) => items.get(id)));
  if (list.contains(focused)) focused.focus();
}

const parts = {
  source: ({ detail, overruns }) => [detail, overruns && say(texts.overruns, { overruns })],
  // Enough of a digest to tell it from others.
  model: ({ architecture, digest, personal }) => [architecture, digest.slice(0, 8), personal && texts.personal],
  training: ({ examples }) => [say(texts.learned, { examples: decimals.format(examples) })],
  round: ({ number, state, accepted }) => [
    number && say(texts.round_number, { number: decimals.format(number) }),
    texts.round_states[state] ?? state,
    accepted && say(texts.accepted, { accepted: decimals.format(accepted) }),
  ],
};

const describe = (name, facts) => (facts ? parts[name](facts).filter(Boolean).join(" · ") : texts.none);

function showDevice() {
  for (const { emotion, count } of tiles) count.textContent = decimals.format(state.counts[emotion] ?? 0);
  const known = Object.entries(texts.status).filter(([name]) => name in state.status && (state.status[name] || name !== "source"));
  $("#status").replaceChildren(...known.flatMap(([name, title]) => [
    make("dt", { textContent: title }),
    make("dd", { textContent: describe(name, state.status[name]) }),
  ]));
  document.body.dataset.state = away ? "away" : state.status.state;
  $("#state").textContent = texts.states[away ? "away" : state.status.state] ?? state.status.state;
  $("#pause span").textContent = state.paused ? texts.resume : texts.pause;
}

function notify(problem) {
  $("#notice").hidden = !problem;
  const text = problem ? (texts[problem] ?? problem) : "";
  if ($("#notice").textContent !== text) $("#notice").textContent = text;
}

let fading;

function toast(text, undoable = true) {
  clearTimeout(fading);
  $("#toast span").textContent = text;
  $("#toast").hidden = !text;
  $("#toast button").hidden = !undoable;
  fading = setTimeout(toast, 8_000, "");
}

// ---- what its user wants ----

async function want(name, content, done) {
  const { problem, id } = await order(name, content);
  if (problem || !troubled) notify(problem);
  if (!problem && done) toast(done, ["confirm", "correct", "discard"].includes(name));
  return id;
}

function label(emotion) {
  if (!shown || !isKept(shown)) return;
  if (emotion === recognised(shown)) want("confirm", { id: shown.id }, texts.confirmed);
  else want("correct", { id: shown.id, emotion }, say(texts.noted, { emotion: word(emotion) }));
}

function confirmShown() {
  if (shown?.probabilities.length) label(recognised(shown));
}

function discard() {
  if (shown && isKept(shown)) want("discard", { id: shown.id }, texts.discarded);
}

async function undo() {
  chosen = (await want("undo", {}, texts.undone)) ?? chosen;
  show();
}

const pause = () => want(state.paused ? "resume" : "pause", {});

async function replay() {
  if (!shown?.sound) return;
  if (playing === shown.id) return stop();
  const id = shown.id;
  const problem = await play(id, () => {
    if (playing === id) playing = null;
    show();
  });
  if (problem) return notify(problem);
  playing = id;
  show();
}

function choose(id, scroll) {
  chosen = id === state.recent[0]?.id ? null : id;
  show();
  const hidden = $("header").getBoundingClientRect().bottom - $("#card").getBoundingClientRect().top;
  if (scroll && hidden > 0) $("#card").scrollIntoView();
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
  "#newest": () => choose(state.recent[0]?.id),
  "#delete": () => $("#sure").showModal(),
  "#no": () => $("#sure").close(),
  "#yes": forget,
};
for (const [selector, action] of Object.entries(clicks)) $(selector).addEventListener("click", action);

const answers = { y: confirmShown, x: discard };
EMOTIONS.forEach((emotion, index) => (answers[index + 1] = () => label(emotion)));
const keys = { u: undo, r: replay, p: pause, n: clicks["#newest"], j: () => step(1), k: () => step(-1) };

document.addEventListener("keydown", (event) => {
  if (!$("#keys-on").checked) return;
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || $("#sure").open) return;
  const key = event.key.toLowerCase();
  const action = keys[key] ?? ($("#card").classList.contains("settling") ? undefined : answers[key]);
  if (!action) return;
  event.preventDefault();
  action();
});

// ---- what the device tells ----

listen({
  state(told) {
    const before = state.recent[0];
    const { problem } = told.status;
    if (problem || troubled) notify(problem);
    troubled = Boolean(problem);
    away = false;
    state = { ...state, ...told, status: { ...state.status, ...told.status } };
    show();
    const newest = state.recent[0];
    if (newest && before && newest.id !== before.id && !newest.label) {
      const emotion = recognised(newest);
      const values = { emotion: word(emotion), percent: percent(newest, emotion) };
      $("#spoken").textContent = say(emotion === "unknown" ? texts.heard_without_model : texts.heard, values);
    }
  },
  level({ level, now }) {
    clockOffset = Date.parse(now) - Date.now();
    const share = level === null || state.paused ? 0 : 1 - level / QUIETEST;
    $("#level i").style.setProperty("--share", Math.min(1, Math.max(0, share)));
  },
  away(reason) {
    away = troubled = true;
    notify(reason);
    showDevice();
  },
});

// Who speaks to a computer, or types what was meant for elsewhere, can do without single keys.
function useKeys(on) {
  $("#keys-on").checked = on;
  document.body.classList.toggle("without-keys", !on);
}

$("#keys-on").addEventListener("change", ({ target }) => {
  useKeys(target.checked);
  localStorage.setItem("keys", target.checked ? "on" : "off");
});

try {
  useKeys(localStorage.getItem("keys") !== "off");
} catch {
  // This browser keeps nothing: the choice lasts as long as the page.
}

$("#keys").open = matchMedia("(min-width: 760px)").matches;
setInterval(show, 20_000); // "2 min ago" grows older
history.replaceState(null, "", "./"); // the token is in the cookie now, and need not be seen
