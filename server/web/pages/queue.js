// What the holder of a place in line sees; when and whom it asks is in queue/asking.js.

import {
  $, LIVE, PAINT, all, ask, call, check, clock, closing, count, countdown, day, eta_s, go, insist, keepLook, kit, labelOf, lastLook, lasts, load,
  now_ms, page, places, read, receipts, recall, remember, run, saveFile, set, show, span, sure, t, today, together, until_ms, when,
} from "./app.js";
import { between, change, ending, hear, isNear, keep, look, unheard, wake } from "./queue/asking.js";
import { showAlerts } from "./queue/alerts.js";
import { showMore } from "./queue/more.js";

// One place
const past = (it) => sure() && it.date !== today();
const mineNow = () => recall(`place:${page.key}`);
export async function place(mine, key) {
  const first = recall(`place:${key}`);
  page.district = page.city.districts.find((it) => it.code === (first?.district ?? key.split(":")[0]));
  const [opening] = await load(mine, "opening", "papers");
  await freshOpening(mine, opening);
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
    page.opening = lastLook(page.district.code) ?? page.opening; // this tab's, or another's
    const now = recall(`place:${key}`);
    if (now && it.state === "waiting" && unheard(now)) await hear(now);
    check(mine);
  }
}
// How the opening stands; while nobody can say, as it stood when somebody last could.
async function freshOpening(mine, opening) {
  const { code } = page.district;
  const last = lastLook(code);
  if (last?.date !== today()) return opening.look(mine);
  const { ok, data } = await call("GET", `/openings/${code}`);
  if (ok) keepLook(data);
  page.opening = ok ? data : last;
  return null;
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
  return together(how, t(rate * 60 < 1 ? "paceSlow" : "pace", count(Math.round(rate * 60))));
}
// That this device has worked the number out itself, and what that means.
function drawVerified({ number, entry, verified: it }) {
  const isKnown = it?.number === number && number > 0;
  $("number-fault").hidden = !(isKnown && it.fault);
  $("verified").hidden = !isKnown;
  if (!isKnown) return;
  const how = !(it.version > 1) ? "howFirst" : it.missing ? "howMissing" : !it.round ? "howNoBeacon" : it.chain === "quicknet" ? "howBeacon" : "howOwnBeacon";
  set("number-fault", it.fault ? t("faultSays") : "");
  set("verified-title", t(it.unable ? "verifiedUnable" : it.fault ? "verifiedDiffers" : "verified"));
  set("verified-how", it.unable ? "" : t(how, count(it.entries), it.chain, it.round));
  set("verified-means", it.unable ? t("meansUnable") : it.fault ? ""
    : together(t("meansSame", count(number)), t(how === "howBeacon" ? "meansNobody" : "meansUnlessLeaked"), it.own ? "" : t("meansOpen")));
  const asked = it.version > 1 && !it.unable && !it.fault;
  set("verified-list", !asked ? "" : it.list === "fits" ? t("listFits", count(entry + 1)) : t(it.list === "later" ? "listLater" : "listSoon"));
  $("check-list").hidden = !asked || it.list === "fits";
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
    : t("keepWait", it.turn ? between(it)[0] : clock(now_ms() + wait_s * 900));
  whose(it);
  set("number-label", t(shut ? "shutNow" : number ? "yours" : left_ms > 0 ? "joined" : "drawDone"));
  set("number", number ? count(number) : "");
  set("queue-clock", left_ms > 0 ? countdown(left_ms) : "");
  const nearly = Boolean(number) && wait_s < 120;
  set("keep", shut ? "" : nearly ? t("keepNear") : t(lasts ? "keep" : "keepOpen") + (it.alerts === true ? "" : back));
  showAlerts(it, shut || nearly);
  set("why", shut ? "" : number ? whyThis(it) : t("whyDraw"));
  drawVerified(shut ? {} : it);
  set("next-look", t("nextLook", span(Math.max(0, due - Date.now()) / 1000)));
  $("bar").hidden = shut;
  $("bar").value = number ? 1 - Math.min(1, ahead / Math.max(it.from ?? 1, ahead, 1)) : 1 - Math.max(0, left_ms) / (page.opening.draw.seconds * 1000);
  $("line").hidden = !number;
  document.querySelector("#queue .add").href = `#${it.district}`;
  if (!number) return null;
  set("serving", serving ? t("number", count(serving)) : "–");
  set("ahead", count(ahead));
  set("eta", wait_s === Infinity || wait_s * 1000 > until_ms(page.opening.closes_at) || it.turn?.[1] < now_ms() - 30_000 ? "–" : !it.turn && wait_s >= 120 ? t("turnAbout", span(wait_s))
    : isNear(it) ? t("soon") : t("turnBetween", ...between(it)));
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
  set("ready-until", it.claim_before ? t(it.more ? "moreGiven" : "until", clock(Date.parse(it.claim_before))) : "");
  showMore(it, late);
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
$("check-list").onclick = () => { // what checks it may still be on its way
  const it = mineNow();
  keep({ ...it, verified: { ...it.verified, list_due: 1 } });
  look();
};
$("save-evidence").onclick = () => {
  const it = mineNow();
  saveFile(`${it.district}-${it.date}-${it.entry}.json`, "application/json", kit.verify.evidence(it));
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
setInterval(() => {
  const open = page.city && mineNow();
  if (open && ["queue", "ready"].includes(page.view) && past(open)) wake(); // the day has turned under it
  look();
}, 500);
