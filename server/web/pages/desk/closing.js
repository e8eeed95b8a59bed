// Closing the site, which a manager may: when, whom it touches, and done.

import * as outbox from "../staff-outbox.js";
import { $, all, call, count, dayName, focusOn, lang, make, now_ms, on, page, periodCodes, periodName, polite, put, set, t, today } from "./base.js";
import { post, refresh } from "./roster.js";
import { expired, identify } from "./session.js";

function closingStep(step) {
  for (const it of ["ask", "sure", "done"]) $(`closing-${it}`).hidden = it !== step;
  put("closing-error", "");
  put("sure-error", "");
  if (step === "ask") {
    page.closing = null;
    unmarkClosing();
    $("closing-date").min = today();
    if (!$("closing-date").value) $("closing-date").value = page.day && page.day > today() ? page.day : today();
  }
  const head = $(`closing-${step}`).querySelector("h2");
  scrollTo(0, 0);
  if (page.view === "closing") focusOn(head);
}
const CLOSING = ["closing-date", "closing-reason"];
function closingFault(id) {
  const value = $(id).value.trim();
  return !value ? t("required") : id === "closing-date" && value < today() ? t("past") : "";
}
function unmarkClosing() {
  put("closing-error", "");
  for (const it of CLOSING.map($)) {
    it.removeAttribute("aria-invalid");
    it.removeAttribute("aria-describedby");
  }
}
// What is told goes once it is mended; what the server said, once anything is changed.
$("closing-form").oninput = () => {
  const wrong = CLOSING.find((id) => $(id).hasAttribute("aria-invalid"));
  if (!wrong || !closingFault(wrong)) unmarkClosing();
};
// The choice of a part of the day, before the whole of it; drawn anew it stays chosen.
export function paintPeriods() {
  const drawn = JSON.stringify([lang, page.me.periods]);
  if ($("whole-day").drawn === drawn) return;
  const chosen = new FormData($("closing-form")).get("period");
  for (const it of all("#closing-form .period")) it.remove();
  $("whole-day").before(...periodCodes().map((code) => make("label", { className: "period" },
    make("input", { type: "radio", name: "period", value: code, checked: code === chosen }), make("span", {}, periodName(code)))));
  $("whole-day").drawn = drawn;
}
const within = (period) => (it) => !period || it.period === period;
$("closing-form").onsubmit = async (event) => {
  event.preventDefault();
  const { date, period, reason } = Object.fromEntries(new FormData(event.target));
  unmarkClosing();
  const wrong = CLOSING.find(closingFault);
  if (wrong) {
    put("closing-error", closingFault(wrong));
    $(wrong).setAttribute("aria-invalid", "true");
    $(wrong).setAttribute("aria-describedby", "closing-error");
    $(wrong).focus();
    return;
  }
  $("closing-next").setAttribute("aria-disabled", "true");
  await post.flush();
  const answer = await call("GET", `/sites/${encodeURIComponent(page.me.site)}/roster?date=${date}`);
  $("closing-next").removeAttribute("aria-disabled");
  if (!page.me || page.view !== "closing") return;
  if (answer.status === 401) { expired(); return; }
  const waiting = outbox.everything().filter((it) => it.site === page.me.site && it.date === date && !it.refused && within(period)(it)).length;
  if (!answer.ok || !Array.isArray(answer.data.entries)) { put("closing-error", answer.data.detail ?? t("needsNet")); return; }
  if (waiting) { put("closing-error", t("pendingFirst", waiting)); return; }
  page.rosters.set(date, { data: answer.data, at: now_ms() });
  const touched = answer.data.entries.filter(within(period));
  closingStep("sure");
  page.closing = {
    body: { date, period: period || null, reason: reason.trim() },
    back: touched.filter((it) => it.state === "booked").length, here: touched.filter((it) => it.state === "fulfilled").length,
  };
  paintClosing();
  polite(`${$("sure-title").textContent} ${$("sure-many").textContent}`);
};
export function paintClosing() {
  if (!page.closing) return;
  const { body, back, here, sent_back: sent } = page.closing;
  const when = [dayName(body.date), periodName(body.period)];
  set("sure-title", t("sureTitle", ...when));
  set("sure-many", back ? t("sureMany", count(back)) : t("sureNone"));
  put("sure-arrived", here ? t("sureArrived", count(here)) : "");
  set("sure-reason", t("sureReason", body.reason));
  set("closing-go", t("close"));
  set("done-title", t("doneTitle", ...when));
  set("done-many", sent ? t("doneMany", count(sent)) : t("doneNone"));
}
$("closing-go").onclick = async () => {
  if ($("closing-go").getAttribute("aria-disabled") || !page.closing) return;
  $("closing-go").setAttribute("aria-disabled", "true");
  put("sure-error", "");
  const { closing, me } = page;
  const { ok, status, data } = await call("POST", `/sites/${encodeURIComponent(me.site)}/closures`, { body: closing.body });
  $("closing-go").removeAttribute("aria-disabled");
  if (page.closing !== closing) return;
  if (status === 401) { // this token's end, or only not a manager's?
    if ((await identify()).status !== 401) put("sure-error", t("needsManager"));
    return;
  }
  if (!ok) { put("sure-error", status ? data.errors?.map((it) => it.message).join(" ") || data.detail || t("busy") : t("perhaps")); return; }
  closing.sent_back = data.sent_back;
  $("closing-form").reset();
  paintClosing();
  closingStep("done");
  polite($("done-many").textContent);
  refresh();
};
$("closing-back").onclick = () => closingStep("ask");
on.closing = () => closingStep("ask");
