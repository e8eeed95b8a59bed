"""A day's slots: how they are named, who has which, which are closed, and doses that met no slot."""

from datetime import date
from typing import Final, Literal, NamedTuple, assert_never

import msgspec

from server.records.registration_changes import ReconcileStatus
from server.records.statuses import Statuses, flag, words

TakeStatus = Literal["taken", "again", "other", "closed", "full"]
CloseSiteStatus = Literal["closed", "again"]

TAKE: Final[Statuses[TakeStatus]] = words("take", TakeStatus)
CLOSE_SITE: Final[Statuses[CloseSiteStatus]] = words("close_site", CloseSiteStatus)
VACATE: Final = flag("vacate")
SETTLE: Final = flag("settle")


_RESIDENT_BYTES: Final = 16


class Slot(NamedTuple):
    """A product at a site in a period of a day, as the day's `slots`, `taken` and `roster` name it."""

    site: str
    period: str
    product: str

    def pack(self) -> str:
        """As it is stored: `site|period|product`."""
        return "|".join(self)

    @classmethod
    def unpack(cls, stored: str) -> "Slot":
        """A stored slot."""
        site, period, product = stored.split("|")
        return cls(site, period, product)


class SitePeriod(NamedTuple):
    """A site in a period of a day, as the day's `closures` name it."""

    site: str
    period: str

    def pack(self) -> str:
        """As it is stored: `site|period`."""
        return "|".join(self)

    @classmethod
    def unpack(cls, stored: str) -> "SitePeriod":
        """A stored one."""
        site, _, period = stored.rpartition("|")
        return cls(site, period)


class SlotCount(NamedTuple):
    """How many can have a slot, and how many have it."""

    capacity: int
    taken: int


class Overbooked(NamedTuple):
    """A slot of which more is taken than its capacity, which was lowered since."""

    day: date
    site: str
    period: str
    product: str
    capacity: int
    taken: int


class RosterEntry(NamedTuple):
    """A line of a day's roster: who has which slot."""

    no: str
    resident: bytes
    site: str
    period: str
    product: str

    @classmethod
    def unpack(cls, no: str, stored: bytes) -> "RosterEntry":
        """A stored line: the resident key, then the slot."""
        return cls(no, stored[:_RESIDENT_BYTES], *Slot.unpack(stored[_RESIDENT_BYTES:].decode()))


class NumberOrigin(NamedTuple):
    """A registration number, the district whose it is, and the opening (its tag) and entry that it was made of."""

    no: str
    district: str
    opening: str
    entry: int


class OpenSlotChange(NamedTuple):
    """A registration whose slot is being given or freed, or was when somebody crashed; and since when."""

    no: str
    resident: bytes
    since_ms: int

    @classmethod
    def unpack(cls, no: str, stored: bytes) -> "OpenSlotChange":
        """A stored one (`unsettled`): the resident key, then since when in decimal."""
        return cls(no, stored[:_RESIDENT_BYTES], int(stored[_RESIDENT_BYTES:]))


class Closure(msgspec.Struct, array_like=True, frozen=True):
    """Why a site does not vaccinate in a period."""

    at_ms: int
    actor: str
    reason: str


class AttendedDay(NamedTuple):
    """Under which number a dose was given, and on which day (YYYY-MM-DD), as `attendances` names it."""

    no: str
    day: str

    def pack(self) -> str:
        """As it is stored: `number|date`."""
        return "|".join(self)

    @classmethod
    def unpack(cls, stored: str) -> "AttendedDay":
        """A stored one."""
        no, _, day = stored.partition("|")
        return cls(no, day)


class KeptAttendance(msgspec.Struct, array_like=True, frozen=True):
    """What a desk has said: the resident's key, the site, the dose's date and period ("" = not known), who and when.

    `state`: `unmatched` or `reconciled`; `fulfilled_no`: of the registration that was fulfilled by it, "" = none.
    """

    resident: bytes
    site: str
    day: str
    period: str
    actor: str
    at_ms: int
    state: str = "unmatched"
    fulfilled_no: str = ""


class Reconciled(NamedTuple):
    """What came of reconciling; `no`: of the registration that is fulfilled; `unbarred`: a bar was lifted by it."""

    status: ReconcileStatus
    at_ms: int
    no: str
    unbarred: bool

    @property
    def is_fulfilled(self) -> bool:
        """Whether a registration is fulfilled by it, now or since before."""
        match self.status:
            case "reconciled" | "again":
                return True
            case "other" | "moved" | "absent":
                return False
            case _:
                assert_never(self.status)
