// Whose desk this is: the token, what the server says of it, and what is forgotten with it.

import * as outbox from "../staff-outbox.js";
import { forget, remember } from "../staff-store.js";
import { $, all, call, follow, on, page, polite, show, t } from "./base.js";

export async function identify() {
  const { token } = page;
  const answer = await call("GET", "/staff", { token });
  if (token !== page.token) return answer;
  const { ok, status, data } = answer;
  if (ok && data.site) {
    follow(data.now);
    if (page.me && page.me.site !== data.site) forgetRosters();
    const entered = page.me?.site !== data.site;
    page.me = data;
    page.identified = performance.now();
    remember("me", data);
    if (entered) on.entered(); // what waits for this site could not go before it was known whose desk this is
  } else if (status === 401) expired();
  else if (ok && data.site === null) leave("noSite"); // an operator's
  return answer;
}
export function enter(token) {
  page.token = token;
  page.note = null;
  remember("token", token);
}
function forgetRosters() {
  page.rosters.clear();
  page.done.clear();
  page.unmatched.clear();
  page.day = null;
  page.query = $("regno").value = "";
  forget("roster");
}
export function leave(note) {
  Object.assign(page, { token: null, me: null, note, net: null, failures: 0, last: null });
  clearTimeout(page.timer);
  for (const key of ["token", "me", "clock"]) forget(key); // first of all, whatever comes after
  forgetRosters();
  for (const it of all("dialog")) it.close();
  for (const id of ["site", "me", "closures", "groups", "confirm-name", "confirm-facts"]) $(id).replaceChildren(); // hidden is not gone
  $("closing-form").reset();
  if (location.hash) history.replaceState(null, "", location.pathname);
  show();
  polite(t(note));
}
export const expired = () => leave("expired");
export function signOut() {
  outbox.stripNames();
  leave("signedOut");
}
/** The token of a sign-in link is taken from the address at once. */
export function tokenFromLink() {
  const found = /^#token=(.+)/.exec(location.hash);
  if (!found) return false;
  history.replaceState(null, "", location.pathname);
  let token = found[1];
  try { token = decodeURIComponent(token); } catch { /* as it is */ }
  if (page.me) forgetRosters();
  forget("me");
  page.me = null;
  page.identified = undefined;
  enter(token.trim());
  return true;
}
