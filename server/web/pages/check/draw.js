// The draw once more, step by step and by the browser's own SHA-256 where it has one: what a page checks for its reader.

import { bytes, digest, hex, joined, mac } from "./hash.js";
import { rootBy } from "./merkle.js";

const HEX = /^(?:[0-9a-f]{2})+$/;
const PASSES = 8;
const QUICKNET = { genesis_ms: 1692803367_000, period_ms: 3000 };
// A network that is not public says in its name when its first round was due, and how long a round is.
const OWN_CHAIN = /^drand:[0-9a-f]{64}:(\d+):(\d+):[0-9a-f]{192}$/;
const AFTER_MS = 3000;
const NONE = new Uint8Array();

// A whole number as 8 bytes, the highest first.
function eight(n) {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, Math.floor(n / 2 ** 32));
  view.setUint32(4, n % 2 ** 32);
  return new Uint8Array(view.buffer);
}
async function numberBy(key, entries, entry) {
  let half = 1;
  while (4 ** half < entries) half += 1;
  const size = 2 ** half;
  let x = entry;
  do {
    let [left, right] = [Math.floor(x / size), x % size];
    for (let pass = 0; pass < PASSES; pass += 1) {
      const f = new DataView((await mac(key, joined([pass], eight(right)))).buffer).getUint32(4) % size;
      [left, right] = [right, left ^ f];
    }
    x = left * size + right;
  } while (x >= entries);
  return x + 1;
}
// The first round that is due three seconds after the draw's end, or later.
const roundFor = ({ genesis_ms, period_ms }, ends_ms) => Math.max(0, Math.ceil((ends_ms + AFTER_MS - genesis_ms) / period_ms)) + 1;
function chainNamed(name) {
  if (name === "quicknet") return QUICKNET;
  const own = OWN_CHAIN.exec(name);
  return own && { genesis_ms: own[1] * 1000, period_ms: own[2] * 1000 };
}
async function keyOf({ district, date, window: nth, opens_at, draw }) {
  const { seed, version, root, beacon } = draw;
  if (!(version > 1)) return bytes(seed);
  let randomness = NONE;
  if (beacon) {
    const chain = chainNamed(beacon.chain);
    if (!chain || beacon.round !== roundFor(chain, Date.parse(opens_at) + draw.seconds * 1000)) return null;
    if (!beacon.signature && !beacon.missing) return null;
    if (beacon.signature) randomness = await digest(bytes(beacon.signature));
    if (beacon.signature && hex(randomness) !== beacon.randomness) return null;
  }
  const tag = nth > 1 ? `${district}:${date}:${nth}` : `${district}:${date}`;
  return mac(bytes(seed), joined(new TextEncoder().encode(`jiaohao draw 2\n${tag}\n`), bytes(root), randomness));
}
/** What does not fit in a draw that is done and the number that came of it for this place; null where all of it does. */
export async function faultIn(place, opening) {
  const { draw } = opening;
  const { seed, entries, key, root, commitment, version } = draw;
  if (![seed, commitment, ...(version > 1 ? [root, key] : [])].every((it) => HEX.test(it))) return "missing";
  if (place.commitment && place.commitment !== commitment) return "commitment";
  if (hex(await digest(bytes(seed))) !== commitment) return "seed";
  if (place.root && place.root !== root) return "root";
  const made = await keyOf(opening);
  if (!made || (version > 1 && hex(made) !== key)) return "key";
  return (await numberBy(made, entries, place.entry)) === place.number ? null : "number";
}
/** Whether an entry is in the list that the draw was made of, by what its ticket was told of it. */
export async function isListed({ entry }, { entries, root }, proof) {
  if (proof.entry !== entry || proof.root !== root || !HEX.test(proof.blind)) return false;
  return (await rootBy(joined(eight(entry), bytes(proof.blind)), entry, entries, proof.path)) === root;
}
