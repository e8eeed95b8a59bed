"""What a crowd asks of an opening, second by second: joins, the queue that waits, who is called when.

A fluid model: arrivals and calls are rates, so a few thousand steps say what ten million residents feel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_GRID = 200  # samples of the draw's numbers, and of the time of joining
_LATER = 2000  # samples of those who come after the draw


@dataclass(frozen=True)
class PlannedDistrict:
    """A district with a window; times in seconds of the day, half-open."""

    code: str
    name: str
    population: int
    opens_s: int
    closes_s: int
    rate_per_second: float
    max_active: int


@dataclass(frozen=True)
class Timetable:
    """What a plan needs of a city file (its keys have the same names).

    `places_told`: so many places of an opening may be told of their call by SMS at most.
    """

    name: str
    districts: tuple[PlannedDistrict, ...]
    draw_seconds: int
    claim_seconds: int
    pass_seconds: int
    poll_floor_seconds: int
    poll_ceiling_seconds: int
    poll_budget_per_second: int
    look_budget_per_second: int
    sms_per_second: int
    sms_begins_s: int
    sms_ends_s: int
    night_seconds: int
    places_told: int = 0


@dataclass(frozen=True)
class Arrivals:
    """When they come: `door` of them before the opening, spread over the draw; the others in `minutes`.

    As the rehearsal's curve: fewer and fewer, exponential, with a third of the time as its constant, cut at the end.
    """

    door: float
    minutes: float

    def by(self, seconds: float, draw_seconds: float) -> float:
        """Return the share of the crowd that has joined so long after the opening."""
        whole = self.minutes * 60
        others = (1 - math.exp(-3 * min(max(seconds, 0.0), whole) / whole)) / (1 - math.exp(-3))
        return self.door * min(max(seconds, 0.0) / draw_seconds, 1.0) + (1 - self.door) * others

    def peak(self, draw_seconds: float) -> tuple[float, float]:
        """Return (share a second at the opening, share a second of those who were not at the door)."""
        others = (1 - self.door) * 3 / (self.minutes * 60) / (1 - math.exp(-3))
        return self.door / draw_seconds + others, others


@dataclass(frozen=True)
class Queue:
    """How an opening goes.

    Attributes:
        district: whose.
        residents: who come.
        joins_per_second: in the first second of the draw, when most come; `later`: when it has closed.
        calls_per_second: as the rate allows, or as `max_active` does where that is less.
        calls_at_close: when the window closes: as many as then come, where nobody has to wait any more.
        held_back: that it is `max_active`.
        longest_queue: most who wait at once.
        called: until the window closes.
        waits_s: (median, p90, longest) from joining to the call, of those called; None where nobody is.
        last_called_s: when the last one is called, from the opening.
        needed_rate: calls a second with which everyone would be called in the window.
    """

    district: PlannedDistrict
    residents: float
    joins_per_second: float
    later: float
    calls_per_second: float
    calls_at_close: float
    held_back: bool
    longest_queue: float
    called: float
    waits_s: tuple[float, float, float] | None
    last_called_s: float
    needed_rate: float
    samples: tuple[tuple[float, float], ...]
    """(wait in seconds, how many) of those called, for a city's percentiles."""


def queue(
    district: PlannedDistrict, residents: float, arrivals: Arrivals, draw_seconds: int, active_seconds: float
) -> Queue:
    """Let so many residents come to an opening.

    Args:
        active_seconds: how long one who is called counts towards `max_active`, on average.
    """
    window = float(district.closes_s - district.opens_s)
    at_most = district.max_active / active_seconds
    pace = min(district.rate_per_second, at_most)
    opening, later = arrivals.peak(draw_seconds)
    drawn = residents * arrivals.by(draw_seconds, draw_seconds)
    # time by time: who has joined, who has been called; nobody before the draw has closed
    times = [draw_seconds + (window - draw_seconds) * i / 2000 for i in range(2001)]
    called, longest = [0.0], drawn
    for before, now in pairwise(times):
        joined = residents * arrivals.by(now, draw_seconds)
        called.append(min(called[-1] + pace * (now - before), joined))
        longest = max(longest, joined - called[-1])
    samples = [*_of_the_draw(drawn, called[-1], pace, draw_seconds)]
    samples += _of_the_others(residents, drawn, arrivals, draw_seconds, times, called)
    waits = tuple(percentile(samples, share) for share in (0.5, 0.9, 1.0)) if samples else None
    last = next(time for time, count in zip(times, called, strict=True) if count >= called[-1] - 1e-6)
    return Queue(
        district=district,
        residents=residents,
        joins_per_second=residents * opening,
        later=residents * later,
        calls_per_second=pace,
        calls_at_close=(called[-1] - called[-2]) / (times[-1] - times[-2]),
        held_back=at_most < district.rate_per_second,
        longest_queue=longest,
        called=called[-1],
        waits_s=waits,  # type: ignore[arg-type]
        last_called_s=last,
        needed_rate=needed_rate(district, residents, arrivals, draw_seconds),
        samples=tuple(samples),
    )


def _of_the_draw(drawn: float, called: float, pace: float, draw_seconds: int) -> list[tuple[float, float]]:
    """Return those of the draw: a number by lot, so independent of when they joined, which was evenly over the draw."""
    some = []
    for i in range(_GRID):
        number = drawn * (i + 0.5) / _GRID
        if number > called:
            break
        for j in range(_GRID // 10):
            joined = draw_seconds * (j + 0.5) / (_GRID // 10)
            some.append((draw_seconds - joined + number / pace, drawn / _GRID / (_GRID // 10)))
    return some


def _of_the_others(
    residents: float,
    drawn: float,
    arrivals: Arrivals,
    draw_seconds: int,
    times: Sequence[float],
    called: Sequence[float],
) -> list[tuple[float, float]]:
    """Return those who come later: called in the order of joining."""
    joined = [residents * arrivals.by(time, draw_seconds) for time in times]
    some = []
    weight = (joined[-1] - drawn) / _LATER
    came = went = 0
    for i in range(_LATER if weight > 0 else 0):
        number = drawn + weight * (i + 0.5)
        if number > called[-1]:
            break
        came, at = _when(times, joined, number, came)
        went, until = _when(times, called, number, went)
        some.append((max(0.0, until - at), weight))
    return some


def _when(times: Sequence[float], counts: Sequence[float], number: float, start: int) -> tuple[int, float]:
    """Return (index, time) at which a count that never falls reaches a number, between two times by a straight line."""
    at = start
    while counts[at] < number:
        at += 1
    if at == 0 or counts[at] == counts[at - 1]:
        return at, times[at]
    share = (number - counts[at - 1]) / (counts[at] - counts[at - 1])
    return at, times[at - 1] + share * (times[at] - times[at - 1])


def needed_rate(district: PlannedDistrict, residents: float, arrivals: Arrivals, draw_seconds: int) -> float:
    """Calls a second that leave nobody behind who has come by the end of the window.

    Who joins after a moment must be called between it and the end: the steepest of these lines.
    """
    window = district.closes_s - district.opens_s
    whole = residents * arrivals.by(window, draw_seconds)
    best = whole / (window - draw_seconds)
    for i in range(1, 100):
        at = draw_seconds + (window - draw_seconds) * i / 100
        best = max(best, (whole - residents * arrivals.by(at, draw_seconds)) / (window - at))
    return best


def percentile(samples: Sequence[tuple[float, float]], share: float) -> float:
    """Of weighted samples: the value that this share of them does not exceed."""
    ordered = sorted(samples)
    wanted, seen = share * sum(weight for _, weight in ordered), 0.0
    for value, weight in ordered:
        seen += weight
        if seen >= wanted - 1e-9:
            return value
    return ordered[-1][0]
