// What stands on screen, and forms: what is wrong with a field, and what is asked.

import { $, span, whenLanguageChanges } from "./base.js";
import { t } from "./words.js";

export const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
export const polite = (text) => set("polite", text);
// Time that runs out is told aloud at 2 minutes and at 30 seconds, once each.
const reminded = {};
export function remind(of, words, left_ms, ...values) {
  const step = left_ms <= 0 ? 0 : left_ms <= 30_000 ? 30 : left_ms <= 120_000 ? 120 : 0;
  if (!step || reminded[of] <= step) return;
  reminded[of] = step;
  polite(t(words, ...values, span(left_ms / 1000)));
}
export function make(tag, props, ...children) {
  const it = Object.assign(document.createElement(tag), props);
  it.append(...children.filter((child) => child !== null));
  return it;
}
export function refill(parent, ...children) {
  const held = parent.contains(document.activeElement) && document.activeElement.getAttribute("href");
  parent.textContent = "";
  parent.append(...children);
  if (held) parent.querySelector(`[href="${held}"]`)?.focus(); // who stood on a link stays there
}
export function saveFile(name, type, data) {
  const href = URL.createObjectURL(new Blob([data], { type }));
  const link = make("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
// What is wrong with a field is told until it is mended: `isMended` says whether it is, of a field that is being changed.
// What only the server can judge counts as mended once it has been changed.
export function watch(form, isMended = () => true) {
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, ({ target }) => { if (target.hasAttribute("aria-invalid") && isMended(target)) clear(target); });
  }
  whenLanguageChanges(() => unmark(form));
}
export function unmark(form) {
  for (const it of form.parentNode.querySelectorAll(".notice[tabindex]")) it.hidden = true;
  for (const it of form.querySelectorAll("[aria-invalid]")) clear(it);
}
export function clear(input) {
  input.removeAttribute("aria-invalid");
  if (input.dataset.hint) input.setAttribute("aria-describedby", input.dataset.hint);
  else input.removeAttribute("aria-describedby");
  $(`${input.id}-error`)?.remove();
}
export function fault(input, message) {
  if ($(`${input.id}-error`)?.textContent === message) return;
  clear(input);
  const id = `${input.id}-error`;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", `${id} ${input.dataset.hint ?? ""}`.trim());
  input.after(make("p", { className: "error", id }, message));
}
// Each fault beside its field, the first in focus; the rest in the box above the form.
export function mark(form, { title = "", detail, errors = [] }) {
  const rest = [];
  for (const { field, message } of errors) {
    const input = form.elements[field];
    if (input) fault(input, message); else rest.push(message);
  }
  const placed = errors.length > rest.length;
  if (!placed || rest.length) tell(form.parentNode.querySelector(".bad"), title, rest.join(" ") || (detail ?? t("busy")));
  if (placed) form.querySelector("[aria-invalid]").focus();
}
// A box that is read out because it gets the focus.
export function tell(box, title, text) {
  box.children[0].textContent = title;
  box.children[1].textContent = text;
  box.hidden = false;
  box.focus();
}
export function ask(title, text, yes = t("yes"), no = t("no")) {
  const dialog = $("ask");
  if (!dialog.showModal) return Promise.resolve(confirm(`${title}\n${text}`)); // browsers before 2022
  [["ask-title", title], ["ask-text", text], ["ask-yes", yes], ["ask-no", no]].forEach(([id, words]) => set(id, words));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => { dialog.onclose = () => resolve(dialog.returnValue === "yes"); });
}
