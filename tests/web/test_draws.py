"""The draw's second version: nobody knows a number before all are in, and anybody can check each one afterwards."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis import Redis

from server.cli.serving import check_beacon
from server.core.city import load_city
from server.core.errors import SetupError
from server.fairness import beacon
from server.services import running
from tests.support.beacon import DAY, ENDS, LIARS, RECORDED, bound_city, honest, serving, silent
from tests.support.model import permutation
from tests.support.results import rfc_path, rfc_root
from tests.support.serving import TIANHE, House, enrol, open_house, person, refused, test_settings

PATH = f"/openings/{TIANHE}"
TAG = f"{TIANHE}:2021-06-19"


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Tianhe before its opening, with people who may register."""
    async with open_house(store_url) as house:
        await enrol(house.store, [person(i) for i in range(70)])
        yield house


async def joined(house: House, count: int) -> list[dict[str, Any]]:
    return [await house.join(person(i)) for i in range(count)]


async def leaves(house: House) -> list[bytes]:
    """What each entry's leaf is made of, by the contract, from the public file."""
    answer = await house.call("GET", f"{PATH}/draw/leaves")
    assert answer.status_code == 200, answer.text
    blinds = [answer.content[at : at + 16] for at in range(0, len(answer.content), 16)]
    return [entry.to_bytes(8, "big") + blind for entry, blind in enumerate(blinds)]


def key_of(tag: str, draw: dict[str, Any]) -> str:
    """By the contract."""
    randomness = draw["beacon"]["randomness"] or "" if draw["beacon"] else ""
    bound = f"jiaohao draw 2\n{tag}\n".encode() + bytes.fromhex(draw["root"] + randomness)
    return hmac.new(bytes.fromhex(draw["seed"]), bound, hashlib.sha256).hexdigest()


async def test_every_number_follows_from_what_is_public(house: House) -> None:
    await house.at("08:00:10")
    before = (await house.get(PATH))["draw"]
    assert (before["version"], before["root"], before["key"], before["beacon"]) == (2, None, None, None)
    tickets = await joined(house, 67)
    await house.at("08:02:01")
    draw = (await house.get(PATH))["draw"]
    assert hashlib.sha256(bytes.fromhex(draw["seed"])).hexdigest() == draw["commitment"] == before["commitment"]
    data = await leaves(house)
    assert len(data) == draw["entries"] == 67 and len(set(data)) == 67
    assert rfc_root(data).hex() == draw["root"]
    assert draw["key"] == key_of(TAG, draw)
    p = permutation(bytes.fromhex(draw["key"]), 67)
    for place in tickets:
        told = await house.get("/ticket", bearer=place["ticket"])
        assert told["number"] == 1 + p(place["entry"])


async def test_a_ticket_brings_what_proves_that_its_entry_was_in_the_draw(house: House) -> None:
    await house.at("08:00:10")
    tickets = await joined(house, 66)
    early = await house.call("GET", "/ticket/proof", bearer=tickets[0]["ticket"])
    refused(early, "not-found", 404)
    await house.at("08:02:01")
    data, draw = await leaves(house), (await house.get(PATH))["draw"]
    for place in (tickets[0], tickets[63], tickets[64], tickets[65]):
        proof = await house.get("/ticket/proof", bearer=place["ticket"])
        assert proof == {
            "entry": place["entry"], "blind": data[place["entry"]][8:].hex(), "root": draw["root"], "entries": 66,
            "path": [node.hex() for node in rfc_path(place["entry"], data)],
        }  # fmt: skip
    later = await house.join(person(66))
    refused(await house.call("GET", "/ticket/proof", bearer=later["ticket"]), "not-found", 404)
    refused(await house.call("GET", "/ticket/proof", bearer="x"), "forged", 401)


async def test_the_leaves_can_be_kept_for_ever_under_their_date_and_are_not_there_before_the_root(house: House) -> None:
    await house.at("08:00:10")
    await joined(house, 3)
    refused(await house.call("GET", f"{PATH}/draw/leaves"), "not-found", 404)
    await house.at("08:02:01")
    today = await house.call("GET", f"{PATH}/draw/leaves")
    assert "immutable" not in today.headers["cache-control"], "tomorrow this address means another opening"
    dated = await house.call("GET", f"{PATH}/draw/leaves?date=2021-06-19")
    assert dated.content == today.content and len(dated.content) == 48
    assert dated.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert dated.headers["content-type"] == "application/octet-stream"
    for other in ("?date=2021-06-18", "?date=2021-06-19&window=2"):
        refused(await house.call("GET", f"{PATH}/draw/leaves{other}"), "not-found", 404)
    refused(await house.call("GET", "/openings/999999/draw/leaves"), "not-found", 404)


async def test_a_blind_says_nothing_of_its_resident_and_is_another_one_in_each_opening(house: House) -> None:
    await house.at("08:00:10")
    await joined(house, 2)
    await house.at("08:02:01")
    first = await leaves(house)
    assert house.resident(person(0)) not in b"".join(first)
    await house.at("08:00:10", DAY.replace(2021, 6, 20))
    await joined(house, 2)
    await house.at("08:02:01")
    assert {leaf[8:] for leaf in await leaves(house)}.isdisjoint({leaf[8:] for leaf in first})


# The seed


async def test_the_seed_lies_nowhere_in_the_store_before_it_is_revealed(house: House, store_url: str) -> None:
    await house.at("08:00:10")
    await joined(house, 3)
    with Redis.from_url(store_url) as client:
        dumped = b"".join(bytes(client.dump(name) or b"") for name in client.keys("*"))
    await house.at("08:02:01")
    seed = (await house.get(PATH))["draw"]["seed"]
    assert seed.encode() not in dumped and bytes.fromhex(seed) not in dumped


async def test_who_has_an_earlier_secret_brings_the_draw_to_its_end_and_who_has_not_gives_no_places(
    house: House, store_url: str
) -> None:
    await house.at("08:00:10")
    tickets = await joined(house, 3)
    strange = test_settings(secrets=(b"t" * 32,))
    async with open_house(store_url, strange) as other:
        other.set_time("08:00:20")
        await other.look()
        refused(await other.try_join(person(4)), "store-unavailable", 503)
        assert not other.services.room.fresh(), "/readyz"
        await other.at("08:02:01")
        assert (await other.get(PATH))["draw"]["seed"] is None
    async with open_house(store_url, test_settings(secrets=(b"t" * 32, b"s" * 32))) as rotated:
        await rotated.at("08:02:02")
        draw = (await rotated.get(PATH))["draw"]
        assert draw["key"] == key_of(TAG, draw)
        assert (await rotated.get("/ticket", bearer=tickets[0]["ticket"]))["number"] is not None


async def test_a_worker_whose_secret_does_not_open_todays_seed_says_so_and_does_not_start(store_url: str) -> None:
    async with running(test_settings(redis_url=store_url)) as services:
        assert services.room.openings()
    with pytest.raises(SetupError, match="JIAOHAO_PREVIOUS_SECRETS"):
        async with running(test_settings(redis_url=store_url, secrets=(b"t" * 32,))):
            raise AssertionError("it has started")


# Any worker, after any crash


@pytest.mark.parametrize("dies_at", ["bind_draw", "fix_draw", "close_draw"])
@pytest.mark.parametrize("does_it_first", [False, True])
async def test_a_draw_goes_on_where_a_worker_has_died_and_comes_to_one_result(
    store_url: str, dies_at: str, does_it_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(open_house(store_url)) for _ in range(2)]
        await enrol(one.store, [person(i) for i in range(9)])
        for house in (one, two):
            await house.at("08:00:10")
        tickets = await joined(one, 9)
        assert (await one.call("DELETE", "/ticket", bearer=tickets[4]["ticket"])).status_code == 204
        real = one.store.run_each

        async def run_each(name: str, calls: Any, **how: Any) -> Any:
            if name == dies_at and not does_it_first:
                raise asyncio.CancelledError
            answer = await real(name, calls, **how)
            if name == dies_at:
                raise asyncio.CancelledError
            return answer

        monkeypatch.setattr(one.store, "run_each", run_each)
        one.set_time("08:02:01")
        with pytest.raises(asyncio.CancelledError):
            await one.look()
        await two.at("08:02:01")
        await two.forward(1)
        draw = (await two.get(PATH))["draw"]
        assert draw["key"] == key_of(TAG, draw) and draw["entries"] == 9
        numbers = [(await two.get("/ticket", bearer=it["ticket"]))["number"] for it in tickets]
        assert sorted(numbers) == list(range(1, 10))
        assert (await two.get(PATH))["serving"] == 9, "all were called but who has left"
        monkeypatch.undo()
        await one.look()
        assert (await one.get(PATH))["draw"] == draw


async def test_two_workers_at_once_come_to_one_draw(store_url: str) -> None:
    async with AsyncExitStack() as stack:
        houses = [await stack.enter_async_context(open_house(store_url)) for _ in range(3)]
        await enrol(houses[0].store, [person(i) for i in range(30)])
        for house in houses:
            await house.at("08:00:10")
        for i in range(30):
            await houses[i % 3].join(person(i))
        for house in houses:
            house.set_time("08:02:01")
        await asyncio.gather(*(house.look() for house in houses))
        for house in houses:
            await house.look()
        draws = [(await house.get(PATH))["draw"] for house in houses]
        assert draws[0] == draws[1] == draws[2] and draws[0]["key"] == key_of(TAG, draws[0])
        assert [await leaves(house) for house in houses] == [await leaves(houses[0])] * 3


async def test_a_store_that_was_set_back_while_a_worker_followed_it_gives_the_root_over_what_it_has(
    house: House, store_url: str
) -> None:
    """A node that takes over may have forgotten the last entries, and gives them to others."""
    await house.at("08:00:10")
    await joined(house, 10)
    await house.look()
    with Redis.from_url(store_url) as client:
        client.setrange(f"leaves:{{{TAG}}}", 16 * 8, b"\1" * 16)
    await house.at("08:02:01")
    assert rfc_root(await leaves(house)).hex() == (await house.get(PATH))["draw"]["root"]
    answer = await house.call("GET", "/ticket/proof", bearer=(await house.join(person(8)))["ticket"])
    refused(answer, "not-found", 404)


async def test_entries_without_a_blind_are_in_the_draw_all_the_same(house: House, store_url: str) -> None:
    """As a worker of the version before gives them, while a deploy goes on."""
    await house.at("08:00:10")
    tickets = await joined(house, 70)
    with Redis.from_url(store_url) as client:
        kept = client.get(f"leaves:{{{TAG}}}")
        client.set(f"leaves:{{{TAG}}}", bytes(kept or b"")[: 16 * 65])
    await house.at("08:02:01")
    data = await leaves(house)
    assert [leaf[8:] for leaf in data[65:]] == [bytes(16)] * 5
    assert rfc_root(data).hex() == (await house.get(PATH))["draw"]["root"]
    proof = await house.get("/ticket/proof", bearer=tickets[69]["ticket"])
    assert proof["path"] == [node.hex() for node in rfc_path(69, data)]


async def test_an_empty_draw_and_a_draw_of_one_have_their_numbers(house: House) -> None:
    await house.at("08:02:01")
    empty = (await house.get(PATH))["draw"]
    assert (empty["entries"], empty["root"]) == (0, hashlib.sha256().hexdigest())
    assert empty["key"] == key_of(TAG, empty)
    assert (await house.join(person(0)))["number"] == 1
    await house.at("08:00:10", DAY.replace(2021, 6, 20))
    place = await house.join(person(1))
    await house.at("08:02:02")
    assert (await house.get("/ticket", bearer=place["ticket"]))["number"] == 1
    assert (await house.get("/ticket/proof", bearer=place["ticket"]))["path"] == []


# The beacon


async def bound_house(stack: AsyncExitStack, url: str, relays: list[str], **changes: float) -> House:
    house = await stack.enter_async_context(open_house(url, city=bound_city(relays, **changes), day=DAY))
    await enrol(house.store, [person(i) for i in range(5)])
    return house


async def settled(house: House) -> dict[str, Any]:
    """The draw, once the worker has heard of the beacon."""
    async with asyncio.timeout(20):
        while (draw := (await house.get(PATH))["draw"])["seed"] is None:
            await asyncio.sleep(0.05)
            await house.look()
    return dict(draw)


async def test_a_draw_is_bound_to_the_beacons_round_that_was_named_before_it(store_url: str) -> None:
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(serving(it)) for it in (silent, LIARS["another round"], honest)]
        house = await bound_house(stack, store_url, relays)
        promised = (await house.get(PATH))["draw"]["beacon"]
        assert promised == {
            "chain": "quicknet", "round": 657413, "due_at": "2023-09-15T19:00:03+08:00", "randomness": None,
            "signature": None, "missing": None,
        }  # fmt: skip
        await house.at("18:58:10")
        tickets = await joined(house, 5)
        await house.at(ENDS)
        waits = (await house.get(PATH))["draw"]
        assert waits["root"] == rfc_root(await leaves(house)).hex(), "public before anybody can know the beacon"
        assert (waits["seed"], waits["key"], waits["entries"]) == (None, None, None)
        told = await house.get("/ticket", bearer=tickets[0]["ticket"])
        assert (told["state"], told["number"]) == ("drawing", None)
        assert (await house.call("DELETE", "/ticket", bearer=tickets[1]["ticket"])).status_code == 204
        later = await house.join(person(1))
        assert (later["entry"], later["number"], later["state"]) == (5, 6, "waiting")
        await house.at("19:00:03")
        draw = await settled(house)
        assert draw["root"] == waits["root"]
        assert (draw["beacon"]["signature"], draw["beacon"]["randomness"]) == RECORDED[0][1:]
        assert draw["key"] == key_of(f"{TIANHE}:{DAY}", draw)
        await house.forward(1)
        numbers = [(await house.get("/ticket", bearer=it["ticket"]))["number"] for it in tickets]
        assert sorted(numbers) == [1, 2, 3, 4, 5]
        assert (await house.get(PATH))["serving"] == 6
        log = await house.call("GET", "/log/entries")
        assert log.status_code == 200


async def test_where_no_relay_answers_in_time_the_opening_goes_on_without_and_says_so_for_ever(store_url: str) -> None:
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(serving(it)) for it in (silent, LIARS["a page"])]
        house = await bound_house(stack, store_url, relays, deadline_seconds=1.0)
        await house.at("18:58:10")
        await joined(house, 2)
        await house.at(ENDS)
        await house.at("19:00:03")
        draw = await settled(house)
        assert (draw["beacon"]["randomness"], draw["beacon"]["signature"]) == (None, None)
        assert draw["beacon"]["missing"].startswith("round 657413 was not had within 1 s")
        assert draw["key"] == key_of(f"{TIANHE}:{DAY}", draw)
        await house.services.public_log.look()
        entries = (await house.call("GET", "/log/entries")).text
        assert draw["beacon"]["missing"] in entries


def test_a_city_with_a_beacon_is_told_at_the_start_where_this_python_cannot_verify_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_beacon(bound_city(["https://api.drand.sh"]))
    monkeypatch.setattr(beacon, "verify_quicknet", None)
    with pytest.raises(SetupError, match=r"drand-verify.*Python 3\.12.*\[beacon\]"):
        check_beacon(bound_city(["https://api.drand.sh"]))
    check_beacon(load_city())
    with pytest.raises(beacon.BeaconUnverifiable):
        beacon.QUICKNET.verify(RECORDED[0].number, RECORDED[0].signature)


async def test_residents_are_told_to_come_when_the_beacon_is_there_and_nobodys_time_runs_before(store_url: str) -> None:
    async with AsyncExitStack() as stack:
        house = await bound_house(stack, store_url, [await stack.enter_async_context(serving(silent))])
        await house.at("18:59:50")
        place = await house.join(person(0))
        # The round is due at 19:00:03, and there a second later.
        assert 14.0 <= place["poll_after_seconds"] <= 16.0
        assert (await house.get(PATH))["draw"]["numbers_at"] == "2023-09-15T19:00:04+08:00"
        await house.at("19:00:14")
        draw_waits = await house.get("/ticket", bearer=place["ticket"])
        assert draw_waits["state"] == "drawing" and draw_waits["poll_after_seconds"] >= 9.0, "as late as it is"
        await settled(house)
        await house.look()
        # 14 s late: as long again, and as old as an answer may be.
        assert (await house.get(PATH))["wait"]["hold_until"] == "2023-09-15T19:00:39+08:00"


async def test_a_city_that_names_relays_no_more_does_not_leave_its_residents_waiting(store_url: str) -> None:
    async with AsyncExitStack() as stack:
        house = await bound_house(stack, store_url, [await stack.enter_async_context(serving(honest))])
        await house.at("18:58:10")
        await joined(house, 2)
        city = bound_city(["http://127.0.0.1:9"])
        without = type(city)(**{name: getattr(city, name) for name in city.__struct_fields__} | {"beacon": None})
        other = await stack.enter_async_context(open_house(store_url, city=without, day=DAY))
        await other.at("19:00:30")
        assert (await other.get(PATH))["draw"]["seed"] is None, "another worker may know some"
        await other.at("19:01:10")
        assert "names no relays" in (await other.get(PATH))["draw"]["beacon"]["missing"]


async def test_a_draw_before_the_beacons_first_round_goes_on_without_it_at_once(store_url: str) -> None:
    """A city whose clock stands in 2021 is bound to a round that is due in 2023: nobody waits for that."""
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(serving(honest))]
        early = DAY.replace(2021)
        house = await stack.enter_async_context(open_house(store_url, city=bound_city(relays), day=early))
        await enrol(house.store, [person(i) for i in range(3)])
        await house.at("18:58:10")
        place = await house.join(person(0))
        assert place["poll_after_seconds"] <= 120
        assert (await house.get(PATH))["draw"]["numbers_at"] == "2021-09-15T19:00:00+08:00"
        await house.at(ENDS)
        draw = await settled(house)
        assert draw["beacon"]["round"] == 1 and "far away" in draw["beacon"]["missing"]
        await house.forward(1)
        assert (await house.get("/ticket", bearer=place["ticket"]))["number"] == 1
