// What the page shows of a federation, and what its buttons do.
import { ask } from "./ask.js";
import { Chart } from "./chart.js";
import { enrolment } from "./enrolment.js";
import { listen, order } from "./listen.js";
import { ago, make, say, select as $, stickBelow } from "./pieces.js";
import { replace } from "./redraw.js";

const FEW = 8; // devices that are shown without a field to find them
const REMARK = 20_000; // milliseconds that a remark stays
const NAMES = 200; // names in one line

const texts = await (await fetch("texts.json")).json();
const { language } = texts;
const whole = new Intl.NumberFormat(language);
const scores = new Intl.NumberFormat(language, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const rough = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });

const state = { now: null, federation: null, devices: null, rounds: null, course: null, models: null, refusals: null, traffic: null };
let clockOffset = 0; // the aggregator may have another idea of the time
let deadline = null; // by this browser's clock
let away = true;
let remark = ""; // what came of a person's own doing

// ---- pieces ----

const now = () => Date.now() + clockOffset;
const since = (time) => ago(time, now(), texts);
const facts = (...parts) => parts.filter(Boolean).join(" · ");

function bytes(count) {
  const unit = count >= 1e9 ? ["GB", 1e9] : count >= 1e6 ? ["MB", 1e6] : ["KB", 1e3];
  return `${rough.format(count / unit[1])} ${unit[0]}`;
}

function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

// A name or a text from elsewhere, kept apart from the direction of the text around it.
const foreign = (text) => make("bdi", { textContent: text });

function item(title, mark, ...lines) {
  const small = lines.filter(Boolean).map((line) => make("small", {}, line));
  return make("li", {}, make("p", {}, title, make("span", {}, mark)), ...small);
}

// ---- the round under way ----

function showNow() {
  const { now, federation, devices } = state;
  document.body.dataset.state = away ? "away" : now.phase;
  $("h1").textContent = federation ? `${texts.title} · ${federation.name}` : texts.title;
  document.title = $("h1").textContent;
  if (now) {
    $("#waiting").textContent = [now.waiting, now.stage].filter(Boolean).join(" ");
    $("#progress").hidden = now.phase !== "open" && now.phase !== "aggregating";
    $("#progress").max = Math.max(1, now.wanted);
    $("#progress").value = now.counted;
    $("#counted").textContent = say({ waiting: texts.ready, finished: texts.finished }[now.phase] ?? texts.counted, now);
  }
  const paused = now?.paused && now.phase === "waiting";
  $("#state").textContent = say(texts.phases[away ? "away" : paused ? "paused" : now.phase], now ?? {});
  showPause();
  const invited = devices?.devices.filter((device) => device.invited) ?? [];
  showNames("#awaited", texts.awaited, invited.filter(({ sent }) => sent === null), ({ name }) => name);
  showNames("#sent", texts.sent, invited.filter(({ sent }) => sent !== null), ({ name, sent }) => say(texts.sent_item, { name, bytes: bytes(sent) }));
  showLeft();
}

function showPause() {
  const { now } = state;
  $("#pause").hidden = !now || now.phase === "finished";
  $("#pause").textContent = now?.paused ? texts.go_on : texts.pause;
}

$("#pause").addEventListener("click", () => {
  const { paused } = state.now;
  const kind = paused ? "go_on" : "pause";
  ask(texts[`${kind}_title`], texts[`${kind}_text`], texts[kind], async () => {
    const { problem } = await order("pause", { paused: !paused });
    show(problem ?? texts[`${kind}_done`]);
  });
});

function showNames(place, title, devices, named) {
  $(place).hidden = !devices.length;
  $(`${place} summary`).textContent = say(title, { count: whole.format(devices.length) });
  const names = devices.slice(0, NAMES).map(named);
  if (devices.length > NAMES) names.push(say(texts.and_more, { count: whole.format(devices.length - NAMES) }));
  $(`${place} p`).textContent = names.join(", ");
}

function showLeft() {
  const shown = !away && deadline !== null;
  const left = deadline - Date.now();
  $("#left").textContent = shown ? (left > 0 ? say(texts.left, { time: span(left) }) : texts.late) : "";
}

// ---- scores ----

const curves = {
  uar: new Chart(texts.curve_uar, "blue", texts, 1),
  validation: null, // its title names the corpus
  loss: new Chart(texts.curve_loss, "purple", texts),
};

function showCourse() {
  const { points, corpus, confusion } = state.course;
  curves.validation ??= new Chart(say(texts.curve_validation, { corpus }), "amber", texts, 1);
  for (const [name, chart] of Object.entries(curves)) {
    chart.show(points.filter((point) => point[name] !== null).map((point) => ({ round: point.round, value: point[name] })));
  }
  const drawn = Object.values(curves).filter((chart) => chart.points.length).map((chart) => chart.element);
  // What is drawn stays where it is, or it would lose the focus.
  if (!drawn.length || drawn.some((element, place) => $("#charts").children[place] !== element)) replace($("#charts"), drawn, texts.no_curve);
  showConfusion(confusion);
}

function showConfusion(told) {
  $("#confusion").hidden = !told;
  $("#confusion-hint").textContent = told ? say(told.validated ? texts.confusion_validation : texts.confusion_devices, told) : texts.confusion_none;
  if (!told) return;
  const words = state.federation.labels;
  const heads = words.map((word) => make("th", { scope: "col" }, foreign(word)));
  const rows = told.counts.map((counts, row) => {
    const all = counts.reduce((sum, count) => sum + count, 0);
    const cells = counts.map((count, column) => {
      const cell = make("td", { textContent: whole.format(count), className: row === column ? "right" : "" });
      cell.style.setProperty("--share", all ? count / all : 0);
      return cell;
    });
    return make("tr", {}, make("th", { scope: "row" }, foreign(words[row])), ...cells);
  });
  const head = make("thead", {}, make("tr", {}, make("th", { textContent: texts.true_label }), ...heads));
  $("#confusion").replaceChildren(make("table", {}, head, make("tbody", {}, ...rows)));
}

function showRounds() {
  const items = state.rounds.map((round) => {
    const names = round.clients.join(", ") + (round.updates > round.clients.length ? " …" : "");
    return item(
      make("b", { textContent: say(texts.round_item, round) }),
      texts.round_states[round.state] ?? round.state,
      facts(
        say(texts.round_facts, { ...round, bytes: bytes(round.bytes) }),
        round.loss !== null && say(texts.loss, { value: scores.format(round.loss) }),
        round.uar !== null && say(texts.uar, { value: scores.format(round.uar) }),
        round.ended !== null && say(texts.took, { time: span(round.ended - round.opened) }),
      ),
      round.note && foreign(round.note),
      names && say(texts.by, { names }),
    );
  });
  replace($("#rounds"), items, texts.rounds_none);
}

// ---- devices ----

const orders = {
  name: (a, b) => (a.name < b.name ? -1 : 1),
  away: (a, b) => a.present - b.present || a.seen - b.seen,
  examples: (a, b) => b.examples - a.examples,
  score: (a, b) => (a.score ?? 2) - (b.score ?? 2),
  bytes: (a, b) => b.up + b.down - a.up - a.down,
};
$("#sort").append(...Object.entries(texts.sorts).map(([value, textContent]) => make("option", { value, textContent })));

function presence(device) {
  if (!device.present) return say(texts.away, { time: since(device.seen) });
  return device.trains ? texts.online : texts.not_training;
}

function part(device) {
  if (!device.invited) return "";
  return device.sent === null ? texts.has_not_sent : say(texts.has_sent, { bytes: bytes(device.sent) });
}

function showDevice(device) {
  const title = make("b", { className: device.present ? "sign on" : "sign" }, foreign(device.name));
  const told = { updates: whole.format(device.updates), up: bytes(device.up), down: bytes(device.down) };
  const element = item(
    title,
    facts(part(device), presence(device), device.present && texts.supplies[device.supply]),
    facts(
      device.score !== null && say(texts.uar, { value: scores.format(device.score) }),
      // 0: nobody knows, as in secure rounds.
      device.examples > 0 && say(texts.device_examples, { examples: whole.format(device.examples) }),
      say(texts.device_facts, told),
    ),
    device.software && foreign(device.software),
    ...enrolled.lines(device, now()),
  );
  element.append(...enrolled.button(device));
  return element;
}

// One that was invited, or has joined, and has not said anything yet.
function showNewcomer(device) {
  const title = make("b", { className: "sign" }, foreign(device.name));
  const element = item(title, device.key ? texts.not_seen : texts.invited, ...enrolled.lines(device, now()));
  element.append(...enrolled.button(device));
  return element;
}

function showDevices() {
  const { devices, newcomers, more } = state.devices;
  const wanted = $("#find-name").value.trim().toLowerCase();
  const fits = ({ name }) => name.includes(wanted);
  const shown = devices.filter(fits).sort(orders[$("#sort").value]);
  const told = { online: whole.format(devices.filter(({ present }) => present).length), all: whole.format(devices.length + more) };
  $("#devices-count").textContent = [
    devices.length && say(texts.devices_count, told),
    more && say(texts.devices_more, { count: whole.format(more) }),
  ].filter(Boolean).join(". ");
  // What is looked for can always be unsaid.
  $("#find").hidden = !wanted && devices.length + newcomers.length <= FEW;
  const items = [...newcomers.filter(fits).map(showNewcomer), ...shown.map(showDevice)];
  replace($("#devices"), items, devices.length + newcomers.length ? texts.no_match : texts.devices_none);
}

$("#find-name").addEventListener("input", showDevices);
$("#sort").addEventListener("change", showDevices);

// ---- models ----

const modelTitle = (model) => (model.round ? say(texts.model_item, model) : texts.model_initial);

function showModels() {
  const items = state.models.map((model, place) => {
    const title = make("b", { className: model.ancestor ? "sign on" : "sign", textContent: modelTitle(model) });
    const told = facts(
      model.uar !== null && say(texts.uar, { value: scores.format(model.uar) }),
      bytes(model.bytes),
      model.digest,
      since(model.created),
    );
    const origin = facts(say(texts.version, model), say(texts[`origin_${model.origin}`] ?? "", model));
    const mark = place === 0 ? texts.current : model.kept ? "" : texts.removed;
    const element = item(title, mark, told, origin);
    // A version that was gone back to is listed where it was made too.
    const offers = ["export", place > 0 && model.origin !== "rollback" && "rollback"].filter(Boolean);
    if (model.kept) element.append(make("p", { className: "choice" }, ...offers.map((name) => offer(name, model))));
    return element;
  });
  replace($("#models"), items, texts.models_none);
}

function offer(name, model) {
  const button = make("button", { type: "button", id: `${name}-${model.version}`, textContent: texts[name] });
  button.setAttribute("aria-label", `${texts[name]}: ${modelTitle(model)}`);
  const then = { export: () => take(model), rollback: () => goBack(model) }[name];
  button.addEventListener("click", () => ask(say(texts[`${name}_title`], model), texts[`${name}_text`], texts[name], then));
  return button;
}

// A click on a link, as the browser saves what a link leads to.
const take = ({ version }) => make("a", { href: `models/${version}.safetensors`, download: "" }).click();

async function goBack(model) {
  const { problem } = await order("rollback", { round: model.round });
  show(problem ?? say(texts.went_back, model));
}

// ---- refusals and bytes ----

function showRefusals() {
  const items = state.refusals.map(({ at, client, round, reason, sentence }) =>
    item(
      make("b", {}, foreign(client)),
      since(at),
      facts(round !== null && say(texts.refusal_round, { round }), reason),
      foreign(sentence),
    ),
  );
  replace($("#refusals"), items, texts.refusals_none);
}

function showTraffic() {
  const { codecs, up, down } = state.traffic;
  $("#traffic-sum").textContent = say(texts.traffic_sum, { up: bytes(up), down: bytes(down) });
  const head = Object.values(texts.traffic_head).map((textContent) => make("th", { textContent, scope: "col" }));
  const rows = codecs.map(({ codec, updates, bytes: all }) =>
    make("tr", {}, make("th", { textContent: codec, scope: "row" }), ...[whole.format(updates), bytes(all), bytes(all / updates)].map((textContent) => make("td", { textContent }))),
  );
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
  $("#traffic").replaceChildren(...(rows.length ? [table] : []));
}

// ---- what the aggregator tells ----

function showNotice() {
  const problem = (away ? reason : state.now?.problem) || remark;
  const text = texts[problem] ?? problem ?? "";
  $("#notice").hidden = !text;
  if ($("#notice").textContent !== text) $("#notice").textContent = text;
}

let reason = "";
let fading;

// Shows for a while what came of a person's own doing.
function show(what) {
  remark = what;
  showNotice();
  clearTimeout(fading);
  fading = setTimeout(() => {
    remark = "";
    showNotice();
  }, REMARK);
}

const enrolled = enrolment(texts, show);

function showEnrolment() {
  if (state.federation && state.devices) enrolled.show(state.federation, state.devices);
}

const shows = {
  now: [showNow, showNotice],
  federation: [showNow, showEnrolment],
  devices: [showNow, showEnrolment, showDevices],
  rounds: [showRounds],
  course: [showCourse],
  models: [showModels],
  refusals: [showRefusals],
  traffic: [showTraffic],
};

function tell(name, told) {
  state[name] = told;
  if (name === "now") away = false;
  for (const each of shows[name]) if (state.now || each !== showNow) each();
}

const told = Object.fromEntries(Object.keys(shows).map((name) => [name, (content) => tell(name, content)]));
told.clock = ({ now, seconds }) => {
  clockOffset = now - Date.now();
  deadline = seconds === null ? null : Date.now() + seconds * 1000;
  showLeft();
};

listen(told, (why) => {
  away = true;
  reason = why;
  showNow();
  showNotice();
});

stickBelow($("header"));
setInterval(showLeft, 1000);
setInterval(() => {
  // "2 min ago" grows older
  if (state.devices) showDevices();
  if (state.models) showModels();
  if (state.refusals) showRefusals();
}, 20_000);
history.replaceState(null, "", "./"); // the token is in the cookie now, and need not be seen
