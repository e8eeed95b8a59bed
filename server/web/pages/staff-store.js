// What this page keeps on the device. Where storage is blocked or full it lives in memory, and `kept()` says so.

const PREFIX = "jiaohao-staff:";
const memory = new Map();
let disk = null;
try { disk = localStorage; } catch { /* blocked */ }

export const kept = () => memory.size === 0;
export function recall(key) {
  if (memory.has(key)) return memory.get(key);
  try { return JSON.parse(disk?.getItem(PREFIX + key) ?? null); } catch { return null; }
}
export function remember(key, value) {
  try {
    disk.setItem(PREFIX + key, JSON.stringify(value));
    memory.delete(key);
  } catch { memory.set(key, value); }
}
export function forget(key) {
  memory.delete(key);
  try { disk?.removeItem(PREFIX + key); } catch { /* blocked */ }
}
export const keys = (beginning) => [...new Set([
  ...memory.keys(), ...Object.keys(disk ?? {}).filter((it) => it.startsWith(PREFIX)).map((it) => it.slice(PREFIX.length)),
])].filter((it) => it.startsWith(beginning));

/** Settings shared with the resident's page. */
export function setting(name, value) {
  try {
    if (value === undefined) return JSON.parse(disk?.getItem(`jiaohao:${name}`) ?? null);
    disk.setItem(`jiaohao:${name}`, JSON.stringify(value));
  } catch { /* blocked, or not ours */ }
  return null;
}
