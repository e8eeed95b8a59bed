"""The timetable over HTTP, each boundary with the second on both sides (announcement A6, A7; grace: domain.md)."""

from collections.abc import AsyncIterator
from datetime import date

import pytest

from tests.support.serving import DAY, House, Person, enrol, open_house, person, refused

MORNING = ("440106", "440111")
NOON = ("440105", "440113", "440118")
EVENING = ("440104", "440103", "440114", "440115", "440117")
WINDOWS = [
    *((district, "08:00:00", "12:00:00") for district in MORNING),
    *((district, "12:00:00", "16:00:00") for district in NOON),
    *((district, "16:00:00", "20:00:00") for district in EVENING),
]
BEFORE = {"08:00:00": "07:59:59", "12:00:00": "11:59:59", "16:00:00": "15:59:59", "20:00:00": "19:59:59"}


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """A worker, and a resident of each district: its position in the list is theirs."""
    async with open_house(store_url) as it:
        for i, (district, _, _) in enumerate(WINDOWS):
            await enrol(it.store, [person(i)], district=district)
        yield it


def resident_of(district: str) -> Person:
    return person([code for code, _, _ in WINDOWS].index(district))


@pytest.mark.parametrize(("district", "opens", "closes"), WINDOWS)
async def test_a_window_takes_joins_from_its_first_second_to_its_last(
    house: House, district: str, opens: str, closes: str
) -> None:
    who = resident_of(district)
    await house.at(BEFORE[opens])
    early = await house.try_join(who, district)
    if opens == "08:00:00":
        assert refused(early, "maintenance", 503)["opens_at"] == "2021-06-19T08:00:00+08:00"
    else:
        assert refused(early, "not-open", 425)["opens_at"] == f"2021-06-19T{opens}+08:00"
    assert early.headers["retry-after"] == "1"
    await house.at(opens)
    assert (await house.try_join(who, district)).status_code == 201
    await house.at(BEFORE[closes])
    assert (await house.try_join(who, district)).status_code == 200
    await house.at(closes)
    late = await house.try_join(who, district)
    if closes == "20:00:00":
        assert refused(late, "maintenance", 503)["opens_at"] == "2021-06-20T16:00:00+08:00"
    else:
        assert refused(late, "ended", 410)["next_opens_at"] == f"2021-06-20T{opens}+08:00"


@pytest.mark.parametrize(
    ("district", "last_second", "clock_time", "in_time"),
    [
        # A pass of ten minutes from the window's last second on, and ten minutes' grace: whichever ends first.
        ("440106", "11:59:59", "12:00:00", True),
        ("440106", "11:59:59", "12:09:58", True),
        ("440106", "11:59:59", "12:09:59", False),
        ("440117", "19:59:59", "20:00:00", True),
        ("440117", "19:59:59", "20:09:58", True),
        ("440117", "19:59:59", "20:09:59", False),
    ],
)
async def test_who_is_inside_when_the_window_closes_may_finish(
    house: House, district: str, last_second: str, clock_time: str, in_time: bool
) -> None:
    who = resident_of(district)
    await house.at(last_second[:5].replace("59", "50") + ":00")
    ticket = (await house.join(who, district))["ticket"]
    await house.forward(1)
    await house.at(last_second)
    assert (await house.call("GET", "/ticket", bearer=ticket)).json()["state"] in ("ready", "missed")
    if (await house.call("GET", "/ticket", bearer=ticket)).json()["state"] == "missed":  # called nine minutes ago
        ticket = (await house.join(who, district))["ticket"]
        await house.forward(0.9)
    pass_ = await house.claim(ticket)
    await house.at(clock_time)
    answer = await house.register(pass_)
    if in_time:
        assert answer.status_code == 201, "also in the maintenance hours: the grace is theirs"
    else:
        refused(answer, "expired", 410)


@pytest.mark.parametrize(("clock_time", "called"), [("11:59:58", True), ("12:00:00", False)])
async def test_nobody_is_called_from_the_last_second_on(house: House, clock_time: str, called: bool) -> None:
    await house.at("11:50:00")
    await house.services.room.adjust("440106", "op", {"rate": 0.0})
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("11:59:57")
    await house.services.room.adjust("440106", "op", {"rate": 100.0})
    await house.at(clock_time)
    state = (await house.get("/ticket", bearer=ticket))["state"]
    assert state == ("ready" if called else "ended")


@pytest.mark.parametrize(
    ("day", "rule"),
    [
        (date(2021, 6, 18), None),
        (date(2021, 6, 19), "phase 1"),
        (date(2021, 6, 21), "phase 1"),
        (date(2021, 6, 22), "phase 2"),
        (date(2021, 6, 30), "phase 2"),
        (date(2021, 7, 1), "phase 3"),
        (date(2021, 12, 31), "phase 3"),
    ],
)
async def test_the_rule_of_the_day_turns_at_midnight(house: House, day: date, rule: str | None) -> None:
    for clock_time in ("00:00:00", "23:59:59"):
        await house.at(clock_time, day)
        phase = (await house.get("/city"))["phase"]
        assert (phase and phase["name"]) == rule


@pytest.mark.parametrize(
    ("day", "dose", "code"),
    [
        # A1: more than 35 days on the day of registering. A2, A4: the interval of 21 days by the earliest appointment.
        (date(2021, 6, 18), date(2021, 5, 1), "not-eligible"),
        (date(2021, 6, 19), date(2021, 5, 14), None),
        (date(2021, 6, 19), date(2021, 5, 15), "not-eligible"),
        (date(2021, 6, 20), date(2021, 5, 15), None),
        (date(2021, 6, 21), date(2021, 5, 16), None),
        (date(2021, 6, 21), date(2021, 5, 17), "not-eligible"),
        (date(2021, 6, 22), date(2021, 5, 17), None),
        (date(2021, 6, 22), date(2021, 6, 3), None),
        (date(2021, 6, 22), date(2021, 6, 4), "not-eligible"),
        (date(2021, 6, 30), date(2021, 6, 11), None),
        (date(2021, 6, 30), date(2021, 6, 12), "not-eligible"),
        (date(2021, 7, 1), date(2021, 6, 12), None),
        (date(2021, 7, 1), date(2021, 6, 13), "not-eligible"),
    ],
)
async def test_the_phases_at_the_door(house: House, day: date, dose: date, code: str | None) -> None:
    await enrol(house.store, [person(0)], dose=dose)
    await house.at("09:00:00", day)
    answer = await house.try_join(person(0))
    if code is None:
        assert answer.status_code == 201
    else:
        refused(answer, code, 403)


@pytest.mark.parametrize(("day", "status"), [(date(2021, 6, 30), 403), (date(2021, 7, 1), 201)])
async def test_first_doses_at_the_door(house: House, day: date, status: int) -> None:
    await house.at("09:00:00", day)
    assert (await house.try_join(person(800))).status_code == status


def test_the_table_is_the_announcements() -> None:
    """Ten districts have a window; Huangpu has none (A6)."""
    assert len(WINDOWS) == len({district for district, _, _ in WINDOWS}) == 10
    assert DAY == date(2021, 6, 19)
