// The slip that a resident takes home, printed in large type.

import { spaced } from "../staff-number.js";
import { $, dayName, districtName, hm, make, nameOf, page, periodName, polite, t } from "./base.js";

const siteName = (district, code) => nameOf(page.sites.get(district)?.find((it) => it.site === code) ?? { name_zh: code, name_en: code });
export async function printSlip(it) {
  const { no, at, qr } = it.receipt;
  const { hotline, hotline_hours: hours } = page.city?.service ?? {};
  const image = make("img", { alt: spaced(no), width: 200, height: 200 });
  const wishes = it.wishes.preferences.map(({ site, period }) => `${siteName(it.district, site)} · ${periodName(period)}`);
  const facts = [
    ["slipName", it.name ?? it.label], ["district", districtName(it.district)],
    ...wishes.map((wish) => ["slipWish", wish]), ["slipOthers", it.wishes.accept_any_site && t("yes")],
    ["slipAt", `${dayName(at.slice(0, 10))} ${hm(Date.parse(at))}`], ["slipBy", page.me.organisation],
  ];
  $("slip").replaceChildren(
    make("h2", {}, t("slipTitle")), make("p", { className: "number" }, spaced(no)), image,
    make("dl", {}, ...facts.filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {}, t(name)), make("dd", {}, value)))),
    make("p", {}, t("slipNext")), make("p", {}, t("slipAsk", hotline ? [hotline, hours && `${hours.opens}–${hours.closes}`].filter(Boolean).join(" ") : t("here"))),
  );
  image.src = qr;
  await image.decode().catch(() => { image.hidden = true; }); // the number is enough
  document.documentElement.classList.add("with-slip");
  polite(t("printing"));
  print();
}
addEventListener("afterprint", () => document.documentElement.classList.remove("with-slip"));
