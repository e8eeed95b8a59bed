// The places in line: each is asked about when the server said, by one tab; and what the holder of a place sees.

import {
  $, LIVE, PAINT, WAIT, all, ask, call, check, clock, closing, count, countdown, day, eta_s, go, insist, kit, labelOf, lasts, limit_ms, load,
  now_ms, page, paint, patience_ms, places, polite, read, receipts, recall, remember, run, set, show, span, sure, t, teach,
  today, troubles, until_ms, when, zh,
} from "./app.js";
import WORDS from "./words/queue.js";

teach(WORDS);

const LEASE_MS = 5000; // more than a request may take
const FAR_S = 600;
const NEAR_S = 300;
const SHUT_SPREAD_MS = 60_000; // everybody who waits when the window closes asks once more, not at once
const shut_ms = 1000 + Math.random() * SHUT_SPREAD_MS;
const asking = new Map(); // by place: how often it has failed
const tab_ms = Math.random() * 700; // so that two tabs do not wake at once

// When to ask: as told; a hidden page that is far from its turn waits until it is near.
function due_ms(it) {
  const far = document.hidden && it.state === "waiting" && it.eta_seconds !== null && it.eta_seconds > FAR_S; // null: in a pause, nobody knows
  const near_ms = it.seen + (it.eta_seconds - NEAR_S) * 1000;
  const told_ms = (far ? Math.max(it.due, near_ms) : it.due) + tab_ms;
  const shut_at = Date.now() + closing(it) - now_ms(); // by the device's clock, as all here
  return it.due - it.wait_ms < shut_at ? Math.min(told_ms, shut_at + shut_ms) : told_ms;
}
function look() {
  const open = page.city && mineNow();
  if (open && ["queue", "ready"].includes(page.view) && past(open)) wake(); // the day has turned under it
  if (navigator.onLine === false || !page.city) return;
  for (const it of places()) {
    // A device whose clock was set back must not wait for ever.
    if (it.due > Date.now() + it.wait_ms + 1000) later({ ...it, seen: Math.min(it.seen, Date.now()) }, it.wait_ms);
    if (LIVE.includes(it.state) && !asking.get(it.key)?.on && Date.now() >= due_ms(it)) poll(it.key);
  }
}
const keep = (it) => remember(`place:${it.key}`, it);
const later = (it, wait_ms) => keep({ ...it, due: Date.now() + wait_ms, wait_ms });
// One tab at a time; who comes second finds the answer, or the lease of the first, in the store.
async function poll(key) {
  const mine = asking.get(key) ?? { tries: 0 };
  asking.set(key, mine);
  mine.on = true;
  const task = async () => {
    const it = recall(`place:${key}`);
    if (!it || Date.now() < due_ms(it)) return;
    const most_ms = limit_ms(mine.tries + 1);
    later(it, most_ms + LEASE_MS);
    take(key, await call("GET", "/ticket", { token: it.ticket, limit_ms: most_ms }), mine);
  };
  try {
    if (navigator.locks) await navigator.locks.request(`jiaohao:${key}`, { ifAvailable: true }, (lock) => lock && task());
    else await task();
  } finally {
    mine.on = false;
    wake();
  }
}
function take(key, answer, mine) {
  const was = recall(`place:${key}`);
  if (!was) return troubles.delete(key); // given up meanwhile
  const { ok, status, data, after_s } = answer;
  if (WAIT(answer) || data.code === "maintenance") {
    mine.tries += 1;
    const wait_ms = patience_ms(mine.tries, after_s);
    const text = status ? data.detail ?? t("busy") : t("offlineKept");
    troubles.set(key, { status, text, due: performance.now() + wait_ms });
    if (mine.tries === 1) polite(text);
    return later(was, wait_ms);
  }
  mine.tries = 0;
  troubles.delete(key);
  if (!ok) return keep({ ...was, ...ending(data), due: null });
  const it = { ...was, ...data, seen: Date.now() };
  if (was.state === "drawing" && it.number) it.drawn = true;
  if (it.state === "waiting") {
    it.from = Math.max(it.from ?? 0, it.ahead, 1);
    if (!(it.ahead > it.told / 2)) {
      it.told = it.ahead;
      if (page.key === key) polite(t("told", it.number, it.ahead));
    }
  }
  if (it.state === "ready" && was.state !== "ready") ring(it);
  it.idle = was.state === it.state && was.serving === it.serving;
  return later(it, data.poll_after_seconds * 1000);
}
function ending({ code, state, title, detail }) {
  const over = code === "expired" ? state : ["used", "ended"].includes(code) ? code : null;
  return { state: over ?? "over", title, detail };
}

// The flow wakes when a place has changed, in this tab or in another.
let sleepers = [];
function wake() {
  const all = sleepers;
  sleepers = [];
  for (const it of all) it();
}
addEventListener("storage", wake);
const change = (mine) => new Promise((resolve) => { sleepers.push(resolve); }).then(() => check(mine));

// A called relative is told by a sound too, where the browser allows it.
let sound;
addEventListener("pointerdown", () => {
  const Audio = window.AudioContext ?? window.webkitAudioContext;
  if (!sound && Audio) try { sound = new Audio(); } catch { /* none */ }
  sound?.resume?.().catch(() => {});
});
function ring(it) {
  polite(t("turnOf", labelOf(it)));
  navigator.vibrate?.([300, 150, 300]);
  if (sound?.state !== "running") return;
  [[0, 660], [0.35, 880], [0.7, 660]].forEach(([at_s, hertz]) => {
    const tone = sound.createOscillator();
    const gain = sound.createGain();
    const start_s = sound.currentTime + at_s;
    tone.frequency.value = hertz;
    gain.gain.setValueAtTime(0.0001, start_s);
    gain.gain.exponentialRampToValueAtTime(0.3, start_s + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.0001, start_s + 0.33);
    tone.connect(gain).connect(sound.destination);
    tone.start(start_s);
    tone.stop(start_s + 0.35);
  });
}

// One place
const past = (it) => sure() && it.date !== today();
const mineNow = () => recall(`place:${page.key}`);
export async function place(mine, key) {
  const first = recall(`place:${key}`);
  page.district = page.city.districts.find((it) => it.code === (first?.district ?? key.split(":")[0]));
  const [opening] = await load(mine, "opening", "papers");
  await opening.look(mine);
  for (;;) {
    const it = recall(`place:${key}`);
    if (!it || it.state === "used") {
      const done = receipts().find((one) => one.place === key); // another tab was here
      remember(`place:${key}`);
      if (done || !it) return go(done ? `receipt=${done.no}` : "home");
      keep(it);
    }
    if (past(it)) keep(Object.assign(it, { state: "past" }));
    if (it.state === "claimed") return kit.register.claim(mine, it);
    if (!LIVE.includes(it.state)) {
      page.city = await read(mine, "/city"); // with the next opening
      page.district = page.city.districts.find(({ code }) => code === it.district);
      return show("over");
    }
    show(it.state === "ready" ? "ready" : "queue");
    await change(mine);
    if (recall(`place:${key}`)?.idle && it.state === "waiting") await opening.look(mine); // is there word from the operator?
  }
}
// A place that has come to its end, as a refusal says.
export function spent(key, data) {
  const it = recall(`place:${key}`);
  if (it) keep({ ...it, ...ending(data), due: null });
  return go(`place=${key}`);
}
async function leave(mine, it) {
  const { ok, data } = await insist(mine, "DELETE", "/ticket", { token: it.ticket });
  if (data.code === "used") return kit.register.claim(mine, it);
  return ok ? spent(it.key, { code: "expired", state: "left" }) : spent(it.key, data);
}

const whose = (it) => { for (const one of all(".whose")) one.textContent = it?.label ? t("whose", it.label) : ""; };
export { whose };
// How the number was come by, and how numbers are called.
function whyThis({ number, drawn }) {
  const { rate_per_second: rate, state, draw: { entries } } = page.opening;
  if (!(rate > 0) || state === "paused") return t("whyStopped");
  const how = drawn || number <= (entries ?? 0) ? t("whyDrawn") : entries === null ? "" : t("whyAfter");
  return [how, t(rate * 60 < 1 ? "paceSlow" : "pace", count(Math.round(rate * 60)))].filter(Boolean).join(zh() ? "" : " ");
}
PAINT.queue = () => {
  const it = mineNow();
  if (!it || !["drawing", "waiting"].includes(it.state)) return null; // what has become of it is shown in a moment
  const { serving, ahead, due } = it;
  const { drawEnds_ms } = kit.opening;
  const shut = now_ms() >= closing(it);
  const number = shut ? null : it.number;
  const left_ms = number || shut ? 0 : drawEnds_ms() - now_ms();
  const wait_s = eta_s(it);
  const back = !number ? t("keepDraw", clock(drawEnds_ms())) : wait_s === Infinity ? t("keepPaused") : wait_s * 1000 > until_ms(page.opening.closes_at) ? t("keepLate")
    : t("keepWait", clock(now_ms() + wait_s * 900));
  whose(it);
  set("number-label", t(shut ? "shutNow" : number ? "yours" : left_ms > 0 ? "joined" : "drawDone"));
  set("number", number ? count(number) : "");
  set("queue-clock", left_ms > 0 ? countdown(left_ms) : "");
  set("keep", shut ? "" : number && wait_s < 120 ? t("keepNear") : t(lasts ? "keep" : "keepOpen") + back);
  set("why", shut ? "" : number ? whyThis(it) : t("whyDraw"));
  set("next-look", t("nextLook", span(Math.max(0, due - Date.now()) / 1000)));
  $("bar").hidden = shut;
  $("bar").value = number ? 1 - Math.min(1, ahead / Math.max(it.from ?? 1, ahead, 1)) : 1 - Math.max(0, left_ms) / (page.opening.draw.seconds * 1000);
  $("line").hidden = !number;
  document.querySelector("#queue .add").href = `#${it.district}`;
  if (!number) return null;
  set("serving", serving ? t("number", count(serving)) : "–");
  set("ahead", count(ahead));
  set("eta", wait_s < 5 ? t("soon") : wait_s < Infinity ? span(wait_s) : "–");
  return t("number", count(number));
};
PAINT.ready = () => {
  const it = mineNow();
  if (!it) return null;
  const head = places().length > 1 && it.label ? t("turnOf", it.label) : t("turn");
  const late = it.claim_before && until_ms(it.claim_before) <= 0;
  set("ready-title", late ? t("lateCall") : head);
  $("claim").hidden = Boolean(late);
  set("ready-number", it.number ? count(it.number) : "");
  set("ready-clock", it.claim_before ? countdown(until_ms(it.claim_before) - 2000) : "…"); // this clock may be 2 s behind
  set("ready-until", it.claim_before ? t("until", clock(Date.parse(it.claim_before))) : "");
  return late ? null : head;
};
PAINT.over = () => {
  const it = mineNow();
  if (!it) return null;
  const { opening } = kit;
  const next = opening.nextOpens_ms();
  const closed = until_ms(page.opening.closes_at) <= 0;
  const kind = it.state === "missed" && closed ? "lapsed" : it.state;
  const own = ["missed", "lapsed", "left", "ended", "used", "past"].includes(kind);
  whose(it);
  set("over-title", own ? t(`${kind}Title`, it.date && day(it.date)) : it.title ?? t("busy"));
  const drawing = kind === "left" && opening.standing().state === "draw";
  set("over-text", drawing ? t("leftDraw") : own ? t(`${kind}More`, next ? when(next) : t("unknown")) : it.detail ?? "");
  set("over-more", recall(`draft:${it.district}:${it.label}`) && lasts && kind !== "used" ? t("draftKept") : "");
  $("again").hidden = kind === "used" || kind === "ended" || closed;
  $("over-find").hidden = kind !== "used";
};

$("claim").onclick = () => run((mine) => kit.register.claim(mine, mineNow()));
// A place that is over is forgotten once that has been read; a missed turn stays as a reminder.
document.querySelector("#over a[href='#home']").onclick = () => {
  const it = mineNow();
  if (it && it.state !== "missed" && !LIVE.includes(it.state)) remember(`place:${it.key}`);
};
$("again").onclick = () => kit.opening.rejoin(mineNow());
for (const it of all(".leave")) {
  it.onclick = async () => {
    const mine = mineNow(); // the answer is about this one, whatever is open by then
    if (!mine) return;
    const title = mine.label ? t("askLeaveOf", mine.label) : t("askLeave");
    const number = mine.number ? t("askLeaveNo", count(mine.number)) : "";
    const more = t(mine.state === "drawing" ? "leftDraw" : "askLeaveMore");
    if (await ask(title, number + more, t("leave"), t("stay"))) run((flow) => leave(flow, mine));
  };
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) { look(); wake(); paint(); } });
addEventListener("online", () => {
  for (const it of places()) if (troubles.get(it.key)?.status === 0) keep({ ...it, due: Date.now() + troubles.get(it.key).due - performance.now() });
});
// A page that goes away in the middle of a question gives the lease back.
addEventListener("pagehide", () => {
  for (const it of places()) if (asking.get(it.key)?.on) later(it, 1000);
});
setInterval(look, 500);
