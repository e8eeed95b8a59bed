// The resident's page: where its address leads. Its core is in app/, in pieces that go out with it as one script; the rest of
// the journey is in modules that are fetched once the list is there: opening, queue, register, receipt, find.
// Time is the server's (`now` in its answers), never this device's; a poll goes out when the server said, never sooner;
// papers and phone stay in the form, only signed tokens and masked names are stored; every request may be repeated.

import { everySecond, now_ms, sure } from "./common/clock.js";
import { $, LIVE, afterTurning, enlarge, entries, page, places, recall, remember, today, troubles } from "./app/base.js";
import { home, prefetch } from "./app/districts.js";
import { paint } from "./app/family.js";
import { bring, call, load, lookUp, read, run, wake } from "./app/requests.js";
import { polite } from "./app/screen.js";
import { lang, t, turnTo } from "./app/words.js";

// What the modules of the journey need of it.
export {
  $, LIVE, all, clock, count, countdown, day, keepLook, lastLook, lasts, long, nameOf, page, periodOf, places, recall, receipts, remember, spaced,
  span, tel, today, troubles, until_ms, when, whenLanguageChanges,
} from "./app/base.js";
export { knows, t, together, zh } from "./app/words.js";
export { standingOf, stroke } from "./app/districts.js";
export { DATED, PAINT, closing, eta_s, labelOf, paint, show } from "./app/family.js";
export { WAIT, bring, call, check, insist, kit, limit_ms, load, patience_ms, read, run, until } from "./app/requests.js";
export { ask, clear, fault, make, mark, polite, refill, remind, saveFile, set, tell, unmark, watch } from "./app/screen.js";
export { now_ms, sure };

// Where the address leads. Nothing personal is in it: a district, a place's key, a registration number.
const OF_A_PLACE = /^(\w+):(\d{4}-\d\d-\d\d):[\d.]+$/;
export const route = () => run(async (mine) => {
  if ($("ask").open) $("ask").close(""); // the question was about what is left now
  if (!page.city || !page.view) page.city = await read(mine, "/city");
  let at = location.hash.slice(1);
  if (!at) {
    // Back after a while: to whoever is called, or to the only place there is.
    const live = places().filter((it) => LIVE.includes(it.state));
    const [only] = live.filter((it) => it.state === "ready").concat(live.length === 1 ? live : []);
    if (only) history.replaceState(null, "", `#${(at = `place=${only.key}`)}`);
  }
  if (places().some((it) => LIVE.includes(it.state))) bring("queue");
  const [kind, key] = at.split("=");
  const past = (date) => sure() && date !== today();
  for (const it of entries("place:")) if (past(it.date) && (kind !== "place" || it.key !== key)) remember(`place:${it.key}`);
  const [, code, date] = (kind === "place" && OF_A_PLACE.exec(key)) || [];
  // An old address, whose place is forgotten already: it is told that it is over.
  if (date && past(date) && !recall(`place:${key}`) && page.city.districts.some((it) => it.code === code)) {
    remember(`place:${key}`, { key, district: code, date, since: 0, state: "past" });
  }
  const district = page.city.districts.find((it) => it.code === kind);
  page.key = key ?? null;
  try {
    if (kind === "place" && recall(`place:${key}`)) return await (await load(mine, "queue", "register"))[0].place(mine, key);
    if (kind === "receipt" && recall(`receipt:${key}`)) return await (await load(mine, "receipt"))[0].receipt(mine, key);
    if (kind === "edit" && recall(`receipt:${key}`)) return await (await load(mine, "register"))[0].edit(mine, key);
    if (kind === "find") return await (await load(mine, "find", "papers"))[0].find(mine);
    if (district) return await (await load(mine, "opening", "papers"))[0].visit(mine, district);
    return await home(mine);
  } finally {
    if (!mine.gone) prefetch();
  }
});
export function go(hash) {
  history.replaceState(null, "", `#${hash}`);
  return route();
}

// Wiring
const choice = $("language");
async function turn(tag) {
  const turned = await turnTo(tag);
  choice.value = lang;
  if (!turned) return polite(t("offline"));
  if (!page.city) return;
  const { ok, data } = await call("GET", "/city");
  if (ok) page.city = data;
  afterTurning();
  paint();
}
choice.onchange = () => {
  remember("language", choice.value);
  return turn(choice.value);
};
// What was chosen here before; Chinese was "zh" while there was one way to write it.
function chosen() {
  const tag = recall("language") === "zh" ? "zh-Hans" : recall("language");
  return [...choice.options].some((it) => it.value === tag) ? tag : lang;
}
$("large").onclick = () => {
  remember("large", recall("large") ? null : true);
  enlarge(recall("large"));
};
// While the network is gone nothing is asked; when it is back, not everybody asks at once.
addEventListener("offline", () => {
  troubles.set("network", { status: 0, text: t(places().length ? "offlineKept" : "offline"), due: Infinity });
  polite(troubles.get("network").text);
  paint();
});
addEventListener("online", () => {
  troubles.delete("network");
  for (const it of troubles.values()) if (it.status === 0) it.due = Math.min(it.due, performance.now() + Math.random() * 3000);
  paint();
});
addEventListener("hashchange", route);
enlarge(recall("large"));
everySecond(() => { wake(); paint(); });
function seenAgain() {
  if (document.hidden) return;
  wake();
  if (!sure()) setTimeout(lookUp, Math.random() * 3000);
  paint(); // by the time that it is now
}
document.addEventListener("visibilitychange", seenAgain);
addEventListener("pageshow", seenAgain);
choice.value = lang; // a browser may have kept another one through a reload
if (chosen() === lang) route(); else turn(chosen()).then(route);
