// The two languages of the staff's pages, and the large type; both are shared with the resident's page.

import { $, all } from "./elements.js";
import { setting } from "./keeping.js";
import { ownLanguage } from "./language.js";

let words = {};
export let lang = ownLanguage(setting("language"));
for (const it of all("[data-en]")) it.dataset.zh = it.textContent;
/** The page's own words, each as "Chinese|English". */
export function useWords(table) { words = table; }
export const zh = () => lang === "zh";
export const t = (key, ...values) => (words[key] ?? "").split("|")[zh() ? 0 : 1]?.replace(/\{(\d)\}/g, (_, i) => values[i]) ?? "";
export const say = (key) => (words[key] ? t(key) : String(key ?? ""));
export const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
export const count = (n) => n.toLocaleString("en");
export function speak() {
  document.documentElement.lang = zh() ? "zh-CN" : "en";
  for (const it of all("[data-en]")) it.textContent = it.dataset[lang];
  $("language").lang = zh() ? "en" : "zh-CN";
}
export function enlarge(on) {
  const { classList, dataset } = document.documentElement;
  classList.toggle("large", on);
  if (on) dataset.large = "on"; else delete dataset.large;
  $("large").setAttribute("aria-pressed", String(on));
}
export function turnLanguage() {
  lang = zh() ? "en" : "zh";
  setting("language", lang);
  speak();
}
export function dayName(date) {
  const options = { timeZone: "UTC", month: zh() ? "long" : "short", day: "numeric", weekday: "short" };
  return new Date(`${date}T00:00:00Z`).toLocaleDateString(zh() ? "zh-CN" : "en-GB", options);
}
