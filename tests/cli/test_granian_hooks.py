"""What we use of Granian beyond what it publishes: where a new version has it otherwise, it is said here in words."""

import ast
import inspect
import multiprocessing
import socket
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from granian import _futures, _granian, rsgi
from granian.server.common import AbstractServer
from granian.server.mp import MPServer, WorkerProcess

from server.cli.granian_hooks import AnswersAtOnce, HookedServer, _scheduler
from server.web.hot import HotCalls

SERVER = Path(__file__).parents[2] / "server"
HOOKS = SERVER / "cli" / "granian_hooks.py"
LOOK = f"Granian {version('granian')} is not the one that server/cli/granian_hooks.py was written for: "

# By hand, from Granian 2.8: what we override or call, with the arguments that it is called with.
METHODS = {
    "_init_shared_socket": ["self"],
    "signal_handler_reload": ["self", "args", "kwargs"],
    "_spawn_worker": ["self", "idx", "target", "callback_loader"],
    "_respawn_workers": ["self", "workers", "spawn_target", "target_loader", "delay"],
}
# Who calls these, and who reads what we write: in (owner, method) stands (text).
USES = [
    (MPServer, "startup", "self._init_shared_socket()"),
    (MPServer, "startup", "set_main_signals(self.signal_handler_interrupt, self.signal_handler_reload)"),
    (MPServer, "_serve_loop", "self._respawn_workers(workers, spawn_target, target_loader)"),
    (MPServer, "_reload", "self._respawn_workers(workers, spawn_target, target_loader, delay=self.respawn_interval)"),
    (MPServer, "_respawn_workers", "for idx in workers:"),
    (MPServer, "_spawn_worker", "((self._ssp, self._shd), self._sso)"),
    (MPServer, "_drop_shared_socket", "if self._sso is not None:"),
    (WorkerProcess, "wrap_target", "sock, _sso = sock"),
    (WorkerProcess, "wrap_target", "callback = callback_loader()"),
    (MPServer, "_spawn_rsgi_worker", "_new_cbscheduler(loop, wcallback, impl_asyncio=task_impl == TaskImpl.asyncio)"),
    (AbstractServer, "serve", "if not spawn_target:"),
    (_futures._CBSchedulerAIO, "__init__", "self._schedule_fn = _cbsched_aioschedule(loop, self._ctx, cb)"),
]
ATTRIBUTES: dict[str, object] = {
    "_ssp": None,
    "_shd": None,
    "interrupt_signal": False,
    "interrupt_children": [],
    "reload_signal": False,
}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket of this machine, bound to a free port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.mark.parametrize("name", METHODS)
def test_granian_has_the_methods_that_are_hooked(name: str) -> None:
    method = getattr(MPServer, name, None)
    assert method is not None, f"{LOOK}MPServer.{name} is gone"
    given = list(inspect.signature(method).parameters)
    assert given == METHODS[name], f"{LOOK}MPServer.{name} takes {given}"


@pytest.mark.parametrize(("owner", "name", "text"), USES)
def test_granian_uses_what_is_hooked(owner: type, name: str, text: str) -> None:
    method = getattr(owner, name, None)
    assert method is not None, f"{LOOK}{owner.__name__}.{name} is gone"
    assert text in inspect.getsource(method), f"{LOOK}{owner.__name__}.{name} does not say `{text}` any more"


def test_a_server_has_the_attributes_that_are_read_and_written(listener: socket.socket) -> None:
    server = HookedServer(listener, "server.web.app:create_app", backlog=7, factory=True)
    for name, value in ATTRIBUTES.items():
        assert vars(server).get(name, "nothing") == value, f"{LOOK}a new server has no {name} = {value}"


def test_a_hangup_asks_and_what_is_said_reaches_granian(listener: socket.socket) -> None:
    asked = threading.Event()

    class Server(HookedServer):
        def reload_asked(self) -> None:
            asked.set()

    server = Server(listener, "server.web.app:create_app", backlog=7, factory=True)
    server.signal_handler_reload()
    assert asked.is_set() and not server.reload_signal
    server.replace_workers()
    assert server.reload_signal, f"{LOOK}signal_handler_reload does not ask for a reload any more"


def test_a_socket_arrives_in_a_worker_as_granian_wants_it(listener: socket.socket) -> None:
    holder = _granian.SocketHolder
    assert {"get_fd", "is_uds"} <= set(dir(holder)), f"{LOOK}SocketHolder has {dir(holder)}"
    descriptor = socket.socket().detach()
    try:
        held = holder(descriptor, False, 7)  # type: ignore[call-arg]
    except TypeError as error:
        pytest.fail(f"{LOOK}SocketHolder(descriptor, is_uds, backlog): {error}")
    assert held.get_fd() == descriptor and not held.is_uds(), f"{LOOK}SocketHolder takes other arguments"


def _port_of(shared: object, answers: "multiprocessing.Queue[int | str]") -> None:
    try:
        assert isinstance(shared, _granian.SocketHolder), type(shared)
        answers.put(socket.socket(fileno=shared.get_fd()).getsockname()[1])
    except Exception as error:
        answers.put(repr(error))


def test_a_spawned_process_has_the_servers_port(listener: socket.socket) -> None:
    server = HookedServer(listener, "server.web.app:create_app", backlog=7, factory=True)
    server._init_shared_socket()
    spawn = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[int | str] = spawn.Queue()
    child = spawn.Process(target=_port_of, args=(server._shd, answers))
    child.start()
    assert answers.get(timeout=60) == listener.getsockname()[1]
    child.join(60)
    assert child.exitcode == 0


def test_granian_gives_requests_what_the_bridge_asks_of_them() -> None:
    assert issubclass(rsgi.ProtocolClosed, Exception), f"{LOOK}rsgi.ProtocolClosed is gone"  # type: ignore[attr-defined]
    exchange = set(dir(rsgi.HTTPProtocol))  # type: ignore[attr-defined]
    wanted = {"__call__", "__aiter__", "client_disconnect", "response_bytes", "response_stream"}
    assert wanted <= exchange, f"{LOOK}rsgi.HTTPProtocol has no {wanted - exchange}"
    fields = set(inspect.get_annotations(rsgi.Scope)) | {"headers"}
    asked = {"http_version", "method", "scheme", "path", "query_string", "headers", "client", "server"}
    assert asked <= fields, f"{LOOK}rsgi.Scope has no {asked - fields}"


def test_a_request_is_shown_to_the_application_before_granian_schedules_it() -> None:
    scheduled: list[str] = []

    def granians(loop: str, ctx: str, callback: str) -> Any:
        assert (loop, ctx, callback) == ("loop", "context", "callback")
        return lambda request: scheduled.append(request.scope)

    schedule = _scheduler(granians, lambda scope, exchange: bool(scope == "poll"), "loop", "context", "callback")
    for scope in ("poll", "join"):
        schedule(SimpleNamespace(scope=scope, proto=None))
    assert scheduled == ["join"]
    assert issubclass(HotCalls, AnswersAtOnce), "else no worker answers anything at once"
    assert list(inspect.signature(_futures._cbsched_aioschedule).parameters) == ["loop", "ctx", "cb"]
    loads = list(inspect.signature(MPServer._spawn_rsgi_worker).parameters)[:3]
    assert loads == ["worker_id", "callback", "sock"], f"{LOOK}a worker is spawned with {loads}"


def _private_uses(source: str) -> Iterator[str]:
    names = {name for name in (*METHODS, *ATTRIBUTES, "_sso") if name.startswith("_")}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "granian":
            path = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            if any(part.startswith("_") for part in path) or path[:2] == ["granian", "server"]:
                yield f"from {node.module} import {path[-1]}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                path = alias.name.split(".")
                if path[0] == "granian" and (len(path) > 1 and (path[1].startswith("_") or path[1] == "server")):
                    yield f"import {alias.name}"
        elif (isinstance(node, ast.Attribute) and node.attr in names) or (
            isinstance(node, ast.FunctionDef) and node.name in names
        ):
            yield node.attr if isinstance(node, ast.Attribute) else node.name


def test_nothing_private_of_granian_is_used_elsewhere() -> None:
    assert len(list(_private_uses(HOOKS.read_text()))) >= 5, "the test finds what it looks for"
    found = {
        str(path.relative_to(SERVER)): uses
        for path in SERVER.rglob("*.py")
        if path != HOOKS and (uses := list(_private_uses(path.read_text())))
    }
    assert not found, "put these into server/cli/granian_hooks.py"
