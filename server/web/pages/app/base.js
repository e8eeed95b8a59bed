// What all pieces of the resident's page stand on: what it holds and keeps, and its times.

import { now_ms } from "../common/clock.js";
import { wall } from "../common/timetable.js";
import { knows, t, zh } from "./words.js";

export const $ = (id) => document.getElementById(id);
export const all = (selector) => document.querySelectorAll(selector);
export const page = { sites: [] }; // view, city, district, opening, key, pass, receipt, over
// What is in the way, by who waits for it: "flow" or the key of a place. {status, text, due}; due by performance.now():
// a device's clock may be set back meanwhile.
export const troubles = new Map();

// Storage: one entry for each place and each receipt, so that two tabs never write over one another.
// Where storage is blocked, or full, the page lives in memory only, and says so.
const PREFIX = "jiaohao:";
let storage = null;
try { storage = localStorage; } catch { /* blocked */ }
export let lasts = Boolean(storage); // whether what is kept here outlives the page
storage = storage || {};
export function recall(key) {
  try { return JSON.parse(storage[PREFIX + key] ?? null); } catch { return null; }
}
export function remember(key, value = null) {
  try {
    if (value === null) delete storage[PREFIX + key]; else storage[PREFIX + key] = JSON.stringify(value);
  } catch {
    storage = { ...storage }; // full: go on in memory
    lasts = false;
    remember(key, value);
  }
}
export const entries = (kind) => Object.keys(storage).filter((it) => it.startsWith(PREFIX + kind)).map((it) => recall(it.slice(PREFIX.length)))
  .filter(Boolean).sort((a, b) => a.since - b.since);
export function places() {
  const date = today();
  return entries("place:").filter((it) => it.date === date);
}
export const receipts = () => entries("receipt:");
// The last public answer on a district's opening: one tab's look serves all of them.
export const lastLook = (code) => recall(`look:${code}`);
export const keepLook = (opening) => remember(`look:${opening.district}`, opening);
export const LIVE = ["drawing", "waiting", "ready", "claimed"];

const onLanguage = [];
export const whenLanguageChanges = (act) => { onLanguage.push(act); };
export const afterTurning = () => { for (const act of onLanguage) act(); };
// What a part of the day is called; the city says which there are.
export const periodOf = (code) => (page.city.periods?.[code] ? nameOf(page.city.periods[code]) : knows(code) ? t(code) : code);
export const count = (n) => n.toLocaleString("en");
export const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
export const spaced = (no) => no.replace(/(.{5})(?=.)/g, "$1 ");
export const tel = (number) => `tel:${number.replace(/[^+\d]/g, "")}`; // however it is grouped
export function enlarge(on) {
  document.documentElement.className = on ? "large" : "";
  $("large").setAttribute("aria-pressed", String(Boolean(on)));
}

export const until_ms = (time) => Date.parse(time) - now_ms();
export const when = (ms, more = { month: zh() ? "numeric" : "short", day: "numeric" }) => new Date(ms).toLocaleString(t("regional"), {
  timeZone: page.city.timezone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...more,
});
export const clock = (ms) => when(ms, {});
// A date without a time of day, e.g. 6月21日 星期一.
export const day = (date, weekday = "long") => new Date(`${date}T12:00:00Z`).toLocaleDateString(t("regional"), {
  timeZone: "UTC", month: "long", day: "numeric", weekday,
}).replace(/日(?=[星周週])/, "日 ");
export const today = () => wall(now_ms(), page.city?.timezone ?? "Asia/Shanghai").date;
export const countdown = (ms) => new Date(Math.max(0, Math.ceil(ms / 1000) * 1000)).toISOString().slice(11, 19).replace(/^00:/, "");
export function span(s) {
  const minutes = Math.ceil(s / 60);
  if (s < 60) return t("seconds", Math.max(1, Math.round(s)));
  return minutes < 60 ? t("minutes", minutes) : t("hours", Math.floor(minutes / 60), minutes % 60);
}

// A whole number of minutes, or so many seconds, as part of a sentence.
export function long(s) {
  const [n, word] = s % 60 ? [s, "second"] : [s / 60, "minute"];
  return t(n === 1 ? `${word}Long` : `${word}sLong`, n);
}
