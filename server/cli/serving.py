"""Serves: the store looked at, the workers run, and a line once they are ready."""

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

import click

from server.doctor import durability
from server.errors import SetupError
from server.settings import Settings
from server.setup import open_store


def bound(host: str, port: int) -> socket.socket:
    """A socket with this port, 0 for any that is free; nobody can connect to it yet.

    Raises:
        SetupError: another server has it, or the address is not this machine's.
    """
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port))
    except OSError as error:
        s.close()
        other = "--port" if error.errno == errno.EADDRINUSE else "--host or --port"
        raise SetupError(f"cannot listen on {host}:{port} ({error.strerror}); give another {other}") from None
    return s


async def _check_store(settings: Settings) -> None:
    # Workers wait for a store that is away, and are started again for ever; at the start it is a wrong address.
    store = await open_store(settings)
    try:
        await store.keep_offset()
        async for finding in durability(store):
            if finding.level != "ok":
                click.echo(f"jiaohao: {finding.what}; {finding.cure}", err=True)
    finally:
        await store.close()


def serve(
    settings: Settings, listener: socket.socket, workers: int | None, nights: AbstractContextManager[None] | None = None
) -> None:
    """Serve until SIGTERM or Ctrl-C; prints `ready: http://HOST:PORT` once requests are taken.

    SIGHUP replaces the workers one by one (`server.cli.workers`).

    Args:
        settings: of the workers.
        listener: where, from `bound`.
        workers: how many.
        nights: runs the nights meanwhile.

    Raises:
        SetupError: no store answers.
    """
    from server.cli.workers import Workers

    asyncio.run(_check_store(settings))
    with tempfile.TemporaryDirectory(prefix="jiaohao-metrics-") as metrics_dir, nights or nullcontext():
        os.environ.update(settings.environment(), PROMETHEUS_MULTIPROC_DIR=metrics_dir)
        server = Workers(listener, workers or os.cpu_count() or 1, settings.head_seconds)
        host, port, *_ = listener.getsockname()
        threading.Thread(target=_announce, args=(host, port), name="announcer", daemon=True).start()
        server.serve()


def shown(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def _announce(host: str, port: int) -> None:
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, shown(host))  # noqa: S104
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
