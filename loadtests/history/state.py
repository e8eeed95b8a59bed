"""What one resident's calls can have made of their place and registration, as the contract tells it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from loadtests.history.record import OPEN, UNTOLD

NO_PLACE = -2
SOME_PLACE = -3
"""A place that was given and that nobody was told of: the answer never came."""
NO_REGISTRATION = 0
SOME_REGISTRATION = -1
"""A registration that was made and whose number nobody was told."""
SOME_PASS = -1


class Phase(IntEnum):
    """What has become of a place; never back. Whether it was called is a matter of time (`progress.py`)."""

    HELD = 0
    CLAIMED = 1
    USED = 2  # its holder has registered
    LEFT = 3
    MISSED = 4  # the call, or the pass


class SpentPlace(NamedTuple):
    """A place after which its holder got another."""

    entry: int
    phase: Phase
    until_ms: int


class State(NamedTuple):
    """A resident at one moment.

    Attributes:
        entry: of the place they hold or held last.
        number: of it; 0 while nobody was told.
        until_ms: when the call can be claimed until, once told, and then the pass used until.
        pass_: a mark of the pass; 0 without one.
        no: of the latest registration.
        cancelled: it is closed, by its holder.
        wishes: a mark of what it asks for; 0 where nobody was told.
        spent: the places before.
        closed: number and wishes of each registration before.
        moment_ms: it is this late at the least, by what has lapsed.
    """

    entry: int = NO_PLACE
    phase: Phase = Phase.HELD
    number: int = 0
    until_ms: int = UNTOLD
    pass_: int = 0
    no: int = NO_REGISTRATION
    cancelled: bool = False
    wishes: int = 0
    spent: tuple[SpentPlace, ...] = ()
    closed: tuple[tuple[int, int], ...] = ()
    moment_ms: int = -OPEN

    @property
    def latest_entry(self) -> int:
        """Return the highest entry of theirs that anybody was told; a new place is behind it."""
        return max(self.entry, max((place.entry for place in self.spent), default=NO_PLACE))

    @property
    def is_registered(self) -> bool:
        """Return whether they have an open registration."""
        return self.no != NO_REGISTRATION and not self.cancelled


NOBODY = State()
"""A resident who has asked for nothing yet."""


class CallTimes:
    """This says when a number can have been called at the soonest, by what the opening's residents were told.

    Args:
        steps: (ms, serving): at `ms` the calls had surely not gone beyond `serving`, in order of both.
    """

    def __init__(self, steps: Sequence[tuple[int, int]] = ()) -> None:
        self._ms = [ms for ms, _ in steps]
        self._serving = [serving for _, serving in steps]

    def not_before(self, number: int) -> int | None:
        """Return a time at which this number had surely not been called; None where nothing says so."""
        at = bisect_left(self._serving, number)
        return self._ms[at - 1] if at else None


@dataclass(frozen=True)
class Rules:
    """What the contract leaves to a city, and how exact clocks are.

    Attributes:
        lag_ms: how old an answer from memory may be: that a place waits still, or how far the calls have come.
        troubled: first and last ms of a time in which it may be `troubled_lag_ms` old.
        clock_slack_ms: how far a resident's clock may be from the city's.
        claim_ms: how long a call may be claimed at least; 0 where nobody said.
        closes_ms: when the window closes: no call outlives it.
        may_repeat: a server in trouble may have asked its store twice, so that the first answer is 200.
        calls: when numbers were called.
    """

    lag_ms: int = 2000
    troubled: tuple[int, int] = (0, -1)
    troubled_lag_ms: int = 17_000
    clock_slack_ms: int = 2000
    claim_ms: int = 0
    closes_ms: int = OPEN
    may_repeat: bool = False
    calls: CallTimes = field(default_factory=CallTimes)

    def lag_at(self, ms: int) -> int:
        """Return how old an answer from memory may be that was asked for at `ms`."""
        first, last = self.troubled
        return self.troubled_lag_ms if first <= ms <= last else self.lag_ms
