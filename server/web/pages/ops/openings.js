// Today's openings, and changing how one of them goes.

import { $, badge, button, call, count, head, keyed, make, nameOf, num, on, page, polite, put, set, t, td, th, whyNot } from "./base.js";

export const guessed = (it) => t("tLocked", count(it.refused), count(it.locked));
export function paintOpenings() {
  head("openings-head", ["district", "state", "window", "#issued", "#serving", "#waiting", "#pending", "#passes", "#rate", "#papers", "action"]);
  keyed($("openings-rows"), page.view.districts.map(({ code, name_zh, name_en, opening, papers }) => ({ code, name_zh, name_en, opening, papers })), (it) => it.code, (it) => {
    const o = it.opening;
    const action = o.opens_at ? button(t("change"), t("changeOf", nameOf(it)), () => askChange(it)) : "";
    return make("tr", {}, th(nameOf(it)), make("td", {}, badge(o.state), o.message && make("small", {}, o.message), o.forgotten ? make("small", {}, t("forgotten", count(o.forgotten))) : ""),
      td(o.opens_at ? `${o.opens_at.slice(11, 16)}–${o.closes_at.slice(11, 16)}` : "–"), num(o.issued), num(o.serving), num(o.waiting), num(o.pending),
      td(`${count(o.passes_alive)} / ${count(o.max_active)}`, "", { className: "n" }), td(o.rate_per_second.toLocaleString("en"), "", { className: "n" }),
      td(count(it.papers.wrong), it.papers.refused || it.papers.locked ? guessed(it.papers) : "", { className: "n" }), make("td", {}, action));
  });
}
function askChange(it) {
  page.changing = it;
  set("change-title", t("changeOf", nameOf(it)));
  $("rate").value = it.opening.rate_per_second;
  $("most").value = it.opening.max_active;
  $("message").value = it.opening.message ?? "";
  $("paused").checked = it.opening.paused;
  unmarkChange();
  $("change").showModal();
}
const NUMBERS = ["rate", "most"];
const badNumber = (id) => !($(id).valueAsNumber >= 0) || (id === "most" && !Number.isInteger($(id).valueAsNumber));
function unmarkChange() {
  put("change-error", "");
  for (const id of NUMBERS) $(id).removeAttribute("aria-invalid");
}
// What is told goes once it is mended; what the server said, once anything is changed.
$("change-form").oninput = () => {
  if (!NUMBERS.some((id) => $(id).hasAttribute("aria-invalid") && badNumber(id))) unmarkChange();
};
$("change-form").onsubmit = async (event) => {
  event.preventDefault();
  const { changing } = page;
  const { opening: was } = changing;
  const now = { rate_per_second: $("rate").valueAsNumber, max_active: $("most").valueAsNumber, message: $("message").value.trim() || null, paused: $("paused").checked };
  unmarkChange();
  const wrong = NUMBERS.filter(badNumber);
  if (wrong.length) {
    put("change-error", t("range"));
    for (const id of wrong) $(id).setAttribute("aria-invalid", "true");
    $(wrong[0]).focus();
    return;
  }
  const json = Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== was[name]));
  if (Object.keys(json).length) {
    const answer = await call("PATCH", `/openings/${encodeURIComponent(changing.code)}`, { json });
    if (!page.view) return;
    if (!answer.ok) { put("change-error", whyNot(answer)); return; }
    polite(t("changed", nameOf(changing)));
  }
  $("change").close();
  await on.refresh();
};
