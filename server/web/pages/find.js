// Finding a registration again, on any device, by a code sent to its phone.

import {
  $, PAINT, countdown, go, insist, kit, load, mark, page, paint, polite, run, set, show, t, teach, unmark,
} from "./app.js";

teach({
  sendCode: "发送验证码|Send the code", sendAgain: "重新发送验证码|Send the code again", sendLater: "{0} 后可以重新发送|You can send again in {0}",
  codeSent: "如果有这样的登记，验证码已发到 {0}，还有 {1} 有效。|If there is such a registration, a code has been sent to {0}. It is good for another {1}.",
  codeOver: "验证码已失效，请重新发送。|The code has run out; please send a new one.",
  smsFile: "测试环境：短信写在 {0}|Test set-up: the SMS is written to {0}", codeForm: "请输入短信里的六位数字。|Please enter the six digits from the SMS.",
});

let sent; // {body, expires, again, file}
export async function find(mine) {
  page.key = null;
  page.district = null;
  sent = null;
  await load(mine, "opening", "receipt", "register");
  wire();
  show("find");
}
async function sendCode(mine, body) {
  const { ok, data, after_s } = await insist(mine, "POST", "/access-codes", { body, settle: [429] });
  if (!ok) {
    if (after_s && sent) sent.again = Date.now() + after_s * 1000;
    else if (after_s) sent = { body, expires: 0, again: Date.now() + after_s * 1000, file: null, none: true };
    paint();
    return mark($("lookup"), data);
  }
  const { expires_in_seconds, retry_after_seconds, sms_file } = data;
  sent = { body, expires: Date.now() + expires_in_seconds * 1000, again: Date.now() + retry_after_seconds * 1000, file: sms_file };
  $("code").value = "";
  paint();
  polite($("code-sent").textContent);
  $("code").focus();
  return null;
}
async function open(mine, code) {
  const { ok, data } = await insist(mine, "POST", "/access-tokens", { body: { ...sent.body, code }, settle: [429] });
  if (!ok) return mark($("enter"), data);
  kit.register.keepReceipt(data, {});
  sent = null;
  $("lookup").reset();
  $("enter").reset();
  return go(`receipt=${data.registration_no}`);
}

PAINT.find = () => {
  const wait_ms = sent ? sent.again - Date.now() : 0;
  const left_ms = sent ? sent.expires - Date.now() : 0;
  $("send-code").disabled = wait_ms > 0;
  set("send-code", wait_ms > 0 ? t("sendLater", countdown(wait_ms)) : t(sent ? "sendAgain" : "sendCode"));
  $("enter").hidden = !sent || sent.none;
  if (!sent || sent.none) return null;
  const { phone } = sent.body;
  set("code-sent", left_ms > 0 ? t("codeSent", `${phone.slice(0, 3)}****${phone.slice(-4)}`, countdown(left_ms)) : t("codeOver"));
  $("sms-file").hidden = !sent.file;
  if (sent.file) set("sms-file", t("smsFile", sent.file));
  return null;
};
function wire() {
  if ($("lookup").onsubmit) return;
  const types = $("find-id_type");
  for (const it of $("id_type").options) types.append(it.cloneNode(true));
  for (const it of types.options) it.dataset.zh ??= it.textContent;
  kit.opening.checkAsTyped($("lookup"));
  $("lookup").onsubmit = (event) => {
    event.preventDefault();
    if ($("send-code").disabled) return;
    const body = kit.opening.papersOf(event.target);
    if (body) run((mine) => sendCode(mine, body));
  };
  $("enter").onsubmit = (event) => {
    event.preventDefault();
    unmark($("enter"));
    const code = kit.papers.normalise.id_number($("code").value);
    if (/^\d{6}$/.test(code)) run((mine) => open(mine, code));
    else mark($("enter"), { errors: [{ field: "code", message: t("codeForm") }] });
  };
}
