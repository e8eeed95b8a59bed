// When and whom the places in line ask, one tab at a time: the public answer on their opening, which serves a whole family,
// while their turn is far; a worker when they are called, when something is odd, and where there is no such answer.

import {
  LIVE, WAIT, bring, call, check, clock, closing, keepLook, kit, lastLook, limit_ms, now_ms, page, paint, patience_ms, places, polite, recall,
  remember, t, troubles, until_ms,
} from "../app.js";
import { ring } from "./bell.js";

const LEASE_MS = 5000; // more than a request may take
const FAR_S = 600;
const NEAR_S = 300;
const READY_MS = 60_000; // somebody who is called knows until when; what may change is that it is later
const SHUT_SPREAD_MS = 60_000; // everybody who waits when the window closes asks once more, not at once
const shut_ms = 1000 + Math.random() * SHUT_SPREAD_MS;
const asking = new Map(); // by place, and by district: how often it has failed
const tab_ms = Math.random() * 700; // so that two tabs do not wake at once

// When to ask: as told; a hidden page that is far from its turn waits until it is near.
function due_ms(it) {
  const far = document.hidden && it.state === "waiting" && it.eta_seconds !== null && it.eta_seconds > FAR_S; // null: in a pause, nobody knows
  const near_ms = it.seen + (it.eta_seconds - NEAR_S) * 1000;
  const told_ms = (far ? Math.max(it.due, near_ms) : it.due) + tab_ms;
  const shut_at = Date.now() + closing(it) - now_ms(); // by the device's clock, as all here
  return it.due - it.wait_ms < shut_at ? Math.min(told_ms, shut_at + shut_ms) : told_ms;
}
const isDue = (it) => LIVE.includes(it.state) && Date.now() >= due_ms(it);
// Whether the public answer is enough: it tells what is needed (an old server's knows no `wait`).
export function waitsAlone(it) {
  const { wait } = lastLook(it.district) ?? {};
  return wait !== undefined && Boolean(kit.wait) && !it.ask && ["drawing", "waiting"].includes(it.state) && it.entry >= 0;
}
export function look() {
  if (navigator.onLine === false || !page.city) return;
  kit.verify?.look();
  for (const it of places()) {
    // A device whose clock was set back must not wait for ever.
    if (it.due > Date.now() + it.wait_ms + 1000) later({ ...it, seen: Math.min(it.seen, Date.now()) }, it.wait_ms);
    if (LIVE.includes(it.state)) bring("wait");
    if (it.number && it.entry < lastLook(it.district)?.draw?.entries) bring("verify"); // on a second device as well
    if (it.state === "drawing" && !it.spread && waitsAlone(it)) spread(it);
    if (!isDue(it)) continue;
    if (waitsAlone(it)) lookAt(it.district); else poll(it.key);
  }
}
// When the draw is over its entries look one after another, as fast as the public answer can be given.
function spread(it) {
  const { opens_at, draw, wait } = lastLook(it.district);
  const numbers_at = draw.numbers_at ? Date.parse(draw.numbers_at) : Date.parse(opens_at) + draw.seconds * 1000;
  const left_ms = numbers_at - now_ms();
  if (wait && left_ms > 0) later({ ...it, spread: true }, left_ms + (it.entry * 1000) / wait.look.per_second + Math.random() * 1000);
}
export const keep = (it) => remember(`place:${it.key}`, it);
const later = (it, wait_ms) => keep({ ...it, due: Date.now() + wait_ms, wait_ms });
// One tab at a time; who comes second finds the answer, or the lease of the first, in the store.
async function alone(key, task) {
  const mine = asking.get(key) ?? { tries: 0 };
  if (mine.on) return;
  asking.set(key, mine);
  mine.on = true;
  try {
    if (navigator.locks) await navigator.locks.request(`jiaohao:${key}`, { ifAvailable: true }, (lock) => lock && task(mine));
    else await task(mine);
  } finally {
    mine.on = false;
    wake();
  }
}
const poll = (key) => alone(key, async (mine) => {
  const it = recall(`place:${key}`);
  if (!it || Date.now() < due_ms(it)) return;
  const most_ms = limit_ms(mine.tries + 1);
  later(it, most_ms + LEASE_MS);
  take(key, await call("GET", "/ticket", { token: it.ticket, limit_ms: most_ms }), mine);
});
const lookAt = (code) => alone(`look:${code}`, async (mine) => {
  const due = places().filter((it) => it.district === code && waitsAlone(it) && isDue(it));
  if (!due.length) return;
  const most_ms = limit_ms(mine.tries + 1);
  for (const it of due) later(it, most_ms + LEASE_MS);
  const answer = await call("GET", `/openings/${code}`, { limit_ms: most_ms });
  const after_ms = failed(answer, mine);
  if (answer.ok && !after_ms) {
    keepLook(answer.data);
    if (page.district?.code === code && page.opening) page.opening = answer.data;
  }
  const all = after_ms || !answer.ok ? due : places().filter((it) => it.district === code && waitsAlone(it)); // one look for a family
  for (const { key } of all) {
    const it = recall(`place:${key}`);
    if (!it) continue;
    if (after_ms) hold(it, answer, mine, after_ms); else if (follow(it, answer)) poll(key);
  }
});
// Is there word from the operator? Where a worker is asked and nothing has moved, the opening is looked at: once for each of
// a worker's answers, by one tab. The other sees that in the store, and must not take it for another reason to look.
export const unheard = (it) => it.idle && it.heard !== it.seen && !waitsAlone(it);
export const hear = ({ key, district }) => alone(`hear:${district}`, async () => {
  const it = recall(`place:${key}`);
  if (!it || !unheard(it)) return;
  keep({ ...it, heard: it.seen });
  const { ok, data } = await call("GET", `/openings/${district}`);
  if (!ok) return; // with the next answer
  keepLook(data);
  if (page.district?.code === district && page.opening) page.opening = data;
});
// Takes over what a public answer says; whether a worker is to be asked.
function follow(it, { ok, data }) {
  troubles.delete(it.key);
  const { after_s, ask, ...news } = ok ? kit.wait.standing(it, data) : { ask: "once" };
  if (ask) later({ ...it, ask }, -tab_ms); // at once
  else came(it, news, after_s * 1000);
  return Boolean(ask);
}
// How long to leave a server alone that could not answer; 0 where it has.
function failed(answer, mine) {
  if (!WAIT(answer) && answer.data.code !== "maintenance") { mine.tries = 0; return 0; }
  mine.tries += 1;
  return patience_ms(mine.tries, answer.after_s);
}
function hold(it, { status, data }, mine, wait_ms) {
  const text = status ? data.detail ?? t("busy") : t("offlineKept");
  troubles.set(it.key, { status, text, due: performance.now() + wait_ms });
  if (mine.tries === 1) polite(text);
  later(it, wait_ms);
}
function take(key, answer, mine) {
  const was = recall(`place:${key}`);
  if (!was) return troubles.delete(key); // given up meanwhile
  const { ok, data } = answer;
  const after_ms = failed(answer, mine);
  if (after_ms) return hold(was, answer, mine, after_ms);
  troubles.delete(key);
  if (!ok) return keep({ ...was, ...ending(data), due: null });
  const told_ms = data.poll_after_seconds * 1000;
  const { eta_low_seconds: low, eta_high_seconds: high } = data;
  data.turn = low >= 0 && high >= 0 && data.eta_seconds !== null ? [low, high].map((seconds) => now_ms() + seconds * 1000) : null;
  const left_ms = data.state === "ready" && data.claim_before ? until_ms(data.claim_before) : 0;
  return came({ ...was, ask: was.ask === "once" ? undefined : was.ask }, data, Math.max(told_ms, Math.min(READY_MS, left_ms / 3)));
}
// The times between which somebody is called, as they are shown: whole minutes, rounded outwards.
const MINUTE_MS = 60_000;
export const between = ({ turn: [from, to] }) => [clock(Math.floor(from / MINUTE_MS) * MINUTE_MS), clock(Math.ceil(to / MINUTE_MS) * MINUTE_MS)];
export const isNear = ({ turn }) => !turn || turn[1] - now_ms() < 2 * MINUTE_MS;
// A screen reader hears of another time where it is another one, not at each look.
function hasMoved({ turn, toldTurn }) {
  if (!turn || !toldTurn) return false;
  const [middle, before] = [turn, toldTurn].map(([from, to]) => (from + to) / 2);
  return Math.abs(middle - before) > Math.max(2 * MINUTE_MS, 0.2 * (before - now_ms()));
}
function came(was, news, wait_ms) {
  const it = { ...was, ...news, seen: Date.now() };
  if (was.state === "drawing" && it.number) it.drawn = true;
  if (it.state === "waiting") {
    it.from = Math.max(it.from ?? 0, it.ahead, 1);
    if (!(it.ahead > it.told / 2) || hasMoved(it)) {
      Object.assign(it, { told: it.ahead, toldTurn: it.turn });
      if (page.key === it.key) polite(t("told", it.number, it.ahead) + (isNear(it) ? "" : t("toldTurn", ...between(it))));
    }
  }
  if (it.state === "ready" && was.state !== "ready") ring(it);
  it.idle = was.state === it.state && was.serving === it.serving;
  later(it, wait_ms);
}
export function ending({ code, state, title, detail }) {
  const over = code === "expired" ? state : ["used", "ended"].includes(code) ? code : null;
  return { state: over ?? "over", title, detail };
}

// The flow wakes when a place has changed, in this tab or in another.
let sleepers = [];
export function wake() {
  const all = sleepers;
  sleepers = [];
  for (const it of all) it();
}
addEventListener("storage", wake);
export const change = (mine) => new Promise((resolve) => { sleepers.push(resolve); }).then(() => check(mine));

document.addEventListener("visibilitychange", () => { if (!document.hidden) { look(); wake(); paint(); } });
addEventListener("online", () => {
  for (const it of places()) if (troubles.get(it.key)?.status === 0) keep({ ...it, due: Date.now() + troubles.get(it.key).due - performance.now() });
});
// A page that goes away in the middle of a question gives the lease back.
addEventListener("pagehide", () => {
  const isAsked = (it) => asking.get(it.key)?.on || (waitsAlone(it) && asking.get(`look:${it.district}`)?.on);
  for (const it of places()) if (isAsked(it)) later(it, 1000);
});
