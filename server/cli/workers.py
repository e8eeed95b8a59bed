"""The workers of a server: started, started again, and on SIGHUP replaced one by one without a gap."""

import multiprocessing
import socket
import subprocess
import sys
import threading
from multiprocessing.reduction import DupFd
from typing import Any

import click
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

# A new worker has so long to take requests before the one that it replaces takes no more and ends what it has.
_READY_SECONDS = 6.0
_DRAIN_SECONDS = 10
# A connection that says nothing waits so long in the kernel before a worker hears of it.
_SILENT_SECONDS = 15
_BACKLOG = 4096
# Octets of a request's head; Granian itself would keep 408 KiB for each of its thousands of connections.
_LARGEST_HEAD = 65_536
# All that can keep a new worker from starting, but for the store, which it would wait for.
_CHECK = (
    "from server.core.city import load_city; from server.core.settings import from_environment; "
    "from server.web.app import create_app; load_city(from_environment().city_file); create_app()"
)


class _Listener:
    """A socket that arrives in a new worker as Granian wants it."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def __reduce__(self) -> tuple[Any, ...]:
        return _held, (DupFd(self._listener.fileno()),)


def _held(listener: Any) -> SocketHolder:
    return SocketHolder(listener.detach(), False, _BACKLOG)  # type: ignore[call-arg]


class Workers(MPServer):
    """Granian, whose workers are fresh interpreters: so new code, and a new city file, come with SIGHUP.

    Code or a city file that does not start is said in one line, and the workers that run stay.

    Args:
        listener: where; bound.
        workers: how many.
        head_seconds: how long a request's head may take, and how long a connection may stay without a request.
    """

    def __init__(self, listener: socket.socket, workers: int, head_seconds: float) -> None:
        host, port, *_ = listener.getsockname()
        self._listener = listener
        # forked from us, a new worker would have the modules that we have, and our threads' locks
        multiprocessing.set_start_method("spawn", force=True)
        super().__init__(
            "server.web.app:create_app",
            factory=True,
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=round(head_seconds * 1000), max_buffer_size=_LARGEST_HEAD),
            websockets=False,
            workers=workers,
            backlog=_BACKLOG,
            backpressure=4096,
            respawn_failed_workers=True,
            respawn_interval=_READY_SECONDS,
            workers_kill_timeout=_DRAIN_SECONDS,
            log_level=LogLevels.warning,
        )

    def _init_shared_socket(self) -> None:
        """One queue of connections for all workers, and it outlives each of them.

        A queue for each (SO_REUSEPORT) is reset with its worker. A connection is taken from the queue once its request
        is there: a worker that is told to go closes those on which nothing has come yet.
        """
        listener = self._listener
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT_SECONDS)
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        self._shd, self._sso = _Listener(listener), None  # type: ignore[assignment]

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """SIGHUP: replace the workers, once it is known that new ones start."""
        threading.Thread(target=self._check_and_reload, name="reload", daemon=True).start()

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        """One by one, so that SIGTERM need not wait for all of them, and a new one that dies is the last."""
        for index in workers:
            if self.interrupt_signal or self.interrupt_children:
                return
            super()._respawn_workers([index], spawn_target, target_loader, delay)

    def _check_and_reload(self) -> None:
        # a session of its own: a terminal's end, which may be the SIGHUP, is not for it
        check = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _CHECK], capture_output=True, text=True, check=False, start_new_session=True
        )
        if check.returncode:
            why = (check.stderr.strip() or "it said nothing").splitlines()[-1]
            click.echo(f"jiaohao: the workers stay, for a new one would not start: {why}", err=True)
            return
        super().signal_handler_reload()  # type: ignore[no-untyped-call]
