// Checking in: who is asked about, by tap, by number, or by camera.

import * as outbox from "../staff-outbox.js";
import { LENGTH, isRegistrationNo, plain, spaced } from "../staff-number.js";
import { failure, hindrance, scan } from "../staff-scan.js";
import {
  $, aim, all, dayName, hm, isElsewhen, make, now_ms, on, page, paint, periodName, polite, put, say, set, show, t, today, zh,
} from "./base.js";
import { OPEN, entriesOf, matching, paintRoster, post, refresh, shown, standing } from "./roster.js";

const GUARD_MS = 400; // a scanner's second Enter, or a double tap, must not confirm what nobody has read
const SCANNER_GAP_MS = 500;
const CARD = /^\d{17}[\dX]$/i; // a card reader types what is on a resident ID

export function ask(entry, date, origin) {
  Object.assign(page, { asked: { entry, date, origin, skipped: $("confirm").open && !$("attended").hidden } });
  paintAsked();
  // What nobody has had time to read cannot be confirmed yet.
  $("attended").setAttribute("aria-disabled", "true");
  clearTimeout(page.guard);
  page.guard = setTimeout(() => $("attended").removeAttribute("aria-disabled"), GUARD_MS);
  if (!$("confirm").open) $("confirm").showModal();
  $("confirm").scrollTop = 0;
  ($("attended").hidden ? $("confirm-close") : $("attended")).focus({ preventScroll: true });
}
export function paintAsked() {
  const { entry, date, skipped, person } = page.asked;
  const { registration_no: no, period } = entry;
  const roster = page.rosters.get(date);
  const state = entry.missing ? "missing" : standing(entry, date);
  const early = date > today();
  const can = !early && (OPEN.includes(state) || state === "refused");
  const elsewhen = isElsewhen(period, hm(now_ms()));
  const warnings = [skipped && t("notDone")];
  if (can) {
    warnings.push(entry.holder && t("warnTwo"), date < today() && t("warnDay", dayName(date)),
      date === today() && elsewhen && t("warnPeriod", periodName(period).toLowerCase()),
      ...(roster?.data.closures ?? []).filter((it) => !it.period || it.period === period).map((it) => t("warnClosed", periodName(it.period))));
  }
  const text = {
    missing: () => ["missing", page.net ? t("missingOffline") : t("missingMore", dayName(date))],
    fulfilled: () => ["already", t("alreadyMore")],
    queued: () => ["already", t("alreadyQueued")],
  }[state]?.() ?? (can ? ["checkFace", ""] : early ? ["future", t("futureMore", dayName(date))] : ["closedState", t("closedStateMore", say(state))]);
  set("confirm-title", t(text[0]));
  set("confirm-name", person?.name ?? entry.name ?? spaced(no));
  put("confirm-text", text[1]);
  put("confirm-warn", warnings.filter(Boolean).join(zh() ? "" : " "));
  for (const it of all(".confirm-only")) it.hidden = !can;
  $("confirm").classList.toggle("cannot", !can);
  const facts = entry.missing ? [] : [
    ["idLast", person && (person.id_last ?? t("idUnknown"))],
    ["period", date === today() ? periodName(period) : `${dayName(date)} ${periodName(period)}`], ["doseLabel", entry.dose && t("doseShort", entry.dose)],
    ["product", entry.product && say(entry.product)], ["phone", entry.phone], ["regno", spaced(no)],
  ];
  $("confirm-facts").hidden = !facts.length;
  $("confirm-facts").replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) =>
    make("div", {}, make("dt", {}, t(name)), make("dd", {}, value))));
  on.asked();
}
function attended() {
  if ($("attended").getAttribute("aria-disabled") || !page.asked || !page.me) return;
  const { entry, date } = page.asked;
  const { registration_no, period, name, holder } = entry;
  outbox.put({ registration_no, date, holder, period, name, site: page.me.site, at: now_ms() });
  page.last = { no: registration_no, date, name, what: "sending" };
  page.query = $("regno").value = "";
  $("confirm").close();
  show();
  post.flush();
}
$("attended").onclick = attended;
$("confirm-close").onclick = () => $("confirm").close();
$("confirm").onclose = () => {
  const opener = page.asked?.origin;
  const origin = (opener?.id && $(opener.id)) || opener; // a row may have been drawn anew
  page.asked = null;
  if (!page.me) return;
  if (origin?.isConnected && !origin.hidden) (origin.querySelector("button") ?? origin).focus({ preventScroll: origin === $("regno") });
  else aim();
  if (origin === $("regno")) { origin.select(); note(); }
};
// A hand scanner may go on to the next person while this one is still asked about: its Enter must not confirm.
// Also one that is slow: once digits have come in, Enter confirms nobody until a finger or the Tab key has chosen.
let typed = { text: "", at: 0, any: false };
const chosen = () => { typed.any = false; };
$("confirm").onpointerdown = chosen;
$("confirm").onkeydown = (event) => {
  const now = performance.now();
  if (now - typed.at > SCANNER_GAP_MS) typed.text = "";
  if (/^\d$/.test(event.key)) typed = { text: typed.text + event.key, at: now, any: true };
  else if (event.key === "Tab") chosen();
  else if (event.key === "Enter" && typed.any) {
    event.preventDefault();
    const no = typed.text;
    typed.text = "";
    if (!isRegistrationNo(no)) { put("confirm-warn", t("regnoCheck")); return; }
    chosen();
    $("regno").value = no;
    find(no, $("regno"));
  }
};

/** What the field holds, in words; gives the fault, or "". */
export function note() {
  const no = plain($("regno").value);
  if (CARD.test(no)) {
    page.query = "";
    tell("", t("cardHelp"));
    return "";
  }
  page.query = no.length < LENGTH ? no : "";
  const some = no && !/\D/.test(no) ? matching(entriesOf(shown())).length : 0;
  const fault = /\D/.test(no) ? t("regnoDigits") : no.length > LENGTH ? t("regnoLong", no.length - LENGTH)
    : no.length === LENGTH && !isRegistrationNo(no) ? t("regnoCheck") : "";
  const help = !no ? t("regnoHelp") : no.length === LENGTH ? t("regnoGood") : some === 1 ? t("regnoOne") : some ? t("regnoSome", some)
    : shown() ? t("regnoNone") : "";
  tell(fault, help);
  return fault;
}
function tell(fault, help = "") {
  set("regno-note", fault || help);
  $("regno-note").className = fault ? "error" : "hint";
  if (fault) $("regno").setAttribute("aria-invalid", "true"); else $("regno").removeAttribute("aria-invalid");
}
export function fail(text) {
  tell(text);
  polite(text);
  $("regno").focus();
  $("regno").select(); // so that the next scan takes its place
}
async function find(no, origin) {
  if (CARD.test(no)) return on.card(no, origin);
  const date = page.day ?? today();
  const here = () => entriesOf(page.rosters.get(date));
  if (no.length < LENGTH) {
    const some = here().filter((it) => it.registration_no.endsWith(no) || it.registration_no.startsWith(no));
    if (some.length === 1) return ask(some[0], date, origin);
    return fail(some.length ? t("regnoMany", some.length) : t("regnoNone"));
  }
  const same = (it) => it.registration_no === no;
  let entry = here().find(same);
  if (!entry) { // booked since the roster was read?
    tell("", t("looking"));
    await refresh();
    if (!page.me) return null;
    entry = here().find(same);
  }
  return ask(entry ?? { registration_no: no, missing: true }, date, origin);
}
$("find").onsubmit = (event) => {
  event.preventDefault();
  const no = plain($("regno").value);
  const fault = no ? note() : t("regnoEmpty");
  if (fault) fail(fault); else find(no, $("regno"));
};
$("regno").oninput = () => {
  const fault = note();
  if (fault) polite(fault);
  paintRoster();
};

// The camera
export function offerScan() {
  page.scanWhy = hindrance();
  $("scan").hidden = Boolean(page.scanWhy);
}
$("scan").onclick = async () => {
  const stop = new AbortController();
  page.stopScan = stop;
  set("camera-note", t("scanFirst"));
  $("camera").showModal();
  let no = null;
  try {
    no = await scan($("video"), stop.signal, (text) => {
      if (isRegistrationNo(plain(text))) return true;
      set("camera-note", t("scanOdd"));
      return false;
    });
    page.scanWhy = null;
  } catch (error) {
    page.scanWhy = failure(error);
    polite(t(page.scanWhy));
  }
  $("camera").close();
  paint();
  if (no === null) return;
  navigator.vibrate?.(60);
  find(plain(no), $("scan"));
};
$("camera-close").onclick = () => $("camera").close();
$("camera").onclose = () => page.stopScan?.abort();
on.ask = ask;
