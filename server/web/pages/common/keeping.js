// What a page keeps on the device. Where storage is blocked or full it lives in memory, and `kept()` says so.

let disk = null;
try { disk = localStorage; } catch { /* blocked */ }

/** What one page keeps, under names that begin with `prefix`. */
export function keeping(prefix) {
  const memory = new Map();
  return {
    kept: () => memory.size === 0,
    recall(key) {
      if (memory.has(key)) return memory.get(key);
      try { return JSON.parse(disk?.getItem(prefix + key) ?? null); } catch { return null; }
    },
    remember(key, value) {
      try {
        disk.setItem(prefix + key, JSON.stringify(value));
        memory.delete(key);
      } catch { memory.set(key, value); }
    },
    forget(key) {
      memory.delete(key);
      try { disk?.removeItem(prefix + key); } catch { /* blocked */ }
    },
    keys: (beginning) => [...new Set([
      ...memory.keys(), ...Object.keys(disk ?? {}).filter((it) => it.startsWith(prefix)).map((it) => it.slice(prefix.length)),
    ])].filter((it) => it.startsWith(beginning)),
  };
}

/** Settings shared with the resident's page. */
export function setting(name, value) {
  try {
    if (value === undefined) return JSON.parse(disk?.getItem(`jiaohao:${name}`) ?? null);
    disk.setItem(`jiaohao:${name}`, JSON.stringify(value));
  } catch { /* blocked, or not ours */ }
  return null;
}
