"""An opening: what its scripts answer, a place in it, and how it stands."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from server.records.fields import record_of
from server.records.statuses import Statuses, words

PrepareStatus = Literal["prepared", "kept"]
JoinStatus = Literal["ok", "early", "paused", "ended", "absent"]
RejoinStatus = Literal["rejoined", "kept", "early", "paused", "ended", "spent", "full", "held", "absent"]
NoPlace = Literal["early", "paused", "ended", "spent", "full", "held", "absent"]
"""Why `join` or `rejoin` gives no place."""
CloseDrawStatus = Literal["early", "unfixed", "unsettled", "settled", "absent"]
BindDrawStatus = Literal["bound", "kept", "early", "absent"]
FixDrawStatus = Literal["fixed", "kept", "unbound", "absent"]
OpeningStatus = Literal["ok", "absent"]
Standing = Literal["waiting", "ready", "claimed", "lapsed", "used", "missed", "left", "lost"]
ClaimOutcome = Literal[
    "fresh", "claimed", "waiting", "ready", "held", "lapsed", "used", "missed", "left", "ended", "lost"
]
ReleaseStatus = Literal["released", "again", "other"]
LeaveStatus = Literal["left", "gone", "used", "unsettled", "unnumbered", "absent"]
AdjustStatus = Literal["adjusted", "absent"]

PREPARE: Final[Statuses[PrepareStatus]] = words("prepare", PrepareStatus)
JOIN: Final[Statuses[JoinStatus]] = words("join", JoinStatus)
JOIN_WITHOUT_PLACE: Final[Statuses[Literal["none", "spent", "full", "held"]]] = Statuses(
    "join", {-1: "none", -2: "spent", -3: "full", -4: "held"}, "answer"
)
REJOIN: Final[Statuses[RejoinStatus]] = words("rejoin", RejoinStatus)
CLOSE_DRAW: Final[Statuses[CloseDrawStatus]] = words("close_draw", CloseDrawStatus)
BIND_DRAW: Final[Statuses[BindDrawStatus]] = words("bind_draw", BindDrawStatus)
FIX_DRAW: Final[Statuses[FixDrawStatus]] = words("fix_draw", FixDrawStatus)
STANDING: Final[Statuses[OpeningStatus]] = words("standing", OpeningStatus)
STANDING_OF_PLACE: Final[Statuses[Standing]] = words("standing", Standing, "standing")
CLAIM: Final[Statuses[OpeningStatus]] = words("claim", OpeningStatus)
CLAIM_OUTCOME: Final[Statuses[ClaimOutcome]] = words("claim", ClaimOutcome, "outcome")
RELEASE: Final[Statuses[ReleaseStatus]] = words("release", ReleaseStatus)
LEAVE: Final[Statuses[LeaveStatus]] = words("leave", LeaveStatus)
ADJUST: Final[Statuses[AdjustStatus]] = words("adjust", AdjustStatus)

Claimed: TypeAlias = tuple[ClaimOutcome | Literal["absent"], int]
"""What came of a claim, and until when, in ms; `absent`: there is no such opening."""

Stood: TypeAlias = tuple[Standing | Literal["absent"], int]
"""How a place stands, and until when, in ms; `absent`: there is no such opening."""


class Joined(NamedTuple):
    """Answer of `join` to one resident; `entry` is None where none was given (`status` says why)."""

    status: Literal["ok"] | NoPlace
    drawn: int | None
    entry: int | None
    fresh: bool
    serving: int = 0


class OpeningRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An opening as the store has it; the meaning of each field stands in the key table of `lua/README.md`.

    `drawn` is None until the draw has closed. Of a draw of the first version `seed` is there from the beginning; of one
    of the second, from when its `key` is.
    """

    version: int = 1

    opens_ms: int
    draw_ms: int
    closes_ms: int
    claim_ms: int = 0
    pass_ms: int = 0
    grace_ms: int = 0
    poll_budget: float = 0.0
    commitment: str | None = None
    sealed: str | None = None
    seed: str | None = None
    beacon: str = ""
    root: str | None = None
    root_ms: int | None = None
    signature: str = ""
    no_beacon: str = ""
    key: str | None = None
    numbered: int = 0
    rate: float
    max_active: int
    paused: bool
    message: str
    adjusted: bool = False
    issued: int
    drawn: int | None = None
    settled: bool
    serving: int
    called: int
    missed: int
    missed_to: int = 0
    claimed: int
    left: int
    left_called: int
    credit: float | None = None
    last_ms: int | None = None
    hold_ms: int
    primary: str = ""
    held_ms: int = 0
    gaps: str = ""
    rollbacks: int = 0
    claimed_seen: int = 0
    renumbered: int = 0
    promise: str = ""
    alerts: int = 0

    @property
    def gap_entries(self) -> tuple[range, ...]:
        """The entries that nobody is known to have, since a roll-back."""
        ends = (gap.split("-") for gap in self.gaps.split())
        return tuple(range(int(first), int(last) + 1) for first, last in ends)

    @classmethod
    def unpack(cls, stored: Mapping[str, str]) -> "OpeningRecord":
        """Of stored fields."""
        return record_of(cls, stored)


class Advance(NamedTuple):
    """How an opening stands, None where it has not been prepared; and the entries given up that the caller did not
    know."""

    now_ms: int
    passes_alive: int
    opening: OpeningRecord | None
    left: list[int]


class Told(NamedTuple):
    """How far an opening had come, as the store has told: none of these goes back, whatever a node that takes over
    knows. `drawn`: -1 = not known."""

    issued: int = 0
    drawn: int = -1
    serving: int = 0
    claimed: int = 0


class Place(NamedTuple):
    """A place whose number is known."""

    entry: int
    number: int
    resident: bytes
