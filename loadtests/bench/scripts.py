"""What a join costs in the store, and how many bytes a waiting resident takes, as the crowd grows to ten million."""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from redis import Redis
from rich.console import Console
from rich.table import Table

from server.store.connecting import connect
from server.store.connection import Connection
from server.store.embedded import EmbeddedStore
from server.waiting_room.store import OpeningStore

_DAY_MS = 86_400_000
_PROBE = 20_000


async def _open(connection: Connection, tag: str) -> None:
    now_ms = round(time.time() * 1000)
    await OpeningStore(connection).prepare(
        tag, opens_ms=now_ms - 1000, draw_ms=now_ms + _DAY_MS, closes_ms=now_ms + 2 * _DAY_MS,
        claim_ms=300_000, pass_ms=600_000, grace_ms=600_000,
        poll_budget=1500, rate=100, max_active=30_000, beacon="", commitment="", sealed="",
        night_commitment="", night_sealed="",
    )  # fmt: skip


def _strangers(count: int) -> tuple[list[bytes], int, int, bytes]:
    """Return so many residents whom nobody has seen, no bound on the places they may give up, and their blinds."""
    return [os.urandom(16) for _ in range(count)], 0, 0, os.urandom(16 * count)


def _spent(redis: "Redis", since: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Return (script µs, CPU µs of the store) since an earlier reading."""
    script = redis.info("commandstats").get("cmdstat_evalsha", {"usec": 0})["usec"]
    cpu = redis.info("cpu")
    return script - since[0], (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6 - since[1]


async def _measure(sizes: list[int], batch: int, rounds: int) -> None:
    table = Table(title=f"join.lua, {batch} residents a call, appendfsync always", title_justify="left")
    for column in ("waiting", "script µs a join", "store CPU µs a join", "bytes a resident"):
        table.add_column(column, justify="right")
    figures: dict[int, list[tuple[float, float, float]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, EmbeddedStore(Path(folder)) as embedded:
            redis = Redis.from_url(embedded.url)
            connection = Connection(await connect(embedded.url))
            tag = "440106:2021-06-19"
            await _open(connection, tag)
            before = redis.info("memory")["used_memory"]
            waiting = 0
            for size in sizes:
                while waiting < size - _PROBE // 2:
                    calls = min(50, max(1, (size - _PROBE // 2 - waiting) // batch))
                    await asyncio.gather(
                        *(OpeningStore(connection).join(tag, *_strangers(batch)) for _ in range(calls))
                    )
                    waiting += calls * batch
                start = _spent(redis)
                for _ in range(_PROBE // batch):
                    await OpeningStore(connection).join(tag, *_strangers(batch))
                script, cpu = _spent(redis, start)
                joined = _PROBE // batch * batch
                waiting += joined
                held = (redis.info("memory")["used_memory"] - before) / waiting
                figures[size].append((script / joined, cpu / joined, held))
            await connection.close()
            redis.close()
    for size in sizes:
        script, cpu, held = (statistics.median(f[i] for f in figures[size]) for i in range(3))
        table.add_row(f"{size:,}", f"{script:.2f}", f"{cpu:.2f}", f"{held:.1f}")
    console = Console(width=120)
    console.print(table)
    for i, what in enumerate(("script", "store CPU")):
        ratio = statistics.median(figures[sizes[-1]][r][i] / figures[sizes[0]][r][i] for r in range(rounds))
        console.print(f"  {what} a join, {sizes[-1]:,} / {sizes[0]:,} waiting: {ratio:.2f} ×; goal ≤ 1.25 ×")


def run(largest: int, batch: int, rounds: int) -> None:
    """Measure at powers of ten from 10⁴ to `largest`."""
    sizes = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size <= largest]
    asyncio.run(_measure(sizes, batch, rounds))
