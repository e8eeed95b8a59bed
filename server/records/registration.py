"""A resident's registration as the store keeps it: its fields, and the one way from and to them.

`Registration` names the fields of the hash `registration:{...}` (`lua/README.md`), and nobody else does. What many are
asked for at a time has a view of its own with some of these fields.
"""

import re
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from server.core.errors import BrokenRecord
from server.core.languages import Language
from server.core.periods import PeriodCode
from server.records.fields import Arg, items_of

RegistrationState = Literal["proposed", "booked", "fulfilled", "cancelled", "noshow"]
"""How a registration stands, in FHIR's words."""

MessageState = Literal["accepted", "delivered", "undelivered", "refused", "unsent"]
MessageWhy = Literal["too-late", "opted-out", "too-many", "unknown"]


class Preference(msgspec.Struct, frozen=True):
    """One wish: a site, and a period of the day or `any`."""

    site: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    period: PeriodCode


class Wishes(msgspec.Struct, frozen=True):
    """What a resident asks for (contract, `POST /registrations`).

    `together`: number of a relative's registration, to be given the same place where that costs nobody anything; it
    counts when they name each other, or three in a ring.
    """

    preferences: Annotated[list[Preference], msgspec.Meta(max_length=10)]
    accept_any_site: bool
    not_before: date | None = None
    together: Annotated[str, msgspec.Meta(max_length=40)] | None = None


class WishesAndConsent(Wishes, frozen=True):
    """What a resident asks for when they register; `consent`: the version of the text that they have agreed to."""

    consent: Annotated[str, msgspec.Meta(max_length=20)] | None = None


class Appointment(NamedTuple):
    """A slot as a registration has it: code of the site, date as YYYY-MM-DD, period of the day."""

    site: str
    day: str
    period: str


class MessageStatus(msgspec.Struct, frozen=True):
    """What became of a registration's message of one kind (`sms:KIND`, `why:KIND`, `parts:KIND`).

    `told_ms`: when the provider took it, or would not; `event_ms`: when its event was; `why`: as of `Missed`;
    `parts`: of one of several parts a letter each.
    """

    state: MessageState
    told_ms: int
    event_ms: int
    why: MessageWhy | None = None
    parts: str = ""


class Registration(msgspec.Struct, frozen=True, kw_only=True, rename={"opening_day": "date"}):
    """A registration. What the store has as an empty value, or not at all, is what stands as the default here.

    The meaning of each field stands in the key table of `lua/README.md`; `messages`: by kind.
    """

    no: str
    state: RegistrationState
    registered_ms: int
    district: str
    opening_day: date
    entry: int
    preferences: list[Preference]
    accept_any_site: bool
    not_before: date | None = None
    together: str | None = None
    consent: str | None = None
    first_dose: date | None = None
    product: str = ""
    lang: Language = "zh"
    site: str | None = None
    day: date | None = None
    period: str | None = None
    cancel_before_ms: int | None = None
    booked_ms: int | None = None
    reminded: date | None = None
    priority: bool = False
    taken_back: Appointment | None = None
    closed_ms: int | None = None
    charged: bool = False
    attended_from: str | None = None
    amended_ms: int | None = None
    corrected_ms: int | None = None
    night: date | None = None
    leaf: int | None = None
    why_not: str | None = None
    reached: date | None = None
    nights: int = 0
    undelivered_ms: int | None = None
    messages: dict[str, MessageStatus] = msgspec.field(default_factory=dict)

    @property
    def wishes(self) -> Wishes:
        """What its holder asks for."""
        return Wishes(self.preferences, self.accept_any_site, self.not_before, self.together)

    @property
    def appointment(self) -> Appointment | None:
        """Its appointment, which stays when it is closed; None where it has not had one, or one was taken back."""
        if self.site is None or self.day is None or self.period is None:
            return None
        return Appointment(self.site, self.day.isoformat(), self.period)

    def holds_slot(self, no: str, day: date) -> bool:
        """Whether this is the registration of that number, with a slot of that day."""
        return self.no == no and self.day == day and self.state != "cancelled"


ReadRegistration: TypeAlias = "Registration | BrokenRecord | None"
"""A resident's registration; None where there is none."""


def registration_of(read: ReadRegistration, no: str) -> Registration | None:
    """The registration of this number; None where the resident has another, or none that can be read."""
    return read if isinstance(read, Registration) and read.no == no else None


_NAME: Final = "registration"
_OF_KIND: Final = ("sms", "why", "parts")
_where = re.compile(r"(?:at `\$\.|required field `)(\w+)")


class _StoredPreference(msgspec.Struct):
    """The same fields as `Preference`, without its pattern: matching that in msgspec costs a night eight times as
    much as all the rest of a registration."""

    site: str
    period: str


_preferences = msgspec.json.Decoder(list[_StoredPreference])


@lru_cache(maxsize=64)
def _is_period(code: str) -> bool:
    try:
        msgspec.convert(code, PeriodCode)
    except msgspec.ValidationError:
        return False
    return True


def decode_registration(answer: Any) -> Registration | None:
    """HGETALL's answer; None where there is nothing. Fields that are not known are a later version's, and left out.

    Raises:
        BrokenRecord: a field is not what it should be, or one that every version has written is missing.
    """
    values: dict[str, Any] = {}
    messages: dict[str, dict[str, Any]] = {}
    try:
        for name, value in items_of(answer):
            if not value:
                continue
            field, _, kind = name.decode().partition(":")
            if not kind:
                values[field] = value.decode()
            elif field in _OF_KIND:
                messages.setdefault(kind, {})[field] = value.decode()
        if not values:
            return None
        if "preferences" in values:
            values["preferences"] = decode_preferences(values["preferences"])
        if "taken_back" in values:
            values["taken_back"] = values["taken_back"].rsplit("|", 2)
        values["messages"] = {kind: _message(told) for kind, told in messages.items() if "sms" in told}
        return msgspec.convert(values, Registration, strict=False)
    except UnicodeDecodeError:
        raise BrokenRecord(_NAME, "a value that is no text") from None
    except msgspec.ValidationError as error:
        raise BrokenRecord(_NAME, field_of(error)) from None


def _message(told: dict[str, Any]) -> MessageStatus:
    try:
        state, told_ms, event_ms = told["sms"].split(" ")
        values = {"state": state, "told_ms": told_ms, "event_ms": event_ms, "why": told.get("why")}
        return msgspec.convert(values | {"parts": told.get("parts", "")}, MessageStatus, strict=False)
    except (ValueError, msgspec.ValidationError):
        raise BrokenRecord(_NAME, "messages") from None


def decode_preferences(text: str | bytes) -> list[Preference]:
    """The wishes as they are stored.

    Raises:
        BrokenRecord: they are not.
    """
    try:
        wishes = _preferences.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BrokenRecord(_NAME, "preferences") from None
    if not all(_is_period(wish.period) for wish in wishes):
        raise BrokenRecord(_NAME, "preferences")
    return [Preference(wish.site, wish.period) for wish in wishes]


def field_of(error: msgspec.ValidationError) -> str:
    """Which field an error is about, without what stands in it."""
    found = _where.search(str(error))
    return found[1] if found else "a field"


def wishes_fields(wishes: Wishes) -> dict[str, Arg]:
    """Wishes as `register` and `amend` write them."""
    return {
        "preferences": msgspec.json.encode(wishes.preferences),
        "accept_any_site": int(wishes.accept_any_site),
        "not_before": wishes.not_before.isoformat() if wishes.not_before else "",
        "together": wishes.together or "",
    }


class NewRegistration(NamedTuple):
    """A registration to be stored; `first_dose`: its date as YYYY-MM-DD, empty where there is none; `fields`: what
    `register` does not write by itself."""

    resident: bytes
    pass_expires_ms: int
    no: str
    first_dose: str
    fields: dict[str, Arg]

    @classmethod
    def of(cls, resident: bytes, pass_expires_ms: int, registration: Registration) -> "NewRegistration":
        """This registration, as it is to be stored for a resident with such a pass."""
        fields: dict[str, Arg] = {
            "district": registration.district,
            "date": registration.opening_day.isoformat(),
            "entry": registration.entry,
            **wishes_fields(registration.wishes),
            "product": registration.product,
            "lang": registration.lang,
        }
        if registration.consent:
            fields["consent"] = registration.consent
        first_dose = registration.first_dose.isoformat() if registration.first_dose else ""
        return cls(resident, pass_expires_ms, registration.no, first_dose, fields)
