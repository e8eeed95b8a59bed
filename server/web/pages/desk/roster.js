// The roster, asked for again and again, and the attendances on their way to it.

import * as outbox from "../staff-outbox.js";
import { spaced } from "../staff-number.js";
import { kept, remember } from "../staff-store.js";
import {
  $, aim, call, count, dayName, hm, lang, make, now_ms, on, page, periodCodes, periodName, polite, put, say, set, show, t, today, zh,
} from "./base.js";
import { expired, identify } from "./session.js";

const REFRESH_MS = 30_000;
const IDENTIFY_EVERY_MS = 600_000;
const LONGEST_WAIT_MS = 300_000;
const UNDO_MS = 600_000; // the server decides; its next roster says so
export const OPEN = ["booked", "noshow"]; // what the desk may still check in
const HERE = ["fulfilled", "queued", "unmatched"];

/** Whether a desk's mark can still be taken back. */
export const isUndoable = (entry) => Date.parse(entry?.undo_before) > now_ms();

// The roster
export const shown = () => page.rosters.get(page.day ?? today());
export const entriesOf = (roster) => roster?.data.entries ?? [];
export function standing({ registration_no: no, state }, date) {
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
export async function refresh() {
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
export function again(wait_ms) {
  page.due = performance.now() + wait_ms;
  clearTimeout(page.timer);
  if (!document.hidden && page.token) page.timer = setTimeout(refresh, wait_ms);
}

export function matching(entries) {
  const { query } = page;
  return query && !/\D/.test(query) ? entries.filter(({ registration_no: no }) => no.endsWith(query) || no.startsWith(query)) : entries;
}
const details = ({ phone, product, dose }) => [phone, product && say(product), dose && t("dose", dose)].filter(Boolean)
  .flatMap((it) => [make("span", {}, it), " "]);
const badge = (state) => make("span", { className: `badge ${/^[a-z]+$/.test(state) ? state : ""}` }, say(state));
function drawEntry(entry, date) {
  const state = standing(entry, date);
  const can = date <= today() && (OPEN.includes(state) || state === "refused");
  const undoable = state === "fulfilled" && isUndoable(entry);
  const drawn = JSON.stringify([entry, state, can, undoable, lang]);
  const before = document.getElementById(`e${entry.registration_no}`);
  if (before?.drawn === drawn) return before;
  const it = make("li", { id: `e${entry.registration_no}`, className: `entry ${HERE.includes(state) ? "is-here" : ""}`, tabIndex: -1 },
    make("p", { className: "who" }, make("b", {}, entry.name), badge(state)),
    make("p", { className: "regno" }, spaced(entry.registration_no.slice(0, -5)), " ", make("b", {}, entry.registration_no.slice(-5))),
    make("p", { className: "hint details" }, ...details(entry)));
  if (can || undoable) {
    const more = make("span", { className: "unseen" }, ` ${t("who", entry.name, entry.registration_no.slice(-5))}`);
    const button = make("button", { type: "button", className: `quiet ${can ? "check-in" : "take-back"}` }, make("span", {}, t(can ? "checkIn" : "undo"), more));
    button.onclick = () => on.ask(entry, date, it);
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
export function paintRoster() {
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
export function pickDay(value) {
  page.day = value && value !== today() ? value : null;
  page.query = $("regno").value = "";
  show();
  if (page.me) refresh();
}

// The outbox, and who was last
export const post = outbox.sender(
  () => (page.token && page.me?.site) || null,
  ({ registration_no, date, holder }) => call("POST", "/attendances", { body: { registration_no, date, holder: holder ?? undefined } }),
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
      if (entry) Object.assign(entry, { state: "fulfilled", undo_before: new Date(Date.parse(answer.data.at) + UNDO_MS).toISOString() });
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
export function paintOutbox() {
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
on.entered = () => post.soon(2000);
