// The receipt: what has become of a registration, and what its holder may do with it.

import {
  $, DATED, PAINT, all, ask, call, clock, count, day, go, insist, kit, knows, labelOf, lasts, load, make, nameOf, now_ms, page, paint, periodOf, polite,
  read, recall, refill, remember, run, saveFile, set, show, spaced, t, tel, together, until_ms, when, whenLanguageChanges, zh,
} from "./app.js";

const LOST = ["undelivered", "refused", "unsent"];
const date = (it) => new Date(`${it}T12:00:00Z`).toLocaleDateString(t("regional"), { timeZone: "UTC", month: "long", day: "numeric" });
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
const suited = ({ suited: n }) => (n > 0 ? t("night-suited", count(n)) : n === 0 ? t("night-suited-none") : "");
function drawNight(no, data) {
  const night = data?.night;
  const vain = data?.state === "proposed" && night?.reason;
  const rank = night?.proof ? t("rank", count(night.leaf), count(night.proof.leaves - 1)) : "";
  $("night").hidden = !vain;
  if (vain) {
    const [words, change] = advice(data);
    const link = change ? make("a", { className: "button", href: `#edit=${no}` }, t("edit")) : null;
    refill($("night"), make("p", {}, make("b", {}, whyNot(data))), make("p", {}, suited(night)), make("p", {}, rank), make("p", {}, night.pace ? t("night-pace", date(night.pace.since), count(night.pace.nights)) : ""), make("p", {}, t(words)), ...(link ? [link] : []));
  }
  const gave = night && DATED.includes(data.state);
  $("night-gave").hidden = !gave;
  set("night-gave", gave ? together(t("gave", date(night.date)), rank) : "");
  $("check-it").hidden = !night?.root;
  if (!night?.root) return;
  const rows = [...(night.blind ? [["check-blind", night.blind]] : []), ["check-root", night.root], ["check-commitment", night.commitment], ["check-seed", night.seed]];
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

// The public record as this device first heard of it, with this registration.
const short = ({ size, root }) => t("record-short", count(size), root.slice(0, 16).replace(/.{4}(?=.)/g, "$&\u00a0"));
const recordOf = (data) => (data?.log?.size > 0 ? data.log : null);
function drawRecord({ kept: { no }, data, record }) {
  const first = recall(`receipt:${no}`)?.record;
  $("record").hidden = !recordOf(data);
  if (!recordOf(data)) return;
  set("record-first", t("record-first", when(first?.seen ?? now_ms()), short(first ?? data.log)));
  const said = record === undefined ? "" : record === null ? t("record-later") : record.fits ? hasGrown(first, record.is) : t("record-differs", when(first.seen), short(first), short(record.is));
  $("record-said").hidden = !said;
  $("record-said").className = record ? `notice ${record.fits ? "good" : "bad"}` : "notice";
  set("record-said", said);
}
function hasGrown({ seen, size }, is) {
  const fits = t("record-fits", when(seen), count(size));
  return is.size > size ? together(fits, t("record-more", count(is.size - size))) : fits;
}
async function checkRecord(mine, { no }) {
  const [{ compare }] = await load(mine, "verify");
  page.receipt.record = await compare(mine, recall(`receipt:${no}`).record);
  draw();
  polite($("record-said").textContent);
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
  const record = recordOf(data) && { ...data.log, seen: now_ms() };
  remember(`receipt:${kept.no}`, { record, ...kept, ...recall(`receipt:${kept.no}`), state, date_booked: date, period_booked: period, seen: Date.now() });
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
    ...(open ? preferences.map(({ site, period }, i) => [t("choiceOf", i + 1), `${siteName(site)} · ${periodOf(period)}`]) : []),
    [t("others"), open && accept_any_site && t("fine")], [t("from"), open && not_before],
    [t("relative"), open && together && spaced(together)], [t("nights"), open && night?.nights > 0 && count(night.nights)],
    [t("sms"), told && (told === "soon" ? t("sms-soon") : smsWords(told))], [t("noShows"), no_shows > 0 && t("times", no_shows)],
    [t("record"), recordOf(data) && short(data.log)],
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
  const last = history.filter((it) => !["amended", "corrected", "renumbered", "helped"].includes(it.state)).pop();
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
  drawRecord(page.receipt);
  set("kept-here", t(lasts ? "keptHere" : "keptNot"));
  const again = dead && state !== "fulfilled" && part !== "barred";
  $("another").textContent = lost ? t("findIt") : again ? t("joinAgain") : t("forRelative");
  $("another").href = lost ? "#find" : again ? `#${kept.district}` : "#home";
}
function appointment({ site, date, period, starts_at, ends_at }) {
  const hours = starts_at && ends_at ? `${clock(Date.parse(starts_at))}–${clock(Date.parse(ends_at))}` : "";
  return [
    make("p", { className: "clock" }, day(date)), make("p", { className: "hours" }, `${periodOf(period)} `, make("span", {}, hours)),
    make("p", {}, make("b", {}, siteName(site))), ...theWay(siteOf(site)),
  ];
}
function theWay(it) {
  const { address, way_in_zh, way_in_en, phone, latitude, longitude } = it ?? {};
  const way_in = zh() ? way_in_zh : way_in_en;
  const at = latitude !== undefined && `${latitude},${longitude}`;
  const links = [
    at && make("a", { href: `geo:${at}?q=${at}(${encodeURIComponent(nameOf(it))})` }, t("onMap")),
    phone && make("a", { href: tel(phone) }, t("callSite", phone)),
  ].filter(Boolean);
  return [address, way_in].filter(Boolean).map((text) => make("p", {}, text)).concat(links.length ? make("p", { className: "ways" }, ...links) : []);
}

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
  return saveFile(t("calendar"), "text/calendar", data);
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
$("ics").onclick = () => run(download);
$("save-proof").onclick = () => {
  const { receipt: secret, ...data } = page.receipt.data; // whoever has the receipt could cancel
  saveFile(`${data.registration_no}-${data.night.date}.json`, "application/json", JSON.stringify(data, null, 1));
};
$("check-record").onclick = () => run((mine) => checkRecord(mine, page.receipt.kept));
$("save-record").onclick = () => {
  const { no, record } = recall(`receipt:${page.receipt.kept.no}`);
  saveFile(`${no}-${record.size}.txt`, "text/plain", record.checkpoint);
};
$("print").onclick = () => print();
$("speak").onclick = () => {
  const words = new SpeechSynthesisUtterance(t("spoken", digits(page.receipt.kept.no)));
  Object.assign(words, { lang: t("regional"), rate: 0.8 });
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
};
whenLanguageChanges(() => { if (page.view === "receipt") draw(); });
