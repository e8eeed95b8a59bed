// Flows, of which one goes on at a time, and requests: asked again until there is an answer to act on.

import { heard, nap, naps, sure } from "../common/clock.js";
import { page, places, troubles } from "./base.js";
import { paint } from "./family.js";
import { polite } from "./screen.js";
import { lang, moreWords, t } from "./words.js";

const GONE = new Error("the resident went elsewhere");

// One flow at a time: starting one ends the one before, at its next step.
let flow = {};
export async function run(task) {
  flow.gone = true;
  flow = {};
  troubles.delete("flow");
  await task(flow).catch((error) => { if (error !== GONE) throw error; });
}
export function check(mine) { if (mine.gone) throw GONE; }
export async function until(left_ms, mine) {
  for (let ms = left_ms(); ms > 0; ms = left_ms()) {
    await new Promise((resolve) => { setTimeout(resolve, Math.min(ms, 1000)); });
    check(mine);
  }
}

// The server's clock (see common/clock.js). After a sleep: what time is it really? Nobody asks who is told to wait.
export function wake() {
  if (nap()) setTimeout(lookUp, Math.random() * 3000); // a crowd's phones wake together
}
export async function lookUp() {
  const asks = ["list", "opening"].includes(page.view); // by themselves, see stroke
  if (sure() || asks || document.hidden || !page.city || !page.view) return;
  const { ok, data } = troubles.size ? {} : await call("GET", "/city");
  if (!ok) return setTimeout(lookUp, 5000 + Math.random() * 5000);
  page.city = data;
  return paint();
}

// Requests
export const LIMIT_MS = 20_000;
// A tab that is restored, or gone back to, would get answers of then from the browser's own cache.
const [arrival] = performance.getEntriesByType ? performance.getEntriesByType("navigation") : [];
const CACHE = arrival && arrival.type === "back_forward" ? "no-store" : "default";
// How long to wait as told: seconds or a date, by the answer's own clock; nonsense is nothing, a day is the most.
function told_s(headers) {
  const told = headers.get("Retry-After") ?? "";
  const s = /^\s*\d+\s*$/.test(told) ? Number(told) : (Date.parse(told) - (Date.parse(headers.get("Date")) || Date.now())) / 1000;
  return s > 0 ? Math.min(s, 86_400) : 0;
}
export async function call(method, path, { token, body, plain, key, limit_ms = LIMIT_MS } = {}) {
  const headers = { "Accept-Language": lang };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), limit_ms);
  wake();
  const before = naps;
  const asked_ms = performance.now();
  try {
    const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body), signal: stop.signal, cache: CACHE });
    const text = await answer.text();
    let data = null;
    try {
      data = plain && answer.ok ? text : JSON.parse(text || "{}");
    } catch (error) {
      if (answer.status !== 429 && answer.status < 500) throw error; // somebody else's page; "busy" may be a proxy's, and counts
    }
    wake();
    if (data && before === naps) heard(data.now, answer.headers, asked_ms); // else it was said before the sleep
    data = data ?? {};
    return { ok: answer.ok, status: answer.status, data, after_s: told_s(answer.headers) };
  } catch {
    return { ok: false, status: 0, data: {}, after_s: 0 };
  } finally {
    clearTimeout(timer);
  }
}
export const WAIT = ({ status, data }) => !status || status === 425 || status === 429 || (status >= 500 && data.code !== "maintenance");
export function patience_ms(tries, after_s) {
  const s = Math.max(after_s, Math.min(60, 2 ** tries));
  return (s + Math.random() * Math.min(s / 2, 60)) * 1000;
}
// A slow network gets more time with every try.
export const limit_ms = (tries) => Math.min(3, tries) * LIMIT_MS;
// Ask until there is an answer to act on; waits as long as told, longer each time, never in step with others. `heard`
// gets each answer, also one for somebody who has gone elsewhere meanwhile. Not where only they themselves can do
// something: with a code, or at the next opening.
export async function insist(mine, method, path, options = {}) {
  for (let tries = 1; ; tries += 1) {
    const answer = await call(method, path, { ...options, limit_ms: limit_ms(tries) });
    options.heard?.(answer);
    check(mine);
    const { status, data, after_s } = answer;
    if (!WAIT(answer) || options.settle?.includes(status) || data.prove || data.reason === "places") { troubles.delete("flow"); return answer; }
    await hold(mine, tries, { status, text: status ? data.detail ?? t("busy") : t(places().length ? "offlineKept" : "offline"), after_s });
  }
}
async function hold(mine, tries, { status, text, after_s = 0 }) {
  const trouble = { status, text, due: performance.now() + patience_ms(tries, after_s) };
  troubles.set("flow", trouble);
  if (tries === 1) polite(text);
  paint();
  await until(() => trouble.due - performance.now(), mine);
}
export const read = async (mine, path) => (await insist(mine, "GET", path)).data;
// A module, however often it takes; by a changed address, as browsers remember that one could not be fetched. Modules
// find one another in `kit`, not by importing, for the same reason.
const modules = {};
export const kit = {};
export async function load(mine, ...names) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await Promise.all(names.map(fetched));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      check(mine);
      await hold(mine, tries, { status: 0, text: t("offline") });
    }
  }
}
export async function fetched(name) {
  const it = modules[name] = modules[name] ?? { tries: 0 };
  if (!it.ready) {
    const words = moreWords();
    const ready = import(`/${name}.js${it.tries ? `?again=${it.tries}` : ""}`).catch((error) => { it.tries += 1; throw error; });
    it.ready = Promise.all([ready, words]).then(([module]) => { kit[name] = module; return module; });
    it.ready.catch(() => { it.ready = null; });
  }
  return it.ready;
}

// A module that works beside whatever is open: a called relative is asked about also where nobody looks at the place.
const bringing = {};
export function bring(name) {
  bringing[name] = bringing[name] ?? (async () => {
    for (let tries = 1; ; tries += 1) {
      try { return await fetched(name); } catch (error) { if (!(error instanceof TypeError)) throw error; }
      const ms = patience_ms(Math.min(tries, 4), 0);
      await new Promise((resolve) => { setTimeout(resolve, ms); });
    }
  })();
  return bringing[name];
}
