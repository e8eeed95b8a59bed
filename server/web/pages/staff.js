// The desk's page: sign in, today's roster, check in by scan, number or tap, and (a manager) close the site.
// An attendance is kept on this device before it is sent, so a bad network costs nothing; what the server says is only
// ever shown as text; the token leaves the address bar before anything else happens.

import { everySecond, guess, heard, nap, now_ms } from "./common/clock.js";
import { ownLanguage } from "./common/language.js";
import { LENGTH, isRegistrationNo, plain, spaced } from "./staff-number.js";
import * as outbox from "./staff-outbox.js";
import { failure, hindrance, scan } from "./staff-scan.js";
import { forget, kept, recall, remember, setting } from "./staff-store.js";
import WORDS from "./words/staff.js";

const REFRESH_MS = 30_000;
const IDENTIFY_EVERY_MS = 600_000;
const LONGEST_WAIT_MS = 300_000;
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
const GUARD_MS = 400; // a scanner's second Enter, or a double tap, must not confirm what nobody has read
const SCANNER_GAP_MS = 500;
const OPEN = ["booked", "noshow"]; // what the desk may still check in
const HERE = ["fulfilled", "queued", "unmatched"];

const $ = (id) => document.getElementById(id);
const all = (selector) => document.querySelectorAll(selector);
// token, me, day (null: today), rosters by date, done, query, show, net, closing; nothing here outlives the page.
const page = { token: null, me: null, day: null, rosters: new Map(), done: new Set(), unmatched: new Set(), query: "", show: "all", net: null, failures: 0 };

// Language and large type, shared with the resident's page
let lang = setting("language") ?? ownLanguage();
for (const it of all("[data-en]")) it.dataset.zh = it.textContent;
const zh = () => lang === "zh";
const t = (key, ...values) => (WORDS[key] ?? "").split("|")[zh() ? 0 : 1]?.replace(/\{(\d)\}/g, (_, i) => values[i]) ?? "";
const say = (key) => (WORDS[key] ? t(key) : String(key ?? ""));
const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
// The parts of a site's day, as the server told them with the token; null is the whole of it.
const periodCodes = () => Object.keys(page.me?.periods ?? {});
const periodName = (code) => (code ? nameOf(page.me?.periods?.[code] ?? {}) ?? code : t("null"));
// Whether it is the time of another part of the day: the one before still goes on, or the next has begun.
function isElsewhen(code, time) {
  const periods = Object.values(page.me.periods ?? {});
  const i = periodCodes().indexOf(code);
  return i >= 0 && (time < (periods[i - 1]?.closes ?? "") || time >= (periods[i + 1]?.opens ?? "24"));
}
const count = (n) => n.toLocaleString("en");
function speak() {
  document.documentElement.lang = zh() ? "zh-CN" : "en";
  for (const it of all("[data-en]")) it.textContent = it.dataset[lang];
  $("language").lang = zh() ? "en" : "zh-CN";
}
function enlarge(on) {
  const { classList, dataset } = document.documentElement;
  classList.toggle("large", on);
  if (on) dataset.large = "on"; else delete dataset.large;
  $("large").setAttribute("aria-pressed", String(on));
}

// Screen
const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const put = (id, text) => { set(id, text); $(id).hidden = !text; };
function polite(text) {
  // The same words twice (two people called 张*) are said twice.
  $("polite").textContent = $("polite").textContent === text ? `${text}\u00a0` : text;
}
function make(tag, props = {}, ...children) {
  const it = Object.assign(document.createElement(tag), props);
  it.append(...children);
  return it;
}
function view() { return !page.token || !page.me ? "signin" : location.hash === "#closing" && page.me.role === "manager" ? "closing" : "desk"; }
function show() {
  const now = view();
  const before = page.view;
  page.view = now;
  for (const it of all("main > section")) it.hidden = it.id !== now;
  if (now === "closing" && before !== now) closingStep("ask");
  paint();
  if (before === now) return;
  if (before) scrollTo(0, 0);
  // A hand scanner types where the focus is; on a touch screen the focus would bring up the keyboard.
  if (now === "desk") aim(); else if (now === "signin") { if (before || fine()) $("token").focus(); } else if (before) focusOn($(now).querySelector("h2"));
}
const fine = () => matchMedia("(pointer: fine)").matches;
function focusOn(it) {
  if (!it.matches("button, input, a")) it.tabIndex = -1;
  it.focus({ preventScroll: true });
}
function aim() { if (fine()) $("regno").focus({ preventScroll: true }); else focusOn($("site")); }

// The city's clock: the server's (see common/clock.js); until it speaks, as this device last knew it.
let clock = recall("clock") ?? { skew_ms: 0, zone_ms: 8 * 3_600_000 };
guess(Date.now() + clock.skew_ms);
function follow(now) {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(now) ?? [0, "+", 0, 0];
  clock = { skew_ms: now_ms() - Date.now(), zone_ms: (sign === "-" ? -1 : 1) * (hours * 60 + Number(minutes)) * 60_000 };
  remember("clock", clock);
}
const local = (ms) => new Date(ms + clock.zone_ms).toISOString();
const today = () => local(now_ms()).slice(0, 10);
const hm = (ms) => local(ms).slice(11, 16);
function dayName(date) {
  const options = { timeZone: "UTC", month: zh() ? "long" : "short", day: "numeric", weekday: "short" };
  return new Date(`${date}T00:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", options);
}

async function call(method, path, { token = page.token, body } = {}) {
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

// Signing in and out
async function identify() {
  const { token } = page;
  const answer = await call("GET", "/staff", { token });
  if (token !== page.token) return answer;
  const { ok, status, data } = answer;
  if (ok && data.site) {
    follow(data.now);
    if (page.me && page.me.site !== data.site) forgetRosters();
    const entered = page.me?.site !== data.site;
    page.me = data;
    page.identified = performance.now();
    remember("me", data);
    if (entered) post.soon(2000); // what waits for this site could not go before it was known whose desk this is
  } else if (status === 401) expired();
  else if (ok && data.site === null) leave("noSite"); // an operator's
  return answer;
}
function enter(token) {
  page.token = token;
  page.note = null;
  remember("token", token);
}
function forgetRosters() {
  page.rosters.clear();
  page.done.clear();
  page.unmatched.clear();
  page.day = null;
  page.query = $("regno").value = "";
  forget("roster");
}
function leave(note) {
  Object.assign(page, { token: null, me: null, note, net: null, failures: 0, last: null });
  clearTimeout(page.timer);
  for (const key of ["token", "me", "clock"]) forget(key); // first of all, whatever comes after
  forgetRosters();
  for (const it of all("dialog")) it.close();
  for (const id of ["site", "me", "closures", "groups", "confirm-name", "confirm-facts"]) $(id).replaceChildren(); // hidden is not gone
  $("closing-form").reset();
  if (location.hash) history.replaceState(null, "", location.pathname);
  show();
  polite(t(note));
}
const expired = () => leave("expired");
function signOut() {
  outbox.stripNames();
  leave("signedOut");
}
/** The token of a sign-in link is taken from the address at once. */
function tokenFromLink() {
  const found = /^#token=(.+)/.exec(location.hash);
  if (!found) return false;
  history.replaceState(null, "", location.pathname);
  let token = found[1];
  try { token = decodeURIComponent(token); } catch { /* as it is */ }
  if (page.me) forgetRosters();
  forget("me");
  page.me = null;
  page.identified = undefined;
  enter(token.trim());
  return true;
}
$("signin-form").onsubmit = async (event) => {
  event.preventDefault();
  const token = $("token").value.trim().replace(/^.*#token=/, ""); // the whole link will do as well
  complain("token", token ? "" : t("required"));
  if (!token) return;
  $("signin-go").setAttribute("aria-disabled", "true");
  polite(t("signingIn"));
  page.token = token;
  const { ok, status, data } = await identify();
  $("signin-go").removeAttribute("aria-disabled");
  if (ok && data.site) {
    $("token").value = "";
    enter(token);
    start();
  } else {
    page.token = null;
    page.note = null;
    show();
    complain("token", status === 401 ? t("wrongToken") : ok && data.site === null ? t("noSite") : status ? data.detail ?? t("busy") : t("offlineSignin"));
  }
};
$("token").oninput = () => complain("token", "");
function complain(id, text) {
  put(`${id}-error`, text);
  if (!text) return $(id).removeAttribute("aria-invalid");
  $(id).setAttribute("aria-invalid", "true");
  $(id).focus();
  return polite(text);
}

// The roster
const shown = () => page.rosters.get(page.day ?? today());
const entriesOf = (roster) => roster?.data.entries ?? [];
function standing({ registration_no: no, state }, date) {
  if (page.done.has(`${date}:${no}`) || state === "fulfilled") return "fulfilled";
  if (page.unmatched.has(`${date}:${no}`)) return "unmatched";
  const attendance = outbox.find(page.me.site, date, no);
  return attendance ? (attendance.refused ? "refused" : "queued") : state;
}
function take(data) {
  data.entries.sort((a, b) => (a.registration_no < b.registration_no ? -1 : 1)); // the same at every desk, whatever changes
  const roster = { data, at: now_ms() };
  page.rosters.set(data.date, roster);
  if (page.day === null) remember("roster", roster);
}
/** Asks for the roster on screen; then again by itself, while the page is seen. */
async function refresh() {
  clearTimeout(page.timer);
  const { token, day } = page;
  const asking = (page.asking = {});
  if (!(performance.now() - page.identified < IDENTIFY_EVERY_MS)) {
    const who = await identify();
    if (asking !== page.asking || !page.token) return;
    if (!page.me) return trouble(who);
  }
  const answer = await call("GET", `/sites/${encodeURIComponent(page.me.site)}/roster${day ? `?date=${day}` : ""}`, { token });
  if (asking !== page.asking || token !== page.token) return;
  if (answer.status === 401) return expired();
  if (!answer.ok || !Array.isArray(answer.data.entries)) return trouble(answer);
  const back = page.net && !page.net.status;
  Object.assign(page, { net: null, failures: 0 });
  take(answer.data);
  if (!day && answer.data.date !== today()) await identify(); // midnight, or this device's clock was moved
  show();
  if (back) post.soon(1000);
  again(REFRESH_MS * (0.9 + Math.random() / 5));
}
function trouble({ status, data, after_s }) {
  page.failures += 1;
  // What a recovering server tells residents about their place in line is not for the desk.
  page.net = { status, text: (data.code === "maintenance" || (status < 500 && status !== 429)) && data.detail ? data.detail : t("busy") };
  show();
  const wait_ms = Math.min(LONGEST_WAIT_MS, Math.max((after_s || 0) * 1000, page.me ? REFRESH_MS : 2000 * 2 ** page.failures));
  again(wait_ms * (1 + Math.random() / 2));
}
function again(wait_ms) {
  page.due = performance.now() + wait_ms;
  clearTimeout(page.timer);
  if (!document.hidden && page.token) page.timer = setTimeout(refresh, wait_ms);
}

function matching(entries) {
  const { query } = page;
  return query && !/\D/.test(query) ? entries.filter(({ registration_no: no }) => no.endsWith(query) || no.startsWith(query)) : entries;
}
const details = ({ phone, product, dose }) => [phone, product && say(product), dose && t("dose", dose)].filter(Boolean)
  .flatMap((it) => [make("span", {}, it), " "]);
const badge = (state) => make("span", { className: `badge ${/^[a-z]+$/.test(state) ? state : ""}` }, say(state));
function drawEntry(entry, date) {
  const state = standing(entry, date);
  const can = date <= today() && (OPEN.includes(state) || state === "refused");
  const drawn = JSON.stringify([entry, state, can, lang]);
  const before = document.getElementById(`e${entry.registration_no}`);
  if (before?.drawn === drawn) return before;
  const it = make("li", { id: `e${entry.registration_no}`, className: `entry ${HERE.includes(state) ? "is-here" : ""}`, tabIndex: -1 },
    make("p", { className: "who" }, make("b", {}, entry.name), badge(state)),
    make("p", { className: "regno" }, spaced(entry.registration_no.slice(0, -5)), " ", make("b", {}, entry.registration_no.slice(-5))),
    make("p", { className: "hint details" }, ...details(entry)));
  if (can) {
    const more = make("span", { className: "unseen" }, ` ${t("who", entry.name, entry.registration_no.slice(-5))}`);
    const button = make("button", { type: "button", className: "quiet check-in" }, make("span", {}, t("checkIn"), more));
    button.onclick = () => ask(entry, date, it);
    it.append(button);
  }
  it.drawn = drawn;
  return it;
}
/** Puts the children in place without touching those that are: the focus and the scroll stay. */
function arrange(parent, children) {
  const same = parent.children.length === children.length && children.every((it, i) => parent.children[i] === it);
  if (same) return;
  const focused = document.activeElement?.closest?.("li.entry")?.id;
  const onButton = document.activeElement?.matches("button");
  parent.replaceChildren(...children);
  const it = focused && document.getElementById(focused);
  if (it && !it.contains(document.activeElement)) ((onButton && it.querySelector("button")) || it).focus({ preventScroll: true });
}
function drawGroup(period, entries, everybody, date) {
  const before = document.getElementById(`group-${period}`);
  const group = before ?? make("section", { id: `group-${period}`, className: "group" }, make("h3", { id: `group-${period}-title` }), make("ul"));
  group.setAttribute("aria-labelledby", `group-${period}-title`);
  const [head, list] = group.children;
  const here = everybody.filter((it) => HERE.includes(standing(it, date))).length;
  const text = `${periodName(period)} ${t("groupCount", count(here), count(everybody.length))}`;
  if (head.textContent !== text) head.replaceChildren(make("span", {}, periodName(period)), " ", make("small", {}, t("groupCount", count(here), count(everybody.length))));
  arrange(list, entries.map((it) => drawEntry(it, date)));
  return group;
}
function paintRoster() {
  const date = page.day ?? today();
  const roster = shown();
  const entries = entriesOf(roster).filter((it) => it.state !== "cancelled");
  const states = new Map(entries.map((it) => [it, standing(it, date)]));
  const here = entries.filter((it) => HERE.includes(states.get(it)));
  const coming = entries.filter((it) => ["booked", "refused"].includes(states.get(it)));
  set("expected", roster ? count(entries.length) : "–");
  set("here", roster ? count(here.length) : "–");
  set("coming", roster ? count(coming.length) : "–");
  $("share").value = entries.length ? here.length / entries.length : 0;
  $("share").setAttribute("aria-label", t("share", here.length, entries.length));
  const chosen = matching({ all: entries, here, coming }[page.show]);
  const periods = [...new Set([...periodCodes(), ...entries.map((it) => it.period)])];
  const groups = periods.map((period) => {
    const of = (list) => list.filter((it) => it.period === period);
    return of(chosen).length ? drawGroup(period, of(chosen), of(entries), date) : null;
  }).filter(Boolean);
  arrange($("groups"), groups);
  put("empty", !roster ? (page.net ? "" : t("loading")) : !entries.length ? t("nobody") : chosen.length ? "" : t("noMatch"));
  put("as-of", roster ? t("asOf", hm(roster.at)) : "");
  const periodsOf = new Map(); // a whole day comes as two half days with one reason
  for (const { period, reason } of roster?.data.closures ?? []) periodsOf.set(reason, [...(periodsOf.get(reason) ?? []), periodName(period)]);
  $("closures").replaceChildren(...[...periodsOf].map(([reason, when]) =>
    make("p", { className: "notice" }, t("closure", when.join(zh() ? "、" : ", "), reason ?? ""))));
  $("other-day").hidden = date === today();
  $("other-day").firstElementChild.textContent = t("notToday", dayName(date));
  if ($("day").value !== date && document.activeElement !== $("day")) $("day").value = date;
}
function pickDay(value) {
  page.day = value && value !== today() ? value : null;
  page.query = $("regno").value = "";
  show();
  if (page.me) refresh();
}

// The outbox, and who was last
const post = outbox.sender(
  () => (page.token && page.me?.site) || null,
  ({ registration_no, date }) => call("POST", "/attendances", { body: { registration_no, date } }),
  (what, attendance, answer) => {
    const { registration_no: no, date, name } = attendance;
    const who = name || spaced(no);
    const isLast = page.last?.no === no && page.last.date === date;
    if (what === "sent" && answer.data.state === "unmatched") {
      page.unmatched.add(`${date}:${no}`);
      polite(t("lastUnmatched", who));
      if (isLast) page.last.what = "unmatched";
      return show();
    }
    if (what === "sent") {
      page.done.add(`${date}:${no}`);
      const roster = page.rosters.get(date);
      const entry = entriesOf(roster).find((it) => it.registration_no === no);
      if (entry) entry.state = "fulfilled";
      if (entry && date === today()) remember("roster", roster);
      if (page.net && !page.net.status) again(Math.random() * 2000); // the network is back
    }
    if (what === "signin") return expired();
    if (isLast) page.last.what = what;
    if (what === "refused") polite(t("lastRefused", who, whyNot(outbox.find(page.me.site, date, no) ?? answer.data)));
    else if (isLast) polite(t(what === "sent" ? "lastSent" : "lastKept", who));
    return show();
  },
);
const whyNot = ({ reason, why }) => (reason === "not-on-roster" ? t("notOnRoster") : why || t("notOnRoster"));
function paintOutbox() {
  const mine = page.me?.site;
  const everything = outbox.everything();
  const waiting = everything.filter((it) => !it.refused);
  const here = waiting.filter((it) => it.site === mine);
  const refused = everything.filter((it) => it.refused && it.site === mine);
  put("signin-note", page.note ? t(page.note) : page.net && page.token ? (page.net.status ? page.net.text : t("offlineSignin")) : "");
  put("signin-kept", waiting.length ? t("keptSignin", waiting.length) : "");
  $("outbox").hidden = !waiting.length;
  $("outbox-details").hidden = !here.length;
  put("outbox-title", here.length ? t("kept", here.length) : "");
  put("outbox-note", here.length ? t(kept() ? "keptMore" : "keptMemory") : "");
  $("outbox-list").replaceChildren(...here.map((it) => make("li", {}, [hm(it.at), it.name, spaced(it.registration_no)].filter(Boolean).join(" · "))));
  put("outbox-other", waiting.length > here.length ? t("keptOther", waiting.length - here.length) : "");
  $("send").hidden = !here.length;
  $("refusals").hidden = !refused.length;
  set("refusals-title", t("refusedTitle", refused.length));
  $("refusals-list").replaceChildren(...refused.map((it) => {
    const button = make("button", { type: "button", className: "quiet dismiss" },
      make("span", {}, t("dismiss"), make("span", { className: "unseen" }, ` ${it.name || ""} ${spaced(it.registration_no)}`)));
    button.onclick = () => {
      outbox.drop(it);
      if (page.last?.no === it.registration_no) page.last = null;
      show();
      aim();
    };
    return make("li", {}, make("p", {}, make("b", {}, it.name || ""), ` ${spaced(it.registration_no)} · ${dayName(it.date)}`),
      make("p", {}, t("refusedWhy", whyNot(it))), button);
  }));
  const { last } = page;
  $("last").className = `notice ${{ sent: "good", refused: "bad" }[last?.what] ?? ""}`;
  put("last", last && last.what !== "refused" ? t({ sent: "lastSent", sending: "lastSending", unmatched: "lastUnmatched" }[last.what] ?? "lastKept", last.name) : "");
}

// Checking in
function ask(entry, date, origin) {
  Object.assign(page, { asked: { entry, date, origin, skipped: $("confirm").open && !$("attended").hidden } });
  paintAsked();
  // What nobody has had time to read cannot be confirmed yet.
  $("attended").setAttribute("aria-disabled", "true");
  clearTimeout(page.guard);
  page.guard = setTimeout(() => $("attended").removeAttribute("aria-disabled"), GUARD_MS);
  if (!$("confirm").open) $("confirm").showModal();
  $("confirm").scrollTop = 0;
  ($("attended").hidden ? $("confirm-close") : $("attended")).focus({ preventScroll: true });
}
function paintAsked() {
  const { entry, date, skipped } = page.asked;
  const { registration_no: no, period } = entry;
  const roster = page.rosters.get(date);
  const state = entry.missing ? "missing" : standing(entry, date);
  const early = date > today();
  const can = !early && (OPEN.includes(state) || state === "refused");
  const elsewhen = isElsewhen(period, hm(now_ms()));
  const warnings = [skipped && t("notDone")];
  if (can) {
    warnings.push(date < today() && t("warnDay", dayName(date)),
      date === today() && elsewhen && t("warnPeriod", periodName(period).toLowerCase()),
      ...(roster?.data.closures ?? []).filter((it) => !it.period || it.period === period).map((it) => t("warnClosed", periodName(it.period))));
  }
  const text = {
    missing: () => ["missing", page.net ? t("missingOffline") : t("missingMore", dayName(date))],
    fulfilled: () => ["already", t("alreadyMore")],
    queued: () => ["already", t("alreadyQueued")],
  }[state]?.() ?? (can ? ["checkFace", ""] : early ? ["future", t("futureMore", dayName(date))] : ["closedState", t("closedStateMore", say(state))]);
  set("confirm-title", t(text[0]));
  set("confirm-name", entry.name ?? spaced(no));
  put("confirm-text", text[1]);
  put("confirm-warn", warnings.filter(Boolean).join(zh() ? "" : " "));
  for (const it of all(".confirm-only")) it.hidden = !can;
  $("confirm").classList.toggle("cannot", !can);
  const facts = entry.missing ? [] : [
    ["period", date === today() ? periodName(period) : `${dayName(date)} ${periodName(period)}`], ["doseLabel", entry.dose && t("doseShort", entry.dose)],
    ["product", entry.product && say(entry.product)], ["phone", entry.phone], ["regno", spaced(no)],
  ];
  $("confirm-facts").hidden = !facts.length;
  $("confirm-facts").replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) =>
    make("div", {}, make("dt", {}, t(name)), make("dd", {}, value))));
}
function attended() {
  if ($("attended").getAttribute("aria-disabled") || !page.asked || !page.me) return;
  const { entry, date } = page.asked;
  const { registration_no, period, name } = entry;
  outbox.put({ registration_no, date, period, name, site: page.me.site, at: now_ms() });
  page.last = { no: registration_no, date, name, what: "sending" };
  page.query = $("regno").value = "";
  $("confirm").close();
  show();
  post.flush();
}
$("attended").onclick = attended;
$("confirm-close").onclick = () => $("confirm").close();
$("confirm").onclose = () => {
  const opener = page.asked?.origin;
  const origin = (opener?.id && $(opener.id)) || opener; // a row may have been drawn anew
  page.asked = null;
  if (!page.me) return;
  if (origin?.isConnected && !origin.hidden) (origin.querySelector("button") ?? origin).focus({ preventScroll: origin === $("regno") });
  else aim();
  if (origin === $("regno")) { origin.select(); note(); }
};
// A hand scanner may go on to the next person while this one is still asked about: its Enter must not confirm.
// Also one that is slow: once digits have come in, Enter confirms nobody until a finger or the Tab key has chosen.
let typed = { text: "", at: 0, any: false };
const chosen = () => { typed.any = false; };
$("confirm").onpointerdown = chosen;
$("confirm").onkeydown = (event) => {
  const now = performance.now();
  if (now - typed.at > SCANNER_GAP_MS) typed.text = "";
  if (/^\d$/.test(event.key)) typed = { text: typed.text + event.key, at: now, any: true };
  else if (event.key === "Tab") chosen();
  else if (event.key === "Enter" && typed.any) {
    event.preventDefault();
    const no = typed.text;
    typed.text = "";
    if (!isRegistrationNo(no)) { put("confirm-warn", t("regnoCheck")); return; }
    chosen();
    $("regno").value = no;
    find(no, $("regno"));
  }
};

/** What the field holds, in words; gives the fault, or "". */
function note() {
  const no = plain($("regno").value);
  page.query = no.length < LENGTH ? no : "";
  const some = no && !/\D/.test(no) ? matching(entriesOf(shown())).length : 0;
  const fault = /\D/.test(no) ? t("regnoDigits") : no.length > LENGTH ? t("regnoLong", no.length - LENGTH)
    : no.length === LENGTH && !isRegistrationNo(no) ? t("regnoCheck") : "";
  const help = !no ? t("regnoHelp") : no.length === LENGTH ? t("regnoGood") : some === 1 ? t("regnoOne") : some ? t("regnoSome", some)
    : shown() ? t("regnoNone") : "";
  tell(fault, help);
  return fault;
}
function tell(fault, help = "") {
  set("regno-note", fault || help);
  $("regno-note").className = fault ? "error" : "hint";
  if (fault) $("regno").setAttribute("aria-invalid", "true"); else $("regno").removeAttribute("aria-invalid");
}
function fail(text) {
  tell(text);
  polite(text);
  $("regno").focus();
  $("regno").select(); // so that the next scan takes its place
}
async function find(no, origin) {
  const date = page.day ?? today();
  const here = () => entriesOf(page.rosters.get(date));
  if (no.length < LENGTH) {
    const some = here().filter((it) => it.registration_no.endsWith(no) || it.registration_no.startsWith(no));
    if (some.length === 1) return ask(some[0], date, origin);
    return fail(some.length ? t("regnoMany", some.length) : t("regnoNone"));
  }
  const same = (it) => it.registration_no === no;
  let entry = here().find(same);
  if (!entry) { // booked since the roster was read?
    tell("", t("looking"));
    await refresh();
    if (!page.me) return null;
    entry = here().find(same);
  }
  return ask(entry ?? { registration_no: no, missing: true }, date, origin);
}
$("find").onsubmit = (event) => {
  event.preventDefault();
  const no = plain($("regno").value);
  const fault = no ? note() : t("regnoEmpty");
  if (fault) fail(fault); else find(no, $("regno"));
};
$("regno").oninput = () => {
  const fault = note();
  if (fault) polite(fault);
  paintRoster();
};

// The camera
function offerScan() {
  page.scanWhy = hindrance();
  $("scan").hidden = Boolean(page.scanWhy);
}
$("scan").onclick = async () => {
  const stop = new AbortController();
  page.stopScan = stop;
  set("camera-note", t("scanFirst"));
  $("camera").showModal();
  let no = null;
  try {
    no = await scan($("video"), stop.signal, (text) => {
      if (isRegistrationNo(plain(text))) return true;
      set("camera-note", t("scanOdd"));
      return false;
    });
    page.scanWhy = null;
  } catch (error) {
    page.scanWhy = failure(error);
    polite(t(page.scanWhy));
  }
  $("camera").close();
  paint();
  if (no === null) return;
  navigator.vibrate?.(60);
  find(plain(no), $("scan"));
};
$("camera-close").onclick = () => $("camera").close();
$("camera").onclose = () => page.stopScan?.abort();

// Closing the site
function closingStep(step) {
  for (const it of ["ask", "sure", "done"]) $(`closing-${it}`).hidden = it !== step;
  put("closing-error", "");
  put("sure-error", "");
  if (step === "ask") {
    page.closing = null;
    unmarkClosing();
    $("closing-date").min = today();
    if (!$("closing-date").value) $("closing-date").value = page.day && page.day > today() ? page.day : today();
  }
  const head = $(`closing-${step}`).querySelector("h2");
  scrollTo(0, 0);
  if (page.view === "closing") focusOn(head);
}
const CLOSING = ["closing-date", "closing-reason"];
function closingFault(id) {
  const value = $(id).value.trim();
  return !value ? t("required") : id === "closing-date" && value < today() ? t("past") : "";
}
function unmarkClosing() {
  put("closing-error", "");
  for (const it of CLOSING.map($)) {
    it.removeAttribute("aria-invalid");
    it.removeAttribute("aria-describedby");
  }
}
// What is told goes once it is mended; what the server said, once anything is changed.
$("closing-form").oninput = () => {
  const wrong = CLOSING.find((id) => $(id).hasAttribute("aria-invalid"));
  if (!wrong || !closingFault(wrong)) unmarkClosing();
};
// The choice of a part of the day, before the whole of it; drawn anew it stays chosen.
function paintPeriods() {
  const drawn = JSON.stringify([lang, page.me.periods]);
  if ($("whole-day").drawn === drawn) return;
  const chosen = new FormData($("closing-form")).get("period");
  for (const it of all("#closing-form .period")) it.remove();
  $("whole-day").before(...periodCodes().map((code) => make("label", { className: "period" },
    make("input", { type: "radio", name: "period", value: code, checked: code === chosen }), make("span", {}, periodName(code)))));
  $("whole-day").drawn = drawn;
}
const within = (period) => (it) => !period || it.period === period;
$("closing-form").onsubmit = async (event) => {
  event.preventDefault();
  const { date, period, reason } = Object.fromEntries(new FormData(event.target));
  unmarkClosing();
  const wrong = CLOSING.find(closingFault);
  if (wrong) {
    put("closing-error", closingFault(wrong));
    $(wrong).setAttribute("aria-invalid", "true");
    $(wrong).setAttribute("aria-describedby", "closing-error");
    $(wrong).focus();
    return;
  }
  $("closing-next").setAttribute("aria-disabled", "true");
  await post.flush();
  const answer = await call("GET", `/sites/${encodeURIComponent(page.me.site)}/roster?date=${date}`);
  $("closing-next").removeAttribute("aria-disabled");
  if (!page.me || page.view !== "closing") return;
  if (answer.status === 401) { expired(); return; }
  const waiting = outbox.everything().filter((it) => it.site === page.me.site && it.date === date && !it.refused && within(period)(it)).length;
  if (!answer.ok || !Array.isArray(answer.data.entries)) { put("closing-error", answer.data.detail ?? t("needsNet")); return; }
  if (waiting) { put("closing-error", t("pendingFirst", waiting)); return; }
  page.rosters.set(date, { data: answer.data, at: now_ms() });
  const touched = answer.data.entries.filter(within(period));
  closingStep("sure");
  page.closing = {
    body: { date, period: period || null, reason: reason.trim() },
    back: touched.filter((it) => it.state === "booked").length, here: touched.filter((it) => it.state === "fulfilled").length,
  };
  paintClosing();
  polite(`${$("sure-title").textContent} ${$("sure-many").textContent}`);
};
function paintClosing() {
  if (!page.closing) return;
  const { body, back, here, sent_back: sent } = page.closing;
  const when = [dayName(body.date), periodName(body.period)];
  set("sure-title", t("sureTitle", ...when));
  set("sure-many", back ? t("sureMany", count(back)) : t("sureNone"));
  put("sure-arrived", here ? t("sureArrived", count(here)) : "");
  set("sure-reason", t("sureReason", body.reason));
  set("closing-go", t("close"));
  set("done-title", t("doneTitle", ...when));
  set("done-many", sent ? t("doneMany", count(sent)) : t("doneNone"));
}
$("closing-go").onclick = async () => {
  if ($("closing-go").getAttribute("aria-disabled") || !page.closing) return;
  $("closing-go").setAttribute("aria-disabled", "true");
  put("sure-error", "");
  const { closing, me } = page;
  const { ok, status, data } = await call("POST", `/sites/${encodeURIComponent(me.site)}/closures`, { body: closing.body });
  $("closing-go").removeAttribute("aria-disabled");
  if (page.closing !== closing) return;
  if (status === 401) { // this token's end, or only not a manager's?
    if ((await identify()).status !== 401) put("sure-error", t("needsManager"));
    return;
  }
  if (!ok) { put("sure-error", status ? data.errors?.map((it) => it.message).join(" ") || data.detail || t("busy") : t("perhaps")); return; }
  closing.sent_back = data.sent_back;
  $("closing-form").reset();
  paintClosing();
  closingStep("done");
  polite($("done-many").textContent);
  refresh();
};
$("closing-back").onclick = () => closingStep("ask");

// Everything that is told in words, at once
function paint() {
  document.title = [page.me && nameOf(page.me), t("title")].filter(Boolean).join(" · ");
  paintOutbox();
  put("scan-why", page.scanWhy ? t(page.scanWhy) : "");
  if (!page.me) return;
  set("site", nameOf(page.me));
  set("me", t("until", say(page.me.role), page.me.expires_at ? dayName(local(Date.parse(page.me.expires_at)).slice(0, 10)) : "–"));
  $("to-closing").hidden = page.me.role !== "manager";
  const { net } = page;
  $("net").hidden = !net;
  $("net").firstElementChild.textContent = net ? (net.status ? net.text : t(shown() ? "offline" : "offlineEmpty")) : "";
  $("net").lastElementChild.textContent = net && shown() ? t("offlineRoster", hm(shown().at)) : "";
  if (!$("regno").matches("[aria-invalid]")) note();
  paintRoster();
  paintPeriods();
  paintClosing();
  if (page.asked) paintAsked();
}

// Wiring
async function start() {
  show();
  if (page.me) post.soon(2000);
  await refresh();
}
$("language").onclick = () => {
  lang = zh() ? "en" : "zh";
  setting("language", lang);
  speak();
  paint();
};
$("large").onclick = () => {
  const on = !document.documentElement.dataset.large;
  enlarge(on);
  setting("large", on || null);
};
$("day").onchange = ({ target }) => pickDay(target.value);
$("today").onclick = () => { pickDay(null); $("day").focus(); };
for (const it of all("[name=show]")) it.onchange = () => { page.show = it.value; paintRoster(); };
$("send").onclick = () => post.flush();
$("signout").onclick = () => {
  const waiting = outbox.everything().filter((it) => it.site === page.me.site && !it.refused).length;
  if (!waiting) return signOut();
  set("leave-text", t("leaveKept", waiting));
  return $("leave").showModal();
};
$("leave-go").onclick = signOut;
$("leave-close").onclick = () => $("leave").close();
addEventListener("hashchange", () => { if (tokenFromLink()) start(); else show(); });
addEventListener("online", () => {
  if (!page.token) return;
  post.soon(3000);
  again(Math.random() * 3000);
});
addEventListener("storage", () => { // another tab of this page
  if (page.token && !recall("token")) leave("signedOut"); else paint();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(page.timer);
    $("camera").close();
  } else if (page.token) {
    again(Math.max(Math.random() * 1000, page.due - performance.now()));
    tick();
  }
});
// The day turns over by the clock, not by an answer: yesterday's roster is not shown as today's.
let day = today();
function tick() {
  const slept = nap();
  if (slept) page.identified = undefined; // what time is it really?
  if (document.hidden || !page.token || !page.me || (!slept && day === today())) return;
  day = today();
  if (page.day === day) page.day = null;
  paint();
  again(Math.random() * 1000);
}
everySecond(tick);

const linked = tokenFromLink();
page.token ??= recall("token");
if (page.token && !linked) page.me = recall("me");
const cached = page.me && recall("roster");
if (cached?.data?.site === page.me?.site && cached?.data?.date === today()) page.rosters.set(today(), cached);
else forget("roster");
for (const id of ["language", "large"]) $(id).hidden = false;
enlarge(Boolean(setting("large")));
speak();
offerScan();
navigator.serviceWorker?.register("/staff-worker.js", { scope: "/staff" }).catch(() => { /* the page works without */ });
if (page.token) start(); else show();
