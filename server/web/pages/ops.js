// The operator's page: how the night, the openings, capacity, messages and people stand, every ten seconds, and the few
// things an operator puts right. The token stays in this tab; what the server says is only ever shown as text. Its pieces
// are in ops/; they go out as one script.

import {
  $, age, all, call, clock, complain, count, keyed, make, on, page, polite, put, set, since, speak, t, turnLanguage, zh,
} from "./ops/base.js";
import { paintCapacity, paintUpload } from "./ops/capacity.js";
import { paintNight } from "./ops/night.js";
import { guessed, paintOpenings } from "./ops/openings.js";
import { load, paintLists, paintMessages } from "./ops/people.js";

const REFRESH_MS = 10_000;
const STALE_MS = 25_000;
const MANY_LOCKED = 10; // people whose papers are tried until they are locked: a few mistype, so many are an attack
const KEY = "jiaohao-ops:token";

// Signing in and out
const kept = {
  get: () => { try { return sessionStorage.getItem(KEY); } catch { return null; } },
  set: (token) => { try { if (token) sessionStorage.setItem(KEY, token); else sessionStorage.removeItem(KEY); } catch { /* this page only */ } },
};
function show() {
  const isIn = Boolean(page.token && page.view);
  const was = !$("board").hidden;
  $("signin").hidden = isIn || Boolean(page.token && page.starting);
  $("board").hidden = !isIn;
  for (const id of ["refresh", "signout"]) $(id).hidden = !isIn;
  if (isIn) paint(); else set("as-of", page.starting ? t("loading") : "");
  if (isIn && !was) { $("night-title").focus({ preventScroll: true }); scrollTo(0, 0); }
}
function leave(note) {
  clearTimeout(page.timer);
  kept.set(null);
  for (const it of all("dialog[open]")) it.close();
  for (const it of all("details[open]")) it.open = false;
  Object.assign(page, { token: null, view: null, trouble: null, lists: {}, starting: false });
  page.open.clear();
  for (const it of all("tbody, #totals, #night-hashes, #night-over, #upload-result, #night-steps")) it.replaceChildren();
  $("upload-result").hidden = true;
  $("file").value = "";
  set("polite", "");
  show();
  put("signin-note", t(note));
  $("token").focus();
}
/** The token of a link is taken from the address at once. */
function tokenFromLink() {
  const found = /^#token=(.+)/.exec(location.hash);
  if (!found) return false;
  history.replaceState(null, "", location.pathname);
  let token = found[1];
  try { token = decodeURIComponent(token); } catch { /* as it is */ }
  page.token = token.trim();
  page.view = null;
  return true;
}
$("token").oninput = () => complain("token", "");
$("signin-form").onsubmit = async (event) => {
  event.preventDefault();
  const token = $("token").value.trim().replace(/^.*#token=/, "");
  complain("token", token ? "" : t("required"));
  if (!token) return;
  polite(t("signingIn"));
  page.token = token;
  await refresh();
  if (page.view) {
    $("token").value = "";
    put("signin-note", "");
  } else complain("token", page.trouble?.status === 401 ? t("wrongToken") : troubleText());
};
async function start(first = true) {
  page.starting = first;
  show();
  await refresh();
  page.starting = false;
  if (page.view) return;
  if (page.trouble?.status === 401) { leave("expired"); return; }
  show();
  put("signin-note", troubleText());
  const { token } = page;
  page.timer = setTimeout(() => { if (page.token === token && !page.view) start(false); }, REFRESH_MS);
}

// Looking, again and again
function troubleText() {
  const { status, data } = page.trouble ?? {};
  return t(!status ? "offline" : data?.code === "store-unavailable" ? "storeAway" : "busy");
}
async function refresh() {
  clearTimeout(page.timer);
  const asking = (page.asking = {});
  const { token } = page;
  const answer = await call("GET", `/operations?slots=${encodeURIComponent([...page.open].join(","))}`);
  if (asking !== page.asking || token !== page.token || !page.token) return;
  if (answer.ok && Array.isArray(answer.data.districts)) {
    Object.assign(page, { view: answer.data, at: performance.now(), trouble: null });
    kept.set(token);
    await Promise.all([...all("details.list[open]")].map((it) => load(it.id)));
    if (token !== page.token) return;
  } else page.trouble = answer;
  show();
  again(Math.min(REFRESH_MS, stroke_ms()));
}
/** Until the hour strikes for a district: the states on screen are known to change then. */
function stroke_ms() {
  if (page.trouble) return Infinity;
  const told = page.view.districts.flatMap(({ opening: { opens_at, closes_at } }) => [opens_at, closes_at]).filter(Boolean);
  const left = told.map((time) => Date.parse(time) - Date.parse(page.view.now) - (performance.now() - page.at)).filter((ms) => ms > 0);
  return Math.min(...left) + 200;
}
function again(wait_ms) {
  clearTimeout(page.timer);
  if (!document.hidden && page.token && page.view) page.timer = setTimeout(refresh, wait_ms);
}
on.expired = () => leave("expired");
on.refresh = refresh;

// The overview
function paintTotals() {
  const it = page.view.totals;
  const tiles = [
    ["openings", "tWaiting", it.waiting], ["openings", "tPasses", it.passes_alive], ["night", "tPending", it.pending],
    ["capacity", "tUsed", it.taken, `/ ${count(it.capacity)}`],
    ["messages", "tMessages", it.codes + it.messages, it.oldest_at ? t("tOldest", since(it.oldest_at)) : ""],
    ["messages", "tDead", it.dead, "", it.dead > 0], ["people", "tCalls", it.to_call, "", it.to_call > 0], ["people", "tAttendances", it.attendances ?? 0, "", it.attendances > 0], ["people", "tBars", it.barred],
    ["openings", "tPapers", it.papers.wrong, it.papers.refused || it.papers.locked ? guessed(it.papers) : "", it.papers.locked >= MANY_LOCKED],
  ];
  keyed($("totals"), tiles, ([, name]) => name, ([to, name, value, more, alarmed]) => make("a", { href: `#${to}`, className: alarmed ? "alarmed" : "" },
    make("span", {}, t(name)), make("b", {}, count(value)), more && make("small", {}, more)));
}

for (const it of all("dialog .back")) it.onclick = () => it.closest("dialog").close();

function paintNet() {
  const old_ms = performance.now() - page.at;
  const stale = Boolean(page.trouble) || old_ms > STALE_MS;
  const words = stale ? [page.trouble && troubleText(), t("stale", clock(page.view.now))].filter(Boolean).join(zh() ? "" : " ") : "";
  put("net", words); // an alert: its words stay the same while the trouble does
  $("board").classList.toggle("is-stale", stale);
  set("as-of", stale ? t("asOfOld", clock(page.view.now), age(old_ms)) : t("asOf", clock(page.view.now)));
}
function paint() {
  paintNet();
  paintTotals();
  paintNight();
  paintOpenings();
  page.loaded = new Set(page.open);
  paintCapacity();
  paintMessages();
  paintLists();
}

// Wiring
$("language").onclick = () => {
  turnLanguage();
  if (page.view) { paint(); paintUpload(); }
};
$("refresh").onclick = () => refresh();
$("signout").onclick = () => leave("signedOut");
addEventListener("hashchange", () => { if (tokenFromLink()) start(); });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(page.timer);
  else if (page.view) refresh();
});
setInterval(() => { if (page.view && !document.hidden) paintNet(); }, 5000);

$("language").hidden = false;
speak();
if (!tokenFromLink()) page.token = kept.get();
if (page.token) start(); else show();
