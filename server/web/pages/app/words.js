// The page's words, in one language: the first views' are in the page, the others come with the first script that needs them.

let WORDS = JSON.parse(document.getElementById("words").textContent);
// A tag (server/core/wording), as the server chose it by what the browser asks for.
export let lang = document.documentElement.dataset.language;
export const zh = () => lang.startsWith("zh");
export const knows = (key) => key in WORDS;
// In words that are read from right to left, what is filled in keeps its own direction: a name, a number in groups.
const filled = (value) => (WORDS.direction === "rtl" ? `\u2068${value}\u2069` : value);
// A key without words is of a script that is older than the words, or newer: the rest is said all the same.
export const t = (key, ...values) => (WORDS[key] ?? "").replace(/\{(\d)\}/g, (_, i) => filled(values[i]));
export const list = (items) => items.join(t("comma"));
// Sentences, one after the other; what is empty is left out.
export const together = (...said) => said.filter(Boolean).reduce((before, it) => (before ? t("two", before, it) : it), "");

async function wordsFrom(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new TypeError(path); // as where there is no network: it is tried again
  return answer.json();
}
let laterWords = null;
export function moreWords() {
  const tag = lang;
  laterWords = laterWords ?? wordsFrom(`/words/${tag}.json`).then(
    (words) => { if (tag === lang) WORDS = { ...WORDS, ...words }; },
    (error) => { laterWords = null; throw error; },
  );
  return laterWords;
}
// All of the page in another language; false where its words cannot be had, and then the page stays as it is.
export async function turnTo(tag) {
  let found;
  try { found = await Promise.all([wordsFrom(`/words/${tag}.page.json`), wordsFrom(`/words/${tag}.json`)]); } catch { return false; }
  [lang, WORDS, laterWords] = [tag, Object.assign({}, ...found), Promise.resolve()];
  const { documentElement } = document;
  [documentElement.lang, documentElement.dir] = [t("tag"), t("direction")];
  const all = (selector) => document.querySelectorAll(selector);
  for (const it of all("[data-t]")) it.textContent = t(it.dataset.t);
  for (const it of all("[data-t-label]")) it.setAttribute("aria-label", t(it.dataset.tLabel));
  for (const it of all("a")) if (it.pathname.startsWith("/plain")) it.search = `?lang=${lang}`;
  return true;
}
