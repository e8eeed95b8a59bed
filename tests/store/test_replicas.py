"""On a cluster, what has been answered is on a replica too: a primary that dies takes nothing along."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loadtests.run.own_cluster import OwnCluster
from server.core.errors import SetupError, StoreUnavailable
from server.core.settings import from_environment
from server.records.statuses import known
from server.store.connecting import connect
from tests.support.serving import OPERATOR, until
from tests.support.stores import Store

TAG = "440106:2021-06-19"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[OwnCluster]:
    own = OwnCluster(tmp_path)
    try:
        own.start()
        yield own
    finally:
        own.stop()


async def prepared(store: Store, tag: str = TAG) -> Store:
    """A store whose opening is open, by times that are passed in."""
    store.now_ms = 1000
    day = {"opens_ms": 0, "draw_ms": 60_000, "closes_ms": 90_000, "claim_ms": 1000, "pass_ms": 1000, "grace_ms": 0}
    await store.prepare(tag, **day, poll_budget=10, rate=1, max_active=9, seed=b"s" * 32, night_seed=b"n" * 32)
    return store


async def test_an_answer_waits_for_the_replica_and_asking_again_does_too(cluster: OwnCluster) -> None:
    store = await prepared(Store(await connect(cluster.url), replicas=1))
    other = Store(await connect(cluster.url), replicas=1)
    other.now_ms = 1000
    careless = Store(await connect(cluster.url))
    careless.now_ms = 1000
    resident = b"r" * 16
    (first,) = known(await store.join(TAG, [b"q" * 16]))
    assert (first.entry, first.fresh) == (0, True)
    replica = cluster.replica_of(f"opening:{{{TAG}}}")
    os.kill(replica, signal.SIGSTOP)
    try:
        until(lambda: psutil.Process(replica).status() == psutil.STATUS_STOPPED, "the replica stands still")
        for each in (store, other):  # another worker finds the place, and the replica has not
            with pytest.raises(StoreUnavailable):
                await each.join(TAG, [resident])
        (told,) = known(await careless.join(TAG, [resident]))
        assert (told.entry, told.fresh) == (1, False)
    finally:
        os.kill(replica, signal.SIGCONT)
    until(lambda: psutil.Process(replica).status() != psutil.STATUS_STOPPED, "it goes on")
    (again,) = known(await other.join(TAG, [resident]))
    assert (again.entry, again.fresh) == (1, False)
    for each in (store, other, careless):
        await each.close()


async def test_scripts_of_all_nodes_in_one_call_wait_for_each(cluster: OwnCluster) -> None:
    tags = [f"44010{n}:2021-06-19" for n in range(9)]
    store = Store(await connect(cluster.url), replicas=1)
    for tag in tags:
        await prepared(store, tag)
    assert len(await store.advance([(tag, 0) for tag in tags])) == len(tags)
    os.kill(cluster.replica_of(f"opening:{{{tags[0]}}}"), signal.SIGKILL)
    with pytest.raises(StoreUnavailable):
        await store.advance([(tag, 0) for tag in tags])
    await store.close()


async def test_a_store_without_replicas_cannot_promise_them(store_url: str) -> None:
    store = Store(await connect(store_url), replicas=1)
    with pytest.raises(StoreUnavailable):
        await prepared(store)
    await store.close()


def test_the_number_comes_from_the_environment_and_goes_to_the_workers() -> None:
    env = {"JIAOHAO_REDIS_URL": "redis://x", "JIAOHAO_SECRET": "ab" * 32, "JIAOHAO_OPERATOR_TOKEN": OPERATOR}
    assert from_environment(env).replicas == 0
    settings = from_environment(env | {"JIAOHAO_REPLICAS": "2"})
    assert (settings.replicas, settings.environment()["JIAOHAO_REPLICAS"]) == (2, "2")
    with pytest.raises(SetupError, match="JIAOHAO_REPLICAS"):
        from_environment(env | {"JIAOHAO_REPLICAS": "-1"})
