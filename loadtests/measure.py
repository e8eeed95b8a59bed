"""Latencies and counts, per call and per second.

A latency goes into an HDR histogram (package `hdrhistogram`) of the second in which it was due: exact to two
significant digits, and percentiles are read at a bucket's upper edge, so they err on the slow side by less than 1 %.
Nothing that should be a percentile is averaged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from hdrh.histogram import HdrHistogram

from loadtests.answers import Call

LONGEST_US = 300_000_000
_DIGITS = 2
_COUNTER_BYTES = 4


class Histogram:
    """Durations in microseconds: negative ones count as 0, longer ones than five minutes as five minutes."""

    __slots__ = ("hdr",)

    def __init__(self) -> None:
        self.hdr = HdrHistogram(1, LONGEST_US, _DIGITS, word_size=_COUNTER_BYTES)

    def add(self, us: int) -> None:
        """Record one duration."""
        self.hdr.record_value(min(max(us, 0), LONGEST_US))

    @property
    def total(self) -> int:
        """How many were recorded."""
        return int(self.hdr.total_count)

    def percentile_us(self, percent: float) -> int | None:
        """Duration that `percent` of the recorded ones do not exceed; None where none is recorded."""
        if not self.total:
            return None
        rank = max(1, -int(-self.total * percent // 100))
        # asked by rank: the package would round half a rank down
        return int(self.hdr.get_value_at_percentile(100 * rank / self.total))

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """One histogram of all durations in `parts`."""
        whole = cls()
        for k, part in enumerate(parts):
            if k == 0:  # counters as wide as theirs: only such are added at the speed of C
                whole.hdr = HdrHistogram(1, LONGEST_US, _DIGITS, word_size=part.hdr.word_size)
            whole.hdr.add(part.hdr)
        return whole

    def encoded(self) -> str:
        """As text that any HDR tool reads (V2, compressed, base64)."""
        return str(self.hdr.encode().decode())

    @classmethod
    def decoded(cls, text: str) -> Histogram:
        """The histogram that was `encoded`.

        Raises:
            ValueError: it is no such text.
        """
        histogram = cls()
        try:
            histogram.hdr = HdrHistogram.decode(text.encode())
        except Exception as error:  # zlib, base64, ctypes and the package's own
            raise ValueError(f"no HDR histogram: {error}") from None
        return histogram


class Meters:
    """What the generator saw, by second from the opening (negative before it).

    Attributes:
        from_due: by call, by second in which the request was due: from the moment the resident was due to
            the answer. This is what the resident waits, and it holds the generator's own lateness too.
        on_wire: by call, of the whole time from the opening on: from the moment the request was sent.
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
        self.on_wire: dict[Call, Histogram] = defaultdict(Histogram)
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
        whole.add(now_us - due_us)
        if second >= 0:
            self.on_wire[call].add(now_us - sent_us)
        self._requests[now_us // 1_000_000] += 1

    def late(self, late_us: int, now_us: int) -> None:
        """Record how late the generator itself was."""
        second = now_us // 1_000_000
        histogram = self.lateness.get(second)
        if histogram is None:
            histogram = self.lateness[second] = Histogram()
        histogram.add(late_us)

    def count(self, series: str, now_us: int) -> None:
        """Add one to a series."""
        self.counts[series][now_us // 1_000_000] += 1

    def error(self, text: str, now_us: int) -> None:
        """Record an answer that should not have been."""
        self.last_error = text
        self.count("errors", now_us)
        if len(self.errors) < 50:
            self.errors.append(f"{now_us / 1e6:.1f} s: {text}")

    def whole(self, call: Call, within: Callable[[int], bool] = lambda second: True) -> Histogram:
        """All latencies of a call from due time, of the seconds that are `within`."""
        return Histogram.merged(histogram for second, histogram in self.from_due[call].items() if within(second))
