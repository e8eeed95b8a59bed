// The day on paper: a table to print and a file for a spreadsheet, to go on by when there is no power.

import { spaced } from "../staff-number.js";
import { $, count, dayName, hm, make, page, periodName, polite, put, say, set, t, today, zh } from "./base.js";
import { entriesOf, shown, standing } from "./roster.js";
import { expired } from "./session.js";

const printedDay = () => page.day ?? today();
const COLUMNS = ["period", "regno", "name", "phone", "product", "doseLabel", "state", "signature"];
export function paintPaper() {
  if (!page.me) return;
  const roster = shown();
  const date = printedDay();
  const entries = entriesOf(roster);
  set("paper-title", `${$("site").textContent} · ${dayName(date)}`);
  set("paper-note", roster ? t("paperNote", count(entries.length), hm(roster.at)) : "");
  const row = (tag, cells) => make("tr", {}, ...cells.map((it) => make(tag, tag === "th" ? { scope: "col" } : {}, it)));
  $("paper-table").replaceChildren(
    make("thead", {}, row("th", COLUMNS.map((it) => t(it)))),
    make("tbody", {}, ...entries.map((it) => row("td", [
      periodName(it.period), spaced(it.registration_no), it.name, it.phone, say(it.product), String(it.dose), say(standing(it, date)), "",
    ]))),
  );
}
$("print").onclick = () => { paintPaper(); print(); };
$("csv").onclick = async () => {
  put("paper-error", "");
  const headers = { "Accept-Language": zh() ? "zh-CN" : "en", Authorization: `Bearer ${page.token}` };
  try {
    const answer = await fetch(`/api/v1/sites/${encodeURIComponent(page.me.site)}/roster.csv?date=${printedDay()}`, { headers, cache: "no-store" });
    if (answer.status === 401) { expired(); return; }
    if (!answer.ok) throw new Error(String(answer.status));
    const url = URL.createObjectURL(await answer.blob());
    Object.assign(document.createElement("a"), { href: url, download: `roster-${page.me.site}-${printedDay()}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch {
    put("paper-error", t("needsNetwork"));
    polite(t("needsNetwork"));
  }
};
