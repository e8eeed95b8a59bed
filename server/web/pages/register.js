// Coming in with a called number, and the wishes: registering, and changing them while nothing is allotted yet.

import {
  $, PAINT, clear, countdown, go, insist, kit, make, mark, labelOf, nameOf, page, periodOf, read, recall, receipts, refill, remember, remind,
  run, set, show, spaced, sure, t, today, unmark, until, until_ms, watch, when, whenLanguageChanges, zh,
} from "./app.js";
import { nearest } from "./common/sites.js";

const draftKey = (it) => `draft:${it.district}:${it.label}`;
const siteOf = (code) => page.sites.find((it) => it.site === code);
const whereIs = (it) => (it ? [it.address, zh() ? it.way_in_zh : it.way_in_en].filter(Boolean).join(zh() ? "。" : ". ") : "");
const MANY = 5; // sites among which nobody finds theirs at a glance
const choicesOf = () => [["", t("pick")], ...nearest(page.sites, $("near").value).map((it) => [it.site, nameOf(it)])];
const asksConsent = () => (page.editing ? null : page.city.service?.consent ?? null);
const NOTHING = () => ({ preferences: [], accept_any_site: !page.sites.length });

export async function claim(mine, it) {
  page.holder = it;
  if (it.sent) { // sent, but the answer was never heard: the same pass gives the same registration
    const { ok, status, data } = await insist(mine, "POST", "/registrations", { token: it.pass, body: it.sent });
    if (ok) return registered(data);
    if (status !== 422) return kit.queue.spent(it.key, data);
    remember(`place:${it.key}`, { ...it, sent: undefined });
  }
  const { ok, data } = await insist(mine, "POST", "/passes", { token: it.ticket });
  if (!ok) return kit.queue.spent(it.key, data);
  Object.assign(page, { pass: data, editing: null });
  remember(`place:${it.key}`, { ...recall(`place:${it.key}`), state: "claimed" });
  page.sites = (await read(mine, `/sites?district=${it.district}`)).sites;
  drawWishes(recall(draftKey(it)) ?? NOTHING());
  show("register");
  return lapse(mine, it.key);
}
async function lapse(mine, key) {
  // After a sleep only the server knows whether it is over.
  const left_ms = () => Math.max(until_ms(page.pass.expires_at), sure() ? 0 : 1000);
  await until(() => (recall(`place:${key}`) ? left_ms() : 0), mine);
  if (!recall(`place:${key}`)) return kit.queue.place(mine, key); // another tab has registered
  return kit.queue.spent(key, { code: "expired", state: "missed" });
}
export async function edit(mine, no) {
  const kept = recall(`receipt:${no}`);
  const [{ data, ok }] = [await insist(mine, "GET", `/registrations/${no}`, { token: kept.token })];
  if (!ok || data.state !== "proposed") return go(`receipt=${no}`);
  page.district = page.city.districts.find((it) => it.code === kept.district);
  Object.assign(page, { pass: null, editing: kept });
  page.sites = (await read(mine, `/sites?district=${kept.district}`)).sites;
  drawWishes(data);
  return show("register");
}

const optionsOf = (options, value) => options.map(([key, text]) => make("option", { value: key, selected: key === value }, text));
function select(id, label, options, value, hint) {
  const it = make("select", { id, name: id }, ...optionsOf(options, value));
  if (hint) {
    it.dataset.hint = hint;
    it.setAttribute("aria-describedby", hint);
  }
  return [make("label", { htmlFor: id }, t(label)), it];
}
const grouped = (no) => (/^\d{15}$/.test(no.replace(/\s/g, "")) ? spaced(no.replace(/\s/g, "")) : no);
// Those of the family who wait as well, and are registered on this device: a tap fills in the number.
function drawRelatives() {
  const { editing, holder } = page;
  const here = (editing ?? holder).district;
  const others = receipts().filter((it) => it.district === here && it.state === "proposed" && it.no !== editing?.no);
  refill($("relatives"), ...others.map((it) => {
    const onclick = () => {
      $("together").value = spaced(it.no);
      $("together").dispatchEvent(new Event("change", { bubbles: true }));
    };
    return make("button", { type: "button", className: "quiet", onclick }, t("with", labelOf(it)));
  }));
}
function drawWishes({ preferences, accept_any_site, not_before, together }) {
  const form = $("wishes");
  const rows = preferences.length ? preferences : [{ period: "any" }];
  unmark(form);
  form.accept_any_site.checked = accept_any_site;
  $("not_before").value = not_before ?? "";
  $("not_before").min = today();
  $("together").value = grouped(together ?? "");
  drawRelatives();
  $("more").hidden = !page.sites.length || rows.length > 2;
  $("to-consent").hidden = !asksConsent();
  $("to-near").hidden = page.sites.length <= MANY;
  const sites = choicesOf();
  const periods = [...Object.keys(page.city.periods ?? {}), "any"].map((it) => [it, periodOf(it)]);
  $("choices").hidden = !page.sites.length;
  refill($("choices"), ...rows.map(({ site, period }, i) => make("fieldset", {}, make("legend", {}, t("choice", i + 1)),
    ...select(`preferences[${i}].site`, "site", sites, site, `address-${i}`),
    make("p", { id: `address-${i}`, className: "hint" }, whereIs(siteOf(site))),
    ...select(`preferences[${i}].period`, "period", periods, period))));
}
function readWishes() {
  const preferences = [...$("choices").children].map((it) => {
    const [site, period] = it.querySelectorAll("select");
    return { site: site.value, period: period.value };
  });
  const [not_before, together] = [$("not_before").value, $("together").value.trim()];
  return { preferences, accept_any_site: $("wishes").accept_any_site.checked, not_before, together };
}
const isWish = ({ preferences, accept_any_site }) => accept_any_site || preferences.some((it) => it.site);
async function send(mine) {
  const { editing, key } = page;
  const wait = () => (editing ? null : lapse(mine, key));
  const wishes = readWishes();
  if (!isWish(wishes)) {
    unmark($("wishes"));
    mark($("wishes"), { errors: [{ field: "preferences[0].site", message: t("pickSite") }] });
    return wait();
  }
  const consent = asksConsent();
  if (consent && !$("consent").checked) {
    unmark($("wishes"));
    mark($("wishes"), { errors: [{ field: "consent", message: t("agreeFirst") }] });
    return wait();
  }
  wishes.preferences = wishes.preferences.filter((it) => it.site);
  drawWishes(wishes); // the server counts only the filled ones
  const body = { ...wishes, not_before: wishes.not_before || undefined, together: wishes.together || undefined, consent: consent?.version };
  const place = recall(`place:${key}`);
  if (place) remember(`place:${key}`, { ...place, pass: page.pass.pass, sent: body });
  const answer = editing ? await insist(mine, "PATCH", `/registrations/${editing.no}`, { token: editing.token, body })
    : await insist(mine, "POST", "/registrations", { token: page.pass.pass, body });
  const { ok, status, data } = answer;
  if (ok && editing) return go(`receipt=${editing.no}`);
  if (ok) return registered(data);
  if (place) remember(`place:${key}`, { ...place, sent: undefined });
  if (status !== 422 && !editing) return kit.queue.spent(key, data);
  mark($("wishes"), data);
  return wait();
}
function registered(data) {
  const { key, label } = page.holder;
  remember(draftKey(page.holder));
  keepReceipt(data, { label, place: key });
  remember(`place:${key}`); // last, so that another tab finds the receipt in its stead
  page.fresh = data;
  return go(`receipt=${data.registration_no}`);
}
// A registration with its receipt, as the server has just given it.
export function keepReceipt({ registration_no: no, receipt: token, receipt_qr_svg_url: qr, district, state }, more) {
  remember(`receipt:${no}`, { since: Date.now(), ...recall(`receipt:${no}`), ...more, no, token, qr, district, state });
}

PAINT.register = () => {
  const { pass, editing, opening } = page;
  const late = pass && opening && until_ms(opening.closes_at) <= 0;
  kit.queue?.whose(editing ?? recall(`place:${page.key}`));
  $("pass").hidden = !pass;
  if (pass) remind(pass.pass, "finish", until_ms(pass.expires_at) - 2000);
  if (pass) set("pass-clock", countdown(until_ms(pass.expires_at) - 2000)); // this clock may be 2 s behind
  $("grace").hidden = !late;
  if (late) set("grace", t("grace", when(Date.parse(pass.expires_at), {})));
  set("submit", t(editing ? "change" : "submit"));
  set("consent-text", asksConsent()?.text ?? "");
  $("keep-wishes").hidden = !editing;
  if (editing) $("keep-wishes").href = `#receipt=${editing.no}`;
};
$("wishes").onsubmit = (event) => { event.preventDefault(); run(send); };
$("wishes").onchange = ({ target }) => {
  const place = recall(`place:${page.key}`);
  if (place) remember(draftKey(place), readWishes());
  const address = target.dataset.hint?.startsWith("address-") && $(target.dataset.hint);
  if (address) address.textContent = whereIs(siteOf(target.value));
  // That there is no wish is told at the first choice, and mended anywhere.
  const first = $("preferences[0].site");
  if (first?.hasAttribute("aria-invalid") && isWish(readWishes())) clear(first);
};
// What was typed puts the sites in another order, and chooses none.
$("near").oninput = () => {
  for (const it of $("choices").querySelectorAll("select[data-hint]")) {
    refill(it, ...optionsOf(choicesOf(), it.value));
  }
};
watch($("wishes"));
$("more").onclick = () => {
  const wishes = readWishes();
  wishes.preferences.push({ period: "any" });
  drawWishes(wishes);
  $("choices").lastElementChild.querySelector("select").focus();
};
whenLanguageChanges(() => { if (page.view === "register") drawWishes(readWishes()); });
