"""Each fault that lost what was acknowledged, put back, turns its own check red and no other."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests.run.own_cluster import OwnCluster
from server.core.errors import StoreUnavailable
from server.core.keys import day_tag, key
from server.records.statuses import known
from server.store import again, replicas
from server.store.connecting import connect
from tests.broken.put_back import PUT_BACK, PutBack
from tests.support.nights import DAY, NightHouse, fill
from tests.support.nodes import move_slot, standing_still
from tests.support.stores import Store

TIANHE = "440106"
OPENING = f"{TIANHE}:2021-06-19"
NIGHT, ENTRIES, CUT_OFF, MOVED = (
    "seen by the night",
    "no entry twice",
    "not told of what may be lost",
    "waits there too",
)
RED = dict(zip(PUT_BACK, (set(), {NIGHT}, {ENTRIES}, {CUT_OFF}, {MOVED}), strict=True))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    """Three primaries with two replicas each; nobody is declared failed while one stands still."""
    own = OwnCluster(tmp_path_factory.mktemp("put-back"), replicas=2, node_timeout_ms=20_000)
    try:
        own.start()
        yield own
    finally:
        own.stop()


@pytest.mark.long
async def test_none_is_red_but_the_check_of_what_was_put_back(
    cluster: OwnCluster, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "_REPLICAS_MS", 300)  # there are many refusals
    monkeypatch.setattr(again, "HOLD_SECONDS", 0.7)
    found = {}
    for n, (name, fault) in enumerate(PUT_BACK.items()):
        with fault.code():
            held = {
                NIGHT: await the_night_sees_who_registered(store_url, tmp_path / str(n)),
                ENTRIES: await no_entry_is_given_twice(store_url),
                CUT_OFF: await what_a_promoted_replica_has_not_is_not_told(cluster, fault, f"cut:{{{n}}}"),
                MOVED: await what_is_sent_on_waits_where_it_is_obeyed(cluster, fault, f"moved:{{{n}}}"),
            }
        found[name] = {check for check, is_held in held.items() if not is_held}
    assert found == RED


async def the_night_sees_who_registered(url: str, folder: Path) -> bool:
    """The opening's node has forgotten a claim, which is another's than that of the registration."""
    store = Store(await connect(url))
    client: Any = store.client
    await client.flushall()
    house = NightHouse(store, folder)
    house.at("12:00:00")
    await store.prepare_version_1(
        day_tag(TIANHE, DAY), opens_ms=1, draw_ms=2, closes_ms=3, claim_ms=1, pass_ms=1, grace_ms=1, poll_budget=1,
        rate=1, max_active=1, seed=bytes(32), night_seed=bytes(32),
    )  # fmt: skip
    put = await fill(store, 5, per_slot=9, districts=(TIANHE,))
    await client.hdel(key("claims", day_tag(TIANHE, DAY)), "3")
    await house.run()
    seen = {line["no"] for line in house.lines(TIANHE)}
    await store.close()
    return seen == put.keys()


async def no_entry_is_given_twice(url: str) -> bool:
    """A node takes over that has not got the latest place; the worker has been told of it."""
    store = Store(await connect(url))
    client: Any = store.client
    await client.flushall()
    store.now_ms = 1000
    day = {"opens_ms": 0, "draw_ms": 60_000, "closes_ms": 90_000, "claim_ms": 1000, "pass_ms": 1000, "grace_ms": 0}
    await store.prepare_version_1(
        OPENING, **day, poll_budget=10, rate=1, max_active=9, seed=bytes(32), night_seed=bytes(32)
    )
    await store.join(OPENING, [b"a" * 16], 0, 0)
    names = [name async for name in client.scan_iter(match=f"*{{{OPENING}}}")]
    kept = {name: await client.dump(name) for name in names}
    (told,) = known(await store.join(OPENING, [b"b" * 16], 0, 1))
    for name, value in kept.items():
        await client.restore(name, 0, value, replace=True)
    (next_one,) = known(await store.join(OPENING, [b"c" * 16], 0, 2))
    await store.close()
    return bool(next_one.entry != told.entry)


async def what_a_promoted_replica_has_not_is_not_told(cluster: OwnCluster, fault: PutBack, name: str) -> bool:
    """A primary is cut off with one replica and the worker; the others would promote the second one."""
    store = Store(await connect(cluster.url), replicas=fault.rule)
    await soon_told(store, name)
    primary, first, *_ = cluster.holders_of(name)
    with standing_still(*(pid for pid in cluster.pids() if pid not in (primary, first))):
        told = await is_told(store, name)
    await store.close()
    return not told


async def what_is_sent_on_waits_where_it_is_obeyed(cluster: OwnCluster, fault: PutBack, name: str) -> bool:
    """Its slot has moved to a node whose replicas stand still, and the worker does not know."""
    store = Store(await connect(cluster.url), replicas=fault.rule)
    await soon_told(store, name)
    source = cluster.primary_of(name)
    target = next(pid for pid in cluster.primaries() if pid != source)
    move_slot(cluster, name, source, target)
    _, *followers = cluster.holders_of(name)
    with standing_still(*followers):
        told = await is_told(store, name)
    await store.close()
    return not told


async def soon_told(store: Store, name: str) -> None:
    """Write, once all is well."""
    async with asyncio.timeout(60):
        while not await is_told(store, name):
            pass


async def is_told(store: Store, name: str) -> bool:
    """Whether a write is acknowledged."""
    try:
        await store.plain([("SET", name, 1)])
    except StoreUnavailable:
        return False
    return True
