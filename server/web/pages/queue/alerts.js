// Told of the call by SMS, so that the page may be closed: asked for once a place, and taken back as easily.

import { $, call, make, page, paint, polite, recall, refill, t } from "../app.js";
import { keep } from "./asking.js";

const WHY = { full: "alertsFull", called: "alertsCalled", off: "alertsNot" };
let beingSet = false;
export function showAlerts(it, near) {
  const box = $("alerts");
  box.hidden = !page.city.calls?.sms || (near && !it.alerts); // a city of the version before says nothing of it
  if (box.hidden) return;
  const said = it.alerts === true ? t("alertsOn", page.city.calls.lead_minutes) : it.alerts ? t(WHY[it.alerts]) : t("alertsWhy");
  const label = it.alerts === true ? t("alertsOff") : it.alerts ? "" : t("alertsAsk");
  const key = [it.key, said, label, beingSet].join();
  if (box.dataset.shown === key) return; // nothing moves under a finger
  box.dataset.shown = key;
  const button = make("button", { type: "button", className: it.alerts ? "quiet" : "", textContent: label, disabled: beingSet });
  button.onclick = () => wish(it.key, it.alerts !== true);
  refill(box, make("p", { textContent: said }), ...(label ? [button] : []));
}
async function wish(key, sms) {
  beingSet = true;
  const { ok, data, status } = await call("POST", "/ticket/alerts", { token: recall(`place:${key}`)?.ticket, body: { sms } });
  beingSet = false;
  const it = recall(`place:${key}`);
  if (!it) return;
  if (ok) keep({ ...it, alerts: data.sms || data.why || false });
  polite(ok ? (data.sms ? t("alertsOn", page.city.calls.lead_minutes) : data.why ? t(WHY[data.why]) : t("alertsNone")) : data.detail ?? t(status ? "busy" : "offline"));
  paint();
}
