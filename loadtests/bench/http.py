"""Joins and polls over HTTP, against bare ASGI and against the same service with a store call for each request."""

import contextlib
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table
from stdnum.iso7064 import mod_11_2

from loadtests.bench.drive import Load, drive, request
from server.city import load_city
from server.cli.serving import free_port
from server.demo import add_demo
from server.keys import Pepper
from server.settings import Settings, from_environment, local_secrets
from server.store.embedded import EmbeddedStore
from server.store.store import FirstDoseRecord, Store, connect
from server.tokens import Kind, Signer, Token

DISTRICT = "440106"
OPENS_AT = 1624060800  # 2021-06-19T08:00:00+08:00


@contextlib.contextmanager
def server(name: str, env: dict[str, str], core: int | None) -> Iterator[tuple[int, list[psutil.Process]]]:
    """A server of one worker in a process of its own: (port, its processes)."""
    port = free_port("127.0.0.1")
    arguments = [sys.executable, "-m", "loadtests.bench.variants", name, str(port)]
    process = subprocess.Popen(arguments + ([str(core)] if core is not None else []), env={**os.environ, **env})
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{name} did not start")
            time.sleep(0.05)
        main = psutil.Process(process.pid)
        yield port, [main, *main.children(recursive=True)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextlib.contextmanager
def stage(seconds_after_opening: int) -> Iterator[tuple[Settings, dict[str, str], psutil.Process]]:
    """A durable store, settings with the city's clock this long after 08:00, and their environment."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedStore(Path(folder)) as store:
        secrets = local_secrets(Path(folder), {})
        offset_ms = round((OPENS_AT + seconds_after_opening - time.time()) * 1000)
        settings = from_environment(secrets | {"JIAOHAO_REDIS_URL": store.url, "JIAOHAO_OFFSET_MS": str(offset_ms)})
        yield settings, settings.environment(), psutil.Process(int((Path(folder) / "store.pid").read_text()))


def papers(index: int) -> tuple[str, str, str]:
    """(ID number, name, phone) of a made-up resident."""
    year, month, day = 50 + index // 280_000, 1 + index // 28_000 % 10, 1 + index // 1000 % 28
    body = f"44010619{year:02d}{month:02d}{day:02d}{index % 1000:03d}"
    return body + mod_11_2.calc_check_digit(body), f"张{index}", f"13{index:09d}"


async def fill_registry(settings: Settings, count: int, first: int = 0) -> None:
    """Write first-dose records of so many residents."""
    pepper = Pepper(settings.pepper)
    store = Store(await connect(settings.redis_url))
    dose = date(2021, 4, 20).toordinal()
    try:
        for start in range(first, first + count, 2000):
            batch = []
            for i in range(start, min(start + 2000, first + count)):
                number, name, phone = papers(i)
                resident = pepper.resident("resident_id", number)
                match = pepper.match(resident, name, phone)
                batch.append((resident, FirstDoseRecord(dose, "inactivated", DISTRICT, match)))
            await store.keep_first_doses(batch)
    finally:
        await store.close()


def join_request(index: int) -> bytes:
    """A join of a made-up resident."""
    number, name, phone = papers(index)
    body = json.dumps({"id_type": "resident_id", "id_number": number, "name": name, "phone": phone}, ensure_ascii=False)
    return request("POST", f"/api/v1/openings/{DISTRICT}/tickets", body=body.encode())


def poll_request(settings: Settings, entry: int) -> bytes:
    """A poll with a ticket signed here."""
    token = Token(DISTRICT, date(2021, 6, 19), entry, entry.to_bytes(16, "big"), OPENS_AT + 86_400)
    return request("GET", "/api/v1/ticket", bearer=Signer(settings.secrets).sign(Kind.TICKET, token))


Side = tuple[str, Callable[[], Iterator[bytes]], int, list[psutil.Process]]


def paired(
    sides: list[Side], rounds: int, seconds: float, connections: int, store: psutil.Process
) -> dict[str, list[Load]]:
    """Run all sides in turn, round after round, so that what disturbs the machine disturbs them alike."""
    loads: dict[str, list[Load]] = {name: [] for name, *_ in sides}
    for turn in range(rounds + 1):
        for name, requests, port, processes in sides if turn % 2 else reversed(sides):
            load = drive(port, requests(), connections=connections, seconds=seconds, server=processes, store=store)
            if turn:  # the first round warms up
                loads[name].append(load)
    return loads


def report(title: str, loads: dict[str, list[Load]], subject: str, against: dict[str, str]) -> None:
    """Print medians, and the median of the round-by-round ratios."""
    table = Table(title=title, title_justify="left")
    for column in ("", "answers/s", "server CPU µs", "store CPU µs", "driver's core", "statuses"):
        table.add_column(column, justify="left" if column in ("", "statuses") else "right")
    for name, runs in loads.items():
        statuses: dict[int, int] = {}
        for run in runs:
            for status, count in run.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        row = [statistics.median(getattr(r, f) for r in runs) for f in ("per_second", "server_cpu_us", "store_cpu_us")]
        busy = statistics.median(r.driver_cpu for r in runs)
        table.add_row(name, f"{row[0]:,.0f}", f"{row[1]:.1f}", f"{row[2]:.1f}", f"{busy:.0%}", str(statuses))
    console = Console(width=120)
    console.print(table)
    for other, goal in against.items():
        ratios = sorted(a.per_second / b.per_second for a, b in zip(loads[subject], loads[other], strict=True))
        cpu = statistics.median(
            b.server_cpu_us / a.server_cpu_us for a, b in zip(loads[subject], loads[other], strict=True)
        )
        console.print(
            f"  {subject} / {other}: {statistics.median(ratios):.2f} × answers/s "
            f"(rounds {ratios[0]:.2f}-{ratios[-1]:.2f}), {cpu:.2f} × by CPU a request; goal {goal}"
        )


async def prepare(settings: Settings, residents: int) -> None:
    """Sites, demo residents and a registry large enough for the run."""
    await add_demo(settings, load_city(None))
    await fill_registry(settings, residents)


def cycle_from(
    make: Callable[[int], bytes], count: int, start: "itertools.count[int] | None" = None
) -> Iterator[bytes]:
    """Requests by index; endless over `count` of them, or onwards from a shared counter until `count`."""
    if start is None:
        ready = [make(i) for i in range(count)]
        return itertools.cycle(ready)
    return (make(i) for i in itertools.takewhile(lambda i: i < count, start))


async def join_some(settings: Settings, count: int) -> None:
    """Give so many places after the draw, straight through the script."""
    store = Store(await connect(settings.redis_url), settings.offset_ms)
    for start in range(0, count, 1000):
        await store.join(f"{DISTRICT}:2021-06-19", [i.to_bytes(16, "big") for i in range(start, start + 1000)])
    await store.close()
