// The foot of the page: who runs the service, whom to call, and what is kept of a resident.

import SERVICE from "../words/service.js";
import { $, lang, page, zh } from "./base.js";
import { set } from "./screen.js";

const sayOfService = (key, ...values) => SERVICE[key].split("|")[zh() ? 0 : 1].replace(/\{(\d)\}/g, (_, i) => values[i]);
export function drawService() {
  const it = page.city.service;
  $("service").hidden = !it;
  const text = JSON.stringify([lang, it]);
  if (!it || text === drawService.text) return; // so that who stands on a link stays there
  drawService.text = text;
  const { hotline, hotline_hours: hours } = it;
  set("service-run-by", sayOfService("run-by", it.run_by));
  $("service-hotline").href = `tel:${hotline.replace(/[ -]/g, "")}`;
  set("service-hotline", hotline);
  set("service-hours", hours ? sayOfService("hours", hours.opens, hours.closes) : sayOfService("always"));
}
