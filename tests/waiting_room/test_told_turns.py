"""The wait that is told as an interval: nine in ten hold, and none is sooner than rate and cap allow; no clock runs."""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from statistics import mean, median

import pytest

from server.core.city import City, load_city
from server.core.districts import District
from server.records.opening import Advance, OpeningRecord
from server.records.promise import Calibration, Promise
from server.waiting_room.opening import Opening
from tests.support.public_wait import turn_s
from tests.support.serving import TIANHE, House, enrol, keep_sites, open_house, person
from tests.support.simulated_line import Promised, Scenario, SimulatedLine

LONG_S = 20.0  # of shorter waits half a second is a large share


@pytest.fixture(scope="module")
def city() -> City:
    return load_city()


@pytest.fixture(scope="module")
def tianhe(city: City) -> District:
    found = city.district(TIANHE)
    assert found is not None
    return found


def fading(people: int, seconds: float) -> Callable[[float], float]:
    """So many come, fewer and fewer, with this time constant."""
    return lambda second: people / seconds * math.exp(-second / seconds)


def played(city: City, tianhe: District, scenario: Scenario, seeds: int = 3) -> list[SimulatedLine]:
    return [SimulatedLine(city, tianhe, scenario, seed).play() for seed in range(seeds)]


def first_told(line: SimulatedLine) -> list[Promised]:
    """What each was told first, or first after the operator had changed something."""
    return [told for told in line.told if not told.is_overtaken]


def share_kept(told: Sequence[Promised]) -> float:
    return sum(one.is_kept for one in told) / len(told)


def share_wide(told: Sequence[Promised]) -> float:
    """Median width, as a share of the wait."""
    return median((one.high_s - one.low_s) / one.wait_s for one in told if one.wait_s > LONG_S)


# A draw, then people who come one by one; four in a hundred give up, where nothing else is said
RATE_DECIDES = {
    "simply": Scenario(2000, 240, joins=fading(8000, 60)),
    "nobody gives up": Scenario(2000, 240, joins=fading(8000, 60), leave=0),
    "three in ten give up": Scenario(2000, 240, joins=fading(8000, 60), leave=0.3),
    "one a second": Scenario(300, 900, rates=((0, 1.0),), joins=lambda second: 0.8),
    "the rate steps up and down": Scenario(
        3000, 400, rates=((0, 60.0), (40, 90.0), (80, 40.0), (130, 60.0)), joins=fading(9000, 80)
    ),
    "a pause": Scenario(3000, 400, pauses=((50, 90),), joins=fading(9000, 80)),
    "a worker restarted": Scenario(2000, 240, joins=fading(8000, 60), restart_at=60.0),
}


@pytest.mark.parametrize("name", RATE_DECIDES)
def test_nine_promises_in_ten_are_kept_where_the_rate_decides(city: City, tianhe: District, name: str) -> None:
    lines = played(city, tianhe, RATE_DECIDES[name])
    shares = [share_kept(first_told(line)) for line in lines]
    # Those of a draw are told before anything was seen; what is taken for granted is rather too wide than too narrow.
    assert 0.8 <= mean(shares) <= 0.99, shares
    assert min(shares) >= 0.65, shares
    assert mean(share_wide(first_told(line)) for line in lines) <= 0.05


def test_nothing_is_promised_in_a_pause(city: City, tianhe: District) -> None:
    (line,) = played(city, tianhe, RATE_DECIDES["a pause"], 1)
    assert line.silent > 1000
    assert line.in_pause == 0


CAPPED = Scenario(2000, 400, caps=((0, 2400),), inside=(30, 90), joins=fading(8000, 60))


def test_most_promises_are_kept_where_the_cap_decides(city: City, tianhe: District) -> None:
    """Sixty a second come in and forty a second are done: the line is held back after forty seconds."""
    lines = played(city, tianhe, CAPPED)
    shares = [share_kept(first_told(line)) for line in lines]
    assert 0.8 <= mean(shares) <= 0.98, shares
    late = [share_kept([it for it in first_told(line) if it.told_s > 40]) for line in lines]
    assert mean(late) >= 0.88, "once turns have ended"
    assert mean(share_wide(first_told(line)) for line in lines) <= 0.25


def test_a_cap_that_is_lowered_is_felt_in_what_is_told_from_then_on(city: City, tianhe: District) -> None:
    scenario = Scenario(2000, 400, caps=((0, 100_000), (20, 1200)), inside=(40, 80), joins=fading(3000, 60))
    for line in played(city, tianhe, scenario, 2):
        after = [it for it in first_told(line) if it.told_s > 60]
        assert share_kept(after) >= 0.85


# What is told at one moment


def opening(
    city: City,
    tianhe: District,
    promise: str = "",
    *,
    paused: bool = False,
    rate: float = 100.0,
    max_active: int = 1_000_000,
) -> Opening:
    """An opening in which 100 a second are called and 50,000 wait."""
    it = Opening(city, tianhe, date(2021, 6, 19))
    values = {
        "opens_ms": it.opens_ms, "draw_ms": it.draw_ms, "closes_ms": it.closes_ms, "seed": "00" * 32, "drawn": 0,
        "settled": 1, "rate": rate, "max_active": max_active, "paused": int(paused), "message": "", "issued": 50_000,
        "serving": 0, "called": 0, "claimed": 0, "missed": 0, "left": 0, "left_called": 0, "hold_ms": it.draw_ms,
        "credit": 0.0, "last_ms": it.draw_ms, "promise": promise,
    }  # fmt: skip
    it.follow(Advance(it.draw_ms, 0, OpeningRecord.unpack({k: str(v) for k, v in values.items()}), []))
    return it


@pytest.mark.parametrize("ahead", [0, 1, 24, 1000, 49_999])
def test_before_any_turn_has_ended_no_promise_is_sooner_than_the_rate_allows(
    city: City, tianhe: District, ahead: int
) -> None:
    it = opening(city, tianhe)
    allowed_s = (ahead + 1) / 100  # by hand: the bucket is empty
    told = it.outlook(ahead, it.draw_ms)
    assert told.low_seconds is not None and told.high_seconds is not None
    assert told.low_seconds >= allowed_s * 0.98 - 0.1  # but for those who may still give up
    assert allowed_s <= told.high_seconds <= allowed_s * 1.1 + 1, "nor much later"


def test_who_gives_up_makes_it_sooner_and_the_promise_says_so(city: City, tianhe: District) -> None:
    """By hand: of those ahead 1 in 1,000 gives up each second, so half a wait of 400 s later a fifth has; 100 a second
    are called: the line shrinks as 100 + 0.001 x each second."""
    leaving = Promise(at_ms=1, ends=((-0.2, 0.2), (-1.0, 1.0)), leaving=0.001, leaving_most=0.002)
    it = opening(city, tianhe, leaving.pack())
    told = it.outlook(40_000 - 1, it.draw_ms)
    line, second = 40_000.0, 0
    while line > 0:
        line, second = line - 100 - 0.001 * line, second + 1
    assert told.low_seconds is not None and told.high_seconds is not None
    assert told.low_seconds < second < told.high_seconds
    assert second < 350
    assert told.high_seconds >= 400, "never sooner than the rate allows, should nobody else give up"


def test_a_pause_and_a_rate_of_nothing_promise_nothing(city: City, tianhe: District) -> None:
    for it in (opening(city, tianhe, paused=True), opening(city, tianhe, rate=0), opening(city, tianhe, max_active=0)):
        assert it.outlook(5, 0) == (None, None, None)


def test_a_promise_that_this_version_does_not_know_is_none(city: City, tianhe: District) -> None:
    """Of a later version, or broken: then what is taken for granted is promised, as before any turn has ended."""
    plain = opening(city, tianhe).outlook(1000, 0)
    for text in ("[]", "nonsense", '{"at_ms":1}', '[1,"wide"]'):
        assert opening(city, tianhe, text).outlook(1000, 0) == plain, text
    assert Calibration.unpack(b"[1,2") == Calibration.unpack(None) == Calibration()


# Between workers and the store


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Twenty people with first doses; called two a second."""
    async with open_house(store_url) as it:
        await keep_sites(it.store)
        await enrol(it.store, [person(i) for i in range(20)])
        await it.at("08:01:00")
        await it.services.room.adjust(TIANHE, "op", {"rate": 2.0})
        yield it


async def test_join_poll_and_public_answer_tell_the_same_turn(house: House) -> None:
    await house.at("08:02:30")
    places = [await house.join(person(i)) for i in range(20)]
    await house.at("08:02:31")
    await house.at("08:02:32")
    opening = await house.get(f"/openings/{TIANHE}")
    turns = opening["wait"]["turns"]
    assert [number for number, _, _ in turns] == sorted({number for number, _, _ in turns})
    assert (turns[0][0], turns[-1][0]) == (opening["serving"] + 1, 20)
    for place in places:
        told = await house.get("/ticket", bearer=place["ticket"])
        if told["state"] != "waiting":
            continue
        expected = turn_s(opening, told["number"])
        assert (told["eta_low_seconds"], told["eta_high_seconds"]) == pytest.approx(expected, abs=0.6)
        assert told["eta_low_seconds"] <= told["eta_seconds"] <= told["eta_high_seconds"] + 1
    last = places[-1]
    assert last["eta_low_seconds"] <= last["eta_seconds"] <= last["eta_high_seconds"] + 1


async def test_in_a_pause_no_time_is_told_anywhere(house: House) -> None:
    await house.at("08:02:30")
    places = [await house.join(person(i)) for i in range(5)]
    await house.services.room.adjust(TIANHE, "op", {"paused": True})
    told = await house.get("/ticket", bearer=places[-1]["ticket"])
    assert (told["eta_seconds"], told["eta_low_seconds"], told["eta_high_seconds"]) == (None, None, None)
    assert (await house.get(f"/openings/{TIANHE}"))["wait"]["turns"] == []
    again = await house.join(person(4))
    assert (again["eta_seconds"], again["eta_low_seconds"], again["eta_high_seconds"]) == (None, None, None)


async def test_of_two_workers_that_work_it_out_at_once_the_first_counts_and_both_say_it(house: House) -> None:
    store, tag = house.store, "440106:2021-06-19"
    assert await store.calibrate("440106:2021-06-20", "", "[1]", "[]") == "absent"
    await house.at("08:02:30")
    opening = house.services.room.opening(TIANHE)
    before = opening.promise_text
    assert await store.calibrate(tag, before, "[5]", "[5]") == "calibrated"
    assert await store.calibrate(tag, before, "[6]", "[6]") == "kept"
    assert (await store.promises(tag)).at_ms == 5
    await house.at("08:02:30")
    assert opening.promise_text != before
