// More time to come in, for whoever has been called: one tap, once a place (WCAG 2.2.1).

import { $, call, clock, make, page, paint, polite, recall, t } from "../app.js";
import { keep } from "./asking.js";

let busy = false;
export function showMore(it, late) {
  const box = $("more-time");
  const offered = page.city.calls?.more_time_seconds && !it.more && !late && it.claim_before;
  if (!offered) return box.replaceChildren();
  if (!box.children.length) {
    const button = make("button", { type: "button", className: "quiet" });
    button.onclick = () => more(it.key);
    box.append(button);
  }
  const [button] = box.children;
  if (button.textContent !== t("moreTime")) button.textContent = t("moreTime");
  button.disabled = busy;
  return null;
}
async function more(key) {
  if (busy) return;
  busy = true;
  paint();
  const { ok, data, status } = await call("POST", "/ticket/more-time", { token: recall(`place:${key}`)?.ticket });
  busy = false;
  const it = recall(`place:${key}`);
  if (!it) return;
  if (ok) keep({ ...it, more: true, claim_before: data.claim_before });
  polite(ok ? t(data.extended ? "moreGiven" : "moreHad", clock(Date.parse(data.claim_before))) : data.detail ?? t(status ? "busy" : "offline"));
  paint();
}
