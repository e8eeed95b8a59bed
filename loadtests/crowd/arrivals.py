"""When residents arrive: a stated curve, sampled without storing anything.

A curve has parts, each with a share of the crowd (`profile.ArrivalPart`); one without a share takes the rest:

- `door`        at the door before the opening: the page spreads their joins evenly over the draw
- `decay`       come in the minutes after it, fewer and fewer: exponential, cut at the end
- `wave`        come after a reminder by SMS at a minute of the run, fewer and fewer from there
- `television`  the same, after a time of the city's day: the news at noon
- `even`        come evenly over the minutes
- `stampede`    all within the first second: old clients that spread nothing

A crowd file states it; `--arrivals door:0.333,decay:0.5@90,even` states another, where `decay` takes the rest when
every part has a share and something is left.

No traffic figure was published for Guangzhou (`domain.md`): whichever curve is used, it is an assumption,
and the report states it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time

from loadtests.crowd.profile import ArrivalPart, Door

_LAST_OF_DRAW_SECONDS = 1.0


class CurveError(ValueError):
    """A curve that cannot be read; the message says which part and what was expected."""


@dataclass(frozen=True)
class CurvePart:
    """A part of the crowd: `share` of 1; from when on, and the time constant, of those that fall off."""

    name: str
    share: float
    constant_seconds: float = 0.0
    from_seconds: float = 0.0


@dataclass(frozen=True)
class Arrival:
    """When a resident's page first asks for a place.

    Attributes:
        at_seconds: from the opening; negative for those who press early.
        spread: uniform in [0, 1): where in the draw the page puts the join of one who was too early.
        at_door: came before the opening.
    """

    at_seconds: float
    spread: float
    at_door: bool = False


@dataclass(frozen=True)
class Curve:
    """Arrivals over `seconds` from the opening, where the draw takes the first `draw_seconds`.

    Attributes:
        left_out: share of the crowd whose wave lies outside the run: they come with the others.
    """

    parts: tuple[CurvePart, ...]
    seconds: float
    draw_seconds: float
    door: Door
    left_out: float = 0.0

    def arrival(self, bits: int) -> Arrival:
        """Return the arrival of the resident with these 64 uniform bits."""
        pick, place, early = (bits & 0xFFFFF) / 2**20, (bits >> 20 & 0xFFFFFF) / 2**24, (bits >> 44) / 2**20
        part = self.parts[-1]
        for candidate in self.parts:
            if pick < candidate.share:
                part = candidate
                break
            pick -= candidate.share
        if part.name == "door":
            if early < self.door.early:
                return Arrival(-self.door.early_seconds * (1 - early / self.door.early), place, True)
            return Arrival(place * self._door_seconds, place, True)
        if part.name == "stampede":
            return Arrival(place, place, True)
        if part.name == "even":
            return Arrival(place * self.seconds, place)
        # inverse of the distribution function of an exponential cut at the end
        cut = 1 - math.exp(-(self.seconds - part.from_seconds) / part.constant_seconds)
        return Arrival(part.from_seconds - part.constant_seconds * math.log(1 - place * cut), place)

    def share_between(self, first_s: float, last_s: float) -> float:
        """Return the share of the residents who come between two moments, in seconds from the opening; who press before
        it are taken to come in it."""
        return sum(part.share * (self._come_by(part, last_s) - self._come_by(part, first_s)) for part in self.parts)

    def _come_by(self, part: CurvePart, at_s: float) -> float:
        """Return the share of a part who have come by then."""
        at_s = min(max(at_s, 0.0), self.seconds)
        match part.name:
            case "door":
                return min(at_s / self._door_seconds, 1.0) if self._door_seconds else float(at_s > 0)
            case "stampede":
                return min(at_s, 1.0)
            case "even":
                return at_s / self.seconds
        if at_s <= part.from_seconds:
            return 0.0
        cut = 1 - math.exp(-(self.seconds - part.from_seconds) / part.constant_seconds)
        return (1 - math.exp(-(at_s - part.from_seconds) / part.constant_seconds)) / cut

    @property
    def _door_seconds(self) -> float:
        """Say how long those at the door come: the page leaves the draw's last moment alone, so that nobody slips past
        its end on a slow line."""
        length = min(self.draw_seconds, self.seconds)
        return max(length - _LAST_OF_DRAW_SECONDS, length / 2)

    def describe(self) -> str:
        """Return the curve in a sentence, for the report."""
        told = [f"{part.share:.1%} {self._words(part)}" for part in self.parts]
        if self.left_out:
            told.append(f"waves outside the run, of {self.left_out:.1%} of the crowd, are left out")
        return "; ".join(told)

    def _words(self, part: CurvePart) -> str:
        match part.name:
            case "door":
                return (
                    f"at the door, their joins spread by the page over the draw of {self.draw_seconds:g} s "
                    f"({self.door.early:.0%} of them press up to {self.door.early_seconds:g} s early)"
                )
            case "stampede":
                return "all in the first second"
            case "even":
                return f"evenly over {self.seconds / 60:g} min"
            case "decay":
                return f"in {self.seconds / 60:g} min with exponential decay, time constant {part.constant_seconds:g} s"
        cause = "a reminder" if part.name == "wave" else "the television"
        return f"after {cause} at {part.from_seconds / 60:g} min, time constant {part.constant_seconds:g} s"


def curve_of(
    parts: Iterable[ArrivalPart], door: Door, seconds: float, draw_seconds: float, opens: time = time(8)
) -> Curve:
    """Return the curve of a crowd in a run.

    Args:
        opens: the city's time of the opening, from which the television's moment is counted.
    """
    parts = list(parts)
    rest = 1 - sum(part.share for part in parts if part.share is not None)
    made, left_out = [], 0.0
    for part in parts:
        share = rest if part.share is None else part.share
        moments = [0.0]
        if part.curve == "wave":
            moments = [minute * 60 for minute in part.at_minutes]
        elif part.at is not None:
            moments = [_second_of_day(part.at) - _second_of_day(opens)]
        for moment in moments:
            if 0 <= moment < seconds:
                constant = part.constant_seconds or max(seconds / 3, 1.0)
                made.append(CurvePart(part.curve, share / len(moments), constant, moment))
            else:
                left_out += share / len(moments)
    if not made:
        raise CurveError("arrivals: every wave lies outside the run: take more minutes, or a part of another curve")
    if left_out:
        made = [CurvePart(p.name, p.share / (1 - left_out), p.constant_seconds, p.from_seconds) for p in made]
    return Curve(tuple(made), seconds, draw_seconds, door, left_out)


def _second_of_day(moment: time) -> float:
    return moment.hour * 3600.0 + moment.minute * 60 + moment.second


def parse_arrivals(text: str) -> tuple[ArrivalPart, ...]:
    """Read `--arrivals`.

    Raises:
        CurveError: unknown part, or shares that are no shares.
    """
    parts: list[ArrivalPart] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        head, _, constant = word.partition("@")
        name, _, share = head.partition(":")
        if name not in ("door", "decay", "even", "stampede"):
            raise CurveError(f"arrivals: {word!r}: expected door, decay, even or stampede")
        try:
            portion = float(share) if share else None
            time_constant = float(constant) if constant else None
        except ValueError:
            raise CurveError(f"arrivals: {word!r}: expected name:share or decay:share@seconds") from None
        if (portion is not None and not 0 <= portion <= 1) or (time_constant is not None and not time_constant > 0):
            raise CurveError(f"arrivals: {word!r}: a share is between 0 and 1, a time constant above 0")
        parts.append(ArrivalPart(name, portion, time_constant))  # type: ignore[arg-type]
    stated = sum(part.share for part in parts if part.share is not None)
    open_ended = [part for part in parts if part.share is None]
    if stated > 1 + 1e-9 or len(open_ended) > 1 or (stated >= 1 and open_ended):
        raise CurveError(f"arrivals: {text!r}: the shares add up to more than 1, or two parts have none")
    if not open_ended and stated < 1 - 1e-9:
        parts.append(ArrivalPart("decay"))
    return tuple(parts)


def parse_curve(text: str, seconds: float, draw_seconds: float, door: Door | None = None) -> Curve:
    """Return the curve of a text, as `curve_of` makes it.

    Raises:
        CurveError: as `parse_arrivals`.
    """
    return curve_of(parse_arrivals(text), door or Door(), seconds, draw_seconds)
