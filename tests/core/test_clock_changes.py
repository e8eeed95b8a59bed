"""Time and clock changes (table of cases, T4 and T5): what is told is what an hourglass would measure."""

import ast
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import server
from server.core.city import SHIPPED_CITY, City, load_city
from server.core.clock import at, from_ms, to_ms
from tests.support.serving import TIANHE, open_house, person, refused

AUTUMN, SPRING = date(2021, 11, 6), date(2021, 3, 13)
"""The days before Vancouver's clocks changed: on 7 November at 02:00 back to 01:00, on 14 March at 02:00 on to 03:00
(tz database, `America/Vancouver`)."""


HOURS = "open_hours = { opens = 07:00:00, closes = 19:00:00 }"


def vancouver(tmp_path: Path, **changed: str) -> City:
    """Guangzhou's timetable in Vancouver, from 07:00 to 19:00, and with other texts changed."""
    text = SHIPPED_CITY.read_text("utf-8")
    replaced = {
        "Asia/Shanghai": "America/Vancouver",
        "open_hours = { opens = 08:00:00, closes = 20:00:00 }": HOURS,
        "closes = 20:00:00": "closes = 19:00:00",
    }
    for before, after in (replaced | changed).items():
        assert before in text, before
        text = text.replace(before, after)
    file = tmp_path / "vancouver.toml"
    file.write_text(text, "utf-8")
    return load_city(file)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# By hand: 19:30 to 07:00 is 11.5 hours by the wall clock; 12.5 in the longer night, 10.5 in the shorter one.
NIGHTS = [
    (AUTUMN, 45_000, "2021-11-07T07:00:00-08:00"),
    (SPRING, 37_800, "2021-03-14T07:00:00-07:00"),
    (date(2021, 6, 19), 41_400, "2021-06-20T07:00:00-07:00"),
]


@pytest.mark.parametrize(("day", "wait_s", "opens_at"), NIGHTS)
async def test_how_long_the_doors_stay_shut_over_a_clock_change(
    store_url: str, tmp_path: Path, day: date, wait_s: int, opens_at: str
) -> None:
    async with open_house(store_url, city=vancouver(tmp_path), day=day) as house:
        await house.at("19:30:00")
        asked = person(1).papers()
        del asked["name"]
        for path, body in (
            ("/access-codes", asked),
            ("/access-tokens", asked | {"code": "123456"}),
            (f"/openings/{TIANHE}/tickets", person(1).papers()),
        ):
            answer = await house.call("POST", path, json=body)
            problem = refused(answer, "maintenance", 503)
            expected = wait_s if "openings" not in path else wait_s + 3600  # Tianhe opens at 08:00
            assert answer.headers["retry-after"] == str(expected), path
            if "openings" not in path:
                assert problem["opens_at"] == opens_at


# (what the clock shows on which day, the instant in UTC): RFC 5545, 3.3.5 for what comes twice or never.
CLOCK = [
    ("2021-11-07", "00:30", "2021-11-07T07:30"),
    ("2021-11-07", "01:30", "2021-11-07T08:30"),  # the first of the two
    ("2021-11-07", "02:00", "2021-11-07T10:00"),
    ("2021-03-14", "01:59", "2021-03-14T09:59"),
    ("2021-03-14", "02:30", "2021-03-14T10:30"),  # skipped: as long after 01:59 as ever, 03:30 by the new time
    ("2021-03-14", "03:00", "2021-03-14T10:00"),
]


@pytest.mark.parametrize(("day", "shown", "instant"), CLOCK)
def test_a_time_that_comes_twice_is_the_first_and_a_skipped_one_is_not_lost(
    tmp_path: Path, day: str, shown: str, instant: str
) -> None:
    city = vancouver(tmp_path)
    found = city.at(date.fromisoformat(day), datetime.fromisoformat(f"2000-01-01T{shown}").time())
    assert found.astimezone(UTC) == utc(instant)
    assert city.local(found) == found == from_ms(to_ms(found), city.tz)
    # What is told is a time that there is: nobody's clock shows 02:30 on that day.
    assert found.isoformat() == datetime.fromtimestamp(utc(instant).timestamp(), city.tz).isoformat()


# (from, to, whole hours between them), the wall clock being an hour off in each.
SPANS = [
    ("2021-11-07T01:30:00-07:00", "2021-11-07T01:30:00-08:00", 1),
    ("2021-11-06T19:30:00-07:00", "2021-11-07T06:30:00-08:00", 12),
    ("2021-03-13T19:30:00-08:00", "2021-03-14T06:30:00-07:00", 10),
]


@pytest.mark.parametrize(("start", "end", "hours"), SPANS)
def test_instants_are_subtracted_and_compared_by_the_hourglass(
    tmp_path: Path, start: str, end: str, hours: int
) -> None:
    city = vancouver(tmp_path)
    before, after = (city.local(datetime.fromisoformat(t)) for t in (start, end))
    assert after - before == timedelta(hours=hours)
    assert before < after and before + timedelta(hours=hours) == after
    assert (before.isoformat(), after.isoformat()) == (start, end)


def test_open_hours_in_the_hour_that_comes_twice(tmp_path: Path) -> None:
    """Open from 01:30 on: once it has opened, it does not shut again because the clock shows 01:10 once more."""
    city = vancouver(
        tmp_path,
        **{HOURS: HOURS.replace("07:00:00", "01:30:00")},
    )
    judged = {"08:10": False, "08:29": False, "08:30": True, "09:10": True, "09:40": True, "10:00": True}
    assert {t: city.is_open_hours(utc(f"2021-11-07T{t}")) for t in judged} == judged
    assert city.opens_after(utc("2021-11-07T08:10")) == utc("2021-11-07T08:30")
    assert city.opens_after(utc("2021-11-07T09:10")) == utc("2021-11-08T09:30")


def test_how_long_was_left_to_cancel_over_a_clock_change(tmp_path: Path) -> None:
    """Open from 00:00 to 19:00: 19 hours by the clock, 20 and 18 on the days of the change (announcement A9)."""
    city = vancouver(tmp_path, **{HOURS: HOURS.replace("07:00:00", "00:00:00")})
    for day, open_h in (("2021-11-07", 20), ("2021-03-14", 18), ("2021-06-19", 19)):
        begins, ends = (city.at(date.fromisoformat(day) + timedelta(days=n), datetime.min.time()) for n in (0, 1))
        assert city.open_time(begins, ends) == timedelta(hours=open_h)
    assert city.cancel_before(date(2021, 11, 8)) - city.at(date(2021, 11, 7), datetime.min.time()) == timedelta(
        hours=20
    )


def test_the_night_of_a_clock_change_begins_after_the_grace_in_real_minutes(tmp_path: Path) -> None:
    """Closed from 01:00 on, and two hours of grace: on 7 November they are over at 02:00, not at 03:00."""
    city = vancouver(
        tmp_path,
        **{
            HOURS: "open_hours = { opens = 00:00:00, closes = 01:00:00 }",
            "grace_seconds = 600": "grace_seconds = 7200",
            "\nwindow = { opens": "\n#",
        },
    )
    assert city.night_begins(date(2021, 11, 7)) == utc("2021-11-07T10:00")
    assert city.latest_night(utc("2021-11-07T09:59")) == date(2021, 11, 6)
    assert city.latest_night(utc("2021-11-07T10:00")) == date(2021, 11, 7)


# No instant is made but by `server.core.clock`: what carries a zone is compared and subtracted by the wall clock.

_MAKES_ZONED = {"combine", "astimezone", "fromtimestamp", "now", "today", "utcnow", "ZoneInfo"}
_KNOWN = {
    ("core/city.py", "tz", "ZoneInfo"),  # the zone itself
    ("core/city.py", "_problems_of_hours", "ZoneInfo"),  # is it one?
    ("core/city.py", "period_times", "astimezone"),  # for a calendar, which names the zone; nothing is reckoned with it
}


def zoned(tree: ast.Module) -> set[tuple[str, str]]:
    """(function, call) of everything that makes a datetime with a zone other than UTC."""
    found = set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            in_utc = any(isinstance(arg, ast.Name) and arg.id == "UTC" for arg in node.args)
            of_datetime = not isinstance(node.func, ast.Attribute) or ast.unparse(node.func.value) in (
                "datetime",
                "date",
                "dt.datetime",
            )
            if name in _MAKES_ZONED and not in_utc and (of_datetime or name == "astimezone"):
                found.add((function.name, name))
            if any(keyword.arg == "tzinfo" for keyword in node.keywords):
                found.add((function.name, "tzinfo"))
    return found


def test_no_module_but_the_clock_makes_instants_that_carry_a_zone() -> None:
    root = Path(server.__file__).parent
    found = {
        (str(file.relative_to(root)), *where)
        for file in root.rglob("*.py")
        if file != root / "core" / "clock.py"
        for where in zoned(ast.parse(file.read_text("utf-8")))
    }
    assert found == _KNOWN, "use server.core.clock (from_ms, in_zone, at) or City.at"


def test_the_search_for_such_instants_finds_them() -> None:
    bad = """
def a(): return datetime.combine(day, t, city.tz)
def b(): return t.astimezone(city.tz)
def c(): return datetime.fromtimestamp(0, tz)
def d(): return t.replace(tzinfo=tz)
def e(): return datetime.now(tz), t.astimezone(UTC), self.now(), room.today()
"""
    assert zoned(ast.parse(bad)) == {
        ("a", "combine"), ("b", "astimezone"), ("c", "fromtimestamp"), ("d", "tzinfo"), ("e", "now"),
    }  # fmt: skip


def test_what_makes_instants_gives_them_the_offset_of_that_moment(tmp_path: Path) -> None:
    zone = vancouver(tmp_path).tz
    for t in (at(date(2021, 11, 7), datetime.min.time(), zone), from_ms(0, zone)):
        assert t.tzinfo is not zone and t.tzinfo is not None
        assert t.utcoffset() == t.astimezone(zone).utcoffset()
