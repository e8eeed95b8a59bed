// Told of the call by SMS, so that the page may be closed: asked for once a place, and taken back as easily.

import { $, call, make, page, paint, polite, recall, t } from "../app.js";
import { keep } from "./asking.js";

const WHY = { full: "alertsFull", called: "alertsCalled", off: "alertsNot" };
let busy = false;
export function showAlerts(it, near) {
  const box = $("alerts");
  box.hidden = !page.city.calls?.sms || (near && !it.alerts); // a city of the version before says nothing of it
  if (box.hidden) return;
  const said = it.alerts === true ? t("alertsOn", page.city.calls.lead_minutes) : it.alerts ? t(WHY[it.alerts]) : t("alertsWhy");
  const label = it.alerts === true ? t("alertsOff") : it.alerts ? "" : t("alertsAsk");
  const key = [it.key, said, label, busy].join();
  if (box.dataset.shown === key) return; // nothing moves under a finger
  box.dataset.shown = key;
  const button = make("button", { type: "button", className: it.alerts ? "quiet" : "", textContent: label, disabled: busy });
  button.onclick = () => ask(it.key, it.alerts !== true);
  box.replaceChildren(make("p", { textContent: said }), ...(label ? [button] : []));
}
async function ask(key, sms) {
  busy = true;
  const { ok, data, status } = await call("POST", "/ticket/alerts", { token: recall(`place:${key}`)?.ticket, body: { sms } });
  busy = false;
  const it = recall(`place:${key}`);
  if (!it) return;
  if (ok) keep({ ...it, alerts: data.sms || data.why || false });
  polite(ok ? (data.sms ? t("alertsOn", page.city.calls.lead_minutes) : data.why ? t(WHY[data.why]) : t("alertsNone")) : data.detail ?? t(status ? "busy" : "offline"));
  paint();
}
