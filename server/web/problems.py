"""Refusals as RFC 9457 problem details, with a sentence a resident understands."""

from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from server.core.errors import Invalid, Refusal

Headers = list[tuple[str, str]]


class _Words(NamedTuple):
    status: int
    title_zh: str
    title_en: str
    detail_zh: str
    detail_en: str


# The contract's codes. A sentence may use the refusal's extras in braces; times read HH:MM, dates in the reader's way.
_PROBLEMS = {
    "malformed": _Words(
        400,
        "无法识别的请求",
        "Request not understood",
        "系统没有看懂这次提交的内容，请刷新页面后重新填写。",
        "The request could not be read. Please reload the page and fill it in again.",
    ),
    "invalid": _Words(
        422,
        "填写有误",
        "Please check what you entered",
        "有些内容填写不正确，请按提示改正后再提交。",
        "Some of the details are not right. Please correct them as shown and send again.",
    ),
    "unauthorized": _Words(
        401,
        "缺少凭证",
        "Proof missing",
        "没有收到您的凭证，请回到首页重新进入。",
        "Your proof did not come along. Please start again from the first page.",
    ),
    "forged": _Words(
        401,
        "凭证无效",
        "Not a valid proof",
        "这个凭证不是本系统发出的，或已被改动，请回到首页重新进入。",
        "This proof was not issued by this system, or has been changed. Please start again from the first page.",
    ),
    "not-eligible": _Words(
        403,
        "暂时不能登记",
        "Not eligible yet",
        "按照目前的规定，您现在还不能登记。",
        "Under the rule in force you cannot register now.",
    ),
    "barred": _Words(
        403,
        "本渠道已停用",
        "This channel is closed to you",
        "您已多次爽约，不能再通过本渠道预约，请联系接种点工作人员。",
        "You have missed more appointments than allowed. Please contact the staff of a vaccination site.",
    ),
    "identity-mismatch": _Words(
        403,
        "信息不一致",
        "Details do not match",
        "姓名或手机号与第一剂接种时登记的不一致，请核对后再试。",
        "The name or phone differs from the one given at the first dose. Please check and try again.",
    ),
    "not-found": _Words(
        404,
        "没有找到",
        "Not found",
        "没有找到您要的内容，请回到首页重新进入。",
        "There is nothing here under this address. Please start again from the first page.",
    ),
    "already-registered": _Words(
        409,
        "您已经登记过了",
        "Already registered",
        "您已有一份有效的登记，不需要再次排队。",
        "You already have an open registration; there is no need to queue again.",
    ),
    "too-late": _Words(
        409,
        "已过办理时间",
        "Too late",
        "取消须在 {cancel_before} 之前提出，现在已经不能取消。",
        "Cancelling was possible until {cancel_before}.",
    ),
    "used": _Words(
        409,
        "凭证已使用",
        "Already used",
        "这个凭证已经用过了，如需再次登记，请重新取号。",
        "This proof has done its work. To register again, please join again.",
    ),
    "expired": _Words(
        410,
        "凭证已过期",
        "Expired",
        "这个凭证已经过期；如果仍在开放时间内，可以重新取号。",
        "This proof is no longer valid; while the window is open you may join again.",
    ),
    "ended": _Words(
        410,
        "今天的开放时间已结束",
        "Today's window is over",
        "本区今天的登记已经结束，下一次开放时间是 {next_opens_at}。",
        "Today's window of this district is over. The next one opens at {next_opens_at}.",
    ),
    "not-open": _Words(
        425,
        "还没有到开放时间",
        "Not open yet",
        "本区 {opens_at} 开放登记，请届时再来；先后顺序与手速无关。",
        "This district opens at {opens_at}. Please come back then; being quick gains nothing.",
    ),
    "not-your-turn": _Words(
        425,
        "还没有叫到您的号",
        "Not your turn yet",
        "还没有叫到您的号，请保留页面或稍后再来，您的位置不会丢失。",
        "Your number has not been called yet. Your place is kept.",
    ),
    "too-many-requests": _Words(
        429,
        "操作太频繁",
        "Too many requests",
        "操作太频繁了，请稍等片刻再试。",
        "That was too often. Please wait a moment and try again.",
    ),
    "paused": _Words(
        503,
        "暂停取号",
        "Paused",
        "本区暂停取号，已取的号继续有效，请稍后再来。",
        "This opening is paused. Numbers already given stay valid; please come back later.",
    ),
    "maintenance": _Words(
        503,
        "系统维护时间",
        "Maintenance hours",
        "现在是系统数据处理和维护时间，{opens_at} 恢复开放。",
        "The system is closed for maintenance and opens again at {opens_at}.",
    ),
    "overloaded": _Words(
        503,
        "现在人很多",
        "Very busy",
        "现在人很多，请过几秒再试，您已有的位置和登记都不会丢失。",
        "Very many people are here just now. Please try again in a few seconds; nothing you have is lost.",
    ),
    "store-unavailable": _Words(
        503,
        "系统正在恢复",
        "Recovering",
        "系统正在恢复，请过几秒再试，您的位置和登记都不会丢失。",
        "The system is recovering. Please try again in a few seconds; nothing you have is lost.",
    ),
}

# Sharper sentences where the refusal says more than its code.
_REASONS = {
    "too-soon": (
        "按照目前的规定，您从 {eligible_from} 起可以登记。",
        "Under the rule in force you can register from {eligible_from}.",
    ),
    "no-first-dose": (
        "没有查到您的第一剂接种记录；首剂预约从 {eligible_from} 起开放。",
        "We have no record of a first dose for you; first doses can be booked from {eligible_from}.",
    ),
    "complete": (
        "您接种的疫苗不需要第二剂，无需登记。",
        "The vaccine you received needs no second dose; there is nothing to book.",
    ),
    "wrong-district": (
        "您的第一剂登记在{district_name}，请在该区的开放时间登记。",
        "Your first dose was recorded in {district_name_en}. Please register during that district's window.",
    ),
    "given": (
        "您的这一剂已经接种，登记系统收到接种记录后即可预约下一剂。",
        "This dose has been given. The next one can be booked once it is in the records.",
    ),
    "allotted": (
        "接种时间已经安排，不能再改志愿；不能去的请先取消，再重新登记。",
        "Your appointment has been allotted. If it does not suit you, please cancel and register again.",
    ),
    "wrong-papers": (
        "这个证件号填错姓名或手机号的次数太多了。请用短信验证码证明是您本人，或过一阵再试。",
        "Too many wrong names or phones were tried with this ID number. Please prove by a code sent by SMS that it is "
        "you, or try again later.",
    ),
    "no-receipt": (
        "本机没有登记凭证，可以用短信验证码找回登记。",
        "There is no receipt on this device. You can find your registration again by a code sent by SMS.",
    ),
    "closed": ("这份登记已经办结，不能再改。", "This registration is closed and cannot be changed."),
    "places": (
        "您在这次开放中放弃号码的次数太多，这次不能再取号。下一次开放时间是 {next_opens_at}。",
        "You have given up your place too often in this opening and cannot join it again. The next one opens at "
        "{next_opens_at}.",
    ),
    "full": (
        "这次开放的号码已经全部发完，下一次开放时间是 {next_opens_at}。",
        "All places of this opening have been given. The next one opens at {next_opens_at}.",
    ),
    "no-appointment": ("还没有安排接种时间。", "There is no appointment yet."),
    "not-on-roster": (
        "不在本接种点当天的名单上，请核对短信上的接种点和日期。",
        "Not on this site's roster of that day. Please compare the site and the date in the SMS.",
    ),
    "no-registration": (
        "没有这个登记号，请逐位核对。",
        "There is no registration of this number. Please compare it digit by digit.",
    ),
    "no-attendance": (
        "名单上没有这条接种记录，可能已经办完。",
        "No such attendance on the list: perhaps it has been settled.",
    ),
    "other-dose": (
        "这位居民已有另一次接种记录，不能再计一次，请核对。",
        "Another dose is on record for this resident; it cannot be counted twice. Please check.",
    ),
    "no-call": ("名单上没有这个登记号，可能已经办完。", "Not on the list of calls: perhaps it has been done."),
    "no-letter": ("没有这条未发出的短信，可能已经重发。", "No such unsent message: perhaps it has been sent again."),
    "no-bar": ("没有这个登记号的停用记录。", "There is no bar under this registration number."),
    "role": (
        "您的凭证不能办理这项业务，请联系本点负责人。",
        "Your token does not permit this. Please ask the site's manager.",
    ),
    "staff-token": ("工作凭证已过期，请向管理员领取新的。", "This staff token has expired. Please ask for a new one."),
    "broken-off": (
        "提交的内容没有收全，什么都没有改动，请再提交一次。",
        "Only a part of what you sent has arrived, and nothing was changed. Please send it again.",
    ),
    "too-slow": (
        "提交的内容太久没有收全，什么都没有改动。请换一个信号好的地方再提交一次。",
        "What you sent took too long to arrive, and nothing was changed. Please send it again on a better network.",
    ),
    "form-origin": (
        "系统无法确认这张表单来自本站。请返回首页再填一次，并允许浏览器使用 Cookie。"
        "（管理员：前面的代理没有传递浏览器访问的域名，请设置请求头 Host 或 X-Forwarded-Host。）",
        "We cannot tell that this form came from our own page. Please start again from the first page, and let the "
        "browser keep cookies. (For the administrator: the proxy in front does not pass on the name that the browser "
        "asked for; set the header Host or X-Forwarded-Host.)",
    ),
    "before-phases": ("集中登记从 {eligible_from} 开始。", "Registration begins on {eligible_from}."),
    "after-phases": ("集中登记已经结束。", "Registration is over."),
}

# Statuses that say more than the code's own.
_STATUSES = {"too-slow": 408}

# What is wrong with a field, by the slug of the fault.
_FIELDS = {
    "required": ("请填写这一项。", "This is required."),
    "empty": ("请填写这一项。", "This is required."),
    "type": ("这一项的格式不对。", "This is not of the right form."),
    "length": ("长度不对，请检查有没有多写或漏写。", "The length is not right: is something missing or too much?"),
    "characters": ("有不能识别的字符，请重新输入。", "Some characters do not belong here."),
    "format": ("格式不对，请对照证件检查。", "This does not look right; please compare with your papers."),
    "region": ("居住证号码应以 81、82 或 83 开头。", "A residence permit number begins with 81, 82 or 83."),
    "birth-date": ("号码中的出生日期不正确。", "The birth date in the number is not a real date."),
    "checksum": ("号码不正确，请逐位核对。", "The number is not right; please compare it digit by digit."),
    "old-id": (
        "这是 15 位的旧身份证号码，请填写 18 位的号码。",
        "This is an ID number of the old kind, of 15 digits. Please enter the one of 18.",
    ),
    "lost": (
        "姓名中有问号、星号、方框等代替的字，请填写完整姓名。",
        "A letter of the name is lost or masked (a question mark, a star, a box). Please enter the whole name.",
    ),
    "private-use": (
        "姓名中有一个字是本系统不认识的自造字，请换一种输入法，或找接种点工作人员办理。",
        "A character of the name is known to one kind of computer only. Please type it on another keyboard, or ask the "
        "staff of a vaccination site.",
    ),
    "no-letters": ("请填写证件上的姓名。", "Please enter the name as on your papers."),
    "unknown-site": ("本区没有这个接种点。", "There is no such site in this district."),
    "twice": ("同一个选择出现了两次。", "The same wish appears twice."),
    "wrong-code": (
        "验证码不正确或已过期，请核对短信，或重新获取。",
        "The code is wrong or no longer good. Please compare it with the SMS, or ask for a new one.",
    ),
    "too-late": ("这一天太晚了，请选半年之内的日期。", "This is too far away: please choose a day within half a year."),
    "future": ("这一天还没有到。", "This day is yet to come."),
    "past": ("这一天已经过去。", "This day is over."),
    "long-ago": (
        "这一天已过去一周以上，请联系管理员处理。",
        "This day is more than a week ago. Please ask the operator.",
    ),
    # A capacity file; the field says the line and the column.
    "csv-header": (
        "第一行应为 site,date,period,product,capacity，文件存为 UTF-8 编码的 CSV。",
        "The first line should be site,date,period,product,capacity, in a CSV file in UTF-8.",
    ),
    "csv-implausible": (
        "这份文件和上一次、和现有号源差得太多，没有保存。请先核对；确认无误，再传一次并在地址后加 ?confirmed=true。",
        "This file differs too much from the last one, or from what there is; nothing was kept. Look at it, and "
        "where it is right send it again with ?confirmed=true.",
    ),
    "csv-twice": (
        "同一接种点、日期、时段和疫苗，文件里写了两个不同的数，请留下对的那一行。",
        "The file says two things of one site, date, period and product: leave the right row.",
    ),
    "csv-row": ("这一行读不出五栏。", "This line does not read as five columns."),
    "csv-site": ("没有这个接种点，请先导入接种点名单。", "No such site: import the file of sites first."),
    "csv-date": (
        "日期应写成 YYYY-MM-DD，不早于 2020 年，不晚于一年之后。",
        "The date should be YYYY-MM-DD, from 2020 on, within a year.",
    ),
    "csv-period": ("时段应为 am 或 pm。", "The period should be am or pm."),
    "csv-product": ("没有这种疫苗。", "There is no such product."),
    "csv-capacity": ("应为 0 到 999999 的整数。", "It should be a whole number from 0 to 999999."),
    "range": ("数值超出范围。", "The value is out of range."),
    "no-registration-number": (
        "这不是登记号。请填写家人的 15 位登记号，并逐位核对。",
        "This is no registration number. Please enter the relative's, 15 digits, and compare it digit by digit.",
    ),
    "own-number": (
        "这是您自己的登记号，请填写家人的登记号。",
        "This is your own number. Please enter the relative's.",
    ),
    "other-district": (
        "这是别的区的登记号。各区分别安排，只能填写在本区登记的家人。",
        "This number is of another district. Each district is allotted by itself: name a relative registered in yours.",
    ),
}


def bearer(authorization: str) -> str:
    """The token of an `Authorization: Bearer` header.

    Raises:
        Refusal: `unauthorized`.
    """
    if authorization[:7].lower() != "bearer ":
        raise Refusal("unauthorized")
    return authorization[7:].strip()


def render(refusal: Refusal, lang: str, *, status: int | None = None) -> tuple[int, Headers, bytes]:
    """(status, headers, body) of a refusal."""
    words = _PROBLEMS[refusal.code]
    zh = lang == "zh"
    extras = {k: v for k, v in refusal.extras.items() if not k.startswith("district_name")}
    problem: dict[str, Any] = {
        "type": f"/problems/{refusal.code}",
        "title": words.title_zh if zh else words.title_en,
        "status": status or _STATUSES.get(str(refusal.extras.get("reason")), words.status),
        "code": refusal.code,
        "detail": _sentence(refusal, words, zh),
        **extras,
    }
    if isinstance(refusal, Invalid):
        problem["errors"] = [
            {"field": field, "message": _FIELDS.get(fault, _FIELDS["type"])[0 if zh else 1]}
            for field, fault in refusal.fields
        ]
    headers = [
        ("content-type", "application/problem+json"),
        ("content-language", "zh-CN" if zh else "en"),
        ("cache-control", "no-store"),
    ]
    if refusal.retry_after_seconds is not None:
        headers.append(("retry-after", str(refusal.retry_after_seconds)))
    if words.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    return problem["status"], headers, msgspec.json.encode(problem)


def title(code: str, lang: str) -> str | None:
    """The title of a code, or None where there is no such code."""
    words = _PROBLEMS.get(code)
    return None if words is None else words.title_zh if lang == "zh" else words.title_en


def _sentence(refusal: Refusal, words: _Words, zh: bool) -> str:
    reason = refusal.extras.get("reason")
    if isinstance(reason, str) and reason in _REASONS:
        template = _REASONS[reason][0 if zh else 1]
    else:
        template = words.detail_zh if zh else words.detail_en
    if message := refusal.extras.get("message"):  # the operator's own words
        return str(message)
    return template.format_map(_Readable(refusal.extras, zh))


class _Readable(dict[str, str]):
    """Extras as a resident reads them; one that is unknown reads as such."""

    def __init__(self, extras: dict[str, Any], zh: bool) -> None:
        super().__init__({name: _readable(value, zh) for name, value in extras.items() if value is not None})
        self._unknown = "（时间待定）" if zh else "a time to be announced"

    def __missing__(self, name: str) -> str:
        return self._unknown


def _readable(value: Any, zh: bool) -> str:
    if isinstance(value, datetime):
        day = f"{value.month}月{value.day}日" if zh else f"{value:%-d %B}, "
        return f"{day}{value:%H:%M}"
    if isinstance(value, date):
        return f"{value.year}年{value.month}月{value.day}日" if zh else f"{value:%-d %B %Y}"
    return str(value)
