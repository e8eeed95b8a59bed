// The places in line: each is asked about when the server said, by one tab; and what the holder of a place sees.

import {
  $, LIVE, PAINT, WAIT, all, ask, call, check, clock, closing, count, countdown, day, eta_s, go, insist, kit, labelOf, lasts, limit_ms, load,
  now_ms, page, paint, patience_ms, places, polite, read, receipts, recall, remember, run, set, show, span, sure, t, teach,
  today, troubles, until_ms, when, zh,
} from "./app.js";

teach({
  joined: "您已进入抽签，还剩|You are in the draw. It ends in", drawDone: "抽签结束，正在取您的号码……|The draw is done. Getting your number…",
  yours: "您的号码|Your number", whose: "{0} 的号|For {0}",
  keep: "可以关闭这个页面，您的位置会保留。|You may close this page, your place is kept. ",
  keepOpen: "这台设备不能保存数据：您的位置只在这个页面开着时保留，请不要关闭。|This device keeps nothing: your place is kept only while this page is open. Please do not close it. ",
  keepDraw: "请在 {0} 抽签结束后回来看号码。|Come back for your number when the draw ends at {0}.",
  keepWait: "请在 {0} 前回来：叫到后要在限定时间内进入登记。|Be back by {0}: once called, there is a time limit to come in.",
  keepNear: "快到了，请留在这个页面。|Nearly there: please stay on this page.",
  keepPaused: "恢复叫号后请留意这里。|Please look in again once calling goes on.",
  keepLate: "照现在的速度，今天可能轮不到您。|At this pace your turn may not come today.",
  // By how the number was come by: in the draw, or after it. Somebody else's device, or a second one, knows it as well.
  whyDrawn: "您的号码由抽签决定。|A draw gave you this number.",
  whyAfter: "抽签结束后取的号（重新取的也是）按取号先后排在后面。|Numbers taken after the draw, or taken anew, come behind it, in the order of joining.",
  pace: "现在按号码顺序叫号，每分钟约 {0} 个，刷新不会更早。|They are called in order, about {0} a minute; reloading changes nothing.",
  paceSlow: "现在按号码顺序叫号，每分钟不到 1 个，刷新不会更早。|They are called in order, less than one a minute; reloading changes nothing.",
  whyStopped: "叫号暂时停了，恢复后会接着往下叫，您的位置不变。|Calling has stopped for now. It goes on in the same order; your place is kept.",
  whyDraw: "抽签期间取号的人机会均等，早晚都一样。|Everyone in the draw has the same chance, early or late.",
  nextLook: "页面会自动更新，下一次：{0}后。|This page updates by itself, next in {0}.",
  told: "您的号码 {0}，前面还有 {1} 人。|Your number is {0}, {1} ahead of you.", turn: "叫到您了|It is your turn", turnOf: "叫到 {0} 了|It is the turn of {0}",
  until: "请在 {0} 之前进入，过时作废，重新取号要排到队尾。|Come in before {0}. Later, you would join again at the back.",
  missedTitle: "过号了|Your turn has passed",
  missedMore: "没有在限定时间内完成，这个号已失效。您可以重新取号，排在队尾。|The time ran out; this number is no longer valid. You can join again at the back.",
  leftTitle: "您已放弃这个号|You gave up your place", leftMore: "开放时间内可以重新取号，排在队尾。|While the window is open you can join again, at the back.",
  leftDraw: "抽签结束前重新取号，仍然参加抽签；之后取号排在队尾。|Join again before the draw ends and you are in it; later, you would join at the back.",
  endedTitle: "这一场没有轮到您|Your turn did not come in this opening",
  endedMore: "号码不带到下一场。下一次开放：{0}。|Numbers do not carry over. Next opening: {0}.",
  shut: "今天的开放时间已结束，正在核对您的号……|Today's window is over. Looking up your number…",
  lateCall: "时间到了，正在核对……|Time is up. One moment…",
  lapsedTitle: "今天的登记时间到了|Time is up for today",
  lapsedMore: "下一次开放：{0}。|Next opening: {0}.",
  usedTitle: "这个号已经用过了|This place has been used",
  usedMore: "登记已经完成，可能是在另一台设备上。可以用短信验证码找回。|The registration is done, perhaps on another device. An SMS code brings it here.",
  pastTitle: "这是 {0} 的号|A number for {0}", pastMore: "号码只在当天有效。下一次开放：{0}。|A number is good on its own day only. Next opening: {0}.",
  soon: "马上|any moment", unknown: "请留意通知|to be announced",
  draftKept: "您选好的志愿已保存在本机，下次不用重选。|Your choices are kept on this device for next time.",
  askLeave: "放弃这个号吗？|Give up your place?", askLeaveOf: "放弃 {0} 的号吗？|Give up the place of {0}?", askLeaveNo: "{0} 号。|No. {0}. ",
  askLeaveMore: "放弃后重新取号，要排到队尾。|If you join again, you start at the back.",
  leave: "放弃|Give it up", stay: "继续排队|Stay in line",
});

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
  set("number-label", t(shut ? "shut" : number ? "yours" : left_ms > 0 ? "joined" : "drawDone"));
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
