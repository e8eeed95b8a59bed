"""Rounds of one call against one worker and its store, and the CPU that they took."""

import socket
import time
from itertools import cycle
from typing import NamedTuple

import psutil

from loadtests.bench.drive import cpu_seconds, drive
from loadtests.capacity.costs import Background
from server.core.settings import Settings

_AFTERMATH_SECONDS = 0.3  # what follows an answer (the pass is freed, the message pointed to) counts as the call's


class Bench(NamedTuple):
    """A server with its store, and what to ask it."""

    port: int
    worker: list[psutil.Process]
    store: psutil.Process
    settings: Settings


def _cpu(bench: Bench) -> tuple[float, float]:
    return sum(map(cpu_seconds, bench.worker)), cpu_seconds(bench.store)


def background(bench: Bench, seconds: float) -> Background:
    """Return the CPU by second of a worker and its store while nobody asks anything."""
    before, started = _cpu(bench), time.perf_counter()
    time.sleep(seconds)
    elapsed = time.perf_counter() - started
    worker, store = (after - was for after, was in zip(_cpu(bench), before, strict=True))
    return Background(2, round(worker / elapsed * 1e6, 1), round(store / elapsed * 1e6, 1))


class Round(NamedTuple):
    worker_us: float
    store_us: float
    per_second: float


def drive_round(
    bench: Bench, asked: list[bytes], repeat: bool, connections: int, seconds: float, idle: Background
) -> Round:
    """Drive one call for a while; what a worker costs anyway is taken off.

    Raises:
        RuntimeError: an answer was not 2xx, so this was not the call's cost.
    """
    before, started = _cpu(bench), time.perf_counter()
    requests = cycle(asked) if repeat else iter(asked)
    load = drive(bench.port, requests, connections=connections, seconds=seconds if repeat else 60.0, server=[])
    time.sleep(_AFTERMATH_SECONDS)
    elapsed = time.perf_counter() - started
    if wrong := {status: n for status, n in load.statuses.items() if status // 100 != 2}:
        raise RuntimeError(f"refused: {wrong}")
    worker, store = (after - was for after, was in zip(_cpu(bench), before, strict=True))
    each = 1e6 / load.answers
    return Round(
        (worker - idle.worker_us * elapsed / 1e6) * each,
        (store - idle.store_us * elapsed / 1e6) * each,
        load.per_second,
    )


def exchange(port: int, asked: bytes) -> tuple[bytes, int]:
    """Return (the answer, its bytes without TCP).

    Raises:
        RuntimeError: refused.
    """
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(asked)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += line.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = next(int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length"))
        while len(body) < length:
            body += line.recv(65536)
    if not answer.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"refused: {head[9:12].decode()} {body.decode()}")
    return body, len(head) + 4 + len(body)


def until_called(bench: Bench, asked: bytes) -> None:
    """Wait until the last of those who are to be called has been."""
    deadline = time.monotonic() + 30
    while b'"ready"' not in exchange(bench.port, asked)[0]:
        if time.monotonic() > deadline:
            raise RuntimeError("not called in half a minute")
        time.sleep(0.1)
