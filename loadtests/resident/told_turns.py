"""Between which times residents were told that their turn comes, and when it came: kept small, as all that is observed.

A promise is made under the rate of its moment. Where the operator changes that, everybody who waits is told anew, and
the promise that counts is the first after the last change; what was promised first of all is kept beside it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

import msgspec

from loadtests.resident.facts import NEVER

_LATEST = (1 << 31) - 1


class TurnsSeen(msgspec.Struct):
    """When calls were seen, and changes of the rate; by the index of the opening, in ms from the run's opening.

    `calls`: (ms, highest number called), both ascending; `changes`: ms.
    """

    calls: dict[int, list[tuple[int, int]]] = {}
    changes: dict[int, list[int]] = {}
    rates: dict[int, tuple[str, float]] = {}

    def saw(self, home: int, serving: int, now_ms: int) -> None:
        """An answer told that numbers up to `serving` have been called."""
        seen = self.calls.setdefault(home, [(NEVER, 0)])
        if serving > seen[-1][1]:
            seen.append((now_ms, serving))

    def saw_rate(self, home: int, answered_at: str, rate: float, now_ms: int) -> None:
        """A public answer told so many calls a second, 0 in a pause; one that is older than another says nothing."""
        at, before = self.rates.setdefault(home, (answered_at, rate))
        if rate != before and answered_at > at:
            self.changes.setdefault(home, []).append(now_ms)
            self.rates[home] = answered_at, rate
        elif rate == before and answered_at > at:
            self.rates[home] = answered_at, rate

    def take_in(self, other: TurnsSeen) -> None:
        """Add what another process has seen."""
        for home, seen in other.calls.items():
            merged, highest = [(NEVER, 0)], 0
            for ms, serving in sorted([*self.calls.get(home, []), *seen]):
                if serving > highest:
                    merged.append((ms, serving))
                    highest = serving
            self.calls[home] = merged
        for home, changes in other.changes.items():
            self.changes[home] = sorted([*self.changes.get(home, []), *changes])

    def called_ms(self, home: int, number: int) -> int:
        """Return when a number was first seen to have been called; NEVER where it was not."""
        seen = self.calls.get(home, [])
        at = bisect_left(seen, number, key=lambda it: it[1])
        return seen[at][0] if at < len(seen) else NEVER

    def is_overtaken(self, home: int, told_ms: int, called_ms: int) -> bool:
        """Return whether the operator changed the rate between the two."""
        return any(told_ms <= ms <= called_ms for ms in self.changes.get(home, ()))


class ToldTurns:
    """What each resident was told of the place they hold: when, and from and to when, in ms from the run's opening."""

    def __init__(self, residents: int) -> None:
        self.turn_told_ms, self.turn_from_ms, self.turn_to_ms = (array("i", [NEVER]) * residents for _ in range(3))
        self.first_told_ms, self.first_from_ms, self.first_to_ms = (array("i", [NEVER]) * residents for _ in range(3))
        self._changes = array("B", bytes(residents))  # so many changes were known when it was told

    def arrays(self) -> dict[str, array[int]]:
        """Return what is sent to whoever audits."""
        return {name: values for name, values in vars(self).items() if not name.startswith("_")}

    def forget(self, i: int) -> None:
        """Resident `i` gets another place."""
        for values in self.arrays().values():
            values[i] = NEVER

    def told(self, i: int, changes: int, from_ms: float, to_ms: float, now_ms: int) -> None:
        """Resident `i` was told an interval, when so many changes of the rate were known."""
        if self.turn_told_ms[i] != NEVER and self._changes[i] == changes & 0xFF:
            return
        interval = now_ms, min(int(from_ms), _LATEST), min(int(to_ms), _LATEST)
        self._changes[i] = changes & 0xFF
        self.turn_told_ms[i], self.turn_from_ms[i], self.turn_to_ms[i] = interval
        if self.first_told_ms[i] == NEVER:
            self.first_told_ms[i], self.first_from_ms[i], self.first_to_ms[i] = interval
