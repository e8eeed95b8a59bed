// The helpers' page: neighbourhood workers and the hotline join and register for residents who cannot do it alone, many
// side by side. What the server says is only ever shown as text; the token leaves the address bar before anything else
// happens; papers live in memory only. Its pieces are in assist/; they go out as one script.

import {
  $, all, call, complain, dayName, enlarge, everySecond, fine, focusOn, learnCity, learnSites, nap, on, page, paint, polite, put, set, setting, speak,
  store, t, turnLanguage,
} from "./assist/base.js";
import { empty, paintForm, refill } from "./assist/papers.js";
import { drop, isOver, paintPeople, recallPeople } from "./assist/people.js";

const CITY_EVERY_S = 60;

on.paint = () => {
  document.title = t("title");
  const view = page.token && page.me ? "lane" : "signin";
  const before = page.view;
  page.view = view;
  for (const it of all("main > section")) it.hidden = it.id !== view;
  put("signin-note", page.note ? t(page.note) : "");
  if (view === "lane") {
    set("me", t("until", page.me.name, dayName(page.me.expires_at.slice(0, 10))));
    paintPeople();
  }
  if (before === view) return;
  if (view === "lane") { if (fine()) $("id_number").focus(); else focusOn($("papers-title")); } else if (before || fine()) $("token").focus();
};

// Signing in and out
async function identify(token) {
  const answer = await call("GET", "/assist", { token });
  if (answer.ok) page.me = answer.data;
  return answer;
}
async function enter(token) {
  const answer = await identify(token);
  if (!answer.ok) return answer;
  Object.assign(page, { token, note: null });
  store.remember("token", token);
  await learnCity();
  paintForm();
  await learnSites($("district").value);
  paintForm();
  recallPeople();
  paint();
  return answer;
}
function leave(note) {
  for (const key of store.keys("")) store.forget(key);
  page.people.clear();
  Object.assign(page, { token: null, me: null, note });
  empty();
  for (const id of ["slip", "people", "me"]) $(id).replaceChildren(); // hidden is not gone
  paint();
  polite(t(note));
}
$("signin-form").onsubmit = async (event) => {
  event.preventDefault();
  const token = $("token").value.trim().replace(/^.*#token=/, ""); // the whole link will do as well
  complain("token", token ? "" : t("required"));
  if (!token) return;
  const { ok, status, data } = await enter(token);
  if (ok) $("token").value = "";
  else complain("token", status === 401 ? t("wrongToken") : status ? data.detail ?? t("busy") : t("noNet"));
};
$("token").oninput = () => complain("token", "");
/** The token of a sign-in link is taken from the address at once. */
function tokenFromLink() {
  const found = /^#token=(.+)/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname);
  try { return decodeURIComponent(found[1]).trim(); } catch { return found[1].trim(); }
}

// What cannot be taken back is asked for once more
function ask(title, text, word, act) {
  set("sure-title", title);
  set("sure-text", text);
  set("sure-go", word);
  $("sure-go").onclick = () => { $("sure").close(); act(); };
  $("sure").showModal();
  $("sure-close").focus();
}
$("sure-close").onclick = () => $("sure").close();
on.giveUp = (it) => ask(t("giveUpTitle", it.name ?? it.label), t(it.ticket ? "giveUpText" : "giveUpQueued"), t("giveUp"), async () => {
  it.leaving = true;
  const answer = it.ticket ? await call("POST", "/assist/leavings", { body: { ticket: it.ticket } }) : { ok: true };
  it.leaving = false;
  if (answer.ok || answer.status === 410) return drop(it);
  it.why = answer.data.detail ?? t("noNet");
  return paint();
});
on.correct = (it) => {
  refill(it);
  drop(it);
};
$("clear").onclick = () => { for (const it of [...page.people.values()].filter(isOver)) drop(it); };
$("signout").onclick = () => {
  const open = [...page.people.values()].filter((it) => !isOver(it)).length;
  if (!open) return leave("signedOut");
  return ask(t("signOutTitle"), t("signOutText", open), t("signOutGo"), () => leave("signedOut"));
};

// Wiring
$("language").onclick = () => {
  turnLanguage();
  paintForm();
  paint();
};
$("large").onclick = () => {
  const large = !document.documentElement.dataset.large;
  enlarge(large);
  setting("large", large || null);
};
addEventListener("storage", () => { // another tab of this page has signed out
  if (page.token && !store.recall("token")) leave("signedOut");
});
let seconds = 0;
everySecond(async () => {
  nap();
  seconds += 1;
  if (!page.token || seconds % CITY_EVERY_S) return;
  const answer = await identify(page.token);
  if (answer.status === 401 || answer.status === 410) return leave("expired");
  page.net = answer.ok ? "" : t("noNet");
  if (answer.ok) await learnCity();
  paint();
});
addEventListener("hashchange", () => {
  const token = tokenFromLink();
  if (token) enter(token);
});
for (const id of ["language", "large"]) $(id).hidden = false;
enlarge(Boolean(setting("large")));
speak();
const token = tokenFromLink() ?? store.recall("token");
if (token) {
  enter(token).then(({ ok, status }) => {
    if (ok) return;
    if (status === 401 || status === 410) return leave("expired");
    page.note = "noNet";
    return paint();
  });
} else paint();
