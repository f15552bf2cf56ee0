// Draws a list anew when something has arrived, but not from under a finger, and leaves the focus.
import { make } from "./pieces.js";

const CLICK = 300; // milliseconds; the click of a finger comes a little after it was lifted

const waiting = new Map(); // by place, what is to be drawn there
let held = null; // what a pointer, or the space bar, is down on
let ending;

// Puts new elements in the place of the old, or says that it is empty. A button that was made anew
// between press and release would not be clicked, so this waits for the release.
export function replace(place, elements, empty) {
  waiting.set(place, [elements, empty]);
  drawAll();
}

function drawAll() {
  for (const [place, content] of waiting) {
    // A press on the list itself is one on its scroll bar, of which no release may be told.
    if (held !== place && place.contains(held)) continue;
    waiting.delete(place);
    draw(place, ...content);
  }
}

// What had the focus keeps it, by its id, or gives it to the list if it is no more.
function draw(place, elements, empty) {
  const focused = place.contains(document.activeElement) && document.activeElement;
  const none = make(place.matches("ol, ul") ? "li" : "p", { textContent: empty, className: "hint" });
  place.replaceChildren(...(elements.length ? elements : [none]));
  if (!focused || document.activeElement === focused) return;
  const again = focused.isConnected ? focused : (document.getElementById(focused.id) ?? place);
  again.focus({ preventScroll: true });
}

function hold({ target }) {
  clearTimeout(ending);
  held = target;
}

function release() {
  clearTimeout(ending);
  ending = setTimeout(() => {
    held = null;
    drawAll();
  }, CLICK);
}

addEventListener("pointerdown", (event) => event.isPrimary && event.button === 0 && hold(event));
addEventListener("keydown", (event) => event.key === " " && hold(event));
for (const name of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(name, release);
