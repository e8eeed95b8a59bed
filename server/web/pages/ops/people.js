// Messages that were given up, and people: whom to call, whose dose to check, who is barred; and what is done about it.

import {
  $, busy, button, call, count, dayName, dayTime, head, idle, keyed, kindName, make, nameOf, num, on, page, periodName, polite, put, say, set,
  since, t, td, th, whyNot, zh,
} from "./base.js";

const MOST_ROWS = 300;
const LISTS = { dead: "dead", "to-call": "calls", attendances: "attendances", barred: "bars" }; // box -> what it lists
const NONE = { dead: "noneDead", "to-call": "noneCalls", attendances: "noneAttendances", barred: "noneBars" };
export async function load(id) {
  const { ok, data } = await call("GET", `/operations/${LISTS[id]}`);
  if (ok && $(id).open) page.lists[id] = data[LISTS[id]];
}
for (const id of Object.keys(LISTS)) {
  $(id).addEventListener("toggle", async () => {
    if (!$(id).open) { // nobody's phone stays on a page that does not show it
      delete page.lists[id];
      $(`${id}-rows`).replaceChildren();
      return;
    }
    await load(id);
    if (page.view) paintLists();
  });
}

// Messages
export function paintMessages() {
  head("messages-head", ["district", "#codes", "#toSend", "#later", "#dead", "oldest"]);
  keyed($("messages-rows"), page.view.districts.map(({ code, name_zh, name_en, outbox }) => ({ code, name_zh, name_en, outbox, ago: outbox.oldest_at && since(outbox.oldest_at) })), (it) => it.code, (it) =>
    make("tr", {}, th(nameOf(it)), num(it.outbox.codes), num(it.outbox.waiting), num(it.outbox.later),
      td(count(it.outbox.dead), "", { className: it.outbox.dead ? "n bad-cell" : "n" }), td(it.ago || "–", it.outbox.oldest_at ? dayTime(it.outbox.oldest_at) : "")));
}
const districtName = (code) => nameOf(page.view.districts.find((it) => it.code === code) ?? { name_zh: code, name_en: code });
const spaced = (no) => no.replace(/.{5}(?=.)/g, "$& ");
export function paintLists() {
  const { totals } = page.view;
  for (const [id, n, alarming] of [["dead", totals.dead, true], ["to-call", totals.to_call, true], ["attendances", totals.attendances ?? 0, true], ["barred", totals.barred, false]]) {
    set(`${id}-count`, count(n));
    $(`${id}-count`).className = alarming && n ? "alarmed" : "";
    const list = page.lists[id];
    const none = $(id).querySelector(".none");
    none.textContent = !list ? t("loading") : !list.length ? t(NONE[id]) : list.length > MOST_ROWS ? t("firstOf", MOST_ROWS, count(list.length)) : "";
  }
  const some = (id) => (page.lists[id] ?? []).slice(0, MOST_ROWS);
  // What is pressed stands early: on a phone the rest is out of sight.
  head("dead-head", ["no", "kind", "action", "why", "#tries", "at", "district"]);
  keyed($("dead-rows"), some("dead"), (it) => it.pointer, (it) => make("tr", {}, th(spaced(it.registration_no)), td(kindName(it.kind)),
    make("td", {}, button(t("resend"), t("resendOf", spaced(it.registration_no)), (event) => resend(it, event.target))),
    td(it.why), num(it.tries), td(dayTime(it.at)), td(districtName(it.district))));
  head("to-call-head", ["no", "name", "phone", "action", "failed", "appointment", "language", "district"]);
  keyed($("to-call-rows"), some("to-call"), (it) => it.registration_no, (it) => make("tr", {}, th(spaced(it.registration_no)), td(it.name),
    make("td", { className: "phone" }, it.phone ? make("a", { href: `tel:${it.phone}` }, it.phone) : t("noPhone")),
    make("td", {}, button(t("called"), t("calledOf", spaced(it.registration_no)), () => askReason("called", it))),
    make("td", {}, ...it.failed.map(({ kind, outcome: end, at, why }) => make("div", {}, `${kindName(kind)}${zh() ? "：" : ": "}${say(end)}${why ? ` (${say(why)})` : ""}`, make("small", {}, dayTime(at))))),
    it.appointment ? td(`${dayName(it.appointment.date)} ${periodName(it.appointment.period)}`, it.appointment.site) : td(it.state ? "–" : t("past")),
    td(say(it.lang)), td(districtName(it.district))));
  head("attendances-head", ["no", "state", "action", "givenOn", "site", "fulfilledNo", "saidBy", "district"]);
  keyed($("attendances-rows"), some("attendances"), (it) => `${it.registration_no}|${it.date}`, (it) => make("tr", {}, th(spaced(it.registration_no)), td(t(it.state)),
    make("td", {}, ...(it.state === "unmatched" ? [button(t("accept"), t("acceptOf", spaced(it.registration_no)), () => askReason("accept", it)), " "] : []),
      button(t("settle"), t("settleOf", spaced(it.registration_no)), () => askReason("settle", it))),
    td(dayName(it.date)), td(it.site), td(it.fulfilled_no ? spaced(it.fulfilled_no) : "–"), td(it.actor, dayTime(it.at)), td(districtName(it.district))));
  head("barred-head", ["no", "action", "since", "district"]);
  keyed($("barred-rows"), some("barred"), (it) => it.registration_no, (it) => make("tr", {}, th(spaced(it.registration_no)),
    make("td", {}, button(t("lift"), t("liftOf", spaced(it.registration_no)), () => askReason("lift", it))), td(dayTime(it.since) || t("unknown")), td(districtName(it.district))));
  for (const id of Object.keys(LISTS)) $(id).querySelector(".wide").hidden = !page.lists[id]?.length;
}
async function resend(it, pressed) {
  if (busy(pressed)) return;
  const answer = await call("POST", `/operations/dead/${encodeURIComponent(it.pointer)}/resend`);
  idle(pressed);
  if (!page.view) return;
  polite(answer.ok ? t("resent", spaced(it.registration_no)) : whyNot(answer));
  await on.refresh();
}

// What needs a reason
const ASKED = {
  called: { title: "called", what: "calledWhat", path: ({ registration_no: no }) => `/operations/calls/${no}`, done: "calledDone" },
  lift: { title: "lift", what: "liftWhat", path: ({ registration_no: no }) => `/bars/${no}`, done: "lifted" },
  accept: { title: "accept", what: "acceptWhat", method: "POST", path: ({ registration_no: no, date }) => `/operations/attendances/${no}/${date}/acceptance`, done: "accepted" },
  settle: { title: "settle", what: "settleWhat", path: ({ registration_no: no, date }) => `/operations/attendances/${no}/${date}`, done: "settled" },
};
function askReason(what, it) {
  page.asked = { ...ASKED[what], it, no: it.registration_no };
  set("reason-title", t(page.asked.title));
  set("reason-what", t(page.asked.what, spaced(it.registration_no)));
  set("reason-go", t(page.asked.title));
  $("why").value = "";
  complainWhy("");
  $("reason").showModal();
  $("why").focus();
}
function complainWhy(text) {
  put("why-error", text);
  if (text) $("why").setAttribute("aria-invalid", "true"); else $("why").removeAttribute("aria-invalid");
}
$("reason-form").onsubmit = async (event) => {
  event.preventDefault();
  const { path, method = "DELETE", it, no, done } = page.asked;
  const reason = $("why").value.trim();
  complainWhy(reason ? "" : t("required"));
  if (!reason) { $("why").focus(); return; }
  if (busy($("reason-go"))) return;
  const answer = await call(method, path(it), { json: { reason } });
  idle($("reason-go"));
  if (!page.view) return;
  if (!answer.ok) { complainWhy(whyNot(answer)); return; }
  $("reason").close();
  polite(t(done, spaced(no)));
  await on.refresh();
};
$("why").oninput = () => { if ($("why").value.trim()) complainWhy(""); };
