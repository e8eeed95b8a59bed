"""On a cluster, what has been answered is on a replica too: a primary that dies takes nothing along."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtests.faults.network import Network
from loadtests.run.own_cluster import OwnCluster
from server.core.errors import SetupError, StoreUnavailable
from server.core.settings import from_environment
from server.records.statuses import known
from server.store import again
from server.store.again import Behind
from server.store.connecting import connect
from server.store.replicas import Ask, Replicas, Rule
from tests.support.nodes import move_slot, standing_still
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
    await store.prepare_version_1(
        tag, **day, poll_budget=10, rate=1, max_active=9, seed=b"s" * 32, night_seed=b"n" * 32
    )
    return store


async def test_an_answer_waits_for_the_replica_and_asking_again_does_too(cluster: OwnCluster) -> None:
    store = await prepared(Store(await connect(cluster.url), replicas=1))
    other = Store(await connect(cluster.url), replicas=1)
    other.now_ms = 1000
    careless = Store(await connect(cluster.url), replicas=0)
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


# All that could take over


@pytest.fixture
def wide_cluster(tmp_path: Path) -> Iterator[OwnCluster]:
    """Three primaries with two replicas each."""
    own = OwnCluster(tmp_path, replicas=2, node_timeout_ms=4000)  # a refusal takes two seconds
    try:
        own.start()
        yield own
    finally:
        own.stop()


async def opened(cluster: OwnCluster, replicas: Rule = "all") -> Store:
    store = Store(await connect(cluster.url), replicas=replicas)
    store.now_ms = 1000
    return store


async def kept(store: Store, resident: bytes) -> bool:
    """Whether a join was acknowledged."""
    try:
        known(await store.join(TAG, [resident]))
    except StoreUnavailable:
        return False
    return True


async def soon(store: Store, resident: bytes) -> None:
    async with asyncio.timeout(30):
        while not await kept(store, resident):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_an_answer_waits_for_every_replica_until_the_majority_has_given_one_up(wide_cluster: OwnCluster) -> None:
    store = await prepared(await opened(wide_cluster))
    one = await opened(wide_cluster, 1)
    assert await kept(store, b"a" * 16)
    _, first, second = wide_cluster.holders_of(f"opening:{{{TAG}}}")
    with standing_still(second):
        assert await kept(one, b"b" * 16), "one is enough for who wants one"
        assert not await kept(store, b"b" * 16), "that one may become the primary, and has not heard of it"
        await soon(store, b"b" * 16)  # it can no longer: the majority has declared it failed
        with standing_still(first):
            assert not await kept(store, b"c" * 16), "the other one still may"
    await soon(store, b"c" * 16)

    async def counted_again() -> bool:
        with standing_still(second):
            return not await kept(store, os.urandom(16))

    async with asyncio.timeout(30):  # back, and caught up: it may become the primary again
        while not await counted_again():  # noqa: ASYNC110
            await asyncio.sleep(0.3)
    for each in (store, one):
        await each.close()


async def test_a_primary_that_is_cut_off_with_one_replica_acknowledges_nothing(wide_cluster: OwnCluster) -> None:
    """Its worker with it. The others make the second replica their primary: it must have all that was acknowledged."""
    store = await prepared(await opened(wide_cluster))
    one = await opened(wide_cluster, 1)
    assert await kept(store, b"a" * 16)
    assert await kept(one, b"a" * 16)
    primary, first, _ = wide_cluster.holders_of(f"opening:{{{TAG}}}")
    others = [pid for pid in wide_cluster.pids() if pid not in (primary, first)]
    with standing_still(*others):
        assert await kept(one, b"b" * 16), "as with a number: and it would be lost"
        tries = 0
        async with asyncio.timeout(60):
            while tries < 4:
                assert not await kept(store, os.urandom(16))
                tries += 1
    await soon(store, b"c" * 16)
    for each in (store, one):
        await each.close()


def told(view: dict[str, tuple[str, str]], info: dict[str, str]) -> Ask:
    """A primary that says of each node whom it follows and its flags, and of each connected replica its state."""
    nodes = {name: {"node_id": name, "master_id": of, "flags": flags} for name, (of, flags) in view.items()}
    replicas = [(*name.split(":"), state) for name, state in info.items()]
    slaves = {f"slave{i}": {"ip": ip, "port": port, "state": state} for i, (ip, port, state) in enumerate(replicas)}

    async def ask(*command: str) -> Any:
        return nodes if command[0] == "CLUSTER NODES" else {"connected_slaves": len(slaves), **slaves}

    return ask


async def away(*command: str) -> Any:
    raise ConnectionRefusedError


async def test_a_primary_of_just_now_is_looked_at_before_anything_is_told_of_it() -> None:
    before = {"p:1": ("-", "myself,master"), "q:1": ("p:1", "slave"), "r:1": ("p:1", "slave")}
    after = {"p:1": ("-", "master,fail"), "q:1": ("-", "myself,master"), "r:1": ("q:1", "slave")}
    primaries = {"p:1": told(before, {"q:1": "online", "r:1": "online"})}
    replicas = Replicas("all", lambda: primaries, None)
    await replicas.follow("p:1")
    assert replicas.wanted("p:1") == 2
    primaries.clear()
    primaries["q:1"] = away
    with pytest.raises(Behind):  # and not: nobody is waited for
        await replicas.follow("q:1")
    primaries["q:1"] = told(after, {})
    await replicas.follow("q:1")
    assert replicas.wanted("q:1") == 1, "on its way from the primary of before, with all that it had"


async def test_the_replicas_of_the_primary_before_count_until_they_have_said_whom_they_follow() -> None:
    before = {"p:1": ("-", "myself,master"), "q:1": ("p:1", "slave"), "r:1": ("p:1", "slave")}
    died = {"p:1": ("-", "master,fail"), "q:1": ("-", "myself,master"), "r:1": ("p:1", "slave")}
    handed_over = {"p:1": ("q:1", "slave"), "q:1": ("-", "myself,master"), "r:1": ("p:1", "slave")}
    for after, wanted in ((died, 1), (handed_over, 2)):
        primaries = {"p:1": told(before, {"q:1": "online", "r:1": "online"})}
        replicas = Replicas("all", lambda of=primaries: of, None)  # type: ignore[misc]
        await replicas.follow("p:1")
        primaries.clear()
        primaries["q:1"] = told(after, {})
        await replicas.follow("q:1")
        assert replicas.wanted("q:1") == wanted


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a replica."""
    monkeypatch.setattr(again, "HOLD_SECONDS", 0.2)


@pytest.mark.usefixtures("hasty")
async def test_a_replica_that_has_come_since_the_last_look_must_have_it_too() -> None:
    view = {"p:1": ("-", "myself,master"), "q:1": ("p:1", "slave"), "r:1": ("p:1", "slave")}
    replicas = Replicas("all", lambda: {"p:1": told(view, {"q:1": "online", "r:1": "wait_bgsave"})}, None)
    await replicas.follow("p:1")
    assert replicas.wanted("p:1") == 1

    def said(have: int, *online: str, role: str = "master") -> tuple[Any, ...]:
        slaves = {f"slave{i}": {"ip": name, "port": 1, "state": "online"} for i, name in enumerate(online)}
        return True, have, {"role": role, "connected_slaves": len(online), **slaves}

    asked: list[int] = []

    async def once_more(wanted: int) -> tuple[Any, ...]:
        asked.append(wanted)
        return said(1, "q", "r")

    await replicas.hold("p:1", said(1, "q"), 1, once_more)
    assert asked == []
    for first in (said(1, "q", "r"), said(1, role="slave"), said(0, "q")):
        asked.clear()
        with pytest.raises(Behind):
            await replicas.hold("p:1", first, 1, once_more)
        assert len(asked) > 1 and set(asked) == {1}, "again and again"


@pytest.mark.usefixtures("hasty")
async def test_what_another_call_was_told_later_is_enough_but_not_of_another_history() -> None:
    """A node that was a replica in between may have lost what it had."""
    view = {"p:1": ("-", "myself,master"), "q:1": ("p:1", "slave")}
    replicas = Replicas("all", lambda: {"p:1": told(view, {"q:1": "online"})}, None)
    await replicas.follow("p:1")

    def said(have: int, history: str) -> tuple[Any, ...]:
        slave = {"ip": "q", "port": 1, "state": "online"}
        return True, have, {"role": "master", "connected_slaves": 1, "slave0": slave, "master_replid": history}

    async def once_more(wanted: int) -> tuple[Any, ...]:
        return said(1, "before")

    async def held(history: str) -> bool:
        try:
            await replicas.hold("p:1", said(0, history), 1, once_more)
        except Behind:
            return False
        return True

    assert await asyncio.gather(*map(held, ["before", "since", "before"])) == [True, False, True]


@pytest.mark.usefixtures("hasty")
async def test_a_replica_that_was_given_up_and_hears_its_primary_stands_for_no_other() -> None:
    """WAIT says how many have it, and not which."""
    view = {"p:1": ("-", "myself,master"), "q:1": ("p:1", "slave"), "f:1": ("p:1", "slave,fail")}
    replicas = Replicas("all", lambda: {"p:1": told(view, {"q:1": "online", "f:1": "online"})}, None)
    await replicas.follow("p:1")
    assert replicas.wanted("p:1") == 1

    def said(have: int, **offsets: int) -> tuple[Any, ...]:
        each = enumerate(offsets.items())
        slaves = {f"slave{i}": {"ip": ip, "port": 1, "state": "online", "offset": at} for i, (ip, at) in each}
        return True, have, {"role": "master", "connected_slaves": len(offsets), **slaves}

    asked: list[int] = []

    async def once_more(wanted: int) -> tuple[Any, ...]:
        asked.append(wanted)
        return said(2, q=100, f=100)

    await replicas.hold("p:1", said(1, q=100, f=70), 1, once_more)
    await replicas.hold("p:1", said(2, q=90, f=100), 1, once_more)
    assert asked == []
    await replicas.hold("p:1", said(1, q=90, f=100), 1, once_more)
    assert asked == [2], "waited once more, for both that are connected"

    async def still_ahead(wanted: int) -> tuple[Any, ...]:
        return said(1, q=90, f=100)

    with pytest.raises(Behind):
        await replicas.hold("p:1", said(1, q=90, f=100), 1, still_ahead)


async def test_a_replica_that_is_new_is_not_waited_for_before_it_has_everything() -> None:
    view = {"p:1": ("-", "myself,master"), "q:1": ("p:1", "slave"), "r:1": ("p:1", "slave")}
    for states, wanted in (
        ({"q:1": "online", "r:1": "wait_bgsave"}, 1),
        ({"q:1": "online", "r:1": "online"}, 2),
        # connected from an address that the cluster does not know it by: which one it is cannot be said
        ({"q:1": "online", "z:1": "wait_bgsave"}, 2),
        ({"y:1": "online", "z:1": "online"}, 2),
    ):
        replicas = Replicas("all", lambda of=states: {"p:1": told(view, of)}, None)  # type: ignore[misc]
        await replicas.follow("p:1")
        assert replicas.wanted("p:1") == wanted


async def test_replicas_count_where_nodes_tell_others_another_address_than_they_connect_from(tmp_path: Path) -> None:
    """As behind NAT: `cluster-announce-ip` without `replica-announce-ip`."""
    network = Network()
    own = OwnCluster(tmp_path, network=network)
    network.start()
    try:
        own.start()
        store = await prepared(await opened(own))
        assert await kept(store, b"a" * 16)
        with standing_still(own.replica_of(f"opening:{{{TAG}}}")):
            assert not await kept(store, b"b" * 16)
        await store.close()
    finally:
        own.stop()
        network.stop()


@pytest.fixture
def patient_cluster(tmp_path: Path) -> Iterator[OwnCluster]:
    """Nobody is declared failed while a test of two refusals lasts."""
    own = OwnCluster(tmp_path, node_timeout_ms=10_000)
    try:
        own.start()
        yield own
    finally:
        own.stop()


async def test_after_its_slot_has_moved_a_call_waits_for_the_replicas_of_the_node_that_has_it_now(
    patient_cluster: OwnCluster,
) -> None:
    """The worker still believes that it is where it was: the old node sends it on."""
    cluster = patient_cluster
    store = await prepared(await opened(cluster))
    where = f"opening:{{{TAG}}}"
    source = cluster.holders_of(where)[0]
    tags = [f"44010{n}:2021-06-19" for n in range(9)]
    other = next(tag for tag in tags if cluster.holders_of(f"opening:{{{tag}}}")[0] != source)
    target, its_replica = cluster.holders_of(f"opening:{{{other}}}")
    assert await kept(store, b"a" * 16)
    move_slot(cluster, where, source, target)
    another = await opened(cluster)
    another.now_ms = store.now_ms
    assert await kept(another, b"c" * 16)  # which is how the store sees that another node decides now
    store.now_ms += 5000  # and nobody new gets a place for a second
    with standing_still(its_replica):
        assert not await kept(store, b"b" * 16)
        assert not await kept(store, b"b" * 16), "asked again, on the node that has it"
    await soon(store, b"b" * 16)
    (told,) = known(await store.join(TAG, [b"b" * 16]))
    assert (told.entry, told.fresh) == (1, False)
    await store.close()
    await another.close()


def test_the_number_comes_from_the_environment_and_goes_to_the_workers() -> None:
    env = {"JIAOHAO_REDIS_URL": "redis://x", "JIAOHAO_SECRET": "ab" * 32, "JIAOHAO_OPERATOR_TOKEN": OPERATOR}
    assert from_environment(env).replicas == "all"
    settings = from_environment(env | {"JIAOHAO_REPLICAS": "2"})
    assert (settings.replicas, settings.environment()["JIAOHAO_REPLICAS"]) == (2, "2")
    with pytest.raises(SetupError, match="JIAOHAO_REPLICAS"):
        from_environment(env | {"JIAOHAO_REPLICAS": "-1"})
