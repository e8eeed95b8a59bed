"""Places given up by the thousand (table of cases, L3): bounded for a person, and nothing that others feel."""

import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from server.core.city import load_city
from server.core.keys import MOST_PLACES
from server.records.opening import Place
from server.records.statuses import known
from server.store.connecting import connect
from server.waiting_room.given_up import GivenUp
from tests.support.serving import TIANHE, House, enrol, keep_sites, open_house, person, refused
from tests.support.stores import Store

TAG = "440106:2021-06-19"
OPENS = 1_624_060_800_000
DRAW = OPENS + 120_000
PLAN: dict[str, Any] = {
    "opens_ms": OPENS, "draw_ms": DRAW, "closes_ms": OPENS + 14_400_000, "claim_ms": 300_000, "pass_ms": 600_000,
    "grace_ms": 600_000, "poll_budget": 1000, "rate": 1.0, "max_active": 1000, "seed": bytes(32),
}  # fmt: skip


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Tianhe on its opening day, after the draw, with a few people who may register."""
    async with open_house(store_url) as house:
        await keep_sites(house.store)
        await enrol(house.store, [person(i) for i in range(8)])
        await house.at("08:03:00")
        yield house


async def give_up(house: House, who: int) -> None:
    ticket = (await house.join(person(who)))["ticket"]
    assert (await house.call("DELETE", "/ticket", bearer=ticket)).status_code == 204


# One paper that joins and leaves in a loop


async def test_a_paper_that_joins_and_leaves_in_a_loop_gets_five_places_and_no_more(house: House) -> None:
    """Five is `policy.places_per_person` of the shipped city."""
    for _ in range(5):
        await give_up(house, 1)
    before = await house.everything()
    answer = await house.try_join(person(1))
    problem = refused(answer, "too-many-requests", 429)
    # 08:03 today to 08:00 tomorrow: a day less three minutes
    assert answer.headers["retry-after"] == str(86_400 - 180)
    assert (problem["reason"], problem["next_opens_at"]) == ("places", "2021-06-20T08:00:00+08:00")
    assert "6月20日08:00" in problem["detail"]
    english = refused(await house.try_join(person(1), headers={"accept-language": "en"}), "too-many-requests", 429)
    assert "given up your place too often" in english["detail"]
    assert await house.everything() == before, "a refused request changes nothing"
    await house.look()
    assert (await house.get(f"/openings/{TIANHE}"))["issued"] == 5


async def test_who_gave_up_by_mistake_joins_again_and_keeps_that_place(house: House) -> None:
    for _ in range(4):
        await give_up(house, 1)
    place = await house.join(person(1))
    assert (await house.join(person(1)))["entry"] == place["entry"], "a refresh is no further place"
    await house.forward(1)
    assert (await house.register(await house.claim(place["ticket"]))).status_code == 201


async def test_one_person_s_loop_is_nobody_else_s_bound_and_is_over_with_the_opening(house: House) -> None:
    for _ in range(5):
        await give_up(house, 1)
    await house.join(person(2))
    await house.at("08:00:00", house.day.replace(day=20))
    assert (await house.try_join(person(1))).status_code == 201


async def test_the_bound_holds_in_the_draw_and_for_both_of_a_batch(store: Store) -> None:
    await store.prepare_version_1(TAG, **PLAN)
    store.now_ms = OPENS
    looper, other = b"l" * 16, b"o" * 16
    for entry in range(2):
        (joined,) = known(await store.join(TAG, [looper], 2))
        assert (joined.status, joined.entry) == ("ok", entry)
        assert await store.leave(TAG, Place(entry, 0, looper)) == "left"
    told = known(await store.join(TAG, [looper, other, looper, other], 2))
    assert [(it.status, it.entry, it.fresh) for it in told] == [
        ("spent", None, False), ("ok", 2, True), ("spent", None, False), ("ok", 2, False),
    ]  # fmt: skip
    assert await store.rejoin(TAG, Place(1, 0, looper), 2) == ("spent", -1), "nor by the back door"
    (again,) = known(await store.join(TAG, [looper], 3))
    assert again.entry == 3, "a city that allows more gives more"


async def test_only_who_has_left_costs_the_store_more_than_their_place(store_url: str) -> None:
    """And no more than 64 bytes, as everybody in line (README)."""
    people = 6_000
    store = Store(await connect(store_url))
    await store.prepare_version_1(TAG, **(PLAN | {"poll_budget": 1500}))
    store.now_ms = DRAW
    keys = [random.Random(i).randbytes(16) for i in range(people)]
    for start in range(0, people, 1000):
        await store.join(TAG, keys[start : start + 1000], 5)
    with Redis.from_url(store_url) as client:
        assert client.exists(f"leavers:{{{TAG}}}") == 0
        pipe = client.pipeline(transaction=False)
        script = store._scripts["leave"]
        sha = client.script_load(script.text)
        names = [f"{kind}:{{{TAG}}}" for kind in script.keys]
        for entry, resident in enumerate(keys):
            pipe.evalsha(sha, len(names), *names, DRAW, 0, resident, entry, entry + 1)
        assert set(pipe.execute()) == {b"left"}
        used = sum(int(client.memory_usage(k, samples=0) or 0) for k in client.keys(f"*{{{TAG}}}"))
    await store.close()
    assert used / people <= 64, f"{used / people:.1f} bytes"


# Thousands of given-up numbers in front


async def in_line(store: Store, gone: list[int], people: int, rate: float) -> None:
    """An empty draw, then so many places, of which these numbers are given up already."""
    await store.prepare_version_1(TAG, **(PLAN | {"rate": rate}))
    store.now_ms = DRAW
    await store.advance([(TAG, 0)])
    client: Any = store.client
    bits = bytearray(people // 8 + 1)
    for number in gone:
        bits[number // 8] |= 128 >> number % 8
    await client.hset(f"opening:{{{TAG}}}", mapping={"issued": people, "left": len(gone)})
    await client.set(f"done:{{{TAG}}}", bytes(bits))


async def called(store: Store, now_ms: int) -> tuple[int, int]:
    """(highest number called, how many were) at that moment."""
    store.now_ms = now_ms
    (news,) = await store.advance([(TAG, 10**9)])
    assert news.opening is not None
    return news.opening.serving, news.opening.called


async def test_twenty_thousand_given_up_numbers_in_front_cost_the_next_one_no_time(store: Store) -> None:
    await in_line(store, list(range(1, 20_001)), 20_003, 1.0)
    # One a second from the draw's end on: nobody sooner, and nobody later.
    assert await called(store, DRAW + 999) == (0, 0)
    assert await called(store, DRAW + 1000) == (20_001, 1)
    assert await called(store, DRAW + 1999) == (20_001, 1)
    assert await called(store, DRAW + 2000) == (20_002, 2)


async def test_whatever_the_pattern_the_rate_is_used_up_and_not_more(store: Store) -> None:
    """Ten calls a second, from a line with holes of all sizes; by hand, walking along it."""
    chance = random.Random(20210619)
    gone: set[int] = set()
    number = 1
    while number < 3000:
        hole = chance.choice([0, 1, 1, 2, 7, 64, 65, 400])
        gone.update(range(number, number + hole))
        number += hole + chance.choice([1, 1, 1, 2, 3, 9])
    gone = {number for number in gone if number <= 3000}
    await in_line(store, sorted(gone), 3000, 10.0)
    live = [n for n in range(1, 3001) if n not in gone]
    for second in range(1, len(live) // 10 + 3):
        serving, count = await called(store, DRAW + second * 1000)
        expected = live[: second * 10]
        assert count == len(expected)
        assert serving == (expected[-1] if len(expected) < len(live) else 3000 if count < second * 10 else expected[-1])


async def test_a_long_hole_is_passed_in_few_steps(store_url: str) -> None:
    """Ten million given up: a hundred looks at the bitmap are far more than the search needs (2 log2 of it)."""
    store = Store(await connect(store_url))
    await store.prepare_version_1(TAG, **PLAN)
    store.now_ms = DRAW
    await store.advance([(TAG, 0)])
    with Redis.from_url(store_url) as client:
        client.hset(f"opening:{{{TAG}}}", mapping={"issued": MOST_PLACES, "left": MOST_PLACES - 2})
        client.set(f"done:{{{TAG}}}", b"\xff" * (MOST_PLACES // 8))
        client.config_resetstat()
        assert await called(store, DRAW + 1000) == (MOST_PLACES, 1)
        looks = int(client.info("commandstats")["cmdstat_bitcount"]["calls"])
    await store.close()
    assert looks <= 100, looks


async def test_those_behind_leavers_are_told_of_those_who_are_there(house: House) -> None:
    """Three of four in front give up: one is ahead. The next look must not be later than that one's turn."""
    await house.services.room.adjust(TIANHE, "op", {"max_active": 0})  # nobody is called meanwhile
    tickets = [(await house.join(person(i)))["ticket"] for i in range(5)]
    assert (await house.get("/ticket", bearer=tickets[4]))["ahead"] == 4
    for ticket in tickets[:3]:
        assert (await house.call("DELETE", "/ticket", bearer=ticket)).status_code == 204
    await house.look()
    told = await house.get("/ticket", bearer=tickets[4])
    assert (told["number"], told["ahead"]) == (5, 1)
    assert (await house.join(person(5)))["ahead"] == 2
    early = refused(await house.call("POST", "/passes", bearer=tickets[4]), "not-your-turn", 425)
    assert early["ahead"] == 1


# What a worker keeps of them

ENTRIES = st.lists(st.integers(0, 5000), max_size=200)


@given(ENTRIES, st.integers(0, 5000), st.integers(0, 5000))
def test_what_is_kept_is_a_set_that_can_count(entries: list[int], low: int, high: int) -> None:
    kept = GivenUp()
    for entry in entries:
        kept.add(entry)
    kept.update(entries)
    assert [entry for entry in range(5001) if entry in kept] == sorted(set(entries))
    assert kept.between(0, 5003) == 0, "no numbers before the draw is done"
    kept.number(lambda entry: entry + 1)
    assert kept.between(low, high) == sum(low < entry + 1 < high for entry in set(entries))


def test_a_million_places_with_leavers_everywhere_cost_a_worker_less_than_a_megabyte() -> None:
    """A million leavers were 58 MiB as a set; two bits a place, whoever leaves, and little more is what they need."""
    kept = GivenUp()
    for first in range(0, 1_000_000, 20_000):  # as `advance` tells them, here of every tenth place
        kept.update(range(first, first + 20_000, 10))
        kept.number(lambda entry: entry + 1)
    assert kept.between(0, 1_000_001) == 100_000
    held = sum(sys.getsizeof(part) for part in vars(kept).values())
    assert held < 1 << 20, held


# The ten-millionth place


async def test_no_place_is_given_whose_number_no_call_would_take(house: House) -> None:
    await house.join(person(0))
    client: Any = house.store.client
    await client.hset(f"opening:{{{TAG}}}", "issued", MOST_PLACES - 1)
    last = await house.join(person(1))
    assert (last["entry"], last["number"]) == (9_999_999, 10_000_000)
    problem = refused(await house.try_join(person(2)), "ended", 410)
    assert (problem["reason"], problem["next_opens_at"]) == ("full", "2021-06-20T08:00:00+08:00")
    assert (await house.join(person(1)))["entry"] == 9_999_999, "who has a place keeps it"
    await house.look()
    assert (await house.get(f"/openings/{TIANHE}"))["issued"] == MOST_PLACES


async def test_the_last_place_can_be_registered_and_looked_up(house: House) -> None:
    client: Any = house.store.client
    await client.hset(f"opening:{{{TAG}}}", mapping={"issued": MOST_PLACES - 1, "serving": MOST_PLACES - 1})
    place = await house.join(person(1))
    await house.forward(1)
    answer = await house.register(await house.claim(place["ticket"]))
    assert answer.status_code == 201
    no = answer.json()["registration_no"]
    assert len(no) == 15
    assert (await house.get(f"/registrations/{no}", bearer=answer.json()["receipt"]))["registration_no"] == no
    assert (await house.call("GET", f"/registrations/{no}/qr.svg")).status_code == 200


def test_the_shipped_city_says_how_many_places_and_so_does_a_file_without_the_word() -> None:
    assert load_city().policy.places_per_person == 5
