"""All that we use of Granian beyond what it publishes; `tests/cli/test_granian_hooks.py` says what a new one changed.

Granian has no public way to hand it a socket that is bound already, to be asked before it replaces its workers, to
replace them one by one, or to answer a request without the event loop. Nothing else in this package touches its private
names.
"""

import socket
from collections.abc import Callable
from functools import partial
from multiprocessing.reduction import DupFd
from typing import Any, Protocol, runtime_checkable

from granian import _futures
from granian._granian import SocketHolder
from granian.server.mp import MPServer

# A connection that says nothing waits so long in the kernel before a worker hears of it.
_SILENT_SECONDS = 15


class _Listener:
    """A socket that arrives in a new worker as Granian wants it."""

    def __init__(self, listener: socket.socket, backlog: int) -> None:
        self._listener = listener
        self._backlog = backlog

    def __reduce__(self) -> tuple[Any, ...]:
        return _held, (DupFd(self._listener.fileno()), self._backlog)


def _held(listener: Any, backlog: int) -> SocketHolder:
    return SocketHolder(listener.detach(), False, backlog)  # type: ignore[call-arg]


@runtime_checkable
class AnswersAtOnce(Protocol):
    """An application that can answer some requests before they reach the event loop."""

    def at_once(self, scope: Any, exchange: Any) -> bool:
        """Answer a request, or say that it has not; called by Granian's thread, and must neither wait nor raise."""


def _spawned(worker_id: int, process_name: str | None, load: Callable[[], Any], *rest: Any, **named: Any) -> None:
    """A worker's process: Granian's own, whose requests an application is shown before they are scheduled.

    Granian's thread hands each request to the event loop, which must be woken for it, and makes a task. What needs
    neither is answered where it is: that is a quarter less CPU a request under load, and a third less where they come
    one by one (`python -m loadtests.bench steady`).
    """

    def loaded() -> Any:
        app = load()
        if isinstance(app, AnswersAtOnce):
            _futures._cbsched_aioschedule = partial(_scheduler, _futures._cbsched_aioschedule, app.at_once)
        return app

    MPServer._spawn_rsgi_worker(worker_id, process_name, loaded, *rest, **named)


def _scheduler(
    granians: Callable[..., Callable[[Any], None]], at_once: Callable[[Any, Any], bool], *what: Any
) -> Callable[[Any], None]:
    """What Granian calls with each request."""
    later = granians(*what)

    def schedule(request: Any) -> None:
        if not at_once(request.scope, request.proto):
            later(request)

    return schedule


class HookedServer(MPServer):
    """Granian on a socket of ours, which asks `reload_asked` on SIGHUP and replaces its workers one by one.

    Args:
        listener: where; bound, and not listening yet.
        target: makes the application of a worker.
        workers: how many.
        backlog: how many connections may wait.
        aside: a listener of its own, and what makes the application of the one worker that it has; that one is
            supervised and replaced like the others.
        options: all else as Granian has it.
    """

    def __init__(
        self,
        listener: socket.socket,
        target: str,
        *,
        workers: int = 1,
        backlog: int,
        aside: tuple[socket.socket, str] | None = None,
        **options: Any,
    ) -> None:
        host, port, *_ = listener.getsockname()
        self._listener = listener
        self._aside = aside
        self._index_aside = workers if aside else None
        workers += aside is not None
        super().__init__(target, address=host, port=port, workers=workers, backlog=backlog, **options)

    def serve(self, *args: Any, **kwargs: Any) -> None:
        """Serve, until SIGTERM or Ctrl-C; requests are shown to `AnswersAtOnce` first."""
        super().serve(*args, **{"spawn_target": _spawned, **kwargs})

    def reload_asked(self) -> None:
        """SIGHUP has come: whether `replace_workers` follows is for the subclass to say. It must not block."""
        self.replace_workers()

    def replace_workers(self) -> None:
        """Have the workers replaced, one by one, by the thread that serves."""
        super().signal_handler_reload()  # type: ignore[no-untyped-call]

    def _init_shared_socket(self) -> None:
        """One queue of connections for all workers, and it outlives each of them.

        A queue for each (SO_REUSEPORT) is reset with its worker. A connection is taken from the queue once its request
        is there: a worker that is told to go closes those on which nothing has come yet.
        """
        for listener in [self._listener, *([self._aside[0]] if self._aside else [])]:
            if hasattr(socket, "TCP_DEFER_ACCEPT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT_SECONDS)
            listener.setblocking(False)
            listener.listen(self.backlog)
        self._shd, self._sso = _Listener(self._listener, self.backlog), None  # type: ignore[assignment]

    def _spawn_worker(  # type: ignore[override]  # of Granian's two, MPServer's
        self, idx: int, target: Any, callback_loader: Any
    ) -> Any:
        """A worker of the shared listener, or the one that has its own."""
        if self._aside is None or idx != self._index_aside:
            return super()._spawn_worker(idx, target, callback_loader)
        listener, application = self._aside
        load = partial(callback_loader.func, application, *callback_loader.args[1:], **callback_loader.keywords)
        shared = self._shd
        try:
            self._shd = _Listener(listener, self.backlog)  # type: ignore[assignment]
            return super()._spawn_worker(idx, target, load)
        finally:
            self._shd = shared

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """Granian's handler of SIGHUP."""
        self.reload_asked()

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        """One by one, so that SIGTERM need not wait for all of them, and a new one that dies is the last."""
        for index in workers:
            if self.interrupt_signal or self.interrupt_children:
                return
            super()._respawn_workers([index], spawn_target, target_loader, delay)
