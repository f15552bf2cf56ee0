// The question that stands before each step that cannot be taken back.
import { select as $ } from "./pieces.js";

let agreed = () => {};
let asker = document.body; // what was pressed

// Calls `then` if the person says yes.
export function ask(title, text, yes, then) {
  $("#sure-title").textContent = title;
  $("#sure-text").textContent = text;
  $("#yes").textContent = yes;
  agreed = then;
  asker = document.activeElement;
  $("#sure").showModal();
}

// The focus goes back to what was pressed, even if a list drew that anew while the question stood.
function close() {
  $("#sure").close();
  if (!asker.isConnected) document.getElementById(asker.id)?.focus();
}

$("#no").addEventListener("click", close);
$("#sure").addEventListener("cancel", (event) => {
  event.preventDefault();
  close();
});
$("#yes").addEventListener("click", () => {
  close();
  agreed();
});
