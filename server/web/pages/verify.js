// Checks a place's number on its holder's own device: from what is public alone as soon as the draw is done, and a little
// later, so that not everybody asks at once, that the place is in the list which the draw was made of.

import { call, lastLook, places, recall, remember } from "./app.js";
import { faultIn, isListed } from "./check/draw.js";
import { hasOwn } from "./check/hash.js";

export { faultIn, isListed };
export { compare } from "./check/record.js";

// So many proofs a second are asked for by all of an opening's pages together.
const PROOFS_PER_SECOND = 50;
const AGAIN_MS = 60_000;
const busy = new Set();

const note = ({ key }, verified) => {
  const it = recall(`place:${key}`);
  if (it) remember(`place:${key}`, { ...it, verified: { ...it.verified, ...verified } });
};
// The public answer by which a place's number stands, once it has all of it.
function drawnOf(it) {
  const opening = lastLook(it.district);
  const isIts = opening && opening.date === it.date && (!it.window || opening.window === it.window);
  return isIts && opening.draw.seed && it.number > 0 && it.entry < opening.draw.entries ? opening : null;
}
async function checkNumber(it, opening) {
  const { entries, version, beacon } = opening.draw;
  const said = { number: it.number, entries, own: hasOwn(), version, round: beacon?.round, chain: beacon?.chain, missing: Boolean(beacon?.missing) };
  const fault = await faultIn(it, opening);
  const list_due = version > 1 && !fault ? Date.now() + 20_000 + (it.entry * 1000) / PROOFS_PER_SECOND : null;
  note(it, { ...said, fault, list: null, list_due });
}
async function checkList(it, opening) {
  note(it, { list: null, list_due: Date.now() + AGAIN_MS });
  const { ok, data } = await call("GET", "/ticket/proof", { token: it.ticket });
  if (!ok) return note(it, { list: "later" });
  const fits = await isListed(it, opening.draw, data);
  return note(it, { list: fits ? "fits" : "differs", list_due: null, fault: fits ? null : "list", proof: fits ? undefined : data });
}
async function checked(it, task) {
  busy.add(it.key);
  try { await task(it, drawnOf(it)); } catch { note(it, { fault: null, unable: true, number: it.number, list_due: null }); }
  busy.delete(it.key);
}
/** Looks after all places, a few times a second. */
export function look() {
  for (const it of places()) {
    const { verified } = it;
    if (busy.has(it.key) || !["waiting", "ready"].includes(it.state) || !drawnOf(it)) continue;
    if (verified?.number !== it.number) checked(it, checkNumber);
    else if (verified.list_due && Date.now() >= verified.list_due) checked(it, checkList);
  }
}
/** What somebody needs who is to look into it. */
export const evidence = (it) => {
  const { entry, number, commitment, root, verified } = it;
  return JSON.stringify({ opening: lastLook(it.district), place: { entry, number, commitment, root }, found: verified }, null, 1);
};
