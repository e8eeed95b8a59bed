// Which of a page's two languages a reader gets; the same rule as `language_of_ranges` in server/core/languages.py.

// IANA's registry: the languages that the macrolanguage zh stands for.
const CHINESE = ["zh", "cdo", "cjy", "cmn", "cnp", "cpx", "csp", "czh", "czo", "gan", "hak", "hnm", "hsn", "luh", "lzh", "mnp", "nan", "sjc", "wuu", "yue"];

// RFC 4647, look-up: the first of the reader's languages that there is; where there is none, the city's own.
export function languageOf(ranges, fallback) {
  for (const range of ranges) {
    const primary = String(range).toLowerCase().split("-")[0];
    if (primary === "en") return "en";
    if (CHINESE.includes(primary)) return "zh";
  }
  return fallback;
}
// One that was chosen before, on whichever page of ours, counts first: the resident's has more ways to write Chinese.
export function ownLanguage(chosen) {
  if (chosen) return String(chosen).startsWith("zh") ? "zh" : "en";
  const ranges = navigator.languages && navigator.languages.length ? navigator.languages : [navigator.language];
  return languageOf(ranges, document.documentElement.dataset.language === "en" ? "en" : "zh");
}
