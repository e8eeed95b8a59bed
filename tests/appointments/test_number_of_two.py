"""A registration number that two residents have, in a store damaged by hand: the desk is told, and nobody is marked
present in the other's name."""

from datetime import date
from typing import Any

import pytest
from redis.asyncio import Redis

from server.core.keys import key, parts_of, resident_tag
from server.operations.repairing import repair
from tests.support.serving import OPERATOR, TIANHE, House, enrol, keep_sites, open_house, person, refused

MONDAY = date(2021, 6, 21)
A, B = person(0), person(1)


class Damaged:
    """A house in which A has an appointment on Monday at T1, and B's registration has got A's number."""

    def __init__(self, house: House, store_url: str, no: str, was: str) -> None:
        self.house, self.no, self.was, self._url = house, no, was, store_url

    async def states(self) -> list[str]:
        """Of the registrations of A and B."""
        kept = [await self.house.store.registration_fields(self.house.resident(who)) for who in (A, B)]
        return [it["state"] for it in kept]

    async def roster(self, site: str = "T1") -> list[dict[str, Any]]:
        found = await self.house.call("GET", f"/sites/{site}/roster", bearer=self.house.staff(site))
        return list(found.json()["entries"])

    async def attend(self, site: str = "T1", **more: str) -> Any:
        seen = {"registration_no": self.no, "date": str(MONDAY)} | more
        return await self.house.call("POST", "/attendances", bearer=self.house.staff(site), json=seen)


@pytest.fixture
async def damaged(store_url: str) -> Any:
    async with open_house(store_url) as house:
        await enrol(house.store, [person(i) for i in range(3)])
        await keep_sites(house.store)
        await house.at("09:00:00")
        no = (await house.booked(A, MONDAY, "T1"))["registration_no"]
        was = (await house.registered(B))["registration_no"]
        await house.booked(person(2), MONDAY, "T1")
        parts = parts_of(no, house.day)
        assert parts is not None
        async with Redis.from_url(store_url) as client:
            await client.hset(key("registration", resident_tag(house.resident(B))), "no", no)
            await client.hset(key("claims", f"{TIANHE}:{house.day}"), str(parts.entry), house.resident(B) + b"0")
        await house.at("09:00:00", MONDAY)
        yield Damaged(house, store_url, no, was)


async def test_the_roster_says_whose_number_is_a_second_residents_too(damaged: Damaged) -> None:
    holders = {line["registration_no"]: line["holder"] for line in await damaged.roster()}
    assert len(holders) == 2 and holders.pop(damaged.no) is not None
    assert list(holders.values()) == [None]


async def test_nobody_is_marked_present_by_the_number_alone(damaged: Damaged) -> None:
    for site, more in (("T1", {}), ("T1", {"holder": "0" * 12}), ("T2", {})):
        problem = refused(await damaged.attend(site, **more), "not-found", 404)
        assert problem["reason"] == "number-of-two" and "两个人" in problem["detail"]
    assert await damaged.states() == ["booked", "proposed"]


async def test_with_the_rosters_holder_it_is_the_one_that_the_roster_shows(damaged: Damaged) -> None:
    (holder,) = (line["holder"] for line in await damaged.roster() if line["registration_no"] == damaged.no)
    for _ in range(2):
        assert (await damaged.attend(holder=holder)).json()["state"] == "fulfilled"
    assert await damaged.states() == ["fulfilled", "proposed"]


async def test_after_a_repair_the_old_number_still_says_that_it_was_two_residents(damaged: Damaged) -> None:
    """Who got another number may come with the message that had the old one."""
    done = await repair(damaged.house.services.city, damaged.house.store)
    assert [it for it, _ in done.renumbered] == [damaged.no]
    refused(await damaged.attend(), "not-found", 404)
    (holder,) = (line["holder"] for line in await damaged.roster() if line["registration_no"] == damaged.no)
    assert (await damaged.attend(holder=holder)).json()["state"] == "fulfilled"
    assert await damaged.states() == ["fulfilled", "proposed"]


async def test_a_bar_is_lifted_from_who_was_barred_under_the_number(damaged: Damaged, store_url: str) -> None:
    resident = damaged.house.resident(A)
    async with Redis.from_url(store_url) as client:
        await client.hset(key("bars", TIANHE), damaged.no, resident)
        await client.set(key("stop", resident_tag(resident)), "barred")
    answer = await damaged.house.call("DELETE", f"/bars/{damaged.no}", bearer=OPERATOR, json={"reason": "照顾家人"})
    assert answer.status_code == 204, answer.text
    assert (await damaged.house.store.residents([resident]))[0].stop != "barred"
