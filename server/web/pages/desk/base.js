// What all pieces of the desk's page stand on: what it holds, its words, its screen, the city's clock, and requests.

import { everySecond, guess, heard, nap, now_ms } from "../common/clock.js";
import { ownLanguage } from "../common/language.js";
import { recall, remember, setting } from "../staff-store.js";
import WORDS from "../words/staff.js";

export const $ = (id) => document.getElementById(id);
export const all = (selector) => document.querySelectorAll(selector);
// token, me, day (null: today), rosters by date, done, query, show, net, closing; nothing here outlives the page.
export const page = { token: null, me: null, day: null, rosters: new Map(), done: new Set(), unmatched: new Set(), query: "", show: "all", net: null, failures: 0 };

// What a piece asks of one that stands on it, which sets it here.
export const on = { paint() {}, closing() {}, ask() {}, entered() {} };

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

// Language and large type, shared with the resident's page
export let lang = ownLanguage(setting("language"));
for (const it of all("[data-en]")) it.dataset.zh = it.textContent;
export const zh = () => lang === "zh";
export const t = (key, ...values) => (WORDS[key] ?? "").split("|")[zh() ? 0 : 1]?.replace(/\{(\d)\}/g, (_, i) => values[i]) ?? "";
export const say = (key) => (WORDS[key] ? t(key) : String(key ?? ""));
export const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
// The parts of a site's day, as the server told them with the token; null is the whole of it.
export const periodCodes = () => Object.keys(page.me?.periods ?? {});
export const periodName = (code) => (code ? nameOf(page.me?.periods?.[code] ?? {}) ?? code : t("null"));
// Whether it is the time of another part of the day: the one before still goes on, or the next has begun.
export function isElsewhen(code, time) {
  const periods = Object.values(page.me.periods ?? {});
  const i = periodCodes().indexOf(code);
  return i >= 0 && (time < (periods[i - 1]?.closes ?? "") || time >= (periods[i + 1]?.opens ?? "24"));
}
export const count = (n) => n.toLocaleString("en");
export function speak() {
  document.documentElement.lang = zh() ? "zh-CN" : "en";
  for (const it of all("[data-en]")) it.textContent = it.dataset[lang];
  $("language").lang = zh() ? "en" : "zh-CN";
}
export function enlarge(on) {
  const { classList, dataset } = document.documentElement;
  classList.toggle("large", on);
  if (on) dataset.large = "on"; else delete dataset.large;
  $("large").setAttribute("aria-pressed", String(on));
}

export function turnLanguage() {
  lang = zh() ? "en" : "zh";
  setting("language", lang);
  speak();
}

// Screen
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
export const fine = () => matchMedia("(pointer: fine)").matches;
export function focusOn(it) {
  if (!it.matches("button, input, a")) it.tabIndex = -1;
  it.focus({ preventScroll: true });
}
export function aim() { if (fine()) $("regno").focus({ preventScroll: true }); else focusOn($("site")); }

export function complain(id, text) {
  put(`${id}-error`, text);
  if (!text) return $(id).removeAttribute("aria-invalid");
  $(id).setAttribute("aria-invalid", "true");
  $(id).focus();
  return polite(text);
}

// The city's clock: the server's (see common/clock.js); until it speaks, as this device last knew it.
let clock = recall("clock") ?? { skew_ms: 0, zone_ms: 8 * 3_600_000 };
guess(Date.now() + clock.skew_ms);
export function follow(now) {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(now) ?? [0, "+", 0, 0];
  clock = { skew_ms: now_ms() - Date.now(), zone_ms: (sign === "-" ? -1 : 1) * (hours * 60 + Number(minutes)) * 60_000 };
  remember("clock", clock);
}
export const local = (ms) => new Date(ms + clock.zone_ms).toISOString();
export const today = () => local(now_ms()).slice(0, 10);
export const hm = (ms) => local(ms).slice(11, 16);
export function dayName(date) {
  const options = { timeZone: "UTC", month: zh() ? "long" : "short", day: "numeric", weekday: "short" };
  return new Date(`${date}T00:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", options);
}

export async function call(method, path, { token = page.token, body } = {}) {
  const headers = { "Accept-Language": lang, Authorization: `Bearer ${token}` };
  if (body) headers["Content-Type"] = "application/json";
  const asked_ms = performance.now();
  try {
    const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout?.(20_000) });
    const data = JSON.parse((await answer.text()) || "{}");
    if (!nap()) heard(data.now, answer.headers, asked_ms);
    else page.identified = undefined; // it was said before a sleep
    return { ok: answer.ok, status: answer.status, data, after_s: Number(answer.headers.get("Retry-After")) };
  } catch {
    return { ok: false, status: 0, data: {}, after_s: 0 }; // no network, or something that is not our server
  }
}

export { everySecond, nap, now_ms };
