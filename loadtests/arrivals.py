"""When residents arrive: a stated curve, sampled without storing anything.

A curve is a comma-separated list of parts, `name:share`; the part without a share takes the rest, and
`decay` takes it when every part has a share and something is left:

- `door:0.333`   at the door before the opening: the page spreads their joins evenly over the draw
- `decay:0.667`  come in the minutes after it, fewer and fewer: exponential, time constant a third of the
                 minutes, or `decay@90` for 90 s; cut at the end
- `even`         come evenly over the minutes
- `stampede`     all within the first second: old clients that spread nothing

No traffic figure was published for Guangzhou (`domain.md`): whichever curve is used, it is an assumption,
and the report states it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EARLY_SHARE = 0.03
"""Share of those at the door who press before the opening: told `not-open`, they come again."""
EARLY_SECONDS = 8.0
_LAST_OF_DRAW_SECONDS = 1.0


class CurveError(ValueError):
    """A curve that cannot be read; the message says which part and what was expected."""


@dataclass(frozen=True)
class Part:
    """A part of the crowd: `share` of 1, and for `decay` its time constant in seconds."""

    name: str
    share: float
    constant_seconds: float = 0.0


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
    """Arrivals over `seconds` from the opening, where the draw takes the first `draw_seconds`."""

    parts: tuple[Part, ...]
    seconds: float
    draw_seconds: float

    def arrival(self, bits: int) -> Arrival:
        """Arrival of the resident with these 64 uniform bits."""
        pick, place, early = (bits & 0xFFFFF) / 2**20, (bits >> 20 & 0xFFFFFF) / 2**24, (bits >> 44) / 2**20
        part = self.parts[-1]
        for candidate in self.parts:
            if pick < candidate.share:
                part = candidate
                break
            pick -= candidate.share
        if part.name == "door":
            if early < EARLY_SHARE:
                return Arrival(-EARLY_SECONDS * (1 - early / EARLY_SHARE), place, True)
            # the page leaves the draw's last moment alone, so that nobody slips past its end on a slow line
            length = min(self.draw_seconds, self.seconds)
            return Arrival(place * max(length - _LAST_OF_DRAW_SECONDS, length / 2), place, True)
        if part.name == "stampede":
            return Arrival(place, place, True)
        if part.name == "even":
            return Arrival(place * self.seconds, place)
        # inverse of the distribution function of an exponential cut at the end
        cut = 1 - math.exp(-self.seconds / part.constant_seconds)
        return Arrival(-part.constant_seconds * math.log(1 - place * cut), place)

    def describe(self) -> str:
        """The curve in a sentence, for the report."""
        words = {
            "door": f"at the door, their joins spread by the page over the draw of {self.draw_seconds:g} s "
            f"({EARLY_SHARE:.0%} of them press up to {EARLY_SECONDS:g} s early)",
            "stampede": "all in the first second",
            "even": f"evenly over {self.seconds / 60:g} min",
        }
        told = []
        for part in self.parts:
            text = words.get(part.name) or (
                f"in {self.seconds / 60:g} min with exponential decay, time constant {part.constant_seconds:g} s"
            )
            told.append(f"{part.share:.1%} {text}")
        return "; ".join(told)


def parse_curve(text: str, seconds: float, draw_seconds: float) -> Curve:
    """Read a curve.

    Raises:
        CurveError: unknown part, or shares that are no shares.
    """
    parts: list[tuple[str, float | None, float]] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        head, _, constant = word.partition("@")
        name, _, share = head.partition(":")
        if name not in ("door", "decay", "even", "stampede"):
            raise CurveError(f"arrivals: {word!r}: expected door, decay, even or stampede")
        try:
            portion = float(share) if share else None
            time_constant = float(constant) if constant else max(seconds / 3, 1.0)
        except ValueError:
            raise CurveError(f"arrivals: {word!r}: expected name:share or decay:share@seconds") from None
        if (portion is not None and not 0 <= portion <= 1) or time_constant <= 0:
            raise CurveError(f"arrivals: {word!r}: a share is between 0 and 1, a time constant above 0")
        parts.append((name, portion, time_constant))
    stated = sum(share for _, share, _ in parts if share is not None)
    open_ended = [name for name, share, _ in parts if share is None]
    if stated > 1 + 1e-9 or len(open_ended) > 1 or (stated >= 1 and open_ended):
        raise CurveError(f"arrivals: {text!r}: the shares add up to more than 1, or two parts have none")
    if not open_ended and stated < 1 - 1e-9:
        parts.append(("decay", None, max(seconds / 3, 1.0)))
    return Curve(
        tuple(Part(name, 1 - stated if share is None else share, constant) for name, share, constant in parts),
        seconds,
        draw_seconds,
    )
