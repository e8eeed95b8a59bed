// How a place stands by the public answer on its opening alone: the same for everyone, so a cache can carry any crowd. A
// worker is asked when the number is called, and when something is odd.

import { fits, numberOf } from "./wait/draw.js";

export { fits, numberOf };

const ON = ["draw", "open", "paused"];
const ONCE = { ask: "once" }; // an answer out of a cache may be older than the place
const ALWAYS = { ask: "always" };

// Of the numbers in front of this one, so many are given up: at most, and likely.
function givenUpBefore(number, { serving, wait }) {
  let at = serving;
  let gone = 0;
  for (const [upto, count] of wait.given_up) {
    const width = number - 1 - at;
    if (number <= upto) return [gone + Math.min(count - gone, width), gone + ((count - gone) * width) / (upto - at)];
    at = upto;
    gone = count;
  }
  return [gone, gone];
}
// Between how many seconds after the answer's `now` a number is called, nine times in ten; null where nobody knows.
function turnOf(number, { serving, wait: { turns = [] } }) {
  let [at, low, high] = [serving, 0, 0];
  for (const [upto, from, to] of turns) {
    const share = (number - at) / (upto - at);
    if (number <= upto) return [low + (from - low) * share, high + (to - high) * share];
    [at, low, high] = [upto, from, to];
  }
  return null;
}
/** {ahead, eta_seconds, after_s} of a number that is not called yet; `chance` from 0 to 1 keeps a crowd out of step. */
export function outlook(number, opening, chance = Math.random()) {
  const { serving, rate_per_second: rate, wait: { pace_per_second: pace, free, claim_seconds, look } } = opening;
  const between = number - serving - 1;
  const [most, likely] = givenUpBefore(number, opening);
  const ahead = Math.max(0, Math.round(between - likely));
  const eta_seconds = pace > 0 ? Math.ceil(Math.max((ahead + 1) / rate, (ahead + 1 - free) / pace)) : null;
  let after_s = look.floor_seconds * look.stretch;
  if (rate > 0) {
    const soonest_s = Math.max(0, between - most) / rate;
    after_s = Math.max(look.floor_seconds, Math.min(soonest_s * look.share, look.ceiling_seconds)) * look.stretch;
    after_s = Math.min(after_s, Math.max(soonest_s * 0.9, claim_seconds / 3)); // never past the turn
  }
  return { ahead, eta_seconds, after_s: after_s * (0.85 + 0.15 * chance) };
}
/** What a public answer says of a place that waits: news of it with `after_s`, or {ask} where a worker must be asked. */
export function standing(place, opening) {
  const { date, window: nth, state, now, closes_at, issued, serving, draw, wait } = opening;
  if (date !== place.date || (place.window && nth !== place.window) || issued <= place.entry) return ONCE;
  if (place.commitment && draw.commitment !== place.commitment) return ALWAYS;
  if (draw.seed !== null && !fits(draw.seed, draw.commitment)) return ALWAYS;
  const number = draw.seed === null ? null : numberOf(draw.key ?? draw.seed, draw.entries, place.entry);
  if (place.number && number && number !== place.number) return ALWAYS;
  if (number && number <= serving) return { ask: "always", number };
  if (!ON.includes(state)) return Date.parse(now) >= Date.parse(closes_at) ? { state: "ended", ahead: null, eta_seconds: null, after_s: 3600 } : ONCE;
  if (!wait) return ONCE;
  if (!number) return { state: "drawing", root: draw.root ?? place.root, after_s: wait.look.floor_seconds * wait.look.stretch * (0.85 + 0.15 * Math.random()) };
  const turn = turnOf(number, opening)?.map((seconds) => Date.parse(now) + seconds * 1000) ?? null;
  return { state: "waiting", number, serving, turn, ...outlook(number, opening) };
}
