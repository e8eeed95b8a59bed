// The family, every place and receipt of this device, and the view that is open: both change as time goes by.

import { now_ms } from "../common/clock.js";
import { instant, isOpenHours, nextStroke, timetable, wall, windowsOf } from "../common/timetable.js";
import { $, all, count, day, nameOf, page, periodOf, places, receipts, span, troubles, until_ms } from "./base.js";
import { make, refill, remind, set } from "./screen.js";
import { drawService } from "./service.js";
import { knows, lang, t } from "./words.js";

export const labelOf = (it) => it.label || (it.no ? t("receiptOf", it.no.slice(-5)) : t("someone"));
export const eta_s = (it) => (it.eta_seconds === null ? Infinity : it.eta_seconds - Math.max(0, Date.now() - it.seen) / 1000);
export const DATED = ["booked", "fulfilled"]; // whose appointment stands
// When the hours are over in which a place in line can be called: how it stood in them is no news after that.
export function closing(it) {
  const district = ["waiting", "drawing"].includes(it.state) && page.city.districts.find(({ code }) => code === it.district);
  const windows = district ? windowsOf(district) : [];
  const own = windows[it.window - 1]; // of several a day; where the device has not kept which, the last
  const ends = (own ? [own] : windows).map(({ closes }) => instant(it.date, closes, page.city.timezone));
  return ends.length ? Math.max(...ends) : Infinity;
}
function standing(it) {
  if (it.no) return it.date_booked && DATED.includes(it.state) ? `${day(it.date_booked, "short")} ${periodOf(it.period_booked)}` : t(it.state);
  if (now_ms() >= closing(it)) return t("shut");
  if (it.state === "waiting") return t("aheadOf", t("number", count(it.number)), count(it.ahead));
  if (it.state === "drawing") return t("inDraw");
  if (it.state === "ready") return t("ready");
  return knows(it.state) ? t(it.state) : t("over");
}
function drawFamily() {
  const items = [...places(), ...receipts()].filter((it) => page.view === "list" || (it.key ?? it.no) !== page.key);
  const called = items.filter((it) => it.state === "ready");
  const shown = page.view !== "sending" && items.length > 0;
  const text = JSON.stringify([lang, shown, page.view === "list", items.map((it) => [labelOf(it), standing(it), it.district])]);
  if (text !== drawFamily.text) {
    drawFamily.text = text;
    $("family").hidden = !shown;
    $("family").className = page.view === "list" ? "whole" : "";
    refill($("family").lastElementChild, ...items.map((it) => {
      const district = page.city.districts.find(({ code }) => code === it.district);
      const href = it.no ? `#receipt=${it.no}` : `#place=${it.key}`;
      const state = make("span", { className: it.state === "ready" ? "now" : "on" }, standing(it));
      const who = make("span", {}, make("b", {}, labelOf(it)), make("small", {}, district ? nameOf(district) : ""));
      return make("li", {}, make("a", { href, className: "district" }, who, state));
    }));
    const bar = (it) => make("a", { className: "button alarm", href: `#place=${it.key}` }, `${t("calledWho", labelOf(it))} ${t("calledGo")} ›`);
    refill($("calls"), ...called.map(bar));
  }
  return called.length ? t("calledWho", labelOf(called[0])) : "";
}

export function show(view) {
  const before = page.view;
  page.view = view;
  $("loading").hidden = true;
  for (const it of all("section")) it.hidden = it.id !== view;
  const main = document.querySelector("main");
  if (view === "list") main.before($("family")); else main.after($("family")); // the own number comes first
  paint();
  if (!before || before === view) return;
  scrollTo(0, 0);
  const head = $(view).querySelector("h2:not([hidden])");
  head.tabIndex = -1;
  head.focus({ preventScroll: true });
}
// What each view shows as time goes by; gives the beginning of the title.
export const PAINT = {};
// The rule of the opening that is on, or of the one that comes: it may be in the next phase.
function rule(city, district) {
  const now = now_ms();
  const { state, next } = district ? timetable(city, district, now) : { state: isOpenHours(city, now) ? "" : "maintenance", next: nextStroke(city, [], now) };
  const { date } = wall(["ended", "maintenance"].includes(state) ? next ?? now : now, city.timezone);
  return [city.phase, city.next_phase].find((it) => it && it.starts <= date && (!it.ends || date <= it.ends))?.rule ?? "";
}
export function paint() {
  const { city, district, view } = page;
  const [trouble] = troubles.values();
  $("trouble").hidden = !trouble;
  if (trouble) {
    const [text, retry] = $("trouble").children;
    if (text.textContent !== trouble.text) text.textContent = trouble.text;
    retry.textContent = trouble.due < Infinity ? t("retry", span(Math.max(0, trouble.due - performance.now()) / 1000)) : "";
  }
  if (!view || !city) return;
  for (const it of places()) if (it.state === "ready" && it.claim_before) remind(it.key, "comeIn", until_ms(it.claim_before) - 2000, labelOf(it));
  set("city", t("ofCity", city.name));
  for (const it of all(".rule")) it.textContent = rule(city, view === "list" ? null : district);
  const reserves = (city.reserves ?? []).map((it) => t("reserve", it.percent, nameOf(it)));
  for (const it of all(".reserves")) if (it.textContent !== reserves.join("")) refill(it, ...reserves.map((text) => make("p", { className: "hint" }, text)));
  for (const it of all(".place")) it.textContent = district ? nameOf(district) : "";
  for (const it of all(".message")) it.textContent = page.opening?.message ?? "";
  drawService();
  const called = drawFamily();
  const head = PAINT[view]?.() ?? (district && nameOf(district));
  document.title = [called, head, t("title")].filter(Boolean).join(" · ");
}
