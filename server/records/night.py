"""A night: what it has brought so far, who runs it, what its scripts answer, who claimed a place in its openings."""

from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from typing import Final, Literal, NamedTuple, assert_never

import msgspec

from server.records.fields import Arg, fields_in, record_of
from server.records.slot import Overbooked
from server.records.statuses import Statuses, flag, words

LeaseStatus = Literal["held", "other", "free"]
EnterNightStatus = Literal["entered", "stale"]
FreezeStatus = Literal["kept", "frozen", "stale"]

LEASE: Final[Statuses[LeaseStatus]] = words("lease", LeaseStatus)
ENTER_NIGHT: Final[Statuses[EnterNightStatus]] = words("enter_night", EnterNightStatus)
FREEZE: Final[Statuses[FreezeStatus]] = words("freeze", FreezeStatus)
NOTE_NIGHT: Final = flag("note_night")
COMMIT_NIGHT: Final = flag("commit_night")


Step = Literal["close", "free", "freeze", "allot", "publish", "tell"]
Done = Literal["closed", "gathered", "frozen"]
"""What is done of one date after the other, from night to night."""

_IN_JSON: Final = frozenset({"over", "counts", "by_reserve", "reached"})


class NightRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a district's night has brought so far, or what one of its steps has; what has not happened is None.

    The meaning of each field stands in the key table of `lua/README.md`. `rules` and `offered` are the JSON of
    `fairness.Rules` and of its slots with how many of each are free, which are the night's own to read.
    """

    commitment: str | None = None
    sealed: str | None = None
    seed: str | None = None
    fence: int | None = None
    missed: int | None = None
    charged: int | None = None
    barred: int | None = None
    closed_ms: int | None = None
    freed: int | None = None
    freed_ms: int | None = None
    rules: str | None = None
    offered: str | None = None
    over: list[Overbooked] | None = None
    registrations: int | None = None
    parts: int | None = None
    list_root: str | None = None
    frozen_ms: int | None = None
    version: int | None = None
    beacon: str | None = None
    round: int | None = None
    signature: str | None = None
    no_beacon: str | None = None
    given: int | None = None
    withdrawn: int | None = None
    allotted_ms: int | None = None
    root: str | None = None
    counts: dict[str, int] | None = None
    by_reserve: dict[str, int] | None = None
    reached: list[date | None] | None = None
    published_ms: int | None = None
    reminded: int | None = None
    told_ms: int | None = None

    @property
    def promise(self) -> str | None:
        """The hex SHA-256 of the seed, which is public before the night; None where there is no seed yet."""
        if self.commitment is not None or self.seed is None:
            return self.commitment
        return sha256(bytes.fromhex(self.seed)).hexdigest()  # a night begun by an earlier version

    def is_done(self, step: Step) -> bool:
        """Whether a step has come to its end."""
        match step:
            case "close":
                return self.closed_ms is not None
            case "free":
                return self.freed_ms is not None
            case "freeze":
                return self.frozen_ms is not None
            case "allot":
                return self.allotted_ms is not None
            case "publish":
                return self.published_ms is not None
            case "tell":
                return self.told_ms is not None
            case _:
                assert_never(step)

    def with_news(self, news: "NightRecord") -> "NightRecord":
        """With what has happened since."""
        known = {name: value for name, value in msgspec.structs.asdict(news).items() if value is not None}
        return msgspec.structs.replace(self, **known)

    def pack(self) -> dict[str, Arg]:
        """Its fields as they are stored."""
        return fields_in(self, _IN_JSON)

    @classmethod
    def unpack(cls, stored: Mapping[str, str]) -> "NightRecord":
        """Of stored fields, all or some."""
        return record_of(cls, stored, _IN_JSON)


class Through(msgspec.Struct, frozen=True):
    """Up to which date a district's nights have closed the day, gathered who registered, and frozen the list."""

    closed: date | None = None
    gathered: date | None = None
    frozen: date | None = None

    @classmethod
    def unpack(cls, stored: Mapping[str, str]) -> "Through":
        """Of stored fields."""
        return record_of(cls, stored)


class LeaseHolder(NamedTuple):
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
