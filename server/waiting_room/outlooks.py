"""The told waits of one moment, worked out for a few places of the line: a poll's is in proportion between two of them.

Between two of an opening's views only the place in line differs from poll to poll, and polls are answered by the
thousand in each second.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Final, NamedTuple

_DENSITY: Final = 1.25
"""Each place is so many times as far ahead as the one before: the wait bends little in between."""


class Outlooks(NamedTuple):
    """How many are ahead, ascending; and between which seconds the call comes with so many."""

    aheads: list[int]
    lows: list[float]
    highs: list[float]

    def at(self, ahead: int, past_s: float) -> tuple[float, float]:
        """(from, to) in tenths of a second, so many seconds later, with so many ahead: at most the last of `aheads`."""
        aheads, lows, highs = self
        i = bisect_left(aheads, ahead)
        low_s, high_s = lows[i], highs[i]
        if aheads[i] != ahead:
            short = (aheads[i] - ahead) / (aheads[i] - aheads[i - 1])
            low_s -= (low_s - lows[i - 1]) * short
            high_s -= (high_s - highs[i - 1]) * short
        low_s, high_s = low_s - past_s, high_s - past_s  # `round` takes four times as long
        return int(low_s * 10 + 0.5) / 10 if low_s > 0 else 0.0, int(high_s * 10 + 0.5) / 10 if high_s > 0 else 0.0


def outlooks(most: int, interval_of: Callable[[int], tuple[float, float]]) -> Outlooks:
    """Work them out for nobody ahead up to `most`."""
    aheads, ahead = [0], 1.0
    while ahead < most:
        if int(ahead) > aheads[-1]:
            aheads.append(int(ahead))
        ahead *= _DENSITY
    if most > aheads[-1]:
        aheads.append(most)
    lows, highs = zip(*map(interval_of, aheads), strict=True)
    return Outlooks(aheads, list(lows), list(highs))
