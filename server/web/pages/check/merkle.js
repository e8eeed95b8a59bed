// Merkle trees as in RFC 6962: one hash that stands for a list, proofs that a leaf is in it and that it has only grown.

import { bytes, digest, hex, joined } from "./hash.js";

const HASH = /^[0-9a-f]{64}$/;
const LEAF = [0];
const NODE = [1];
const half = (n) => Math.floor(n / 2);

const above = (left, right) => digest(joined(NODE, left, right));
const read = (hashes) => (hashes.every((it) => HASH.test(it)) ? hashes.map(bytes) : null);
/** The root (hex) of a list of `leaves` in which this leaf has this index, by its path; null where it is no such path. */
export async function rootBy(leaf, index, leaves, path) {
  const siblings = read(path);
  if (!siblings || !(index >= 0 && index < leaves)) return null;
  let node = await digest(joined(LEAF, leaf));
  let at = index;
  for (let width = leaves; width > 1; width = half(width + 1)) {
    const odd = at % 2 === 1;
    if (odd || at + 1 < width) {
      const sibling = siblings.shift();
      if (!sibling) return null;
      node = odd ? await above(sibling, node) : await above(node, sibling);
    }
    at = half(at);
  }
  return siblings.length ? null : hex(node);
}
/** Whether the later list {size, root} begins with the earlier one (RFC 9162, 2.1.4.2). */
export async function hasGrown(was, is, proof) {
  const path = read(proof);
  if (!path || !HASH.test(was.root) || !(was.size > 0)) return false;
  if (was.size >= is.size) return was.size === is.size && was.root === is.root && !path.length;
  if (Number.isInteger(Math.log2(was.size))) path.unshift(bytes(was.root)); // then it is a node of the later one itself
  let [known, last] = [was.size - 1, is.size - 1];
  while (known % 2) [known, last] = [half(known), half(last)];
  let old = path.shift();
  if (!old) return false;
  let now = old;
  for (const node of path) {
    if (last === 0) return false;
    if (known % 2 || known === last) {
      [old, now] = [await above(node, old), await above(node, now)];
      while (known && known % 2 === 0) [known, last] = [half(known), half(last)];
    } else now = await above(now, node);
    [known, last] = [half(known), half(last)];
  }
  return last === 0 && hex(old) === was.root && hex(now) === is.root;
}
