"""A draw that is bound to a network of the city's own choice: numbers, and what `jiaohao verify draw` says of it."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtests.run.own_beacon import OwnBeacon, problem_of_beacon
from server.fairness.verification import WrongFile, verify_draw
from tests.support.beacon import DAY, ENDS, bound_city
from tests.support.serving import TIANHE, enrol, open_house, person

pytestmark = pytest.mark.skipif(problem_of_beacon() is not None, reason=str(problem_of_beacon()))
TODAY = DAY.replace(2021)
PATH = f"/openings/{TIANHE}"


@pytest.fixture
def beacon() -> Iterator[OwnBeacon]:
    it = OwnBeacon(datetime.fromisoformat(f"{TODAY}T18:58:00+08:00"))
    yield it
    it.stop()


async def test_a_draw_bound_to_it_is_verified_and_says_that_the_network_is_not_public(
    beacon: OwnBeacon, store_url: str, tmp_path: Path
) -> None:
    city = bound_city([beacon.url])
    assert city.beacon is not None
    named = msgspec.structs.replace(city.beacon, chain=beacon.chain)
    async with open_house(store_url, city=msgspec.structs.replace(city, beacon=named), day=TODAY) as house:
        await enrol(house.store, [person(i) for i in range(5)])
        await house.at("18:58:10")
        tickets = [await house.join(person(i)) for i in range(5)]
        await house.at(ENDS)
        await house.at("19:00:04")
        for _ in range(500):
            await asyncio.sleep(0.02)  # the relay is asked in real time
            if (answer := await house.get(PATH))["draw"]["key"] is not None:
                break
            await house.forward(0.02)
        assert answer["draw"]["beacon"]["missing"] is None
        assert answer["draw"]["beacon"]["chain"] == beacon.chain and answer["draw"]["beacon"]["signature"]
        numbers = [(await house.get("/ticket", bearer=it["ticket"]))["number"] for it in tickets]
    file = tmp_path / "draw.json"

    def verified(saved: Any) -> Any:
        file.write_text(json.dumps(saved), "utf-8")
        return verify_draw(file)

    held = verified(answer)
    assert held.bound_to.startswith("a network that is not public, drand ") and sorted(numbers) == [1, 2, 3, 4, 5]
    assert [held.draw.number(entry) for entry in range(5)] == numbers
    other = json.loads(json.dumps(answer))
    other["draw"]["beacon"]["round"] += 1
    with pytest.raises(WrongFile, match="round"):
        verified(other)
    key = beacon.chain.rpartition(":")[2]
    other["draw"]["beacon"] |= {
        "round": answer["draw"]["beacon"]["round"],
        "chain": beacon.chain.replace(key, "ff" * 96),
    }
    with pytest.raises(WrongFile, match="public key"):
        verified(other)
