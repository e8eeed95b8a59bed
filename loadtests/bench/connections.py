"""What connections cost a worker: idle ones, and those of visitors who come once."""

import asyncio
import itertools
import os
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click
import psutil
from rich.console import Console
from rich.table import Table

from loadtests.bench.drive import cpu_seconds, request
from loadtests.bench.http import join_request, places_far_behind, poll_request, prepare, stage
from loadtests.bench.served import Served, served
from loadtests.bench.visitors import VisitorsResult, visit
from loadtests.run.front import FRONTS, Front
from server.core.settings import Settings

_BENCH_VIA = b"via: 1.1 bench\r\n"


@click.command()
@click.option("--connections", "most", default=8000, show_default=True, help="How many are opened, in steps.")
@click.option("--steps", default=4, show_default=True)
def idle(most: int, steps: int) -> None:
    """Memory of a worker's idle connections: each asks once, and stays."""
    own_soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        _, env, store = stack.enter_context(stage(130))
        env |= {"JIAOHAO_CONNECTIONS": str(most * 2), "JIAOHAO_HEAD_SECONDS": "600"}
        server = stack.enter_context(served(env, store, None, None))
        look = request("GET", "/healthz")
        _ask(server, look, 500).clear()  # what a worker has once it has worked
        time.sleep(0.5)
        table = Table(title="Idle connections of a worker, each after one answer", title_justify="left")
        for column in ("connections", "RSS MB", "MB a thousand more", "MB a thousand, all"):
            table.add_column(column, justify="right")
        first = last = server.worker.memory_info().rss
        table.add_row("0", f"{first / 1e6:.1f}", "", "")
        held: list[socket.socket] = []
        for _ in range(steps):
            held += _ask(server, look, most // steps)
            time.sleep(0.3)
            rss = server.worker.memory_info().rss
            more, every = (rss - last) / (most // steps) / 1e3, (rss - first) / len(held) / 1e3
            table.add_row(f"{len(held):,}", f"{rss / 1e6:.1f}", f"{more:.1f}", f"{every:.1f}")
            last = rss
        Console(width=120).print(table)
        for s in held:
            s.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (own_soft, hard))


def _ask(server: Served, look: bytes, many: int) -> list[socket.socket]:
    """Return so many connections, each of which has been answered once."""
    found = []
    for _ in range(many):
        s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        s.sendall(look)
        if not s.recv(4096):
            raise RuntimeError("a connection was closed")
        found.append(s)
    return found


@click.command()
@click.option("--rate", "rates", default=[2000.0], show_default=True, multiple=True, help="New visitors a second.")
@click.option("--seconds", default=20.0, show_default=True, help="At each rate; a full worker shows after ten.")
@click.option("--call", type=click.Choice(["join", "poll"]), default="join", show_default=True)
@click.option("--rounds", default=1, show_default=True)
@click.option("--before", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another checkout.")
@click.option("--front", type=click.Choice(FRONTS), help="Through this proxy, as `jiaohao front` sets it up.")
@click.option("--generators", default=1, show_default=True, help="Processes that visitors come from.")
@click.option("--pin/--no-pin", default=True, help="Keep the server on core 0, generator and store on the others.")
def visitors(
    rates: tuple[float, ...],
    seconds: float,
    call: str,
    rounds: int,
    before: Path | None,
    front: str | None,
    generators: int,
    pin: bool,
) -> None:
    """New visitors a second: each has a connection of their own, asks once, and does not close it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sides = {"this": None} | ({"before": before} if before else {})
    with ExitStack() as stack:
        settings, env, store = stack.enter_context(stage(130))
        cores = range(os.cpu_count() or 1)
        pin = pin and len(cores) > 1
        if pin:
            os.sched_setaffinity(0, cores[1:])
            os.sched_setaffinity(store.pid, cores[1:])
        needed = int(sum(rates) * seconds) * rounds * len(sides) + 1000 if call == "join" else 0
        asyncio.run(prepare(settings, needed))
        asked = map(join_request, itertools.count()) if call == "join" else _polls(settings)
        requests: Iterator[bytes] = (each.replace(_BENCH_VIA, b"") for each in asked)
        found: list[tuple[str, VisitorsResult]] = []
        for _ in range(rounds):
            for rate in rates:
                for side, code in sides.items():
                    with served(env, store, code, 0 if pin else None) as server:
                        ready = list(itertools.islice(requests, int(rate * seconds) + 2 * generators))
                        come = partial(visit, requests=ready, per_second=rate, seconds=seconds, generators=generators)
                        found.append((side, _visit(server, front, env, come)))
        _report(call, found)


def _polls(settings: Settings) -> Iterator[bytes]:
    """Yield polls of people who wait; the first is asked for when a server runs."""
    far = asyncio.run(places_far_behind(settings))
    for entry in itertools.cycle(far):
        yield poll_request(settings, entry)


def _visit(
    server: Served, front: str | None, env: dict[str, str], come: Callable[..., VisitorsResult]
) -> VisitorsResult:
    """Let them come, straight to the worker or through a proxy."""
    if front is None:
        return come(server.port, worker=server.worker)
    before_it = Front(front, os.environ | env)
    try:
        url = urlsplit(before_it.start(f"http://127.0.0.1:{server.port}"))
        trust = None
        if before_it.certificate is not None:
            trust = ssl.create_default_context(cafile=before_it.certificate)
            # What a browser spends on checking it is not the server's to bear, and the generator shares its cores.
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
            trust.minimum_version = ssl.TLSVersion.TLSv1_3
        proxy = [psutil.Process(pid) for pid in before_it.pids()]
        used, began = sum(map(cpu_seconds, proxy)), time.perf_counter()
        found = come(int(url.port or 0), worker=server.worker, tls=trust)
        found.proxy_cpu = (sum(map(cpu_seconds, proxy)) - used) / (time.perf_counter() - began)
        return found
    finally:
        before_it.stop()


def _report(call: str, found: list[tuple[str, VisitorsResult]]) -> None:
    title = f"New visitors, each on a connection of their own, who {call} once and leave it open"
    table = Table(title=title, title_justify="left")
    for column in (
        "",
        "a second",
        "p50 ms",
        "p99 ms",
        "open at most",
        "worker's core",
        "proxy's",
        "generator's",
        "statuses",
    ):
        table.add_column(column, justify="left" if column in ("", "statuses") else "right")
    for side, it in found:
        table.add_row(
            side, f"{it.rate:,.0f}", f"{it.percentile(0.5):,.1f}", f"{it.percentile(0.99):,.1f}", f"{it.most_open:,}",
            f"{it.worker_cpu:.2f}", f"{it.proxy_cpu:.2f}", f"{it.generator_cpu:.2f}", str(it.statuses),
        )  # fmt: skip
    Console(width=140).print(table)
    Console(width=140).print("  0: no answer in 5 s, or none at all; goal: 2,000 a second with p99 ≤ 1 s")
