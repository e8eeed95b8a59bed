// How the night stands: its steps, districts, and what was promised and published.

import { $, badge, clock, count, dayName, head, keyed, make, nameOf, page, periodName, say, set, t, td, th } from "./base.js";

const STEPS = { close: "closed_at", free: "freed_at", freeze: "frozen_at", allot: "allotted_at", publish: "published_at", tell: "told_at" };

function outcome(step, it) {
  const known = { close: it.missed, free: it.freed, freeze: it.registrations, allot: it.given, publish: it.counts, tell: it.reminded }[step];
  if (known === null) return "";
  const { allotted = 0, ...others } = it.counts ?? {};
  const values = {
    close: [it.missed, it.charged, it.barred], free: [it.freed], freeze: [it.registrations], allot: [it.given, it.registrations, it.withdrawn],
    publish: [allotted, Object.values(others).reduce((a, b) => a + b, 0)], tell: [it.reminded],
  }[step];
  return t(`w${step[0].toUpperCase()}${step.slice(1)}`, ...values.map(count));
}
const begun = (it) => !["none", "committed"].includes(it.state);
export function paintNight() {
  const { holder, districts, night: date } = page.view;
  const nights = districts.map((it) => it.night);
  set("night-title", t("night", dayName(date, true)));
  const isDone = nights.every((it) => it.state === "done");
  const stuck = !holder && !isDone && nights.some(begun);
  set("night-who", holder ? t("ranBy", holder.name, clock(holder.since), clock(holder.expires_at)) : isDone ? t("nightDone") : stuck ? t("stuck") : t("nobody"));
  $("night-who").className = holder ? "notice" : stuck ? "notice bad" : isDone ? "notice good" : "hint";
  const none = nights.every((it) => it.state === "none");
  if (none) set("night-who", t("nightNone"));
  for (const it of [$("night-steps"), $("night").querySelector(".wide"), $("night-proofs")]) it.hidden = none;
  let reached = false; // the first step that is not done everywhere is the one that is going on
  const steps = Object.entries(STEPS).map(([step, field]) => {
    const times = nights.map((it) => it[field]).filter(Boolean).sort();
    const done = times.length === nights.length;
    const now = !done && !reached && nights.some(begun);
    reached ||= !done;
    return [step, times.length, nights.length, times.length ? [...new Set([clock(times[0]), clock(times.at(-1))])].join("–") : "", done ? "is-done" : now ? "is-now" : ""];
  });
  keyed($("night-steps"), steps, ([step]) => step, ([step, n, of, times, state]) => {
    const it = make("li", { className: state }, make("b", {}, t(step)), make("small", {}, t("of", n, of), times && ` · ${times}`));
    if (state === "is-now") it.setAttribute("aria-current", "step");
    return it;
  });
  keyed($("night-reserves"), page.view.reserves ?? [], (it) => it.letter, (it) => make("p", { className: "hint" }, `${it.letter}: ${t("reserve", it.percent, nameOf(it))}`));
  head("night-head", ["district", "state", ...Object.keys(STEPS)]);
  keyed($("night-rows"), districts.map(({ code, name_zh, name_en, night }) => ({ code, name_zh, name_en, night, held: Boolean(holder) })), (it) => it.code, (it) => {
    const going = it.held && begun(it.night) ? Object.entries(STEPS).find(([, field]) => !it.night[field])?.[0] : null;
    return make("tr", {}, th(nameOf(it)), make("td", {}, badge(it.night.state)), ...Object.entries(STEPS).map(([step, field]) =>
      td(clock(it.night[field]) || (step === going ? t("going") : "–"), outcome(step, it.night), { className: step === going ? "is-going" : "" })));
  });
  const over = nights.flatMap((it) => it.over);
  $("night-over").hidden = !over.length;
  keyed($("night-over"), over.length ? [over] : [], () => "over", () => make("div", {}, make("p", {}, t("over")), lowered(over)));
  keyed($("night-hashes"), districts.map(({ code, name_zh, name_en, night }) => ({ code, name_zh, name_en, night })), (it) => it.code, (it) => {
    const { commitment, list_root, root, seed, reached: dates, by_reserve } = it.night;
    const lines = [["commitment", commitment], ["listRoot", list_root], ["root", root], ["seed", seed ?? (commitment && t("secret"))], ["reached", dates?.map((date) => date ?? "–").join(" · ")],
      ["byReserve", Object.entries(by_reserve ?? {}).map(([letter, given]) => `${letter} ${count(given)}`).join(" · ")]].filter(([, value]) => value);
    return make("div", {}, make("dt", {}, nameOf(it)), ...(lines.length ? lines.map(([name, value]) =>
      make("dd", {}, `${t(name)}: `, make("code", {}, value))) : [make("dd", {}, t("nightNone"))]));
  });
}
export const lowered = (slots) => make("ul", {}, ...slots.slice(0, 50).map((it) =>
  make("li", {}, t("overOne", it.date, it.site, periodName(it.period), say(it.product), count(it.capacity), count(it.taken)))),
...(slots.length > 50 ? [make("li", {}, t("moreRows", slots.length - 50))] : []));
