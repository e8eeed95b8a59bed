"""What messages to residents say, and when and how fast they go: the city file's table `[sms]`."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from string import Formatter
from typing import Annotated, Final, Literal

import msgspec

Language = Literal["zh", "en"]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Positive = Annotated[int, msgspec.Meta(gt=0)]
Parts = Annotated[int, msgspec.Meta(ge=1, le=9)]

CODE_DIGITS = 6
CODE_MINUTES = 5
CODE_TRIES = 5
"""A one-time code by SMS: its digits, how many minutes it is good for, after how many wrong tries it is gone."""

# UTF-16 units of a message that is one SMS, and of a part of one that is split (domain.md, SMS).
_UNITS_ALONE = 70
_UNITS_OF_A_PART = 67

SITE_LETTERS: Final[Mapping[str, int]] = {"zh": 20, "en": 40}
"""A site's name is cut to so many letters in a message."""

_WEEKDAYS_ZH = "一二三四五六日"
_WEEKDAYS_EN = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS_EN = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Kind: what its text must say, and what it may say.
_PLACEHOLDERS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "code": (("code", "minutes"), ()),
    "registered": (("no",), ("name",)),
    "allotted": (("date", "time", "site", "cancel_before"), ("name", "no")),
    "allotted_late": (("date", "time", "site"), ("name", "no")),
    "waiting": (("reached",), ("name", "no")),
    "reminder": (("date", "time", "site", "cancel_before"), ("name", "no")),
    "reminder_late": (("date", "time", "site"), ("name", "no")),
    "corrected": (("first_dose",), ("name", "no")),
    "cancelled": (("no",), ("name",)),
    "closed": (("date", "time", "site"), ("name", "no")),
    "barred": ((), ("name", "no")),
}
LATE: Final = frozenset({"allotted", "reminder"})
"""Kinds that have other words once the time to cancel is over."""

# The longest value of each: a name's first letter may be of two units, and 30 December is as long as a date gets.
_LONGEST: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {
        "date": "12月30日（周三）",
        "cancel_before": "12月30日20:00",
        "reached": "2021年12月30日",
        "first_dose": "2021年12月30日",
    },
    "en": {
        "date": "Wed 30 Dec",
        "cancel_before": "20:00 on Wed 30 Dec",
        "reached": "30 Dec 2021",
        "first_dose": "30 Dec 2021",
    },
}
_LONGEST_OF_BOTH: Final[Mapping[str, str]] = {
    "name": "𠮷*",
    "no": "1" * 15,
    "time": "14:00-17:00",
    "code": "0" * CODE_DIGITS,
    "minutes": str(CODE_MINUTES),
}


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of the city in which no message goes out but codes, half-open, over midnight where `begins` is later.

    An empty table: there are none.
    """

    begins: time | None = None
    ends: time | None = None

    def __contains__(self, t: time) -> bool:
        if self.begins is None or self.ends is None:
            return False
        if self.begins <= self.ends:
            return self.begins <= t < self.ends
        return t >= self.begins or t < self.ends


Moment = Literal["cancel_before", "begins", "ends"]
"""Of an appointment: when the time to cancel it is over, when it begins, when it ends."""


class Ends(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Until when a message of each kind is worth sending: a moment of its appointment, or hours after its event.

    What is past is not sent. Who was not told of what matters (`allotted`, `reminder`, `closed`, `barred`) is called,
    and pays for nothing that they were not told in time. A one-time code ends when it expires.
    """

    registered: Positive = 36
    allotted: Moment = "begins"
    waiting: Positive = 36
    reminder: Moment = "begins"
    corrected: Positive = 168
    cancelled: Positive = 36
    closed: Moment = "ends"
    barred: Positive = 168


class Sms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words of the messages, and how they go. The signature, with its brackets, goes first and counts (domain.md, SMS).

    `parts_zh`, `parts_en`: most SMS that one message may be split into. `quiet_hours`: what is owed then goes out when
    they end; codes go at any time. `reminder_at`: from when on reminders go out, on the day before the appointment.
    `ends`: until when each kind is worth sending. `allotted_late`, `reminder_late`: once the time to cancel is over.
    `per_second`: cap of all senders together. `per_phone_a_day`: messages of one kind to one phone;
    `per_phone_a_day_in_all`: of all kinds and people, codes not counted, and half of it of those that only confirm.
    What matters waits, what only confirms is left out. `stop_words`: what a phone's holder replies to get no more of
    them; codes still go. `start_words`: to get them again.
    `tries`: a message that the gateway has not taken so many times becomes a dead letter.
    """

    signature: Text = "【接种预约】"
    code_zh: Text = "验证码{code}，{minutes}分钟内有效，请勿告诉他人。"
    code_en: Text = "Code {code}, good for {minutes} minutes. Tell nobody."
    registered_zh: Text = "{name}已登记，登记号{no}。每晚按第一剂日期安排，有结果即发短信，不必守候。拒收回TD"
    registered_en: Text = (
        "{name}: you are registered, number {no}. Slots are given each night by date of first dose. We will text you. "
        "Reply STOP for no more."
    )
    allotted_zh: Text = (
        "{name}，请于{date}{time}带身份证到{site}接种。不能来的，请在{cancel_before}前上网取消；"
        "不取消又不来，会记一次爽约。"
    )
    allotted_en: Text = (
        "{name}: your dose is on {date}, {time}, at {site}. Bring your ID. Cannot come? Cancel online before "
        "{cancel_before}, or it counts as a no-show."
    )
    allotted_late_zh: Text = (
        "{name}，请于{date}{time}带身份证到{site}接种。通知晚了，已不能上网取消；来不了的，不会记爽约。"
    )
    allotted_late_en: Text = (
        "{name}: your dose is on {date}, {time}, at {site}. Bring your ID. This comes too late to cancel online: if "
        "you cannot come, it is no no-show."
    )
    waiting_zh: Text = (
        "{name}，名额不足，还没有轮到您。您仍在排队，不必重新登记。已排到的第一剂日期：{reached}。有结果即发短信。"
    )
    waiting_en: Text = (
        "{name}: no slot for you yet. You are still in line; do not register again. Reached so far, by date of first "
        "dose: {reached}. We will text you."
    )
    reminder_zh: Text = (
        "{name}，提醒您{date}{time}带身份证到{site}接种。不能来的，请在{cancel_before}前上网取消，以免记爽约。"
    )
    reminder_en: Text = (
        "{name}: reminder. Your dose is on {date}, {time}, at {site}. Bring your ID. Cannot come? Cancel online before "
        "{cancel_before}."
    )
    reminder_late_zh: Text = "{name}，提醒您{date}{time}带身份证到{site}接种。"
    reminder_late_en: Text = "{name}: reminder. Your dose is on {date}, {time}, at {site}. Bring your ID."
    corrected_zh: Text = (
        "{name}，登记处更正了您的第一剂记录，日期为{first_dose}，今后按它排队。不对的，请带接种凭证到接种点更正。"
    )
    corrected_en: Text = (
        "{name}: the registry has put your first dose right. Its date is {first_dose}, and your turn goes by it. "
        "Wrong? Bring your vaccination record to a site."
    )
    cancelled_zh: Text = "{name}，登记{no}已取消，不必前往。需要时可在开放时段重新登记。"
    cancelled_en: Text = "{name}: registration {no} is cancelled. If you need one again, register in an open window."
    closed_zh: Text = "{name}，{site}{date}{time}停诊，请不要前往。这不算爽约，会优先为您另排时间，有结果即发短信。"
    closed_en: Text = (
        "{name}: {site} is closed on {date}, {time}. Do not go there. This is not a no-show: you go first for a new "
        "slot. We will text you."
    )
    barred_zh: Text = "{name}，您多次预约后没有来也没有取消，不能再上网预约。请找接种点工作人员办理。"
    barred_en: Text = (
        "{name}: you missed too many appointments without cancelling, so you can no longer register online. Please ask "
        "the staff of a vaccination site."
    )
    parts_zh: Parts = 2
    parts_en: Parts = 3
    quiet_hours: QuietHours = QuietHours(time(21), time(8))
    reminder_at: time = time(10)
    per_second: Positive = 1000
    per_phone_a_day: Positive = 50
    per_phone_a_day_in_all: Annotated[int, msgspec.Meta(ge=2)] = 20
    stop_words: tuple[Text, ...] = ("TD", "T", "R", "退订", "拒收", "STOP", "STOPALL", "UNSUBSCRIBE", "QUIT", "END")
    start_words: tuple[Text, ...] = ("恢复", "START", "UNSTOP")
    ends: Ends = Ends()
    tries: Positive = 10

    def text(self, kind: str, language: Language, values: Mapping[str, str]) -> str:
        """A whole message.

        Args:
            kind: which; see `server.records.message.Message`, or `code`.
            language: of its words.
            values: of the placeholders, those that this kind has.
        """
        words: str = getattr(self, f"{kind}_{language}")
        return self.signature + words.format_map(values)

    def code_text(self, language: Language, code: str) -> str:
        """The whole message that carries a one-time code."""
        return self.text("code", language, {"code": code, "minutes": str(CODE_MINUTES)})


def day_words(day: date, language: Language) -> str:
    """`6月21日（周一）`, `Mon 21 Jun`."""
    if language == "en":
        return f"{_WEEKDAYS_EN[day.weekday()]} {day.day} {_MONTHS_EN[day.month - 1]}"
    return f"{day.month}月{day.day}日（周{_WEEKDAYS_ZH[day.weekday()]}）"


def until_words(at: datetime, language: Language) -> str:
    """`6月20日20:00`, `20:00 on Sun 20 Jun`."""
    if language == "en":
        return f"{at:%H:%M} on {day_words(at.date(), language)}"
    return f"{at.month}月{at.day}日{at:%H:%M}"


def reached_words(day: date | None, language: Language) -> str:
    """First-dose date of the last one who got a slot: `2021年5月1日`, `1 May 2021`; None: nobody did."""
    if day is None:
        return "none yet" if language == "en" else "暂无"
    if language == "en":
        return f"{day.day} {_MONTHS_EN[day.month - 1]} {day.year}"
    return f"{day.year}年{day.month}月{day.day}日"


def site_words(name: str, language: Language) -> str:
    """A site's name, cut where it is too long for a message."""
    most = SITE_LETTERS[language]
    return name if len(name) <= most else name[: most - 1] + "…"


def plain_word(text: str) -> str:
    """A reply as it is compared: in whichever width and case, with blanks, quotes and full stops left out."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(it for it in plain if it.isalnum())


def problems_of_sms(sms: Sms) -> Iterator[str]:
    """What the types alone cannot say, each as "key: expected ..."."""
    if not re.fullmatch(r"【[^【】\s]+】", sms.signature):
        yield "sms.signature: expected a name in brackets, such as 【广州健康通】"
    languages: tuple[Language, Language] = ("zh", "en")
    for kind in _PLACEHOLDERS:
        for language in languages:
            yield from _problems_of_text(sms, kind, language)
    quiet = sms.quiet_hours
    if (quiet.begins is None) != (quiet.ends is None):
        yield "sms.quiet_hours: expected begins and ends, or neither"
    if sms.reminder_at in quiet:
        yield "sms.reminder_at: expected a time outside sms.quiet_hours"
    if {plain_word(word) for word in sms.stop_words} & {plain_word(word) for word in sms.start_words}:
        yield "sms.start_words: expected other words than sms.stop_words"
    for name in ("stop_words", "start_words"):
        if not all(map(plain_word, getattr(sms, name))):
            yield f"sms.{name}: expected words of letters or digits"


def _problems_of_text(sms: Sms, kind: str, language: Language) -> Iterator[str]:
    key = f"{kind}_{language}"
    must, may = _PLACEHOLDERS[kind]
    try:
        parts = [part[1:] for part in Formatter().parse(getattr(sms, key)) if part[1] is not None]
    except ValueError:
        parts = [("{", "", None)]
    names = {part[0] for part in parts}
    if not set(must) <= names <= {*must, *may} or any(spec or turn for _, spec, turn in parts):
        allowed = [f"with {_listed(must)}"] if must else []
        allowed += [f"perhaps {_listed(may)}"] if may else []
        yield f"sms.{key}: expected a text {', '.join(allowed)} and nothing else in braces"
        return
    values = {**_LONGEST_OF_BOTH, **_LONGEST[language], "site": "站" * SITE_LETTERS[language]}
    units = len(sms.text(kind, language, values).encode("utf-16-le")) // 2
    # A code is read at a glance.
    most = 1 if kind == "code" else sms.parts_zh if language == "zh" else sms.parts_en
    limit = _UNITS_ALONE if most == 1 else most * _UNITS_OF_A_PART
    if units > limit:
        yield (
            f"sms.{key}: expected at most {limit} characters ({most} SMS) with the signature and the longest values, "
            f"got {units}"
        )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(f"{{{name}}}" for name in names[:-1]), f"{{{names[-1]}}}")))
