"""Every branch of every script, on a standalone server and on a cluster; times are passed in."""

import asyncio
import time
from typing import Any

import pytest

from server.core.errors import StoreUnavailable
from server.records.fields import Arg
from server.records.opening import Advance, Joined, OpeningRecord, Place
from server.records.registration import NewRegistration
from server.records.statuses import known
from tests.support.model import permutation
from tests.support.stores import Store

TAG = "440106:2021-06-19"
OPENS = 1_624_060_800_000
DRAW = OPENS + 120_000
CLOSES = OPENS + 14_400_000
AFTER = DRAW + 60_000
CLAIM_MS, PASS_MS, GRACE_MS = 300_000, 600_000, 600_000
OLDEST_ANSWER_MS = 11_000  # a second to live, and ten more in a cache that is fetching the next
SEED = bytes(range(32))
PLAN: dict[str, Any] = {
    "opens_ms": OPENS,
    "draw_ms": DRAW,
    "closes_ms": CLOSES,
    "claim_ms": CLAIM_MS,
    "pass_ms": PASS_MS,
    "grace_ms": GRACE_MS,
    "poll_budget": 1000,
    "rate": 10.0,
    "max_active": 1000,
    "seed": SEED,
}


def r(i: int) -> bytes:
    """The key of resident i."""
    return b"resident" + i.to_bytes(8)


def opened(report: Advance) -> OpeningRecord:
    """The opening that is told of, which must be there."""
    assert report.opening is not None
    return report.opening


class Room:
    """The opening under test, with the time in the caller's hands."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = DRAW

    async def prepare(self, **changes: Any) -> bool:
        return await self.store.prepare_version_1(TAG, **(PLAN | changes))

    def at(self, now: int) -> Store:
        self.now = self.store.now_ms = now
        return self.store

    async def join(self, now: int, *residents: int) -> list[Joined]:
        return known(await self.at(now).join(TAG, [r(i) for i in residents]))

    async def advance(self, now: int, left_seen: int = 0) -> Advance:
        (report,) = await self.at(now).advance([(TAG, left_seen)])
        return report

    async def serving(self, now: int) -> int:
        return opened(await self.advance(now)).serving

    async def count(self, field: str) -> int:
        """A field, as it stands."""
        return int((await self.fields())[field])

    async def fields(self) -> dict[str, str]:
        answer = await self.store._client.execute_command("HGETALL", f"opening:{{{TAG}}}")
        return {k.decode(): v.decode() for k, v in answer.items()}

    async def claim(self, now: int, *places: Place) -> list[tuple[str, int]]:
        outcomes, _ = await self.at(now).claim(TAG, places)
        return known(outcomes)

    async def release(self, *places: Place) -> list[str]:
        return list(known(await self.store.release(TAG, places)))

    async def standing(self, now: int, *places: Place) -> list[tuple[str, int]]:
        return known(await self.at(now).standing(TAG, places))

    async def leave(self, now: int, place: Place) -> str:
        return await self.at(now).leave(TAG, place)

    async def rejoin(self, now: int, place: Place) -> tuple[str, int]:
        return await self.at(now).rejoin(TAG, place)

    async def adjust(self, now: int, hold_ms: int = 0, **changes: Arg) -> bool:
        return await self.at(now).adjust(TAG, "ops", hold_ms, changes)


@pytest.fixture
async def absent(store: Store) -> Room:
    """No opening yet."""
    return Room(store)


@pytest.fixture
async def room(absent: Room) -> Room:
    """A prepared opening: 10 calls a second, 1000 passes."""
    assert await absent.prepare()
    return absent


def place(entry: int) -> Place:
    """A place after an empty draw: entry e has number e + 1, and belongs to resident e."""
    return Place(entry, entry + 1, r(entry))


@pytest.fixture
async def queue(room: Room) -> Room:
    """Forty waiting after an empty draw; nobody called."""
    await room.join(DRAW, *range(40))
    return room


@pytest.fixture
async def called(queue: Room) -> Room:
    """Ten of the forty are called, at AFTER."""
    assert await queue.serving(AFTER) == 10
    return queue


# prepare


async def test_an_opening_follows_the_city_file_until_somebody_joins(room: Room) -> None:
    assert await room.prepare(rate=20.0, closes_ms=CLOSES + 1, seed=bytes(32))
    fields = await room.fields()
    assert float(fields["rate"]) == 20.0 and int(fields["closes_ms"]) == CLOSES + 1
    assert fields["seed"] == SEED.hex(), "the commitment is public: the first seed stays"
    await room.join(OPENS, 1)
    joined = await room.fields()
    fields |= {name: joined[name] for name in ("primary", "held_ms", "claimed_seen")}  # under which node it was written
    assert not await room.prepare(rate=99.0)
    assert await room.fields() | {"issued": "0"} == fields


async def test_a_timetable_stays_once_an_empty_draw_has_closed(room: Room) -> None:
    await room.advance(DRAW)
    assert not await room.prepare(closes_ms=CLOSES + 1)


async def test_the_city_file_does_not_undo_what_an_operator_changed(room: Room) -> None:
    await room.adjust(OPENS, rate=5.0, message="慢")
    assert await room.prepare(rate=20.0, closes_ms=CLOSES + 1)
    fields = await room.fields()
    assert float(fields["rate"]) == 5.0 and fields["message"] == "慢" and int(fields["closes_ms"]) == CLOSES + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"draw_ms": OPENS},
        {"closes_ms": DRAW - 1},
        {"rate": -1.0},
        {"max_active": -1},
        {"poll_budget": 0},
    ],
    ids=str,
)
async def test_an_impossible_plan_is_refused_and_writes_nothing(absent: Room, wrong: dict[str, Any]) -> None:
    with pytest.raises(StoreUnavailable):
        await absent.prepare(**wrong)
    assert await absent.fields() == {}


# join


async def test_everybody_gets_an_entry_in_the_order_of_joining(room: Room) -> None:
    assert await room.join(OPENS, 1, 2, 3) == [Joined("ok", None, e, True) for e in range(3)]
    assert await room.join(DRAW - 1, 4) == [Joined("ok", None, 3, True)]


async def test_refresh_keeps_the_place(room: Room) -> None:
    await room.join(OPENS, 1, 2)
    assert await room.join(OPENS + 1, 2) == [Joined("ok", None, 1, False)]
    assert await room.count("issued") == 2


async def test_two_devices_in_one_batch_get_one_place(room: Room) -> None:
    answers = await room.join(OPENS, 1, 2, 1, 1)
    assert [(a.entry, a.fresh) for a in answers] == [(0, True), (1, True), (0, False), (0, False)]
    assert await room.count("issued") == 2


async def test_a_redelivered_batch_changes_nothing(room: Room) -> None:
    first = await room.join(OPENS, 1, 2, 3)
    again = await room.join(OPENS, 1, 2, 3)
    assert [a.entry for a in again] == [a.entry for a in first]
    assert not any(a.fresh for a in again)
    assert await room.count("issued") == 3


async def test_nobody_joins_before_the_opening(room: Room) -> None:
    assert await room.join(OPENS - 1, 1) == [Joined("early", None, None, False)]
    assert await room.count("issued") == 0


async def test_nobody_joins_after_the_window_but_a_place_is_still_known(queue: Room) -> None:
    answers = await queue.join(CLOSES, 1, 99)
    assert answers == [Joined("ended", 0, 1, False), Joined("ended", 0, None, False)]
    assert (await queue.join(CLOSES - 1, 99))[0].entry == 40


async def test_nobody_joins_a_paused_opening_but_a_place_is_still_known(queue: Room) -> None:
    await queue.adjust(AFTER, paused=1)
    assert await queue.join(AFTER, 1, 99) == [Joined("paused", 0, 1, False), Joined("paused", 0, None, False)]


async def test_the_draw_closes_at_the_first_join_after_it_and_leaves_that_one_out(room: Room) -> None:
    await room.join(DRAW - 1, 1, 2)
    assert await room.join(DRAW, 3) == [Joined("ok", 2, 2, True)]


async def test_a_clock_that_goes_back_does_not_open_the_draw_again(room: Room) -> None:
    await room.join(DRAW, 1)
    assert await room.join(DRAW - 5, 2) == [Joined("ok", 0, 1, True)]


async def test_a_full_batch_fits_and_a_larger_one_is_refused_whole(room: Room) -> None:
    assert [a.entry for a in await room.join(OPENS, *range(1024))] == list(range(1024))
    with pytest.raises(StoreUnavailable):
        await room.join(OPENS, *range(1024, 2049))
    with pytest.raises(StoreUnavailable):
        await room.at(OPENS).join(TAG, [b"short"])
    with pytest.raises(StoreUnavailable):
        await room.at(OPENS).join(TAG, [])
    assert await room.count("issued") == 1024


async def test_an_opening_that_is_not_there_gives_nothing(absent: Room) -> None:
    assert await absent.join(OPENS, 1, 2) == [Joined("absent", None, None, False)] * 2
    assert await absent.leave(OPENS, place(0)) == "absent"
    assert await absent.rejoin(OPENS, place(0)) == ("absent", -1)
    assert await absent.claim(OPENS, place(0), place(1)) == [("absent", 0)] * 2
    assert await absent.standing(OPENS, place(0)) == [("absent", 0)]
    assert await absent.at(OPENS).close_draw(TAG) == ("absent", -1, 0, [])
    assert not await absent.adjust(OPENS, paused=1)
    assert await absent.advance(OPENS) == Advance(OPENS, 0, None, [])
    assert await absent.release(place(0)) == ["released"]


# The draw


async def test_the_draw_does_not_close_early(room: Room) -> None:
    await room.join(OPENS, 1)
    assert await room.at(DRAW - 1).close_draw(TAG) == ("early", -1, 0, [])
    assert await room.at(DRAW).close_draw(TAG) == ("settled", 1, 0, [])
    assert await room.at(DRAW + 1).close_draw(TAG) == ("settled", 1, 0, [])


async def test_an_empty_draw_closes(room: Room) -> None:
    assert await room.at(DRAW).close_draw(TAG) == ("settled", 0, 0, [])
    assert await room.serving(AFTER) == 0


async def test_who_left_in_the_draw_is_not_called_and_costs_no_call(room: Room) -> None:
    await room.join(OPENS, *range(20))
    leavers = [3, 17, 4]
    for entry in leavers:
        assert await room.leave(OPENS + 1, Place(entry, 0, r(entry))) == "left"
    assert await room.serving(AFTER) == 0, "nobody is called before the leavers' numbers are known"
    assert await room.at(AFTER).close_draw(TAG) == ("unsettled", 20, 0, leavers)
    p = permutation(SEED, 20)
    numbers = [1 + p(entry) for entry in leavers]
    assert await room.at(AFTER).close_draw(TAG, numbers[:2]) == ("unsettled", 20, 2, leavers[2:]), "not all of them"
    assert await room.serving(AFTER) == 0
    assert await room.at(AFTER).close_draw(TAG, [1, 1, 1]) == ("unsettled", 20, 2, leavers[2:]), "somebody has told two"
    assert await room.at(AFTER).close_draw(TAG, [1, 1], 2) == ("unsettled", 20, 2, leavers[2:]), "nobody asked for two"
    assert await room.at(AFTER).close_draw(TAG, numbers[2:], 2) == ("settled", 20, 0, [])
    assert await room.at(AFTER).close_draw(TAG, numbers) == ("settled", 20, 0, [])  # another worker, later
    serving = await room.serving(AFTER + 1)
    assert await room.count("called") == 10
    assert serving == sorted(set(range(1, 21)) - set(numbers))[9]


async def test_everybody_leaves_in_the_draw(room: Room) -> None:
    await room.join(OPENS, *range(500))
    for entry in range(500):
        await room.leave(OPENS, Place(entry, 0, r(entry)))
    p = permutation(SEED, 500)
    _, drawn, _, entries = await room.at(DRAW).close_draw(TAG)
    assert (drawn, entries) == (500, list(range(500)))
    await room.at(DRAW).close_draw(TAG, [1 + p(e) for e in entries])
    assert (await room.join(AFTER, 900))[0].entry == 500
    assert await room.serving(AFTER + 1000) == 501
    assert await room.count("called") == 1
    assert await room.claim(AFTER + 1000, Place(500, 501, r(900))) == [("fresh", AFTER + 1000 + PASS_MS)]


async def test_ten_thousand_leavers_hold_nobody_up(room: Room) -> None:
    for start in range(0, 10_000, 1000):
        await room.join(OPENS, *range(start, start + 1000))
    tag = f"left:{{{TAG}}}"
    client: Any = room.store._client
    await client.execute_command("RPUSH", tag, *range(10_000))
    await client.execute_command("HSET", f"opening:{{{TAG}}}", "left", 10_000)
    _, _, _, entries = await room.at(DRAW).close_draw(TAG)
    assert len(entries) == 5_000, "some at a time"
    _, _, after, more = await room.at(DRAW).close_draw(TAG, [e + 1 for e in entries])
    assert (after, more) == (5_000, list(range(5_000, 10_000)))
    assert (await room.at(DRAW).close_draw(TAG, [e + 1 for e in more], after))[0] == "settled"
    await room.join(DRAW, 77_777)
    now, serving = AFTER, 0
    while serving <= 10_000:
        now += 250
        assert now < AFTER + 10_000, "passing over leavers takes too long"
        serving = await room.serving(now)
    assert await room.count("called") == 1


async def test_between_the_draw_and_its_settling_nobody_can_leave(room: Room) -> None:
    await room.join(OPENS, 0, 1)
    await room.leave(OPENS, Place(0, 0, r(0)))
    assert await room.leave(DRAW, Place(1, 2, r(1))) == "unsettled"
    assert await room.count("left") == 1


# leave


async def test_leaving_gives_the_place_up_once(queue: Room) -> None:
    assert await queue.leave(AFTER, place(5)) == "left"
    assert await queue.leave(AFTER, place(5)) == "gone"
    assert await queue.standing(AFTER, place(5)) == [("left", 0)]
    assert await queue.count("left") == 1
    assert (await queue.advance(AFTER)).left == [5]
    assert (await queue.advance(AFTER, left_seen=1)).left == []


async def test_who_left_joins_again_at_the_back(queue: Room) -> None:
    await queue.leave(AFTER, place(5))
    assert await queue.join(AFTER, 5) == [Joined("ok", 0, 40, True)]
    assert await queue.leave(AFTER, place(5)) == "gone", "the old ticket has no power over the new place"
    assert await queue.count("left") == 1


async def test_leaving_needs_the_number_after_the_draw(queue: Room) -> None:
    assert await queue.leave(AFTER, Place(5, 0, r(5))) == "unnumbered"
    assert await queue.count("left") == 0


async def test_who_leaves_when_called_makes_room(called: Room) -> None:
    await called.adjust(AFTER, max_active=10)
    assert await called.serving(AFTER + 1000) == 10
    assert await called.leave(AFTER + 1000, place(3)) == "left"
    assert await called.serving(AFTER + 1001) == 11
    assert await called.count("left_called") == 1


async def test_who_is_inside_cannot_leave_the_line(called: Room) -> None:
    await called.claim(AFTER, place(1))
    assert await called.leave(AFTER, place(1)) == "used"
    assert await called.leave(AFTER + PASS_MS, place(1)) == "used"
    assert await called.leave(AFTER + CLAIM_MS, place(2)) == "gone", "missed already"
    assert await called.count("left") == 0


# advance


async def test_calls_follow_the_rate(queue: Room) -> None:
    assert await queue.serving(DRAW) == 0
    assert await queue.serving(DRAW + 99) == 0
    assert await queue.serving(DRAW + 100) == 1
    assert await queue.serving(DRAW + 100) == 1, "asked twice, called once"
    assert await queue.serving(DRAW + 1_000) == 10
    assert await queue.serving(DRAW + 900) == 10, "a clock set back calls nobody"
    assert await queue.serving(DRAW + 1_950) == 19
    assert await queue.serving(DRAW + 2_000) == 20, "what was left of the last step is not lost"


async def test_after_a_failover_to_a_node_that_is_behind_calls_go_on_at_once(queue: Room) -> None:
    """At the rate, from its own time on: neither fifteen seconds later nor with fifteen seconds' calls at once."""
    assert await queue.serving(DRAW + 20_000) == 10
    assert await queue.serving(DRAW + 5_000) == 10
    assert await queue.serving(DRAW + 5_100) == 11
    assert await queue.serving(DRAW + 6_000) == 20
    assert await queue.serving(DRAW + 21_000) == 30, "and when that clock is put right: what a second earns, no more"


async def test_a_store_that_was_away_brings_no_flood(queue: Room) -> None:
    assert await queue.serving(DRAW + 3_600_000) == 10
    assert await queue.serving(DRAW + 3_600_100) == 11


async def test_many_workers_call_no_more_than_one(queue: Room) -> None:
    for now in range(DRAW, DRAW + 1001, 50):
        for _ in range(3):
            await queue.advance(now)
    assert await queue.count("serving") == 10


async def test_a_rate_below_one_a_second_calls_in_its_time(absent: Room) -> None:
    await absent.prepare(rate=0.25)
    await absent.join(DRAW, *range(5))
    assert [await absent.serving(DRAW + s * 1000) for s in (3, 4, 7, 8, 60, 61)] == [0, 1, 1, 2, 3, 3]


async def test_rate_zero_calls_nobody(queue: Room) -> None:
    assert await queue.serving(AFTER) == 10
    assert await queue.adjust(AFTER + 10_000, rate=0.0)
    assert await queue.serving(AFTER + 3_600_000) == 10
    await queue.adjust(AFTER + 3_600_000, rate=10.0)
    assert await queue.serving(AFTER + 3_600_000) == 10, "and it earned nothing"
    assert await queue.serving(AFTER + 3_600_100) == 11


async def test_nobody_is_called_who_is_not_there(room: Room) -> None:
    await room.join(DRAW, 1, 2)
    assert await room.serving(AFTER) == 2
    assert await room.serving(AFTER + 10_000) == 2
    await room.join(AFTER + 10_000, 3)
    assert await room.serving(AFTER + 10_000) == 3


async def test_nobody_is_called_after_the_window(queue: Room) -> None:
    assert await queue.serving(CLOSES) == 0
    assert await queue.serving(CLOSES - 1) == 10


async def test_numbers_given_up_are_passed_over_and_cost_nothing(queue: Room) -> None:
    for entry in (0, 1, 5, 11, 12):
        await queue.leave(AFTER, place(entry))
    assert await queue.serving(AFTER) == 15
    assert await queue.count("called") == 10


async def test_max_active_bounds_who_is_inside_or_called(absent: Room) -> None:
    await absent.prepare(max_active=3)
    await absent.join(DRAW, *range(10))
    assert await absent.serving(AFTER) == 3
    assert await absent.serving(AFTER + 60_000) == 3
    await absent.claim(AFTER + 60_000, place(0))
    assert await absent.serving(AFTER + 60_001) == 3, "a claim turns a reserved pass into a real one"
    await absent.release(place(0))
    assert await absent.serving(AFTER + 60_002) == 4


async def test_who_does_not_come_is_corrected_for(absent: Room) -> None:
    await absent.prepare(max_active=3)
    await absent.join(DRAW, *range(10))
    await absent.advance(AFTER)
    await absent.claim(AFTER, place(1))
    assert await absent.serving(AFTER + CLAIM_MS - 1) == 3
    assert await absent.serving(AFTER + CLAIM_MS) == 5
    assert await absent.count("missed") == 2
    assert await absent.serving(AFTER + PASS_MS) == 8, "the pass has lapsed, and two more did not come"
    assert await absent.count("missed") == 4


async def test_many_steps_expire_in_bounded_portions(room: Room) -> None:
    await room.join(DRAW, *range(30))
    for i in range(1, 31):
        await room.advance(DRAW + i * 100)
    late = DRAW + OLDEST_ANSWER_MS + 3_000 + CLAIM_MS
    for expected in (4, 8, 12):
        await room.at(late).run("advance", TAG, late, 0, 0, 4, 100, 0, -1, 0, 0)
        assert await room.count("missed") == expected


async def test_claim_time_starts_when_the_last_of_the_draw_was_told_to_look(absent: Room) -> None:
    await absent.prepare(poll_budget=2)
    await absent.join(OPENS, *range(20))
    await absent.advance(DRAW + 1000)
    first = next(e for e in range(20) if permutation(SEED, 20)(e) == 0)
    ready = Place(first, 1, r(first))
    assert await absent.standing(DRAW + 1000, ready) == [("ready", DRAW + 20 * 500 + OLDEST_ANSWER_MS + CLAIM_MS)]


# claim, standing, release


async def test_a_called_ticket_becomes_a_pass_and_again_the_same_pass(called: Room) -> None:
    assert await called.claim(AFTER, place(0)) == [("fresh", AFTER + PASS_MS)]
    assert await called.claim(AFTER + 500, place(0)) == [("claimed", AFTER + PASS_MS)]
    assert await called.standing(AFTER + 500, place(0)) == [("claimed", AFTER + PASS_MS)]
    assert await called.count("claimed") == 1


async def test_two_devices_claiming_in_one_batch_get_one_pass(called: Room) -> None:
    answers = await called.claim(AFTER, place(0), place(1), place(0))
    assert answers == [("fresh", AFTER + PASS_MS), ("fresh", AFTER + PASS_MS), ("claimed", AFTER + PASS_MS)]
    assert await called.count("claimed") == 2
    assert (await called.advance(AFTER)).passes_alive == 2


async def test_nobody_claims_out_of_turn(called: Room) -> None:
    assert await called.claim(AFTER, place(10)) == [("waiting", 0)]
    assert await called.standing(AFTER, place(9), place(10)) == [("ready", AFTER + CLAIM_MS), ("waiting", 0)]
    assert await called.count("claimed") == 0


async def test_a_turn_lasts_its_time_and_no_longer(called: Room) -> None:
    assert await called.claim(AFTER + CLAIM_MS - 1, place(0)) == [("fresh", AFTER + CLAIM_MS - 1 + PASS_MS)]
    late = AFTER + CLAIM_MS
    assert await called.claim(late, place(1)) == [("missed", 0)]
    assert await called.standing(late, place(1)) == [("missed", 0)]
    await called.advance(late)
    assert await called.claim(late, place(1)) == [("missed", 0)]
    assert await called.claim(late - 1, place(1)) == [("missed", 0)], "counted is counted, whatever the clock does"


async def test_a_pass_lapses(called: Room) -> None:
    (_, until_ms), *_ = await called.claim(AFTER, place(0))
    assert await called.standing(until_ms - 1, place(0)) == [("claimed", until_ms)]
    assert await called.claim(until_ms, place(0)) == [("lapsed", until_ms)]
    assert (await called.advance(until_ms - 1)).passes_alive == 1
    assert (await called.advance(until_ms)).passes_alive == 0
    assert (await called.advance(until_ms - 1)).passes_alive == 1, "a clock set back finds the pass it finds good"
    assert (await called.advance(until_ms + 60_000)).passes_alive == 0


async def test_a_pass_that_has_done_its_work_is_free_and_used(called: Room) -> None:
    await called.claim(AFTER, place(0), place(1))
    assert await called.release(place(0), place(0)) == ["released", "again"]
    assert await called.release(place(0)) == ["again"]
    assert await called.claim(AFTER, place(0)) == [("used", 0)]
    assert (await called.advance(AFTER)).passes_alive == 1
    assert await called.release(place(1)) == ["released"], "later than the pass lived, it is recorded all the same"


async def test_who_left_cannot_claim(called: Room) -> None:
    await called.leave(AFTER, place(0))
    assert await called.claim(AFTER, place(0)) == [("left", 0)]


async def test_the_windows_end_ends_turns_but_not_passes(queue: Room) -> None:
    last = CLOSES - 1000
    await queue.advance(last)
    assert await queue.standing(last, place(0)) == [("ready", CLOSES)]
    assert await queue.claim(CLOSES - 1, place(0)) == [("fresh", CLOSES - 1 + PASS_MS)]
    assert await queue.claim(CLOSES, place(1), place(30)) == [("missed", 0), ("ended", 0)]
    assert await queue.claim(CLOSES + 1, place(0)) == [("claimed", CLOSES - 1 + PASS_MS)]
    report = await queue.advance(CLOSES)
    assert report.passes_alive == 1 and opened(report).missed == 9


async def test_a_pass_does_not_outlive_the_grace(absent: Room) -> None:
    await absent.prepare(grace_ms=5_000)
    await absent.join(DRAW, 0)
    await absent.advance(CLOSES - 1000)
    assert await absent.claim(CLOSES - 1000, place(0)) == [("fresh", CLOSES + 5_000)]


async def test_no_more_passes_than_max_active_even_when_it_is_lowered(called: Room) -> None:
    await called.claim(AFTER, place(0), place(1))
    await called.adjust(AFTER, max_active=3)
    outcomes = await called.claim(AFTER, *(place(e) for e in range(10)))
    assert [o for o, _ in outcomes] == ["claimed", "claimed", "fresh"] + ["ready"] * 7
    await called.release(place(1))
    assert [o for o, _ in await called.claim(AFTER, place(8), place(9))] == ["fresh", "ready"]


# rejoin


async def test_who_missed_their_turn_gets_one_new_place_at_the_back(called: Room) -> None:
    late = AFTER + CLAIM_MS
    assert await called.rejoin(late, place(0)) == ("rejoined", 40)
    assert await called.rejoin(late, place(0)) == ("kept", 40), "the second device, or a retry"
    assert await called.join(late, 0) == [Joined("ok", 0, 40, False, 10)]
    assert await called.leave(late, place(0)) == "gone"
    assert await called.count("issued") == 41


async def test_whose_pass_lapsed_gets_a_new_place(called: Room) -> None:
    await called.claim(AFTER, place(0))
    assert await called.rejoin(AFTER + PASS_MS - 1, place(0)) == ("kept", 0)
    assert await called.rejoin(AFTER + PASS_MS, place(0)) == ("rejoined", 40)


async def test_a_good_place_is_kept(called: Room) -> None:
    assert await called.rejoin(AFTER, place(0)) == ("kept", 0)
    assert await called.rejoin(AFTER, place(20)) == ("kept", 20)
    assert await called.rejoin(AFTER + CLAIM_MS, Place(0, 0, r(0))) == ("kept", 0), "its number is not known"
    assert await called.count("issued") == 40


async def test_nobody_rejoins_out_of_hours_or_in_a_pause(called: Room) -> None:
    late = AFTER + CLAIM_MS
    await called.advance(late)
    assert await called.rejoin(OPENS - 1, place(0)) == ("early", -1)
    assert await called.rejoin(CLOSES, place(0)) == ("ended", -1)
    await called.adjust(late, paused=1)
    assert await called.rejoin(late, place(0)) == ("paused", -1)
    assert await called.rejoin(late, place(20)) == ("kept", 20)
    assert await called.count("issued") == 40


async def test_rejoining_does_not_slip_into_the_draw(room: Room) -> None:
    await room.join(OPENS, 0, 1)
    await room.leave(OPENS, Place(1, 0, r(1)))
    assert await room.rejoin(DRAW, Place(1, 2, r(1))) == ("rejoined", 2)
    assert await room.count("drawn") == 2


async def test_an_old_ticket_is_worth_nothing_beside_the_new_place(called: Room) -> None:
    """Not even where its turn seems to come back: one resident, one place."""
    late = AFTER + CLAIM_MS
    assert await called.rejoin(late, place(0)) == ("rejoined", 40)
    assert await called.claim(late - 1, place(0)) == [("missed", 0)], "a clock set back"
    await called.adjust(late, hold_ms=60_000, rate=20.0)
    assert await called.claim(late, place(0), place(1)) == [("missed", 0), ("fresh", late + PASS_MS)]
    assert await called.count("claimed") == 1


# adjust


async def test_a_pause_stops_the_calls_and_earns_none(called: Room) -> None:
    await called.adjust(AFTER + 500, paused=1, message="稍候")
    assert await called.serving(AFTER + 10_000) == 10
    await called.adjust(AFTER + 10_000, paused=0)
    assert await called.serving(AFTER + 10_000) == 10
    assert await called.serving(AFTER + 10_001) == 15, "what was earned before the pause stays earned"


async def test_nobody_misses_their_turn_in_a_pause(called: Room) -> None:
    await called.adjust(AFTER + 1000, paused=1)
    late = AFTER + CLAIM_MS + 60_000
    await called.advance(late)
    assert await called.standing(late, place(0)) == [("ready", AFTER + CLAIM_MS)]
    assert await called.claim(late, place(1)) == [("fresh", late + PASS_MS)]
    await called.adjust(late, paused=0)
    assert await called.standing(late, place(0)) == [("ready", late + CLAIM_MS)]
    assert await called.count("missed") == 0


async def test_a_pause_until_the_end_ends_with_the_window(called: Room) -> None:
    await called.adjust(AFTER, paused=1)
    assert await called.claim(CLOSES, place(0)) == [("missed", 0)]
    assert opened(await called.advance(CLOSES)).missed == 10


async def test_a_new_rate_counts_from_its_change_on(queue: Room) -> None:
    assert await queue.serving(DRAW + 1000) == 10
    await queue.adjust(DRAW + 1500, rate=2.0)
    assert await queue.serving(DRAW + 1501) == 12, "of the five that were earned, a bucket of two keeps two"
    assert await queue.serving(DRAW + 2001) == 13
    await queue.adjust(DRAW + 2001, rate=20.0)
    assert await queue.serving(DRAW + 2101) == 15


async def test_a_faster_rate_overtakes_nobodys_poll(called: Room) -> None:
    await called.adjust(AFTER, hold_ms=90_000, rate=20.0)
    assert await called.standing(AFTER, place(0)) == [("ready", AFTER + 90_000 + CLAIM_MS)]
    await called.adjust(AFTER + 1, hold_ms=500_000, rate=10.0)
    assert await called.standing(AFTER, place(0)) == [("ready", AFTER + 90_000 + CLAIM_MS)]


async def test_a_lower_max_active_leaves_the_called_time_to_come_in(called: Room) -> None:
    await called.adjust(AFTER, max_active=20)
    assert await called.standing(AFTER, place(0)) == [("ready", AFTER + CLAIM_MS)]
    await called.adjust(AFTER, max_active=5)
    longer = [("ready", AFTER + PASS_MS + CLAIM_MS)]
    assert await called.standing(AFTER, place(0)) == longer
    await called.adjust(AFTER + 60_000, message="请稍候")
    assert await called.standing(AFTER + 60_000, place(0)) == longer, "only a lower cap moves it"
    await called.adjust(AFTER + 60_000, max_active=6)
    assert await called.standing(AFTER + 60_000, place(0)) == longer


async def test_each_change_is_in_the_audit_log(room: Room) -> None:
    await room.adjust(OPENS, rate=5.0, message="慢")
    await room.adjust(OPENS + 1, paused=1)
    client: Any = room.store._client
    log = [entry for _, entry in await client.xrange(f"audit:{{{TAG}}}")]
    first = {"at_ms": str(OPENS), "actor": "ops", "rate": "10.0 -> 5.0", "message": " -> 慢"}
    second = {"at_ms": str(OPENS + 1), "actor": "ops", "paused": "0 -> 1"}
    assert [{k.decode(): v.decode() for k, v in entry.items()} for entry in log] == [first, second]


@pytest.mark.parametrize(
    "wrong",
    [
        {"issued": 5},
        {"rate": -1.0},
        {"rate": "fast"},
        {"rate": "nan"},
        {"max_active": -1},
        {"max_active": "x"},
        {"paused": 2},
    ],
    ids=str,
)
async def test_an_impossible_change_is_refused_and_writes_nothing(queue: Room, wrong: dict[str, Arg]) -> None:
    before = await queue.fields()
    with pytest.raises(StoreUnavailable):
        await queue.at(AFTER).adjust(TAG, "ops", 0, wrong)
    assert await queue.fields() == before


# Store


async def test_a_restarted_store_that_forgot_the_scripts_is_told_again(store: Store) -> None:
    client: Any = store._client
    room = Room(store)
    await room.prepare()
    for _ in range(2):
        await client.script_flush()
        assert (await room.join(OPENS, 1))[0].entry == 0
        await client.script_flush()
        store.now_ms = AFTER
        answers = await store.register(
            [NewRegistration(r(i), AFTER + PASS_MS, f"N{i}", "", {"date": "2021-06-19", "x": i}) for i in range(50)]
        )
        assert len(answers) == 50
    assert await room.count("issued") == 1


async def test_without_a_time_passed_in_the_stores_clock_rules(store: Store) -> None:
    store.now_ms = 0
    (report,) = await store.advance([(TAG, 0)])
    assert abs(report.now_ms - time.time() * 1000) < 60_000
    moved = Store(store._client, offset_ms=-86_400_000)
    (earlier,) = await moved.advance([(TAG, 0)])
    assert 86_340_000 < report.now_ms - earlier.now_ms < 86_460_000


async def test_whoever_works_until_cancelled_is_cancelled_at_any_point_of_a_call(store: Store) -> None:
    """Before Python 3.12 `asyncio.wait_for`, with which the store's client sends, drops some cancellations."""

    async def work() -> None:
        while True:
            await store.ping()

    for turns in range(100):
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        stopped, _ = await asyncio.wait([task], timeout=20)
        task.cancel()
        assert stopped, turns
