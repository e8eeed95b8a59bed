// The desk's page: sign in, today's roster, check in by scan, number or tap, and (a manager) close the site.
// An attendance is kept on this device before it is sent, so a bad network costs nothing; what the server says is only
// ever shown as text; the token leaves the address bar before anything else happens. Its pieces are in desk/; they go out
// as one script.

import { setting } from "./common/keeping.js";
import {
  $, all, complain, dayName, enlarge, everySecond, hm, local, nameOf, nap, on, page, paint, polite, put, say, set, show, speak, t, today,
  turnLanguage,
} from "./desk/base.js";
import { note, offerScan, paintAsked } from "./desk/checkin.js";
import { paintClosing, paintPeriods } from "./desk/closing.js";
import { paintPaper } from "./desk/paper.js";
import { paintLast } from "./desk/person.js";
import { again, paintOutbox, paintRoster, pickDay, post, refresh, shown } from "./desk/roster.js";
import { enter, identify, leave, signOut, tokenFromLink } from "./desk/session.js";
import * as outbox from "./staff-outbox.js";
import { forget, recall } from "./staff-store.js";

// Signing in
$("signin-form").onsubmit = async (event) => {
  event.preventDefault();
  const token = $("token").value.trim().replace(/^.*#token=/, ""); // the whole link will do as well
  complain("token", token ? "" : t("required"));
  if (!token) return;
  $("signin-go").setAttribute("aria-disabled", "true");
  polite(t("signingIn"));
  page.token = token;
  const { ok, status, data } = await identify();
  $("signin-go").removeAttribute("aria-disabled");
  if (ok && data.site) {
    $("token").value = "";
    enter(token);
    start();
  } else {
    page.token = null;
    page.note = null;
    show();
    complain("token", status === 401 ? t("wrongToken") : ok && data.site === null ? t("noSite") : status ? data.detail ?? t("busy") : t("offlineSignin"));
  }
};
$("token").oninput = () => complain("token", "");

// Everything that is told in words, at once
on.paint = () => {
  document.title = [page.me && nameOf(page.me), t("title")].filter(Boolean).join(" · ");
  paintOutbox();
  paintLast();
  put("scan-why", page.scanWhy ? t(page.scanWhy) : "");
  if (!page.me) return;
  set("site", nameOf(page.me));
  set("me", t("until", say(page.me.role), page.me.expires_at ? dayName(local(Date.parse(page.me.expires_at)).slice(0, 10)) : "–"));
  $("to-closing").hidden = page.me.role !== "manager";
  const { net } = page;
  $("net").hidden = !net;
  $("net").firstElementChild.textContent = net ? (net.status ? net.text : t(shown() ? "offline" : "offlineEmpty")) : "";
  $("net").lastElementChild.textContent = net && shown() ? t("offlineRoster", hm(shown().at)) : "";
  if (!$("regno").matches("[aria-invalid]")) note();
  paintRoster();
  paintPeriods();
  paintClosing();
  if (page.asked) paintAsked();
};

// Wiring
async function start() {
  show();
  if (page.me) post.soon(2000);
  await refresh();
}
$("language").onclick = () => {
  turnLanguage();
  paint();
};
$("large").onclick = () => {
  const on = !document.documentElement.dataset.large;
  enlarge(on);
  setting("large", on || null);
};
$("day").onchange = ({ target }) => pickDay(target.value);
$("today").onclick = () => { pickDay(null); $("day").focus(); };
for (const it of all("[name=show]")) it.onchange = () => { page.show = it.value; paintRoster(); };
$("send").onclick = () => post.flush();
$("signout").onclick = () => {
  const waiting = outbox.everything().filter((it) => it.site === page.me.site && !it.refused).length;
  if (!waiting) return signOut();
  set("leave-text", t("leaveKept", waiting));
  return $("leave").showModal();
};
$("leave-go").onclick = signOut;
$("leave-close").onclick = () => $("leave").close();
addEventListener("hashchange", () => { if (tokenFromLink()) start(); else show(); });
addEventListener("beforeprint", paintPaper);
addEventListener("online", () => {
  if (!page.token) return;
  post.soon(3000);
  again(Math.random() * 3000);
});
addEventListener("storage", () => { // another tab of this page
  if (page.token && !recall("token")) leave("signedOut"); else paint();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(page.timer);
    $("camera").close();
  } else if (page.token) {
    again(Math.max(Math.random() * 1000, page.due - performance.now()));
    tick();
  }
});
// The day turns over by the clock, not by an answer: yesterday's roster is not shown as today's.
let day = today();
function tick() {
  const slept = nap();
  if (slept) page.identified = undefined; // what time is it really?
  if (document.hidden || !page.token || !page.me || (!slept && day === today())) return;
  day = today();
  if (page.day === day) page.day = null;
  paint();
  again(Math.random() * 1000);
}
everySecond(tick);

const linked = tokenFromLink();
page.token ??= recall("token");
if (page.token && !linked) page.me = recall("me");
const cached = page.me && recall("roster");
if (cached?.data?.site === page.me?.site && cached?.data?.date === today()) page.rosters.set(today(), cached);
else forget("roster");
for (const id of ["language", "large"]) $(id).hidden = false;
enlarge(Boolean(setting("large")));
speak();
offerScan();
navigator.serviceWorker?.register("/staff-worker.js", { scope: "/staff" }).catch(() => { /* the page works without */ });
if (page.token) start(); else show();
