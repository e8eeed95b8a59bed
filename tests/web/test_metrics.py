"""What Prometheus is told: every call from the first scrape on, what the store knows, and nobody's name."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.cli.kit.dashboard import queries
from server.core.errors import StoreUnavailable
from tests.support.front import command_of
from tests.support.serving import (
    OPERATOR,
    TIANHE,
    House,
    at_half_past_eight,
    person,
    refused,
    run_cli,
)

SATURDAY = date(2021, 6, 19)
STEPS = ("close", "free", "freeze", "allot", "publish", "tell")
FAILURES = {"store-unavailable", "overloaded", "unexpected"}
# What the contract calls the crowd's calls (`contract.md`, *HTTP*), and the routes that only describe them.
HOT = {
    "join": "POST /openings/{district}/tickets",
    "poll": "GET /ticket",
    "openings": "GET /openings/{district}",
    "claim": "POST /passes",
    "register": "POST /registrations",
    "qr": "GET /registrations/{no}/qr.svg",
}


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Half past eight on 19 June 2021; residents 0 to 3 of Tianhe are eligible."""
    async with at_half_past_eight(store_url, 4) as it:
        yield it


async def scraped(house: House) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) -> figure, five seconds from now: what the store was asked before that is not told again."""
    await house.forward(5)
    services = house.services
    services.metrics.flush(services.room.figures(), services.at_the_store())
    services.metrics.take_over(services.connection.tallies)
    text = (await house.client.get("/metrics")).text
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = (sample.name, frozenset(sample.labels.items()))
            assert place not in found, f"{place} is there twice"
            found[place] = sample.value
    return found


def figure(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found[f"jiaohao_{name}", frozenset(labels.items())]


async def test_every_call_and_its_failures_are_there_before_the_first_one(house: House) -> None:
    schema = (await house.client.get("/schema/openapi.json")).json()
    described = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, calls in schema["paths"].items()
        for method in calls
    }
    found = await scraped(house)
    seen: dict[str, set[str]] = {}
    for name, labels in found:
        if name == "jiaohao_requests_total":
            of = dict(labels)
            seen.setdefault(of["call"], set()).add(of["code"])
    assert described - set(seen) == set(HOT.values())
    assert {"GET /plain", "POST /plain/find", "GET /", "GET /staff", "other", *HOT} <= set(seen)
    for call, codes in seen.items():
        assert codes >= FAILURES, call
        assert figure(found, "request_seconds_count", call=call) == 0


async def test_what_is_asked_is_counted_by_route_and_code_and_names_nobody(house: House) -> None:
    done = await house.registered(person(0))
    path = f"/registrations/{done['registration_no']}"
    for _ in range(8):  # of each call one in eight is timed
        await house.get(path, bearer=done["receipt"])
    refused(await house.call("GET", path, bearer="x" * 40), "forged", 401)
    refused(await house.client.get("/no/such/page"), "not-found", 404)
    assert (await house.client.get("/plain")).status_code == 200
    assert (await house.client.get(f"/api/v1{path}/qr.svg")).status_code == 200
    found = await scraped(house)
    by_call = "requests_total"
    assert figure(found, by_call, call="GET /registrations/{no}", code="ok") == 8
    assert figure(found, by_call, call="GET /registrations/{no}", code="forged") == 1
    assert figure(found, "request_seconds_count", call="GET /registrations/{no}") >= 1
    assert figure(found, by_call, call="other", code="not-found") == 1
    assert figure(found, by_call, call="GET /plain", code="ok") == 1
    assert figure(found, by_call, call="qr", code="ok") == 1
    assert figure(found, by_call, call="register", code="registered") == 1
    said = repr(list(found))
    assert done["registration_no"] not in said and "no/such/page" not in said


async def test_a_fault_of_ours_is_counted_as_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: object) -> Any:
        raise RuntimeError

    monkeypatch.setattr(type(house.services.overview), "view", breaks)
    refused(await house.call("GET", "/operations", bearer=OPERATOR), "overloaded", 503)
    found = await scraped(house)
    assert figure(found, "requests_total", call="GET /operations", code="unexpected") == 1
    assert figure(found, "requests_total", call="GET /operations", code="overloaded") == 0
    assert figure(found, "store_up") == 0, "a figure that is not there is not taken for a good one"


async def test_the_stores_round_trips_are_timed_and_their_failures_counted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await scraped(house)
    assert figure(before, "store_script_failures_total", script="join") == 0
    await house.join(person(0))
    good = await scraped(house)
    one = figure(good, "store_script_seconds_count", script="join")
    assert one == figure(before, "store_script_seconds_count", script="join") + 1

    async def fails(*_: object, **__: object) -> Any:
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(house.services.connection, "pipeline", fails)
        refused(await house.try_join(person(1)), "store-unavailable", 503)
    after = await scraped(house)
    failed = sum(value for (name, _), value in after.items() if name == "jiaohao_store_script_failures_total")
    assert failed >= 1 and figure(after, "requests_total", call="join", code="store-unavailable") == 1


async def test_an_opening_is_told_as_it_stands(house: House) -> None:
    await house.join(person(0))
    await house.look()
    found = await scraped(house)
    of = {"district": TIANHE}
    # the draw of a minute is over at 08:30, and the city's 20 numbers a second have called the only one
    assert figure(found, "opening_called", **of) == figure(found, "opening_pending", **of) == 1
    assert figure(found, "opening_is_prepared", **of) == figure(found, "opening_is_calling", **of) == 1
    assert figure(found, "opening_is_paused", **of) == figure(found, "opening_claimed", **of) == 0
    assert figure(found, "opening_opens_timestamp_seconds", **of) == house.instant("08:00:00").timestamp()
    assert figure(found, "requests_waiting", call="join") == 0
    answer = await house.call("PATCH", f"/openings/{TIANHE}", json={"paused": True}, bearer=OPERATOR)
    assert answer.status_code == 200, answer.text
    await house.look()
    found = await scraped(house)
    assert figure(found, "opening_is_paused", **of) == 1
    assert figure(found, "opening_is_calling", **of) == figure(found, "opening_pace_per_second", **of) == 0


async def test_the_store_tells_of_messages_slots_and_its_nodes(house: House) -> None:
    await house.registered(person(0))
    await house.services.registrations.settled()
    found = await scraped(house)
    of = {"district": TIANHE}
    assert figure(found, "store_up") == figure(found, "store_node_up", node="store") == 1
    assert figure(found, "store_log_ok", node="store") == 1
    assert figure(found, "store_replicas", node="store") == 0
    assert figure(found, "store_memory_used_bytes", node="store") > 0
    assert figure(found, "pending_registrations", **of) == 0, "a night puts it on the list"
    assert figure(found, "messages", state="waiting", **of) == 1, "the receipt's message is owed"
    assert figure(found, "message_oldest_age_seconds", **of) >= 0
    assert figure(found, "messages", state="dead", **of) == 0
    assert figure(found, "slots", days_ahead="0", **of) == 0
    assert figure(found, "delivery_receipts", what="unmatched") == 0


async def test_a_night_is_unfinished_until_its_last_step(store_url: str) -> None:
    async with at_half_past_eight(store_url, 1) as house:
        await house.registered(person(0))
        at_day = await scraped(house)
        await house.at("20:39:55")  # residents are out at 20:00, and ten minutes' grace is given
        due = await scraped(house)
        await house.services.night.run(SATURDAY)
        done = await scraped(house)
    of = {"district": TIANHE}
    assert figure(at_day, "night_unfinished_seconds", **of) == 0, "nobody waits for the night before the first day"
    assert figure(due, "night_unfinished_seconds", **of) == 30 * 60
    assert figure(due, "night_step_done", step="close", **of) == 0
    assert figure(done, "night_unfinished_seconds", **of) == 0
    assert [figure(done, "night_step_done", step=step, **of) for step in STEPS] == [1] * 6


async def test_prometheus_own_tool_finds_nothing_to_blame(house: House) -> None:
    text = (await house.client.get("/metrics")).text
    tool = command_of("promtool", "prometheus")
    check = partial(subprocess.run, input=text, capture_output=True, text=True, timeout=60, check=False)
    told = await asyncio.to_thread(check, [tool, "check", "metrics"])
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


async def test_alerts_and_dashboard_ask_for_metrics_that_are_there(house: House) -> None:
    text = (await house.client.get("/metrics")).text
    families = set(re.findall(r"^# TYPE (jiaohao_\w+) (?:counter|gauge)$", text, re.MULTILINE))
    histograms = set(re.findall(r"^# TYPE (jiaohao_\w+) histogram$", text, re.MULTILINE))
    told = families | {f"{name}{end}" for name in histograms for end in ("_bucket", "_count", "_sum")}
    alerts = run_cli("kit", "-", "--only", "monitoring", "--dry-run").stdout
    asked = set(re.findall(r"jiaohao_\w+", " ".join([*queries(), alerts])))
    assert len(asked) > 30 and asked <= told
