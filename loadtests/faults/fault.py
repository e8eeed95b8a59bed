"""What a fault of the machine is, and what it needs of the server that it harms.

A fault has an end: at once for a kill, after some seconds for what lasts. Recovery counts from there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from loadtests.faults.network import Network


class FaultError(Exception):
    """A fault cannot be injected here; the message is one line."""


class Cluster(Protocol):
    """A cluster of our own as the server's store."""

    network: Network | None

    def pids(self) -> list[int]:
        """Return the processes of the nodes that run."""

    def holders_of(self, key: str) -> list[int]:
        """Return the processes of the node that decides over this key, and of those that follow it."""

    def primary_of(self, key: str) -> int:
        """Return the process of the node that now decides over this key."""

    def primaries(self) -> list[int]:
        """Return the processes of the nodes that decide over any key."""

    def address_of(self, pid: int) -> str:
        """Return this node's own address in the network."""

    def others_than(self, *addresses: str) -> list[str]:
        """Return the addresses of all nodes but these."""

    def told_of(self, pid: int) -> tuple[str, int]:
        """Return where others are told that this node is."""

    def asking(self, pid: int) -> AbstractContextManager[Any]:
        """A client of this node alone, whatever is cut."""

    def restart_dead(self) -> list[int]:
        """Start the nodes that have died again, on their data; their new processes."""

    def restart(self, pid: int, environment: Mapping[str, str] | None = None) -> int:
        """End this node in order and start it again, with this environment where one is given; its new process."""

    def await_whole(self) -> None:
        """Wait until each node sees every slot served, by a primary that all its replicas follow."""


class StoreTarget(Protocol):
    """What a fault of a cluster harms."""

    folder: Path

    @property
    def cluster(self) -> Cluster | None:
        """Its store, where the fault needs a cluster."""

    @property
    def opening_key(self) -> str:
        """Key of the first district's opening in the store."""

    def worker_addresses(self) -> list[str]:
        """Return where the workers' calls come from in the cluster's network, the first one first."""


class FaultTarget(StoreTarget, Protocol):
    """The server of our own that a fault harms."""

    home: str
    url: str
    data_dir: Path
    environment: dict[str, str]

    @property
    def pid(self) -> int | None:
        """Return the process of `jiaohao up`."""

    def workers(self) -> list[int]:
        """Return the processes of the workers, the first one first."""

    def stores(self) -> list[int]:
        """Return the processes of the store that are ours."""


class Fault(ABC):
    """One fault, used once: `prepare`, `inject`, and when it is `over`, `heal`.

    Attributes:
        name: of `--fault NAME`.
        lasts_seconds: from `inject` to its end; 0 where it has done all it does at once.
        forgiven: whether it may cost residents an error and a retry; where not, an error is one like any other.
        needs_cluster: whether the own server must run on a cluster.
        needs_network: whether the cluster's nodes, and the workers, must have addresses of their own.
    """

    name: ClassVar[str]
    lasts_seconds: ClassVar[float] = 0.0
    forgiven: ClassVar[bool] = True
    needs_cluster: ClassVar[bool] = False
    needs_network: ClassVar[bool] = False

    @classmethod
    def problem(cls, redis_url: str | None) -> str | None:
        """Say why it cannot be injected with this `--redis-url`, or on this machine, in one line; None where it can."""
        return None

    def prepare(self, server: FaultTarget) -> None:
        """Make ready what it needs, before anything of the server is started."""
        return None

    @abstractmethod
    def inject(self, server: FaultTarget) -> str:
        """Do it; says what was done.

        Raises:
            FaultError: it cannot be done.
        """

    def over(self, server: FaultTarget, elapsed_seconds: float) -> bool:
        """Return whether it has come to its end, so long after `inject`."""
        return elapsed_seconds >= self.lasts_seconds

    def heal(self, server: FaultTarget) -> str:
        """End it, where it does not end by itself; says what was done. Again, or before `inject`, does nothing."""
        return ""

    def clean_up(self, server: FaultTarget) -> None:
        """Take away what `prepare` made, once the server has ended."""
        return None
