// A curve over rounds: a small SVG that is pointed at, or read with the arrow keys.
import { make, say } from "./pieces.js";

const WIDTH = 560;
const HEIGHT = 160;
const LEFT = 38;
const RIGHT = 10;
const TOP = 12;
const BOTTOM = 30;

function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Gives the upper end of the scale: 1, 2 or 5 times a power of ten.
function above(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 5, 10].map((factor) => factor * power).find((end) => end >= value);
}

// One chart: a title, a drawing, and a line that reads one point.
export class Chart {
  constructor(title, colour, texts, top) {
    this.title = title;
    this.texts = texts;
    this.top = top;
    this.points = [];
    this.chosen = null; // a place among the points; null reads the last one
    this.numbers = new Intl.NumberFormat(texts.language, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "img" });
    this.reading = make("output");
    const caption = make("figcaption", {}, make("i"), make("span", { textContent: title }), this.reading);
    this.element = make("figure", { className: "chart" }, caption, this.svg);
    this.element.dataset.colour = colour;
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.choose(null));
    this.svg.addEventListener("keydown", (event) => this.step(event));
  }

  // Shows [{round, value}], in the order of their rounds.
  show(points) {
    this.points = points;
    this.element.hidden = !points.length;
    if (!points.length) return;
    this.first = points[0].round;
    this.last = Math.max(points.at(-1).round, this.first + 1);
    this.end = this.top ?? above(Math.max(...points.map(({ value }) => value)));
    const line = points.map((point) => `${this.x(point).toFixed(1)},${this.y(point).toFixed(1)}`).join(" ");
    this.rule = draw("line", { class: "rule", y1: TOP, y2: HEIGHT - BOTTOM });
    this.dot = draw("circle", { r: 4 });
    this.svg.replaceChildren(
      ...[0, 0.5, 1].flatMap((share) => this.level(share * this.end)),
      draw("text", { x: LEFT, y: HEIGHT - 6 }, this.first),
      draw("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, points.at(-1).round),
      draw("polyline", { points: line }),
      this.rule,
      this.dot,
    );
    const [first, last] = [points[0], points.at(-1)].map(({ value }) => this.numbers.format(value));
    this.svg.setAttribute("aria-label", say(this.texts.curve_spoken, { title: this.title, count: points.length, first, last }));
    this.choose(this.chosen);
  }

  level(value) {
    const y = this.y({ value });
    const text = value.toLocaleString(this.texts.language, { maximumSignificantDigits: 2 });
    return [
      draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }),
      draw("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, text),
    ];
  }

  x({ round }) {
    return LEFT + ((round - this.first) / (this.last - this.first)) * (WIDTH - LEFT - RIGHT);
  }

  y({ value }) {
    return TOP + (1 - value / this.end) * (HEIGHT - TOP - BOTTOM);
  }

  point({ clientX }) {
    const box = this.svg.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * WIDTH;
    const far = this.points.map((point) => Math.abs(this.x(point) - x));
    this.choose(far.indexOf(Math.min(...far)));
  }

  step(event) {
    const last = this.points.length - 1;
    const now = this.chosen ?? last;
    const place = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, Escape: null }[event.key];
    if (place === undefined) return;
    event.preventDefault();
    this.choose(place === null ? null : Math.min(last, Math.max(0, place)));
  }

  choose(place) {
    this.chosen = place !== null && place < this.points.length ? place : null;
    const point = this.points[this.chosen ?? this.points.length - 1];
    const x = this.x(point);
    this.rule.setAttribute("x1", x);
    this.rule.setAttribute("x2", x);
    this.rule.classList.toggle("chosen", this.chosen !== null);
    this.dot.setAttribute("cx", x);
    this.dot.setAttribute("cy", this.y(point));
    this.reading.value = say(this.texts.curve_at, { round: point.round, value: this.numbers.format(point.value) });
  }
}
