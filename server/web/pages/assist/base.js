// What all pieces of the helpers' page stand on: what it holds, what the device keeps, and requests with its token.

import { follow, hm, keepClock, request } from "../common/asking.js";
import { everySecond, nap, now_ms } from "../common/clock.js";
import { $, all, complain, fault, fine, focusOn, make, polite, put, set } from "../common/elements.js";
import { keeping, setting } from "../common/keeping.js";
import { count, dayName, enlarge, lang, nameOf, speak, t, turnLanguage, useWords, zh } from "../common/speech.js";
import WORDS from "../words/assist.js";

// Nobody's papers: tickets, masked names and what became of them, until the helper signs out.
export const store = keeping("jiaohao-assist:");
useWords(WORDS);
keepClock(store);

// people: those whom this helper helps, by a key of this page; names are whole only as long as the page is open.
export const page = { token: null, me: null, city: null, sites: new Map(), people: new Map(), note: null, net: "" };
export const on = { paint() {} };
export const paint = () => on.paint();

export const call = (method, path, { token = page.token, body, language } = {}) => request(method, path, { token, body, language });
export const whyNot = ({ status, data }) => (status ? data.errors?.map((it) => it.message).join(" ") || data.detail || t("busy") : t("noNet"));

export async function learnCity() {
  const { ok, data } = await call("GET", "/city", { token: null });
  if (!ok) return false;
  page.city = data;
  follow(data.now);
  return true;
}
export async function learnSites(district) {
  if (page.sites.has(district)) return;
  const { ok, data } = await call("GET", `/sites?district=${encodeURIComponent(district)}`, { token: null });
  if (ok) page.sites.set(district, data.sites.filter((it) => !it.removed));
}
export const districtName = (code) => nameOf(page.city?.districts.find((it) => it.code === code) ?? { name_zh: code, name_en: code });
export const periodName = (code) => (code === "any" ? t("anyTime") : nameOf(page.city?.periods[code] ?? { name_zh: code, name_en: code }));

export {
  $, all, complain, count, dayName, enlarge, everySecond, fault, fine, focusOn, hm, lang, make, nameOf, nap, now_ms, polite, put, set, setting, speak, t,
  turnLanguage, zh,
};
