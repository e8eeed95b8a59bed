// The foot of the page: who runs the service, and whom to call.

import { $, page, tel } from "./base.js";
import { set } from "./screen.js";
import { lang, t } from "./words.js";

export function drawService() {
  const it = page.city.service;
  $("service").hidden = !it;
  const text = JSON.stringify([lang, it]);
  if (!it || text === drawService.text) return; // so that who stands on a link stays there
  drawService.text = text;
  const { hotline, hotline_hours: hours } = it;
  set("service-run-by", t("run-by", it.run_by));
  $("service-hotline").href = tel(hotline);
  set("service-hotline", hotline);
  set("service-hours", hours ? t("answered", hours.opens, hours.closes) : t("always"));
}
