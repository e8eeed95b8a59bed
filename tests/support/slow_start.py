"""A server on our hooks whose workers start as a folder says: `python -m tests.support.slow_start PORT FOLDER`.

They answer with their process's number. With a file `broken` there they end at once, and are ready once there is one
named `ready`.
"""

import asyncio
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian.constants import Interfaces

from server.cli.granian_hooks import HookedServer


class App:
    """What a worker runs."""

    def __init__(self, folder: Path) -> None:
        if (folder / "broken").exists():
            sys.exit(1)
        self._folder = folder
        self._tell: Callable[[], None]

    def when_ready(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting = loop.create_task(self._wait())

    async def _wait(self) -> None:
        while not (self._folder / "ready").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        self._tell()

    async def __rsgi__(self, scope: Any, exchange: Any) -> None:
        exchange.response_str(200, [], str(os.getpid()))


def create_app() -> App:
    """Granian calls this in each worker."""
    return App(Path(os.environ["SLOW_START"]))


class Server(HookedServer):
    """Says when a new worker was not ready."""

    def replacement_failed(self, index: int) -> None:
        print("stays", flush=True)


if __name__ == "__main__":
    port, folder = sys.argv[1:]
    os.environ["SLOW_START"] = folder
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    multiprocessing.set_start_method("spawn")
    server = Server(
        listener,
        "tests.support.slow_start:create_app",
        workers=2,
        backlog=64,
        patience_seconds=4,
        factory=True,
        interface=Interfaces.RSGI,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=5,
        log_enabled=False,
    )
    server.serve()
