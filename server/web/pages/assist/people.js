// Many residents side by side: each is joined, followed, claimed and registered by the calls that a resident's own page
// would make, in its own time. Nobody is earlier for being helped: the server gives each an entry like anyone's.

import { spaced } from "../staff-number.js";
import { $, call, count, districtName, hm, make, now_ms, on, page, paint, polite, put, set, store, t, whyNot } from "./base.js";
import { printSlip } from "./slip.js";

const AT_ONCE = 4;
const LOOK_MS = 250;
const LONGEST_WAIT_S = 60;
const OVER = ["done", "failed", "missed", "left", "ended"];
export const isOver = ({ state }) => OVER.includes(state);
export const masked = (name) => (name ? `${[...name][0]}*` : "*");

/** What the device keeps of somebody: no papers, and no whole name. */
export function keepPerson(it) {
  const { key, label, district, wishes, ticket, pass, state, number, receipt } = it;
  store.remember(`person:${key}`, { key, label, district, wishes, ticket, pass, state, number, receipt });
}
export function drop(it) {
  page.people.delete(it.key);
  store.forget(`person:${it.key}`);
  paint();
}
export function add(it) {
  page.people.set(it.key, it);
  keepPerson(it);
  paint();
}
export function recallPeople() {
  for (const key of store.keys("person:").sort()) { // keys begin with when they were added; a browser lists them in no order
    const it = store.recall(key);
    // Who had not joined yet is not known any more: their papers are kept nowhere.
    if (it?.ticket || it?.receipt) page.people.set(it.key, { ...it, due: 0 });
    else store.forget(key);
  }
}

/** Joins; what came of it, for who is being typed in and for who waits for the opening alike. */
export const join = ({ district, papers }) => call("POST", `/assist/openings/${encodeURIComponent(district)}/tickets`, { body: papers });
export function joined(it, data) {
  Object.assign(it, { ticket: data.ticket, why: "", tries: 0 });
  followTicket(it, data);
}
function followTicket(it, data) {
  const { state, number, ahead, eta_low_seconds: low, eta_high_seconds: high, poll_after_seconds: after } = data;
  Object.assign(it, { state, number, ahead, low, high, ticket: data.ticket ?? it.ticket, due: now_ms() + (after ?? 5) * 1000 });
  if (state === "ready") it.due = 0;
  keepPerson(it);
}
/** Somebody who cannot join yet: when the opening begins, at a moment of the draw that chance chooses, or when told. */
export function later(it, { data, after_s }) {
  const opens_ms = Date.parse(data.opens_at);
  const draw_ms = (page.city?.draw_seconds ?? 0) * 1000;
  it.state = opens_ms ? "queued" : "trying";
  it.opens_at = opens_ms || null;
  it.due = opens_ms ? opens_ms + 500 + Math.random() * Math.max(0, draw_ms - 5000) : now_ms() + backOff(it, after_s);
}
function backOff(it, after_s) {
  it.tries = (it.tries ?? 0) + 1;
  return Math.max((after_s || 0) * 1000, Math.min(LONGEST_WAIT_S, 2 ** it.tries) * 1000) * (1 + Math.random() / 2);
}
export const isLater = ({ status }) => status === 0 || status === 425 || status === 429 || status >= 500;

const fail = (it, answer, state = "failed") => Object.assign(it, { state, why: whyNot(answer) });
async function step(it) {
  if (it.leaving) return;
  if (!it.ticket) {
    const answer = await join(it);
    if (answer.ok) joined(it, answer.data); else if (isLater(answer)) later(it, answer); else fail(it, answer);
  } else if (it.pass) await register(it);
  else if (it.state === "ready" || it.state === "claimed") await claim(it);
  else {
    const answer = await call("GET", "/ticket", { token: it.ticket });
    if (answer.ok) followTicket(it, answer.data); else if (isLater(answer)) it.due = now_ms() + backOff(it, answer.after_s); else fail(it, answer);
  }
  keepPerson(it);
}
async function claim(it) {
  const answer = await call("POST", "/assist/passes", { body: { ticket: it.ticket } });
  if (answer.ok) Object.assign(it, { pass: answer.data.pass, state: "claimed", due: 0 });
  else if (isLater(answer)) Object.assign(it, { due: now_ms() + backOff(it, answer.after_s), state: answer.status === 425 ? "waiting" : it.state });
  else fail(it, answer, answer.data.code === "expired" ? "missed" : "failed");
}
async function register(it) {
  const answer = await call("POST", "/assist/registrations", { body: { pass: it.pass, ...it.wishes } });
  if (answer.ok) {
    const { registration_no: no, registered_at: at, receipt_qr_svg_url: qr } = answer.data;
    Object.assign(it, { state: "done", receipt: { no, at, qr } });
    polite(t("saidDone", it.name ?? it.label, spaced(no)));
  } else if (isLater(answer)) it.due = now_ms() + backOff(it, answer.after_s);
  else fail(it, answer, answer.data.code === "expired" ? "missed" : "failed");
}

/** Looks after whoever is due, a few at a time. */
export function attend() {
  if (!page.token || !page.me) return;
  const busy = [...page.people.values()].filter((it) => it.busy).length;
  const due = [...page.people.values()].filter((it) => !it.busy && !isOver(it) && !(it.due > now_ms())).sort((a, b) => (a.due || 0) - (b.due || 0));
  for (const it of due.slice(0, AT_ONCE - busy)) {
    it.busy = true;
    step(it).finally(() => { it.busy = false; paint(); });
  }
}
setInterval(attend, LOOK_MS);

// Screen
const span = (seconds) => Math.max(1, Math.round(seconds / 60));
function told(it) {
  if (it.state === "done") return t("toldDone");
  if (it.state === "queued") return t("toldQueued", hm(it.opens_at));
  if (it.state === "waiting" && it.ahead !== null) {
    const wait = it.low !== null && it.high !== null && it.low !== undefined ? ` ${t("toldWait", span(it.low), span(it.high))}` : "";
    return t("toldAhead", count(it.ahead ?? 0)) + wait;
  }
  return t(`told-${it.state}`) || it.why || "";
}
function button(word, act, it, className = "quiet") {
  const more = make("span", { className: "unseen" }, ` ${it.name ?? it.label}`);
  return make("button", { type: "button", className, onclick: () => act(it) }, make("span", {}, t(word), more));
}
function drawPerson(it) {
  const text = JSON.stringify([it.state, it.number, it.ahead, it.low, it.why, it.receipt?.no, it.name, document.documentElement.lang, Boolean(it.papers)]);
  const before = document.getElementById(`p-${it.key}`);
  if (before?.drawn === text) return before;
  const buttons = [];
  if (it.state === "done") buttons.push(button("print", printSlip, it, ""));
  if (it.papers && (it.state === "failed" || it.state === "missed")) buttons.push(button("correct", on.correct, it));
  if (!isOver(it)) buttons.push(button("giveUp", on.giveUp, it)); else buttons.push(button("remove", drop, it));
  const big = it.receipt ? spaced(it.receipt.no) : it.number ? t("number", count(it.number)) : "";
  const drawn = make("li", { id: `p-${it.key}`, className: `person ${it.state}`, tabIndex: -1 },
    make("h3", {}, make("span", {}, it.name ?? it.label), make("span", { className: "badge" }, t(it.state))),
    make("p", { className: "hint" }, districtName(it.district)));
  if (big) drawn.append(make("p", { className: "big" }, big));
  drawn.append(make("p", {}, [told(it), it.state === "done" ? "" : it.why].filter((text, i, them) => text && them.indexOf(text) === i).join(" ")));
  drawn.append(make("p", { className: "buttons" }, ...buttons));
  drawn.drawn = text;
  return drawn;
}
export function paintPeople() {
  const people = [...page.people.values()].reverse(); // the latest where the eye is
  const focused = document.activeElement?.closest?.("li.person")?.id;
  const drawn = people.map(drawPerson);
  const list = $("people");
  if (list.children.length !== drawn.length || drawn.some((it, i) => list.children[i] !== it)) {
    list.replaceChildren(...drawn);
    const it = focused && document.getElementById(focused);
    if (it && !it.contains(document.activeElement)) (it.querySelector("button") ?? it).focus({ preventScroll: true });
  }
  const done = people.filter((it) => it.state === "done").length;
  $("empty").hidden = people.length > 0;
  set("counts", people.length ? t("counts", people.length, done) : "");
  $("clear").hidden = !people.some(isOver);
  put("net", page.net);
}
