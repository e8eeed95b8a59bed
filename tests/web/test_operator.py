"""The operator changes a running opening; every change is in the audit log."""

import asyncio
from typing import Any

import pytest

from tests.support.serving import HUANGPU, OPERATOR, TIANHE, House, person, refused

PATH = f"/openings/{TIANHE}"


async def adjust(house: House, **changes: Any) -> Any:
    answer = await house.call("PATCH", PATH, bearer=OPERATOR, json=changes)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def audit(house: House) -> list[dict[bytes, bytes]]:
    client: Any = house.store._client
    return [fields for _, fields in await client.xrange("audit:{440106:2021-06-19}")]


async def test_each_change_is_told_back_seen_by_all_and_written_down(house: House, second_house: House) -> None:
    await asyncio.gather(house.at("08:30:00"), second_house.at("08:30:00"))
    told = await adjust(house, rate_per_second=12.5, max_active=7)
    assert (told["rate_per_second"], told["max_active"], told["paused"], told["message"]) == (12.5, 7, False, None)
    assert (told["passes_alive"], told["pending"]) == (0, 0)
    told = await adjust(house, paused=True, message="请稍候 & <wait>")
    assert (told["state"], told["paused"], told["message"]) == ("paused", True, "请稍候 & <wait>")
    await second_house.look()
    seen = await second_house.get(PATH)
    assert (seen["state"], seen["rate_per_second"], seen["message"]) == ("paused", 12.5, "请稍候 & <wait>")
    told = await adjust(house, paused=False, message=None)
    assert (told["state"], told["message"], told["max_active"]) == ("open", None, 7)
    log = await audit(house)
    assert [entry[b"actor"] for entry in log] == [b"operator"] * 3
    assert int(log[0][b"at_ms"]) == house.clock.now_ms()
    assert (log[0][b"rate"], log[0][b"max_active"]) == (b"100.0 -> 12.5", b"30000 -> 7")
    assert (log[1][b"paused"], log[2][b"paused"]) == (b"0 -> 1", b"1 -> 0")
    assert log[2][b"message"].decode() == "请稍候 & <wait> -> "


async def test_only_with_the_operators_token(house: House) -> None:
    await house.at("08:30:00")
    before = await house.everything()
    change = {"paused": True}
    refused(await house.call("PATCH", PATH, json=change), "unauthorized", 401)
    for token in ("x", OPERATOR + "x", OPERATOR[:-1], OPERATOR.upper(), ""):
        headers = {"authorization": f"Bearer {token}"}
        refused(await house.call("PATCH", PATH, headers=headers, json=change), "forged", 401)
    headers = {"authorization": f"Basic {OPERATOR}"}
    refused(await house.call("PATCH", PATH, headers=headers, json=change), "unauthorized", 401)
    assert await house.everything() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate": 5}, "body"),
        ({"paused": True, "actor": "me"}, "body"),
        ({"rate_per_second": -0.1}, "rate_per_second"),
        ({"rate_per_second": "5"}, "rate_per_second"),
        ({"rate_per_second": None}, "rate_per_second"),
        ({"rate_per_second": 1e300}, "rate_per_second"),
        ({"max_active": -1}, "max_active"),
        ({"max_active": 1.5}, "max_active"),
        ({"max_active": 10**30}, "max_active"),
        ({"paused": 1}, "paused"),
        ({"paused": "true"}, "paused"),
        ({"message": "x" * 501}, "message"),
        ({"message": 5}, "message"),
        ({"rate_per_second": 5, "paused": None}, "paused"),
    ],
)
async def test_a_change_that_is_none_changes_nothing(house: House, change: dict[str, Any], field: str) -> None:
    await house.at("08:30:00")
    before = await house.everything()
    problem = refused(await house.call("PATCH", PATH, bearer=OPERATOR, json=change), "invalid", 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert await house.everything() == before


async def test_asking_for_no_change_shows_how_it_stands(house: House) -> None:
    await house.at("08:30:00")
    before = await house.everything()
    told = await adjust(house)
    assert (told["state"], told["max_active"]) == ("open", 30_000)
    assert await house.everything() == before
    refused(await house.call("PATCH", "/openings/999999", bearer=OPERATOR, json={}), "not-found", 404)


async def test_there_is_nothing_to_change_where_there_is_no_opening(house: House) -> None:
    await house.at("08:30:00")
    for code in (HUANGPU, "999999"):
        answer = await house.call("PATCH", f"/openings/{code}", bearer=OPERATOR, json={"paused": True})
        refused(answer, "not-found", 404)


async def test_before_the_doors_open_a_change_holds_for_the_opening(house: House) -> None:
    told = await adjust(house, rate_per_second=3)
    assert told["state"] == "maintenance"
    await house.at("08:02:00")
    for i in range(10):
        await house.join(person(i))
    await house.at("08:02:01")
    assert (await house.get(PATH))["serving"] == 3


async def test_a_pause_stops_the_calls_and_its_end_starts_them_without_a_flood(house: House) -> None:
    await house.at("08:01:00")
    await adjust(house, rate_per_second=2)
    for i in range(20):
        await house.join(person(i))
    await house.at("08:02:01")
    assert (await house.get(PATH))["serving"] == 2
    await adjust(house, paused=True)
    await house.at("08:30:00")
    assert (await house.get(PATH))["serving"] == 2
    await adjust(house, paused=False)
    assert (await house.get(PATH))["serving"] == 2
    await house.at("08:30:01")
    assert (await house.get(PATH))["serving"] == 4


async def test_who_was_called_before_a_pause_keeps_the_time_to_claim(house: House) -> None:
    await house.at("08:02:00")
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("08:02:01")
    await adjust(house, paused=True)
    assert (await house.get("/ticket", bearer=ticket))["state"] == "ready"
    await house.at("08:07:00")
    await adjust(house, paused=False)
    assert (await house.get("/ticket", bearer=ticket))["claim_before"] == "2021-06-19T08:12:00+08:00"


async def test_nobody_is_called_at_rate_zero(house: House) -> None:
    await house.at("08:02:00")
    await adjust(house, rate_per_second=0)
    ticket = (await house.join(person(0)))["ticket"]
    await house.at("09:00:00")
    told = await house.get("/ticket", bearer=ticket)
    assert (told["state"], told["ahead"], told["eta_seconds"]) == ("waiting", 0, None)
    assert told["poll_after_seconds"] >= 4
