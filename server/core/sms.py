"""What messages to residents say, and when and how fast they go: the city file's table `[sms]`."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import time
from functools import partial
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from server.core.languages import Language
from server.core.message_kinds import CODE, KINDS, TOLD, Moment, Placeholders, texts
from server.core.service import HttpsUrl
from server.core.values import Positive, Text
from server.core.wording import word

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
    "number": "10000000",
    "from": "20:00",
    "until": "20:00",
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


_LANGUAGES: Final[tuple[Language, Language]] = ("zh", "en")


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signature: Text = "【接种预约】"


if TYPE_CHECKING:
    Ends = msgspec.Struct

    class _Worded(_Signed, frozen=True):
        pass

else:  # their fields are those that the table of kinds gives
    Ends = msgspec.defstruct(
        "Ends",
        [
            (name, Moment if isinstance(kind.ends, str) else Positive, kind.ends)
            for name, kind in KINDS.items()
            if kind.ends != TOLD
        ],
        frozen=True,
        forbid_unknown_fields=True,
    )
    _Worded = msgspec.defstruct(
        "_Worded",
        [
            (f"{name}_{language}", Text, msgspec.field(default_factory=partial(word, f"sms.{name}", language)))
            for name in texts()
            for language in _LANGUAGES
        ],
        bases=(_Signed,),
        frozen=True,
        forbid_unknown_fields=True,
    )


class Sms(_Worded, frozen=True, forbid_unknown_fields=True):
    """Words of the messages, and how they go. The signature, with its brackets, goes first and counts (domain.md, SMS).

    `footer_zh`, `footer_en`: stand at the end of every message but a code, and count as well; a hotline, say.
    `KIND_zh`, `KIND_en`: the text of each kind (`server.core.message_kinds`), and of `code`; where the city says
    nothing else they are the catalogue's. `KIND_late_zh`, `KIND_late_en`: once the time to cancel is over.
    `parts_zh`, `parts_en`: most SMS that one message may be split into. `quiet_hours`: what is owed then goes out when
    they end; codes go at any time. `reminder_at`: from when on reminders go out, on the day before the appointment.
    `ends`: until when each kind is worth sending: hours after its event, or a moment of its appointment. What is past
    is not sent; whoever was not told of what matters is called, and pays for nothing that they were not told in time.
    `per_second`: cap of all senders together. `per_phone_a_day`: messages of one kind to one phone;
    `per_phone_a_day_in_all`: of all kinds and people, codes not counted, and half of it of those that only confirm.
    What matters waits, what only confirms is left out. `stop_words`: what a phone's holder replies to get no more of
    them; codes still go. `start_words`: to get them again.
    `tries`: a message that the gateway has not taken so many times becomes a dead letter. `page`: the resident page's
    address, which messages about a call name; None: they say "the page where you took your number".
    """

    footer_zh: str = ""
    footer_en: str = ""
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
    page: HttpsUrl | None = None

    def text(self, kind: str, language: Language, values: Mapping[str, str]) -> str:
        """A whole message.

        Args:
            kind: which of the texts of `server.core.message_kinds.texts`.
            language: of its words.
            values: of the placeholders, those that this kind has.
        """
        here = self.page or word("message.sms-the-page", language)
        text = self.signature + self._words(f"{kind}_{language}").format_map({"here": here, **values})
        return text if kind == CODE else text + (self.footer_zh if language == "zh" else self.footer_en)

    def ends_of(self, kind: str) -> int | Moment:
        """Until when a message of a kind is worth sending: hours after its event, or a moment of its appointment.

        Not of the kinds that name the moment themselves.
        """
        ends: int | Moment = msgspec.structs.asdict(self.ends)[kind]
        return ends

    def _words(self, key: str) -> str:
        words: str = msgspec.structs.asdict(self)[key]
        return words

    def code_text(self, language: Language, code: str) -> str:
        """The whole message that carries a one-time code."""
        return self.text(CODE, language, {"code": code, "minutes": str(CODE_MINUTES)})


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
    words = msgspec.structs.asdict(sms)
    for name, placeholders in texts().items():
        for language in _LANGUAGES:
            yield from _problems_of_text(sms, name, language, words[f"{name}_{language}"], placeholders)
    quiet = sms.quiet_hours
    if (quiet.begins is None) != (quiet.ends is None):
        yield "sms.quiet_hours: expected begins and ends, or neither"
    if sms.reminder_at in quiet:
        yield "sms.reminder_at: expected a time outside sms.quiet_hours"
    if {plain_word(word) for word in sms.stop_words} & {plain_word(word) for word in sms.start_words}:
        yield "sms.start_words: expected other words than sms.stop_words"
    for name in ("stop_words", "start_words"):
        if not all(map(plain_word, words[name])):
            yield f"sms.{name}: expected words of letters or digits"


def _problems_of_text(sms: Sms, kind: str, language: Language, words: str, placeholders: Placeholders) -> Iterator[str]:
    key = f"{kind}_{language}"
    must, may = placeholders
    try:
        parts = [part[1:] for part in Formatter().parse(words) if part[1] is not None]
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
    most = 1 if kind == CODE else sms.parts_zh if language == "zh" else sms.parts_en
    limit = _UNITS_ALONE if most == 1 else most * _UNITS_OF_A_PART
    if units > limit:
        yield (
            f"sms.{key}: expected at most {limit} characters ({most} SMS) with the signature and the longest values, "
            f"got {units}"
        )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(f"{{{name}}}" for name in names[:-1]), f"{{{names[-1]}}}")))
