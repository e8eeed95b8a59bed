"""What a call costs where few come at once: requests at a fixed rate, due at random, whatever the server does.

Under load a wake-up brings many requests, and what runs is in the caches; at an opening's usual rate it brings one, and
finds them cold. The closed loop of `drive` sees the first, and an opening is the second.
"""

import contextlib
import random
import re
import select
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from loadtests.bench.drive import cpu_seconds

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_WAITS = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)


class SteadyResult(msgspec.Struct):
    """What a run measured: CPU microseconds an answer, how often a thread of the server went to sleep, latency."""

    answers: int
    seconds: float
    server_cpu_us: float
    store_cpu_us: float
    waits: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]


def drive_steadily(
    port: int,
    requests: Iterator[bytes],
    *,
    per_second: float,
    connections: int,
    seconds: float,
    server: list[psutil.Process],
    store: psutil.Process,
) -> SteadyResult:
    """Send requests when they are due, each on a connection that is free; latency counts from due time.

    Args:
        port: on 127.0.0.1.
        requests: whole HTTP/1.1 requests; the run ends when they run out.
        per_second: how many are due; the pauses between them are random.
        connections: how many may be under way at once.
        seconds: for how long.
        server: processes whose CPU time counts as the server's.
        store: the store's process.
    """
    poll, pauses = select.epoll(), random.Random(1)
    sockets = {}
    for _ in range(connections):
        line = socket.create_connection(("127.0.0.1", port))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[line.fileno()] = line
        poll.register(line.fileno(), select.EPOLLIN)
    free, due_of, parts = list(sockets.values()), dict[int, float](), dict[int, bytes]()
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    before = sum(map(cpu_seconds, server)), cpu_seconds(store), _waits(server)
    due = started = time.perf_counter()
    ends, request = started + seconds, next(requests, None)
    while request is not None and time.perf_counter() < ends:
        while request is not None and free and due <= time.perf_counter():
            line = free.pop(pauses.randrange(len(free)))
            line.send(request)
            due_of[line.fileno()] = due
            due += pauses.expovariate(per_second)
            request = next(requests, None)
        for fd, _ in poll.poll(max(0.0, due - time.perf_counter()) if free else 1.0):
            data = parts.pop(fd, b"") + sockets[fd].recv(65536)
            if not data:
                raise ConnectionError("the server closed a connection")
            if not _is_whole(data):
                parts[fd] = data
                continue
            latencies.append(time.perf_counter() - due_of[fd])
            statuses[int(data[9:12])] = statuses.get(int(data[9:12]), 0) + 1
            free.append(sockets[fd])
    elapsed = time.perf_counter() - started
    after = sum(map(cpu_seconds, server)), cpu_seconds(store), _waits(server)
    for line in sockets.values():
        line.close()
    poll.close()
    if not latencies:
        raise RuntimeError("nobody is left to call; take fewer --rounds or --seconds")
    each = 1 / len(latencies)
    latencies.sort()
    return SteadyResult(
        answers=len(latencies),
        seconds=elapsed,
        server_cpu_us=(after[0] - before[0]) * each * 1e6,
        store_cpu_us=(after[1] - before[1]) * each * 1e6,
        waits=(after[2] - before[2]) * each,
        p50_ms=latencies[len(latencies) // 2] * 1e3,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1e3,
        statuses=statuses,
    )


def _is_whole(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n")
    length = _LENGTH.search(data, 0, end) if end >= 0 else None
    return end >= 0 and not (length and len(data) < end + 4 + int(length[1]))


def _waits(processes: list[psutil.Process]) -> int:
    """How often threads of these processes have waited so far; 0 where the system does not tell it thread by thread."""
    waits = 0
    for process in processes:
        for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):  # the thread has ended
                found = _WAITS.search(status.read_text())
                waits += int(found[1]) if found else 0
    return waits


def report(
    calls: dict[str, Callable[[], Iterator[bytes]]],
    port: int,
    server: list[psutil.Process],
    store: psutil.Process,
    *,
    per_second: float,
    connections: int,
    seconds: float,
    rounds: int,
) -> None:
    """Measure each call by itself and print medians."""
    table = Table(title=f"{per_second:g} a second, {connections} connections", title_justify="left")
    for column in ("", "worker CPU µs", "waits", "store CPU µs", "p50 ms", "p99 ms", "statuses"):
        table.add_column(column, justify="left" if column in ("", "statuses") else "right")
    for name, requests in calls.items():
        runs = []
        for _ in range(rounds):
            run = drive_steadily(
                port, requests(), per_second=per_second, connections=connections, seconds=seconds, server=server,
                store=store,
            )  # fmt: skip
            runs.append(run)

        def median(figure: str, runs: list[SteadyResult] = runs) -> float:
            return float(statistics.median(getattr(run, figure) for run in runs))

        figures = [median(it) for it in ("server_cpu_us", "waits", "store_cpu_us", "p50_ms", "p99_ms")]
        statuses = {status for run in runs for status in run.statuses}
        words = [f"{figure:.1f}" for figure in figures]
        table.add_row(name.replace("_", " "), *words, ", ".join(map(str, sorted(statuses))))
    Console(width=120).print(table)
