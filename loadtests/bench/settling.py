"""How long after a draw's end its numbers are known: a real store and a real server, without a beacon."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from loadtests.bench.drive import cpu_seconds, request
from loadtests.bench.http import DAY, DISTRICT, OPENS_AT, poll_request, stage
from loadtests.bench.served import Served, served
from server.core.keys import Pepper, opening_tag
from server.core.settings import Settings
from server.records.statuses import known
from server.store.agreed import Agreement
from server.store.connecting import connect
from server.store.connection import Connection
from server.waiting_room.store import OpeningStore

_ENDS_AT = OPENS_AT + 120
_BATCH = 1000
_LOOK_SECONDS = 0.01
_GIVE_UP_SECONDS = 60
_HEAD_SECONDS = 5  # for the server to see the opening, and for the last joins
_FIRST = b"first resident".ljust(16, b"-")


class Settled(NamedTuple):
    """When something was first answered, in seconds from the draw's end; CPU of worker and store from then on."""

    joined_by: float
    root: float
    number: float
    worker_cpu: float
    store_cpu: float


async def _join(settings: Settings, entries: int, spread: float) -> float:
    """Have so many people join, evenly over the last seconds of the draw; say when the last one had."""
    connection = Connection(await connect(settings.redis_url))
    offset_ms = await Agreement(connection).follow_offset()
    pepper, tag, store = Pepper(settings.pepper), opening_tag(DISTRICT, DAY), OpeningStore(connection)
    begins = _ENDS_AT - spread - 1
    joined = 0
    try:
        while joined < entries:
            due = begins + spread * joined / entries
            await asyncio.sleep(max(0.0, due - _city_s(offset_ms)))
            residents = [os.urandom(16) for _ in range(min(_BATCH, entries - joined))]
            if not joined:
                residents[0] = _FIRST
            blinds = b"".join([pepper.blind(tag, resident) for resident in residents])
            told = known(await store.join(tag, residents, blinds=blinds))
            if told[0].entry is None:
                raise RuntimeError(f"nobody joined: {told[0].status}")
            joined += len(residents)
        return _city_s(offset_ms) - _ENDS_AT
    finally:
        await connection.close()


def _city_s(offset_ms: int) -> float:
    return time.time() + offset_ms / 1000


def _measure(settings: Settings, env: dict[str, str], store: Any, entries: int, spread: float) -> Settled:
    clock = datetime.fromtimestamp(_ENDS_AT - spread - _HEAD_SECONDS, UTC).isoformat()
    with served(env, store, None, None, clock) as server:
        joined_by = asyncio.run(_join(settings, entries, spread))
        offset_ms = asyncio.run(_offset_ms(settings))
        time.sleep(max(0.0, _ENDS_AT - _city_s(offset_ms)))
        before = cpu_seconds(server.worker), cpu_seconds(store)
        root, number = _watch(server, settings, offset_ms)
        spent = cpu_seconds(server.worker) - before[0], cpu_seconds(store) - before[1]
        return Settled(joined_by, root, number, *spent)


async def _offset_ms(settings: Settings) -> int:
    connection = Connection(await connect(settings.redis_url))
    try:
        return await Agreement(connection).follow_offset()
    finally:
        await connection.close()


def _watch(server: Served, settings: Settings, offset_ms: int) -> tuple[float, float]:
    """Ask again and again until a ticket's number is answered; say when the root was, and the number."""
    public, ticket = request("GET", f"/api/v1/openings/{DISTRICT}"), poll_request(settings, 0, _FIRST)
    root = 0.0
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        while (now_s := _city_s(offset_ms) - _ENDS_AT) < _GIVE_UP_SECONDS:
            if not root and _ask(line, public)["draw"]["root"]:
                root = _city_s(offset_ms) - _ENDS_AT
            if _ask(line, ticket).get("number"):
                return root, _city_s(offset_ms) - _ENDS_AT
            time.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"no number after {now_s:.0f} s")


def _ask(line: socket.socket, asked: bytes) -> dict[str, Any]:
    line.sendall(asked)
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(next(it for it in head.lower().split(b"\r\n") if it.startswith(b"content-length:")).split(b":")[1])
    while len(body) < length:
        body += line.recv(65_536)
    found: dict[str, Any] = json.loads(body)
    return found


@click.command()
@click.option("--entries", default=600_000, show_default=True, help="Who share the draw.")
@click.option("--spread", "spreads", default=[60.0, 10.0], multiple=True, show_default=True,
              help="Over how many of the draw's last seconds they join; several for several rows.")  # fmt: skip
@click.option("--rounds", default=1, show_default=True)
def settling(entries: int, spreads: tuple[float, ...], rounds: int) -> None:
    """From the draw's end to the first answered number: a store that fsyncs, one worker, no beacon.

    Everybody joins by the real script; the worker takes the entries in as they come, and is asked by the public answer
    and by a ticket every hundredth of a second.
    """
    table = Table(title=f"{entries:,} entries: seconds from the draw's end, without a beacon", title_justify="left")
    for column in ("joined over s", "last join", "root public", "first number", "worker CPU s", "store CPU s"):
        table.add_column(column, justify="right")
    for spread in spreads:
        for _ in range(rounds):
            with ExitStack() as stack:
                settings, env, store = stack.enter_context(stage(0))
                found = _measure(settings, env, store, entries, spread)
            table.add_row(f"{spread:g}", *(f"{it:.2f}" for it in found))
    console = Console(width=120)
    console.print(table)
    console.print("goal: the first number within 2 s")
