// The operator's page: how the night, the openings, capacity, messages and people stand, every ten seconds, and the few
// things an operator puts right. The token stays in this tab; what the server says is only ever shown as text.

import { ownLanguage } from "./common/language.js";
import MESSAGES from "./words/message.js";
import WORDS from "./words/ops.js";
import { setting } from "./staff-store.js";

Object.assign(WORDS, MESSAGES);

const REFRESH_MS = 10_000;
const STALE_MS = 25_000;
const LARGEST_FILE = 2 * 1024 * 1024;
const MOST_ROWS = 300;
const MANY_LOCKED = 10; // people whose papers are tried until they are locked: a few mistype, so many are an attack
const STEPS = { close: "closed_at", free: "freed_at", freeze: "frozen_at", allot: "allotted_at", publish: "published_at", tell: "told_at" };
const KEY = "jiaohao-ops:token";

const $ = (id) => document.getElementById(id);
const all = (selector) => document.querySelectorAll(selector);
// view: the last answer of /operations; lists: those that are open; folded out: districts whose sites are shown.
const page = { token: null, view: null, at: 0, trouble: null, lists: {}, open: new Set(), sites: new Map() };

// Language, shared with the other pages
let lang = setting("language") ?? ownLanguage();
for (const it of all("[data-en]")) it.dataset.zh = it.textContent;
const zh = () => lang === "zh";
const t = (key, ...values) => (WORDS[key] ?? "").split("|")[zh() ? 0 : 1]?.replace(/\{(\d)\}/g, (_, i) => values[i]) ?? "";
const say = (key) => (WORDS[key] ? t(key) : String(key ?? ""));
const kindName = (kind) => t(`sms-${kind}`) || kind;
const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
const periodName = (code) => (page.view.periods?.[code] ? nameOf(page.view.periods[code]) : code);
const count = (n) => (n ?? 0).toLocaleString("en");
function speak() {
  document.documentElement.lang = zh() ? "zh-CN" : "en";
  for (const it of all("[data-en]")) it.textContent = it.dataset[lang];
  $("language").lang = zh() ? "en" : "zh-CN";
  document.title = t("title");
  $("totals").setAttribute("aria-label", t("overview"));
  for (const it of all("details.list")) it.querySelector(".wide").setAttribute("aria-label", it.querySelector("summary span").textContent);
}

// Screen
const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const put = (id, text) => { set(id, text); $(id).hidden = !text; };
const polite = (text) => { $("polite").textContent = $("polite").textContent === text ? `${text}\u00a0` : text; };
function make(tag, props = {}, ...children) {
  const it = Object.assign(document.createElement(tag), props);
  it.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return it;
}
const th = (text, props = {}) => make("th", { scope: "row", ...props }, text);
const td = (text, small = "", props = {}) => make("td", props, text, small && make("small", {}, small));
const num = (n) => td(count(n), "", { className: "n" });
const badge = (state) => make("span", { className: `badge ${/^[a-z]+$/.test(state) ? state : ""}` }, say(state));
/** A table's head: names of columns; those that begin with # are numbers. */
function head(id, names) {
  const drawn = JSON.stringify([names, lang]);
  if ($(id).drawn === drawn) return;
  $(id).replaceChildren(...names.map((it) => make("th", { scope: "col", className: it[0] === "#" ? "n" : "" }, say(it.replace("#", "")))));
  $(id).drawn = drawn;
}
/** Rows (or other children) by key; what has not changed is left alone, so that focus and scrolling stay. */
function keyed(parent, items, key, draw) {
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
function button(text, label, does, props = {}) {
  const it = make("button", { type: "button", className: "quiet", onclick: does, ...props }, text);
  if (label) it.setAttribute("aria-label", label);
  it.dataset.do = "act";
  return it;
}
/** Whether a button is at work already; from now on it is. It keeps the focus, which a disabled one would lose. */
function busy(it) {
  const was = it.getAttribute("aria-disabled");
  it.setAttribute("aria-disabled", "true");
  return Boolean(was);
}
const idle = (it) => it.removeAttribute("aria-disabled");
const clock = (time) => (time ? time.slice(11, 19) : "");
const dayTime = (time) => (time ? `${time.slice(5, 10)} ${time.slice(11, 16)}` : "");
function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const [unit_s, unit] = s < 60 ? [1, "seconds"] : s < 3600 ? [60, "minutes"] : s < 172_800 ? [3600, "hours"] : [86_400, "days"];
  return t(unit, count(Math.floor(s / unit_s)));
}
const since = (time) => age(Date.parse(page.view.now) - Date.parse(time));
function dayName(date, long = false) {
  const options = long ? { month: zh() ? "long" : "short", day: "numeric" } : { month: "numeric", day: "numeric" };
  return new Date(`${date}T00:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", { timeZone: "UTC", ...options });
}
const weekday = (date) => new Date(`${date}T00:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", { timeZone: "UTC", weekday: "short" });

async function call(method, path, { json, file } = {}) {
  const headers = { "Accept-Language": lang, Authorization: `Bearer ${page.token}` };
  if (json) headers["Content-Type"] = "application/json";
  if (file) headers["Content-Type"] = "text/csv";
  const token = page.token;
  let answer = { ok: false, status: 0, data: {} };
  try {
    const got = await fetch(`/api/v1${path}`, { method, headers, body: json ? JSON.stringify(json) : file, cache: "no-store", signal: AbortSignal.timeout?.(30_000) });
    answer = { ok: got.ok, status: got.status, data: JSON.parse((await got.text()) || "{}") };
  } catch { /* no network, or something that is not our server */ }
  if (answer.status === 401 && token === page.token && page.view) leave("expired");
  return answer;
}
const whyNot = ({ status, data }) => data.errors?.map((it) => it.message).join(" ") || (status && data.detail) || t("busy");

// Signing in and out
const kept = {
  get: () => { try { return sessionStorage.getItem(KEY); } catch { return null; } },
  set: (token) => { try { if (token) sessionStorage.setItem(KEY, token); else sessionStorage.removeItem(KEY); } catch { /* this page only */ } },
};
function show() {
  const isIn = Boolean(page.token && page.view);
  const was = !$("board").hidden;
  $("signin").hidden = isIn || Boolean(page.token && page.starting);
  $("board").hidden = !isIn;
  for (const id of ["refresh", "signout"]) $(id).hidden = !isIn;
  if (isIn) paint(); else set("as-of", page.starting ? t("loading") : "");
  if (isIn && !was) { $("night-title").focus({ preventScroll: true }); scrollTo(0, 0); }
}
function leave(note) {
  clearTimeout(page.timer);
  kept.set(null);
  for (const it of all("dialog[open]")) it.close();
  for (const it of all("details[open]")) it.open = false;
  Object.assign(page, { token: null, view: null, trouble: null, lists: {}, starting: false });
  page.open.clear();
  for (const it of all("tbody, #totals, #night-hashes, #night-over, #upload-result, #night-steps")) it.replaceChildren();
  $("upload-result").hidden = true;
  $("file").value = "";
  set("polite", "");
  show();
  put("signin-note", t(note));
  $("token").focus();
}
/** The token of a link is taken from the address at once. */
function tokenFromLink() {
  const found = /^#token=(.+)/.exec(location.hash);
  if (!found) return false;
  history.replaceState(null, "", location.pathname);
  let token = found[1];
  try { token = decodeURIComponent(token); } catch { /* as it is */ }
  page.token = token.trim();
  page.view = null;
  return true;
}
function complain(id, text) {
  put(`${id}-error`, text);
  if (!text) { $(id).removeAttribute("aria-invalid"); return; }
  $(id).setAttribute("aria-invalid", "true");
  $(id).focus();
}
$("token").oninput = () => complain("token", "");
$("signin-form").onsubmit = async (event) => {
  event.preventDefault();
  const token = $("token").value.trim().replace(/^.*#token=/, "");
  complain("token", token ? "" : t("required"));
  if (!token) return;
  polite(t("signingIn"));
  page.token = token;
  await refresh();
  if (page.view) {
    $("token").value = "";
    put("signin-note", "");
  } else complain("token", page.trouble?.status === 401 ? t("wrongToken") : troubleText());
};
async function start(first = true) {
  page.starting = first;
  show();
  await refresh();
  page.starting = false;
  if (page.view) return;
  if (page.trouble?.status === 401) { leave("expired"); return; }
  show();
  put("signin-note", troubleText());
  const { token } = page;
  page.timer = setTimeout(() => { if (page.token === token && !page.view) start(false); }, REFRESH_MS);
}

// Looking, again and again
function troubleText() {
  const { status, data } = page.trouble ?? {};
  return t(!status ? "offline" : data?.code === "store-unavailable" ? "storeAway" : "busy");
}
async function refresh() {
  clearTimeout(page.timer);
  const asking = (page.asking = {});
  const { token } = page;
  const answer = await call("GET", `/operations?slots=${encodeURIComponent([...page.open].join(","))}`);
  if (asking !== page.asking || token !== page.token || !page.token) return;
  if (answer.ok && Array.isArray(answer.data.districts)) {
    Object.assign(page, { view: answer.data, at: performance.now(), trouble: null });
    kept.set(token);
    await Promise.all([...all("details.list[open]")].map((it) => load(it.id)));
    if (token !== page.token) return;
  } else page.trouble = answer;
  show();
  again(Math.min(REFRESH_MS, stroke_ms()));
}
/** Until the hour strikes for a district: the states on screen are known to change then. */
function stroke_ms() {
  if (page.trouble) return Infinity;
  const told = page.view.districts.flatMap(({ opening: { opens_at, closes_at } }) => [opens_at, closes_at]).filter(Boolean);
  const left = told.map((time) => Date.parse(time) - Date.parse(page.view.now) - (performance.now() - page.at)).filter((ms) => ms > 0);
  return Math.min(...left) + 200;
}
function again(wait_ms) {
  clearTimeout(page.timer);
  if (!document.hidden && page.token && page.view) page.timer = setTimeout(refresh, wait_ms);
}
const LISTS = { dead: "dead", "to-call": "calls", attendances: "attendances", barred: "bars" }; // box -> what it lists
const NONE = { dead: "noneDead", "to-call": "noneCalls", attendances: "noneAttendances", barred: "noneBars" };
async function load(id) {
  const { ok, data } = await call("GET", `/operations/${LISTS[id]}`);
  if (ok && $(id).open) page.lists[id] = data[LISTS[id]];
}
for (const id of Object.keys(LISTS)) {
  $(id).addEventListener("toggle", async () => {
    if (!$(id).open) { // nobody's phone stays on a page that does not show it
      delete page.lists[id];
      $(`${id}-rows`).replaceChildren();
      return;
    }
    await load(id);
    if (page.view) paintLists();
  });
}

const guessed = (it) => t("tLocked", count(it.refused), count(it.locked));

// The overview
function paintTotals() {
  const it = page.view.totals;
  const tiles = [
    ["openings", "tWaiting", it.waiting], ["openings", "tPasses", it.passes_alive], ["night", "tPending", it.pending],
    ["capacity", "tUsed", it.taken, `/ ${count(it.capacity)}`],
    ["messages", "tMessages", it.codes + it.messages, it.oldest_at ? t("tOldest", since(it.oldest_at)) : ""],
    ["messages", "tDead", it.dead, "", it.dead > 0], ["people", "tCalls", it.to_call, "", it.to_call > 0], ["people", "tAttendances", it.attendances ?? 0, "", it.attendances > 0], ["people", "tBars", it.barred],
    ["openings", "tPapers", it.papers.wrong, it.papers.refused || it.papers.locked ? guessed(it.papers) : "", it.papers.locked >= MANY_LOCKED],
  ];
  keyed($("totals"), tiles, ([, name]) => name, ([to, name, value, more, alarmed]) => make("a", { href: `#${to}`, className: alarmed ? "alarmed" : "" },
    make("span", {}, t(name)), make("b", {}, count(value)), more && make("small", {}, more)));
}

// The night
function outcome(step, it) {
  const known = { close: it.missed, free: it.freed, freeze: it.registrations, allot: it.given, publish: it.counts, tell: it.reminded }[step];
  if (known === null) return "";
  const { allotted = 0, ...others } = it.counts ?? {};
  const values = {
    close: [it.missed, it.charged, it.barred], free: [it.freed], freeze: [it.registrations], allot: [it.given, it.registrations, it.withdrawn],
    publish: [allotted, Object.values(others).reduce((a, b) => a + b, 0)], tell: [it.reminded],
  }[step];
  return t(`w${step[0].toUpperCase()}${step.slice(1)}`, ...values.map(count));
}
const begun = (it) => !["none", "committed"].includes(it.state);
function paintNight() {
  const { holder, districts, night: date } = page.view;
  const nights = districts.map((it) => it.night);
  set("night-title", t("night", dayName(date, true)));
  const isDone = nights.every((it) => it.state === "done");
  const stuck = !holder && !isDone && nights.some(begun);
  set("night-who", holder ? t("ranBy", holder.name, clock(holder.since), clock(holder.expires_at)) : isDone ? t("nightDone") : stuck ? t("stuck") : t("nobody"));
  $("night-who").className = holder ? "notice" : stuck ? "notice bad" : isDone ? "notice good" : "hint";
  const none = nights.every((it) => it.state === "none");
  if (none) set("night-who", t("nightNone"));
  for (const it of [$("night-steps"), $("night").querySelector(".wide"), $("night-proofs")]) it.hidden = none;
  let reached = false; // the first step that is not done everywhere is the one that is going on
  const steps = Object.entries(STEPS).map(([step, field]) => {
    const times = nights.map((it) => it[field]).filter(Boolean).sort();
    const done = times.length === nights.length;
    const now = !done && !reached && nights.some(begun);
    reached ||= !done;
    return [step, times.length, nights.length, times.length ? [...new Set([clock(times[0]), clock(times.at(-1))])].join("–") : "", done ? "is-done" : now ? "is-now" : ""];
  });
  keyed($("night-steps"), steps, ([step]) => step, ([step, n, of, times, state]) => {
    const it = make("li", { className: state }, make("b", {}, t(step)), make("small", {}, t("of", n, of), times && ` · ${times}`));
    if (state === "is-now") it.setAttribute("aria-current", "step");
    return it;
  });
  head("night-head", ["district", "state", ...Object.keys(STEPS)]);
  keyed($("night-rows"), districts.map(({ code, name_zh, name_en, night }) => ({ code, name_zh, name_en, night, held: Boolean(holder) })), (it) => it.code, (it) => {
    const going = it.held && begun(it.night) ? Object.entries(STEPS).find(([, field]) => !it.night[field])?.[0] : null;
    return make("tr", {}, th(nameOf(it)), make("td", {}, badge(it.night.state)), ...Object.entries(STEPS).map(([step, field]) =>
      td(clock(it.night[field]) || (step === going ? t("going") : "–"), outcome(step, it.night), { className: step === going ? "is-going" : "" })));
  });
  const over = nights.flatMap((it) => it.over);
  $("night-over").hidden = !over.length;
  keyed($("night-over"), over.length ? [over] : [], () => "over", () => make("div", {}, make("p", {}, t("over")), lowered(over)));
  keyed($("night-hashes"), districts.map(({ code, name_zh, name_en, night }) => ({ code, name_zh, name_en, night })), (it) => it.code, (it) => {
    const { commitment, list_root, root, seed, reached: dates } = it.night;
    const lines = [["commitment", commitment], ["listRoot", list_root], ["root", root], ["seed", seed ?? (commitment && t("secret"))], ["reached", dates?.map((date) => date ?? "–").join(" · ")]].filter(([, value]) => value);
    return make("div", {}, make("dt", {}, nameOf(it)), ...(lines.length ? lines.map(([name, value]) =>
      make("dd", {}, `${t(name)}: `, make("code", {}, value))) : [make("dd", {}, t("nightNone"))]));
  });
}
const lowered = (slots) => make("ul", {}, ...slots.slice(0, 50).map((it) =>
  make("li", {}, t("overOne", it.date, it.site, periodName(it.period), say(it.product), count(it.capacity), count(it.taken)))),
...(slots.length > 50 ? [make("li", {}, t("moreRows", slots.length - 50))] : []));

// Today's openings
function paintOpenings() {
  head("openings-head", ["district", "state", "window", "#issued", "#serving", "#waiting", "#pending", "#passes", "#rate", "#papers", "action"]);
  keyed($("openings-rows"), page.view.districts.map(({ code, name_zh, name_en, opening, papers }) => ({ code, name_zh, name_en, opening, papers })), (it) => it.code, (it) => {
    const o = it.opening;
    const action = o.opens_at ? button(t("change"), t("changeOf", nameOf(it)), () => askChange(it)) : "";
    return make("tr", {}, th(nameOf(it)), make("td", {}, badge(o.state), o.message && make("small", {}, o.message)),
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
  await refresh();
};

// Capacity
const share = (capacity, taken) => (capacity ? Math.min(100, Math.round((taken / capacity) * 100)) : 0);
function cell(capacity, taken) {
  if (!capacity && !taken) return td("–");
  const many = capacity >= 1000;
  const it = td(many ? count(taken) : t("cell", taken, capacity), many ? `/${count(capacity)}` : taken > capacity ? t("overShort", count(taken - capacity)) : "", { className: taken > capacity ? "bad-cell" : taken === capacity ? "full" : "" });
  it.style.setProperty("--used", `${share(capacity, taken)}%`);
  return it;
}
function sitesOf(it) {
  const found = new Map();
  for (const { site, date, capacity, taken } of it.slots) {
    const days = found.get(site) ?? found.set(site, {}).get(site);
    const [c, n] = days[date] ?? [0, 0];
    days[date] = [c + capacity, n + taken];
  }
  return [...found].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true })).map(([site, days]) => ({ site, days, name: page.sites.get(site) }));
}
function paintCapacity() {
  const table = $("capacity").querySelector("table");
  const { districts } = page.view;
  const dates = districts[0].capacity.map((it) => it.date);
  const names = JSON.stringify([dates, lang]);
  if ($("capacity-head").drawn !== names) {
    $("capacity-head").replaceChildren(make("th", { scope: "col" }, t("district")), ...dates.map((date) =>
      make("th", { scope: "col" }, `${dayName(date)} `, make("small", {}, weekday(date)))));
    $("capacity-head").drawn = names;
  }
  for (const it of districts) {
    const { code, name_zh, name_en, capacity } = it;
    let body = table.querySelector(`tbody[data-code="${code}"]`);
    if (!body) {
      body = make("tbody");
      body.dataset.code = code;
      table.append(body);
    }
    const open = page.open.has(code);
    const sites = open ? sitesOf(it) : [];
    const rows = [{ code, name_zh, name_en, capacity, open }, ...sites.map((site) => ({ ...site, dates }))];
    if (open && !sites.length && page.loaded?.has(code)) rows.push({ none: true, span: dates.length });
    keyed(body, rows, (row) => row.site ?? (row.none ? "none" : "all"), drawCapacity);
  }
  const sums = dates.map((_, i) => districts.reduce(([c, n], it) => [c + it.capacity[i].capacity, n + it.capacity[i].taken], [0, 0]));
  const foot = table.tFoot ?? table.createTFoot();
  table.append(foot);
  keyed(foot, [sums], () => "all", () => make("tr", {}, th(t("all")), ...sums.map(([c, n]) => cell(c, n))));
}
function drawCapacity(row) {
  if (row.none) return make("tr", { className: "site" }, th(t("noSites")), make("td", { colSpan: row.span }));
  if (row.site) {
    return make("tr", { className: "site" }, make("th", { scope: "row" }, (row.name && nameOf(row.name)) || row.site, row.name && make("small", {}, row.site)),
      ...row.dates.map((date) => cell(...(row.days[date] ?? [0, 0]))));
  }
  const fold = make("button", { type: "button", className: "fold", onclick: () => toggle(row.code) }, nameOf(row));
  fold.setAttribute("aria-expanded", String(row.open));
  fold.dataset.do = "fold";
  return make("tr", {}, make("th", { scope: "row" }, fold), ...row.capacity.map((it) => cell(it.capacity, it.taken)));
}
async function toggle(code) {
  if (page.open.delete(code)) { paintCapacity(); return; }
  page.open.add(code);
  paintCapacity();
  const answer = await call("GET", `/sites?district=${encodeURIComponent(code)}`);
  for (const it of answer.data.sites ?? []) page.sites.set(it.site, it);
  await refresh();
}

$("upload").onsubmit = async (event) => {
  event.preventDefault();
  const [file] = $("file").files;
  complain("file", !file ? t("noFile") : file.size > LARGEST_FILE ? t("tooLarge") : "");
  if (!file || file.size > LARGEST_FILE) return;
  if (busy($("upload-go"))) return;
  polite(t("uploading"));
  let answer = { ok: false, status: 0, data: {} };
  try {
    const content = await file.arrayBuffer();
    answer = await call("POST", "/capacity", { file: content });
    const { doubts } = answer.data;
    if (doubts && confirm(`${t("doubtful")}\n\n${doubts.join("\n")}`)) answer = await call("POST", "/capacity?confirmed=true", { file: content });
  } catch { /* the file is gone, or may not be read */ }
  idle($("upload-go"));
  if (!page.view) return;
  page.upload = answer;
  paintUpload();
  $("upload-result").focus();
  if (answer.ok) { $("file").value = ""; await refresh(); }
};
function paintUpload() {
  const { upload } = page;
  const box = $("upload-result");
  box.hidden = !upload;
  if (!upload) return;
  const { ok, data } = upload;
  box.className = ok ? (data.lowered.length ? "warned" : "") : "bad";
  if (ok) {
    box.replaceChildren(make("p", {}, t("uploaded", count(data.rows), count(data.slots))),
      ...(data.lowered.length ? [make("p", {}, t("lowered", count(data.lowered.length))), lowered(data.lowered)] : []));
  } else if (data.doubts) {
    box.replaceChildren(make("p", {}, t("doubted")), make("ul", {}, ...data.doubts.map((it) => make("li", {}, it))));
  } else if (data.errors) {
    const more = (data.bad_rows ?? data.errors.length) - data.errors.length;
    box.replaceChildren(make("p", {}, t("refusedFile", count(data.bad_rows ?? data.errors.length))), make("ul", {},
      ...data.errors.map((it) => make("li", {}, make("b", {}, where(it.field)), zh() ? "：" : ": ", it.message)), ...(more > 0 ? [make("li", {}, t("moreRows", count(more)))] : [])));
  } else box.replaceChildren(make("p", {}, whyNot(upload)));
}
function where(field) {
  const [, line, column, name] = /^line (\d+)(?:, column (\d+) \((.+)\))?$/.exec(field) ?? [];
  return !line ? field : column ? t("lineColumn", line, column, name) : t("line", line);
}
$("file").onchange = () => {
  complain("file", "");
  if (!page.upload || page.upload.ok) return;
  page.upload = null; // it was about another file
  paintUpload();
};

// Messages
function paintMessages() {
  head("messages-head", ["district", "#codes", "#toSend", "#later", "#dead", "oldest"]);
  keyed($("messages-rows"), page.view.districts.map(({ code, name_zh, name_en, outbox }) => ({ code, name_zh, name_en, outbox, ago: outbox.oldest_at && since(outbox.oldest_at) })), (it) => it.code, (it) =>
    make("tr", {}, th(nameOf(it)), num(it.outbox.codes), num(it.outbox.waiting), num(it.outbox.later),
      td(count(it.outbox.dead), "", { className: it.outbox.dead ? "n bad-cell" : "n" }), td(it.ago || "–", it.outbox.oldest_at ? dayTime(it.outbox.oldest_at) : "")));
}
const districtName = (code) => nameOf(page.view.districts.find((it) => it.code === code) ?? { name_zh: code, name_en: code });
const spaced = (no) => no.replace(/.{5}(?=.)/g, "$& ");
function paintLists() {
  const { totals } = page.view;
  for (const [id, n, alarming] of [["dead", totals.dead, true], ["to-call", totals.to_call, true], ["attendances", totals.attendances ?? 0, true], ["barred", totals.barred, false]]) {
    set(`${id}-count`, count(n));
    $(`${id}-count`).className = alarming && n ? "alarmed" : "";
    const list = page.lists[id];
    const none = $(id).querySelector(".none");
    none.textContent = !list ? t("loading") : !list.length ? t(NONE[id]) : list.length > MOST_ROWS ? t("firstOf", MOST_ROWS, count(list.length)) : "";
  }
  const some = (id) => (page.lists[id] ?? []).slice(0, MOST_ROWS);
  // What is pressed stands early: on a phone the rest is out of sight.
  head("dead-head", ["no", "kind", "action", "why", "#tries", "at", "district"]);
  keyed($("dead-rows"), some("dead"), (it) => it.pointer, (it) => make("tr", {}, th(spaced(it.registration_no)), td(kindName(it.kind)),
    make("td", {}, button(t("resend"), t("resendOf", spaced(it.registration_no)), (event) => resend(it, event.target))),
    td(it.why), num(it.tries), td(dayTime(it.at)), td(districtName(it.district))));
  head("to-call-head", ["no", "name", "phone", "action", "failed", "appointment", "language", "district"]);
  keyed($("to-call-rows"), some("to-call"), (it) => it.registration_no, (it) => make("tr", {}, th(spaced(it.registration_no)), td(it.name),
    make("td", { className: "phone" }, it.phone ? make("a", { href: `tel:${it.phone}` }, it.phone) : t("noPhone")),
    make("td", {}, button(t("called"), t("calledOf", spaced(it.registration_no)), () => askReason("called", it))),
    make("td", {}, ...it.failed.map(({ kind, outcome: end, at, why }) => make("div", {}, `${kindName(kind)}${zh() ? "：" : ": "}${say(end)}${why ? ` (${say(why)})` : ""}`, make("small", {}, dayTime(at))))),
    it.appointment ? td(`${dayName(it.appointment.date)} ${periodName(it.appointment.period)}`, it.appointment.site) : td(it.state ? "–" : t("past")),
    td(say(it.lang)), td(districtName(it.district))));
  head("attendances-head", ["no", "state", "action", "givenOn", "site", "fulfilledNo", "saidBy", "district"]);
  keyed($("attendances-rows"), some("attendances"), (it) => `${it.registration_no}|${it.date}`, (it) => make("tr", {}, th(spaced(it.registration_no)), td(t(it.state)),
    make("td", {}, ...(it.state === "unmatched" ? [button(t("accept"), t("acceptOf", spaced(it.registration_no)), () => askReason("accept", it)), " "] : []),
      button(t("settle"), t("settleOf", spaced(it.registration_no)), () => askReason("settle", it))),
    td(dayName(it.date)), td(it.site), td(it.fulfilled_no ? spaced(it.fulfilled_no) : "–"), td(it.actor, dayTime(it.at)), td(districtName(it.district))));
  head("barred-head", ["no", "action", "since", "district"]);
  keyed($("barred-rows"), some("barred"), (it) => it.registration_no, (it) => make("tr", {}, th(spaced(it.registration_no)),
    make("td", {}, button(t("lift"), t("liftOf", spaced(it.registration_no)), () => askReason("lift", it))), td(dayTime(it.since) || t("unknown")), td(districtName(it.district))));
  for (const id of Object.keys(LISTS)) $(id).querySelector(".wide").hidden = !page.lists[id]?.length;
}
async function resend(it, pressed) {
  if (busy(pressed)) return;
  const answer = await call("POST", `/operations/dead/${encodeURIComponent(it.pointer)}/resend`);
  idle(pressed);
  if (!page.view) return;
  polite(answer.ok ? t("resent", spaced(it.registration_no)) : whyNot(answer));
  await refresh();
}

// What needs a reason
const ASKED = {
  called: { title: "called", what: "calledWhat", path: ({ registration_no: no }) => `/operations/calls/${no}`, done: "calledDone" },
  lift: { title: "lift", what: "liftWhat", path: ({ registration_no: no }) => `/bars/${no}`, done: "lifted" },
  accept: { title: "accept", what: "acceptWhat", method: "POST", path: ({ registration_no: no, date }) => `/operations/attendances/${no}/${date}/acceptance`, done: "accepted" },
  settle: { title: "settle", what: "settleWhat", path: ({ registration_no: no, date }) => `/operations/attendances/${no}/${date}`, done: "settled" },
};
function askReason(what, it) {
  page.asked = { ...ASKED[what], it, no: it.registration_no };
  set("reason-title", t(page.asked.title));
  set("reason-what", t(page.asked.what, spaced(it.registration_no)));
  set("reason-go", t(page.asked.title));
  $("why").value = "";
  complainWhy("");
  $("reason").showModal();
  $("why").focus();
}
function complainWhy(text) {
  put("why-error", text);
  if (text) $("why").setAttribute("aria-invalid", "true"); else $("why").removeAttribute("aria-invalid");
}
$("reason-form").onsubmit = async (event) => {
  event.preventDefault();
  const { path, method = "DELETE", it, no, done } = page.asked;
  const reason = $("why").value.trim();
  complainWhy(reason ? "" : t("required"));
  if (!reason) { $("why").focus(); return; }
  if (busy($("reason-go"))) return;
  const answer = await call(method, path(it), { json: { reason } });
  idle($("reason-go"));
  if (!page.view) return;
  if (!answer.ok) { complainWhy(whyNot(answer)); return; }
  $("reason").close();
  polite(t(done, spaced(no)));
  await refresh();
};
$("why").oninput = () => { if ($("why").value.trim()) complainWhy(""); };
for (const it of all("dialog .back")) it.onclick = () => it.closest("dialog").close();

function paintNet() {
  const old_ms = performance.now() - page.at;
  const stale = Boolean(page.trouble) || old_ms > STALE_MS;
  const words = stale ? [page.trouble && troubleText(), t("stale", clock(page.view.now))].filter(Boolean).join(zh() ? "" : " ") : "";
  put("net", words); // an alert: its words stay the same while the trouble does
  $("board").classList.toggle("is-stale", stale);
  set("as-of", stale ? t("asOfOld", clock(page.view.now), age(old_ms)) : t("asOf", clock(page.view.now)));
}
function paint() {
  paintNet();
  paintTotals();
  paintNight();
  paintOpenings();
  page.loaded = new Set(page.open);
  paintCapacity();
  paintMessages();
  paintLists();
}

// Wiring
$("language").onclick = () => {
  lang = zh() ? "en" : "zh";
  setting("language", lang);
  speak();
  if (page.view) { paint(); paintUpload(); }
};
$("refresh").onclick = () => refresh();
$("signout").onclick = () => leave("signedOut");
addEventListener("hashchange", () => { if (tokenFromLink()) start(); });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(page.timer);
  else if (page.view) refresh();
});
setInterval(() => { if (page.view && !document.hidden) paintNet(); }, 5000);

$("language").hidden = false;
speak();
if (!tokenFromLink()) page.token = kept.get();
if (page.token) start(); else show();
