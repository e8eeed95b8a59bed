// Finding a registration again, on any device, by a code sent to its phone.

import {
  $, PAINT, countdown, go, insist, kit, load, mark, now_ms, page, paint, polite, run, set, show, t, unmark, watch,
} from "./app.js";

let sent; // {body, expires, again, file}; expires null: a code of before, which may be good or not
let attempt = {}; // the code last handed in, and the key that its repetitions carry
export async function find(mine) {
  page.key = null;
  page.district = null;
  sent = null;
  await load(mine, "opening", "receipt", "register");
  wire();
  show("find");
}
// What is known of the code for these papers.
const about = (body) => (JSON.stringify(sent?.body) === JSON.stringify(body) ? sent : { body, expires: null, again: 0, file: null });
async function sendCode(mine, body) {
  const { ok, status, data, after_s } = await insist(mine, "POST", "/access-codes", { body, settle: [429] });
  if (!ok) {
    // Perhaps one has been sent already, and that answer was lost: it can be entered.
    if (status === 429) sent = { ...about(body), again: now_ms() + after_s * 1000 };
    paint();
    return mark($("lookup"), data);
  }
  const { expires_in_seconds, retry_after_seconds, sms_file } = data;
  sent = { body, expires: now_ms() + expires_in_seconds * 1000, again: now_ms() + retry_after_seconds * 1000, file: sms_file };
  return enter();
}
function enter() {
  $("code").value = "";
  paint();
  polite($("code-sent").textContent);
  $("code").focus();
}
// A code is good once: where the answer was lost, the same key tells the server that it is the same asking.
async function open(mine, code) {
  const body = { ...sent.body, code };
  const what = JSON.stringify(body);
  if (attempt.what !== what) attempt = { what, key: randomKey() };
  const heard = (answer) => {
    if (answer.ok || answer.status === 422) attempt = {};
    if (answer.ok) kit.register.keepReceipt(answer.data, {});
  };
  const { ok, data } = await insist(mine, "POST", "/access-tokens", { body, key: attempt.key, settle: [429], heard });
  if (!ok) return mark($("enter"), data);
  sent = null;
  $("lookup").reset();
  $("enter").reset();
  return go(`receipt=${data.registration_no}`);
}

const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((it) => it.toString(16).padStart(2, "0")).join("");

PAINT.find = () => {
  const wait_ms = sent ? sent.again - now_ms() : 0;
  const left_ms = sent ? sent.expires - now_ms() : 0;
  $("send-code").disabled = wait_ms > 0;
  set("send-code", wait_ms > 0 ? t("sendLater", countdown(wait_ms)) : t(sent && sent.expires !== null ? "sendAgain" : "sendCode"));
  $("enter").hidden = !sent;
  if (!sent) return null;
  const { phone } = sent.body;
  const to = `${phone.slice(0, 3)}****${phone.slice(-4)}`;
  set("code-sent", sent.expires === null ? t("codeMaybe", to) : left_ms > 0 ? t("codeSent", to, countdown(left_ms)) : t("codeOver"));
  $("sms-file").hidden = !sent.file;
  if (sent.file) set("sms-file", t("smsFile", sent.file));
  return null;
};
function wire() {
  if ($("lookup").onsubmit) return;
  const types = $("find-id_type");
  for (const it of $("id_type").options) types.append(it.cloneNode(true));
  kit.opening.checkAsTyped($("lookup"));
  $("lookup").onsubmit = (event) => {
    event.preventDefault();
    if ($("send-code").disabled) return;
    const body = kit.opening.papersOf(event.target);
    if (body) run((mine) => sendCode(mine, body));
  };
  $("have-code").onclick = () => {
    const body = kit.opening.papersOf($("lookup"));
    if (!body) return;
    sent = about(body);
    run(async () => enter());
  };
  watch($("enter"), () => /^\d{6}$/.test(kit.papers.normalise.id_number($("code").value)));
  $("enter").onsubmit = (event) => {
    event.preventDefault();
    unmark($("enter"));
    const code = kit.papers.normalise.id_number($("code").value);
    if (/^\d{6}$/.test(code)) run((mine) => open(mine, code));
    else mark($("enter"), { errors: [{ field: "code", message: t("codeForm") }] });
  };
}
