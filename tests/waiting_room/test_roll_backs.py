"""A node takes over that has not got the last writes: what was told before still holds.

The roll-back is made by hand: an opening's keys are put back as they were, as a promoted replica has them.
"""

from typing import Any

import pytest

from server.records.opening import Place, Told
from server.records.statuses import known
from tests.support.stores import Store

TAG = "440106:2021-06-19"
OPENS = 1_624_060_800_000
DRAW, CLOSES = OPENS + 60_000, OPENS + 3_600_000
PASS_MS, CLAIM_MS = 600_000, 120_000
PLAN: dict[str, Any] = {
    "opens_ms": OPENS, "draw_ms": DRAW, "closes_ms": CLOSES, "claim_ms": CLAIM_MS, "pass_ms": PASS_MS,
    "grace_ms": 60_000, "poll_budget": 1000.0, "rate": 10.0, "max_active": 10, "seed": bytes(32), "night_seed": b"",
}  # fmt: skip
# The draw is empty: entry e has number e + 1.
AFTER = DRAW + 2_000


def r(i: int) -> bytes:
    return b"resident" + i.to_bytes(8, "big")


def place(entry: int, resident: int | None = None) -> Place:
    return Place(entry, entry + 1, r(entry if resident is None else resident))


class Opening:
    """The opening under test."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.kept: dict[bytes, bytes] = {}

    def at(self, now: int) -> Store:
        self.store.now_ms = now
        return self.store

    async def remember(self) -> None:
        """A replica has got so far."""
        client: Any = self.store.client
        self.kept = {name: await client.dump(name) async for name in client.scan_iter(match=f"*{{{TAG}}}")}

    async def roll_back(self, *, other_primary: bool = False) -> None:
        """It takes over."""
        client: Any = self.store.client
        async for name in client.scan_iter(match=f"*{{{TAG}}}"):
            if name not in self.kept:
                await client.delete(name)
        for name, value in self.kept.items():
            await client.restore(name, 0, value, replace=True)
        if other_primary:
            await client.hset(f"opening:{{{TAG}}}", "primary", "0" * 40)

    async def join(self, now: int, *residents: int, told: int = 0) -> list[tuple[str, int | None]]:
        joined = known(await self.at(now).join(TAG, [r(i) for i in residents], 0, told))
        return [(each.status, each.entry) for each in joined]

    async def advance(self, now: int, told: Told = Told()) -> Any:  # noqa: B008
        (report,) = await self.at(now).advance([(TAG, 0)], {TAG: told})
        it = report.opening
        assert it is not None
        waiting = it.issued - it.called - (it.left - it.left_called)
        pending = it.called - it.claimed - it.missed - it.left_called
        assert it.issued == waiting + pending + it.claimed + it.missed + it.left, "guarantee 8"
        assert min(waiting, pending) >= 0
        assert pending + report.passes_alive <= 10, "guarantee 3"
        return it

    async def told(self, now: int) -> Told:
        """What a worker has been told by now."""
        it = await self.advance(now)
        return Told(it.issued, -1 if it.drawn is None else it.drawn, it.serving, it.claimed)

    async def claim(self, now: int, *places: Place) -> list[tuple[str, int]]:
        outcomes, _ = await self.at(now).claim(TAG, places)
        return list(known(outcomes))

    async def standing(self, now: int, *places: Place) -> list[str]:
        return [standing for standing, _ in known(await self.at(now).standing(TAG, places))]


@pytest.fixture
async def opening(store: Store) -> Opening:
    """Forty in line, nobody called yet; once standalone and once a cluster."""
    opening = Opening(store)
    await store.prepare_version_1(TAG, **PLAN)
    await opening.join(DRAW, *range(40))
    return opening


# No entry twice


async def test_an_entry_that_was_told_is_not_given_again(opening: Opening) -> None:
    await opening.remember()
    assert await opening.join(DRAW, 40, 41, 42) == [("ok", 40), ("ok", 41), ("ok", 42)]
    told = await opening.told(DRAW)
    await opening.roll_back()
    assert await opening.join(DRAW, 50, told=told.issued) == [("ok", 43)], "by the join itself"
    await opening.roll_back()
    it = await opening.advance(DRAW, told)
    assert (it.issued, it.gaps.strip(), it.rollbacks) == (43, "40-42", 1), "by any worker's next look"
    assert await opening.join(DRAW, 51) == [("ok", 43)], "who has not heard of it either"


async def test_for_a_second_after_another_node_has_taken_over_nobody_new_gets_anything(opening: Opening) -> None:
    await opening.advance(AFTER)
    await opening.remember()
    await opening.roll_back(other_primary=True)
    assert await opening.join(AFTER, 3, 60) == [("ok", 3), ("held", None)], "who has a place keeps it"
    assert await opening.at(AFTER).rejoin(TAG, place(70)) == ("held", -1)
    assert [outcome for outcome, _ in await opening.claim(AFTER + 999, place(0))] == ["held"], "and no pass"
    serving = (await opening.advance(AFTER + 999)).serving
    assert serving == 10 and (await opening.advance(AFTER + 998)).serving == 10, "and no call"
    assert await opening.join(AFTER + 1000, 60) == [("ok", 40)]
    assert [outcome for outcome, _ in await opening.claim(AFTER + 1000, place(0))] == ["fresh"]


async def test_the_draw_does_not_close_before_the_workers_have_said_who_is_in_it(store: Store) -> None:
    opening = Opening(store)
    await store.prepare_version_1(TAG, **PLAN)
    await opening.join(OPENS, *range(5))
    await opening.remember()
    await opening.join(OPENS, 5, 6)
    told = await opening.told(OPENS)
    await opening.roll_back(other_primary=True)
    await opening.join(DRAW, 0)
    assert (await opening.advance(DRAW)).drawn is None
    assert (await opening.advance(DRAW + 10, told)).drawn is None
    assert (await opening.advance(DRAW + 1000)).drawn == 7


async def test_what_was_told_of_the_draw_stays(store: Store) -> None:
    opening = Opening(store)
    await store.prepare_version_1(TAG, **PLAN)
    await opening.join(OPENS, *range(5))
    await opening.remember()
    told = await opening.told(DRAW)
    assert told.drawn == 5
    await opening.roll_back()
    await opening.join(DRAW - 1, 8)  # a worker whose clock is behind
    assert (await opening.advance(DRAW, told)).drawn == 5


# Who holds what was forgotten


async def test_a_holder_of_a_gap_has_the_place_back_when_the_ticket_is_shown(opening: Opening) -> None:
    await opening.remember()
    await opening.join(DRAW, 40, 41)
    told = await opening.told(DRAW)
    await opening.roll_back()
    await opening.advance(DRAW, told)
    assert await opening.standing(DRAW, place(40)) == ["lost"]
    assert await opening.at(DRAW).rejoin(TAG, place(40)) == ("kept", 40)
    assert await opening.join(DRAW, 40) == [("ok", 40)], "the store knows it again"
    assert await opening.standing(DRAW, place(40)) == ["waiting"]
    assert await opening.at(DRAW).rejoin(TAG, place(40, resident=99)) == ("rejoined", 42), "nobody else has it"
    assert (await opening.advance(DRAW)).issued == 43


async def test_a_ticket_alone_says_how_many_places_there_were(opening: Opening) -> None:
    """The worker that gave it is gone with the primary."""
    await opening.remember()
    await opening.join(DRAW, 40, 41)
    await opening.roll_back()
    assert await opening.at(DRAW).rejoin(TAG, place(41), 0, 42) == ("kept", 41)
    assert await opening.join(DRAW, 60) == [("ok", 42)]


async def test_a_second_holder_of_an_entry_is_told_so_and_has_another_place(opening: Opening) -> None:
    await opening.remember()
    await opening.join(DRAW, 40)  # of which nobody who lives was told
    await opening.roll_back()
    assert await opening.join(DRAW, 60) == [("ok", 40)]
    first, second = place(40), place(40, resident=60)
    for now in range(AFTER, AFTER + 9_000, 1_000):
        await opening.advance(now)
        outcomes = known((await opening.at(now).claim(TAG, [place(e) for e in range(40)]))[0])
        assert {outcome for outcome, _ in outcomes} <= {"fresh", "claimed", "used", "waiting", "ready"}
        await opening.store.release(TAG, [place(e) for e, (it, _) in enumerate(outcomes) if it == "fresh"])
    now = AFTER + 9_000
    await opening.advance(now)
    assert await opening.standing(now, first, second) == ["lost", "ready"]
    assert [outcome for outcome, _ in await opening.claim(now, first, second, first)] == ["lost", "fresh", "lost"]
    assert await opening.at(now).rejoin(TAG, first) == ("rejoined", 41)
    assert await opening.join(now, 40) == [("ok", 41)]
    assert await opening.standing(now, second) == ["claimed"]


async def test_who_left_is_not_taken_for_somebody_forgotten(opening: Opening) -> None:
    assert await opening.at(AFTER).leave(TAG, place(30)) == "left"
    assert await opening.standing(AFTER, place(30)) == ["left"]
    assert [outcome for outcome, _ in await opening.claim(AFTER, place(30))] == ["left"]


# Caps and rate


async def test_numbers_told_as_called_stay_called_and_have_cost_what_they_cost(opening: Opening) -> None:
    await opening.advance(DRAW + 1)
    await opening.remember()
    told = await opening.told(DRAW + 500)
    assert told.serving == 5
    await opening.roll_back()
    it = await opening.advance(DRAW + 200, told)  # its clock is behind: the rate alone would call two
    assert (it.serving, it.called) == (5, 5)
    assert (await opening.advance(DRAW + 700)).serving == 7, "as many as the rate had allowed without the roll-back"


async def test_passes_that_nobody_counts_keep_their_room(opening: Opening) -> None:
    await opening.advance(AFTER)  # ten are called, as many as may be inside
    await opening.remember()
    fresh = await opening.claim(AFTER, *(place(e) for e in range(10)))
    assert {outcome for outcome, _ in fresh} == {"fresh"}
    lapse_ms = fresh[0][1]
    told = await opening.told(AFTER)
    await opening.roll_back()
    for now in (AFTER + 1, AFTER + CLAIM_MS, lapse_ms - 1):
        assert (await opening.advance(now, told)).serving == 10, "each may still register with the pass it has"
    it = await opening.advance(lapse_ms + 1000, told)
    assert it.serving > 10 and it.missed == 10


async def test_a_forgotten_claim_is_put_back_by_who_registers(opening: Opening) -> None:
    await opening.advance(AFTER)
    await opening.remember()
    await opening.claim(AFTER, place(0))
    await opening.roll_back()
    assert list(known(await opening.store.release(TAG, [place(0), place(0)]))) == ["released", "again"]
    assert await opening.standing(AFTER, place(0)) == ["used"]
    assert (await opening.advance(AFTER)).claimed == 1
    assert list(known(await opening.store.release(TAG, [place(0, resident=77)]))) == ["other"]


@pytest.mark.parametrize("when", ["before the call", "once it counts as missed"])
async def test_it_counts_once_whatever_it_had_counted_as(opening: Opening, when: str) -> None:
    if when == "before the call":
        now = DRAW
        await opening.remember()
        await opening.advance(AFTER)
        await opening.claim(AFTER, place(0))
        await opening.roll_back()
    else:
        await opening.advance(AFTER)
        now = AFTER + CLAIM_MS + 20_000
        assert (await opening.advance(now)).missed == 10
    await opening.store.release(TAG, [place(0)])
    it = await opening.advance(now)
    assert it.claimed == 1
    assert (await opening.advance(now + 1000)).claimed == 1
