// Requests of the staff's pages, and the city's clock, which their answers set (see clock.js).

import { guess, heard, nap, now_ms } from "./clock.js";
import { lang } from "./speech.js";

let clock = { skew_ms: 0, zone_ms: 8 * 3_600_000 }; // until the server speaks, as this device last knew it
let keep = () => {};
/** Where the clock is kept between two visits. */
export function keepClock({ recall, remember }) {
  clock = recall("clock") ?? clock;
  keep = () => remember("clock", clock);
  guess(Date.now() + clock.skew_ms);
}
export function follow(now) {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(now) ?? [0, "+", 0, 0];
  clock = { skew_ms: now_ms() - Date.now(), zone_ms: (sign === "-" ? -1 : 1) * (hours * 60 + Number(minutes)) * 60_000 };
  keep();
}
export const local = (ms) => new Date(ms + clock.zone_ms).toISOString();
export const today = () => local(now_ms()).slice(0, 10);
export const hm = (ms) => local(ms).slice(11, 16);

/** {ok, status, data, after_s}; status 0: no network, or something that is not our server. `slept`: told after a sleep. */
export async function request(method, path, { token, body, language = lang, slept = () => {} } = {}) {
  const headers = { "Accept-Language": language };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const asked_ms = performance.now();
  try {
    const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout?.(20_000) });
    const data = JSON.parse((await answer.text()) || "{}");
    if (!nap()) heard(data.now, answer.headers, asked_ms);
    else slept(); // it was said before
    return { ok: answer.ok, status: answer.status, data, after_s: Number(answer.headers.get("Retry-After")) };
  } catch {
    return { ok: false, status: 0, data: {}, after_s: 0 };
  }
}
