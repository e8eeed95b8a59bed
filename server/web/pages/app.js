// The resident's page: its core (words, storage, the server's clock, requests, views) and the list of districts.
// The rest of the journey is in modules that are fetched once the list is there: opening, queue, register, receipt, find.
// Time is the server's (`now` in its answers), never this device's; a poll goes out when the server said, never sooner;
// papers and phone stay in the form, only signed tokens and masked names are stored; every request may be repeated.

import { everySecond, heard, nap, naps, now_ms, sure } from "./common/clock.js";
import { ownLanguage } from "./common/language.js";
import { instant, isOpenHours, nextStroke, timetable, wall, windowsOf } from "./common/timetable.js";
import WORDS from "./words/app.js";

export const $ = (id) => document.getElementById(id);
export const all = (selector) => document.querySelectorAll(selector);
export const page = { sites: [] }; // view, city, district, opening, key, pass, receipt, over
const GONE = new Error("the resident went elsewhere");

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
const entries = (kind) => Object.keys(storage).filter((it) => it.startsWith(PREFIX + kind)).map((it) => recall(it.slice(PREFIX.length)))
  .filter(Boolean).sort((a, b) => a.since - b.since);
export function places() {
  const date = today();
  return entries("place:").filter((it) => it.date === date);
}
export const receipts = () => entries("receipt:");
export const LIVE = ["drawing", "waiting", "ready", "claimed"];

// Words
const onLanguage = [];
export const whenLanguageChanges = (act) => { onLanguage.push(act); };
let lang = recall("language") ?? ownLanguage();
export const zh = () => lang === "zh";
export const teach = (words) => { Object.assign(WORDS, words); };
export const knows = (key) => key in WORDS;
export const t = (key, ...values) => WORDS[key].split("|")[zh() ? 0 : 1].replace(/\{(\d)\}/g, (_, i) => values[i]);
// What a part of the day is called; the city says which there are.
export const periodOf = (code) => (page.city.periods[code] ? nameOf(page.city.periods[code]) : knows(code) ? t(code) : code);
export const count = (n) => n.toLocaleString("en");
export const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
export const spaced = (no) => no.replace(/(.{5})(?=.)/g, "$1 ");
export const list = (items) => items.join(zh() ? "、" : ", ");
for (const it of all("[data-en]")) it.dataset.zh = it.textContent;
for (const it of all("[data-en-label]")) it.dataset.zhLabel = it.getAttribute("aria-label");
function speak() {
  document.documentElement.lang = zh() ? "zh-CN" : "en";
  for (const it of all("[data-en]")) it.textContent = it.dataset[lang];
  for (const it of all("[data-en-label]")) it.setAttribute("aria-label", it.dataset[`${lang}Label`]);
  $("language").textContent = t("otherLanguage");
  $("language").lang = zh() ? "en" : "zh-CN";
}
function enlarge(on) {
  document.documentElement.className = on ? "large" : "";
  $("large").setAttribute("aria-pressed", String(Boolean(on)));
}

// The server's clock (see common/clock.js). After a sleep: what time is it really? Nobody asks who is told to wait.
export { now_ms, sure };
export const until_ms = (time) => Date.parse(time) - now_ms();
function wake() {
  if (nap()) setTimeout(lookUp, Math.random() * 3000); // a crowd's phones wake together
}
async function lookUp() {
  const asks = ["list", "opening"].includes(page.view); // by themselves, see stroke
  if (sure() || asks || document.hidden || !page.city || !page.view) return;
  const { ok, data } = troubles.size ? {} : await call("GET", "/city");
  if (!ok) return setTimeout(lookUp, 5000 + Math.random() * 5000);
  page.city = data;
  return paint();
}
export const when = (ms, more = { month: zh() ? "numeric" : "short", day: "numeric" }) => new Date(ms).toLocaleString(zh() ? "zh-CN" : "en-GB", {
  timeZone: page.city.timezone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...more,
});
export const clock = (ms) => when(ms, {});
// A date without a time of day, e.g. 6月21日 星期一.
export const day = (date, weekday = "long") => new Date(`${date}T12:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", {
  timeZone: "UTC", month: "long", day: "numeric", weekday,
}).replace(/日(?=[星周])/, "日 ");
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

// One flow at a time: starting one ends the one before, at its next step.
let flow = {};
export async function run(task) {
  flow.gone = true;
  flow = {};
  troubles.delete("flow");
  await task(flow).catch((error) => { if (error !== GONE) throw error; });
}
export function check(mine) { if (mine.gone) throw GONE; }
export async function until(left_ms, mine) {
  for (let ms = left_ms(); ms > 0; ms = left_ms()) {
    await new Promise((resolve) => { setTimeout(resolve, Math.min(ms, 1000)); });
    check(mine);
  }
}

// Requests
export const LIMIT_MS = 20_000;
// A tab that is restored, or gone back to, would get answers of then from the browser's own cache.
const [arrival] = performance.getEntriesByType ? performance.getEntriesByType("navigation") : [];
const CACHE = arrival && arrival.type === "back_forward" ? "no-store" : "default";
// How long to wait as told: seconds or a date, by the answer's own clock; nonsense is nothing, a day is the most.
function told_s(headers) {
  const told = headers.get("Retry-After") ?? "";
  const s = /^\s*\d+\s*$/.test(told) ? Number(told) : (Date.parse(told) - (Date.parse(headers.get("Date")) || Date.now())) / 1000;
  return s > 0 ? Math.min(s, 86_400) : 0;
}
export async function call(method, path, { token, body, plain, key, limit_ms = LIMIT_MS } = {}) {
  const headers = { "Accept-Language": lang };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), limit_ms);
  wake();
  const before = naps;
  const asked_ms = performance.now();
  try {
    const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body), signal: stop.signal, cache: CACHE });
    const text = await answer.text();
    let data = null;
    try {
      data = plain && answer.ok ? text : JSON.parse(text || "{}");
    } catch (error) {
      if (answer.status !== 429 && answer.status < 500) throw error; // somebody else's page; "busy" may be a proxy's, and counts
    }
    wake();
    if (data && before === naps) heard(data.now, answer.headers, asked_ms); // else it was said before the sleep
    data = data ?? {};
    return { ok: answer.ok, status: answer.status, data, after_s: told_s(answer.headers) };
  } catch {
    return { ok: false, status: 0, data: {}, after_s: 0 };
  } finally {
    clearTimeout(timer);
  }
}
// What is in the way, by who waits for it: "flow" or the key of a place. {status, text, due}; due by performance.now():
// a device's clock may be set back meanwhile.
export const troubles = new Map();
export const WAIT = ({ status, data }) => !status || status === 425 || status === 429 || (status >= 500 && data.code !== "maintenance");
export function patience_ms(tries, after_s) {
  const s = Math.max(after_s, Math.min(60, 2 ** tries));
  return (s + Math.random() * Math.min(s / 2, 60)) * 1000;
}
// A slow network gets more time with every try.
export const limit_ms = (tries) => Math.min(3, tries) * LIMIT_MS;
// Ask until there is an answer to act on; waits as long as told, longer each time, never in step with others. `heard`
// gets each answer, also one for somebody who has gone elsewhere meanwhile. Not where only they themselves can do
// something: with a code, or at the next opening.
export async function insist(mine, method, path, options = {}) {
  for (let tries = 1; ; tries += 1) {
    const answer = await call(method, path, { ...options, limit_ms: limit_ms(tries) });
    options.heard?.(answer);
    check(mine);
    const { status, data, after_s } = answer;
    if (!WAIT(answer) || options.settle?.includes(status) || data.prove || data.reason === "places") { troubles.delete("flow"); return answer; }
    await hold(mine, tries, { status, text: status ? data.detail ?? t("busy") : t(places().length ? "offlineKept" : "offline"), after_s });
  }
}
async function hold(mine, tries, { status, text, after_s = 0 }) {
  const trouble = { status, text, due: performance.now() + patience_ms(tries, after_s) };
  troubles.set("flow", trouble);
  if (tries === 1) polite(text);
  paint();
  await until(() => trouble.due - performance.now(), mine);
}
export const read = async (mine, path) => (await insist(mine, "GET", path)).data;
// A module, however often it takes; by a changed address, as browsers remember that one could not be fetched. Modules
// find one another in `kit`, not by importing, for the same reason.
const modules = {};
export const kit = {};
export async function load(mine, ...names) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await Promise.all(names.map(fetched));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      check(mine);
      await hold(mine, tries, { status: 0, text: t("offline") });
    }
  }
}
async function fetched(name) {
  const it = modules[name] = modules[name] ?? { tries: 0 };
  if (!it.ready) {
    const ready = import(`/${name}.js${it.tries ? `?again=${it.tries}` : ""}`);
    it.ready = ready;
    ready.then((module) => { kit[name] = module; }, () => { it.tries += 1; it.ready = null; });
  }
  return it.ready;
}

// A module that works beside whatever is open: a called relative is asked about also where nobody looks at the place.
const bringing = {};
export function bring(name) {
  bringing[name] = bringing[name] ?? (async () => {
    for (let tries = 1; ; tries += 1) {
      try { return await fetched(name); } catch (error) { if (!(error instanceof TypeError)) throw error; }
      const ms = patience_ms(Math.min(tries, 4), 0);
      await new Promise((resolve) => { setTimeout(resolve, ms); });
    }
  })();
  return bringing[name];
}

// Screen
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
export function show(view) {
  const before = page.view;
  page.view = view;
  $("loading").hidden = true;
  for (const it of all("section")) it.hidden = it.id !== view;
  const main = document.querySelector("main");
  if (view === "list") main.before($("family")); else main.after($("family")); // the own number comes first
  paint();
  if (!before || before === view) return;
  scrollTo(0, 0);
  const head = $(view).querySelector("h2:not([hidden])");
  head.tabIndex = -1;
  head.focus({ preventScroll: true });
}
// What each view shows as time goes by; gives the beginning of the title.
export const PAINT = {};
const rule = ({ phase }) => (phase && phase.starts <= today() && (!phase.ends || today() <= phase.ends) ? phase.rule : "");
export function paint() {
  const { city, district, view } = page;
  const [trouble] = troubles.values();
  $("trouble").hidden = !trouble;
  if (trouble) {
    const [text, retry] = $("trouble").children;
    if (text.textContent !== trouble.text) text.textContent = trouble.text;
    retry.textContent = trouble.due < Infinity ? t("retry", span(Math.max(0, trouble.due - performance.now()) / 1000)) : "";
  }
  if (!view || !city) return;
  for (const it of places()) if (it.state === "ready" && it.claim_before) remind(it.key, "comeIn", until_ms(it.claim_before) - 2000, labelOf(it));
  set("city", city.name + (zh() ? "" : ": "));
  for (const it of all(".rule")) it.textContent = rule(city);
  for (const it of all(".place")) it.textContent = district ? nameOf(district) : "";
  for (const it of all(".message")) it.textContent = page.opening?.message ?? "";
  const called = drawFamily();
  const head = PAINT[view]?.() ?? (district && nameOf(district));
  document.title = [called, head, t("title")].filter(Boolean).join(" · ");
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

// The family: every place and receipt of this device
export const labelOf = (it) => it.label || (it.no ? t("receiptOf", it.no.slice(-5)) : t("someone"));
export const eta_s = (it) => (it.eta_seconds === null ? Infinity : it.eta_seconds - Math.max(0, Date.now() - it.seen) / 1000);
export const DATED = ["booked", "fulfilled"]; // whose appointment stands
// When the hours are over in which a place in line can be called: how it stood in them is no news after that.
export function closing(it) {
  const district = ["waiting", "drawing"].includes(it.state) && page.city.districts.find(({ code }) => code === it.district);
  const windows = district ? windowsOf(district) : [];
  const own = windows[it.window - 1]; // of several a day; where the device has not kept which, the last
  const ends = (own ? [own] : windows).map(({ closes }) => instant(it.date, closes, page.city.timezone));
  return ends.length ? Math.max(...ends) : Infinity;
}
function standing(it) {
  if (it.no) return it.date_booked && DATED.includes(it.state) ? `${day(it.date_booked, "short")} ${periodOf(it.period_booked)}` : t(it.state);
  if (now_ms() >= closing(it)) return t("shut");
  if (it.state === "waiting") return t("aheadOf", t("number", count(it.number)), count(it.ahead));
  if (it.state === "drawing") return t("inDraw");
  if (it.state === "ready") return t("ready");
  return knows(it.state) ? t(it.state) : t("over");
}
function drawFamily() {
  const items = [...places(), ...receipts()].filter((it) => page.view === "list" || (it.key ?? it.no) !== page.key);
  const called = items.filter((it) => it.state === "ready");
  const shown = page.view !== "sending" && items.length > 0;
  const text = JSON.stringify([lang, shown, page.view === "list", items.map((it) => [labelOf(it), standing(it), it.district])]);
  if (text !== drawFamily.text) {
    drawFamily.text = text;
    $("family").hidden = !shown;
    $("family").className = page.view === "list" ? "whole" : "";
    refill($("family").lastElementChild, ...items.map((it) => {
      const district = page.city.districts.find(({ code }) => code === it.district);
      const href = it.no ? `#receipt=${it.no}` : `#place=${it.key}`;
      const state = make("span", { className: it.state === "ready" ? "now" : "on" }, standing(it));
      const who = make("span", {}, make("b", {}, labelOf(it)), make("small", {}, district ? nameOf(district) : ""));
      return make("li", {}, make("a", { href, className: "district" }, who, state));
    }));
    const bar = (it) => make("a", { className: "button alarm", href: `#place=${it.key}` }, `${t("calledWho", labelOf(it))} ${t("calledGo")} ›`);
    refill($("calls"), ...called.map(bar));
  }
  return called.length ? t("calledWho", labelOf(called[0])) : "";
}

// Districts
const RUNNING = ["draw", "open", "paused"];
// How a district stands by the timetable; see common/timetable.js.
export const standingOf = (district, draw_seconds) => timetable(page.city, district, now_ms(), draw_seconds);
export const nextOpenings = () => {
  const coming = page.city.districts.map((it) => [it, standingOf(it).next]).filter(([, next]) => next);
  const first = Math.min(...coming.map(([, next]) => next));
  return { first, names: coming.filter(([, next]) => next === first).map(([it]) => nameOf(it)) };
};
function row(href, name, more, state, on) {
  const what = make("span", {}, make("b", {}, name), make("small", { lang: zh() ? "en" : "zh-CN" }, more));
  return make("a", { className: "district", href }, what, make("span", { className: on ? "on" : "" }, state));
}
function drawList() {
  const rows = page.city.districts.map((it) => {
    const { state, next } = standingOf(it);
    const held = places().filter((place) => place.district === it.code && LIVE.includes(place.state));
    return {
      hours: windowsOf(it).map(({ opens, closes }) => `${opens}–${closes}`).join(zh() ? "、" : ", ") || t("unassigned"),
      href: held.length === 1 ? `#place=${held[0].key}` : `#${it.code}`,
      name: nameOf(it), more: zh() ? it.name_en : it.name_zh,
      state: held.length ? t("held") : t(state, next && clock(next)), on: held.length > 0 || RUNNING.includes(state),
    };
  });
  const text = JSON.stringify([lang, rows]);
  if (text === drawList.text) return; // so that nobody who stands on a line is moved
  drawList.text = text;
  let last;
  const blocks = [];
  for (const { hours, href, name, more, state, on } of rows) {
    if (hours !== last) blocks.push(make("h3", {}, hours));
    blocks.push(row(href, name, more, state, on));
    last = hours;
  }
  refill($("districts"), ...blocks);
}
PAINT.list = () => {
  const { open_hours: { opens, closes }, draw_seconds } = page.city;
  drawList();
  set("promise", draw_seconds ? t("promise", long(draw_seconds)) : "");
  const resting = !isOpenHours(page.city, now_ms());
  $("rest").hidden = !resting;
  if (!resting) return;
  const { first, names } = nextOpenings();
  set("rest-text", t("restText", closes, opens));
  set("rest-clock", first < Infinity ? countdown(first - now_ms()) : "");
  set("rest-next", first < Infinity ? t("restNext", when(first), list(names)) : "");
};
// Until the next stroke of the timetable, or a while; and a little, so that not all ask at once.
export async function stroke(districts, mine, longest_ms = 300_000) {
  const soon_ms = nextStroke(page.city, districts, now_ms()) - now_ms();
  const due = now_ms() + Math.min(longest_ms, soon_ms) + 1000 + Math.random() * Math.min(9000, longest_ms / 5);
  const before = naps;
  const woken_ms = Math.random() * 3000;
  let woken;
  await until(() => {
    if (naps > before) woken = woken ?? now_ms() + woken_ms; // it may have slept over anything
    return document.hidden ? Infinity : Math.min(due, woken ?? due) - now_ms(); // nobody is looking: nothing is asked
  }, mine);
}
async function home(mine) {
  Object.assign(page, { district: null, key: null, opening: null });
  let old = now_ms() - Date.parse(page.city.now) > 60_000; // who comes back to it: a pause, a rule may be another by now
  for (;;) {
    show("list");
    prefetch();
    if ($("rest").hidden) for (const it of receipts()) (await load(mine, "receipt"))[0].refresh(it);
    if (!old) await stroke(page.city.districts, mine);
    old = false;
    page.city = await read(mine, "/city");
  }
}
// The rest of the journey comes while the network is good.
let fetching;
export function prefetch() {
  fetching = fetching ?? Promise.all(["papers", "opening", "queue", "register", "receipt", "find"].map(fetched)).catch(() => { fetching = null; });
}

// Where the address leads. Nothing personal is in it: a district, a place's key, a registration number.
const OF_A_PLACE = /^(\w+):(\d{4}-\d\d-\d\d):[\d.]+$/;
export const route = () => run(async (mine) => {
  if ($("ask").open) $("ask").close(""); // the question was about what is left now
  if (!page.city || !page.view) page.city = await read(mine, "/city");
  let at = location.hash.slice(1);
  if (!at) {
    // Back after a while: to whoever is called, or to the only place there is.
    const live = places().filter((it) => LIVE.includes(it.state));
    const [only] = live.filter((it) => it.state === "ready").concat(live.length === 1 ? live : []);
    if (only) history.replaceState(null, "", `#${(at = `place=${only.key}`)}`);
  }
  if (places().some((it) => LIVE.includes(it.state))) bring("queue");
  const [kind, key] = at.split("=");
  const past = (date) => sure() && date !== today();
  for (const it of entries("place:")) if (past(it.date) && (kind !== "place" || it.key !== key)) remember(`place:${it.key}`);
  const [, code, date] = (kind === "place" && OF_A_PLACE.exec(key)) || [];
  // An old address, whose place is forgotten already: it is told that it is over.
  if (date && past(date) && !recall(`place:${key}`) && page.city.districts.some((it) => it.code === code)) {
    remember(`place:${key}`, { key, district: code, date, since: 0, state: "past" });
  }
  const district = page.city.districts.find((it) => it.code === kind);
  page.key = key ?? null;
  try {
    if (kind === "place" && recall(`place:${key}`)) return await (await load(mine, "queue", "register"))[0].place(mine, key);
    if (kind === "receipt" && recall(`receipt:${key}`)) return await (await load(mine, "receipt"))[0].receipt(mine, key);
    if (kind === "edit" && recall(`receipt:${key}`)) return await (await load(mine, "register"))[0].edit(mine, key);
    if (kind === "find") return await (await load(mine, "find", "papers"))[0].find(mine);
    if (district) return await (await load(mine, "opening", "papers"))[0].visit(mine, district);
    return await home(mine);
  } finally {
    if (!mine.gone) prefetch();
  }
});
export function go(hash) {
  history.replaceState(null, "", `#${hash}`);
  return route();
}

// Wiring
$("language").onclick = async () => {
  lang = zh() ? "en" : "zh";
  remember("language", lang);
  speak();
  if (!page.city) return;
  const { ok, data } = await call("GET", "/city");
  if (ok) page.city = data;
  for (const act of onLanguage) act();
  paint();
};
$("large").onclick = () => {
  remember("large", recall("large") ? null : true);
  enlarge(recall("large"));
};
// While the network is gone nothing is asked; when it is back, not everybody asks at once.
addEventListener("offline", () => {
  troubles.set("network", { status: 0, text: t(places().length ? "offlineKept" : "offline"), due: Infinity });
  polite(troubles.get("network").text);
  paint();
});
addEventListener("online", () => {
  troubles.delete("network");
  for (const it of troubles.values()) if (it.status === 0) it.due = Math.min(it.due, performance.now() + Math.random() * 3000);
  paint();
});
addEventListener("hashchange", route);
speak();
enlarge(recall("large"));
everySecond(() => { wake(); paint(); });
function seenAgain() {
  if (document.hidden) return;
  wake();
  if (!sure()) setTimeout(lookUp, Math.random() * 3000);
  paint(); // by the time that it is now
}
document.addEventListener("visibilitychange", seenAgain);
addEventListener("pageshow", seenAgain);
route();
