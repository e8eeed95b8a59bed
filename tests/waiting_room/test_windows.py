"""Several windows a day for one district (table of cases, T10): each is an opening of its own."""

from collections.abc import AsyncIterator
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_11_10

from server.core.city import SHIPPED_CITY, City, CityError, load_city
from server.core.keys import NumberParts, parts_of, registration_no
from server.core.tokens import Signer, Token, TokenKind
from server.operations.retention import purge
from tests.support.serving import DAY, HUANGPU, OPERATOR, TIANHE, House, enrol, keep_sites, open_house, person, refused

_ONE = "window = { opens = 08:00:00, closes = 12:00:00 }"
_TWO = """windows = [
  { opens = 08:00:00, closes = 10:00:00 },
  { opens = 14:00:00, closes = 16:00:00 },
]"""
BOTH = [{"opens": "08:00", "closes": "10:00"}, {"opens": "14:00", "closes": "16:00"}]


def city_with(tmp_path: Path, windows: str, **changed: str) -> City:
    """Guangzhou, where Tianhe (the first of the file) has other windows."""
    text = SHIPPED_CITY.read_text("utf-8")
    for before, after in ({_ONE: windows} | changed).items():
        assert before in text, before
        text = text.replace(before, after, 1)
    file = tmp_path / "mine.toml"
    file.write_text(text, "utf-8")
    return load_city(file)


@pytest.fixture
async def house(store_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """A city whose Tianhe is open from 08 to 10 and from 14 to 16, with twenty people."""
    async with open_house(store_url, city=city_with(tmp_path, _TWO)) as house:
        await keep_sites(house.store)
        await enrol(house.store, [person(i) for i in range(20)])
        yield house


async def tianhe(house: House) -> Any:
    city = await house.get("/city")
    return next(it for it in city["districts"] if it["code"] == TIANHE)


async def registered(house: House, index: int) -> Any:
    """Join, be called, claim and register in the opening that is on."""
    return await house.registered(person(index))


# What the timetable says of each moment: state, which opening, its hours. By hand, from the file above.
DAY_OF_TWO = [
    ("07:59:59", "maintenance", 1, "08:00"),
    ("08:00:00", "draw", 1, "08:00"),
    ("08:02:00", "open", 1, "08:00"),
    ("09:59:59", "open", 1, "08:00"),
    ("10:00:00", "closed", 2, "14:00"),
    ("13:59:59", "closed", 2, "14:00"),
    ("14:00:00", "draw", 2, "14:00"),
    ("15:59:59", "open", 2, "14:00"),
    ("16:00:00", "ended", 2, "14:00"),
    ("19:59:59", "ended", 2, "14:00"),
]


async def test_a_district_with_two_windows_has_one_opening_at_a_time(house: House) -> None:
    for moment, state, window, opens in DAY_OF_TWO:
        house.set_time(moment)  # and the worker need not have looked since
        if moment in ("08:02:00", "09:59:59", "15:59:59"):  # but of what moves it must have heard of late
            refused(await house.call("GET", f"/openings/{TIANHE}"), "store-unavailable", 503)
            await house.look()
        view = await house.get(f"/openings/{TIANHE}")
        assert (view["state"], view["window"], view["date"]) == (state, window, "2021-06-19"), moment
        assert view["opens_at"] == f"2021-06-19T{opens}:00+08:00", moment
        told = await tianhe(house)
        assert (told["state"], told["windows"]) == (state, BOTH), moment
        assert told["window"] == (BOTH[0] if state == "ended" else BOTH[window - 1]), moment
        if state == "ended":
            assert told["opens_at"] == "2021-06-20T08:00:00+08:00"
        await house.look()


async def test_a_district_with_one_window_or_none_says_so_in_the_list_too(house: House) -> None:
    districts = {it["code"]: it for it in (await house.get("/city"))["districts"]}
    assert districts["440105"]["windows"] == [{"opens": "12:00", "closes": "16:00"}] == [districts["440105"]["window"]]
    assert (districts[HUANGPU]["windows"], districts[HUANGPU]["window"]) == ([], None)


async def test_each_window_has_its_own_draw_queue_and_numbers(house: House) -> None:
    commitments = []
    for begins in ("08:00:00", "14:00:00"):
        await house.at(begins)
        commitments.append((await house.get(f"/openings/{TIANHE}"))["draw"]["commitment"])
        first, second = [await house.join(person(i)) for i in (1, 2)]
        assert [first["entry"], second["entry"]] == [0, 1]
        assert (await house.join(person(1)))["entry"] == 0, "again: the same place"
        await house.forward(120)
        numbers = {(await house.get("/ticket", bearer=it["ticket"]))["number"] for it in (first, second)}
        assert numbers == {1, 2}
        view = await house.get(f"/openings/{TIANHE}")
        assert (view["issued"], view["draw"]["entries"]) == (2, 2)
    assert None not in commitments and commitments[0] != commitments[1]


async def test_a_ticket_of_the_first_window_is_never_a_place_in_the_second(house: House) -> None:
    await house.at("09:59:59")
    old = (await house.join(person(1)))["ticket"]  # entry 0, still waiting when the window closes
    await house.at("10:00:00")
    assert (await house.get("/ticket", bearer=old))["state"] == "ended"
    problem = refused(await house.call("POST", "/passes", bearer=old), "ended", 410)
    assert problem["next_opens_at"] == "2021-06-19T14:00:00+08:00"
    early = await house.try_join(person(1))
    assert refused(early, "not-open", 425)["opens_at"] == "2021-06-19T14:00:00+08:00"
    assert early.headers["retry-after"] == str(4 * 3600)

    await house.at("14:00:00")
    new = await house.join(person(2))
    assert new["entry"] == 0, "the same entry, of somebody else, in the other opening"
    await house.forward(121)
    assert (await house.get("/ticket", bearer=new["ticket"]))["state"] == "ready"
    assert (await house.get("/ticket", bearer=old))["state"] == "ended"
    refused(await house.call("POST", "/passes", bearer=old), "ended", 410)
    assert (await house.call("DELETE", "/ticket", bearer=old)).status_code == 204
    assert (await house.get("/ticket", bearer=new["ticket"]))["state"] == "ready", "nobody else's place is given up"
    again = await house.try_join(person(1))
    assert again.status_code == 201 and again.json()["entry"] == 1


async def test_who_registered_in_the_first_window_is_refused_in_the_second(house: House) -> None:
    await house.at("08:03:00")
    await registered(house, 1)
    await house.at("14:00:00")
    refused(await house.try_join(person(1)), "already-registered", 409)


async def test_registrations_of_both_windows_have_numbers_of_their_own_and_both_are_in_the_night(house: House) -> None:
    await house.at("08:03:00")
    morning = await registered(house, 1)
    await house.at("14:03:00")
    afternoon = await registered(house, 2)  # entry 0 again
    numbers = [it["registration_no"] for it in (morning, afternoon)]
    # Year, month (20 more in the second opening), day, district, entry: by hand; the check digit is stdnum's.
    district_no = house.services.city.district(TIANHE).no  # type: ignore[union-attr]
    for no, month in zip(numbers, ("06", "26"), strict=True):
        assert no[:14] == f"1{month}19{district_no:02d}0000000" and len(no) == 15
        assert mod_11_10.is_valid(no)
    for it, who in ((morning, 1), (afternoon, 2)):
        no = it["registration_no"]
        assert (await house.get(f"/registrations/{no}", bearer=it["receipt"]))["registration_no"] == no
        assert (await house.call("GET", f"/registrations/{no}/qr.svg")).status_code == 200
        found = await house.services.registrations.of(house.resident(person(who)))
        assert found is not None and found.registration_no == no
        assert (await house.get(f"/registrations/{no}", bearer=found.receipt))["registration_no"] == no
        assert await house.services.appointments.holder(no) == house.resident(person(who))
    other = await house.call("GET", f"/registrations/{numbers[0]}", bearer=afternoon["receipt"])
    refused(other, "not-found", 404)

    await house.at("20:10:00")
    outcomes = {it.district: it for it in await house.services.night.foresee(DAY)}
    assert outcomes[TIANHE].registrations == 2
    outcomes = {it.district: it for it in await house.services.night.run(DAY)}
    assert outcomes[TIANHE].registrations == 2
    file = house.services.published.path(DAY, TIANHE)
    assert file is not None and all(f'"no":"{no}"' in file.read_text() for no in numbers)
    nights = [name async for name in house.store.client.scan_iter(match="night:*")]
    assert nights and all(name.count(b":") == 2 for name in nights), "one night a day, whatever its windows"
    told = await house.call("GET", f"/allotments/{TIANHE}/{DAY}")
    assert told.status_code == 200


async def test_a_pass_of_the_second_window_frees_its_own_place(house: House) -> None:
    await house.at("14:03:00")
    await registered(house, 3)
    now = (await house.call("GET", "/operations", bearer=OPERATOR)).json()
    opening = next(it["opening"] for it in now["districts"] if it["code"] == TIANHE)
    assert (opening["window"], opening["issued"], opening["passes_alive"]) == (2, 1, 0)


async def test_what_is_over_in_either_window_is_forgotten(house: House) -> None:
    for begins in ("08:00:00", "14:00:00"):
        await house.at(begins)
        await house.join(person(4))
    later = DAY + timedelta(days=1)
    assert (await purge(house.store, later, house.services.city.tz)).openings == 2
    assert not [name async for name in house.store.client.scan_iter(match="places:*")]


async def test_an_operator_changes_the_opening_that_is_on(house: House) -> None:
    await house.at("08:30:00")
    change = {"rate_per_second": 3.0}
    assert (await house.call("PATCH", f"/openings/{TIANHE}", bearer=OPERATOR, json=change)).status_code == 200
    assert (await house.get(f"/openings/{TIANHE}"))["rate_per_second"] == 3.0
    await house.at("14:30:00")
    assert (await house.get(f"/openings/{TIANHE}"))["rate_per_second"] == 100.0


async def test_plain_pages_name_both_windows(house: House) -> None:
    await house.at("12:00:00")
    page = (await house.client.get("/plain/", headers={"accept-language": "zh"})).text
    assert "08:00–10:00、14:00–16:00" in page


# The city file


def test_one_window_may_be_said_either_way(tmp_path: Path) -> None:
    listed = city_with(tmp_path, "windows = [{ opens = 08:00:00, closes = 12:00:00 }]").districts[0]
    single = load_city().districts[0]
    assert listed.windows == single.windows and len(single.windows) == 1
    assert city_with(tmp_path, "windows = []").districts[0].windows == ()


MISTAKES = [
    (f"{_ONE}\n{_TWO}", "districts[0]: expected window or windows, got both"),
    (_TWO.replace("opens = 14", "opens = 10"), "districts[0].windows[1].opens: expected a time more than"),
    (_TWO.replace("14:00:00", "10:10:00"), "districts[0].windows[1].opens: expected a time more than policy.grace"),
    (_TWO.replace("opens = 14", "opens = 09"), "districts[0].windows[1].opens: expected a time more than"),
    (_TWO.replace("16:00:00", "20:00:01"), "districts[0].windows[1]: expected hours inside open_hours"),
    (_TWO.replace("16:00:00", "14:02:00"), "districts[0].windows[1]: expected a window longer than policy.draw"),
    (_TWO.replace("16:00:00", "13:00:00"), "districts[0].windows[1]: expected opens before closes"),
    (_TWO.replace("closes = 16", "shuts = 16"), "districts[0].windows[1].shuts: unknown key, expected one of opens"),
    (_TWO.replace(", closes = 16:00:00", ""), "districts[0].windows[1].closes: expected a value, got none"),
    (
        f"windows = [{', '.join(f'{{ opens = {h}:00:00, closes = {h}:30:00 }}' for h in range(10, 16))}]",
        "districts[0].windows: expected at most 5 windows a day",
    ),
    (
        "windos = []",
        "districts[0].windos: unknown key, expected one of code, no, name_zh, name_en, population, window, w",
    ),
]


@pytest.mark.parametrize(("windows", "message"), MISTAKES)
def test_a_mistake_in_the_windows_is_named(tmp_path: Path, windows: str, message: str) -> None:
    with pytest.raises(CityError) as refusal:
        city_with(tmp_path, windows)
    assert str(refusal.value).startswith(f"mine.toml: {message}"), refusal.value
    assert "\n" not in str(refusal.value)


def test_windows_a_second_further_apart_than_the_grace_are_taken(tmp_path: Path) -> None:
    city = city_with(tmp_path, _TWO.replace("14:00:00", "10:10:01"))
    assert len(city.openings_of(city.districts[0], DAY)) == 2


def test_the_next_opening_may_be_the_second_one_of_the_day(tmp_path: Path) -> None:
    city = city_with(tmp_path, _TWO)
    after = {"07:59:59": "19T08:00", "08:00:00": "19T14:00", "13:59:59": "19T14:00", "14:00:00": "20T08:00"}
    for moment, opens in after.items():
        t = city.at(DAY, time.fromisoformat(moment))
        times = city.next_opening(city.districts[0], t)
        assert times is not None and times[0].isoformat() == f"2021-06-{opens}:00+08:00"


def test_a_window_that_the_clock_change_swallows_is_not_held_on_that_day(tmp_path: Path) -> None:
    """Vancouver, 14 March 2021: after 01:59 comes 03:00, so from 02:10 to 03:05 nothing but five minutes is left."""
    windows = """windows = [
      { opens = 00:30:00, closes = 01:30:00 },
      { opens = 02:10:00, closes = 03:05:00 },
      { opens = 05:00:00, closes = 06:00:00 },
    ]"""
    city = city_with(
        tmp_path,
        windows,
        **{"Asia/Shanghai": "America/Vancouver", "open_hours = { opens = 08": "open_hours = { opens = 00"},
    )
    held = {
        day: [f"{opens:%H:%M%z}" for opens, _ in city.openings_of(city.districts[0], date.fromisoformat(day))]
        for day in ("2021-03-13", "2021-03-14")
    }
    assert held == {
        "2021-03-13": ["00:30-0800", "02:10-0800", "05:00-0800"],
        "2021-03-14": ["00:30-0800", "05:00-0700"],
    }


# Numbers


@given(
    day=st.dates(date(2021, 1, 1), date(2029, 12, 31)), district=st.integers(1, 99),
    entry=st.integers(0, 9_999_999), window=st.integers(1, 5),
)  # fmt: skip
def test_a_registration_number_says_which_opening_it_is_of(day: date, district: int, entry: int, window: int) -> None:
    no = registration_no(district, day, entry, window)
    assert len(no) == 15 and mod_11_10.is_valid(no)
    assert parts_of(no, day) == NumberParts(day, district, entry, window)
    if window == 1:  # as it has been until now
        assert no[:14] == f"{day.year % 10}{day:%m%d}{district:02d}{entry:07d}"


@pytest.mark.parametrize(("entry", "window"), [(10_000_000, 1), (-1, 1), (0, 0), (0, 6)])
def test_there_is_no_number_of_more_digits(entry: int, window: int) -> None:
    with pytest.raises(ValueError, match="no registration number"):
        registration_no(6, DAY, entry, window)


@given(entry=st.integers(0, 9_999_999), window=st.integers(1, 5))
def test_a_ticket_knows_its_window(entry: int, window: int) -> None:
    signer = Signer([bytes(32)])
    token = Token(TIANHE, DAY, entry, bytes(16), 1_624_118_400, window=window)
    assert signer.read(TokenKind.TICKET, signer.sign(TokenKind.TICKET, token)) == token
