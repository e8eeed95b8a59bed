// The resident's page: choose a district, join, wait, come in, register.
// Time is the server's (`now` in its answers), never this device's; a poll goes out when the server said, never sooner;
// papers and phone stay in the form, only signed tokens are stored; every request may be repeated.

// Chinese|English. What never changes is in index.html.
const WORDS = {
  title: "疫苗接种预约登记|Vaccine registration", next: "下一次开放：{0}|Next opening: {0}",
  draw: "抽签中|Draw on", open: "开放中|Open", paused: "暂停取号|Paused", closed: "{0} 开放|Opens {0}", maintenance: "系统维护中|Maintenance",
  ended: "今天已结束|Over for today", unassigned: "暂未安排|Not open here", held: "已取号|You have a place",
  drawText: "抽签进行中，还剩|The draw is on, time left",
  drawNote: "这段时间内取号，早晚都一样，先后由抽签决定。|Join before it ends: early or late is the same.",
  openText: "正在开放，{0} 结束|Open until {0}",
  openNote: "正在叫 {0} 号，{1} 人在等候。现在取号排在队尾。|Now serving {0}; {1} waiting. You would join at the back.",
  pausedNote: "已取的号继续有效，请稍后再来。|Numbers given stay valid. Please come back later.",
  closedText: "{0} 开放，还有|Opens at {0}, in",
  closedNote: "不用赶：开放后 {0} 分钟内取号，早晚都一样，先后由抽签决定。|No need to hurry: the first {0} minutes share one draw.",
  join: "取号|Join the queue", joinAt: "{0} 开放后可以取号|You can join at {0}", goTo: "去{0}|Go to {0}",
  required: "请填写这一项。|This is required.",
  sendIn: "{0} 秒后提交|Sending in {0} s", sendNow: "正在提交……|Sending…",
  inDraw: "您已进入抽签，还剩|You are in the draw. It ends in", drawDone: "抽签结束，正在取您的号码……|The draw is done. Getting your number…",
  yours: "您的号码|Your number", number: "{0} 号|No. {0}",
  seconds: "{0} 秒|{0} s", minutes: "约 {0} 分钟|about {0} min", hours: "约 {0} 小时 {1} 分钟|about {0} h {1} min",
  keep: "可以关闭这个页面，您的位置会保留。|You may close this page, your place is kept. ",
  keepDraw: "请在 {0} 抽签结束后回来看号码。|Come back for your number when the draw ends at {0}.",
  keepWait: "请在 {0} 前回来：叫到后要在限定时间内进入登记。|Be back by {0}: once called, there is a time limit to come in.",
  keepNear: "快到了，请留在这个页面。|Nearly there: please stay on this page.",
  keepLate: "照现在的速度，今天可能轮不到您。|At this pace your turn may not come today.",
  nextLook: "页面会自动更新，下一次：{0}后。|This page updates by itself, next in {0}.",
  told: "您的号码 {0}，前面还有 {1} 人。|Your number is {0}, {1} ahead of you.", called: "叫到您了|It is your turn",
  until: "请在 {0} 之前进入，过时要重新排队。|Come in before {0}, or queue again.",
  choice: "第 {0} 志愿|Choice {0}", site: "接种点|Vaccination site", pick: "请选择|Please choose", period: "时段|Time of day",
  am: "上午|Morning", pm: "下午|Afternoon", any: "上午下午都可以|Either",
  pickSite: "请选择接种点，或勾选“其他接种点也可以”。|Choose a site, or tick “any other site”.",
  registered: "登记成功|You are registered", receipt: "您的登记|Your registration", state: "状态|State", at: "登记时间|Registered",
  first: "第一剂日期|First dose", others: "其他接种点|Other sites", fine: "可以|yes", from: "不早于|Not before",
  proposed: "已登记，等待安排|Registered, date to follow",
  missedTitle: "过号了|Your turn has passed",
  missedMore: "没有在限定时间内完成，这个号已失效。您可以重新取号，排在队尾。|The time ran out; this number is no longer valid. You can join again at the back.",
  leftTitle: "您已放弃这个号|You gave up your place",
  leftMore: "开放时间内可以重新取号。|You can join again while the window is open.",
  endedTitle: "今天没有轮到您|Your turn did not come today",
  endedMore: "号码不带到明天。下一次开放：{0}。|Numbers do not carry over. Next opening: {0}.",
  usedTitle: "这个号已经用过了|This place has been used",
  usedMore: "登记已经完成，可能是在另一台设备上。|The registration is done, perhaps on another device.",
  askLeave: "放弃这个号吗？重新取号要从头排起。|Give up your place? Joining again means starting anew.",
  askForget: "从本机删除凭证吗？登记仍然有效，请先记下登记号。|Remove it from this device? The registration stays valid; note its number first.",
  offline: "网络连不上。|No connection.", offlineKept: "网络断开了，您的位置会保留。|The network is gone; your place is kept.",
  busy: "现在人很多。|Very busy just now.", retry: "{0} 秒后自动重试|Trying again in {0} s",
};

const $ = (id) => document.getElementById(id);
const all = (selector) => document.querySelectorAll(selector);
const page = { sites: [] }; // view, city, district, opening, place, pass, receipt, over, trouble
const GONE = new Error("the resident went elsewhere");

// Where storage is blocked the page lives in memory only.
let storage = {};
try { storage = localStorage; } catch { /* blocked */ }
const recall = (key) => JSON.parse(storage[`jiaohao:${key}`] ?? null);
function remember(key, value = null) { storage[`jiaohao:${key}`] = JSON.stringify(value); }

let lang = recall("language") ?? (/^zh/i.test(navigator.language) ? "zh" : "en");
for (const it of all("[data-en]")) it.dataset.zh = it.textContent;
const zh = () => lang === "zh";
const t = (key, ...values) => WORDS[key].split("|")[zh() ? 0 : 1].replace(/\{(\d)\}/g, (_, i) => values[i]);
const count = (n) => n.toLocaleString("en");
const nameOf = (it) => (zh() ? it.name_zh : it.name_en);
function speak() {
  $("language").hidden = false;
  document.documentElement.lang = zh() ? "zh-CN" : "en";
  for (const it of all("[data-en]")) it.textContent = it.dataset[lang];
}

// The server's clock, at worst 2 s behind; a set-back of more than 5 s is believed.
let offset_ms = 0;
const now_ms = () => performance.now() + offset_ms;
const until_ms = (time) => Date.parse(time) - now_ms();
function follow(now) {
  const seen_ms = Date.parse(now) - performance.now();
  if (seen_ms > offset_ms || seen_ms < offset_ms - 5000) offset_ms = seen_ms;
}
const when = (ms, more = { month: zh() ? "numeric" : "short", day: "numeric" }) => new Date(ms).toLocaleString(zh() ? "zh-CN" : "en-GB", {
  timeZone: page.city.timezone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...more,
});
const clock = (ms) => when(ms, {});
const today = () => new Date(now_ms()).toLocaleDateString("en-CA", { timeZone: page.city.timezone });
const countdown = (ms) => new Date(Math.max(0, Math.ceil(ms / 1000) * 1000)).toISOString().slice(11, 19).replace(/^00:/, "");
function span(s) {
  const minutes = Math.ceil(s / 60);
  if (s < 60) return t("seconds", Math.max(1, Math.round(s)));
  return minutes < 60 ? t("minutes", minutes) : t("hours", Math.floor(minutes / 60), minutes % 60);
}

// One flow at a time: starting one ends the one before, at its next step.
let flow = {};
async function run(task) {
  flow.gone = true;
  flow = {};
  calm();
  await task(flow).catch((error) => { if (error !== GONE) throw error; });
}
async function until(left_ms, mine) {
  for (let ms = left_ms(); ms > 0; ms = left_ms()) {
    await new Promise((resolve) => { setTimeout(resolve, Math.min(ms, 1000)); });
    if (mine.gone) throw GONE;
  }
}

async function call(method, path, { token, body } = {}) {
  const headers = { "Accept-Language": lang };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout?.(20_000) });
    const data = JSON.parse((await answer.text()) || "{}");
    if (data.now) follow(data.now);
    return { ok: answer.ok, status: answer.status, data, after_s: Number(answer.headers.get("Retry-After")) };
  } catch {
    return { status: 0, data: {}, after_s: 0 };
  }
}
// Ask until there is an answer to act on; waits as long as told, longer each time, never in step with others.
async function insist(mine, method, path, options) {
  for (let tries = 1; ; tries += 1) {
    const answer = await call(method, path, options);
    if (mine.gone) throw GONE;
    const { status, data, after_s } = answer;
    if (status && ![425, 429].includes(status) && (status < 500 || data.code === "maintenance")) { calm(); return answer; }
    const wait_s = Math.max(after_s, Math.min(60, 2 ** tries)) * (1 + Math.random() / 2);
    const trouble = (page.trouble = { status, due: performance.now() + wait_s * 1000 });
    const text = status ? data.detail ?? t("busy") : t(page.place ? "offlineKept" : "offline");
    $("trouble").firstChild.textContent = text;
    $("trouble").hidden = false;
    if (tries === 1) polite(text);
    paint();
    await until(() => trouble.due - performance.now(), mine);
  }
}
const read = async (mine, path) => (await insist(mine, "GET", path)).data;
function calm() {
  page.trouble = null;
  $("trouble").hidden = true;
}

// Screen
const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const polite = (text) => set("polite", text);
function make(tag, props, ...children) {
  const it = Object.assign(document.createElement(tag), props);
  it.append(...children);
  return it;
}
function show(view) {
  const before = page.view;
  page.view = view;
  for (const it of all("section")) it.hidden = it.id !== view;
  paint();
  if (!before || before === view) return;
  scrollTo(0, 0);
  const head = $(view).querySelector("h2");
  head.tabIndex = -1;
  head.focus({ preventScroll: true });
}
function paint() {
  const { trouble, city, district, view } = page;
  if (trouble) $("trouble").lastChild.textContent = t("retry", Math.max(0, Math.ceil((trouble.due - performance.now()) / 1000)));
  if (!view) return;
  set("city", city.name + (zh() ? "" : ": "));
  for (const it of all(".rule")) it.textContent = city.phase?.rule ?? "";
  for (const it of all(".place")) it.textContent = district ? nameOf(district) : "";
  for (const it of all(".message")) it.textContent = page.opening?.message ?? "";
  document.title = [PAINT[view]?.() ?? (district && nameOf(district)), t("title")].filter(Boolean).join(" · ");
}
function unmark(form) {
  for (const it of form.parentNode.querySelectorAll(".bad")) it.hidden = true;
  for (const it of form.querySelectorAll(".error")) it.remove();
  for (const it of form.querySelectorAll("[aria-invalid]")) it.removeAttribute("aria-invalid");
}
// Each fault beside its field, the first in focus; the rest in the box above the form.
function mark(form, { title = "", detail, errors = [] }) {
  const rest = [];
  for (const { field, message } of errors) {
    const input = form.elements[field];
    if (!input) { rest.push(message); continue; }
    const id = `${input.id}-error`;
    input.setAttribute("aria-invalid", true);
    input.setAttribute("aria-describedby", id);
    input.after(make("p", { className: "error", id }, message));
  }
  if (errors.length > rest.length) return form.querySelector("[aria-invalid]").focus();
  const box = form.parentNode.querySelector(".bad");
  const [head, text] = box.children;
  head.textContent = title;
  text.textContent = rest.join(" ") || (detail ?? t("busy"));
  box.hidden = false;
  return box.focus();
}

// Districts
const receipts = () => recall("receipts") ?? [];
const placeKey = (code) => `place:${code}:${today()}`;
const spaced = (no) => no.replace(/(.{5})(?=.)/g, "$1 ");
const RUNNING = ["draw", "open", "paused"];
function row(href, name, more, state, on) {
  return make("a", { className: "district", href }, make("span", {}, make("b", {}, name), make("small", {}, more)), make("span", { className: on ? "on" : "" }, state));
}
function drawList() {
  let last;
  $("districts").replaceChildren(...receipts().map((it, i) => row(`#receipt=${i}`, t("receipt"), spaced(it.no), "›")));
  for (const it of page.city.districts) {
    const hours = it.window ? `${it.window.opens}–${it.window.closes}` : t("unassigned");
    const held = it.state !== "ended" && recall(placeKey(it.code));
    const state = held ? t("held") : t(it.state, it.opens_at && clock(Date.parse(it.opens_at)));
    if (hours !== last) $("districts").append(make("h3", {}, hours));
    $("districts").append(row(`#${it.code}`, nameOf(it), zh() ? it.name_en : it.name_zh, state, held || RUNNING.includes(it.state)));
    last = hours;
  }
}
// Until the next stroke of the timetable, or 5 minutes; and a little, so that not all ask at once.
async function stroke(times, mine) {
  const soon_ms = times.map((time) => time && until_ms(time)).filter((ms) => ms > 0);
  const due = now_ms() + Math.min(300_000, ...soon_ms) + 1000 + Math.random() * 9000;
  await until(() => due - now_ms(), mine);
}
async function list(mine) {
  page.district = page.place = null;
  for (;;) {
    drawList();
    show("list");
    await stroke(page.city.districts.flatMap((it) => [it.opens_at, it.closes_at]), mine);
    page.city = await read(mine, "/city");
  }
}

// One opening
async function look(mine) { page.opening = await read(mine, `/openings/${page.district.code}`); }
const drawEnds_ms = () => Date.parse(page.opening.opens_at) + page.opening.draw.seconds * 1000;
const nextOpens_ms = () => [page.opening, page.district].map((it) => Date.parse(it.opens_at)).find((ms) => ms > now_ms());
// The state by the timetable, so that nobody has to ask when the hour strikes.
function state() {
  const { opens_at, closes_at, state: told } = page.opening;
  if (!opens_at || until_ms(opens_at) > 0) return told;
  if (until_ms(closes_at) <= 0) return RUNNING.includes(told) ? "ended" : told;
  return told === "paused" ? told : now_ms() < drawEnds_ms() ? "draw" : "open";
}
async function opening(mine, refusal) {
  page.place = null;
  unmark($("join"));
  show("opening");
  if (refusal) {
    const right = page.city.districts.find((it) => it.code === refusal.district);
    const own = refusal.code === "already-registered" ? receipts().length - 1 : -1;
    const link = $("refused").lastChild;
    link.hidden = !right && own < 0;
    link.href = right ? `#${right.code}` : `#receipt=${own}`;
    link.textContent = right ? t("goTo", nameOf(right)) : t("receipt");
    mark($("join"), refusal);
  }
  for (;;) {
    const { opens_at, closes_at } = page.opening;
    await stroke([opens_at, closes_at], mine);
    await look(mine);
    paint();
  }
}
async function join(body, mine) {
  // During the draw nothing is lost by waiting a little, once, and the joins of a crowd arrive evenly.
  const left_ms = state() === "draw" && !page.spread ? drawEnds_ms() - now_ms() : 0;
  const whole_ms = Math.random() * Math.min(20_000, left_ms / 4);
  const due = performance.now() + whole_ms;
  page.spread = true;
  show("sending");
  await until(() => {
    const ms = due - performance.now();
    $("sending-bar").value = whole_ms ? 1 - ms / whole_ms : 1;
    set("sending-text", ms > 0 ? t("sendIn", Math.ceil(ms / 1000)) : t("sendNow"));
    return ms;
  }, mine);
  const answer = await insist(mine, "POST", `/openings/${page.district.code}/tickets`, { body });
  if (answer.ok) {
    page.place = {};
    take(answer.data);
    return wait(mine);
  }
  await look(mine);
  return opening(mine, answer.data);
}

// The place in line
const keep = (place) => remember(placeKey(page.district.code), place);
function take(answer) {
  const { place } = page;
  const { state: was, serving: had } = place;
  Object.assign(place, answer, { seen: now_ms(), due: now_ms() + answer.poll_after_seconds * 1000 });
  const { state: is, number, ahead, serving } = place;
  if (is === "ready") polite(t("called"));
  if (is === "waiting" && !(ahead > place.told / 2)) {
    place.told = ahead;
    polite(t("told", number, ahead));
  }
  keep(place);
  return was === is && had === serving;
}
async function wait(mine) {
  const { place } = page;
  for (;;) {
    if (place.state === "claimed") return claim(mine);
    if (["missed", "left", "ended"].includes(place.state)) return over(place.state);
    show(place.state === "ready" ? "ready" : "queue");
    await until(() => place.due - now_ms(), mine);
    const answer = await insist(mine, "GET", "/ticket", { token: place.ticket });
    if (!answer.ok) return spent(answer.data);
    if (take(answer.data) && place.state === "waiting") await look(mine); // is there word from the operator?
  }
}
function spent(data) {
  const done = receipts().findIndex((it) => it.district === page.district.code && it.date === today());
  const kind = data.code === "expired" ? data.state : data.code;
  keep();
  if (kind === "used" && done >= 0) location.hash = `receipt=${done}`;
  else over(kind, data);
}
function over(kind, data = {}) {
  page.over = { kind, data };
  show("over");
}
async function leave(mine) {
  const { ok, data } = await insist(mine, "DELETE", "/ticket", { token: page.place.ticket });
  if (data.code === "used") return claim(mine);
  return spent(ok ? { code: "left" } : data);
}

// Coming in and registering
async function claim(mine) {
  const { place } = page;
  const { ok, data } = await insist(mine, "POST", "/passes", { token: place.ticket });
  if (!ok) return spent(data);
  page.pass = data;
  place.state = "claimed";
  keep(place);
  page.sites = (await read(mine, `/sites?district=${page.district.code}`)).sites;
  drawWishes(place.draft ?? { preferences: [], accept_any_site: !page.sites.length });
  show("register");
  return lapse(mine);
}
async function lapse(mine) {
  await until(() => until_ms(page.pass.expires_at), mine);
  spent({ code: "missed" });
}
const siteOf = (code) => page.sites.find((it) => it.site === code);
function select(id, label, options, value) {
  const list = options.map(([key, text]) => make("option", { value: key, selected: key === value }, text));
  return [make("label", { htmlFor: id }, t(label)), make("select", { id }, ...list)];
}
function drawWishes({ preferences, accept_any_site, not_before = "" }) {
  const form = $("wishes");
  const rows = preferences.length ? preferences : [{ period: "any" }];
  unmark(form);
  form.accept_any_site.checked = accept_any_site;
  form.not_before.value = not_before;
  form.not_before.min = today();
  $("more").hidden = !page.sites.length || rows.length > 2;
  const sites = [["", t("pick")], ...page.sites.map((it) => [it.site, nameOf(it)])];
  const periods = ["am", "pm", "any"].map((key) => [key, t(key)]);
  $("choices").hidden = !page.sites.length;
  $("choices").replaceChildren(...rows.map(({ site, period }, i) => make("fieldset", {}, make("legend", {}, t("choice", i + 1)),
    ...select(`preferences[${i}].site`, "site", sites, site), make("p", { className: "hint" }, siteOf(site)?.address ?? ""),
    ...select(`preferences[${i}].period`, "period", periods, period))));
}
function readWishes() {
  const { accept_any_site, not_before } = $("wishes").elements;
  const preferences = [...$("choices").children].map((it) => {
    const [site, period] = it.querySelectorAll("select");
    return { site: site.value, period: period.value };
  });
  return { preferences, accept_any_site: accept_any_site.checked, not_before: not_before.value };
}
async function register(mine) {
  const wishes = readWishes();
  wishes.preferences = wishes.preferences.filter((it) => it.site);
  drawWishes(wishes); // the server counts only the filled ones
  if (!wishes.preferences.length && !wishes.accept_any_site) {
    mark($("wishes"), { errors: [{ field: "preferences[0].site", message: t("pickSite") }] });
    return lapse(mine);
  }
  const body = { ...wishes, not_before: wishes.not_before || undefined };
  const { ok, status, data } = await insist(mine, "POST", "/registrations", { token: page.pass.pass, body });
  if (ok) return registered(data, mine);
  if (status !== 422) return spent(data);
  mark($("wishes"), data);
  return lapse(mine);
}
function registered(data, mine) {
  const { registration_no: no, receipt: token, receipt_qr_svg_url: qr, district } = data;
  const kept = receipts().filter((it) => it.no !== no);
  const at = kept.push({ no, token, qr, district, date: today() }) - 1;
  remember("receipts", kept);
  keep();
  $("join").reset();
  remember("here", `receipt=${at}`);
  history.replaceState(null, "", `#receipt=${at}`);
  return receipt(at, mine, data);
}
async function receipt(at, mine, data) {
  const kept = receipts()[at];
  page.place = null;
  page.district = page.city.districts.find((it) => it.code === kept.district);
  page.receipt = { at, kept, data };
  $("qr").src = kept.qr;
  show("receipt");
  page.sites = (await read(mine, `/sites?district=${kept.district}`)).sites;
  if (!data) {
    const answer = await insist(mine, "GET", `/registrations/${kept.no}`, { token: kept.token });
    page.receipt[answer.ok ? "data" : "refusal"] = answer.data;
  }
  paint();
}
function facts({ state: is, registered_at, priority, preferences, accept_any_site, not_before }) {
  const wish = ({ site, period }) => `${siteOf(site) ? nameOf(siteOf(site)) : site} · ${t(period)}`;
  const lines = [
    ["state", WORDS[is] ? t(is) : is], ["at", when(Date.parse(registered_at))], ["first", priority.first_dose_date],
    ...preferences.map((it, i) => ["choice", wish(it), i + 1]), ["others", accept_any_site && t("fine")], ["from", not_before],
  ];
  return lines.filter(([, value]) => value).map(([name, value, i]) => make("div", {}, make("dt", {}, t(name, i)), make("dd", {}, value)));
}

// What each view shows as time goes by; gives the beginning of the title.
const PAINT = {
  opening() {
    const { opens_at, closes_at, draw, serving, waiting } = page.opening;
    const next = nextOpens_ms();
    const soon = next - now_ms() < 3_600_000;
    const now = soon ? "closed" : state();
    const open = RUNNING.includes(now);
    const left_ms = now === "draw" ? drawEnds_ms() - now_ms() : now === "closed" ? until_ms(opens_at) : 0;
    set("stand", t(WORDS[`${now}Text`] ? `${now}Text` : now, opens_at && clock(Date.parse(now === "closed" ? opens_at : closes_at))));
    set("stand-clock", left_ms > 0 ? countdown(left_ms) : "");
    set("stand-note", now === "open" ? t("openNote", count(serving), count(waiting)) : open || now === "closed" ? t(`${now}Note`, draw.seconds / 60)
      : next ? t("next", when(next)) : "");
    $("join").hidden = !open && !soon;
    $("go").disabled = !open;
    set("go", open ? t("join") : next ? t("joinAt", clock(next)) : "");
  },
  queue() {
    const { number, serving, ahead, eta_seconds, seen, due } = page.place;
    const left_ms = number ? 0 : drawEnds_ms() - now_ms();
    const eta_s = eta_seconds === null ? Infinity : eta_seconds - (now_ms() - seen) / 1000;
    const back = !number ? t("keepDraw", clock(drawEnds_ms())) : eta_s * 1000 > until_ms(page.opening.closes_at) ? t("keepLate")
      : t("keepWait", clock(now_ms() + eta_s * 900));
    set("number-label", t(number ? "yours" : left_ms > 0 ? "inDraw" : "drawDone"));
    set("number", number ? count(number) : "");
    set("queue-clock", left_ms > 0 ? countdown(left_ms) : "");
    set("keep", number && eta_s < 120 ? t("keepNear") : t("keep") + back);
    set("next-look", t("nextLook", span((due - now_ms()) / 1000)));
    $("line").hidden = !number;
    if (!number) return null;
    set("serving", serving ? t("number", count(serving)) : "–");
    set("ahead", count(ahead));
    set("eta", eta_s < Infinity ? span(eta_s) : "–");
    return t("number", count(number));
  },
  ready() {
    const { number, claim_before } = page.place;
    set("ready-number", count(number));
    set("ready-clock", claim_before ? countdown(until_ms(claim_before) - 2000) : "…"); // this clock may be 2 s behind
    set("ready-until", claim_before ? t("until", clock(Date.parse(claim_before))) : "");
    return t("called");
  },
  register() { set("pass-clock", countdown(until_ms(page.pass.expires_at) - 2000)); },
  receipt() {
    const { kept, data, refusal } = page.receipt;
    set("receipt-title", refusal?.title ?? t("registered"));
    set("no", spaced(kept.no));
    if (data) $("facts").replaceChildren(...facts(data));
    else set("facts", refusal?.detail ?? "…");
  },
  over() {
    const { kind, data } = page.over;
    const own = WORDS[`${kind}More`];
    const next = nextOpens_ms();
    set("over-title", own ? t(`${kind}Title`) : data.title ?? t("busy"));
    set("over-text", own ? t(`${kind}More`, next ? when(next) : "–") : data.detail ?? "");
    $("again").hidden = ["ended", "already-registered"].includes(kind);
  },
};

// Wiring
const route = () => run(async (mine) => {
  const at = location.hash.slice(1);
  if (!page.city || !at) page.city = await read(mine, "/city");
  remember("here", at);
  const number = at.startsWith("receipt=") ? Number(at.slice(8)) : -1;
  if (receipts()[number]) return receipt(number, mine);
  const district = page.city.districts.find((it) => it.code === at);
  if (!district) return list(mine);
  Object.assign(page, { district, place: null, spread: false });
  await look(mine);
  const place = (page.place = recall(placeKey(at)));
  if (!place) return opening(mine);
  place.due = Math.min(place.due + 1000, now_ms() + place.poll_after_seconds * 1000); // the server's clock may have been set back
  // The opening's public count says that the number is up: nothing to wait for.
  if (place.state === "waiting" && page.opening.serving >= place.number) place.due = 0;
  return wait(mine);
});
$("join").onsubmit = (event) => {
  event.preventDefault();
  const applicant = Object.fromEntries(new FormData(event.target));
  const errors = Object.keys(applicant).filter((field) => !applicant[field].trim()).map((field) => ({ field, message: t("required") }));
  unmark(event.target);
  if (errors.length) mark(event.target, { errors }); else run((mine) => join(applicant, mine));
};
$("wishes").onsubmit = (event) => { event.preventDefault(); run(register); };
$("wishes").onchange = ({ target }) => {
  page.place.draft = readWishes();
  keep(page.place);
  if (target.nextSibling?.className === "hint") target.nextSibling.textContent = siteOf(target.value)?.address ?? "";
};
$("more").onclick = () => {
  const wishes = readWishes();
  wishes.preferences.push({ period: "any" });
  drawWishes(wishes);
  $("choices").lastChild.querySelector("select").focus();
};
$("stop").onclick = () => run(opening);
$("claim").onclick = () => run(claim);
$("again").onclick = () => { keep(); route(); };
for (const it of all(".leave")) it.onclick = () => { if (confirm(t("askLeave"))) run(leave); };
$("forget").onclick = () => {
  if (!confirm(t("askForget"))) return;
  remember("receipts", receipts().filter((_, i) => i !== page.receipt.at));
  location.hash = "";
};
$("language").onclick = async () => {
  lang = zh() ? "en" : "zh";
  remember("language", lang);
  speak();
  const { ok, data } = await call("GET", "/city");
  if (ok) page.city = data;
  unmark($("join"));
  if (page.view === "list") drawList();
  if (page.view === "register") drawWishes(readWishes());
  paint();
};
// Back from sleep or from another tab: the clock is set anew, and the opening looked at.
document.onvisibilitychange = () => {
  const idle = ["queue", "ready"].includes(page.view) || (page.view === "opening" && $("refused").hidden);
  if (!document.hidden && idle && !page.trouble) route();
};
addEventListener("online", () => {
  if (page.trouble?.status === 0) page.trouble.due = performance.now() + Math.random() * 3000;
});
addEventListener("hashchange", route);
speak();
if (!location.hash && recall("here")) history.replaceState(null, "", `#${recall("here")}`);
setInterval(paint, 1000);
route();
