// Who may take part in a federation by invitation: inviting a device, and shutting one out.
import { ask } from "./ask.js";
import { order } from "./listen.js";
import { make, say, select as $ } from "./pieces.js";

const SVG = "http://www.w3.org/2000/svg";

// `remark` shows what came of something.
export function enrolment(texts, remark) {
  const day = new Intl.DateTimeFormat(texts.language, { dateStyle: "medium" });
  const minute = new Intl.DateTimeFormat(texts.language, { dateStyle: "medium", timeStyle: "short" });
  const joined = new Set();
  let byInvitation = false;
  let inviting = false; // an order is under way

  const given = () => $("#invite-name").value.trim().toLowerCase();

  function show(federation, { devices, newcomers }) {
    byInvitation = federation.by_invitation;
    joined.clear();
    for (const { name, key } of [...devices, ...newcomers]) if (key) joined.add(name);
    $("#by-invitation").hidden = !byInvitation;
    $("#not-by-invitation").hidden = byInvitation;
    showHint();
  }

  function showHint() {
    const again = joined.has(given());
    $("#invite-hint").textContent = again ? say(texts.invite_known, { name: given() }) : texts.invite_hint;
    $("#invite-send").textContent = again ? texts.invite_again : texts.invite;
  }

  // What is known of a device, in lines.
  function lines({ key, since, expires }, now) {
    if (!byInvitation) return [];
    const late = expires !== null && expires < now;
    const link = expires !== null && (late ? texts.link_expired : say(texts.link_until, { time: minute.format(expires) }));
    return [key ? say(texts.joined, { key, date: day.format(since) }) : !link && texts.no_member, link];
  }

  // A button to shut a device out, or to take its invitation back; nothing if it has neither.
  function button({ name, key, expires }) {
    if (!byInvitation || (!key && expires === null)) return [];
    const made = make("button", { type: "button", id: `revoke-${name}`, className: "danger", textContent: texts.revoke });
    made.setAttribute("aria-label", `${texts.revoke}: ${name}`);
    made.addEventListener("click", () => {
      ask(say(texts.revoke_title, { name }), key ? texts.revoke_text : texts.withdraw_text, texts.revoke, () => revoke(name));
    });
    return [make("p", { className: "choice" }, made)];
  }

  async function revoke(name) {
    const { problem, told } = await order("revoke", { name });
    remark(problem ?? say(told ? texts.revoked : texts.revoked_late, { name }));
  }

  // The button is not disabled meanwhile, or it would lose the focus.
  function setInviting(now) {
    inviting = now;
    $("#invite-send").setAttribute("aria-disabled", now);
  }

  async function invite(content) {
    const { name } = content;
    setInviting(true);
    const made = await order("invite", content);
    setInviting(false);
    if (made.problem) {
      remark(made.problem);
      return;
    }
    if (given() === name) $("#invite-name").value = "";
    showHint();
    $("#link-title").textContent = say(texts.link_title, { name });
    $("#link-text").textContent = say(texts.link_text, { time: minute.format(made.expires) });
    $("#link").textContent = `edge-client join '${made.link}'`;
    $("#link-note").textContent = [!made.told && texts.link_late, made.here && texts.link_here].filter(Boolean).join(" ");
    $("#qr").replaceChildren(drawn(made.qr));
    $("#handed").showModal();
  }

  function drawn({ size, path }) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", texts.qr);
    svg.setAttribute("shape-rendering", "crispEdges");
    svg.append(document.createElementNS(SVG, "path"));
    svg.firstChild.setAttribute("d", path);
    return svg;
  }

  $("#invite-name").addEventListener("input", showHint);
  $("#by-invitation").addEventListener("submit", (event) => {
    event.preventDefault();
    if (inviting) return;
    const [name, again] = [given(), joined.has(given())];
    const [hours, address] = [$("#invite-hours").valueAsNumber, $("#invite-address").value];
    const kind = again ? "again" : "invite";
    ask(say(texts[`${kind}_title`], { name }), texts[`${kind}_text`], again ? texts.invite_again : texts.invite, () => invite({ name, again, hours, address }));
  });
  $("#link-close").addEventListener("click", () => $("#handed").close());
  $("#handed").addEventListener("close", () => {
    // Whoever has the link can join: it stays nowhere.
    $("#link").textContent = "";
    $("#qr").replaceChildren();
  });

  return { show, lines, button };
}
