// Who comes next: papers typed or scanned, wishes, and who agreed. A keyboard-wedge scanner types a line and Enter.

import { $, all, call, complain, districtName, fault, learnSites, nameOf, now_ms, page, periodName, polite, put, make, setting, t, whyNot } from "./base.js";
import { add, isLater, join, joined, later, masked } from "./people.js";

const TYPED = ["id_number", "name", "phone"];
const SEPARATORS = /[\t,，;；|]+/;

/** A scanned line with several things in it: {id_number, name, phone}, as far as they are there. */
export function readLine(line) {
  const parts = line.split(SEPARATORS).map((it) => it.trim()).filter(Boolean);
  if (parts.length < 2) return {};
  const phone = parts.find((it) => /^(\+?86)?1[3-9]\d{9}$/.test(it));
  const id_number = parts.find((it) => it !== phone && /^[A-Z]{0,2}\d{6,17}[\dX]$/i.test(it));
  const name = parts.find((it) => it !== phone && it !== id_number && /\p{L}/u.test(it));
  return { id_number, name, phone };
}
function spread() {
  const found = readLine($("id_number").value);
  for (const id of TYPED) if (found[id]) $(id).value = found[id];
}
$("id_number").onpaste = () => setTimeout(spread);
// Enter goes on to what is still empty; only from the last field it joins.
for (const id of TYPED) {
  $(id).onkeydown = (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    if (id === "id_number") spread();
    const empty = TYPED.find((it) => !$(it).value.trim());
    if (!empty) return;
    event.preventDefault();
    $(empty).focus();
  };
  $(id).oninput = () => fault(id, "");
}
const consentOf = () => document.querySelector("[name=consent]:checked")?.value ?? "";
for (const it of all("[name=consent]")) it.onchange = () => put("consent-error", "");
$("health").onchange = () => fault("health", "");

const option = (value, text) => make("option", { value }, text);
export function paintForm() {
  if (!page.city) return;
  const { service, periods, districts } = page.city;
  const chosen = $("district").value || setting("assist-district") || "";
  $("district").replaceChildren(...districts.map((it) => option(it.code, nameOf(it))));
  if (districts.some((it) => it.code === chosen)) $("district").value = chosen;
  const period = $("period").value || "any";
  $("period").replaceChildren(...["any", ...Object.keys(periods)].map((it) => option(it, periodName(it))));
  $("period").value = period;
  paintSites();
  $("to-health").hidden = !service?.consent;
  $("health-text").textContent = service?.consent?.text ?? "";
}
function paintSites() {
  const chosen = $("site").value;
  const sites = page.sites.get($("district").value) ?? [];
  $("site").replaceChildren(option("", t("anySite")), ...sites.map((it) => option(it.site, nameOf(it))));
  $("site").value = sites.some((it) => it.site === chosen) ? chosen : "";
}
$("district").onchange = async () => {
  setting("assist-district", $("district").value);
  await learnSites($("district").value);
  paintSites();
};

function wishes() {
  const [site, period] = [$("site").value, $("period").value];
  const consent = page.city.service?.consent?.version;
  return { preferences: site ? [{ site, period }] : [], accept_any_site: !site || $("any").checked, consent };
}
/** What is missing, said beside each; whether nothing is. */
function isWhole() {
  const missing = TYPED.filter((id) => !$(id).value.trim());
  for (const id of TYPED) fault(id, missing.includes(id) ? t("required") : "");
  put("consent-error", consentOf() ? "" : t("consentFirst"));
  const asks = !$("to-health").hidden && !$("health").checked;
  fault("health", asks ? t("healthFirst") : "");
  const first = missing[0] ? $(missing[0]) : !consentOf() ? document.querySelector("[name=consent]") : asks ? $("health") : null;
  if (!first) return true;
  first.focus();
  polite([...all("#papers .error:not([hidden])")].map((it) => it.textContent).join(" "));
  return false;
}
function refuse(answer) {
  const faults = (answer.data.errors ?? []).filter((it) => TYPED.includes(it.field));
  for (const { field, message } of faults) fault(field, message);
  if (faults[0]) complain(faults[0].field, faults[0].message);
  else {
    put("add-error", whyNot(answer));
    $("id_number").focus();
  }
}
export function empty() {
  for (const id of TYPED) {
    $(id).value = "";
    fault(id, "");
  }
  for (const it of all("[name=consent]")) it.checked = false;
  $("health").checked = false;
  put("add-error", "");
}
export function refill({ district, papers }) {
  empty();
  $("district").value = district;
  $("id_type").value = papers.id_type;
  for (const id of TYPED) $(id).value = papers[id];
  $("id_number").focus();
}

$("papers").onsubmit = async (event) => {
  event.preventDefault();
  if ($("add").getAttribute("aria-disabled") || !isWhole()) return;
  put("add-error", "");
  const papers = { id_type: $("id_type").value, consent: consentOf() };
  for (const id of TYPED) papers[id] = $(id).value.trim();
  const district = $("district").value;
  const it = { key: `${Math.round(now_ms())}-${page.people.size}`, label: masked(papers.name), name: papers.name, district, papers, wishes: wishes(), due: 0, state: "trying" };
  $("add").setAttribute("aria-disabled", "true");
  let answer = await join(it);
  if (answer.status === 425) { // before the opening papers are looked at all the same, so that mistakes are found now
    const { consent, ...rest } = papers;
    const known = await call("POST", `/openings/${encodeURIComponent(district)}/eligibility`, { token: null, body: rest });
    if (!known.ok && !isLater(known)) answer = known;
  }
  $("add").removeAttribute("aria-disabled");
  if (answer.ok) joined(it, answer.data); else if (isLater(answer)) later(it, answer); else return refuse(answer);
  add(it);
  empty();
  polite(t("saidAdded", papers.name, districtName(district)));
  return $("id_number").focus();
};
