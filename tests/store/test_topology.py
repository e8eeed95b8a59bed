"""A cluster's node that says nothing is left, for its successor where there is one; nobody else waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from loadtests.faults.network import Network
from loadtests.run.own_cluster import OwnCluster
from server.core.errors import StoreUnavailable
from server.store.connecting import connect
from tests.support.stores import Store


class Dark:
    """A cluster and its network, a store on it, and a key that each of its primaries has."""

    def __init__(self, cluster: OwnCluster, network: Network, store: Store) -> None:
        self.cluster, self.network, self.store = cluster, network, store
        self.keys: list[str] = []
        held: set[int] = set()
        for n in range(1000):
            if (pid := cluster.primary_of(name := f"written:{{{n}}}")) not in held:
                held.add(pid)
                self.keys.append(name)

    async def write(self, name: str) -> None:
        await self.store.plain([("SET", name, 1)])

    async def refused(self, name: str) -> bool:
        try:
            await self.write(name)
        except StoreUnavailable:
            return True
        return False

    def cut_off(self, *pids: int) -> None:
        """Nobody hears them, and no connection ends."""
        nodes = [self.cluster.address_of(pid) for pid in pids]
        self.network.cut(nodes, [*self.cluster.others_than(*nodes), "127.0.0.1"])


@pytest.fixture
async def dark(tmp_path: Path) -> AsyncIterator[Dark]:
    network = Network()
    cluster = OwnCluster(tmp_path, replicas=1, network=network, node_timeout_ms=1000)
    network.start()
    try:
        cluster.start()
        store = Store(await connect(cluster.urls), replicas="all")
        yield Dark(cluster, network, store)
        await store.close()
    finally:
        cluster.stop()
        network.stop()


async def soon(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await done():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_the_successor_of_a_node_that_says_nothing_is_found(dark: Dark) -> None:
    name = dark.keys[0]
    await dark.write(name)
    old = dark.cluster.primary_of(name)
    dark.cut_off(old)

    async def written() -> bool:
        return not await dark.refused(name)

    await soon(written)
    assert dark.cluster.primary_of(name) != old
    dark.network.heal()
    await soon(written)


async def test_who_asks_for_other_nodes_does_not_wait_behind_those_who_ask_for_it(dark: Dark) -> None:
    name, other, _ = dark.keys
    # nobody may take over
    dark.cut_off(*dark.cluster.holders_of(name))
    assert await dark.refused(name)
    waiting = [asyncio.create_task(dark.refused(name)) for _ in range(300)]  # more than there are turns
    await asyncio.sleep(0)
    async with asyncio.timeout(4):  # a call may take five seconds
        assert not await dark.refused(other)
    assert all(await asyncio.gather(*waiting))


async def test_a_worker_that_is_cut_off_refuses_and_goes_on_when_it_is_not(dark: Dark) -> None:
    for name in dark.keys:
        await dark.write(name)
    dark.network.cut(["127.0.0.1"], dark.cluster.others_than())
    assert all(await asyncio.gather(*map(dark.refused, dark.keys)))
    async with asyncio.timeout(4):  # at once, from then on
        for name in 3 * dark.keys:
            assert await dark.refused(name)
    dark.network.heal()

    async def written() -> bool:
        return not any(await asyncio.gather(*map(dark.refused, dark.keys)))

    await soon(written)


async def test_a_replica_that_takes_over_in_order_is_followed(dark: Dark) -> None:
    name = dark.keys[0]
    await dark.write(name)
    primary, replica = dark.cluster.holders_of(name)
    with dark.cluster.asking(replica) as client:
        client.execute_command("CLUSTER", "FAILOVER")

    async def taken_over() -> bool:
        await dark.refused(name)
        return dark.cluster.primary_of(name) == replica

    async with asyncio.timeout(30):
        await soon(taken_over)
        while await dark.refused(name):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert dark.cluster.primary_of(name) != primary
