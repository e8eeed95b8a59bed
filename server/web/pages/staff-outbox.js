// Attendances on their way to the server. Each is kept on the device first, under a key of its own (so that two tabs
// never overwrite each other's), and goes only when the server has it, or has said why it never will. Sending one twice
// is harmless: the server answers the same again.

import { forget, keys, recall, remember } from "./staff-store.js";

const KEY = "attendance:";
const keyOf = ({ site, date, registration_no: no }) => `${KEY}${site}:${date}:${no}`;
const LONGEST_WAIT_S = 60;

export const everything = () => keys(KEY).map(recall).filter(Boolean).sort((a, b) => a.at - b.at);
export const find = (site, date, no) => recall(keyOf({ site, date, registration_no: no }));
export const put = (attendance) => remember(keyOf(attendance), attendance);
export const drop = (attendance) => forget(keyOf(attendance));
/** On signing out: numbers and dates are enough to send them later. */
export function stripNames() {
  for (const it of everything()) put({ ...it, name: "" });
}

/** What an answer means for an attendance: `sent`, `refused`, `signin`, `later` (and so for all others) or `skip`. */
function verdict({ ok, status, data }, { registration_no: no }) {
  if (ok && data.registration_no === no) return "sent"; // not just any 200: a hotel's log-in page gives one too
  if (status === 401) return "signin";
  if ((status === 404 && data.code === "not-found") || (status === 422 && data.code === "invalid")) return "refused";
  return status >= 400 && status < 500 && ![408, 425, 429].includes(status) ? "skip" : "later";
}
const whyNot = ({ errors, detail }) => errors?.map((it) => it.message).join(" ") || detail || "";

/**
 * Sends what waits, one after the other; after a failure again by itself, later each time and never in step with others.
 *
 * @param {() => string | null} site whose attendances may be sent now
 * @param {(attendance) => Promise<{ok, status, data, after_s}>} post
 * @param {(what: string, attendance, answer) => void} told after each verdict
 */
export function sender(site, post, told) {
  let busy = false;
  let again = false; // asked for while busy
  let failures = 0;
  let timer = 0;

  async function flush() {
    clearTimeout(timer);
    again = busy;
    if (busy) return;
    busy = true;
    const tried = new Set();
    const next = () => everything().find((it) => it.site === site() && !it.refused && !tried.has(keyOf(it)));
    let wait_s = 0;
    // Read anew each time: another may have been put meanwhile.
    for (let it = next(); it; it = next()) {
      tried.add(keyOf(it));
      const from = site();
      const answer = await post(it);
      if (site() !== from) break; // signed out, or in elsewhere, while it was under way
      const what = verdict(answer, it);
      if (what === "sent") { drop(it); failures = 0; }
      if (what === "refused") put({ ...it, refused: true, why: whyNot(answer.data), reason: answer.data.reason ?? "" });
      told(what, it, answer);
      if (what === "signin") break;
      if (what === "later" || what === "skip") wait_s = Math.max(wait_s, answer.after_s || 0, Math.min(LONGEST_WAIT_S, 2 ** (failures + 1)));
      if (what === "later") break;
    }
    busy = false;
    if (!wait_s) {
      if (again) await flush();
      return;
    }
    failures += 1;
    timer = setTimeout(flush, wait_s * 1000 * (1 + Math.random() / 2));
  }
  return { flush, soon: (longest_ms) => { clearTimeout(timer); timer = setTimeout(flush, Math.random() * longest_ms); } };
}
