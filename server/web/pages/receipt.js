// The receipt: what has become of a registration, and what its holder may do with it.

import {
  $, DATED, PAINT, all, ask, call, clock, count, day, go, insist, kit, knows, labelOf, lasts, make, nameOf, page, paint, polite,
  read, recall, refill, remember, run, set, show, spaced, t, teach, until_ms, when, whenLanguageChanges, zh,
} from "./app.js";

teach({
  "proposed-title": "登记成功|You are registered", "booked-title": "接种时间已安排好|Your appointment", "arrived-title": "已到接种点|You are at the site",
  "fulfilled-title": "已完成接种|Vaccinated", "cancelled-title": "登记已取消|Registration cancelled", "noshow-title": "这次没有到场|You missed this appointment",
  "proposed-next": "接下来：系统按第一剂日期安排接种时间，并发短信通知您，不用守着页面。每天 {1} 到 {2} 可以修改或取消。|Next: a date is allotted by first-dose date and sent by SMS; no need to watch this page. You can change or cancel any day from {1} to {2}.",
  "booked-next": "请带上证件，按时到接种点。不能去的，请在 {0} 前取消；没取消又没去算一次爽约，超过 {3} 次将不能再通过本渠道预约。|Please bring your papers and be on time. If you cannot come, cancel before {0}; a missed appointment counts, and after more than {3} this channel closes to you.",
  "booked-late": "请带上证件，按时到接种点。取消的时间已过；确实去不了，请联系接种点。|Please bring your papers and be on time. It is too late to cancel here; if you cannot come, please contact the site.",
  "arrived-next": "请听接种点工作人员安排。|Please follow the staff of the site.",
  "fulfilled-next": "接种已登记在案，感谢您。|The dose has been recorded. Thank you.",
  "cancelled-next": "登记已经取消，不算爽约。需要时可以在本区开放时间重新取号登记。|It has been cancelled, and nothing counts against you. You can join again during your district's window.",
  "noshow-next": "没有取消也没有到场，记一次爽约。超过 {3} 次将不能再通过本渠道预约；现在仍可重新取号登记。|It was neither cancelled nor attended, which counts as a missed appointment. After more than {3} this channel closes; you can still register again.",
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
  askCancelMore: "登记号 {0}。取消后，安排好的时间会让给别人。以后需要重新取号登记。|Number {0}. An appointment you have goes to somebody else. To register again you would join at the back.",
  cancelIt: "取消登记|Cancel it", keepIt: "不取消|Keep it", cancelledNow: "登记已取消。|Cancelled.",
  spoken: "登记号：{0}|Registration number: {0}", calendar: "vaccination.ics|vaccination.ics", lost: "打不开这份登记|This registration cannot be opened",
  keptHere: "凭证保存在本机，请同时截图留存。|This receipt is kept on this device. Please take a screenshot as well.",
  keptNot: "这台设备不能保存凭证，关闭页面就没有了：请截图，或记下登记号。|This device keeps nothing: the receipt goes with this page. Please take a screenshot, or note the number.",
  corrected: "按接种登记更正|Put right by the registry", "of-complete": "接种登记显示无需第二剂|the registry says no second dose is needed",
  "of-not-in-registry": "接种登记中已没有您的记录|the registry has no record of you any more", amended: "修改了志愿|Choices changed", reopened: "原安排取消，将优先重新安排|Appointment withdrawn; a new one follows, with priority",
  excused: "未按时到场，不计爽约|Missed, not counted", lifted: "已恢复预约资格|May book again", called: "工作人员已电话通知|Called by phone", barred: "本渠道已停用|Channel closed",
});

// What the last night brought. A reason has its words, what it means, and what may help.
teach({
  "waiting-title": "还在等待安排|Still waiting for a date",
  "waiting-next": "登记一直有效，每天夜里自动再安排一次，不用重新登记，也不用守着页面。每天 {1} 到 {2} 可以修改或取消。|Your registration stays, and every night it is looked at again by itself: no need to register anew or to watch this page. You can change or cancel any day from {1} to {2}.",
  "why-passed": "{0}夜里没有轮到您：名额给到了第一剂日期为 {1} 的人，您的是 {2}。|You were not reached in the night of {0}: slots ended at first doses of {1}; yours was on {2}.",
  "why-lot": "{0}夜里没有轮到您：名额给到了第一剂日期为 {1} 的人，和您同一天；同一天的先后由公开抽签决定。|You were not reached in the night of {0}: slots ended at first doses of {1}, your own date; within a date a public draw decides.",
  "why-sites": "{0}夜里轮到您时，您选的接种点和时段已经满了；本区其他地方还给到了第一剂日期为 {1} 的人。|When it was your turn in the night of {0}, the sites and times you chose were full; elsewhere in the district slots went on to first doses of {1}.",
  "why-full": "{0}夜里没有轮到您：名额都给了排在前面的人。|You were not reached in the night of {0}: all slots went to people ahead of you.",
  "why-no-such-site": "{0}夜里没有安排上：您选的接种点最近都没有名额。|Nothing in the night of {0}: none of the sites you chose has any slot in the coming days.",
  "why-not-offered": "{0}夜里没有安排上：您选的接种点最近没有您要接种的疫苗。|Nothing in the night of {0}: the sites you chose have slots, but none of your vaccine.",
  "why-too-early": "{0}夜里没有安排上：离您的第一剂还太近，眼下能安排的日期都没到规定的间隔。|Nothing in the night of {0}: it is too soon after your first dose for any date that can be given now.",
  "why-not-before": "{0}夜里没有安排上：眼下能安排的日期都早于您要求的最早日期。|Nothing in the night of {0}: all dates that can be given now come before the earliest day you asked for.",
  "why-withdrawn": "{0}夜里给您的名额，接种点临时收回了。下一次您排在最前面。|The slot that the night of {0} had for you was withdrawn by the site. Next time you come first.",
  "do-sites": "多选几个接种点，或勾选“其他接种点也可以”，更容易排上。|More sites, or “any other site”, make it likelier.",
  "do-day": "日期可以更早的，请修改。|If an earlier day is possible, please change it.",
  "do-nothing": "您不用做什么，到时会自动安排。|There is nothing to do; it goes on by itself.",
  nights: "已等的夜数|Nights so far", relative: "一起的家人|With a relative",
  gave: "这个时间是{0}夜里统一安排的：先按规定的类别，再按第一剂日期，同一天的由公开抽签决定先后。|This appointment was given in the night of {0}: first by the rule's groups, then by date of the first dose, and within a date by a public draw.",
  rank: "您在 {1} 人中排第 {0} 位。|You were number {0} of {1}.",
  "check-night": "哪一夜|Night", "check-line": "您在结果文件的第 {0} 行|Your line of the result file: line {0}", "check-root": "所有行的总指纹（Merkle 根）|Fingerprint of all lines (Merkle root)",
  "check-commitment": "事先公布的种子指纹|Fingerprint of the seed, published before", "check-seed": "抽签种子，事后公布|Seed of the draw, published after",
  notHere: "证明暂时取不到，请稍后再来。|The proof is not at hand just now; please come back later.",
  sms: "短信通知|SMS", smsOf: "{0}：{1}|{0}: {1}", "sms-soon": "即将发出|about to be sent",
  "sms-registered": "登记成功|registered", "sms-allotted": "接种时间|appointment", "sms-waiting": "仍在等待|still waiting", "sms-reminder": "接种提醒|reminder",
  "sms-corrected": "第一剂更正|first dose put right", "sms-cancelled": "已取消|cancelled", "sms-closed": "原安排收回|appointment withdrawn", "sms-barred": "渠道停用|channel closed",
  "sms-is-accepted": "已发出|sent", "sms-is-delivered": "已送达|arrived", "sms-is-undelivered": "没有送到|did not arrive", "sms-is-refused": "发不到这个手机号|could not go to this number", "sms-is-unsent": "没有发出|could not be sent",
  "sms-why": "{0}，{1}|{0}, {1}", "sms-why-too-late": "来不及了|it would have come too late", "sms-why-opted-out": "此手机已回复拒收|this phone has asked for none",
  "sms-why-too-many": "当天发往此手机的短信太多|too many to this phone that day", "sms-why-unknown": "运营商不知道是否送到|the operator does not know whether it arrived",
  smsNote: "短信没有送到您的手机。一切以本页为准，请截图或记下来。|The SMS did not reach your phone. What this page says counts: please take a screenshot, or note it.",
});
const LOST = ["undelivered", "refused", "unsent"];
const date = (it) => new Date(`${it}T12:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", { timeZone: "UTC", month: "long", day: "numeric" });
function whyNot({ night, priority }) {
  const { reason, reached } = night;
  const mine = priority.first_dose_date;
  if (reason !== "full" || !reached || !mine) return t(knows(`why-${reason}`) ? `why-${reason}` : "why-full", date(night.date));
  const which = mine > reached ? "why-passed" : mine === reached ? "why-lot" : "why-sites";
  return t(which, date(night.date), date(reached), date(mine));
}
// What may help, and whether it is done by changing the wishes.
function advice({ night, accept_any_site }) {
  if (night.reason === "not-before") return ["do-day", true];
  const narrow = !accept_any_site && ["full", "no-such-site", "not-offered"].includes(night.reason);
  return narrow ? ["do-sites", true] : ["do-nothing", false];
}
function drawNight(no, data) {
  const night = data?.night;
  const vain = data?.state === "proposed" && night?.reason;
  const rank = night?.proof ? t("rank", count(night.leaf), count(night.proof.leaves - 1)) : "";
  $("night").hidden = !vain;
  if (vain) {
    const [words, change] = advice(data);
    const link = change ? make("a", { className: "button", href: `#edit=${no}` }, t("edit")) : null;
    refill($("night"), make("p", {}, make("b", {}, whyNot(data))), make("p", {}, rank), make("p", {}, t(words)), ...(link ? [link] : []));
  }
  const gave = night && DATED.includes(data.state);
  $("night-gave").hidden = !gave;
  set("night-gave", gave ? [t("gave", date(night.date)), rank].join(zh() ? "" : " ") : "");
  $("check-it").hidden = !night?.root;
  if (!night?.root) return;
  const rows = [["check-root", night.root], ["check-commitment", night.commitment], ["check-seed", night.seed]];
  const item = (name, value) => make("p", {}, name, make("br"), make("code", {}, value));
  refill($("proof"), item(t("check-night"), `${nameOf(page.district)} ${night.date}`), night.line ? item(t("check-line", count(night.leaf + 1)), night.line) : make("p", {}, t("notHere")), ...rows.map(([name, value]) => item(t(name), value)));
  $("save-proof").hidden = !night.proof;
  $("all-results").hidden = !night.file_url;
  $("all-results").href = night.file_url ?? "";
}
const smsWords = ({ kind, state, why }) => {
  const what = t("smsOf", knows(`sms-${kind}`) ? t(`sms-${kind}`) : kind, t(`sms-is-${state}`));
  return why && knows(`sms-why-${why}`) ? t("sms-why", what, t(`sms-why-${why}`)) : what;
};
// The one that tells of what is now; of an appointment its own.
function sms({ state, messages = [] }) {
  if (state === "booked") return messages.filter((it) => it.kind === "allotted").pop() ?? "soon";
  return messages[messages.length - 1];
}
function drawSms(data) {
  const it = data ? sms(data) : null;
  $("sms-note").hidden = !LOST.includes(it?.state);
  set("sms-note", t("smsNote"));
}

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
function lines(data) {
  const { state, registered_at, priority, preferences, accept_any_site, not_before, together, night, no_shows } = data;
  const open = state === "proposed";
  const told = sms(data);
  return [
    [t("state"), t(state)], [t("at"), when(Date.parse(registered_at))], [t("first"), priority.first_dose_date],
    ...(open ? preferences.map(({ site, period }, i) => [t("choiceOf", i + 1), `${siteName(site)} · ${t(period)}`]) : []),
    [t("others"), open && accept_any_site && t("fine")], [t("from"), open && not_before],
    [t("relative"), open && together && spaced(together)], [t("nights"), open && night?.nights > 0 && count(night.nights)],
    [t("sms"), told && (told === "soon" ? t("sms-soon") : smsWords(told))], [t("noShows"), no_shows > 0 && t("times", no_shows)],
  ].filter(([, value]) => value);
}
// The scripts' own words are known here; what a manager gave as a reason is shown as it is.
function story(was, why) {
  if (why === "withdrawn") return t("reopened");
  const words = was === "proposed" && why ? t("reopened") : knows(was) ? t(was) : was;
  return why ? `${words} · ${knows(`of-${why}`) ? t(`of-${why}`) : why}` : words;
}
function chapter(data) {
  const { state, barred, history = [] } = data;
  const last = history.filter((it) => !["amended", "corrected"].includes(it.state)).pop();
  if (state === "proposed" && last?.why && last.state === "proposed") return "reopened";
  if (state === "proposed" && data.night?.reason) return "waiting";
  if (state === "noshow" && barred) return "barred";
  return state === "noshow" && last?.state === "excused" ? "free" : state;
}
// Whether it is too late to cancel.
function isLate() {
  const { kept, data } = page.receipt;
  return (data?.state ?? kept.state) === "booked" && Boolean(data?.cancel_before) && until_ms(data.cancel_before) <= 0;
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
  const late = isLate();
  page.receipt.late = late;
  const { open_hours: { opens, closes }, no_show_limit } = page.city;
  const next = late ? t("booked-late") : t(`${part}-next`, data?.cancel_before ? when(Date.parse(data.cancel_before)) : "–", opens, closes, no_show_limit);
  set("receipt-next", lost ? "" : next);
  $("speak").hidden = !window.speechSynthesis;
  $("ics").hidden = !booked || dead;
  $("edit").hidden = !data || state !== "proposed";
  $("edit").href = `#edit=${kept.no}`;
  $("cancel").hidden = !data || !["proposed", "booked"].includes(state) || late;
  $("past").hidden = !data?.history?.length;
  const told = (data?.messages ?? []).map((it) => [it.at, `${t("sms")} · ${smsWords(it)}`]);
  const past = (data?.history ?? []).map(({ at, state: was, why }) => [at, story(was, why)]).concat(told).sort(([a], [b]) => Date.parse(a) - Date.parse(b));
  refill($("history"), ...past.map(([at, words]) => make("li", {}, `${when(Date.parse(at))} ${words}`)));
  drawNight(kept.no, data);
  drawSms(data);
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
teach({ edit: "修改志愿|Change my choices", joinAgain: "重新登记|Register again", forRelative: "为家人登记|Register a relative", findIt: "找回我的登记|Find my registration" });

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
function save(name, type, data) {
  const href = URL.createObjectURL(new Blob([data], { type }));
  const link = make("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
async function download(mine) {
  const { kept } = page.receipt;
  const { ok, data } = await insist(mine, "GET", `/registrations/${kept.no}/appointment.ics`, { token: kept.token, plain: true });
  if (!ok) { page.receipt.refusal = data; return draw(); }
  return save(t("calendar"), "text/calendar", data);
}

PAINT.receipt = () => {
  if (page.receipt && isLate() !== page.receipt.late) draw();
  return page.receipt && labelOf(page.receipt.kept);
};
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
$("save-proof").onclick = () => {
  const { receipt: secret, ...data } = page.receipt.data; // whoever has the receipt could cancel
  save(`${data.registration_no}-${data.night.date}.json`, "application/json", JSON.stringify(data, null, 1));
};
$("print").onclick = () => print();
$("speak").onclick = () => {
  const words = new SpeechSynthesisUtterance(t("spoken", digits(page.receipt.kept.no)));
  Object.assign(words, { lang: zh() ? "zh-CN" : "en-GB", rate: 0.8 });
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
};
whenLanguageChanges(() => { if (page.view === "receipt") draw(); });
