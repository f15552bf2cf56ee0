// What the page says of the device, and of what its user wanted.
import { select as $ } from "./pieces.js";

const REMARK = 20_000; // milliseconds for which it is said what went wrong
const TOAST = 8_000;

// `unfocused` is called when a button that had the focus is no more to be seen.
export function remarks(texts, unfocused) {
  let troubled = true; // the notice is about the device, and not about what its user wanted
  let fading;
  let ending;

  function notify(problem) {
    $("#notice").hidden = !problem;
    const text = problem ? (texts[problem] ?? problem) : "";
    if ($("#notice").textContent !== text) $("#notice").textContent = text;
  }

  return {
    // Says what is wrong with the device; nothing, if nothing is.
    trouble(problem) {
      if (problem || troubled) notify(problem);
      troubled = Boolean(problem);
    },

    // Says what went wrong with what its user wanted; nothing, if nothing did.
    remark(problem) {
      if (problem || !troubled) notify(problem);
      clearTimeout(ending);
      if (problem) ending = setTimeout(() => troubled || notify(""), REMARK);
    },

    // Says what was done.
    toast: function toast(text, undoable = true) {
      clearTimeout(fading);
      const focused = $("#toast").contains(document.activeElement);
      $("#toast span").textContent = text;
      $("#toast").hidden = !text;
      if (focused && !text) unfocused();
      $("#toast button").hidden = !undoable;
      fading = setTimeout(toast, TOAST, "");
    },
  };
}
