// One opening: how it stands, my papers, may I register, and the join.

import {
  $, PAINT, bring, clear, count, clock, countdown, fault, go, insist, keepLook, kit, load, long, mark, nameOf, now_ms, page, paint,
  places, polite, read, recall, receipts, remember, run, route, set, show, standingOf, stroke, t, tell, together, unmark, until,
  until_ms, watch, when,
} from "./app.js";

const RUNNING = ["draw", "open", "paused"];
let spread = false; // one random wait a visit
let again; // the label of whoever joins again
const papers = new Map(); // by place, in memory only: who was passed over need not type them again

const look = async (mine) => {
  page.opening = await read(mine, `/openings/${page.district.code}`);
  keepLook(page.opening);
};
export { look };
export const drawEnds_ms = () => (standing().opens ?? Date.parse(page.opening.opens_at)) + page.opening.draw.seconds * 1000;
// By the timetable, so that nobody has to ask when the hour strikes.
export const standing = () => standingOf({ ...page.district, ...page.opening }, page.opening.draw.seconds);
export const nextOpens_ms = () => standing().next;

export async function visit(mine, district) {
  Object.assign(page, { district, key: null });
  spread = false;
  await look(mine);
  return opening(mine);
}
async function opening(mine, refusal) {
  if (refusal?.prove) await load(mine, "prove");
  unmark($("join"));
  show("opening");
  if (refusal) refused(refusal);
  return follow(mine);
}
export async function follow(mine) {
  for (;;) {
    const { state } = standing();
    await stroke([page.district], mine, { paused: 30_000, open: 60_000 }[state]);
    if (!page.opening.opens_at || until_ms(page.opening.closes_at) < 0) {
      page.city = await read(mine, "/city"); // the day may have turned
      page.district = page.city.districts.find((it) => it.code === page.district.code);
    }
    await look(mine);
    paint();
  }
}
// What a refusal leads to.
function refused(problem) {
  const right = page.city.districts.find((it) => it.code === problem.district);
  const link = $("refused").lastElementChild;
  const own = receipts().filter((it) => !it.label || it.label.startsWith(mask($("name").value)));
  if (problem.prove) kit.prove.offer();
  const [text, href] = right ? [t("goTo", nameOf(right)), `#${right.code}`]
    : problem.code === "already-registered" && own.length === 1 ? [t("seeReceipt"), `#receipt=${own[0].no}`]
      : problem.code === "already-registered" ? [t("findIt"), "#find"]
        : problem.prove ? [t("proveIt"), "#prove-send"]
          : problem.code === "identity-mismatch" ? [t("fixPapers"), "#id_number"] : [t("otherDistrict"), "#home"];
  link.textContent = text;
  link.href = href;
  link.onclick = ["#id_number", "#prove-send"].includes(href) ? (event) => { event.preventDefault(); $(href.slice(1)).focus(); } : null;
  mark($("join"), problem);
}

// The form
const FIELDS = ["id_number", "name", "phone"];
function judge(input, form) {
  const value = kit.papers.normalise[input.name]?.(input.value) ?? input.value;
  return kit.papers.faultOf(input.name, value, form.elements.id_type.value);
}
// Checks a form of papers as it is typed: first when a field is left, then, once it was wrong, with every key.
export function checkAsTyped(form) {
  for (const name of FIELDS) {
    const input = form.elements[name];
    if (!input) continue;
    input.addEventListener("blur", () => {
      if (!input.value.trim() || !kit.papers) return;
      if (name !== "name") input.value = kit.papers.normalise[name](input.value);
      const wrong = judge(input, form);
      if (!wrong) return clear(input);
      fault(input, t(...wrong));
      return polite(t(...wrong));
    });
  }
  watch(form, (input) => !FIELDS.includes(input.name) || !judge(input, form));
  form.elements.id_type.addEventListener("change", () => clear(form.elements.id_number));
}
// The papers of a form, in one spelling; null where something is wrong, which is then marked.
export function papersOf(form) {
  unmark(form);
  const found = { id_type: form.elements.id_type.value };
  const errors = [];
  for (const name of FIELDS.filter((it) => form.elements[it])) {
    found[name] = kit.papers.normalise[name](form.elements[name].value);
    const wrong = judge(form.elements[name], form);
    if (wrong) errors.push({ field: name, message: t(...wrong) });
  }
  if (errors.length) mark(form, { errors });
  return errors.length ? null : found;
}
function mask(name) { return `${[...kit.papers.normalise.name(name)][0] ?? ""}*`; }
// 王*, and where this device has another 王* already: 王* 2.
function labelFor(name) {
  const masked = mask(name);
  if (again?.startsWith(masked)) return again;
  const taken = [...places(), ...receipts()].map((it) => it.label);
  for (let n = 1; ; n += 1) {
    const label = n === 1 ? masked : `${masked} ${n}`;
    if (!taken.includes(label)) return label;
  }
}

// Before the opening: may I register at all?
async function eligibility(mine, body) {
  const { district } = page;
  set("check", t("checking"));
  $("check").disabled = true;
  let answer;
  try {
    answer = await insist(mine, "POST", `/openings/${district.code}/eligibility`, { body, settle: [425, 429] });
  } finally {
    $("check").disabled = false;
    set("check", t("check"));
  }
  const { ok, data } = answer;
  if (!ok) return opening(mine, data);
  const next = nextOpens_ms();
  const note = (data.first_dose_date ? t("eligibleDose", data.first_dose_date) : "") + (next ? t("eligibleNote", when(next), long(page.opening.draw.seconds)) : "");
  tell($("eligible"), t("eligible"), together(note, odds(data.outlook)));
  return follow(mine);
}
// What the published nights make likely for whoever registers now.
function odds(outlook) {
  if (!outlook) return "";
  const { night, registrations, allotted, reached, nights } = outlook;
  const date = (it) => new Date(`${it}T12:00:00Z`).toLocaleDateString(t("regional"), { timeZone: "UTC", month: "long", day: "numeric" });
  const key = nights === 1 ? "odds-soon" : nights ? "odds-nights" : "odds-unknown";
  return together(t("odds-night", date(night), count(registrations), count(allotted)), reached ? t(key, date(reached), count(nights ?? 0)) : "", t("odds-if"));
}
async function join(mine, body) {
  // During the draw nothing is lost by waiting a little, once, and the joins of a crowd arrive evenly.
  const drawing = standing().state === "draw";
  const left_ms = drawing && !spread ? drawEnds_ms() - now_ms() : 0;
  const whole_ms = Math.random() * Math.min(20_000, left_ms / 4);
  const due = performance.now() + whole_ms;
  spread = true;
  $("sending-why").hidden = !drawing; // after the draw the order is that of joining
  $("stop").hidden = false;
  show("sending");
  await until(() => {
    const ms = due - performance.now();
    $("sending-bar").value = whole_ms ? 1 - ms / whole_ms : 1;
    set("sending-text", ms > 0 ? t("sendIn", Math.ceil(ms / 1000)) : t("sendNow"));
    return ms;
  }, mine);
  const { code } = page.district;
  const { date, window: nth, draw: { commitment } } = page.opening;
  $("stop").hidden = true; // it is on its way
  let key;
  const heard = ({ ok, data }) => {
    $("stop").hidden = ok;
    if (!ok) return;
    key = `${code}:${date}:${data.entry}${nth > 1 ? `.${nth}` : ""}`; // entries are counted anew in each window
    if (mine.gone && recall(`place:${key}`)) return; // asked for once more meanwhile
    keepPlace(key, code, date, { ...data, window: nth, commitment }, body);
    if (mine.gone) elsewhere(key);
  };
  const answer = await insist(mine, "POST", `/openings/${code}/tickets`, { body, heard });
  if (!answer.ok) {
    await look(mine);
    return opening(mine, answer.data);
  }
  $("join").reset();
  kit.prove?.done();
  return go(`place=${key}`);
}
// A place that was given is kept, whatever its holder looks at by now.
function keepPlace(key, code, date, data, body) {
  const label = places().find((it) => it.key === key)?.label ?? labelFor(body.name);
  const seen = Date.now();
  const wait_ms = data.poll_after_seconds * 1000;
  remember(`place:${key}`, { key, label, district: code, date, since: seen, ...data, seen, due: seen + wait_ms, wait_ms });
  for (const it of places()) if (it.label === label && it.key !== key && it.district === code) remember(`place:${it.key}`); // the one before
  papers.set(key, { ...body, code: "" });
  again = undefined;
}
function elsewhere(key) {
  bring("queue");
  paint();
  polite(t("joinedElsewhere", recall(`place:${key}`).label));
}
// After a missed turn: the same form, filled in where this page still knows how.
export function rejoin(place) {
  const body = papers.get(place.key);
  again = place.label;
  remember(`place:${place.key}`);
  for (const [name, value] of Object.entries(body ?? {})) $("join").elements[name].value = value;
  return go(place.district);
}

function line(serving, waiting) {
  if (!serving) return waiting ? t("openFirst", count(waiting)) : "";
  return waiting ? t("openNote", count(serving), count(waiting)) : t("openNobody", count(serving));
}
PAINT.opening = () => {
  const { draw, serving, waiting } = page.opening;
  const { state, opens, closes, next } = standing();
  const soon = !opens && next - now_ms() < 3_600_000;
  const now = soon ? "closed" : state;
  const open = RUNNING.includes(state);
  const left_ms = state === "draw" ? drawEnds_ms() - now_ms() : open || state === "unassigned" ? 0 : next - now_ms();
  set("stand", t(`${now}Text`, now === "closed" ? clock(next) : closes && clock(closes)));
  set("stand-clock", left_ms > 0 ? countdown(left_ms) : "");
  set("stand-note", now === "open" ? line(serving, waiting) : open || now === "closed" ? t(`${now}Note`, long(draw.seconds))
    : now === "unassigned" ? t("unassignedNote") : next ? t(`${now}Note`, when(next)) : "");
  $("join").hidden = now === "unassigned" || now === "maintenance";
  $("check").hidden = open || state === "maintenance";
  $("go").hidden = !open && !soon;
  $("go").disabled = !open || state === "paused";
  kit.prove?.tick();
  set("go", state === "paused" ? t("joinPaused") : open ? t("join") : next ? t("joinAt", clock(next)) : "");
};

checkAsTyped($("join"));
$("join").onsubmit = (event) => {
  event.preventDefault();
  if ($("go").disabled || $("go").hidden) return;
  const body = papersOf(event.target);
  if (body) run((mine) => join(mine, kit.prove?.withCode(body) ?? body));
};
$("check").onclick = () => {
  const body = papersOf($("join"));
  if (body) run((mine) => eligibility(mine, kit.prove?.withCode(body) ?? body));
};
$("stop").onclick = () => run(opening);
// Back from sleep or from another tab: the opening is looked at, unless there is something to read.
document.addEventListener("visibilitychange", () => {
  const reading = !$("refused").hidden || !$("eligible").hidden || $("join").contains(document.activeElement);
  if (!document.hidden && page.view === "opening" && !reading) route();
});
