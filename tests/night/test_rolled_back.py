"""Nights after a node took over that had not got the last writes: what was acknowledged is what counts."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core.keys import day_tag, is_registration_no, key, parts_of, resident_tag
from server.operations.repairing import repair
from server.records.registration import NewRegistration
from server.records.statuses import known
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
    await store.prepare_version_1(
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
    await house.store.prepare_version_1(
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


# Two registrations of one number


async def put_twice(house: NightHouse) -> tuple[str, bytes, bytes]:
    """A number, and the two residents who have it, the first one first; the claim that is left is the second one's."""
    await prepare(house.store)
    put = await fill(house.store, 3, per_slot=9, districts=(TIANHE,))
    no, first = next((no, it["resident"]) for no, it in put.items() if it["entry"] == 1)
    second = b"second".ljust(16, b"2")
    fields = {name: value for name, value in put[no].items() if name != "resident"}
    house.at("12:05:00")
    new = NewRegistration(second, 1 << 52, no, "2021-05-01", fields)
    assert known(await house.store.register([new]))[0].status == "registered"
    client: Any = house.store.client
    await client.hset(key("claims", day_tag(TIANHE, DAY)), "1", second + b"0")
    return no, first, second


async def check_parted(house: NightHouse, no: str, first: bytes, second: bytes) -> str:
    """Who was first keeps the number; the other one has another, and is told so."""
    assert (await house.store.registration_fields(first))["no"] == no
    its = await house.store.registration_fields(second)
    assert its["no"] != no and is_registration_no(its["no"])
    assert parts_of(its["no"], DAY) == (DAY, int(no[5:7]), int(its["entry"]), 1)
    assert (await house.owed(second))[:2] == ["registered", "registered"]
    assert (await house.store.residents([second]))[0].stop == f"open {its['no']}"
    event = (await house.store.history(second)).events[0]
    assert (event.no, event.state, event.why) == (its["no"], "renumbered", no)
    assert await house.store.is_number_of(second, no), "the number that it had still leads to them"
    return its["no"]


async def test_the_night_loses_neither_of_two_registrations_of_one_number(house: NightHouse) -> None:
    no, first, second = await put_twice(house)
    brought = await house.run()
    new_no = await check_parted(house, no, first, second)
    assert brought[TIANHE].registrations == 4
    assert {no, new_no} <= {line["no"] for line in house.lines(TIANHE)}
    assert (await house.store.registration_fields(second))["night"] == str(DAY)


async def test_a_repair_finds_both_kinds_of_damage_once(house: NightHouse) -> None:
    no, first, second = await put_twice(house)
    client: Any = house.store.client
    for name in [name async for name in client.scan_iter(match="registered:*")]:
        await client.delete(name)
    await client.hdel(key("claims", day_tag(TIANHE, DAY)), "0")
    before = await house.everything()
    dry = await repair(house.city, house.store, dry_run=True)
    assert await house.everything() == before
    assert (dry.registrations, len(dry.unseen), [it for it, _ in dry.renumbered], dry.left) == (4, 2, [no], [])
    done = await repair(house.city, house.store)
    assert sorted(done.unseen) == sorted(dry.unseen)
    new_no = await check_parted(house, no, first, second)
    assert done.renumbered == [(no, new_no)]
    again = await repair(house.city, house.store)
    assert (again.registrations, again.unseen, again.renumbered, again.left) == (4, [], [], [])
    assert (await house.run())[TIANHE].registrations == 4


async def test_a_repair_sees_whom_a_night_has_passed_by(house: NightHouse) -> None:
    await prepare(house.store)
    put = await fill(house.store, 3, districts=(TIANHE,))
    await house.run()
    client: Any = house.store.client
    (no,) = [no for no, it in put.items() if it["entry"] == 2]
    await client.hset(key("registration", resident_tag(put[no]["resident"])), "state", "proposed")
    await client.hdel(key("pending", TIANHE), no)
    assert (await repair(house.city, house.store)).unseen == [no]
    assert no in {no async for page in house.store.pending(TIANHE) for no, _ in page}


async def test_where_both_have_an_appointment_a_repair_says_so_and_leaves_it(house: NightHouse) -> None:
    no, first, second = await put_twice(house)
    client: Any = house.store.client
    for each in (first, second):
        await client.hset(key("registration", resident_tag(each)), "state", "booked")
    done = await repair(house.city, house.store)
    assert (done.renumbered, done.left) == ([], [no])
