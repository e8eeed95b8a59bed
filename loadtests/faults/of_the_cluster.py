"""Faults of a cluster's nodes: one dies, hands over, is started anew, or gives a slot away."""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import abstractmethod
from collections.abc import Callable

from redis.exceptions import RedisError

from loadtests.faults.fault import Cluster, FaultError, StoreTarget
from loadtests.faults.node_steps import await_that, hand_over, replica_of, serves
from loadtests.faults.of_the_store import StoreFault


class ClusterFault(StoreFault):
    """A fault of a cluster of our own, which does not end by itself at once."""

    needs_cluster = True

    def prepare(self, server: StoreTarget) -> None:
        """Make ready what it needs; the cluster is there already."""
        return None

    @abstractmethod
    def inject(self, server: StoreTarget) -> str:
        """Do it; says what was done."""

    def over(self, server: StoreTarget, elapsed_seconds: float) -> bool:
        """Return whether it has come to its end, so long after `inject`."""
        return elapsed_seconds >= self.lasts_seconds

    def heal(self, server: StoreTarget) -> str:
        """End it; says what was done."""
        return ""

    def cluster_of(self, server: StoreTarget) -> Cluster:
        """Return the server's cluster.

        Raises:
            FaultError: it is on none.
        """
        if server.cluster is None:
            raise FaultError("the server is not on a cluster of ours")
        return server.cluster


class KillPrimary(ClusterFault):
    """What if the primary that holds the opening dies (`kill -9`)? Its replica takes over, and nothing is lost.

    The own server runs on a cluster of three primaries with their replicas (`run/own_cluster.py`), and answers only
    what every replica has that could take over. The election takes `cluster-node-timeout` and a second more.
    The dead node is started again after eight seconds, and follows its successor.
    """

    name = "kill-primary"
    lasts_seconds = 8.0

    def inject(self, server: StoreTarget) -> str:
        """Kill the primary of the first district's opening."""
        pid = self.cluster_of(server).primary_of(server.opening_key)
        os.kill(pid, signal.SIGKILL)
        return f"killed the opening's primary, process {pid}"

    def heal(self, server: StoreTarget) -> str:
        """Start it again: it becomes its successor's replica."""
        started = server.cluster.restart_dead() if server.cluster is not None else []
        return f"started it again, process {started[0]}" if started else ""


class Failover(ClusterFault):
    """What does it cost to have a replica take over in order (`CLUSTER FAILOVER`)? A moment, and nothing is lost."""

    name = "failover"

    def inject(self, server: StoreTarget) -> str:
        """Have a replica of the opening's primary take over."""
        cluster = self.cluster_of(server)
        before, *replicas = cluster.holders_of(server.opening_key)
        if not replicas:
            raise FaultError("nobody follows the opening's primary")
        hand_over(cluster, replicas[0])
        return f"the opening's primary is process {replicas[0]} now, and was {before}"


class Background(ClusterFault):
    """A fault that takes its time, in steps of its own."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._failed: BaseException | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Do this beside the run."""

        def doing() -> None:
            try:
                work()
            except (RedisError, OSError, LookupError, FaultError) as error:
                self._failed = error

        self._thread = threading.Thread(target=doing, name=self.name, daemon=True)
        self._thread.start()

    def over(self, server: StoreTarget, elapsed_seconds: float) -> bool:
        """Return whether it has been done."""
        return self._thread is None or not self._thread.is_alive()

    def heal(self, server: StoreTarget) -> str:
        """Wait for it to be done.

        Raises:
            FaultError: it could not be done.
        """
        if self._thread is None:
            return ""
        self._thread.join()
        self._thread = None
        if self._failed is not None:
            raise FaultError(f"{self.name}: {type(self._failed).__name__}: {self._failed}")
        return "done"


class Upgrade(Background):
    """What does a new version of the store cost, every node restarted in turn? A moment for each primary.

    Each replica is ended in order and started again, and has caught up before the next one is; each primary hands over
    to a replica first.
    """

    name = "upgrade"

    def inject(self, server: StoreTarget) -> str:
        """Begin."""
        cluster = self.cluster_of(server)
        self.begin(lambda: self._restart_all(cluster))
        return f"restarting {len(cluster.pids())} nodes in turn"

    def _restart_all(self, cluster: Cluster) -> None:
        left = cluster.pids()
        primaries = cluster.primaries()
        for pid in sorted(left, key=lambda it: it in primaries):
            if pid in cluster.primaries():
                hand_over(cluster, replica_of(cluster, pid))
                cluster.await_whole()
            cluster.restart(pid)
            cluster.await_whole()


class Reshard(Background):
    """What if the live opening's slot moves to another node (atomic migration, Valkey 9)? Nothing is lost."""

    name = "reshard"

    def inject(self, server: StoreTarget) -> str:
        """Begin."""
        cluster = self.cluster_of(server)
        source = cluster.primary_of(server.opening_key)
        target = next(pid for pid in cluster.primaries() if pid != source)
        self.begin(lambda: self.move(cluster, server.opening_key, source, target))
        return f"moving the opening's slot from process {source} to {target}"

    def move(self, cluster: Cluster, key: str, source: int, target: int) -> None:
        """Move this key's slot."""
        with cluster.asking(source) as old, cluster.asking(target) as new:
            slot = old.execute_command("CLUSTER", "KEYSLOT", key)
            to = new.execute_command("CLUSTER", "MYID").decode()
            old.execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", to)
            await_that(lambda: serves(new, slot), "the slot has moved")


class ReshardClassic(Reshard):
    """What if the live opening's slot moves key by key (`MIGRATE`, all versions)? Calls are sent on, none is lost."""

    name = "reshard-classic"

    def move(self, cluster: Cluster, key: str, source: int, target: int) -> None:
        """Move this key's slot."""
        with cluster.asking(source) as old, cluster.asking(target) as new:
            slot = old.execute_command("CLUSTER", "KEYSLOT", key)
            ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (old, new)]
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
            while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
                old.execute_command("MIGRATE", *cluster.told_of(target), "", 0, 5000, "KEYS", *keys)
                time.sleep(0.2)  # so that keys of one opening are on two nodes for some time
            for pid in (target, source, *(pid for pid in cluster.primaries() if pid not in (source, target))):
                with cluster.asking(pid) as client:
                    client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
