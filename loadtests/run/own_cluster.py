"""A cluster of our own as a rehearsal's store: three primaries with replicas, every write on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from loadtests.faults.network import Network
from loadtests.run.own_node import OwnNode
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
        network: where each has an address of its own, so that what they say may be cut; None: all on 127.0.0.1.
        node_timeout_ms: of the cluster.

    Attributes:
        url: of a replica, for a client asks whichever node it knows where everything is, and a primary may be killed.
    """

    def __init__(
        self,
        folder: Path,
        replicas: int = 1,
        network: Network | None = None,
        node_timeout_ms: int = _NODE_TIMEOUT_MS,
    ) -> None:
        self._folder = folder
        self._copies = 1 + replicas
        self.network = network
        self._node_timeout_ms = node_timeout_ms
        self._nodes: list[OwnNode] = []
        self.url = ""

    def start(self) -> None:
        """Start the nodes, and wait until all of them agree and each replica follows its primary.

        Raises:
            TimeoutError: they did not come together.
        """
        count = self._copies * _PRIMARIES
        self._nodes = self._places(count)
        for node in self._nodes:
            node.start()
        with ExitStack() as stack:
            clients = [stack.enter_context(node.client()) for node in self._nodes]
            first_node = self._nodes[0]
            for i, client in enumerate(clients):
                _until(client.ping, "a node answers")
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
                if i < _PRIMARIES:
                    first, last = _SLOTS * i // _PRIMARIES, _SLOTS * (i + 1) // _PRIMARIES - 1
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                if i:
                    client.execute_command("CLUSTER", "MEET", first_node.told, first_node.port, first_node.bus)
            ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
            for client in clients:
                _until(lambda c=client: _knows(c) >= count, "all nodes have met")  # type: ignore[misc]
            for i, client in enumerate(clients[_PRIMARIES:]):
                client.execute_command("CLUSTER", "REPLICATE", ids[i % _PRIMARIES])
        self.await_whole()
        self.url = f"redis://{self._nodes[-1].told}:{self._nodes[-1].port}"

    def await_whole(self) -> None:
        """Wait until each node sees every slot served, by a primary that all its replicas follow.

        Raises:
            TimeoutError: it did not come to that.
        """
        for node in self._nodes:
            with node.client() as client:
                _until(lambda c=client: _is_well(c, self._copies), "the cluster is whole")  # type: ignore[misc]

    @property
    def urls(self) -> str:
        """All nodes, for a client that any of them may be away from."""
        return "redis://" + ",".join(f"{node.told}:{node.port}" for node in reversed(self._nodes))

    def pids(self) -> list[int]:
        """Return the processes of the nodes that run."""
        return [pid for node in self._nodes if (pid := node.pid) is not None]

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
        by_name = {(node.told, node.port): node for node in self._nodes}
        with self._any() as asked:
            slot = asked.execute_command("CLUSTER", "KEYSLOT", key)
            for first, last, *nodes in _ranges(asked):
                if first <= slot <= last:
                    pids = [by_name[host.decode(), port].pid for host, port, *_ in nodes]
                    return [pid for pid in pids if pid is not None]
        raise LookupError(f"no node has {key}")

    def primaries(self) -> list[int]:
        """Return the processes of the nodes that decide over any key.

        Raises:
            LookupError: no node answers.
        """
        by_name = {(node.told, node.port): node for node in self._nodes}
        with self._any() as asked:
            pids = [by_name[nodes[0][0].decode(), nodes[0][1]].pid for _, _, *nodes in _ranges(asked)]
        return list(dict.fromkeys(pid for pid in pids if pid is not None))

    def port_of(self, pid: int) -> int:
        """Return where this node listens."""
        return self._of(pid).port

    def address_of(self, pid: int) -> str:
        """Return this node's own address in the network."""
        return self._of(pid).address

    def others_than(self, *addresses: str) -> list[str]:
        """Return the addresses of all nodes but these."""
        return [node.address for node in self._nodes if node.address not in addresses]

    @contextmanager
    def asking(self, pid: int) -> Iterator[Any]:
        """A client of this node alone, whatever is cut."""
        with self._of(pid).client() as client:
            yield client

    def told_of(self, pid: int) -> tuple[str, int]:
        """Return where others are told that this node is."""
        node = self._of(pid)
        return node.told, node.port

    def replicas_of(self, pid: int) -> int:
        """Say how many replicas this node says follow it."""
        with self.asking(pid) as client:
            return int(client.info("replication")["connected_slaves"])

    def restart_dead(self) -> list[int]:
        """Start the nodes that have died again, on their data; their new processes."""
        return [node.start() for node in self._nodes if node.pid is None]

    def restart(self, pid: int, environment: Mapping[str, str] | None = None) -> int:
        """End this node in order and start it again, with this environment where one is given; its new process."""
        node = self._of(pid)
        node.end()
        if environment is not None:
            node.environment = environment
        return node.start()

    def stop(self) -> None:
        """End all nodes: what they hold is thrown away."""
        for node in self._nodes:
            node.kill()

    def _places(self, count: int) -> list[OwnNode]:
        ports = free_ports(2 * count)
        nodes = []
        for i in range(count):
            port, bus = ports[i], ports[count + i]
            address = told = "127.0.0.1"
            prefix: tuple[str, ...] = ()
            if self.network is not None:
                self.network.lead(i, port, bus)
                address, told = self.network.node(i), self.network.told(i)
                prefix = self.network.prefix(address)
            nodes.append(OwnNode(address, told, port, bus, self._folder / str(i), self._node_timeout_ms, prefix=prefix))
        return nodes

    def _of(self, pid: int) -> OwnNode:
        return next(node for node in self._nodes if node.process is not None and node.process.pid == pid)

    @contextmanager
    def _any(self) -> Iterator[Any]:
        """A client of a node that answers: of the last of them that does."""
        for node in reversed(self._nodes):
            if node.pid is None:
                continue
            with node.client() as client, suppress(RedisError, OSError):
                client.ping()
                yield client
                return
        raise LookupError("no node answers")


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


def _is_well(client: Any, copies: int) -> bool:
    """Return whether this node sees every slot served, by a primary and its replicas, and follows or is followed."""
    info, nodes = _info(client), [nodes for _, _, *nodes in _ranges(client)]
    whole = info["cluster_state"] == "ok" and len(nodes) >= _PRIMARIES and all(len(each) == copies for each in nodes)
    own = client.info("replication")
    if own["role"] == "slave":
        return whole and bool(own["master_link_status"] == "up")
    return whole and int(own["connected_slaves"]) == copies - 1


def _ranges(client: Any) -> list[Any]:
    """[first slot, last slot, [host, port, ...] of the primary, the same of each replica] of each range of slots."""
    told: list[Any] = client.execute_command("CLUSTER SLOTS")
    return told
