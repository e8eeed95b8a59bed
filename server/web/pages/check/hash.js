// SHA-256 and HMAC: written out, as browsers have crypto.subtle in a secure context only; where they have it, the checks
// that a page makes for its reader are done by the browser's own.

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
function compress(state, view, at) {
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
  for (let at = 0; at < whole.length; at += BLOCK_BYTES) compress(state, view, at);
  const out = new DataView(new ArrayBuffer(32));
  state.forEach((it, i) => out.setUint32(4 * i, it));
  return new Uint8Array(out.buffer);
}
// A key, no longer than a block, and what follows it (RFC 2104).
function padded(key, by, data) {
  const it = new Uint8Array(BLOCK_BYTES + data.length).fill(by, 0, BLOCK_BYTES);
  key.forEach((byte, i) => { it[i] ^= byte; });
  it.set(data, BLOCK_BYTES);
  return it;
}
/** HMAC-SHA256 of some bytes. */
export const hmac = (key, data) => sha256(padded(key, 0x5c, sha256(padded(key, 0x36, data))));
/** Whether the browser has SHA-256 of its own: on https, and on the machine itself. */
export const hasOwn = () => Boolean(self.isSecureContext && self.crypto?.subtle);
/** SHA-256 by the browser itself where it has it. */
export const digest = async (data) => (hasOwn() ? new Uint8Array(await crypto.subtle.digest("SHA-256", data)) : sha256(data));
/** HMAC-SHA256 likewise. */
export const mac = async (key, data) => digest(padded(key, 0x5c, await digest(padded(key, 0x36, data))));
/** Some bytes one after the other. */
export function joined(...parts) {
  const it = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    it.set(part, at);
    at += part.length;
  }
  return it;
}
