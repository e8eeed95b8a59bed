"""A night: who runs it, what its scripts answer, who has claimed a place in an opening of its day."""

from typing import Final, Literal, NamedTuple

from server.records.statuses import Statuses, flag, words

LeaseStatus = Literal["held", "other", "free"]
EnterNightStatus = Literal["entered", "stale"]
FreezeStatus = Literal["kept", "frozen", "stale"]

LEASE: Final[Statuses[LeaseStatus]] = words("lease", LeaseStatus)
ENTER_NIGHT: Final[Statuses[EnterNightStatus]] = words("enter_night", EnterNightStatus)
FREEZE: Final[Statuses[FreezeStatus]] = words("freeze", FreezeStatus)
NOTE_NIGHT: Final = flag("note_night")


class Lease(NamedTuple):
    """Who runs the night; `is_mine`: the one who asked does."""

    is_mine: bool
    token: int
    holder: str
    since_ms: int
    expires_ms: int


class Claim(NamedTuple):
    """A place that has been claimed, and by whom: they may have registered."""

    entry: int
    resident: bytes
