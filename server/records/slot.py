"""A day's slots: who has which, what is not settled yet, which are closed, and doses that met no slot."""

from typing import Final, Literal, NamedTuple, assert_never

import msgspec

from server.records.registration import ReconcileStatus
from server.records.statuses import Statuses, flag, words

TakeStatus = Literal["taken", "again", "other", "closed", "full"]
CloseSiteStatus = Literal["closed", "again"]

TAKE: Final[Statuses[TakeStatus]] = words("take", TakeStatus)
CLOSE_SITE: Final[Statuses[CloseSiteStatus]] = words("close_site", CloseSiteStatus)
VACATE: Final = flag("vacate")
SETTLE: Final = flag("settle")


class Taken(NamedTuple):
    """A line of a day's roster: who has which slot."""

    no: str
    resident: bytes
    site: str
    period: str
    product: str


class Unsettled(NamedTuple):
    """A registration whose slot may have to be freed, and since when."""

    no: str
    resident: bytes
    since_ms: int


class Closure(msgspec.Struct, array_like=True, frozen=True):
    """Why a site does not vaccinate in a period."""

    at_ms: int
    actor: str
    reason: str


class KeptAttendance(msgspec.Struct, array_like=True, frozen=True):
    """What a desk has said: the resident's key, the site, the dose's date and half ("" = not known), who and when.

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
