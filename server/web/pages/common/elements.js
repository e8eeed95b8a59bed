// What the staff's pages do with the document: find, make and fill elements, and say things aloud.

export const $ = (id) => document.getElementById(id);
export const all = (selector) => document.querySelectorAll(selector);
export const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
export const put = (id, text) => { set(id, text); $(id).hidden = !text; };
export function polite(text) {
  // The same words twice (two people called 张*) are said twice.
  $("polite").textContent = $("polite").textContent === text ? `${text}\u00a0` : text;
}
export function make(tag, props = {}, ...children) {
  const it = Object.assign(document.createElement(tag), props);
  it.append(...children);
  return it;
}
export const fine = () => matchMedia("(pointer: fine)").matches;
export function focusOn(it) {
  if (!it.matches("button, input, a")) it.tabIndex = -1;
  it.focus({ preventScroll: true });
}
/** Says beside a field what is wrong with it ("": nothing). */
export function fault(id, text) {
  put(`${id}-error`, text);
  if (text) $(id).setAttribute("aria-invalid", "true"); else $(id).removeAttribute("aria-invalid");
}
export function complain(id, text) {
  fault(id, text);
  if (!text) return;
  $(id).focus();
  polite(text);
}

// Browsers before 2022 have no <dialog>: then it is a box of the page, which the style sheet hides while it is not open.
for (const it of document.querySelectorAll("dialog")) {
  if (it.showModal) continue;
  Object.defineProperty(it, "open", { get: () => it.hasAttribute("open") });
  it.showModal = () => it.setAttribute("open", "");
  it.close = () => {
    if (!it.open) return;
    it.removeAttribute("open");
    it.onclose?.();
  };
}
