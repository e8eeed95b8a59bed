"""The wait that is told as an interval: what all workers go by, and what was told and how it turned out."""

from typing import Final, Literal

import msgspec

from server.records.statuses import Statuses, words

CalibrateStatus = Literal["calibrated", "kept", "absent"]

CALIBRATE: Final[Statuses[CalibrateStatus]] = words("calibrate", CalibrateStatus)


class Promise(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How the wait that rate and cap give becomes an interval; in the opening's record: all workers say the same.

    Attributes:
        at_ms: when it was worked out; each is later than the one before.
        ends: of the interval, in scales of the wait that is expected: where the rate decides, and where the cap does.
        leaving: share of those in line who give up each second, as was seen.
        leaving_most: as many as may well be.
        turn_ms: how long a call keeps its pass, on average, as was measured; 0: not yet.
    """

    at_ms: int
    ends: tuple[tuple[float, float], tuple[float, float]]
    leaving: float = 0.0
    leaving_most: float = 0.0
    turn_ms: float = 0.0

    @classmethod
    def unpack(cls, text: str) -> "Promise | None":
        """Of the opening's field; None of none, or of what this version does not know: it is only a forecast."""
        try:
            return msgspec.json.decode(text, type=cls) if text else None
        except msgspec.MsgspecError:
            return None

    def pack(self) -> str:
        """For the opening's field."""
        return msgspec.json.encode(self).decode()


class Told(msgspec.Struct, array_like=True):
    """What a number was told at one moment, all of it in calls at the rate of that moment.

    `earned`: so many had been earned; `expected`: so many were expected until its own, give or take `scale`; `low`,
    `high`: the interval; `is_capped`: the cap decided.
    """

    number: int
    earned: float
    expected: float
    scale: float
    low: float
    high: float
    is_capped: bool


class Calibration(msgspec.Struct, array_like=True):
    """What the next `Promise` follows from, as it is kept between two of them.

    `flow` to `turn_ms`: how the opening stood. `earned`: calls that the rate has allowed so far. `leaves`, `exposure`:
    who gave up, and seconds that people waited, the latest counting most. `alpha`: what share of promises may be
    broken, as it stands, where the rate decides and where the cap does. `due`: after so many seconds what is told is
    noted again; `noted_ms`, `noted`: when it was, and how often. `scores`: of turns that ended, the latest last, how
    many scales from expected, by the same two.
    """

    at_ms: int = 0
    flow: float = 0.0
    waiting: int = 0
    left: int = 0
    serving: int = 0
    max_active: int = 0
    turn_ms: float = 0.0
    earned: float = 0.0
    leaves: float = 0.0
    exposure: float = 0.0
    alpha: list[float] = msgspec.field(default_factory=lambda: [0.1, 0.1])
    due: float = 1.0
    noted_ms: int = 0
    noted: int = 0
    scores: list[list[float]] = msgspec.field(default_factory=lambda: [[], []])
    told: list[Told] = []

    @classmethod
    def unpack(cls, stored: bytes | None) -> "Calibration":
        """Of the key's value; a new one of none, or of what this version does not know: then it is learned anew."""
        try:
            return msgspec.json.decode(stored, type=cls) if stored else cls()
        except msgspec.MsgspecError:
            return cls()

    def pack(self) -> str:
        """For the key."""
        return msgspec.json.encode(self).decode()
