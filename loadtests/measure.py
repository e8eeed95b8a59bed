"""Latencies and counts, per call and per second, in little memory and at little cost.

A latency goes into one of 32 buckets an octave (3 % wide), as in an HDR histogram; percentiles are read at a
bucket's upper edge, so they err on the slow side. Nothing that should be a percentile is averaged.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable

from loadtests.answers import Call

_SUB_BITS = 5
_SUB = 1 << _SUB_BITS
_LONGEST_US = (1 << 28) - 1  # 268 s


def bucket_of(us: int) -> int:
    """Bucket of a duration in microseconds (negative counts as 0, longest 268 s)."""
    if us < _SUB:
        return max(us, 0)
    us = min(us, _LONGEST_US)
    shift = us.bit_length() - _SUB_BITS - 1
    return (shift + 1) * _SUB + (us >> shift) - _SUB


def upper_edge_us(bucket: int) -> int:
    """Longest duration, in microseconds, that falls in a bucket."""
    if bucket < _SUB:
        return bucket
    shift, sub = divmod(bucket, _SUB)
    return ((_SUB + sub + 1) << (shift - 1)) - 1


BUCKETS = bucket_of(_LONGEST_US) + 1
_EMPTY = bytes(4 * BUCKETS)


class Histogram:
    """Durations in microseconds."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = array("I", _EMPTY)

    def add(self, us: int) -> None:
        self.counts[bucket_of(us)] += 1

    @property
    def total(self) -> int:
        return sum(self.counts)

    def percentile_us(self, percent: float) -> int | None:
        """Duration that `percent` of the recorded ones do not exceed; None where none is recorded."""
        total = self.total
        if not total:
            return None
        wanted, seen = max(1, -(-total * percent // 100)), 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if seen >= wanted:
                return upper_edge_us(bucket)
        return _LONGEST_US

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """One histogram of all durations in `parts`."""
        whole = cls()
        for part in parts:
            for bucket, count in enumerate(part.counts):
                if count:
                    whole.counts[bucket] += count
        return whole


class Meters:
    """What the generator saw, by second from the opening (negative before it).

    Attributes:
        from_due: by call, by second in which the request was due: from the moment the resident was due to
            the answer. This is what the resident waits, and it holds the generator's own lateness too.
        on_wire: the same, from the moment the request was sent.
        lateness: by second: how late the generator was, with a line free, in sending what was due.
        counts: by series name, by second: `arrivals`, `requests`, `retries`, `errors`, `lines_busy`;
            of bots: `bot requests`, `bots pushed back`, `polls from memory` (of a number not called), `codes asked by
            bots`.
        answers: how often each (call, status, code) was given.
        errors: the first few answers that should not have been, in words.
        bots: how often bots of a kind were told each (kind, status, code); none of it is in `answers`.
        last_error: the latest of them; whoever serves a request clears it first.
    """

    def __init__(self) -> None:
        self.from_due: dict[Call, dict[int, Histogram]] = {call: {} for call in Call}
        self.on_wire: dict[Call, dict[int, Histogram]] = {call: {} for call in Call}
        self.lateness: dict[int, Histogram] = {}
        self.counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.answers: Counter[tuple[Call, int, str]] = Counter()
        self.errors: list[str] = []
        self.bots: Counter[tuple[str, int, str]] = Counter()
        self.last_error: str | None = None
        self._requests = self.counts["requests"]

    def answered(self, call: Call, due_us: int, sent_us: int, now_us: int) -> None:
        """Record a request that got an answer."""
        second = due_us // 1_000_000
        whole = self.from_due[call].get(second)
        if whole is None:
            whole = self.from_due[call][second] = Histogram()
            self.on_wire[call][second] = Histogram()
        whole.counts[bucket_of(now_us - due_us)] += 1
        self.on_wire[call][second].counts[bucket_of(now_us - sent_us)] += 1
        self._requests[now_us // 1_000_000] += 1

    def late(self, late_us: int, now_us: int) -> None:
        """Record how late the generator itself was."""
        second = now_us // 1_000_000
        histogram = self.lateness.get(second)
        if histogram is None:
            histogram = self.lateness[second] = Histogram()
        histogram.counts[bucket_of(late_us)] += 1

    def count(self, series: str, now_us: int) -> None:
        """Add one to a series."""
        self.counts[series][now_us // 1_000_000] += 1

    def error(self, text: str, now_us: int) -> None:
        """Record an answer that should not have been."""
        self.last_error = text
        self.count("errors", now_us)
        if len(self.errors) < 50:
            self.errors.append(f"{now_us / 1e6:.1f} s: {text}")

    def whole(self, call: Call, *, without: range | None = None) -> Histogram:
        """All latencies of a call from due time, without the seconds in `without`."""
        return Histogram.merged(
            histogram for second, histogram in self.from_due[call].items() if without is None or second not in without
        )
