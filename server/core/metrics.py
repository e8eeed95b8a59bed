"""Prometheus metrics of this machine's workers; labels are calls, codes and districts, never a person."""

import os
import threading
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Final, Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from server.core.tallies import StoreTallies

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

GuessedCall = Literal["join", "eligibility", "code"]
"""Calls by which names, phones and one-time codes could be tried; those of `/plain` are among them."""

_TIMED_ONE_IN = 8  # a sample gives the same percentiles, and an observation costs as much as the papers' checksum

_OPENINGS: Final = {
    "issued": "Places given",
    "serving": "Highest number called",
    "called": "Numbers called so far",
    "claimed": "Called who have come",
    "missed": "Called who have not come in time",
    "waiting": "Places neither called nor left",
    "pending": "Called and not yet claimed",
    "passes_alive": "Passes alive",
    "forgotten": "Places that a roll-back of the store has forgotten",
    "is_calling": "1 while numbers are to be called: after the draw, before the end, and no pause",
    "is_paused": "1 while the operator's pause lasts",
    "is_prepared": "1 once the store has this opening with its seed and what was published of it",
    "rate_per_second": "Numbers a second that the operator allows",
    "pace_per_second": "Numbers a second as they will be called: less where max_active decides, 0 in a pause",
    "max_active": "Called and not yet claimed, and passes alive, at most",
    "opens_timestamp_seconds": "When it opens, in city time",
    "closes_timestamp_seconds": "When it closes, in city time",
}
_FAILURES: Final = ("store-unavailable", "overloaded", "unexpected")
"""Codes that alerts go by: each call has them from the first scrape on, so that the first failure is an increase."""


class Metrics:
    """What a worker counts. Polls are tallied in memory and handed over at each tick: a poll must stay cheap.

    Args:
        scripts: those of the store.
        with_statuses: those that answer with one of a closed set of statuses.
    """

    def __init__(self, scripts: Iterable[str], with_statuses: Iterable[str]) -> None:
        # One registry each: tests build several applications in one process. With several workers,
        # PROMETHEUS_MULTIPROC_DIR makes any of them answer for all.
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "jiaohao_requests", "Answers by call and code", ["call", "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "jiaohao_request_seconds",
            f"Time to answer, of one in {_TIMED_ONE_IN}",
            ["call"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._openings = {
            name: Gauge(
                f"jiaohao_opening_{name}", help_, ["district"], registry=self._registry, multiprocess_mode="mostrecent"
            )
            for name, help_ in _OPENINGS.items()
        }
        self._guessed = {
            name: Counter(f"jiaohao_{name}", help_, ["call"], registry=self._registry)
            for name, help_ in (
                ("wrong_papers", "Names, phones or one-time codes that were not the right ones"),
                ("papers_refused", "Papers not looked at, as too many wrong ones had been tried on this person"),
                ("people_locked", "Times that this became so for somebody"),
            )
        }
        self._unknown_statuses = Counter(
            "jiaohao_unknown_statuses",
            "Answers of a script that nobody knows; whoever asked was told that the store is not available",
            ["script"],
            registry=self._registry,
        )
        self._broken_records = Counter(
            "jiaohao_broken_records",
            "Records in the store that cannot be read; nobody acts on one",
            ["record"],
            registry=self._registry,
        )
        self._script_seconds = Histogram(
            "jiaohao_store_script_seconds",
            "Time of a round trip to the store with one script, for one resident or for a batch, replicas included",
            ["script"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._script_failures = Counter(
            "jiaohao_store_script_failures",
            "Round trips that the store, or its replicas, did not answer in time or refused",
            ["script"],
            registry=self._registry,
        )
        self._under_way = Gauge(
            "jiaohao_requests_waiting",
            "Requests that wait for the store, or for company on the way to it",
            ["call"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._build = Gauge(
            "jiaohao_build",
            "1; what runs here",
            ["version", "python"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._connections = {
            name: Gauge(f"jiaohao_connections_{name}", help_, registry=self._registry, multiprocess_mode="livesum")
            for name, help_ in (
                ("open", "Connections that the workers hold, and a few to the store"),
                ("limit", "Connections that they may hold; beyond that they answer `overloaded`"),
            )
        }
        self._ended = {
            name: Counter(f"jiaohao_connections_{name}", help_, registry=self._registry)
            for name, help_ in (
                ("let_go", "Connections ended with an answer that says to come back late"),
                ("refused", "Requests answered `overloaded`, as no connection was left"),
            )
        }
        self._ended_so_far = dict.fromkeys(self._ended, 0)
        for script in with_statuses:
            self._unknown_statuses.labels(script)
        for script in scripts:
            self._script_seconds.labels(script)
            self._script_failures.labels(script)
        for counter in self._guessed.values():
            for call in get_args(GuessedCall):
                counter.labels(call)
        self._turn = 0
        self._observed: dict[str, Histogram] = {}
        self._tally: Tally[tuple[str, str]] = Tally()
        self._tallying = threading.Lock()  # polls are answered beside the event loop

    def expect(self, calls: Iterable[str], successes: Iterable[tuple[str, str]] = ()) -> None:
        """Show these calls, and these answers to them (call, code), before the first of them was made."""
        for call in calls:
            self._seconds.labels(call)
            for code in _FAILURES:
                self._requests.labels(call, code)
        for call, code in successes:
            self._requests.labels(call, code)

    def runs(self, version: str, python: str) -> None:
        """What this worker is."""
        self._build.labels(version, python).set(1)

    def tally(self, call: str, code: str) -> None:
        """Count an answer of a hot call; reaches the metrics at the next `flush`."""
        with self._tallying:
            self._tally[call, code] += 1

    def observe(self, call: str, code: str, started: float) -> None:
        """Count an answer and its time since `started` (perf_counter seconds)."""
        with self._tallying:
            self._tally[call, code] += 1
        self._turn = (self._turn + 1) % _TIMED_ONE_IN
        if self._turn:
            return
        histogram = self._observed.get(call)
        if histogram is None:
            histogram = self._observed[call] = self._seconds.labels(call)
        histogram.observe(perf_counter() - started)

    def guessed(self, call: GuessedCall, *, refused: bool, locks: bool) -> None:
        """Count papers that were wrong or not looked at, and whether that has locked somebody out."""
        self._guessed["papers_refused" if refused else "wrong_papers"].labels(call).inc()
        if locks:
            self._guessed["people_locked"].labels(call).inc()

    def take_over(self, tallies: StoreTallies) -> None:
        """Count what this worker has had of its store: what was not understood or failed, how long scripts took."""
        for counter, tally in (
            (self._unknown_statuses, tallies.unknown_statuses),
            (self._broken_records, tallies.broken_records),
            (self._script_failures, tallies.failures),
        ):
            for of, count in tally.items():
                counter.labels(of).inc(count)
            tally.clear()
        while tallies.seconds:
            script, seconds = tallies.seconds.popleft()
            self._script_seconds.labels(script).observe(seconds)

    def connections(self, open_: int, limit: int, let_go: int, refused: int) -> None:
        """How a worker's connections stand; the last two since it began."""
        self._connections["open"].set(open_)
        self._connections["limit"].set(limit)
        for name, so_far in (("let_go", let_go), ("refused", refused)):
            if so_far > self._ended_so_far[name]:
                self._ended[name].inc(so_far - self._ended_so_far[name])
                self._ended_so_far[name] = so_far

    def flush(
        self, openings: Iterable[tuple[str, Mapping[str, float]]], waiting: Mapping[str, int] | None = None
    ) -> None:
        """Hand over the tallies, how the openings stand (for each, its district and its figures), and how many requests
        of each call wait for the store."""
        with self._tallying:
            tally, self._tally = self._tally, Tally()
        for (call, code), count in tally.items():
            self._requests.labels(call, code).inc(count)
        for district, figures in openings:
            for name, gauge in self._openings.items():
                gauge.labels(district).set(figures[name])
        for call, count in (waiting or {}).items():
            self._under_way.labels(call).set(count)

    def exposition(self) -> bytes:
        """The metrics of all workers on this machine, in Prometheus' text format."""
        if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            _forget_the_dead(folder)
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)


def _forget_the_dead(folder: str) -> None:
    """What workers that are gone had open is open no more; what they have counted stays."""
    for pid in {file.stem.rpartition("_")[2] for file in Path(folder).glob("gauge_live*.db")}:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another worker was asked at the same moment
                multiprocess.mark_process_dead(int(pid), folder)  # type: ignore[no-untyped-call]
