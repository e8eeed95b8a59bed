// The server's clock, as well as its words bound it. Each was said between the request and its answer, or, where a cache
// says how old it is, so much earlier; and it knows whole seconds only. In between the device's running clock carries on.
// A device that slept, or whose clock was set, is seen by its two clocks moving apart: after that the next word counts.

const SILENT_CACHE_MS = 15_000; // an answer may come out of a cache that does not say so; no such is older
let offset_ms = Date.now() - performance.now(); // the device's word, until there is the server's
let bounds = null; // [least, most] of what the offset can be
let apart_ms = Date.now() - performance.now();
let unsure = false;
let behind_ms = null; // what the server's time is ahead of the Date in its headers; a rehearsal's clock may be far from it
export let naps = 0;
export const now_ms = () => performance.now() + offset_ms;
// Whether the time is the server's: nothing is given up as over before that.
export const sure = () => !unsure;
/** What a page remembers of the server's time. */
export function guess(ms) { if (!bounds) offset_ms = ms - performance.now(); }

function believe(least_ms, most_ms) {
  const stale = bounds && !unsure && most_ms < bounds[0] && most_ms > bounds[0] - SILENT_CACHE_MS;
  if (stale) return;
  const meets = bounds && !unsure && least_ms <= bounds[1] && most_ms >= bounds[0];
  bounds = meets ? [Math.max(least_ms, bounds[0]), Math.min(most_ms, bounds[1])] : [least_ms, most_ms];
  offset_ms = (bounds[0] + bounds[1]) / 2;
  unsure = false;
}
/** Takes over what an answer says: `now` of its body, its headers, and when it was asked for, by performance.now(). */
export function heard(now, headers, asked_ms) {
  const came_ms = performance.now();
  const sent_ms = Date.parse(headers.get("Date"));
  const told_ms = Date.parse(now);
  const age = headers.get("Age");
  const age_ms = age > 0 ? Number(age) * 1000 : 0;
  if (told_ms) {
    believe(told_ms + age_ms - came_ms, told_ms + age_ms + (age === null ? 1000 : 2000) - asked_ms);
    if (sent_ms) behind_ms = told_ms - sent_ms;
  } else if (sent_ms && behind_ms !== null) {
    believe(sent_ms + behind_ms - 1000 - came_ms, sent_ms + behind_ms + 2000 - asked_ms);
  }
}
/** Looks whether the device slept, or its clock was put ahead; gives whether. */
export function nap() {
  const jump_ms = Date.now() - performance.now() - apart_ms;
  apart_ms += jump_ms;
  if (jump_ms <= 2000) return false;
  offset_ms += jump_ms;
  unsure = true;
  naps += 1;
  return true;
}
/** Acts at each full second of the server's clock. */
export function everySecond(act) {
  setTimeout(() => { everySecond(act); act(); }, 1001 - (((now_ms() % 1000) + 1000) % 1000));
}
