"""Serves: the store and its clock looked at, the workers run, and a line once they are ready."""

import asyncio
import errno
import json
import os
import socket
import tempfile
import threading
import time
import urllib.request
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import NamedTuple

import click
import msgspec

from server.cli.options import OperationsAddress
from server.core.city import City
from server.core.clock import from_ms
from server.core.errors import SetupError
from server.core.open_files import allow_files, files_needed
from server.core.settings import PUBLIC_LISTENER, Settings
from server.fairness.beacon import BeaconUnverifiable, can_verify, chain_named
from server.operations.store_findings import store_findings
from server.store.address import name_of, naming_also, read_address
from server.store.connection import Connection
from server.store.setup import agree_on_clock, open_store


def bound(host: str, port: int, options: str = "--host or --port") -> socket.socket:
    """A socket with this port, 0 for any that is free; nobody can connect to it yet.

    Args:
        options: by which the two were given.

    Raises:
        SetupError: another server has it, or the address is not this machine's.
    """
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port))
    except OSError as error:
        s.close()
        other = options.rpartition(" ")[2] if error.errno == errno.EADDRINUSE else options
        raise SetupError(f"cannot listen on {host}:{port} ({error.strerror}); give another {other}") from None
    return s


def bound_for_operations(asked: OperationsAddress | None, default: OperationsAddress | None) -> socket.socket | None:
    """A socket for the operators, or None where there is to be none.

    Args:
        asked: by the option.
        default: where nothing was asked; where another server has it, a free port is taken, for it is that one's twin.

    Raises:
        SetupError: what was asked for cannot be had.
    """
    if asked is not None:
        return bound(asked.host, asked.port, "--operations") if asked.host else None
    if default is None:
        return None
    try:
        return bound(default.host, default.port)
    except SetupError:
        return bound(default.host, 0)


def check_beacon(city: City) -> None:
    """Raises SetupError: the city names a beacon that this Python cannot verify, or one that nobody can."""
    if city.beacon is None:
        return
    if not can_verify():
        raise SetupError(f"the city file names a beacon, and {BeaconUnverifiable()}; run that, or leave [beacon] out")
    chain = chain_named(city.beacon.chain)
    if chain is None or not chain.has_valid_key():
        raise SetupError("beacon.chain: its public key is none of a network of drand")


class CityClock(NamedTuple):
    """What was asked of the city's clock: where it starts (None: it is now), and whether whatever the time is that the
    store has is to be given up for it."""

    starts: datetime | None
    anew: bool


def look_at_store(settings: Settings, city: City, clock: CityClock) -> Settings:
    """What must be known before anything is served: the store answers, what is wrong with it, and the city's clock.

    There is one clock for all who work on a store: whoever comes first sets it, the others follow, and say so.

    Returns:
        The settings, by that clock; of a cluster they name all its nodes.

    Raises:
        SetupError: no store answers.
    """
    return asyncio.run(_look_at_store(settings, city, clock))


async def _look_at_store(settings: Settings, city: City, clock: CityClock) -> Settings:
    # Workers wait for a store that is away, and are started again for ever; at the start it is a wrong address.
    connection = await open_store(settings)
    try:
        agreed = await agree_on_clock(connection, clock.starts, anew=clock.anew)
        if not agreed.as_wanted:
            now = from_ms(agreed.now_ms, city.tz)
            _say(f"in this store it is {now.isoformat()}, and the city's clock follows it; --reset-clock sets it anew")
        is_anybody = read_address(settings.redis_url).username is None
        async for finding in store_findings(settings, connection, thorough=is_anybody):
            if finding.level != "ok":
                _say(f"{finding.what}; {finding.cure}")
        return msgspec.structs.replace(
            settings, redis_url=_with_nodes(settings.redis_url, connection), offset_ms=agreed.offset_ms
        )
    finally:
        await connection.close()


def _with_nodes(url: str, connection: Connection) -> str:
    """Where a worker that is started later finds the cluster: also while the node that was named is away."""
    if not connection.is_cluster:
        return url
    named = (node.name.rpartition(":") for node in connection.known_nodes())
    return naming_also(url, [name_of(host, int(port)) for host, _, port in named])


def _say(line: str) -> None:
    click.echo(f"jiaohao: {line}", err=True)


def serve(
    settings: Settings,
    listener: socket.socket,
    workers: int | None,
    operations: socket.socket | None = None,
    nights: AbstractContextManager[None] | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; prints `ready: http://HOST:PORT` once requests are taken.

    SIGHUP replaces the workers one by one (`server.cli.workers`).

    Args:
        settings: of the workers, from `look_at_store`.
        listener: where, from `bound`.
        workers: how many.
        operations: for the operators, from `bound_for_operations`.
        nights: runs the nights meanwhile.
    """
    from server.cli.workers import Workers

    connections = allow_files(settings.connections)
    if connections < settings.connections:
        _say(
            f"a worker holds {connections} connections, not {settings.connections}: this machine allows no more open "
            f"files (ulimit -Hn {files_needed(settings.connections)}; systemd: LimitNOFILE=)"
        )
        settings = msgspec.structs.replace(settings, connections=connections)
    with tempfile.TemporaryDirectory(prefix="jiaohao-metrics-") as metrics_dir, nights or nullcontext():
        os.environ.update(settings.environment(), PROMETHEUS_MULTIPROC_DIR=metrics_dir)
        server = Workers(listener, workers or os.cpu_count() or 1, settings, operations)
        host, port, *_ = listener.getsockname()
        os.environ[PUBLIC_LISTENER] = f"{_reached(host)}:{port}"
        if operations is not None:
            its_host, its_port, *_ = operations.getsockname()
            click.echo(f"operations: http://{shown(its_host)}:{its_port} (/healthz, /readyz, /metrics, /ops)")
        threading.Thread(target=_announce, args=(host, port), name="announcer", daemon=True).start()
        server.serve()


def shown(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def _reached(host: str) -> str:
    """Where this machine reaches a listener of its own."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, shown(host))  # noqa: S104


def _announce(host: str, port: int) -> None:
    reached = _reached(host)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    time.sleep(0.5)  # the workers are started first
    while time.monotonic() < deadline:
        try:
            with opener.open(f"http://{reached}:{port}/readyz", timeout=2) as answer:
                if json.load(answer).get("status") == "ready":
                    break
        except (OSError, ValueError):
            time.sleep(0.05)
    else:
        click.echo("jiaohao: the workers are not ready after two minutes; see the log above", err=True)
        return
    click.echo(f"ready: http://{shown(host)}:{port}")
