"""The rules of the announcement at every hour of the days on which they change, and what is said of them then.

The Korean and Japanese lotteries told people one rule and judged them by another for some hours around a change. So
each hour is asked, and the answers are held against the announcement (A1, A2, A4,
A6, A7), written out here by hand.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta

import pytest

from tests.support.serving import TIANHE, House, enrol, open_house, person, refused

ONE = timedelta(days=1)
ASK = f"/openings/{TIANHE}/eligibility"
# The days on which a phase begins or ends, and the day before the first.
DAYS = [date(2021, 6, 18), date(2021, 6, 21), date(2021, 6, 22), date(2021, 6, 30), date(2021, 7, 1)]
# First doses on the edge of each phase, and nobody's; by which person.
DOSES = {0: date(2021, 5, 14), 1: date(2021, 5, 16), 2: date(2021, 5, 17), 3: date(2021, 6, 3), 4: date(2021, 6, 11)}
NO_DOSE = 800
SAID = {
    "phase 1": "专门面向接种第一剂已超过35天、尚未接种第二剂的居民",
    "phase 2": "符合第二剂次接种条件的其他居民可预约登记",
    "phase 3": "包括接种第一剂次在内，全体居民均可预约登记",
}


def phase_of(day: date) -> str | None:
    """A1, A2, A4."""
    if day < date(2021, 6, 19):
        return None
    if day <= date(2021, 6, 21):
        return "phase 1"
    return "phase 2" if day <= date(2021, 6, 30) else "phase 3"


def may(dose: date | None, day: date) -> bool:
    """Whether somebody may register on a day."""
    phase = phase_of(day)
    if phase is None:
        return False
    if dose is None:
        return phase == "phase 3"
    if phase == "phase 1":
        return (day - dose).days > 35
    return (day + 2 * ONE - dose).days >= 21  # the interval of the inactivated vaccine, at the earliest appointment


def spoken_of(now: datetime) -> date:
    """The day of the opening that is on in Tianhe, or of the next one (A6: 08 to 12)."""
    return now.date() + ONE if now.time() >= time(12) else now.date()


def moments() -> Iterator[tuple[date, str]]:
    for day in DAYS:
        for hour in range(24):
            yield day, f"{hour:02d}:00:00"
            if hour in (7, 11, 19, 23):  # before a door opens or shuts, or the day turns
                yield day, f"{hour:02d}:59:59"


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    async with open_house(store_url) as it:
        for i, dose in DOSES.items():
            await enrol(it.store, [person(i)], dose=dose)
        yield it


async def test_each_rule_at_every_hour(house: House) -> None:
    judged = 0
    for day, clock_time in moments():
        await house.at(clock_time, day)
        now = datetime.fromisoformat(f"{day}T{clock_time}")
        for i, dose in DOSES.items():
            at = f"{now}, first dose {dose}"
            asked = await house.call("POST", ASK, json=person(i).papers())
            joined = await house.try_join(person(i))
            if not time(8) <= now.time() < time(20):  # A7
                refused(asked, "maintenance", 503)
                refused(joined, "maintenance", 503)
                continue
            judged += 1
            when = spoken_of(now)
            if may(dose, when):
                assert (asked.status_code, asked.json()["date"]) == (200, str(when)), at
            else:
                assert refused(asked, "not-eligible", 403)["eligible_from"] == str(first_day(dose, when)), at
            if now.time() >= time(12):
                refused(joined, "ended", 410)
            elif may(dose, day):
                assert joined.status_code in (200, 201), at
            else:
                assert refused(joined, "not-eligible", 403)["eligible_from"] == str(first_day(dose, day)), at
    assert judged == len(DAYS) * (12 + 2) * len(DOSES)


async def test_first_doses_at_the_edges_of_their_day(house: House) -> None:
    """Fewer moments: whoever is in no registry is refused at a guesser's pace."""
    for day, clock_time, status in (
        (date(2021, 6, 30), "11:59:59", 403), (date(2021, 6, 30), "12:00:00", 200),  # asked for July's first opening
        (date(2021, 7, 1), "08:00:00", 200),
    ):  # fmt: skip
        await house.at(clock_time, day)
        assert (await house.call("POST", ASK, json=person(NO_DOSE).papers())).status_code == status, clock_time


def first_day(dose: date | None, day: date) -> date:
    return next(it for n in range(60) if may(dose, it := day + n * ONE))


@pytest.mark.parametrize("i", [0, 1, 2, 4, NO_DOSE])
async def test_from_the_day_that_a_refusal_names_one_may_from_its_first_second_and_not_in_the_last_before(
    house: House, i: int
) -> None:
    await house.at("09:00:00", date(2021, 6, 18))
    problem = refused(await house.try_join(person(i)), "not-eligible", 403)
    named = date.fromisoformat(problem["eligible_from"])
    assert f"{named.month}月{named.day}日" in problem["detail"]
    if named > date(2021, 6, 19):
        await house.at("11:59:59", named - ONE)
        again = refused(await house.try_join(person(i)), "not-eligible", 403)
        assert again["eligible_from"] == str(named), "the same day to the last second"
    await house.at("08:00:00", named)
    assert (await house.try_join(person(i))).status_code == 201


async def test_the_rule_that_is_shown_is_that_of_the_opening_that_is_spoken_of(house: House) -> None:
    """At noon of the last day of a phase Tianhe's next opening is in the following one."""
    for day, clock_time in moments():
        await house.at(clock_time, day)
        now = datetime.fromisoformat(f"{day}T{clock_time}")
        city = await house.get("/city")
        today, next_day = (it and it["name"] for it in (city["phase"], city["next_phase"]))
        assert today == phase_of(day)
        assert next_day == (phase_of(day + ONE) if phase_of(day + ONE) != phase_of(day) else None)
        resting = now.date() + ONE if now.time() >= time(20) else now.date()
        for path, its in ((f"/plain/{TIANHE}", spoken_of(now)), ("/plain", resting)):
            text = (await house.client.get(path)).text
            assert [name for name, words in SAID.items() if words in text] == [it for it in [phase_of(its)] if it], (
                path, now,
            )  # fmt: skip
