"""Before registering: what today's window would likely bring, from the published nights and from nothing else."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from tests.support.plain_page import Phone
from tests.support.serving import TIANHE, House, enrol, open_house, person

TODAY = date(2021, 6, 26)
ASK = f"/openings/{TIANHE}/eligibility"


async def published(house: House, day: date, reached: str | None, cohort: int = 1, **more: Any) -> None:
    """A night came to the first doses of `reached`; 20 of 50 got a slot."""
    client: Any = house.store.client
    brought = {
        "root": "0" * 64, "registrations": 50, "counts": json.dumps({"allotted": 20, "full": 30}),
        "reached": json.dumps([reached if each == cohort else None for each in range(4)]),
    }  # fmt: skip
    await client.hset(f"night:{{{TIANHE}:{day}}}", mapping=brought | more)


async def asked(house: House, dose: date | None) -> Any:
    if dose is not None:
        await enrol(house.store, [person(0)], dose=dose)
    answer = await house.call("POST", ASK, json=person(0).papers())
    assert answer.status_code == 200, answer.text
    return answer.json()["outlook"]


@pytest.mark.parametrize(
    ("dose", "nights", "since"),
    [
        (date(2021, 5, 1), 1, None),  # long before what the last night came to
        (date(2021, 5, 12), 1, None),  # its own date
        (date(2021, 5, 13), 1, "2021-06-21"),  # eight days in four nights
        (date(2021, 5, 14), 1, "2021-06-21"),
        (date(2021, 5, 15), 2, "2021-06-21"),
        (date(2021, 5, 20), 4, "2021-06-21"),
    ],
)
async def test_by_how_far_the_nights_came(store_url: str, dose: date, nights: int, since: str | None) -> None:
    async with open_house(store_url, day=TODAY) as house:
        await house.at("09:00:00")
        # On the 21st, in phase 1, nobody had priority: those were cohort 2 then. Since the 22nd they are cohort 1.
        await published(house, date(2021, 6, 21), "2021-05-04", cohort=2)
        await published(house, date(2021, 6, 23), "2021-05-09")
        await published(house, date(2021, 6, 25), "2021-05-12")
        assert await asked(house, dose) == {
            "night": "2021-06-25", "registrations": 50, "allotted": 20, "reached": "2021-05-12", "nights": nights,
            "since": since,
        }  # fmt: skip


async def test_a_night_that_was_missed_in_between_is_counted_as_gone_by(store_url: str) -> None:
    async with open_house(store_url, day=TODAY) as house:
        await house.at("09:00:00")
        await published(house, date(2021, 6, 20), "2021-05-08", cohort=2)
        await published(house, date(2021, 6, 24), "2021-05-12")
        seen = await asked(house, date(2021, 5, 15))  # three nights after that of the 24th: the 27th
        assert (seen["night"], seen["nights"]) == ("2021-06-24", 2)


async def test_where_nobody_knows_no_night_is_said(store_url: str) -> None:
    async with open_house(store_url, day=TODAY) as house:
        await house.at("09:00:00")
        assert await asked(house, date(2021, 5, 20)) is None, "no night yet"
        await published(house, TODAY - timedelta(days=9), "2021-05-01", cohort=2)
        await house.at("09:02:00")
        assert await asked(house, date(2021, 5, 20)) is None, "too long ago"
        await published(house, date(2021, 6, 25), "2021-05-12")
        await house.at("09:04:00")
        seen = await asked(house, date(2021, 5, 20))
        assert (seen["reached"], seen["nights"], seen["since"]) == ("2021-05-12", None, None), "one night has no pace"


async def test_a_night_whose_result_is_not_public_says_nothing(store_url: str) -> None:
    async with open_house(store_url, day=TODAY) as house:
        await house.at("09:00:00")
        await published(house, date(2021, 6, 25), "2021-05-12")
        client: Any = house.store.client
        await client.hdel(f"night:{{{TIANHE}:2021-06-25}}", "root")
        assert await asked(house, date(2021, 5, 1)) is None


async def test_with_reserves_a_date_says_nothing_and_for_a_first_dose_there_is_none(store_url: str) -> None:
    async with open_house(store_url, day=date(2021, 7, 5)) as house:
        await house.at("09:00:00")
        await published(house, date(2021, 7, 4), "2021-05-12", cohort=2)
        seen = await asked(house, None)
        assert (seen["registrations"], seen["allotted"]) == (50, 20)
        assert (seen["reached"], seen["nights"]) == (None, None)
        await published(house, date(2021, 7, 4), "2021-05-12", cohort=2, by_reserve='{"A": 7}')
        await house.at("09:02:00")
        seen = await asked(house, date(2021, 5, 1))
        assert (seen["allotted"], seen["reached"], seen["nights"]) == (20, None, None)


async def test_a_crowd_that_asks_costs_a_look_a_minute(store_url: str) -> None:
    async with open_house(store_url, day=TODAY) as house:
        await house.at("09:00:00")
        await published(house, date(2021, 6, 25), "2021-05-12")
        assert (await asked(house, date(2021, 5, 1)))["allotted"] == 20
        await published(house, date(2021, 6, 25), "2021-05-12", counts='{"allotted": 21}')
        await house.at("09:00:59")
        assert (await asked(house, date(2021, 5, 1)))["allotted"] == 20
        await house.at("09:01:00")
        assert (await asked(house, date(2021, 5, 1)))["allotted"] == 21


@pytest.mark.parametrize(
    ("dose", "said"),
    [
        (date(2021, 5, 1), "名额给到了第一剂日期为 5月12日 的人，您不比他们晚：这次登记，多半当夜就能排上。"),
        (date(2021, 5, 20), "照最近几夜的进度，您大约要等 4 夜。"),
    ],
)
async def test_the_plain_page_says_it_with_what_it_supposes(store_url: str, dose: date, said: str) -> None:
    async with open_house(store_url, day=TODAY) as house:
        await enrol(house.store, [person(0)], dose=dose)
        await house.at("09:00:00")
        await published(house, date(2021, 6, 21), "2021-05-04", cohort=2)
        await published(house, date(2021, 6, 25), "2021-05-12")
        phone = Phone(house)
        await phone.get(f"/{TIANHE}")
        page = await phone.post(f"/{TIANHE}", {**person(0).papers(), "what": "check"}, status=200)
        for words in ("6月25日夜里有 50 人在等，排上了 20 人。", said, "不是保证"):
            assert words in page.text
