"""What a crowd that only waits costs: the server's CPU while 10⁴, 10⁵, 10⁶ people poll as they are told."""

import asyncio
import heapq
import json
import os
import random
import socket
import time
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtests.bench.drive import cpu_seconds, request
from loadtests.bench.http import DISTRICT, OPENS_AT, prepare, server, stage
from server.core.settings import Settings
from server.core.tokens import Signer, Token, TokenKind
from server.records.statuses import known
from server.store.connecting import connect
from server.store.connection import Connection
from server.waiting_room.store import OpeningStore

_DRAW_SECONDS = 120


async def _crowd(settings: Settings, count: int) -> None:
    """Put so many people in the draw, straight through the script."""
    connection = Connection(await connect(settings.redis_url), settings.offset_ms)
    tag = f"{DISTRICT}:2021-06-19"
    have = 0
    while have < count:
        batch = min(1000, count - have)
        strangers, blinds = [os.urandom(16) for _ in range(batch)], os.urandom(16 * batch)
        joined = known(await OpeningStore(connection).join(tag, strangers, 0, 0, blinds))
        if joined[0].entry is None:
            raise RuntimeError(f"nobody joined: {joined[0].status}")
        have += batch
    await connection.close()


class WaitingCrowd:
    """People who poll when they were told to, over a few keep-alive connections, one request at a time each."""

    def __init__(self, port: int, settings: Settings, count: int) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        self._signer = Signer(settings.secrets)
        self._count = count
        self._due: list[tuple[float, int]] = []
        self.polls = 0

    def _ask(self, connection: socket.socket, entry: int) -> dict[str, Any]:
        token = Token(DISTRICT, date(2021, 6, 19), entry, entry.to_bytes(16, "big"), OPENS_AT + 86_400)
        connection.sendall(request("GET", "/api/v1/ticket", bearer=self._signer.sign(TokenKind.TICKET, token)))
        data = b""
        while b"}" not in data:
            data += connection.recv(65536)
        answer: dict[str, Any] = json.loads(data[data.index(b"\r\n\r\n") + 4 :])
        return answer

    def settle(self) -> None:
        """Find everyone's interval, from a sample, and put each somewhere inside it: the steady state."""
        chosen = random.Random(7)
        now = time.monotonic()
        for entry in range(self._count):
            # The interval depends on the number, which is as good as uniform: sample a thousand and interpolate.
            if entry % max(1, self._count // 1000) == 0:
                answer = self._ask(self._sockets[0], entry)
                interval = answer["poll_after_seconds"]
            self._due.append((now + chosen.random() * interval, entry))
        heapq.heapify(self._due)

    def wait(self, seconds: float) -> None:
        """Poll as told for so long."""
        ends = time.monotonic() + seconds
        turn = 0
        while (now := time.monotonic()) < ends:
            due, entry = self._due[0]
            if due > now:
                time.sleep(min(due, ends) - now)
                continue
            heapq.heappop(self._due)
            turn = (turn + 1) % len(self._sockets)
            answer = self._ask(self._sockets[turn], entry)
            self.polls += 1
            after = answer["poll_after_seconds"]
            if answer["state"] == "ready":
                after = 3600.0
            heapq.heappush(self._due, (time.monotonic() + after, entry))

    def close(self) -> None:
        """Hang up."""
        for s in self._sockets:
            s.close()


def run(seconds: float, largest: int) -> None:
    """Measure each crowd for so many seconds, a minute after its draw has closed."""
    budget = 1500.0
    table = Table(title="People who wait, one opening, 100 calls a second", title_justify="left")
    for column in (
        "waiting",
        "polls/s",
        "server CPU a second",
        "µs a poll",
        "of the budget's cost",
        "store CPU a second",
    ):
        table.add_column(column, justify="right")
    for count in (n for n in (10_000, 100_000, 1_000_000) if n <= largest):
        # The crowd must be in before the draw closes.
        filling = 2.0 + count / 60_000
        with stage(round(_DRAW_SECONDS - filling - 8)) as (settings, env, store):
            asyncio.run(prepare(settings, 1))
            with server("jiaohao", env, None) as (port, processes):
                time.sleep(1.0)
                asyncio.run(_crowd(settings, count))
                clock = time.time() + settings.offset_ms / 1000
                time.sleep(max(0.0, OPENS_AT + _DRAW_SECONDS + 2 - clock))
                crowd = WaitingCrowd(port, settings, count)
                crowd.settle()
                crowd.wait(5.0)  # warm up
                crowd.polls = 0
                before, store_before, at = (
                    [cpu_seconds(p) for p in processes],
                    cpu_seconds(store),
                    time.monotonic(),
                )
                crowd.wait(seconds)
                elapsed = time.monotonic() - at
                cpu = (sum(map(cpu_seconds, processes)) - sum(before)) / elapsed
                store_cpu = (cpu_seconds(store) - store_before) / elapsed
                crowd.close()
        per_second = crowd.polls / elapsed
        per_poll = cpu / per_second
        table.add_row(
            f"{count:,}", f"{per_second:,.0f}", f"{cpu:.3f}", f"{per_poll * 1e6:.0f}",
            f"{per_second / budget:.2f} ×", f"{store_cpu:.3f}",
        )  # fmt: skip
    console = Console(width=120)
    console.print(table)
    console.print(
        f"  the poll budget is {budget:.0f} polls a second in one opening; goal: never above 1.3 × of its cost"
    )
