"""What a fault of the machine is, and what it needs of the server that it harms.

A fault has an end: at once for a kill, after some seconds for what lasts. Recovery counts from there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Protocol


class FaultError(Exception):
    """A fault cannot be injected here; the message is one line."""


class Cluster(Protocol):
    """A cluster of our own as the server's store."""

    def primary_of(self, key: str) -> int:
        """Return the process of the node that now decides over this key."""

    def restart_dead(self) -> list[int]:
        """Start the nodes that have died again, on their data; their new processes."""


class FaultTarget(Protocol):
    """The server of our own that a fault harms."""

    home: str
    folder: Path
    data_dir: Path
    environment: dict[str, str]

    @property
    def cluster(self) -> Cluster | None:
        """Its store, where the fault needs a cluster."""

    @property
    def pid(self) -> int | None:
        """Return the process of `jiaohao up`."""

    @property
    def opening_key(self) -> str:
        """Key of the first district's opening in the store."""

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
    """

    name: ClassVar[str]
    lasts_seconds: ClassVar[float] = 0.0
    forgiven: ClassVar[bool] = True
    needs_cluster: ClassVar[bool] = False

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
