// The receipt: what has become of a registration, and what its holder may do with it.

import {
  $, DATED, PAINT, all, ask, call, clock, day, go, insist, kit, knows, labelOf, lasts, make, nameOf, page, paint, polite,
  read, recall, refill, remember, run, set, show, spaced, t, teach, until_ms, when, whenLanguageChanges, zh,
} from "./app.js";

teach({
  "proposed-title": "登记成功|You are registered", "booked-title": "接种时间已安排好|Your appointment", "arrived-title": "已到接种点|You are at the site",
  "fulfilled-title": "已完成接种|Vaccinated", "cancelled-title": "登记已取消|Registration cancelled", "noshow-title": "这次没有到场|You missed this appointment",
  "proposed-next": "接下来：系统按第一剂日期安排接种时间，并发短信通知您，不用守着页面。每天 8:00 到 20:00 可以修改或取消。|Next: a date is allotted by first-dose date and sent by SMS; no need to watch this page. You can change or cancel any day from 8:00 to 20:00.",
  "booked-next": "请带上证件，按时到接种点。不能去的，请在 {0} 前取消；没取消又没去算一次爽约，超过两次将不能再通过本渠道预约。|Please bring your papers and be on time. If you cannot come, cancel before {0}; a missed appointment counts, and after more than two this channel closes to you.",
  "booked-late": "请带上证件，按时到接种点。取消的时间已过；确实去不了，请联系接种点。|Please bring your papers and be on time. It is too late to cancel here; if you cannot come, please contact the site.",
  "arrived-next": "请听接种点工作人员安排。|Please follow the staff of the site.",
  "fulfilled-next": "接种已登记在案，感谢您。|The dose has been recorded. Thank you.",
  "cancelled-next": "登记已经取消，不算爽约。需要时可以在本区开放时间重新取号登记。|It has been cancelled, and nothing counts against you. You can join again during your district's window.",
  "noshow-next": "没有取消也没有到场，记一次爽约。超过两次将不能再通过本渠道预约；现在仍可重新取号登记。|It was neither cancelled nor attended, which counts as a missed appointment. After more than two this channel closes; you can still register again.",
  "reopened-title": "等待重新安排|A new date follows",
  "reopened-next": "原来的接种安排因故取消，系统会优先为您重新安排，并发短信通知。这不算爽约，您不用做什么。|Your appointment had to be withdrawn. You come first when the next dates are allotted, by SMS. Nothing counts against you, and there is nothing to do.",
  "barred-next": "本渠道已停用，请联系接种点工作人员。|This channel is closed to you; please contact the staff of a vaccination site.",
  "free-next": "这次没有到场，不计爽约。需要时可以重新取号登记。|This missed appointment does not count against you. You can register again.",
  state: "状态|State", at: "登记时间|Registered", first: "第一剂日期|First dose", others: "其他接种点|Other sites", fine: "可以|yes",
  from: "不早于|Not before", choiceOf: "第 {0} 志愿|Choice {0}", noShows: "爽约次数|Missed appointments", times: "{0} 次|{0}",
  whoseReceipt: "{0} 的登记|Registration of {0}", noLabel: "登记号 {0}|Registration number {0}",
  askForget: "从本机删除 {0} 的凭证吗？|Remove this receipt from this device: {0}?",
  askForgetMore: "登记仍然有效，请先记下登记号 {0}。以后可以用短信验证码找回。|The registration stays valid; note its number {0} first. An SMS code brings it back.",
  forget: "删除|Remove", askCancel: "取消 {0} 的登记吗？|Cancel this registration: {0}?",
  askCancelMore: "登记号 {0}。取消后，安排好的时间会让给别人。以后需要重新取号登记。|Number {0}. An appointment you have goes to somebody else. To register again you would queue anew.",
  cancelIt: "取消登记|Cancel it", keepIt: "不取消|Keep it", cancelledNow: "登记已取消。|Cancelled.",
  spoken: "登记号：{0}|Registration number: {0}", calendar: "vaccination.ics|vaccination.ics", lost: "打不开这份登记|This registration cannot be opened",
  keptHere: "凭证保存在本机，请同时截图留存。|This receipt is kept on this device. Please take a screenshot as well.",
  keptNot: "这台设备不能保存凭证，关闭页面就没有了：请截图，或记下登记号。|This device keeps nothing: the receipt goes with this page. Please take a screenshot, or note the number.",
  amended: "修改了志愿|Choices changed", reopened: "原安排取消，将优先重新安排|Appointment withdrawn; a new one follows, with priority",
  excused: "未按时到场，不计爽约|Missed, not counted", lifted: "已恢复预约资格|May book again", barred: "本渠道已停用|Channel closed",
});

export async function receipt(mine, no) {
  const kept = recall(`receipt:${no}`);
  page.district = page.city.districts.find((it) => it.code === kept.district);
  page.opening = null;
  const fresh = page.fresh?.registration_no === no ? page.fresh : null; // just answered: no need to ask
  page.fresh = null;
  page.receipt = { kept, data: fresh };
  if (kept.qr && $("qr").getAttribute("src") !== kept.qr) $("qr").src = kept.qr;
  draw();
  show("receipt");
  page.sites = (await read(mine, `/sites?district=${kept.district}`)).sites;
  const { ok, data } = fresh ? { ok: true, data: fresh } : await insist(mine, "GET", `/registrations/${no}`, { token: kept.token });
  if (ok) keep(kept, data); else page.receipt.refusal = data;
  draw();
  paint();
}
// What the family list shows of it.
export function keep(kept, data) {
  const { state, appointment } = data;
  const { date, period } = (DATED.includes(state) && appointment) || {};
  remember(`receipt:${kept.no}`, { ...kept, ...recall(`receipt:${kept.no}`), state, date_booked: date, period_booked: period, seen: Date.now() });
  if (page.receipt?.kept.no === kept.no) Object.assign(page.receipt, { data, refusal: null });
}
export async function refresh(kept) {
  if (Math.abs(Date.now() - (kept.seen ?? 0)) < 600_000) return;
  const { ok, data } = await call("GET", `/registrations/${kept.no}`, { token: kept.token });
  if (ok) keep(kept, data);
}

const siteOf = (code) => page.sites.find((it) => it.site === code);
const siteName = (code) => (siteOf(code) ? nameOf(siteOf(code)) : code);
const digits = (no) => no.split("").join(" ");
function lines({ state, registered_at, priority, preferences, accept_any_site, not_before, no_shows }) {
  const open = state === "proposed";
  return [
    [t("state"), t(state)], [t("at"), when(Date.parse(registered_at))], [t("first"), priority.first_dose_date],
    ...(open ? preferences.map(({ site, period }, i) => [t("choiceOf", i + 1), `${siteName(site)} · ${t(period)}`]) : []),
    [t("others"), open && accept_any_site && t("fine")], [t("from"), open && not_before], [t("noShows"), no_shows > 0 && t("times", no_shows)],
  ].filter(([, value]) => value);
}
// The scripts' own words are known here; what a manager gave as a reason is shown as it is.
function story(was, why) {
  const words = was === "proposed" && why ? t("reopened") : knows(was) ? t(was) : was;
  return why ? `${words} · ${why}` : words;
}
function chapter({ state, barred, history = [] }) {
  const last = history.filter((it) => it.state !== "amended").pop();
  if (state === "proposed" && last?.why && last.state === "proposed") return "reopened";
  if (state === "noshow" && barred) return "barred";
  return state === "noshow" && last?.state === "excused" ? "free" : state;
}
function draw() {
  const { kept, data, refusal } = page.receipt;
  const state = data?.state ?? kept.state;
  const booked = DATED.includes(state) && data?.appointment; // a date that does not stand is none
  const part = data ? chapter(data) : state;
  const lost = refusal && !data && refusal.code !== "maintenance";
  set("receipt-title", lost ? refusal.title ?? t("lost") : t(`${knows(`${part}-title`) ? part : state}-title`));
  $("receipt-note").hidden = !refusal;
  set("receipt-note", refusal?.detail ?? "");
  kit.queue?.whose(null);
  for (const it of all("#receipt .whose")) it.textContent = kept.label ? t("whoseReceipt", kept.label) : "";
  set("no", spaced(kept.no));
  $("no").setAttribute("aria-label", t("noLabel", digits(kept.no)));
  $("appointment").hidden = !booked;
  if (booked) refill($("appointment"), ...appointment(booked));
  const dead = ["cancelled", "fulfilled", "noshow"].includes(state);
  $("qr").hidden = dead;
  $("qr").alt = t("noLabel", kept.no);
  refill($("facts"), ...(data ? lines(data) : [[t("state"), t(state)]]).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  const late = state === "booked" && data?.cancel_before && until_ms(data.cancel_before) <= 0;
  const next = late ? t("booked-late") : t(`${part}-next`, data?.cancel_before ? when(Date.parse(data.cancel_before)) : "–");
  set("receipt-next", lost ? "" : next);
  $("speak").hidden = !window.speechSynthesis;
  $("ics").hidden = !booked || dead;
  $("edit").hidden = !data || state !== "proposed";
  $("edit").href = `#edit=${kept.no}`;
  $("cancel").hidden = !data || !["proposed", "booked"].includes(state) || late;
  $("past").hidden = !data?.history?.length;
  refill($("history"), ...(data?.history ?? []).map(({ at, state: was, why }) => make("li", {}, `${when(Date.parse(at))} ${story(was, why)}`)));
  set("kept-here", t(lasts ? "keptHere" : "keptNot"));
  const again = dead && state !== "fulfilled" && part !== "barred";
  $("another").textContent = lost ? t("findIt") : again ? t("joinAgain") : t("forRelative");
  $("another").href = lost ? "#find" : again ? `#${kept.district}` : "#home";
}
function appointment({ site, date, period, starts_at, ends_at }) {
  const hours = starts_at && ends_at ? `${clock(Date.parse(starts_at))}–${clock(Date.parse(ends_at))}` : "";
  return [
    make("p", { className: "clock" }, day(date)), make("p", { className: "hours" }, `${t(period)} `, make("span", {}, hours)),
    make("p", {}, make("b", {}, siteName(site))), make("p", {}, siteOf(site)?.address ?? ""),
  ];
}
teach({ joinAgain: "重新登记|Register again", forRelative: "为家人登记|Register a relative", findIt: "找回我的登记|Find my registration" });

async function cancel(mine, kept) {
  const heard = (answer) => { if (answer.ok) keep(kept, answer.data); };
  const { ok, data } = await insist(mine, "POST", `/registrations/${kept.no}/cancellation`, { token: kept.token, heard });
  if (ok) polite(t("cancelledNow"));
  else page.receipt.refusal = data;
  draw();
  paint();
  scrollTo(0, 0);
  $(ok ? "receipt-title" : "receipt-note").focus({ preventScroll: true });
}
async function download(mine) {
  const { kept } = page.receipt;
  const { ok, data } = await insist(mine, "GET", `/registrations/${kept.no}/appointment.ics`, { token: kept.token, plain: true });
  if (!ok) { page.receipt.refusal = data; return draw(); }
  const href = URL.createObjectURL(new Blob([data], { type: "text/calendar" }));
  const link = make("a", { href, download: t("calendar") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
  return null;
}

PAINT.receipt = () => page.receipt && labelOf(page.receipt.kept);
// The answer is about the registration that was open when it was asked.
$("cancel").onclick = async () => {
  const { kept } = page.receipt;
  if (await ask(t("askCancel", labelOf(kept)), t("askCancelMore", spaced(kept.no)), t("cancelIt"), t("keepIt"))) run((mine) => cancel(mine, kept));
};
$("forget").onclick = async () => {
  const { kept } = page.receipt;
  if (!await ask(t("askForget", labelOf(kept)), t("askForgetMore", spaced(kept.no)), t("forget"), t("keepIt2"))) return;
  remember(`receipt:${kept.no}`);
  go("home");
};
teach({ keepIt2: "保留|Keep it" });
$("ics").onclick = () => run(download);
$("print").onclick = () => print();
$("speak").onclick = () => {
  const words = new SpeechSynthesisUtterance(t("spoken", digits(page.receipt.kept.no)));
  Object.assign(words, { lang: zh() ? "zh-CN" : "en-GB", rate: 0.8 });
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
};
whenLanguageChanges(() => { if (page.view === "receipt") draw(); });
