"""A resident's line of the first-dose registry, and what the store knows of the person."""

from datetime import date
from typing import NamedTuple

import msgspec

from server.core.errors import BrokenRecord


class FirstDose(msgspec.Struct, frozen=True):
    """What the rules ask of a resident's line: day, product (its key in the city file), code of the district.

    What a cohort is made of stands here: `server.registry.eligibility` sees nothing else of a person.
    """

    day: date
    product: str
    district: str


class FirstDoseRecord(msgspec.Struct, frozen=True, array_like=True):
    """A resident's line of the registry, packed (about 90 bytes).

    `day`: proleptic ordinal of the first dose's date, 0 = none yet (somebody who joined for a first dose);
    `match`: keyed hash of name and phone; `contact`: both, encrypted; `earlier`: the resident key that
    versions before gave for these papers, where that was another. Kept where the city's reserves ask for it alone:
    `born`, the ordinal of the birth date in the ID number, 0 = not known; `groups` of the registry's column.
    """

    day: int
    product: str
    district: str
    match: bytes
    contact: bytes = b""
    earlier: bytes = b""
    born: int = 0
    groups: tuple[str, ...] = ()

    @property
    def birth_date(self) -> date | None:
        """None where it is not known."""
        return date.fromordinal(self.born) if self.born else None

    @property
    def date(self) -> date | None:
        """Date of the first dose, None before it."""
        return date.fromordinal(self.day) if self.day else None

    @property
    def first_dose(self) -> FirstDose | None:
        """What the rules ask of it, None before a first dose."""
        return FirstDose(date.fromordinal(self.day), self.product, self.district) if self.day else None


class Resident(NamedTuple):
    """What the store knows of a person: registry line, and why they may not join ("open NO", "barred", "done DATE")."""

    first_dose: FirstDoseRecord | None
    stop: str | None

    @property
    def is_reachable(self) -> bool:
        """Whether we have their name and phone."""
        return self.first_dose is not None and self.first_dose.contact != b""


_record_encoder = msgspec.msgpack.Encoder()
_record_decoder = msgspec.msgpack.Decoder(FirstDoseRecord)


def pack(record: FirstDoseRecord) -> bytes:
    """A registry line as it is stored: octet for octet as versions before wrote it, where it says nothing new."""
    fields = msgspec.structs.astuple(record)
    if not record.born and not record.groups:
        fields = fields[:6] if record.earlier else fields[:5]
    return _record_encoder.encode(fields)


def unpack(stored: bytes) -> FirstDoseRecord:
    """A stored registry line.

    Raises:
        BrokenRecord: it is none.
    """
    try:
        return _record_decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BrokenRecord("registry", "the line") from None


def unpack_any(stored: bytes | None) -> FirstDoseRecord | None:
    """The same, where there may be none."""
    return unpack(stored) if stored else None


class Limit(NamedTuple):
    """How many wrong names and phones may be tried on a person in a span of time, and in a longer one."""

    short_ms: int
    short_most: int
    long_ms: int
    long_most: int


class Compared(NamedTuple):
    """What the store knows of a person (see `Resident`), and whether the papers are theirs.

    `verdict`: 0 = they match, or there is nothing to match; > 0: not looked at, ms to wait; < 0: wrong, and by that one
    nothing more is looked at for -1 - `verdict` ms; None: an answer that was not understood.
    """

    first_dose: FirstDoseRecord | None
    stop: str | None
    verdict: int | None

    @property
    def is_reachable(self) -> bool:
        """Whether we have their name and phone."""
        return self.first_dose is not None and self.first_dose.contact != b""


class Locked(NamedTuple):
    """Somebody on whom so much was guessed that no papers are looked at for a time."""

    resident: bytes
    for_ms: int


class GuessCounts(NamedTuple):
    """In a district, in ten minutes: papers that were `wrong`, or `refused` unseen; people who are `locked` out now."""

    wrong: int
    refused: int
    locked: int
