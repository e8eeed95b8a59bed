"""Locust's statistics, kept up to date once a second: its `request` event for each request costs more than the request.

Its UI, its CSV files and its master read the statistics, so all of them show what they would have; only listeners of
that event, of which the rehearsal has none, hear nothing.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.stats import StatsEntry


class _Second:
    """Requests of one name since the last look."""

    __slots__ = ("errors", "longest_us", "shortest_us", "size", "times_ms", "total_us")

    def __init__(self) -> None:
        self.times_ms: defaultdict[int, int] = defaultdict(int)
        self.errors: Counter[str] = Counter()
        self.total_us = self.size = self.longest_us = 0
        self.shortest_us: int | None = None


class LocustStatistics:
    """The statistics of an environment.

    Args:
        environment: Locust's.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._seconds: dict[tuple[str, str], _Second] = {}

    def answered(self, method: str, name: str, took_us: int, size: int, error: str | None) -> None:
        """Take in a request; `error` says what was wrong with its answer."""
        second = self._seconds.get((name, method))
        if second is None:
            second = self._seconds[(name, method)] = _Second()
        second.times_ms[took_us // 1000] += 1
        second.total_us += took_us
        second.size += size
        if took_us > second.longest_us:
            second.longest_us = took_us
        if second.shortest_us is None or took_us < second.shortest_us:
            second.shortest_us = took_us
        if error is not None:
            second.errors[error] += 1

    def hand_over(self) -> None:
        """Give Locust what has been taken in since the last time, as it takes in a worker's report."""
        from locust.stats import StatsError  # patches the process: only Locust's entry points come here

        stats, now = self._environment.stats, time.time()
        seconds, self._seconds = self._seconds, {}
        for (name, method), second in seconds.items():
            part = self._entry(name, method, second, now)
            stats.total.extend(part)
            stats.get(name, method).extend(part)
            for text, count in second.errors.items():
                error = Exception(text)
                known = stats.errors.setdefault(
                    StatsError.create_key(method, name, error), StatsError(method, name, error)
                )
                known.occurrences += count - 1
                known.occurred()

    def _entry(self, name: str, method: str, second: _Second, now: float) -> StatsEntry:
        from locust.stats import StatsEntry, bucket_response_time

        part = StatsEntry(self._environment.stats, name, method)
        for ms, count in second.times_ms.items():
            part.response_times[bucket_response_time(ms)] += count
        part.num_requests = sum(second.times_ms.values())
        part.num_failures = sum(second.errors.values())
        part.total_response_time = round(second.total_us / 1000)
        part.min_response_time, part.max_response_time = (
            round((second.shortest_us or 0) / 1000),
            round(second.longest_us / 1000),
        )
        part.total_content_length = second.size
        part.num_reqs_per_sec[int(now)] = part.num_requests
        part.num_fail_per_sec[int(now)] = part.num_failures
        part.last_request_timestamp = now
        return part
