// One person at the desk: the full name on a look-up that is noted, a search by card, and a mark taken back.

import * as outbox from "../staff-outbox.js";
import { spaced } from "../staff-number.js";
import { $, call, complain, fault, on, page, polite, put, show, t } from "./base.js";
import { ask, fail, paintAsked } from "./checkin.js";
import { entriesOf, isUndoable, refresh } from "./roster.js";
import { expired } from "./session.js";

const atSite = (what, body) => call("POST", `/sites/${encodeURIComponent(page.me.site)}/${what}`, { body });
const rosterEntry = (date, no) => entriesOf(page.rosters.get(date)).find((it) => it.registration_no === no);
const masked = (name) => (name ? `${[...name][0]}*` : "*");
const whyFailed = ({ status, data }) => (status ? data.errors?.[0]?.message ?? data.detail ?? t("busy") : t("needsNetwork"));

/** Whoever has these papers and an appointment here; what was typed goes from the screen. */
async function byCard(id_type, id_number, origin, told) {
  const answer = await atSite("searches", { id_type, id_number });
  if (!page.me) return;
  if (answer.status === 401) { expired(); return; }
  if (!answer.ok) { told(whyFailed(answer)); return; }
  const person = answer.data;
  for (const id of ["regno", "card-number"]) $(id).value = "";
  page.query = "";
  // The list's own line, so that the device keeps no more of anybody than it does of the others.
  const entry = rosterEntry(person.date, person.registration_no) ?? { ...person, name: masked(person.name) };
  ask(entry, person.date, origin);
  page.asked.person = person;
  paintAsked();
}
on.card = (number, origin) => byCard("resident_id", number, origin, fail);
$("card").onsubmit = async (event) => {
  event.preventDefault();
  const number = $("card-number").value.trim();
  complain("card-number", number ? "" : t("required"));
  if (number) await byCard($("card-type").value, number, $("card-number"), (text) => complain("card-number", text));
};
$("card-number").oninput = () => complain("card-number", "");

$("reveal").onclick = async () => {
  const { asked } = page;
  put("reveal-error", "");
  const answer = await atSite("lookups", { registration_no: asked.entry.registration_no, date: asked.date });
  if (asked !== page.asked) return;
  if (answer.status === 401) { expired(); return; }
  if (!answer.ok) { put("reveal-error", whyFailed(answer)); return; }
  asked.person = answer.data;
  paintAsked();
  polite(t("revealed", answer.data.name ?? "", answer.data.id_last ?? t("idUnknown")));
  $("confirm-close").focus({ preventScroll: true });
};

/** What is told of the one person who is asked about, beside the list's line. */
on.asked = () => {
  const { entry, date, person } = page.asked;
  $("reveal").hidden = Boolean(entry.missing || person);
  if (person) put("reveal-error", "");
  const undoable = isUndoable(entry) && !outbox.find(page.me.site, date, entry.registration_no);
  if ($("undo").hidden === undoable) $("undo-why").value = "";
  $("undo").hidden = !undoable;
  if (!undoable) fault("undo-why", "");
};
$("undo").onkeydown = (event) => event.stopPropagation(); // a reason may have digits, and Enter sends it
$("undo").onsubmit = async (event) => {
  event.preventDefault();
  const { asked } = page;
  const { entry, date } = asked;
  const reason = $("undo-why").value.trim();
  fault("undo-why", reason ? "" : t("reasonNeeded"));
  if (!reason) { $("undo-why").focus(); return; }
  const no = entry.registration_no;
  const answer = await call("POST", `/attendances/${no}/undo`, { body: { date, reason, holder: entry.holder ?? undefined } });
  if (answer.status === 401) { expired(); return; }
  if (!answer.ok) {
    fault("undo-why", whyFailed(answer));
    polite(whyFailed(answer));
    return;
  }
  for (const it of [entry, rosterEntry(date, no)]) if (it) Object.assign(it, { state: answer.data.state, undo_before: null });
  page.done.delete(`${date}:${no}`);
  if (page.last?.no === no) page.last = null;
  if (page.asked === asked) $("confirm").close();
  show();
  polite(t("undone", entry.name || spaced(no)));
  refresh();
};

// The last one who was checked in
const lastEntry = () => page.last?.what === "sent" && rosterEntry(page.last.date, page.last.no);
export const paintLast = () => { $("undo-last").hidden = !page.me || !isUndoable(lastEntry() || null); };
$("undo-last").onclick = () => ask(lastEntry(), page.last.date, $("undo-last"));
