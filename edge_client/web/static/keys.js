// Whether single keys do something. Who speaks to a computer, or types what was meant for elsewhere,
// can do without.
import { select as $ } from "./pieces.js";

function useKeys(on) {
  $("#keys-on").checked = on;
  document.body.classList.toggle("without-keys", !on);
}

// Takes what this browser's user chose before, and keeps what is chosen from now on.
export function offerKeys() {
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
}
