"""What can be seen from outside while it runs: the openings over HTTP, the store, and everyone's CPU, by second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import msgspec
import psutil
from redis.exceptions import RedisError

from loadtests.audit.seen import OpeningSeen, Seen, StoreSeen
from loadtests.audit.truth import opening_key, passes_key, script_calls
from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.wire import Address, Broken
from loadtests.client.wire_tls import connection_to
from loadtests.resident.run_opening import RunOpening


class Watch:
    """The watch looks once a second at the openings, the store and everyone's CPU, until it is stopped.

    Args:
        now_us: the run's clock.
        store: a redis-py client, or None where the store cannot be reached.
        pids: who is who: `{"store": [pid], "workers": [pid, ...]}`; asked now and then, for they may be replaced.
        this: what this process is: the generator, or the master of several.
    """

    def __init__(
        self,
        openings: tuple[RunOpening, ...],
        address: Address,
        now_us: Callable[[], int],
        store: Any | None,
        pids: Callable[[], dict[str, list[int]]],
        this: str = "generator",
    ) -> None:
        self.seen = Seen()
        self._this = this
        self._openings, self._address, self._now_us = openings, address, now_us
        self._store, self._pids = store, pids
        self._greenlets: list[Any] = []

    def start(self) -> None:
        self._greenlets = [gevent.spawn(self._every_second, look) for look in self._looks()]

    def stop(self) -> None:
        gevent.killall(self._greenlets)

    def _looks(self) -> list[Callable[[], None]]:
        requests = Requests(self._address.authority)
        looks: list[Callable[[], None]] = [self._processes()]
        if self._store is not None:
            looks.append(self._scripts(self._store))
        for opening in self._openings:
            looks.append(self._opening(opening, requests))
            if self._store is not None:
                looks.append(self._counters(opening, self._store))
        return looks

    def _every_second(self, look: Callable[[], None]) -> None:
        while True:
            started = time.monotonic()
            look()
            gevent.sleep(max(0.05, 1 - (time.monotonic() - started)))

    def _opening(self, opening: RunOpening, requests: Requests) -> Callable[[], None]:
        seen = self.seen.openings.setdefault(opening.district, [])
        connection = connection_to(self._address)
        request = requests.get(f"/openings/{opening.district}")

        def look() -> None:
            sent_ms = self._now_us() // 1000
            try:
                answer = connection.exchange(request)
                if answer.status != 200:
                    return
                o = answers.decode_opening(answer.body)
            except (Broken, msgspec.DecodeError):
                return  # down for a moment: the residents' own errors tell of it
            now_ms = self._now_us() // 1000
            seen.append(
                OpeningSeen(
                    sent_ms,
                    now_ms,
                    o.state,
                    o.issued,
                    o.serving,
                    o.waiting,
                    o.draw.commitment,
                    o.draw.entries,
                    o.draw.seed,
                    o.draw.key,
                    o.draw.root,
                    o.draw.beacon,
                )
            )

        return look

    def _counters(self, opening: RunOpening, store: Any) -> Callable[[], None]:
        seen = self.seen.store.setdefault(opening.district, [])
        opens_at_ms = int(opening.opens_at.timestamp() * 1000) - opening.opens_us // 1000

        def look() -> None:
            sent_ms = self._now_us() // 1000
            try:
                with store.pipeline(transaction=True) as pipe:
                    pipe.hgetall(opening_key(opening.district, opening.date))
                    # only those that outlive any doubt about the clock: never counts one too many
                    pipe.zcount(passes_key(opening.district, opening.date), opens_at_ms + sent_ms + 1500, "+inf")
                    fields, alive = pipe.execute()
            except (RedisError, OSError):
                return
            now_ms = self._now_us() // 1000
            plain = {k.decode(): v.decode() for k, v in fields.items() if k != b"message"}
            seen.append(StoreSeen(sent_ms, now_ms, plain, alive))

        return look

    def _scripts(self, store: Any) -> Callable[[], None]:
        def look() -> None:
            with contextlib.suppress(RedisError, OSError):  # away for a moment
                self.seen.scripts.append((self._now_us() // 1_000_000, script_calls(store)))

        return look

    def _processes(self) -> Callable[[], None]:
        known: dict[str, dict[int, psutil.Process]] = {self._this: {psutil.Process().pid: psutil.Process()}}
        last: dict[int, tuple[float, float]] = {}
        machine = _machine()
        turn = 0
        looked = self._now_us() // 1_000_000

        def look() -> None:
            nonlocal turn, looked, machine
            if turn % 3 == 0:
                for who, pids in self._pids().items():
                    group = known.setdefault(who, {})
                    for pid in pids:
                        if pid not in group and psutil.pid_exists(pid):
                            group[pid] = psutil.Process(pid)
            turn += 1
            second = self._now_us() // 1_000_000
            ours = 0.0
            for who, group in known.items():
                percent = memory = 0.0
                for pid, process in list(group.items()):
                    try:
                        with process.oneshot():
                            times, at = process.cpu_times(), time.monotonic()
                            memory += process.memory_info().rss / 1e6
                    except psutil.Error:
                        group.pop(pid)
                        continue
                    used = times.user + times.system
                    if pid in last:
                        percent += 100 * (used - last[pid][0]) / max(at - last[pid][1], 0.001)
                    last[pid] = (used, at)
                # a look that comes late speaks for all the seconds since the last
                for since in range(min(looked + 1, second), second + 1):
                    self.seen.cpu.setdefault(who, {})[since] = percent
                self.seen.memory_mb.setdefault(who, {})[second] = memory
                ours += percent
            busy_s, at = _machine()
            others = max(0.0, 100 * (busy_s - machine[0]) / max(at - machine[1], 0.001) - ours)
            self.seen.cpu.setdefault("others", {}).update(
                (since, others) for since in range(min(looked + 1, second), second + 1)
            )
            looked, machine = second, (busy_s, at)

        return look


def _machine() -> tuple[float, float]:
    """Return the CPU seconds that all cores have been busy, those that the host kept for itself included, and when."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # guests are in user already
    twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - idle - twice, time.monotonic()


def pids_in(data_dir: Path, up_pid: int | None) -> Callable[[], dict[str, list[int]]]:
    """Say who is who for a server of ours: the store by its pid file, the workers as the children of `jiaohao up`."""

    def pids() -> dict[str, list[int]]:
        try:
            store = [int((data_dir / "store.pid").read_text())]
        except (OSError, ValueError):  # not there while the store starts again
            store = []
        workers = []
        try:
            for child in psutil.Process(up_pid).children() if up_pid is not None else ():
                # its store, Python's own helper and a night are children too
                if any("spawn_main" in word for word in child.cmdline()):
                    workers.append(child.pid)
        except psutil.Error:
            pass
        return {"workers": workers, "store": store}

    return pids
