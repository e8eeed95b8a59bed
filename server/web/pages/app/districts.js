// The list of districts, and how each stands by the timetable.

import { naps, now_ms } from "../common/clock.js";
import { isOpenHours, nextStroke, timetable, windowsOf } from "../common/timetable.js";
import { $, LIVE, clock, countdown, long, nameOf, page, places, receipts, when } from "./base.js";
import { PAINT, show } from "./family.js";
import { fetched, load, read, until } from "./requests.js";
import { make, refill, set } from "./screen.js";
import { lang, list, t, zh } from "./words.js";

const RUNNING = ["draw", "open", "paused"];
// How a district stands by the timetable; see common/timetable.js.
export const standingOf = (district, draw_seconds) => timetable(page.city, district, now_ms(), draw_seconds);
export const nextOpenings = () => {
  const coming = page.city.districts.map((it) => [it, standingOf(it).next]).filter(([, next]) => next);
  const first = Math.min(...coming.map(([, next]) => next));
  return { first, names: coming.filter(([, next]) => next === first).map(([it]) => nameOf(it)) };
};
function row(href, name, more, state, on) {
  const what = make("span", {}, make("b", {}, name), make("small", { lang: zh() ? "en" : "zh-CN" }, more));
  return make("a", { className: "district", href }, what, make("span", { className: on ? "on" : "" }, state));
}
function drawList() {
  const rows = page.city.districts.map((it) => {
    const { state, next } = standingOf(it);
    const held = places().filter((place) => place.district === it.code && LIVE.includes(place.state));
    return {
      hours: list(windowsOf(it).map(({ opens, closes }) => `${opens}–${closes}`)) || t("unassigned"),
      href: held.length === 1 ? `#place=${held[0].key}` : `#${it.code}`,
      name: nameOf(it), more: zh() ? it.name_en : it.name_zh,
      state: held.length ? t("held") : t(state, next && clock(next)), on: held.length > 0 || RUNNING.includes(state),
    };
  });
  const text = JSON.stringify([lang, rows]);
  if (text === drawList.text) return; // so that nobody who stands on a line is moved
  drawList.text = text;
  let last;
  const blocks = [];
  for (const { hours, href, name, more, state, on } of rows) {
    if (hours !== last) blocks.push(make("h3", {}, hours));
    blocks.push(row(href, name, more, state, on));
    last = hours;
  }
  refill($("districts"), ...blocks);
}
PAINT.list = () => {
  const { open_hours: { opens, closes }, draw_seconds } = page.city;
  drawList();
  set("promise", draw_seconds ? t("promise", long(draw_seconds)) : "");
  const resting = !isOpenHours(page.city, now_ms());
  $("rest").hidden = !resting;
  if (!resting) return;
  const { first, names } = nextOpenings();
  set("rest-text", t("restText", closes, opens));
  set("rest-clock", first < Infinity ? countdown(first - now_ms()) : "");
  set("rest-next", first < Infinity ? t("restNext", when(first), list(names)) : "");
};
// Until the next stroke of the timetable, or a while; and a little, so that not all ask at once.
export async function stroke(districts, mine, longest_ms = 300_000) {
  const soon_ms = nextStroke(page.city, districts, now_ms()) - now_ms();
  const due = now_ms() + Math.min(longest_ms, soon_ms) + 1000 + Math.random() * Math.min(9000, longest_ms / 5);
  const before = naps;
  const woken_ms = Math.random() * 3000;
  let woken;
  await until(() => {
    if (naps > before) woken = woken ?? now_ms() + woken_ms; // it may have slept over anything
    return document.hidden ? Infinity : Math.min(due, woken ?? due) - now_ms(); // nobody is looking: nothing is asked
  }, mine);
}
export async function home(mine) {
  Object.assign(page, { district: null, key: null, opening: null });
  let old = now_ms() - Date.parse(page.city.now) > 60_000; // who comes back to it: a pause, a rule may be another by now
  for (;;) {
    show("list");
    prefetch();
    if ($("rest").hidden) for (const it of receipts()) (await load(mine, "receipt"))[0].refresh(it);
    if (!old) await stroke(page.city.districts, mine);
    old = false;
    page.city = await read(mine, "/city");
  }
}
// The rest of the journey comes while the network is good.
let fetching;
export function prefetch() {
  fetching = fetching ?? Promise.all(["papers", "opening", "queue", "register", "receipt", "find"].map(fetched)).catch(() => { fetching = null; });
}
