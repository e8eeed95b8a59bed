"""Somebody is there twice and one of the two is taken away: the other one stays, and the night serves it.

In Taiwan, and in Osaka, who had registered twice was found by a clean-up that took both away. Here each way of being
there twice is gone through: two devices, two registrations one after the other, one person twice in the office's file,
and one person whom nobody can know to be the same, with papers of two kinds.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.records.slot import Slot
from tests.support.serving import (
    DAY,
    TIANHE,
    House,
    Jiaohao,
    Person,
    enrol,
    keep_sites,
    open_house,
    person,
    refused,
    registry_csv,
)

APPOINTMENT = DAY + timedelta(days=2)
SHORT = Person("12345678", "陈大文", "13700000123", "taiwan_permit")
LONG = Person("1234567802", "陈大文", "13700000123", "taiwan_permit")  # the same permit, issued again
PASSPORT = Person("E12345678", "陈大文", "13700000123", "passport")


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    async with open_house(store_url) as it:
        await enrol(it.store, [person(i) for i in range(4)])
        await keep_sites(it.store)
        await it.store.open_outbox([TIANHE])
        await it.at("09:00:00")
        yield it


async def see(house: House, done: Any) -> Any:
    return await house.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])


async def cancel(house: House, done: Any) -> Any:
    return await house.call("POST", f"/registrations/{done['registration_no']}/cancellation", bearer=done["receipt"])


async def hold_night(house: House, doses: int = 9) -> list[str]:
    """The numbers on the list, in the night's order."""
    await house.store.keep_capacity(f"{TIANHE}:{APPOINTMENT}", {Slot("T1", "am", "inactivated"): doses})
    await house.at("20:15:00")
    await house.services.night.run(DAY)
    file = house.services.published.path(DAY, TIANHE)
    assert file is not None
    await house.at("09:00:00", DAY + timedelta(days=1))
    return [json.loads(line)["no"] for line in file.read_bytes().splitlines()[1:-1]]


async def test_two_devices_at_once_make_one_registration_and_cancelling_on_one_leaves_what_follows(
    house: House,
) -> None:
    tickets = [(await house.join(person(0)))["ticket"] for _ in range(2)]
    await house.forward(1)
    passes = [await house.claim(ticket) for ticket in tickets]
    answers = await asyncio.gather(*(house.register(it) for it in passes), *(house.register(it) for it in passes))
    assert sorted(it.status_code for it in answers) == [200, 200, 200, 201]
    assert len({it.json()["registration_no"] for it in answers}) == 1
    first = answers[0].json()
    assert (await cancel(house, first)).status_code == 200
    await house.passes_freed()
    second = await house.registered(person(0))
    assert second["registration_no"] != first["registration_no"]
    # The other device knows nothing of it: its late cancellation, and its pass sent again, are of the first one.
    path = f"/registrations/{first['registration_no']}"
    for late in (await cancel(house, first), await house.call("GET", path, bearer=first["receipt"])):
        assert "reason" not in refused(late, "not-found", 404), "it is not lost: a later one stands in its place"
    refused(await house.register(passes[1]), "used", 409)
    assert (await see(house, second))["state"] == "proposed"
    assert await hold_night(house) == [second["registration_no"]]
    assert (await see(house, second))["state"] == "booked"


async def test_a_line_that_the_office_had_twice_and_has_once_now_keeps_its_registration(
    house: House, jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    env = {"JIAOHAO_REDIS_URL": store_url, "JIAOHAO_SECRET": (b"p" * 32).hex()}
    both = registry_csv(tmp_path / "both.csv", [person(0), SHORT, LONG])
    assert (await asyncio.to_thread(lambda: jiaohao("import", "registry", str(both), **env)))[0] == 0
    await house.at("09:01:00")
    done = await house.registered(LONG)
    for left in (SHORT, LONG):
        one = registry_csv(tmp_path / "one.csv", [*(person(i) for i in range(4)), left])
        code, _, err = await asyncio.to_thread(
            lambda file=one: jiaohao("import", "registry", str(file), "--replace", **env)  # type: ignore[misc]
        )
        assert code == 0, err
        assert (await see(house, done))["state"] == "proposed", left
    assert await hold_night(house) == [done["registration_no"]]
    assert (await see(house, done))["state"] == "booked"


async def test_of_two_kinds_of_papers_the_one_whose_line_goes_is_closed_and_the_other_is_served(
    house: House, jiaohao: Jiaohao, store_url: str, tmp_path: Path
) -> None:
    env = {"JIAOHAO_REDIS_URL": store_url, "JIAOHAO_SECRET": (b"p" * 32).hex()}
    await enrol(house.store, [PASSPORT, SHORT])
    goes, stays = await house.registered(PASSPORT), await house.registered(SHORT)
    file = registry_csv(tmp_path / "one.csv", [*(person(i) for i in range(4)), SHORT])
    for _ in range(2):  # and once more, as a clean-up that was not sure would
        code, _, err = await asyncio.to_thread(lambda: jiaohao("import", "registry", str(file), "--replace", **env))
        assert code == 0, err
    assert (await see(house, goes))["state"] == "cancelled"
    assert (await see(house, stays))["state"] == "proposed"
    assert await hold_night(house) == [stays["registration_no"]]
    seen = await see(house, stays)
    assert (seen["state"], seen["appointment"]["date"]) == ("booked", str(APPOINTMENT))
    assert (await see(house, goes))["history"][-1]["why"] == "not-in-registry", "and its holder reads why"


async def test_who_gives_one_of_two_up_the_day_after_keeps_the_other_and_its_slot(house: House) -> None:
    await enrol(house.store, [PASSPORT, SHORT])
    one, other = await house.registered(PASSPORT), await house.registered(SHORT)
    assert set(await hold_night(house)) == {one["registration_no"], other["registration_no"]}
    assert (await cancel(house, one)).status_code == 200
    seen = await see(house, other)
    assert (seen["state"], seen["appointment"]["site"]) == ("booked", "T1")
    roster = await house.call("GET", "/sites/T1/roster", params={"date": str(APPOINTMENT)}, bearer=house.staff("T1"))
    assert [it["registration_no"] for it in roster.json()["entries"]] == [other["registration_no"]]
    (used,) = await house.store.used([f"{TIANHE}:{APPOINTMENT}"])
    assert used[Slot("T1", "am", "inactivated")] == (9, 1), "one slot is free again, one is kept"
