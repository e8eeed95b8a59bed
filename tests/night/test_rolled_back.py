"""Nights after a node took over that had not got the last writes: what was acknowledged is what counts."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core.keys import day_tag, key
from tests.support.nights import DAY, NightHouse, fill
from tests.support.stores import Store

TIANHE = "440106"


@pytest.fixture
def house(store: Store, tmp_path: Path) -> NightHouse:
    """A night's service on an empty store, at noon; once standalone and once a cluster."""
    house = NightHouse(store, tmp_path / "results")
    house.at("12:00:00")
    return house


async def prepare(store: Store) -> None:
    """The day's opening has been, and is over."""
    await store.prepare(
        day_tag(TIANHE, DAY), opens_ms=1, draw_ms=2, closes_ms=3, claim_ms=1, pass_ms=1, grace_ms=1, poll_budget=1,
        rate=1, max_active=1, seed=bytes(32), night_seed=bytes(32),
    )  # fmt: skip


async def test_the_night_sees_who_registered_with_a_claim_that_the_opening_has_forgotten(house: NightHouse) -> None:
    await prepare(house.store)
    put = await fill(house.store, 30, per_slot=9, districts=(TIANHE,))
    client: Any = house.store.client
    await client.hdel(key("claims", day_tag(TIANHE, DAY)), "3", "7", "29")
    foreseen = {outcome.district: outcome for outcome in await foresee(house)}
    brought = await house.run()
    assert foreseen[TIANHE].registrations == brought[TIANHE].registrations == 30
    assert {line["no"] for line in house.lines(TIANHE)} == put.keys()


async def foresee(house: NightHouse) -> Any:
    """What a dry run says."""
    house.at("20:10:00")
    return await house.night.foresee(DAY)


async def test_the_night_sees_them_where_the_opening_has_forgotten_every_claim(house: NightHouse) -> None:
    await prepare(house.store)
    await fill(house.store, 5, districts=(TIANHE,))
    client: Any = house.store.client
    await client.delete(key("claims", day_tag(TIANHE, DAY)))
    assert (await house.run())[TIANHE].registrations == 5


async def test_the_night_sees_who_registered_under_the_version_before(house: NightHouse) -> None:
    """It kept no list beside the registrations: who has claimed a place is looked at."""
    await fill(house.store, 5, districts=(TIANHE,))
    client: Any = house.store.client
    async for name in client.scan_iter(match="registered:*"):
        await client.delete(name)
    assert (await house.run())[TIANHE].registrations == 5


async def test_an_opening_is_looked_at_again_until_the_last_pass_must_be_over(house: NightHouse) -> None:
    """A pass that the store has forgotten still registers its holder, while the night goes on."""
    closes_ms = house.clock.now_ms() + 9 * 3_600_000  # 21:00, when the night has begun
    await house.store.prepare(
        day_tag(TIANHE, DAY), opens_ms=1, draw_ms=2, closes_ms=closes_ms, claim_ms=1, pass_ms=1, grace_ms=1,
        poll_budget=1, rate=1, max_active=1, seed=bytes(32), night_seed=bytes(32),
    )  # fmt: skip
    await fill(house.store, 5, districts=(TIANHE,))
    assert (await house.run())[TIANHE].registrations == 5
    late = await fill(house.store, 1, first=5, districts=(TIANHE,))
    client: Any = house.store.client
    await client.delete(key("claims", day_tag(TIANHE, DAY)))
    await house.run(DAY + timedelta(days=1))
    assert {line["no"] for line in house.lines(TIANHE, DAY + timedelta(days=1))} >= late.keys()
