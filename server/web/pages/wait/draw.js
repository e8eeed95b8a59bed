// The draw, as the contract has it: from its revealed seed anyone can compute anybody's number.

import { bytes, hex, hmac, sha256 } from "../check/hash.js";

const ROUNDS = 8;

/** The number of an entry: `drawKey` in hex (of a draw of the first version its seed), `entries` of the draw. */
export function numberOf(drawKey, entries, entry) {
  if (entry >= entries) return entry + 1;
  const key = bytes(drawKey);
  let half = 1; // bits: an opening gives 10^7 places at most, so everything here fits into 32
  while (4 ** half < entries) half += 1;
  const mask = 2 ** half - 1;
  const message = new Uint8Array(9);
  const view = new DataView(message.buffer);
  let x = entry;
  do {
    let left = x >>> half;
    let right = x & mask;
    for (let round = 0; round < ROUNDS; round += 1) {
      message[0] = round;
      view.setUint32(5, right);
      const f = new DataView(hmac(key, message).buffer).getUint32(4); // the low half of its first 8 bytes
      [left, right] = [right, left ^ (f & mask)];
    }
    x = (left << half) | right;
  } while (x >= entries);
  return x + 1;
}
/** Whether a revealed seed is the one that was committed to. */
export const fits = (seed, commitment) => /^[0-9a-f]{64}$/.test(seed) && hex(sha256(bytes(seed))) === commitment;
