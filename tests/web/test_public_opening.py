"""`GET /openings/{district}`: what a resident needs who waits without asking a worker, in bytes made once a second."""

import json
import re
from datetime import date
from typing import Any

import msgspec
import pytest

from server.core.city import City, load_city
from server.records.opening import Advance, OpeningRecord
from server.waiting_room.opening import Opening
from server.waiting_room.public_wait import wait_view
from tests.support.public_wait import ahead_of, eta_s, given_up_before, look_after_s, number_of, soonest_s
from tests.support.serving import HUANGPU, TIANHE, House, person, refused

PATH = f"/openings/{TIANHE}"
SEED = bytes(range(32))


# The bytes


async def test_the_same_second_has_the_same_bytes_and_who_has_them_gets_none(house: House) -> None:
    await house.at("08:02:01")
    first = await house.call("GET", PATH)
    house.set_time("08:02:01.900")
    again = await house.call("GET", PATH)
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    assert re.fullmatch(r'"[^"]+"', first.headers["etag"]), "a strong one"
    own = first.headers["etag"]
    for tag in (own, f"W/{own}", f'"x", {own}', "*"):
        kept = await house.call("GET", PATH, headers={"if-none-match": tag})
        assert (kept.status_code, kept.content) == (304, b"")
        assert {name: kept.headers[name] for name in ("etag", "cache-control")} == {
            "etag": first.headers["etag"], "cache-control": "public, max-age=1",
        }  # fmt: skip
    house.set_time("08:02:02")
    later = await house.call("GET", PATH, headers={"if-none-match": first.headers["etag"]})
    assert later.status_code == 200
    assert later.headers["etag"] != first.headers["etag"]
    assert later.json()["now"] == "2021-06-19T08:02:02+08:00"


async def test_bytes_are_made_once_for_all_who_ask_in_a_second(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.at("08:02:01")
    made: list[date] = []
    it = house.services.room.opening(TIANHE)
    times = it.times

    def counted() -> Any:
        made.append(it.day)
        return times()

    monkeypatch.setattr(it, "times", counted)
    for _ in range(50):
        await house.get(PATH)
    assert len(made) == 1
    await house.look()  # the view may be another now
    for _ in range(50):
        await house.get(PATH)
    assert len(made) == 2


async def test_a_change_by_the_operator_is_told_within_the_same_second(house: House) -> None:
    await house.at("08:02:01")
    assert (await house.get(PATH))["state"] == "open"
    await house.services.room.adjust(TIANHE, "op", {"paused": True, "message": "稍等"})
    told = await house.get(PATH)
    assert (told["state"], told["message"], told["wait"]["pace_per_second"]) == ("paused", "稍等", 0)


async def test_head_and_unknown_districts(house: House) -> None:
    got, headed = await house.call("GET", PATH), await house.call("HEAD", PATH)
    assert (headed.status_code, headed.headers["etag"]) == (200, got.headers["etag"])
    for path in ("/openings/nowhere", "/openings/", "/openings/440106/"):
        answer = await house.call("GET", path)
        assert refused(answer, "not-found", 404)
        assert answer.headers["cache-control"] == "no-store"


async def test_a_worker_that_has_not_heard_from_the_store_says_nothing_that_a_cache_may_keep(house: House) -> None:
    await house.at("08:02:01")
    house.set_time("08:02:16")  # as polls: fifteen seconds
    assert (await house.call("GET", PATH)).status_code == 200
    house.set_time("08:02:17")
    answer = await house.call("GET", PATH)
    refused(answer, "store-unavailable", 503)
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["retry-after"]) > 0
    await house.look()
    assert (await house.call("GET", PATH)).status_code == 200


async def test_answers_are_counted(house: House) -> None:
    await house.at("08:02:01")
    tag = (await house.call("GET", PATH)).headers["etag"]
    await house.call("GET", PATH, headers={"if-none-match": tag})
    await house.call("GET", "/openings/nowhere")
    house.services.metrics.flush([])
    lines = (await house.client.get("/metrics")).text.splitlines()
    for code in ("shown", "unchanged", "not-found"):
        assert f'jiaohao_requests_total{{call="openings",code="{code}"}} 1.0' in lines


# What it takes to wait


async def test_there_is_nothing_to_wait_for_but_in_an_opening_that_is_on(house: House) -> None:
    for clock_time, is_on in (
        ("07:59:59", False), ("08:00:00", True), ("08:02:00", True), ("11:59:59", True), ("12:00:00", False),
    ):  # fmt: skip
        await house.at(clock_time)
        assert ((await house.get(PATH))["wait"] is not None) is is_on, clock_time
    assert (await house.get(f"/openings/{HUANGPU}"))["wait"] is None


async def test_who_waits_by_the_public_answer_alone_knows_what_a_poll_would_tell(house: House) -> None:
    await house.at("08:00:30")
    await house.services.room.adjust(TIANHE, "op", {"rate": 2.0})
    before = await house.get(PATH)
    assert before["wait"]["look"] == {
        "floor_seconds": 5, "ceiling_seconds": 600, "share": 0.6, "stretch": 1.0, "per_second": 4000,
    }  # fmt: skip
    assert (before["wait"]["claim_seconds"], before["wait"]["given_up"]) == (300, [])
    drawn = [await house.join(person(i)) for i in range(15)]
    await house.at("08:02:00")
    late = [await house.join(person(i)) for i in range(15, 20)]
    places = [*drawn, *late]
    await house.call("DELETE", "/ticket", bearer=places[17]["ticket"])  # number 18, behind those of the draw
    for clock_time in ("08:02:00", "08:02:01", "08:02:03", "08:02:06"):
        await house.at(clock_time)
        opening = await house.get(PATH)
        for place in places[:17] + places[18:]:
            number = number_of(opening, place["entry"])
            told = await house.get("/ticket", bearer=place["ticket"])
            assert number is not None and number == told["number"]
            if number <= opening["serving"]:
                assert told["state"] == "ready"
                continue
            assert told["state"] == "waiting"
            assert abs(ahead_of(opening, number) - told["ahead"]) <= 1  # where in its part number 18 is, is not told
            assert abs(eta_s(opening, number) - told["eta_seconds"]) <= 1  # nor is in the bucket
    assert opening["serving"] == 6, "a second's calls at each look, and none at the first"


async def test_nobodys_time_to_claim_starts_before_the_last_of_the_draw_has_looked_by_an_old_answer(
    house: House,
) -> None:
    await house.at("08:00:30")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(3)]
    await house.at("08:02:01")
    # By hand: three entries at 1,500 a second, and eleven seconds.
    assert (await house.get(PATH))["wait"]["hold_until"] == "2021-06-19T08:02:11+08:00"
    assert (await house.get("/ticket", bearer=tickets[0]))["claim_before"] == "2021-06-19T08:07:11+08:00"
    await house.at("08:02:12")
    assert (await house.get(PATH))["wait"]["hold_until"] is None


# Numbers that were given up


@pytest.fixture(scope="module")
def city() -> City:
    return load_city()


def opening_with(city: City, *, issued: int, serving: int, left: list[int], rate: float = 100.0) -> Opening:
    """An opening after a draw of nobody: each number is its entry + 1."""
    district = city.district(TIANHE)
    assert district is not None
    it = Opening(city, district, date(2021, 6, 19))
    values: dict[str, Any] = {
        "opens_ms": it.opens_ms, "draw_ms": it.draw_ms, "closes_ms": it.closes_ms, "seed": SEED.hex(), "drawn": 0,
        "settled": 1, "rate": rate, "max_active": 30_000, "paused": 0, "message": "", "issued": issued,
        "serving": serving, "called": serving, "claimed": serving, "missed": 0, "left": len(left), "left_called": 0,
        "hold_ms": it.draw_ms,
    }  # fmt: skip
    it.follow(Advance(it.draw_ms + 60_000, 0, OpeningRecord.unpack({k: str(v) for k, v in values.items()}), left))
    while it.left._unnumbered:  # some at a time
        it.left.number(lambda entry: entry + 1)
    return it


def public(it: Opening) -> dict[str, Any]:
    """The part of the public answer that a wait is worked out from."""
    wait = json.loads(msgspec.json.encode(wait_view(it, it.draw_ms + 60_000)))
    return {"serving": it.serving, "issued": it.issued, "rate_per_second": it.rate, "wait": wait}


CROWD, CALLED = 600_000, 2_000
WAYS = {
    "all over": list(range(0, CROWD, 25)),
    "a bulk in the middle": list(range(300_000, 324_000)),
    "a bulk at the back": list(range(576_000, 600_000)),
    "a bulk right behind the calls": list(range(2_000, 26_000)),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_wait_is_made_longer_than_it_may_be_nor_much_shorter_wherever_places_were_given_up(
    city: City, way: str
) -> None:
    left = WAYS[way]
    opening = public(opening_with(city, issued=CROWD, serving=CALLED, left=left))
    assert len(json.dumps(opening["wait"]["given_up"])) < 250, "few bytes"
    gone = set(left)
    in_front = 0
    for number in range(CALLED + 1, CROWD + 1):
        if number % 997 == 0 and number - 1 not in gone:
            real = number - CALLED - 1 - in_front
            most, likely = given_up_before(opening, number)
            assert most >= in_front, "never past the turn"
            assert soonest_s(opening, number) <= real / 100
            # A part is as long as all that is in front of it, and where in it they are is all that is not known.
            assert soonest_s(opening, number) >= real / 100 / 2 - 1
            if way == "all over":
                assert soonest_s(opening, number) >= 0.9 * real / 100 - 1
                assert abs(likely - in_front) <= 2
        in_front += (number - 1) in gone


def test_few_look_in_the_same_second_though_many_have_given_up(city: City) -> None:
    it = opening_with(city, issued=CROWD, serving=CALLED, left=WAYS["all over"])
    opening = public(it)
    look = opening["wait"]["look"]
    waiting = [number for number in range(CALLED + 1, CROWD + 1) if number % 25 != 1]
    looks = sum(1 / look_after_s(opening, number, 0.5) for number in waiting[::100]) * 100
    assert looks <= look["per_second"] * 1.3
    assert look["stretch"] == 1.0
    few = public(opening_with(load_city(), issued=CROWD * 10, serving=CALLED, left=[]))
    assert few["wait"]["look"]["stretch"] > 1.0, "a crowd ten times as large looks less often"


def test_a_called_resident_has_half_their_time_to_claim_though_each_answer_was_eleven_seconds_old(city: City) -> None:
    """Caches in front may give an answer for eleven seconds: whatever was seen was so then."""
    for issued in (100, 10_000, 600_000):
        for number in {1, 2, issued // 7 + 1, issued // 2, issued}:
            it = opening_with(city, issued=issued, serving=0, left=[])
            called_s, at_s = number / it.rate, 0.0
            while True:
                seen_s = max(0.0, at_s - 11)
                serving = min(issued, int(seen_s * it.rate))
                if number <= serving:
                    break
                it = opening_with(city, issued=issued, serving=serving, left=[])
                at_s += look_after_s(public(it), number)
            assert at_s - called_s <= it.policy.claim_seconds / 2, (issued, number)


def test_a_faster_rate_waits_for_the_slowest_look_by_an_old_answer(city: City) -> None:
    it = opening_with(city, issued=CROWD, serving=0, left=[])
    longest_s = max(look_after_s(public(it), number) for number in range(1, CROWD, 1000))
    assert it.overtaken_ms() >= (longest_s + 11) * 1000
