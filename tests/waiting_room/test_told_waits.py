"""The wait that is told (table of cases, T4): no promise below what the rate and the cap allow, at no moment."""

import copy
import math
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.city import City, load_city
from server.records.opening import Advance, OpeningRecord
from server.waiting_room.opening import Opening
from tests.support.model import WaitingRoom
from tests.support.serving import TIANHE, enrol, keep_sites, open_house, person

DAY = date(2021, 6, 19)
SEED = bytes(range(32))
STEP_MS = 125


@pytest.fixture(scope="module")
def city() -> City:
    return load_city()


def opening_of(city: City) -> Opening:
    district = city.district(TIANHE)
    assert district is not None
    return Opening(city, district, DAY)


# Against the model's own rule of calling


class Story(NamedTuple):
    """What happens in an opening before the wait is told."""

    rate: Fraction
    people: int
    leave: list[int]
    steps: list[tuple[int, str]]


STORIES = st.builds(
    Story,
    st.sampled_from([Fraction(n, 4) for n in (1, 2, 4, 8, 40, 194, 400)]),
    st.integers(1, 40),
    st.lists(st.integers(0, 39), max_size=12),
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["look", "look", "look", "pause", "resume", "faster", "slower"])),
        max_size=8,
    ),
)


def played(story: Story) -> tuple[WaitingRoom, int]:
    """The model after the story, and what time it is."""
    draw_ms = 1_624_060_920_000
    room = WaitingRoom(
        draw_ms - 120_000, draw_ms, draw_ms + 14_280_000, 300_000, 600_000, 600_000, Fraction(1500), story.rate, 10_000,
        SEED,
    )  # fmt: skip
    now = draw_ms
    room.close_draw(now, [], 0)
    room.join(now, [bytes([i]) * 16 for i in range(story.people)])
    for index in story.leave:
        place = room.places[index % len(room.places)]
        room.leave(now, place, room.number(place))
    for steps, what in story.steps:
        now += steps * STEP_MS
        if what in ("pause", "resume"):
            room.adjust(now, 0, paused=what == "pause")
        elif what in ("faster", "slower"):
            room.adjust(now, 0, rate=room.rate * (4 if what == "faster" else Fraction(1, 4)))
        room.advance(now)
    return room, now


def told_by(room: WaitingRoom, now: int, it: Opening) -> None:
    """Let a worker know of the model what `advance` tells of the store."""
    left = room.count("left")
    left_called = sum(place.state == "left" and 0 < place.called_ms for place in room.places)
    values = {
        "opens_ms": room.opens_ms, "draw_ms": room.draw_ms, "closes_ms": room.closes_ms, "seed": SEED.hex(), "drawn": 0,
        "settled": 1, "rate": float(room.rate), "max_active": room.max_active, "paused": int(room.paused),
        "message": "", "issued": room.issued, "serving": room.serving,
        "called": sum(place.called_ms > 0 for place in room.places), "claimed": 0, "missed": room.count("missed"),
        "left": left, "left_called": left_called, "hold_ms": room.hold_ms, "credit": float(room.credit),
        "last_ms": room.last_ms,
    }  # fmt: skip
    it.follow(
        Advance(now, 0, OpeningRecord.unpack({name: str(value) for name, value in values.items()}), list(room.given_up))
    )


@settings(max_examples=50)
@given(story=STORIES)
def test_no_wait_is_told_that_the_rate_does_not_allow(city: City, story: Story) -> None:
    room, now = played(story)
    it = opening_of(city)
    told_by(room, now, it)
    waits: list[tuple[int, int | None]] = []  # the way to each who waits, and what they are told
    for place in room.places:
        if place.state == "waiting":
            ahead = it.ahead(room.number(place), room.serving)
            in_front = [p for p in room.places if p.state == "waiting" and room.number(p) < room.number(place)]
            assert ahead == len(in_front), "who has given up is not ahead of anybody"
            waits.append((room.number(place), it.eta_seconds(ahead)))
    if room.paused:
        assert all(told is None for _, told in waits), "in a pause nobody knows"
        return
    told_s = [told for _, told in waits if told is not None]
    assert len(told_s) == len(waits)
    assert told_s == sorted(told_s), "further back, no sooner"
    # As soon as the model calls them, where everybody called is through at once and nobody else leaves.
    ahead_of_time, then = copy.deepcopy(room), now
    left_to_call = dict(waits)
    for _ in range(2000):
        then += STEP_MS
        ahead_of_time.advance(then)
        for number in [n for n in left_to_call if n <= ahead_of_time.serving]:
            told = left_to_call.pop(number)
            # The model looks once a step, and a full bucket earns nothing until it is looked at: a step for each time
            # that it may be full, which at a call a second or less is before every call.
            times_full = number - room.serving if room.rate <= 1 else 1
            late_ms = (1 + times_full) * STEP_MS
            assert told is not None and told * 1000 >= then - now - late_ms, (number, told, then - now)
            # Nor is it made longer than it need be: half a second's calls may be had at once, and it is rounded up.
            assert told <= (then - now) / 1000 + 1 + max(1, 1 / float(room.rate)), (number, told, then - now)


# Where the cap and not the rate decides, and nothing has been measured yet


def cap_holds(city: City, cap: int, turn_s: int, ahead: int) -> list[tuple[int, int, int]]:
    """(second, wait told, real wait) of one person until they are called: everybody else takes `turn_s`, `cap` at once.

    By hand: the bucket fills up at once (rate 100), so batches of `cap` go in every `turn_s` seconds.
    """
    it = opening_of(city)
    real_s = 1 + ahead // cap * turn_s
    found = []
    for second in range(real_s):
        batches = (second - 1) // turn_s + 1 if second else 0
        called = min(cap * batches, ahead)
        values: dict[str, Any] = {
            "opens_ms": it.opens_ms, "draw_ms": it.draw_ms, "closes_ms": it.closes_ms, "seed": SEED.hex(), "drawn": 0,
            "settled": 1, "rate": 100.0, "max_active": cap, "paused": 0, "message": "", "issued": ahead + 1,
            "serving": called, "called": called, "claimed": called, "missed": 0, "left": 0, "left_called": 0,
            "hold_ms": it.draw_ms, "credit": 100.0, "last_ms": it.draw_ms,
        }  # fmt: skip
        inside = min(cap, called)
        it.follow(
            Advance(
                it.draw_ms + second * 1000, inside, OpeningRecord.unpack({k: str(v) for k, v in values.items()}), []
            )
        )
        told = it.eta_seconds(it.ahead(ahead + 1, called))
        assert told is not None
        found.append((second, told, real_s - second))
    return found


@pytest.mark.parametrize(("cap", "turn_s"), [(10, 10), (10, 8), (2, 20), (5, 45), (1, 60)])
def test_twenty_four_ahead_are_never_told_less_than_it_takes(city: City, cap: int, turn_s: int) -> None:
    """Each turn as long as `policy.turn_seconds` or shorter: never told too short."""
    for second, told, real in cap_holds(city, cap, turn_s, 24):
        if second <= 10 * turn_s // cap:  # ten have not ended: nothing has been measured
            assert told >= real - turn_s, (second, told, real)
        # Everybody in step is the worst for an average; it must not say "at once" all the same.
        assert told >= real / 3, (second, told, real)


def test_a_turn_that_takes_longer_than_thought_is_noticed_before_ten_have_ended(city: City) -> None:
    waits = cap_holds(city, 5, 200, 24)
    assert all(told >= real / 3 for second, told, real in waits if second > 200)
    assert all(real - 200 <= told <= real + 200 for second, told, real in waits if 200 <= second <= 400), waits[200]


def test_a_cap_that_nobody_feels_changes_nothing(city: City) -> None:
    for _, told, _ in cap_holds(city, 1000, 30, 24)[:1]:
        assert told == math.ceil(24 / 100)


@pytest.mark.parametrize(("rate", "wait_s"), [(100.0, 1), (48.0, 1), (2.0, 12), (1.0, 24)])
async def test_twenty_four_ahead_at_the_door(store_url: str, rate: float, wait_s: int) -> None:
    """The join's answer and the first poll, before anybody has been called: 24 / rate, rounded up, and never 0."""
    async with open_house(store_url) as house:
        await keep_sites(house.store)
        await enrol(house.store, [person(i) for i in range(25)])
        await house.at("08:01:00")
        await house.services.room.adjust(TIANHE, "op", {"rate": rate})
        await house.at("08:02:30")
        places = [await house.join(person(i)) for i in range(25)]
        assert [it["ahead"] for it in places] == list(range(25))
        last = places[-1]
        assert last["eta_seconds"] == wait_s
        polled = await house.get("/ticket", bearer=last["ticket"])
        assert (polled["ahead"], polled["eta_seconds"]) == (24, wait_s)
        waits = [it["eta_seconds"] for it in places]
        assert waits == sorted(waits)
