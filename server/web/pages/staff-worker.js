// Keeps the page itself (never an answer of the API) on the device, so that a reload on a bad network, or a phone that
// threw the tab away, does not take the desk from its roster and its outbox. The network comes first while it answers.

const CACHE = "jiaohao-staff";
const FILES = [
  "/staff", "/staff.js", "/staff-number.js", "/staff-outbox.js", "/staff-qr.js", "/staff-qr-code.js", "/staff-scan.js", "/staff-store.js", "/icon.svg",
];
const PATIENCE_MS = 5000;

async function fresh(request) {
  const answer = await fetch(request, { signal: AbortSignal.timeout?.(PATIENCE_MS) });
  // A server that is being started again is not asked for, and a hotel's login page is none of ours.
  const ours = !answer.redirected && answer.headers.has("permissions-policy");
  if (!ours) throw new Error("not now");
  if (answer.ok) await (await caches.open(CACHE)).put(new URL(request.url).pathname, answer.clone());
  return answer;
}
const kept = async (request) => (await caches.match(new URL(request.url).pathname)) ?? fetch(request);

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((it) => it.addAll(FILES)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== self.location.origin || !FILES.includes(pathname)) return;
  event.respondWith(fresh(event.request).catch(() => kept(event.request)));
});
