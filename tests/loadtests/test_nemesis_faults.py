"""Faults of a cluster and its network: each does to real nodes what it says, and ends."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from loadtests.faults.catalogue import CLUSTER_FAULTS
from loadtests.faults.network import Network, own_addresses
from loadtests.faults.node_steps import replicas_of
from loadtests.faults.of_the_cluster import ClusterFault
from loadtests.faults.skewed_store import seconds_ahead
from loadtests.run.own_cluster import OwnCluster
from tests.support.serving import until

KEY = "opening:{440106:2021-06-19}"


class Target:
    """What a fault harms: nodes, and two workers that are nobody."""

    def __init__(self, folder: Path, cluster: OwnCluster, network: Network) -> None:
        self.folder, self.cluster, self.network = folder, cluster, network
        self.opening_key = KEY

    def worker_addresses(self) -> list[str]:
        return [self.network.host(0), self.network.host(1)]

    def holders(self) -> list[int]:
        return self.cluster.holders_of(KEY)

    def value(self) -> bytes | None:
        """What stands under the opening's key where it is decided over."""
        with self.cluster.asking(self.holders()[0]) as client:
            value: bytes | None = client.get(KEY)
            return value

    def followed(self, pid: int) -> int:
        """How many replicas have what is written to this node now."""
        with self.cluster.asking(pid) as client:
            client.set(KEY, os.urandom(4).hex())
            return int(client.wait(2, 300))

    def is_primary(self, pid: int) -> bool:
        with self.cluster.asking(pid) as client:
            return bool(client.info("replication")["role"] == "master")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Each test leaves it whole."""
    folder, network = tmp_path_factory.mktemp("nemesis"), Network()
    cluster = OwnCluster(folder / "cluster", 2, network, node_timeout_ms=700)
    network.start()
    try:
        cluster.start()
        yield Target(folder, cluster, network)
    finally:
        cluster.stop()
        network.stop()


def injected(name: str, target: Target) -> ClusterFault:
    fault = CLUSTER_FAULTS[name]()
    assert fault.heal(target) == "", "nothing was done before"
    fault.prepare(target)
    assert fault.inject(target)
    return fault


def healed(fault: ClusterFault, target: Target) -> None:
    until(lambda: fault.over(target, fault.lasts_seconds), "it is over")
    fault.heal(target)
    target.cluster.await_whole()


@pytest.mark.parametrize(("name", "have"), [("partition", 1), ("dark-host", 0), ("one-way", 0), ("one-way-in", 2)])
def test_a_primary_that_is_cut_off_is_succeeded_and_follows_when_it_is_back(
    target: Target, name: str, have: int
) -> None:
    primary, *replicas = target.holders()
    assert target.followed(primary) == 2
    fault = injected(name, target)
    if name != "one-way-in":  # there the replicas hear it, and it does not hear that they do
        assert target.followed(primary) == have
    until(lambda: any(target.is_primary(pid) for pid in replicas), "a replica has taken over")
    healed(fault, target)
    until(lambda: not target.is_primary(primary), "the old one has heard of it")
    assert target.followed(target.holders()[0]) == 2


def test_a_replica_that_is_cut_off_with_a_worker_leaves_the_primary_where_it_is(target: Target) -> None:
    primary, *_ = target.holders()
    fault = injected("partition-replica", target)
    assert target.followed(primary) == 1
    assert target.is_primary(primary)
    healed(fault, target)
    assert target.followed(primary) == 2


def test_a_lagging_replica_has_it_later(target: Target) -> None:
    primary, *_ = target.holders()
    fault = injected("lagging-replica", target)
    assert target.followed(primary) == 1
    with target.cluster.asking(primary) as client:
        client.set(KEY, 1)
        assert client.wait(2, 3000) == 2
    healed(fault, target)


@pytest.mark.parametrize("name", ["failover", "reshard", "reshard-classic"])
def test_what_is_moved_in_order_is_elsewhere_and_whole(target: Target, name: str) -> None:
    before = target.holders()[0]
    with target.cluster.asking(before) as client:
        client.set(KEY, name)
    healed(injected(name, target), target)
    assert target.holders()[0] != before
    assert target.value() == name.encode()


def test_every_node_is_started_again_in_turn(target: Target) -> None:
    before = set(target.cluster.pids())
    with target.cluster.asking(target.holders()[0]) as client:
        client.set(KEY, "kept")
    healed(injected("upgrade", target), target)
    assert not before & set(target.cluster.pids())
    assert target.value() == b"kept"


def test_the_node_that_takes_over_is_15_seconds_behind(target: Target) -> None:
    if (why_not := CLUSTER_FAULTS["clock"].problem(None)) is not None:
        pytest.skip(why_not)
    fault = injected("clock", target)
    until(lambda: -16 < seconds_ahead(target.cluster, target.holders()[0]) < -14, "the primary is behind")
    assert any(14 < seconds_ahead(target.cluster, pid) < 16 for pid in target.cluster.pids())
    for pid in target.cluster.pids():  # the tests after this one have clocks that are right
        if replicas_of(target.cluster, pid):
            continue
        target.cluster.restart(pid, {})
    healed(fault, target)


def test_a_lossy_network_is_slow_and_loses_nothing(target: Target) -> None:
    primary, first, second = target.holders()
    fault = injected("lossy", target)
    with target.cluster.asking(primary) as client:
        client.set(KEY, "a" * 10_000)
        began = time.monotonic()
        client.wait(2, 20_000)
        assert time.monotonic() - began > 0.19, "there, and what says that it is"
    healed(fault, target)
    for pid in (first, second):
        with target.cluster.asking(pid) as client:
            client.execute_command("READONLY")
            until(lambda it=client: it.get(KEY) == b"a" * 10_000, "it is there")  # type: ignore[misc]


def test_a_python_process_has_an_address_of_its_own_there(tmp_path: Path) -> None:
    network = Network()
    ask = (
        "import asyncio, socket\n"
        "async def main():\n"
        f"    server = socket.create_server(('{network.node(0)}', 0)); server.listen()\n"
        "    await asyncio.open_connection(*server.getsockname())\n"
        "    print(server.accept()[1][0])\n"
        "asyncio.run(main())\n"
    )
    for host, expected in ((None, network.host(0)), (None, network.host(1)), (7, network.host(7))):
        environment = os.environ | own_addresses(network, tmp_path, host)
        done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == expected, done.stderr


def test_a_fault_of_the_network_says_so_where_there_is_none(target: Target) -> None:
    cluster = OwnCluster(target.folder)
    bare = Target(target.folder, cluster, target.network)
    with pytest.raises(Exception, match="network"):
        CLUSTER_FAULTS["dark-host"]().inject(bare)
    with pytest.raises((RedisError, LookupError)):
        bare.value()
