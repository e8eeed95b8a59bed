// Capacity: what of it is used, and a file of it that is sent.

import {
  $, busy, call, complain, count, dayName, idle, keyed, lang, make, nameOf, on, page, polite, t, td, th, weekday, whyNot, zh,
} from "./base.js";
import { lowered } from "./night.js";

const LARGEST_FILE = 2 * 1024 * 1024;

const share = (capacity, taken) => (capacity ? Math.min(100, Math.round((taken / capacity) * 100)) : 0);
function cell(capacity, taken) {
  if (!capacity && !taken) return td("–");
  const many = capacity >= 1000;
  const it = td(many ? count(taken) : t("cell", taken, capacity), many ? `/${count(capacity)}` : taken > capacity ? t("overShort", count(taken - capacity)) : "", { className: taken > capacity ? "bad-cell" : taken === capacity ? "full" : "" });
  it.style.setProperty("--used", `${share(capacity, taken)}%`);
  return it;
}
function sitesOf(it) {
  const found = new Map();
  for (const { site, date, capacity, taken } of it.slots) {
    const days = found.get(site) ?? found.set(site, {}).get(site);
    const [c, n] = days[date] ?? [0, 0];
    days[date] = [c + capacity, n + taken];
  }
  return [...found].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true })).map(([site, days]) => ({ site, days, name: page.sites.get(site) }));
}
export function paintCapacity() {
  const table = $("capacity").querySelector("table");
  const { districts } = page.view;
  const dates = districts[0].capacity.map((it) => it.date);
  const names = JSON.stringify([dates, lang]);
  if ($("capacity-head").drawn !== names) {
    $("capacity-head").replaceChildren(make("th", { scope: "col" }, t("district")), ...dates.map((date) =>
      make("th", { scope: "col" }, `${dayName(date)} `, make("small", {}, weekday(date)))));
    $("capacity-head").drawn = names;
  }
  for (const it of districts) {
    const { code, name_zh, name_en, capacity } = it;
    let body = table.querySelector(`tbody[data-code="${code}"]`);
    if (!body) {
      body = make("tbody");
      body.dataset.code = code;
      table.append(body);
    }
    const open = page.open.has(code);
    const sites = open ? sitesOf(it) : [];
    const rows = [{ code, name_zh, name_en, capacity, open }, ...sites.map((site) => ({ ...site, dates }))];
    if (open && !sites.length && page.loaded?.has(code)) rows.push({ none: true, span: dates.length });
    keyed(body, rows, (row) => row.site ?? (row.none ? "none" : "all"), drawCapacity);
  }
  const sums = dates.map((_, i) => districts.reduce(([c, n], it) => [c + it.capacity[i].capacity, n + it.capacity[i].taken], [0, 0]));
  const foot = table.tFoot ?? table.createTFoot();
  table.append(foot);
  keyed(foot, [sums], () => "all", () => make("tr", {}, th(t("all")), ...sums.map(([c, n]) => cell(c, n))));
}
function drawCapacity(row) {
  if (row.none) return make("tr", { className: "site" }, th(t("noSites")), make("td", { colSpan: row.span }));
  if (row.site) {
    return make("tr", { className: "site" }, make("th", { scope: "row" }, (row.name && nameOf(row.name)) || row.site, row.name && make("small", {}, row.site)),
      ...row.dates.map((date) => cell(...(row.days[date] ?? [0, 0]))));
  }
  const fold = make("button", { type: "button", className: "fold", onclick: () => toggle(row.code) }, nameOf(row));
  fold.setAttribute("aria-expanded", String(row.open));
  fold.dataset.do = "fold";
  return make("tr", {}, make("th", { scope: "row" }, fold), ...row.capacity.map((it) => cell(it.capacity, it.taken)));
}
async function toggle(code) {
  if (page.open.delete(code)) { paintCapacity(); return; }
  page.open.add(code);
  paintCapacity();
  const answer = await call("GET", `/sites?district=${encodeURIComponent(code)}`);
  for (const it of answer.data.sites ?? []) page.sites.set(it.site, it);
  await on.refresh();
}

$("upload").onsubmit = async (event) => {
  event.preventDefault();
  const [file] = $("file").files;
  complain("file", !file ? t("noFile") : file.size > LARGEST_FILE ? t("tooLarge") : "");
  if (!file || file.size > LARGEST_FILE) return;
  if (busy($("upload-go"))) return;
  polite(t("uploading"));
  let answer = { ok: false, status: 0, data: {} };
  try {
    const content = await file.arrayBuffer();
    answer = await call("POST", "/capacity", { file: content });
    const { doubts } = answer.data;
    if (doubts && confirm(`${t("doubtful")}\n\n${doubts.join("\n")}`)) answer = await call("POST", "/capacity?confirmed=true", { file: content });
  } catch { /* the file is gone, or may not be read */ }
  idle($("upload-go"));
  if (!page.view) return;
  page.upload = answer;
  paintUpload();
  $("upload-result").focus();
  if (answer.ok) { $("file").value = ""; await on.refresh(); }
};
export function paintUpload() {
  const { upload } = page;
  const box = $("upload-result");
  box.hidden = !upload;
  if (!upload) return;
  const { ok, data } = upload;
  box.className = ok ? (data.lowered.length ? "warned" : "") : "bad";
  if (ok) {
    box.replaceChildren(make("p", {}, t("uploaded", count(data.rows), count(data.slots))),
      ...(data.lowered.length ? [make("p", {}, t("lowered", count(data.lowered.length))), lowered(data.lowered)] : []));
  } else if (data.doubts) {
    box.replaceChildren(make("p", {}, t("doubted")), make("ul", {}, ...data.doubts.map((it) => make("li", {}, it))));
  } else if (data.errors) {
    const more = (data.bad_rows ?? data.errors.length) - data.errors.length;
    box.replaceChildren(make("p", {}, t("refusedFile", count(data.bad_rows ?? data.errors.length))), make("ul", {},
      ...data.errors.map((it) => make("li", {}, make("b", {}, where(it.field)), zh() ? "：" : ": ", it.message)), ...(more > 0 ? [make("li", {}, t("moreRows", count(more)))] : [])));
  } else box.replaceChildren(make("p", {}, whyNot(upload)));
}
function where(field) {
  const [, line, column, name] = /^line (\d+)(?:, column (\d+) \((.+)\))?$/.exec(field) ?? [];
  return !line ? field : column ? t("lineColumn", line, column, name) : t("line", line);
}
$("file").onchange = () => {
  complain("file", "");
  if (!page.upload || page.upload.ok) return;
  page.upload = null; // it was about another file
  paintUpload();
};
