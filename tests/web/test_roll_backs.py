"""The store's primary is gone with its last writes: a signed ticket or pass loses neither place nor number."""

from typing import Any

from server.core.keys import key, opening_tag
from server.waiting_room.floors import Floors
from tests.support.serving import DAY, OPERATOR, TIANHE, House, person

TAG = opening_tag(TIANHE, DAY)


async def remember(house: House) -> dict[bytes, bytes]:
    """The opening's keys, as a replica has them at this moment."""
    client: Any = house.store.client
    return {name: await client.dump(name) async for name in client.scan_iter(match=f"*{{{TAG}}}")}


async def roll_back(house: House, kept: dict[bytes, bytes]) -> None:
    """That replica takes over."""
    client: Any = house.store.client
    for name in [name async for name in client.scan_iter(match=f"*{{{TAG}}}") if name not in kept]:
        await client.delete(name)
    for name, value in kept.items():
        await client.restore(name, 0, value, replace=True)


async def test_a_place_that_the_store_forgot_is_back_once_its_ticket_is_shown(house: House) -> None:
    await house.at("08:02:00")
    await house.services.room.adjust(TIANHE, "op", {"rate": 0})
    for i in range(3):
        await house.join(person(i))
    kept = await remember(house)
    ticket = (await house.join(person(3)))["ticket"]
    await roll_back(house, kept)
    assert (await house.join(person(4)))["entry"] == 4, "the fourth entry is somebody's"
    await house.look()
    told = await house.get("/ticket", bearer=ticket)
    assert (told["state"], told["number"], told["ahead"], "ticket" in told) == ("waiting", 4, 3, False)
    assert (await house.join(person(3)))["entry"] == 3
    seen = (await house.get("/operations", bearer=OPERATOR))["districts"]
    assert {it["code"]: it["opening"]["forgotten"] for it in seen}[TIANHE] == 1
    house.services.metrics.flush(house.services.room.figures())
    metrics = (await house.client.get("/metrics")).text
    assert f'jiaohao_opening_forgotten{{district="{TIANHE}"}} 1.0' in metrics


async def test_a_forgotten_place_can_be_claimed_at_once(house: House) -> None:
    await house.at("08:02:00")
    kept = await remember(house)
    ticket = (await house.join(person(0)))["ticket"]
    await house.forward(1)
    await roll_back(house, kept)
    await house.forward(1)
    assert (await house.register(await house.claim(ticket))).status_code == 201


async def test_of_two_holders_of_one_entry_each_has_a_place_in_the_end(house: House) -> None:
    await house.at("08:02:00")
    kept = await remember(house)
    first = (await house.join(person(0)))["ticket"]
    await roll_back(house, kept)
    house.services.room.opening(TIANHE).floors = Floors(TAG)  # the worker that gave it is gone as well
    second = await house.join(person(1))
    assert second["entry"] == 0
    await house.forward(1)
    told = await house.get("/ticket", bearer=first)
    assert (told["state"], told["number"]) == ("waiting", 2)
    refused = await house.call("POST", "/passes", bearer=first)
    assert (refused.status_code, refused.json()["code"]) == (410, "expired")
    assert (await house.join(person(0)))["entry"] == 1
    await house.forward(1)
    numbers = []
    for ticket in (told["ticket"], second["ticket"]):
        answer = await house.register(await house.claim(ticket))
        numbers.append(answer.json()["registration_no"])
    assert len(set(numbers)) == 2


async def test_who_shows_the_ticket_only_to_claim_is_sent_to_another_place(house: House) -> None:
    await house.at("08:02:00")
    kept = await remember(house)
    first = (await house.join(person(0)))["ticket"]
    await roll_back(house, kept)
    house.services.room.opening(TIANHE).floors = Floors(TAG)
    await house.join(person(1))
    await house.forward(1)
    refused = await house.call("POST", "/passes", bearer=first)
    assert (refused.status_code, refused.json()["state"]) == (410, "missed")
    again = await house.join(person(0))
    assert (again["entry"], again["number"]) == (1, 2)


async def test_a_pass_that_the_store_forgot_registers_and_is_counted(house: House) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(0)))["ticket"]
    await house.forward(1)
    kept = await remember(house)
    pass_ = await house.claim(ticket)
    await roll_back(house, kept)
    assert (await house.register(pass_)).status_code == 201
    await house.passes_freed()
    client: Any = house.store.client
    assert await client.hget(key("claims", TAG), "0") == house.resident(person(0)) + b"0"
    assert await client.hget(key("opening", TAG), "claimed") == b"1"
    await house.look()
    assert (await house.get("/ticket", bearer=ticket))["state"] == "claimed"
    assert (await house.get(f"/openings/{TIANHE}"))["waiting"] == 0


async def test_a_new_primary_gives_no_place_for_a_second(house: House) -> None:
    await house.at("08:02:00")
    await house.join(person(0))
    client: Any = house.store.client
    await client.hset(key("opening", TAG), "primary", "0" * 40)
    refused = await house.try_join(person(1))
    assert (refused.status_code, refused.json()["code"]) == (503, "store-unavailable")
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert (await house.try_join(person(0))).status_code == 200
    await house.forward(1)
    assert (await house.try_join(person(1))).status_code == 201
