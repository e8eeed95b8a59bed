"""A record that cannot be read is nobody's to act on: whoever asks for it comes again, and the others get theirs."""

from collections.abc import AsyncIterator, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.appointments.giving import SlotGrant
from server.core.keys import day_tag, key, resident_tag
from server.core.metrics import Metrics
from server.records.slot import RosterEntry, Slot
from server.store.connecting import connect
from tests.support.nights import DAY, NightHouse, fill, resident_of
from tests.support.post import Phones, Post, open_post
from tests.support.serving import (
    OPERATOR,
    TIANHE,
    House,
    at_half_past_eight,
    person,
    refused,
)
from tests.support.stores import Store

MONDAY = date(2021, 6, 21)
SECRET = "13800000000"


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Half past eight on 19 June 2021; residents 0 to 3 of Tianhe are eligible."""
    async with at_half_past_eight(store_url, 4) as it:
        yield it


async def spoil(store: Store, resident: bytes, field: str, value: str) -> str:
    """Let a field of a registration say something that nobody knows; what it said."""
    client: Any = store.client
    name = key("registration", resident_tag(resident))
    was = (await client.hget(name, field)) or b""
    await client.hset(name, field, value)
    return str(was.decode())


def broken(logs: Iterable[Any]) -> set[tuple[str, str]]:
    """(what, which field) of the records that were said to be broken."""
    logs = list(logs)
    assert SECRET not in repr(logs), "what stands there is nobody's business"
    return {(it["record"], it["field"]) for it in logs if it["event"] == "broken record"}


@pytest.mark.parametrize("field", ["state", "day", "preferences", "sms:allotted"])
async def test_a_registration_that_cannot_be_read_is_not_shown_changed_or_cancelled(field: str, house: House) -> None:
    done = await house.booked(person(0), MONDAY)
    path = f"/registrations/{done['registration_no']}"
    was = await spoil(house.store, house.resident(person(0)), field, SECRET)
    before = await house.everything()
    with capture_logs() as logs:
        refused(await house.call("GET", path, bearer=done["receipt"]), "store-unavailable", 503)
        refused(await house.call("POST", f"{path}/cancellation", bearer=done["receipt"]), "store-unavailable", 503)
    assert broken(logs) == {("registration", "messages" if ":" in field else field)}
    assert await house.everything() == before
    if was:
        await spoil(house.store, house.resident(person(0)), field, was)
        assert (await house.call("GET", path, bearer=done["receipt"])).status_code == 200


async def test_a_roster_shows_the_others(house: House) -> None:
    numbers = [(await house.booked(person(i), MONDAY))["registration_no"] for i in range(3)]
    await spoil(house.store, house.resident(person(1)), "state", SECRET)
    with capture_logs() as logs:
        roster = (await house.call("GET", "/sites/T1/roster?date=2021-06-21", bearer=house.staff("T1"))).json()
    assert [it["registration_no"] for it in roster["entries"]] == [numbers[0], numbers[2]]
    assert broken(logs) == {("registration", "state")}


async def test_a_site_is_closed_for_the_others(house: House) -> None:
    for i in range(3):
        await house.booked(person(i), MONDAY)
    await spoil(house.store, house.resident(person(1)), "lang", SECRET)
    body = {"date": "2021-06-21", "reason": "停电"}
    closed = await house.call("POST", "/sites/T1/closures", bearer=house.staff("T1"), json=body)
    assert (closed.status_code, closed.json()["sent_back"]) == (200, 3)
    states = [(await house.store.registration_fields(house.resident(person(i))))["state"] for i in range(3)]
    assert states == ["proposed"] * 3
    left = [it.resident for it in await house.store.roster(day_tag(TIANHE, MONDAY))]
    assert left == [house.resident(person(1))], "its slot is freed once it can be read"
    await spoil(house.store, house.resident(person(1)), "lang", "zh")
    assert await house.services.appointments.reconcile(older_than_ms=-1) == 0
    assert await house.store.roster(day_tag(TIANHE, MONDAY)) == []


async def test_the_operators_list_of_calls_has_the_others_in_full(house: House) -> None:
    for i in range(2):
        no = (await house.registered(person(i)))["registration_no"]
        await house.store.note_call(TIANHE, no, house.resident(person(i)))
    await spoil(house.store, house.resident(person(0)), "lang", SECRET)
    calls = (await house.call("GET", "/operations/calls", bearer=OPERATOR)).json()["calls"]
    assert sorted(it["state"] or "" for it in calls) == ["", "proposed"]


async def test_a_line_of_the_registry_that_cannot_be_read_lets_nobody_in_and_keeps_nobody_else_out(
    house: House,
) -> None:
    client: Any = house.store.client
    await client.set(key("registry", resident_tag(house.resident(person(0)))), b"\xc1" + SECRET.encode())
    with capture_logs() as logs:
        refused(await house.try_join(person(0)), "store-unavailable", 503)
    assert broken(logs) == {("registry", "the line")}
    assert (await house.try_join(person(1))).status_code == 201


async def test_they_are_counted(house: House) -> None:
    done = await house.registered(person(0))
    await spoil(house.store, house.resident(person(0)), "state", SECRET)
    path = f"/registrations/{done['registration_no']}"
    refused(await house.call("GET", path, bearer=done["receipt"]), "store-unavailable", 503)
    metrics: Metrics = house.services.metrics
    for _ in range(2):  # once more hands over nothing twice
        metrics.take_over(house.store.tallies)
    assert 'jiaohao_broken_records_total{record="registration"} 1.0' in metrics.exposition().decode().splitlines()


async def test_a_night_gives_the_others_their_slots_and_leaves_it_as_it_is(store_url: str, tmp_path: Path) -> None:
    store = Store(await connect(store_url))
    night = NightHouse(store, tmp_path / "results")
    night.at("12:00:00")
    put = await fill(store, 12, per_slot=5, districts=(TIANHE,))
    numbers = list(put)
    tag = day_tag(TIANHE, DAY)
    await store.keep_capacity(tag, {Slot(f"{TIANHE}-1", "am", "inactivated"): 2})
    for no in numbers[:2]:
        slot = RosterEntry(no, put[no]["resident"], f"{TIANHE}-1", "am", "inactivated")
        assert await night.appointments.give(TIANHE, [SlotGrant(slot, DAY)], "test") == ["booked"]
    odd = {numbers[1]: ("day", SECRET), numbers[2]: ("state", SECRET), numbers[3]: ("preferences", SECRET)}
    for no, (field, value) in odd.items():
        await spoil(store, put[no]["resident"], field, value)
    client: Any = store.client
    await client.set(key("registry", resident_tag(resident_of(TIANHE, 4))), b"\xc1")
    noted = await store.unsettle(tag, numbers[1], put[numbers[1]]["resident"])  # as a crash has left it
    as_it_was = {no: await store.registration_fields(put[no]["resident"]) for no in odd}
    night.at("20:10:00")
    with capture_logs() as logs:
        (brought,) = [it for it in await night.night.run(DAY) if it.district == TIANHE]
    assert broken(logs) >= {("registration", "state"), ("registration", "preferences"), ("registry", "the line")}
    assert (brought.missed, brought.registrations) == (1, 7)
    assert {no: await store.registration_fields(put[no]["resident"]) for no in odd} == as_it_was
    assert brought.counts["allotted"] == 7
    assert [[(it.no, it.since_ms) for it in of_day] for of_day in await store.open_changes([tag])] == [
        [(numbers[1], noted)]
    ], "its slot is looked at again once it can be read"
    given = [await store.roster(day_tag(TIANHE, DAY + timedelta(days=n))) for n in range(2, 7)]
    assert not {it.no for of_day in given for it in of_day} & odd.keys()
    await store.close()


@pytest.fixture
async def post(store_url: str) -> AsyncIterator[Post]:
    """Two residents are owed a message each."""
    async with open_post(store_url, tries=1) as it:
        await it.register([person(0), person(1)])
        yield it


@pytest.mark.parametrize("what", ["registration", "registry", "message"])
async def test_a_message_about_it_stays_owed_and_the_others_go_out(
    what: str, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = post.store.client
    tag = resident_tag(post.key(0))
    name, field = {
        "registration": (key("registration", tag), "state"),
        "registry": (key("registry", tag), None),
        "message": (key("owed", tag), "1"),
    }[what]
    was = await (client.hget(name, field) if field else client.get(name))
    odd = f'["registered",{SECRET},1,0,{{}}]' if what == "message" else SECRET  # a number that is none
    await (client.hset(name, field, odd) if field else client.set(name, b"\xc1" + SECRET.encode()))
    phones = Phones()
    with capture_logs() as logs:
        await post.send(phones)
    assert [phone for phone, _ in phones.messages] == [person(1).phone]
    assert {record for record, _ in broken(logs)} == {what}
    await (client.hset(name, field, was) if field else client.set(name, was))
    monkeypatch.setattr("server.messages.outbox_reader._IDLE_MS", {"codes": 0, "outbox": 0})  # long enough ago
    await post.send(phones)
    assert [phone for phone, _ in phones.messages] == [person(1).phone, person(0).phone]
