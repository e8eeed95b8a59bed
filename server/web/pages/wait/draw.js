// The draw, as the contract has it: from its revealed seed anyone can compute anybody's number. SHA-256 is written out, as
// browsers have crypto.subtle in a secure context only.

const ROUNDS = 8;
const BLOCK_BYTES = 64;
// FIPS 180-4, 4.2.2 and 5.3.3.
const K = words(
  "428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5d807aa9812835b01243185be550c7dc372be5d7480deb1fe9bdc06a7c19bf174" +
  "e49b69c1efbe47860fc19dc6240ca1cc2de92c6f4a7484aa5cb0a9dc76f988da983e5152a831c66db00327c8bf597fc7c6e00bf3d5a7914706ca635114292967" +
  "27b70a852e1b21384d2c6dfc53380d13650a7354766a0abb81c2c92e92722c85a2bfe8a1a81a664bc24b8b70c76c51a3d192e819d6990624f40e3585106aa070" +
  "19a4c1161e376c082748774c34b0bcb5391c0cb34ed8aa4a5b9cca4f682e6ff3748f82ee78a5636f84c878148cc7020890befffaa4506cebbef9a3f7c67178f2");
const START = words("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19");

function words(hex) { return Uint32Array.from(hex.match(/.{8}/g), (it) => parseInt(it, 16)); }
export const bytes = (hex) => Uint8Array.from(hex.match(/../g) || [], (it) => parseInt(it, 16));
export const hex = (of) => Array.from(of, (it) => it.toString(16).padStart(2, "0")).join("");

const turned = (x, n) => (x >>> n) | (x << (32 - n));
function digest(state, view, at) {
  const w = new Uint32Array(64);
  for (let i = 0; i < 16; i += 1) w[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i += 1) {
    const a = w[i - 15];
    const b = w[i - 2];
    w[i] = w[i - 16] + (turned(a, 7) ^ turned(a, 18) ^ (a >>> 3)) + w[i - 7] + (turned(b, 17) ^ turned(b, 19) ^ (b >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((it, i) => { state[i] += it; });
}
/** SHA-256 of some bytes. */
export function sha256(data) {
  const whole = new Uint8Array(Math.ceil((data.length + 9) / BLOCK_BYTES) * BLOCK_BYTES);
  whole.set(data);
  whole[data.length] = 0x80;
  const view = new DataView(whole.buffer);
  view.setUint32(whole.length - 4, data.length * 8); // so short are all of ours
  const state = START.slice();
  for (let at = 0; at < whole.length; at += BLOCK_BYTES) digest(state, view, at);
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((it, i) => out.setUint32(4 * i, it));
  return new Uint8Array(out.buffer);
}
/** HMAC-SHA256 (RFC 2104); the key is no longer than a block. */
export function hmac(key, data) {
  const padded = (with_, more) => {
    const it = new Uint8Array(BLOCK_BYTES + more.length).fill(with_, 0, BLOCK_BYTES);
    key.forEach((byte, i) => { it[i] ^= byte; });
    it.set(more, BLOCK_BYTES);
    return sha256(it);
  };
  return padded(0x5c, padded(0x36, data));
}
/** The number of an entry: `seed` in hex, `entries` of the draw. */
export function numberOf(seed, entries, entry) {
  if (entry >= entries) return entry + 1;
  const key = bytes(seed);
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
