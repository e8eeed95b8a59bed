"""Operators and their monitoring get through whatever the crowd does: by a listener with a worker of its own."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from server.cli.options import OperationsAddress
from server.cli.serving import bound_for_operations
from server.core.errors import SetupError
from tests.support.front import connect, status_of
from tests.support.serving import API, Up, operator_token, until, up

HELD = 160
SLOW_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "


OPTIONS = ("--workers", "1", "--no-demo", "--operations", "127.0.0.1:0", "--clock", "2021-06-19T08:30:00+08:00")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A real `jiaohao up` with one worker of few connections, and a listener for operators."""
    folder = tmp_path_factory.mktemp("served")
    with up(folder / "data", *OPTIONS, JIAOHAO_CONNECTIONS=str(HELD), JIAOHAO_HEAD_SECONDS="3") as server:
        yield server


def private(server: Up) -> str:
    """The address that operators use."""
    found = re.search(r"^operations: (http://127\.0\.0\.1:[0-9]+) ", server.said(), re.MULTILINE)
    assert found, server.said()
    return found[1]


def status(server: Up, path: str) -> int:
    """What operators' listener answers; 0 where nothing is."""
    try:
        headers = {"authorization": f"Bearer {operator_token(server.data_dir)}"}
        return httpx.get(private(server) + path, headers=headers, trust_env=False, timeout=10).status_code
    except httpx.TransportError:
        return 0


def aside(server: Up) -> psutil.Process:
    """The worker that listens there."""
    port = int(private(server).rpartition(":")[2])
    found = [it for it in server.workers() if port in {each.laddr.port for each in it.net_connections() if each.laddr}]
    assert found, "one worker has it"
    return max(found, key=lambda it: it.create_time())


def test_operators_get_through_when_the_public_worker_is_full(served: Up) -> None:
    until(lambda: status(served, "/readyz") == 200, "ready")
    with ExitStack() as stack:
        for _ in range(HELD + 16):
            stack.enter_context(connect(served.url)).sendall(SLOW_HEAD)

        def is_full() -> bool:
            with connect(served.url) as s:
                s.sendall(f"GET {API}/city HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                return status_of(s.recv(65_536)) == 503

        until(is_full, "full")
        assert [status(served, path) for path in ("/healthz", "/metrics", f"{API}/operations")] == [200] * 3
        assert status(served, "/readyz") == 200, "it is full, and says so: it answers"


def test_readiness_there_says_whether_the_public_workers_answer(served: Up) -> None:
    until(lambda: status(served, "/readyz") == 200, "ready")
    own = aside(served)
    others = [it for it in served.workers() if it.pid != own.pid]
    for it in others:
        it.suspend()
    try:
        answer = httpx.get(f"{private(served)}/readyz", trust_env=False, timeout=10)
        assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (503, "overloaded", "workers")
        assert int(answer.headers["retry-after"]) >= 1
        assert status(served, "/healthz") == 200
    finally:
        for it in others:
            it.resume()
    until(lambda: status(served, "/readyz") == 200, "ready again")


def test_it_is_replaced_with_the_others_started_again_when_it_dies_and_ends_with_the_server(tmp_path: Path) -> None:
    with up(tmp_path / "data", *OPTIONS) as served:
        until(lambda: status(served, "/readyz") == 200, "ready")
        before = {it.pid for it in served.workers()}
        os.kill(served.process.pid, signal.SIGHUP)
        until(lambda: before.isdisjoint({it.pid for it in served.workers()}), "all are others", 60)
        until(lambda: status(served, "/readyz") == 200, "ready")
        killed = aside(served)
        killed.kill()
        until(lambda: status(served, "/readyz") == 200 and aside(served).pid != killed.pid, "another one")
        assert served.call("GET", "/readyz").status_code == 200
        assert served.stop() == 0
        assert status(served, "/healthz") == 0


def test_a_second_server_on_this_machine_finds_a_port_unless_one_was_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        default = OperationsAddress("127.0.0.1", port)
        with bound_for_operations(None, default) or socket.socket() as found:
            assert found.getsockname()[0] == "127.0.0.1" and found.getsockname()[1] not in (0, port)
        with pytest.raises(SetupError, match="give another --operations"):
            bound_for_operations(default, None)
    assert bound_for_operations(OperationsAddress("", 0), default) is None
    assert bound_for_operations(None, None) is None
