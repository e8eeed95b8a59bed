"""`jiaohao night` with a beacon's relay on this machine: the result is bound to its round, and `verify` finds it so."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from loadtests.audit.beacons import night_bound
from loadtests.audit.night_store import read_night
from loadtests.run.own_beacon import OwnBeacon, problem_of_beacon
from server.core.city import SHIPPED_CITY
from server.core.keys import day_tag
from server.store.connecting import connect
from tests.support.nights import DAY, fill
from tests.support.serving import TIANHE, Jiaohao
from tests.support.stores import Store

pytestmark = pytest.mark.skipif(problem_of_beacon() is not None, reason=str(problem_of_beacon()))


@pytest.fixture(params=["own", "silent"])
def relay(request: pytest.FixtureRequest) -> Iterator[OwnBeacon]:
    """A relay that answers, and one that does not."""
    opens_at = datetime.fromisoformat(f"{DAY}T08:00:00+08:00")
    beacon = OwnBeacon(opens_at, silent=request.param == "silent")
    yield beacon
    beacon.stop()


async def prepared(url: str) -> None:
    """Twelve people who wait, at a quarter past eight in the evening."""
    store = Store(await connect(url))
    try:
        noon = datetime.fromisoformat(f"{DAY}T12:00:00+08:00")
        store.now_ms = round(noon.timestamp() * 1000)
        await fill(store, 12, districts=(TIANHE,), per_slot=1)
    finally:
        await store.close()
    evening = datetime.fromisoformat(f"{DAY}T20:15:00+08:00").timestamp()
    with Redis.from_url(url) as client:
        client.set("clock:{clock}", round((evening - datetime.now().timestamp()) * 1000))


def test_a_night_is_bound_to_the_round_after_its_frozen_list_or_says_for_good_that_there_was_none(
    relay: OwnBeacon, jiaohao: Jiaohao, store_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    asyncio.run(prepared(store_url))
    is_silent = "silent" in request.node.name
    city = relay.city_file(SHIPPED_CITY, tmp_path / "city.toml")
    if is_silent:  # eleven districts wait for it, one after the other
        hasty = city.read_text("utf-8").replace("deadline_seconds = 4.0", "deadline_seconds = 1.0")
        city.write_text(hasty, "utf-8")
    common = {"JIAOHAO_SECRET": (b"s" * 32).hex(), "JIAOHAO_PEPPER": (b"p" * 32).hex(), "JIAOHAO_REDIS_URL": store_url}
    asked = ("night", "--date", str(DAY), "--results", str(tmp_path / "results"), "--city", str(city))
    code, _, err = jiaohao(*asked, **common)
    assert code == 0, err
    file = tmp_path / "results" / str(DAY) / f"{TIANHE}.jsonl"
    code, out, err = jiaohao("verify", "allotment", str(file))
    assert code == 0 and out.startswith("yes: "), err
    with Redis.from_url(store_url) as client:
        night = read_night(client, TIANHE, str(DAY))
        fields: dict[Any, Any] = client.hgetall(f"night:{{{day_tag(TIANHE, DAY)}}}")
    assert night is not None and night.beacon is not None
    check = night_bound(TIANHE, night.frozen_ms, night.beacon, "silent" if is_silent else "own")
    assert check.ok, check.detail
    words = f"round {night.beacon.round} of a network that is not public"
    assert words in out and ("is missing: round" in out) == is_silent
    head = json.loads(file.read_bytes().splitlines()[0])
    assert (b"no_beacon" in fields, "missing" in head["beacon"]) == (is_silent, is_silent)
    other = json.loads(file.read_text("utf-8").splitlines()[0])
    other["beacon"]["round"] += 1
    lines = file.read_text("utf-8").splitlines()
    lines[0] = json.dumps(other, separators=(",", ":"), ensure_ascii=False)
    file.write_text("\n".join(lines) + "\n", "utf-8")
    code, _, err = jiaohao("verify", "allotment", str(file))
    assert code == 1 and "round" in err
