// What all pieces of the desk's page stand on: what it holds, its screen, and requests with its token.

import { follow, hm, keepClock, local, request, today } from "../common/asking.js";
import { everySecond, nap, now_ms } from "../common/clock.js";
import { $, all, complain, fault, fine, focusOn, make, polite, put, set } from "../common/elements.js";
import { count, dayName, enlarge, lang, nameOf, say, speak, t, turnLanguage, useWords, zh } from "../common/speech.js";
import { recall, remember } from "../staff-store.js";
import WORDS from "../words/staff.js";

useWords(WORDS);
keepClock({ recall, remember });

// token, me, day (null: today), rosters by date, done, query, show, net, closing; nothing here outlives the page.
export const page = { token: null, me: null, day: null, rosters: new Map(), done: new Set(), unmatched: new Set(), query: "", show: "all", net: null, failures: 0 };

// What a piece asks of one that stands on it, which sets it here.
export const on = { paint() {}, closing() {}, ask() {}, asked() {}, card() {}, entered() {} };

// The parts of a site's day, as the server told them with the token; null is the whole of it.
export const periodCodes = () => Object.keys(page.me?.periods ?? {});
export const periodName = (code) => (code ? nameOf(page.me?.periods?.[code] ?? {}) ?? code : t("null"));
// Whether it is the time of another part of the day: the one before still goes on, or the next has begun.
export function isElsewhen(code, time) {
  const periods = Object.values(page.me.periods ?? {});
  const i = periodCodes().indexOf(code);
  return i >= 0 && (time < (periods[i - 1]?.closes ?? "") || time >= (periods[i + 1]?.opens ?? "24"));
}

// Screen
export function view() { return !page.token || !page.me ? "signin" : location.hash === "#closing" && page.me.role === "manager" ? "closing" : "desk"; }
export function show() {
  const now = view();
  const before = page.view;
  page.view = now;
  for (const it of all("main > section")) it.hidden = it.id !== now;
  if (now === "closing" && before !== now) on.closing();
  paint();
  if (before === now) return;
  if (before) scrollTo(0, 0);
  // A hand scanner types where the focus is; on a touch screen the focus would bring up the keyboard.
  if (now === "desk") aim(); else if (now === "signin") { if (before || fine()) $("token").focus(); } else if (before) focusOn($(now).querySelector("h2"));
}
// Everything that is told in words, at once.
export const paint = () => on.paint();
export function aim() { if (fine()) $("regno").focus({ preventScroll: true }); else focusOn($("site")); }

export const call = (method, path, { token = page.token, body } = {}) =>
  request(method, path, { token, body, slept: () => { page.identified = undefined; } });

export {
  $, all, complain, count, dayName, enlarge, everySecond, fault, focusOn, follow, hm, lang, local, make, nameOf, nap, now_ms, polite, put, say, set,
  speak, t, today, turnLanguage, zh,
};
