"""What anyone may ask: city, openings, sites, health, metrics, the schema."""

import hashlib
from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from server.fairness.draw import Draw
from tests.support.serving import HAIZHU, HUANGPU, TIANHE, House, person, refused


def states(city: Any) -> dict[str, str]:
    return {district["code"]: district["state"] for district in city["districts"]}


async def test_the_city_tells_its_phase_hours_and_districts(house: House) -> None:
    await house.at("08:30:00")
    city = await house.get("/city", lang="en")
    assert (city["name"], city["timezone"]) == ("Guangzhou", "Asia/Shanghai")
    assert city["now"] == "2021-06-19T08:30:00+08:00"
    assert city["open_hours"] == {"opens": "08:00", "closes": "20:00"}
    assert city["phase"]["starts"] == "2021-06-19"
    assert city["phase"]["ends"] == "2021-06-21"
    assert "35 days" in city["phase"]["rule"]
    assert len(city["districts"]) == 11
    tianhe = next(d for d in city["districts"] if d["code"] == TIANHE)
    assert tianhe == {
        "code": TIANHE,
        "name_zh": "天河区",
        "name_en": "Tianhe",
        "window": {"opens": "08:00", "closes": "12:00"},
        "windows": [{"opens": "08:00", "closes": "12:00"}],
        "state": "open",
        "opens_at": "2021-06-19T08:00:00+08:00",
        "closes_at": "2021-06-19T12:00:00+08:00",
    }
    huangpu = next(d for d in city["districts"] if d["code"] == HUANGPU)
    assert huangpu["state"] == "unassigned"
    assert huangpu["window"] is huangpu["opens_at"] is huangpu["closes_at"] is None


async def test_the_city_speaks_both_languages(house: House) -> None:
    zh, en = await house.get("/city"), await house.get("/city", lang="en-GB,en;q=0.9")
    assert (zh["name"], en["name"]) == ("广州市", "Guangzhou")
    assert zh["phase"]["rule"] != en["phase"]["rule"]
    answer = await house.call("GET", "/city", headers={"accept-encoding": "identity"})
    assert "accept-language" in answer.headers["vary"].lower()
    packed = await house.call("GET", "/city", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in answer.headers
    assert "accept-encoding" in packed.headers["vary"] and packed.json() == answer.json()


async def test_the_city_says_who_runs_it_whom_to_ask_and_what_is_kept_how_long(house: House) -> None:
    zh, en = await house.get("/city"), await house.get("/city", lang="en")
    kept = {"hotline": "12345", "hotline_hours": None, "privacy_url": None, "retention_days": 90, "consent": None}
    assert zh["service"] == {"run_by": "广州市卫生健康委员会", **kept}
    assert en["service"] == {"run_by": "Guangzhou Municipal Health Commission", **kept}


async def test_a_window_that_is_over_shows_tomorrows(house: House) -> None:
    await house.at("12:00:00")
    city = await house.get("/city")
    tianhe = next(d for d in city["districts"] if d["code"] == TIANHE)
    assert (tianhe["state"], tianhe["opens_at"]) == ("ended", "2021-06-20T08:00:00+08:00")
    assert tianhe["closes_at"] == "2021-06-20T12:00:00+08:00"


@pytest.mark.parametrize(
    ("clock_time", "tianhe", "haizhu"),
    [
        ("00:00:00", "maintenance", "maintenance"),
        ("07:59:59", "maintenance", "maintenance"),
        ("08:00:00", "draw", "closed"),
        ("08:01:59", "draw", "closed"),
        ("08:02:00", "open", "closed"),
        ("11:59:59", "open", "closed"),
        ("12:00:00", "ended", "draw"),
        ("12:01:59", "ended", "draw"),
        ("12:02:00", "ended", "open"),
        ("15:59:59", "ended", "open"),
        ("16:00:00", "ended", "ended"),
        ("19:59:59", "ended", "ended"),
        ("20:00:00", "maintenance", "maintenance"),
        ("23:59:59", "maintenance", "maintenance"),
    ],
)
async def test_states_turn_on_the_second(house: House, clock_time: str, tianhe: str, haizhu: str) -> None:
    await house.at(clock_time)
    told = states(await house.get("/city"))
    assert (told[TIANHE], told[HAIZHU], told[HUANGPU]) == (tianhe, haizhu, "unassigned")
    for code, state in ((TIANHE, tianhe), (HAIZHU, haizhu), (HUANGPU, "unassigned")):
        assert (await house.get(f"/openings/{code}"))["state"] == state


async def test_an_opening_before_anybody_is_there(house: House) -> None:
    answer = await house.call("GET", f"/openings/{TIANHE}")
    assert answer.headers["cache-control"] == "public, max-age=1"
    opening = answer.json()
    draw = opening.pop("draw")
    assert opening == {
        "district": TIANHE,
        "date": "2021-06-19",
        "state": "maintenance",
        "now": "2021-06-19T07:00:00+08:00",
        "opens_at": "2021-06-19T08:00:00+08:00",
        "closes_at": "2021-06-19T12:00:00+08:00",
        "issued": 0,
        "serving": 0,
        "waiting": 0,
        "rate_per_second": 100.0,
        "message": None,
        "window": 1,
        "wait": None,
    }
    assert (draw["seconds"], draw["entries"], draw["seed"]) == (120, None, None)
    assert len(bytes.fromhex(draw["commitment"])) == 32


async def test_an_opening_counts_places_and_calls(house: House) -> None:
    await house.at("08:00:00")
    for i in range(5):
        await house.join(person(i))
    await house.look()
    opening = await house.get(f"/openings/{TIANHE}")
    assert (opening["issued"], opening["serving"], opening["waiting"]) == (5, 0, 5)
    await house.at("08:02:01")
    opening = await house.get(f"/openings/{TIANHE}")
    assert (opening["issued"], opening["serving"], opening["waiting"]) == (5, 5, 0)


async def test_the_seed_is_secret_until_the_draw_is_done_and_kept_its_promise(house: House) -> None:
    before = (await house.get(f"/openings/{TIANHE}"))["draw"]
    await house.at("08:00:00")
    tickets = [(await house.join(person(i)))["ticket"] for i in range(7)]
    await house.at("08:01:59")
    assert (await house.get(f"/openings/{TIANHE}"))["draw"] == before
    await house.at("08:02:00")
    after = (await house.get(f"/openings/{TIANHE}"))["draw"]
    assert after["commitment"] == before["commitment"] == hashlib.sha256(bytes.fromhex(after["seed"])).hexdigest()
    assert after["entries"] == 7
    numbers = [(await house.get("/ticket", bearer=ticket))["number"] for ticket in tickets]
    assert sorted(numbers) == list(range(1, 8))
    assert numbers == [Draw(bytes.fromhex(after["key"]), 7).number(entry) for entry in range(7)]


async def test_every_opening_and_day_has_a_seed_of_its_own(house: House) -> None:
    commitments = set()
    for day in (date(2021, 6, 19), date(2021, 6, 20)):
        await house.at("07:30:00", day)
        for code in (TIANHE, HAIZHU):
            commitments.add((await house.get(f"/openings/{code}"))["draw"]["commitment"])
    assert len(commitments) == 4
    assert None not in commitments


async def test_huangpu_is_in_the_city_but_has_no_opening(house: House) -> None:
    await house.at("08:30:00")
    opening = await house.get(f"/openings/{HUANGPU}")
    assert opening["state"] == "unassigned"
    assert opening["opens_at"] is opening["closes_at"] is opening["draw"]["commitment"] is None
    refused(await house.call("GET", "/openings/999999"), "not-found", 404)


async def test_sites_of_a_district(house: House) -> None:
    sites = (await house.get(f"/sites?district={TIANHE}"))["sites"]
    assert [site["site"] for site in sites] == ["T1", "T2"]
    assert sites[0] == {
        "site": "T1", "name_zh": "接种点T1", "name_en": "Site T1", "district": TIANHE, "address": "路1号",
    }  # fmt: skip
    assert (await house.get(f"/sites?district={HAIZHU}"))["sites"] == []
    refused(await house.call("GET", "/sites?district=nowhere"), "not-found", 404)
    problem = refused(await house.call("GET", "/sites"), "invalid", 422)
    assert problem["errors"][0]["field"] == "district"


async def test_health_readiness_and_metrics(house: House) -> None:
    await house.at("08:00:00")
    for _ in range(7):
        await house.join(person(0))
    await house.try_join(person(904))
    assert (await house.client.get("/healthz")).json() == {"status": "ok"}
    assert (await house.client.get("/readyz")).json() == {"status": "ready"}
    await house.look()
    house.services.metrics.flush(house.services.room.figures())
    answer = await house.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'jiaohao_requests_total{call="join",code="joined"} 1.0' in lines
    assert 'jiaohao_requests_total{call="join",code="again"} 6.0' in lines
    assert 'jiaohao_requests_total{call="join",code="not-eligible"} 1.0' in lines
    assert f'jiaohao_opening_issued{{district="{TIANHE}"}} 1.0' in lines
    assert 'jiaohao_request_seconds_count{call="join"} 1.0' in lines  # one in eight is timed


async def test_the_pages_come_with_a_policy_that_lets_nothing_else_in(house: House) -> None:
    answer = await house.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_each_problem_type_has_an_address_that_says_what_it_is(house: House) -> None:
    zh = await house.client.get("/problems/not-open")
    en = await house.client.get("/problems/not-open", headers={"accept-language": "en"})
    assert (zh.text, en.text) == ("还没有到开放时间", "Not open yet")
    refused(await house.client.get("/problems/no-such-code"), "not-found", 404)


async def test_a_day_follows_another(house: House) -> None:
    await house.at("19:59:59")
    dates = []
    for clock_time, day in (("23:59:59", None), ("00:00:00", date(2021, 6, 20)), ("08:00:00", None)):
        await house.at(clock_time, day)
        opening = await house.get(f"/openings/{TIANHE}")
        dates.append((opening["date"], opening["state"]))
    assert dates == [("2021-06-19", "maintenance"), ("2021-06-20", "maintenance"), ("2021-06-20", "draw")]
    for (earlier, _), (later, _) in pairwise(dates):
        assert earlier <= later
