"""The workers of a server: started, started again, and on SIGHUP replaced one by one without a gap."""

import multiprocessing
import socket
import subprocess
import sys
import threading

import click
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels

from server.cli.granian_hooks import HookedServer
from server.core.open_files import with_reserve
from server.core.settings import Settings

# In which a new worker must have heard from the store; it waits for one that is away for half of that.
_READY_SECONDS = 60.0
# A worker that has died is started again so long after it was started last, at the earliest.
_AGAIN_SECONDS = 6.0
_DRAIN_SECONDS = 10
_BACKLOG = 4096
# Octets of a request's head; Granian itself would keep 408 KiB for each of its thousands of connections.
_LARGEST_HEAD = 65_536
# All that can keep a new worker from starting, but for the store, which it would wait for.
_CHECK = (
    "from server.core.city import load_city; from server.core.settings import from_environment; "
    "from server.web.app import create_app; load_city(from_environment().city_file); create_app()"
)


class Workers(HookedServer):
    """Granian, whose workers are fresh interpreters: so new code, and a new city file, come with SIGHUP.

    Code or a city file that does not start is said in one line, and the workers that run stay.

    Args:
        listener: where; bound.
        workers: how many.
        settings: how long connections are held, and how many.
        operations: bound, for operators and monitoring: one more worker answers there, whatever the crowd does.
    """

    def __init__(
        self, listener: socket.socket, workers: int, settings: Settings, operations: socket.socket | None = None
    ) -> None:
        # forked from us, a new worker would have the modules that we have, and our threads' locks
        multiprocessing.set_start_method("spawn", force=True)
        head_ms = round(settings.head_seconds * 1000)
        super().__init__(
            listener,
            "server.web.app:create_app",
            aside=(operations, "server.web.app:create_operations_app") if operations else None,
            patience_seconds=_READY_SECONDS,
            factory=True,
            interface=Interfaces.RSGI,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=head_ms, max_buffer_size=_LARGEST_HEAD),
            # Measured at 1,200 requests a second and with the core full (`loadtests.bench steady`, `polls`, `joins`):
            # `mt` with its one thread is 0.85-0.94 x the CPU of `st` a poll, and never more. Tasks of Granian's own
            # (`rust`) are none of asyncio's, which our timeouts ask for, and end with Python 3.11. Threads beyond one
            # each compete for the GIL, which one thread of Granian's takes for all requests anyway.
            runtime_mode=RuntimeModes.mt,
            runtime_threads=1,
            websockets=False,
            workers=workers,
            backlog=_BACKLOG,
            backpressure=with_reserve(settings.connections),  # beyond these nothing is taken, and nothing said
            respawn_failed_workers=True,
            respawn_interval=_AGAIN_SECONDS,
            workers_kill_timeout=_DRAIN_SECONDS,
            log_level=LogLevels.warning,
        )

    def reload_asked(self) -> None:
        """Replace the workers, once it is known that new ones start."""
        threading.Thread(target=self._check_and_reload, name="reload", daemon=True).start()

    def _check_and_reload(self) -> None:
        # a session of its own: a terminal's end, which may be the SIGHUP, is not for it
        check = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _CHECK], capture_output=True, text=True, check=False, start_new_session=True
        )
        if check.returncode:
            why = (check.stderr.strip() or "it said nothing").splitlines()[-1]
            click.echo(f"jiaohao: the workers stay, for a new one would not start: {why}", err=True)
            return
        self.replace_workers()

    def replacement_failed(self, index: int) -> None:
        """Say that a new worker was not ready, and what to do."""
        click.echo(
            f"jiaohao: the workers stay, for a new one was not ready in {_READY_SECONDS:.0f} s; "
            "see the log above and `jiaohao doctor`, then send SIGHUP again",
            err=True,
        )
