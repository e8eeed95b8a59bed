// What all pieces of the operator's page stand on: what it holds, its words, its tables, and requests.

import { ownLanguage } from "../common/language.js";
import { setting } from "../common/keeping.js";
import MESSAGES from "../words/message.js";
import WORDS from "../words/ops.js";

Object.assign(WORDS, MESSAGES);

export const $ = (id) => document.getElementById(id);
export const all = (selector) => document.querySelectorAll(selector);
// view: the last answer of /operations; lists: those that are open; folded out: districts whose sites are shown.
export const page = { token: null, view: null, at: 0, trouble: null, lists: {}, open: new Set(), sites: new Map() };
// What a piece asks of one that stands on it, which sets it here.
export const on = { expired() {}, refresh() {} };

// Language, shared with the other pages
export let lang = ownLanguage(setting("language"));
for (const it of all("[data-en]")) it.dataset.zh = it.textContent;
export const zh = () => lang === "zh";
export const t = (key, ...values) => (WORDS[key] ?? "").split("|")[zh() ? 0 : 1]?.replace(/\{(\d)\}/g, (_, i) => values[i]) ?? "";
export const say = (key) => (WORDS[key] ? t(key) : String(key ?? ""));
export const kindName = (kind) => t(`sms-${kind}`) || kind;
export const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
export const periodName = (code) => (page.view.periods?.[code] ? nameOf(page.view.periods[code]) : code);
export const count = (n) => (n ?? 0).toLocaleString("en");
export function speak() {
  document.documentElement.lang = zh() ? "zh-CN" : "en";
  for (const it of all("[data-en]")) it.textContent = it.dataset[lang];
  $("language").lang = zh() ? "en" : "zh-CN";
  document.title = t("title");
  $("totals").setAttribute("aria-label", t("overview"));
  for (const it of all("details.list")) it.querySelector(".wide").setAttribute("aria-label", it.querySelector("summary span").textContent);
}

export function turnLanguage() {
  lang = zh() ? "en" : "zh";
  setting("language", lang);
  speak();
}

// Screen
export const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
export const put = (id, text) => { set(id, text); $(id).hidden = !text; };
export const polite = (text) => { $("polite").textContent = $("polite").textContent === text ? `${text}\u00a0` : text; };
export function make(tag, props = {}, ...children) {
  const it = Object.assign(document.createElement(tag), props);
  it.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return it;
}
export const th = (text, props = {}) => make("th", { scope: "row", ...props }, text);
export const td = (text, small = "", props = {}) => make("td", props, text, small && make("small", {}, small));
export const num = (n) => td(count(n), "", { className: "n" });
export const badge = (state) => make("span", { className: `badge ${/^[a-z]+$/.test(state) ? state : ""}` }, say(state));
/** A table's head: names of columns; those that begin with # are numbers. */
export function head(id, names) {
  const drawn = JSON.stringify([names, lang]);
  if ($(id).drawn === drawn) return;
  $(id).replaceChildren(...names.map((it) => make("th", { scope: "col", className: it[0] === "#" ? "n" : "" }, say(it.replace("#", "")))));
  $(id).drawn = drawn;
}
/** Rows (or other children) by key; what has not changed is left alone, so that focus and scrolling stay. */
export function keyed(parent, items, key, draw) {
  const before = new Map([...parent.children].map((it) => [it.dataset.key, it]));
  const focused = document.activeElement;
  const inside = parent.contains(focused) && focused !== parent ? [focused.closest("[data-key]")?.dataset.key, focused.dataset.do] : null;
  const now = items.map((item) => {
    const name = String(key(item));
    const drawn = JSON.stringify([item, lang, name]);
    const old = before.get(name);
    if (old?.drawn === drawn) return old;
    const it = draw(item);
    it.dataset.key = name;
    it.drawn = drawn;
    return it;
  });
  if (now.length === parent.children.length && now.every((it, i) => it === parent.children[i])) return;
  parent.replaceChildren(...now);
  if (inside && !parent.contains(document.activeElement)) {
    const row = now.find((it) => it.dataset.key === inside[0]);
    (row?.querySelector(`[data-do="${inside[1]}"]`) ?? parent.closest("section").querySelector("h2")).focus({ preventScroll: true });
  }
}
export function button(text, label, does, props = {}) {
  const it = make("button", { type: "button", className: "quiet", onclick: does, ...props }, text);
  if (label) it.setAttribute("aria-label", label);
  it.dataset.do = "act";
  return it;
}
/** Whether a button is at work already; from now on it is. It keeps the focus, which a disabled one would lose. */
export function busy(it) {
  const was = it.getAttribute("aria-disabled");
  it.setAttribute("aria-disabled", "true");
  return Boolean(was);
}
export const idle = (it) => it.removeAttribute("aria-disabled");
export const clock = (time) => (time ? time.slice(11, 19) : "");
export const dayTime = (time) => (time ? `${time.slice(5, 10)} ${time.slice(11, 16)}` : "");
export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const [unit_s, unit] = s < 60 ? [1, "seconds"] : s < 3600 ? [60, "minutes"] : s < 172_800 ? [3600, "hours"] : [86_400, "days"];
  return t(unit, count(Math.floor(s / unit_s)));
}
export const since = (time) => age(Date.parse(page.view.now) - Date.parse(time));
export function dayName(date, long = false) {
  const options = long ? { month: zh() ? "long" : "short", day: "numeric" } : { month: "numeric", day: "numeric" };
  return new Date(`${date}T00:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", { timeZone: "UTC", ...options });
}
export const weekday = (date) => new Date(`${date}T00:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", { timeZone: "UTC", weekday: "short" });

export async function call(method, path, { json, file } = {}) {
  const headers = { "Accept-Language": lang, Authorization: `Bearer ${page.token}` };
  if (json) headers["Content-Type"] = "application/json";
  if (file) headers["Content-Type"] = "text/csv";
  const token = page.token;
  let answer = { ok: false, status: 0, data: {} };
  try {
    const got = await fetch(`/api/v1${path}`, { method, headers, body: json ? JSON.stringify(json) : file, cache: "no-store", signal: AbortSignal.timeout?.(30_000) });
    answer = { ok: got.ok, status: got.status, data: JSON.parse((await got.text()) || "{}") };
  } catch { /* no network, or something that is not our server */ }
  if (answer.status === 401 && token === page.token && page.view) on.expired();
  return answer;
}
export const whyNot = ({ status, data }) => data.errors?.map((it) => it.message).join(" ") || (status && data.detail) || t("busy");
export function complain(id, text) {
  put(`${id}-error`, text);
  if (!text) { $(id).removeAttribute("aria-invalid"); return; }
  $(id).setAttribute("aria-invalid", "true");
  $(id).focus();
}
