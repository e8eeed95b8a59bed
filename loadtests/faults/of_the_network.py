"""Faults of the network between a cluster's nodes and the workers: it parts, loses, delays, one way or both."""

from __future__ import annotations

from abc import abstractmethod

from loadtests.faults.fault import FaultError, StoreTarget
from loadtests.faults.network import CUT, Network
from loadtests.faults.of_the_cluster import ClusterFault
from loadtests.faults.relay import Way


class NetworkFault(ClusterFault):
    """A fault of the network: each node and each worker has an address of its own in it."""

    needs_network = True
    lasts_seconds = 8.0

    def inject(self, server: StoreTarget) -> str:
        """Harm it.

        Raises:
            FaultError: there is none.
        """
        cluster = self.cluster_of(server)
        if cluster.network is None:
            raise FaultError("the cluster has no network of its own")
        nodes = [cluster.address_of(pid) for pid in cluster.holders_of(server.opening_key)]
        workers = server.worker_addresses()
        return self.harm(cluster.network, nodes, workers, cluster.others_than())

    @abstractmethod
    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Do it; says what was done.

        Args:
            network: to harm.
            nodes: the opening's primary, then its replicas.
            workers: where their calls come from.
            all_nodes: of the cluster.
        """

    def heal(self, server: StoreTarget) -> str:
        """Let everything pass again."""
        network = server.cluster.network if server.cluster is not None else None
        return "the network is whole again" if network is not None and network.heal() else ""


def part(network: Network, some: list[str], everyone: list[str]) -> str:
    """Cut these off from everyone else."""
    others = [each for each in everyone if each not in some]
    network.cut(some, others)
    return f"{', '.join(some)} cut off from {len(others)} others"


class Partition(NetworkFault):
    """What if the opening's primary is cut off with one replica and a worker? Nothing they tell of is lost."""

    name = "partition"

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Cut them off."""
        return part(network, [*nodes[:2], *workers[:1]], [*all_nodes, *workers])


class PartitionReplica(NetworkFault):
    """What if a replica is cut off together with a worker? Writes stop until the majority has given the replica up."""

    name = "partition-replica"

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Cut them off."""
        return part(network, [nodes[-1], *workers[:1]], [*all_nodes, *workers])


class PartitionWorker(NetworkFault):
    """What does one hear of a worker that is cut off from the store? Quickly that it cannot."""

    name = "partition-worker"

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Cut it off."""
        return part(network, workers[:1], [*all_nodes, *workers])


class DarkHost(NetworkFault):
    """What if the host of the opening's primary goes dark, and no connection ends? A replica takes over."""

    name = "dark-host"

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Cut it off."""
        return part(network, nodes[:1], [*all_nodes, *workers])


class OneWay(NetworkFault):
    """What if the opening's primary hears everybody, and nobody hears it? What it does so is told to nobody."""

    name = "one-way"

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Let nothing that it says arrive."""
        network.change(CUT, nodes[:1], [*all_nodes, *workers])
        return f"nobody hears {nodes[0]}"


class OneWayIn(NetworkFault):
    """What if the opening's primary is heard by everybody, and hears nobody? It is given up all the same."""

    name = "one-way-in"

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Let nothing arrive at it."""
        network.change(CUT, [*all_nodes, *workers], nodes[:1])
        return f"{nodes[0]} hears nobody"


class LaggingReplica(NetworkFault):
    """What if one replica hears everything 0.4 seconds late? Writes take so much longer."""

    name = "lagging-replica"
    _SECONDS = 0.4

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Delay what it hears of its primary."""
        network.change(Way(delay_seconds=self._SECONDS), nodes[:1], nodes[-1:])
        return f"{nodes[-1]} hears its primary {self._SECONDS:g} s late"


class Lossy(NetworkFault):
    """What if every answer of the network takes 200 ms, and each fifth packet is lost? It is slow."""

    name = "lossy"
    lasts_seconds = 15.0
    _WAY = Way(delay_seconds=0.1, loss=0.2)

    def harm(self, network: Network, nodes: list[str], workers: list[str], all_nodes: list[str]) -> str:
        """Delay and lose, between all of them."""
        everyone = [*all_nodes, *workers]
        network.change(self._WAY, everyone, everyone)
        return "100 ms each way, and of 100 packets 20 are lost and sent again"
