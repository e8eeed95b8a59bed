"""Waiting by the public answer, as the page does: `GET /openings/{district}` is the same for everyone.

After the draw its answer has all that a waiting resident asks: from seed and entries the number of their own entry
follows, and from the pace of the calls when to look again and what to expect. Written anew from the contract.
"""

from __future__ import annotations

import math

from loadtests.client import answers
from loadtests.client.answers import Opening, Wait
from loadtests.client.draw import Numbers, commitment

LOOKS_PER_SECOND = 4000.0
"""First looks a second at the draw's end, where no answer has said so yet: the city file's default."""
_KEPT_ANSWERS = 16


class Unfit(Exception):
    """The answer is odd, or not about this place: its holder asks a worker."""


class PublicAnswers:
    """The public answers of one opening as its residents get them: each is read once, however many get it.

    Args:
        date: of the opening.
        commitment: that was public before it; "" where nobody saw it.
    """

    def __init__(self, date: str, commitment: str) -> None:
        self._date, self._commitment = date, commitment
        self._read: dict[bytes, Opening] = {}
        self._numbers: dict[tuple[str, int], Numbers | None] = {}
        self.latest: Opening | None = None
        self.looks_per_second = LOOKS_PER_SECOND

    def read(self, body: bytes) -> Opening:
        """Return what an answer says.

        Raises:
            msgspec.DecodeError: it is none.
        """
        told = self._read.get(body)
        if told is None:
            told = answers.decode_opening(body)
            if len(self._read) >= _KEPT_ANSWERS:
                self._read.clear()
            self._read[body] = told
            if told.wait is not None:
                self.looks_per_second = told.wait.look.per_second
        self.latest = told
        return told

    def numbers(self, told: Opening, entry: int) -> tuple[Wait, Numbers | None]:
        """Return what an answer says of the wait, and the draw's numbers: None before they are out.

        Raises:
            Unfit: another opening's, one that is over, one that does not know of this entry, or a draw that does not
                hold.
        """
        wait, draw = told.wait, told.draw
        if wait is None or told.date != self._date or told.issued <= entry:
            raise Unfit
        if self._commitment and draw.commitment != self._commitment:
            raise Unfit
        if draw.seed is None or draw.entries is None:
            return wait, None
        told_key = draw.key or draw.seed
        key = draw.seed + told_key, draw.entries
        if key not in self._numbers:
            is_kept = commitment(bytes.fromhex(draw.seed)) == draw.commitment
            self._numbers[key] = Numbers(bytes.fromhex(told_key), draw.entries) if is_kept else None
        numbers = self._numbers[key]
        if numbers is None:
            raise Unfit
        return wait, numbers


def look_after_seconds(told: Opening, wait: Wait, number: int, chance: float) -> float:
    """Say when the holder of a number looks again; `chance` from 0 to 1 spreads them."""
    look, rate = wait.look, told.rate_per_second
    if rate <= 0:
        wanted = look.floor_seconds * look.stretch
    else:
        most, _ = _given_up_before(told, wait, number)
        soonest = max(0.0, (number - told.serving - 1 - most) / rate)
        share = min(soonest * look.share, look.ceiling_seconds)
        wanted = max(look.floor_seconds, share) * look.stretch
        wanted = min(wanted, max(soonest * 0.9, wait.claim_seconds / 3))
    return wanted * (0.85 + 0.15 * chance)


def eta_seconds(told: Opening, wait: Wait, number: int) -> int | None:
    """Say how long until the call of a number, as the page does; None where nobody is called."""
    if wait.pace_per_second <= 0 or told.rate_per_second <= 0:
        return None
    _, likely = _given_up_before(told, wait, number)
    behind = max(0, round(number - told.serving - 1 - likely)) + 1
    return math.ceil(max(behind / told.rate_per_second, (behind - wait.free) / wait.pace_per_second))


def turn_seconds(told: Opening, wait: Wait, number: int) -> tuple[float, float] | None:
    """Say between how many seconds after the answer's `now` a number is called, as the page does; None if unknown."""
    at, low, high = told.serving, 0.0, 0.0
    for upto, begins, ends in wait.turns:
        if number <= upto:
            share = (number - at) / (upto - at)
            return low + (begins - low) * share, high + (ends - high) * share
        at, low, high = upto, begins, ends
    return None


def _given_up_before(told: Opening, wait: Wait, number: int) -> tuple[int, float]:
    """Return (at most, likely) how many of the numbers between those called and this one are given up."""
    at, gone = told.serving, 0
    for upto, count in wait.given_up:
        if number <= upto:
            width = number - 1 - at
            return gone + min(count - gone, width), gone + (count - gone) * width / (upto - at)
        at, gone = upto, count
    return gone, gone
