"""Latencies and counts, per call and per second.

A latency goes into an HDR histogram (package `hdrhistogram`) of the second in which it was due: exact to two
significant digits, and percentiles are read at a bucket's upper edge, so they err on the slow side by less than 1 %.
Nothing that should be a percentile is averaged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import msgspec
from hdrh.histogram import HdrHistogram

from loadtests.client.answers import Call

LONGEST_US = 300_000_000
_DIGITS = 2
_COUNTER_BYTES = 4
_FINEST_BITS = 8
"""Two digits need 200 steps: a bucket has 256, each but the first in its upper half (HDR's layout)."""
_FINEST = (1 << _FINEST_BITS) - 1
_HALF_BITS = _FINEST_BITS - 1
_MOST_ERRORS = 50


class Histogram:
    """Durations in microseconds: negative ones count as 0, longer ones than five minutes as five minutes."""

    __slots__ = ("_counts", "hdr")

    def __init__(self) -> None:
        self.hdr = HdrHistogram(1, LONGEST_US, _DIGITS, word_size=_COUNTER_BYTES)
        self._counts = self.hdr.counts

    def add(self, us: int) -> None:
        """Record one duration.

        What the package's `record_value` does in seven calls, at a quarter of its cost: the generator does it three
        times a request.
        """
        if us < 0:
            us = 0
        elif us > LONGEST_US:
            us = LONGEST_US
        hdr, bucket = self.hdr, (us | _FINEST).bit_length() - _FINEST_BITS
        self._counts[(bucket << _HALF_BITS) + (us >> bucket)] += 1
        hdr.total_count += 1
        if us > hdr.max_value:
            hdr.max_value = us
        if us < hdr.min_value:
            hdr.min_value = us

    @property
    def total(self) -> int:
        """Say how many were recorded."""
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
        """Return one histogram of all durations in `parts`."""
        whole = cls()
        for part in parts:
            whole.take_in(part)
        return whole

    def take_in(self, other: Histogram) -> None:
        """Add the durations of another one."""
        self.hdr.add(other.hdr)

    def encoded(self) -> str:
        """Return it as text that any HDR tool reads (V2, compressed, base64)."""
        return str(self.hdr.encode().decode())

    @classmethod
    def decoded(cls, text: str) -> Histogram:
        """Return the histogram that was `encoded`.

        Raises:
            ValueError: it is no such text.
        """
        histogram = cls()
        own = histogram.hdr
        try:
            told = HdrHistogram.decode(text.encode())
            # with counters as wide as ours: only such are added at the speed of C
            own.counts[:] = told.counts[:]
        except Exception as error:  # zlib, base64, ctypes and the package's own
            raise ValueError(f"no HDR histogram: {error}") from None
        own.total_count, own.min_value, own.max_value = told.total_count, told.min_value, told.max_value
        return histogram


class _Sent(msgspec.Struct):
    """Meters on their way to another process; a histogram is `Histogram.encoded`."""

    from_due: dict[int, dict[int, str]]
    on_wire: dict[int, str]
    lateness: dict[int, str]
    counts: dict[str, dict[int, int]]
    set_up: dict[str, dict[int, str]]
    answers: list[tuple[int, int, str, int]]
    errors: list[str]
    bots: list[tuple[str, int, str, int]]


class Progress(msgspec.Struct):
    """How far a run is: counts so far, and requests of the last full second."""

    arrivals: int = 0
    requests: int = 0
    errors: int = 0
    requests_a_second: int = 0


class Meters:
    """What the generator saw, by second from the opening (negative before it).

    Attributes:
        from_due: by call, by second in which the request was due: from the moment the resident was due to
            the answer. This is what the resident waits, and it holds the generator's own lateness too.
        on_wire: by call, of the whole time from the opening on: from the moment the request was sent.
        set_up: of new connections, `connect` and `handshake`, by second in which the first request on it was due: from
            that moment to the server's machine having taken it, and to TLS agreed on.
        lateness: by second: how late the generator was, with a line free, in sending what was due.
        counts: by series name, by second: `arrivals`, `requests`, `retries`, `errors`, `pushed back` (those of the
            errors that too much to do explains), `lines_busy`; of connections: `connections open` (at the end of the
            second), `connections reused` for another request, `connections ended` (by the server, while idle),
            `connections let go` (with an answer), `connections expired` (by the browser), `connections left standing`
            (as their network had gone), `connections closed for room`, `sessions resumed` of TLS;
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
        self.set_up: dict[str, dict[int, Histogram]] = {"connect": {}, "handshake": {}}
        self.lateness: dict[int, Histogram] = {}
        self.counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.answers: Counter[tuple[Call, int, str]] = Counter()
        self.errors: list[str] = []
        self.bots: Counter[tuple[str, int, str]] = Counter()
        self.last_error: str | None = None
        self._requests = self.counts["requests"]
        self._open_seen = LONGEST_US  # no second yet

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

    def connected(self, how: str, needed_us: int, now_us: int) -> None:
        """Record a new connection: `connect`, or the TLS `handshake`, is done."""
        second = needed_us // 1_000_000
        by_second = self.set_up[how]
        histogram = by_second.get(second)
        if histogram is None:
            histogram = by_second[second] = Histogram()
        histogram.add(now_us - needed_us)

    def holds_open(self, connections: int, now_us: int) -> None:
        """Record how many connections are open; a look that comes late speaks for all the seconds since the last."""
        second, seen = now_us // 1_000_000, self.counts["connections open"]
        for since in range(min(self._open_seen, second - 1) + 1, second + 1):
            seen[since] = connections
        self._open_seen = second

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
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(f"{now_us / 1e6:.1f} s: {text}")

    def pushed_back(self, text: str, now_us: int) -> None:
        """Record an error that a machine with too much to do makes too: no answer in time, or come again later."""
        self.error(text, now_us)
        self.count("pushed back", now_us)

    def progress(self, second: int) -> Progress:
        """Say how far it is in a second of the run."""
        arrivals, requests, errors = (sum(self.counts[name].values()) for name in ("arrivals", "requests", "errors"))
        return Progress(arrivals, requests, errors, self.counts["requests"].get(second - 1, 0))

    def whole(self, call: Call, within: Callable[[int], bool] = lambda second: True) -> Histogram:
        """Return all latencies of a call from due time, of the seconds that are `within`."""
        return Histogram.merged(histogram for second, histogram in self.from_due[call].items() if within(second))

    def encoded(self) -> bytes:
        """Return it as bytes, for another process to `take_in`."""
        sent = _Sent(
            {int(call): _texts(by_second) for call, by_second in self.from_due.items()},
            {int(call): histogram.encoded() for call, histogram in self.on_wire.items()},
            _texts(self.lateness),
            self.counts,
            {how: _texts(by_second) for how, by_second in self.set_up.items()},
            [(int(call), status, code, n) for (call, status, code), n in self.answers.items()],
            self.errors,
            [(*told, n) for told, n in self.bots.items()],
        )
        return msgspec.msgpack.encode(sent)

    def take_in(self, encoded: bytes) -> None:
        """Add what another process saw of the same run.

        Raises:
            msgspec.DecodeError: it is nothing that was `encoded`.
        """
        sent = msgspec.msgpack.decode(encoded, type=_Sent)
        for call, by_second in sent.from_due.items():
            _join(self.from_due[Call(call)], by_second)
        for call, text in sent.on_wire.items():
            self.on_wire[Call(call)].take_in(Histogram.decoded(text))
        _join(self.lateness, sent.lateness)
        for how, by_second in sent.set_up.items():
            _join(self.set_up[how], by_second)
        for series, counts in sent.counts.items():
            for second, n in counts.items():
                self.counts[series][second] += n
        for call, status, code, n in sent.answers:
            self.answers[(Call(call), status, code)] += n
        for kind, status, code, n in sent.bots:
            self.bots[(kind, status, code)] += n
        at_second: Callable[[str], float] = lambda text: float(text.split(" ", 1)[0])  # noqa: E731
        self.errors[:] = sorted(self.errors + sent.errors, key=at_second)[:_MOST_ERRORS]


def _texts(by_second: dict[int, Histogram]) -> dict[int, str]:
    return {second: histogram.encoded() for second, histogram in by_second.items()}


def _join(by_second: dict[int, Histogram], sent: dict[int, str]) -> None:
    for second, text in sent.items():
        by_second.setdefault(second, Histogram()).take_in(Histogram.decoded(text))
