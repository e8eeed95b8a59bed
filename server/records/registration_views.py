"""Some fields of a registration, for those who look at very many: the night, and the imports."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias, get_args

from server.core.errors import BrokenRecord
from server.records.registration import Preference, RegistrationState, decode_preferences

_STATES: Final[dict[bytes, RegistrationState]] = {state.encode(): state for state in get_args(RegistrationState)}

FieldValues: TypeAlias = Sequence[bytes | None]
"""HMGET's."""


class Latest(NamedTuple):
    """A resident's latest registration: its number ("" where there is none), how it stands, and whether it counts as a
    no-show."""

    no: str
    state: RegistrationState | None
    is_charged: bool


LATEST_FIELDS: Final = ("no", "state", "charged")


def decode_latest(answer: FieldValues) -> Latest:
    """These fields as they are stored."""
    no, state, charged = answer
    return Latest(no.decode(), _state(state), charged == b"1") if no else Latest("", None, False)


class OpenRegistration(NamedTuple):
    """A registration that waits or has an appointment, beside what the registry says; dates as YYYY-MM-DD, "" =
    none."""

    no: str
    state: RegistrationState
    district: str
    day: str
    first_dose: str
    product: str


OPEN_FIELDS: Final = ("no", "state", "district", "day", "first_dose", "product")


def decode_open(answer: FieldValues) -> OpenRegistration | None:
    """These fields as they are stored; None where no registration is open."""
    no, state, *texts = answer
    if not no or (known := _state(state)) not in ("proposed", "booked"):
        return None
    return OpenRegistration(no.decode(), known, *map(_text, texts))


class WaitingRegistration(NamedTuple):
    """A registration that waits for a slot, as the night looks at it; dates as YYYY-MM-DD, "" = none."""

    no: str
    district: str
    first_dose: str
    product: str
    preferences: list[Preference]
    accept_any_site: bool
    not_before: str
    priority: bool
    together: str


WAITING_FIELDS: Final = (
    "no", "state", "district", "first_dose", "product", "preferences", "accept_any_site", "not_before", "priority",
    "together",
)  # fmt: skip


def decode_waiting(answer: FieldValues) -> WaitingRegistration | None:
    """These fields as they are stored; None where none waits."""
    no, state, district, first_dose, product, preferences, any_site, not_before, priority, together = answer
    if not no or _state(state) != "proposed":
        return None
    return WaitingRegistration(
        no.decode(),
        _text(district),
        _text(first_dose),
        _text(product),
        decode_preferences(preferences or b""),
        any_site == b"1",
        _text(not_before),
        priority == b"1",
        _text(together),
    )


def _text(value: bytes | None) -> str:
    return value.decode() if value else ""


def _state(value: bytes | None) -> RegistrationState:
    try:
        return _STATES[value or b""]
    except KeyError:
        raise BrokenRecord("registration", "state") from None
