// The question that stands before each step that cannot be taken back.
import { select as $ } from "./pieces.js";

let agreed = () => {};

// Calls `then` if the person says yes.
export function ask(title, text, yes, then) {
  $("#sure-title").textContent = title;
  $("#sure-text").textContent = text;
  $("#yes").textContent = yes;
  agreed = then;
  $("#sure").showModal();
}

$("#no").addEventListener("click", () => $("#sure").close());
$("#yes").addEventListener("click", () => {
  $("#sure").close();
  agreed();
});
