// The city's public record, of which every receipt has a fingerprint: whether today's begins with what it was then.

import { call, insist } from "../app.js";
import { hex } from "./hash.js";
import { hasGrown } from "./merkle.js";

// The head that a signed note says: how many entries, and their root, there in base64.
function headOf(note) {
  const [, size, root] = note.split("\n");
  return { size: Number(size), root: hex(Uint8Array.from(atob(root), (it) => it.charCodeAt(0))) };
}
/** The record's head now and whether it has only grown since `was`; null where that could not be asked. */
export async function compare(mine, was) {
  const note = await insist(mine, "GET", "/log/head", { plain: true });
  if (!note.ok) return null;
  const is = headOf(note.data);
  if (is.size <= was.size) return { is, fits: await hasGrown(was, is, []) };
  const proof = await call("GET", `/log/growth?first=${was.size}&second=${is.size}`);
  return proof.ok ? { is, fits: await hasGrown(was, is, proof.data.hashes) } : null;
}
