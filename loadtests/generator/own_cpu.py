"""How busy a generator's own process is, where another process watches the server."""

from __future__ import annotations

import time
from typing import Any

import gevent
import psutil

from loadtests.run.clock import RunClock


class OwnCpu:
    """This looks once a second at the CPU that its own process takes, until it is stopped.

    Attributes:
        percent: of one core, by second of the run.
    """

    def __init__(self, clock: RunClock) -> None:
        self.percent: dict[int, float] = {}
        self._clock = clock
        self._greenlet: Any = gevent.spawn(self._look)

    def stop(self) -> None:
        """Stop looking."""
        self._greenlet.kill()

    def _look(self) -> None:
        process = psutil.Process()
        before, at, second = _cpu_seconds(process), time.monotonic(), self._second()
        while True:
            gevent.sleep(1)
            now, busy, reached = time.monotonic(), _cpu_seconds(process), self._second()
            percent = 100 * (busy - before) / max(now - at, 0.001)
            # a look that comes late speaks for all the seconds since the last
            self.percent.update((since, percent) for since in range(min(second + 1, reached), reached + 1))
            before, at, second = busy, now, reached

    def _second(self) -> int:
        return self._clock.now_us() // 1_000_000


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
