"""All that we use of Granian beyond what it publishes; `tests/cli/test_granian_hooks.py` says what a new one changed.

Granian has no public way to hand it a socket that is bound already, to be asked before it replaces its workers, to
replace each once the next one is ready, or to answer a request without the event loop. Nothing else in this package
touches its private names.
"""

import contextlib
import socket
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Any, NamedTuple, Protocol, runtime_checkable

from granian import _futures
from granian._granian import SocketHolder
from granian.server.mp import MPServer

# A connection that says nothing waits so long in the kernel before a worker hears of it.
_SILENT_SECONDS = 15
# How soon SIGTERM is heard of while a new worker is waited for.
_LOOK_SECONDS = 0.2


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


@runtime_checkable
class TellsWhenReady(Protocol):
    """An application that is not ready as soon as it is loaded."""

    def when_ready(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, once, when requests can be answered well."""


class _Loading(NamedTuple):
    """What makes a worker's application, and the pipe on which the worker says that it is ready."""

    load: Callable[[], Any]
    pipe: Connection

    def __call__(self) -> Any:
        app = self.load()
        if isinstance(app, TellsWhenReady):
            app.when_ready(self._tell)
        else:
            self._tell()
        return app

    def _tell(self) -> None:
        with contextlib.suppress(OSError):  # nobody waits for it any more
            self.pipe.send_bytes(b"ready")


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


def _lives(worker: Any) -> bool:
    return bool(worker.is_alive())


class HookedServer(MPServer):
    """Granian on a socket of ours, which asks `reload_asked` on SIGHUP and replaces its workers one by one.

    A worker is told to go once the one in its place has said that it is ready. Where that one does not, the others
    stay as they are; and as long as one of them answers, those that die are started again for ever (Granian itself
    would end the server, and with it those that answer).

    Args:
        listener: where; bound, and not listening yet.
        target: makes the application of a worker.
        workers: how many.
        backlog: how many connections may wait.
        aside: a listener of its own, and what makes the application of the one worker that it has; that one is
            supervised and replaced like the others.
        patience_seconds: in which a new worker must be ready.
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
        patience_seconds: float = 60.0,
        **options: Any,
    ) -> None:
        host, port, *_ = listener.getsockname()
        self._listener = listener
        self._aside = aside
        self._index_aside = workers if aside else None
        workers += aside is not None
        self._patience_seconds = patience_seconds
        self._pipes: dict[int, Connection] = {}  # of the latest worker at each index
        self._up: set[int] = set()  # whose latest worker has said that it is ready
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
        # the end for telling lives in what the process is started with, and goes with it: its death is heard as well
        self._pipes[idx], tells = Pipe(duplex=False)
        self._up.discard(idx)
        if self._aside is None or idx != self._index_aside:
            return super()._spawn_worker(idx, target, _Loading(callback_loader, tells))
        listener, application = self._aside
        load = partial(callback_loader.func, application, *callback_loader.args[1:], **callback_loader.keywords)
        shared = self._shd
        try:
            self._shd = _Listener(listener, self.backlog)  # type: ignore[assignment]
            return super()._spawn_worker(idx, target, _Loading(load, tells))
        finally:
            self._shd = shared

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """Granian's handler of SIGHUP."""
        self.reload_asked()

    def replacement_failed(self, index: int) -> None:
        """A new worker was not ready in time, and the one that it should replace stays, as do those after it."""

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        """Start those again that have died; and in a reload, which alone has a delay, replace the others."""
        for index in workers:
            if self.interrupt_signal:
                return
            if not _lives(self.wrks[index]):
                self._start_again(index, spawn_target, target_loader)
            elif delay and not self._replace(index, spawn_target, target_loader):
                if not self.interrupt_signal:
                    self.replacement_failed(index)
                return

    def _start_again(self, index: int, spawn_target: Any, target_loader: Any) -> None:
        """One that has died; not at once where it had just been started, for what ends it will end the next one too."""
        others = any(_lives(worker) and self._is_up(worker.idx) for worker in self.wrks)
        if others:
            again_at = self.wrks[index].birth + self.respawn_interval
            while not self.interrupt_signal and time.monotonic() < again_at:
                time.sleep(_LOOK_SECONDS)
        super()._respawn_workers([index], spawn_target, target_loader)
        if others:
            del self.respawned_wrks[index]  # by which Granian counts crashes, and ends the server

    def _replace(self, index: int, spawn_target: Any, target_loader: Any) -> bool:
        """Start a new one beside the old one, which goes once the new one is ready; False where it is not."""
        old, new = self.wrks[index], self._spawn_worker(index, spawn_target, target_loader)
        new.interrupt_by_parent = True  # until it is ready, its end is none that Granian need hear of
        new.start()
        if not self._comes_up(index):
            self._end(new)
            return False
        new.interrupt_by_parent = False
        self.wrks[index] = new
        if not _lives(new):  # meanwhile
            self.interrupt_children.append(index)
            self.main_loop_interrupt.set()
        self._end(old)
        return True

    def _comes_up(self, index: int) -> bool:
        deadline = time.monotonic() + self._patience_seconds
        while not self.interrupt_signal and time.monotonic() < deadline:
            if self._pipes[index].poll(_LOOK_SECONDS):
                return self._is_up(index)
        return False

    def _is_up(self, index: int) -> bool:
        """Whether the latest worker there has said that it is ready; it may have died since, or before."""
        if index not in self._up and self._pipes[index].poll():
            with contextlib.suppress(EOFError):
                self._pipes[index].recv_bytes()
                self._up.add(index)
        return index in self._up

    def _end(self, worker: Any) -> None:
        worker.terminate()
        worker.join(self.workers_kill_timeout)
        if _lives(worker):
            worker.kill()
            worker.join()
