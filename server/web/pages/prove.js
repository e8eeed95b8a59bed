// Where a stranger's guesses have shut somebody's door: a one-time code to the phone of the registry opens it.

import { $, countdown, insist, kit, mark, now_ms, polite, run, set, t } from "./app.js";

let again = 0; // when another code may be asked for
let sent = null; // {to, minutes, file}
export function offer() {
  $("prove").hidden = false;
  tick();
}
export function tick() {
  if ($("prove").hidden) return;
  const wait_ms = again - now_ms();
  $("prove-send").disabled = wait_ms > 0;
  set("prove-send", wait_ms > 0 ? t("proveLater", countdown(wait_ms)) : t("proveSend"));
  $("prove-sent").hidden = !sent;
  if (sent) set("prove-sent", t("proveSent", sent.to, sent.minutes));
  $("prove-file").hidden = !sent?.file;
  if (sent?.file) set("prove-file", t("proveFile", sent.file));
}
export function done() {
  $("prove").hidden = true;
  sent = null;
}
export function withCode(body) {
  const code = $("prove").hidden ? "" : kit.papers.normalise.id_number($("prove-code").value);
  return code ? { ...body, code } : body;
}
async function send(mine, { id_type, id_number, phone }) {
  const answer = await insist(mine, "POST", "/access-codes", { body: { id_type, id_number, phone }, settle: [429] });
  const { ok, status, data, after_s } = answer;
  if (ok) {
    sent = { to: `${phone.slice(0, 3)}****${phone.slice(-4)}`, minutes: data.expires_in_seconds / 60, file: data.sms_file };
    again = now_ms() + data.retry_after_seconds * 1000;
    tick();
    polite($("prove-sent").textContent);
    $("prove-code").focus();
  } else {
    if (status === 429) again = now_ms() + after_s * 1000;
    tick();
    mark($("join"), data);
  }
  return kit.opening.follow(mine);
}
$("prove-send").onclick = () => {
  const body = kit.opening.papersOf($("join"));
  if (body) run((mine) => send(mine, body));
};
