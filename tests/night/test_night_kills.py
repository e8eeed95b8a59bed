"""Nights that are killed, they or their store, at any point, and run again: `JIAOHAO_KILLS=100` for a long evening."""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from redis import Redis
from redis.exceptions import RedisError

from server.appointments.giving import SlotGrant
from server.core.clock import to_ms
from server.core.keys import day_tag, key, resident_tag
from server.fairness.verification import verify_allotment
from server.records.slot import RosterEntry, Slot
from server.store.connecting import connect
from server.store.embedded import EmbeddedStore
from tests.support.nights import DAY, DISTRICTS, PEPPER, SECRET, NightHouse, fill
from tests.support.serving import OPERATOR, REPO, environment, until
from tests.support.stores import Store

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("JIAOHAO_KILLS", "10"))
STORE_KILLS = max(2, KILLS // 5)
_PEOPLE = 800
_GROUP = 30
TIANHE = DISTRICTS[0]
_SEED = "5e" * 32
_PATIENCE_SECONDS = 120


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A store that keeps what it has said, and comes back when it is killed."""
    with EmbeddedStore(tmp_path / "data") as store:
        yield store.url


class Past(NamedTuple):
    """Appointments that earlier nights gave in Tianhe, by number: on this day and not kept, of which the third no-show
    of some; in two days; at a site whose closure died before anybody was sent back."""

    missed: list[str]
    barred: list[str]
    reminded: list[str]
    closed: list[str]


async def earlier(house: NightHouse) -> tuple[dict[str, dict[str, Any]], Past]:
    """What earlier nights left behind."""
    store, client, before = house.store, cast(Any, house.store.client), DAY - timedelta(days=2)
    house.at("20:10:00", before)
    put = await fill(store, 4 * _GROUP, districts=[TIANHE], day=before, first=100_000, per_slot=0, city=house.city)
    numbers = list(put)
    groups = [numbers[n * _GROUP : (n + 1) * _GROUP] for n in range(4)]
    days = [DAY, DAY, DAY + timedelta(days=2), DAY + timedelta(days=3)]
    for group, day, site in zip(groups, days, (1, 2, 3, 4), strict=True):
        await store.keep_capacity(day_tag(TIANHE, day), {Slot(f"{TIANHE}-{site}", "am", "inactivated"): _GROUP})
        slots = [RosterEntry(no, put[no]["resident"], f"{TIANHE}-{site}", "am", "inactivated") for no in group]
        given = await house.appointments.give(TIANHE, [SlotGrant(slot, day) for slot in slots], "night")
        assert set(given) == {"booked"}
    booked_ms, told_ms = store.now_ms, house.at("08:00:00", DAY - timedelta(days=1))
    for no in groups[0] + groups[1]:
        tag = resident_tag(put[no]["resident"])
        await client.hset(key("registration", tag), "sms:allotted", f"delivered {told_ms} {booked_ms}")
        await client.set(key("no_shows", tag), 2 if no in groups[1] else 0)
    await store.close_site(day_tag(TIANHE, days[3]), "manager", f"{TIANHE}-4", "am", "停电")
    store.now_ms = 0
    return put, Past(groups[0] + groups[1], groups[1], groups[2], groups[3])


async def prepare(url: str) -> tuple[dict[str, dict[str, Any]], Past]:
    """A day's registrations, what earlier nights left, the seeds, and a clock that shows half past eight."""
    store = Store(await connect(url))
    house = NightHouse(store, Path())
    city = house.city
    try:
        former, past = await earlier(house)
        put = former | await fill(store, _PEOPLE, city=city)
        await store.keep_capacity(
            day_tag(TIANHE, DAY + timedelta(days=2)), {Slot(f"{TIANHE}-3", "am", "inactivated"): _GROUP}
        )
        client: Any = store.client
        for district in city.districts:
            await client.hset(key("night", day_tag(district.code, DAY)), "seed", _SEED)
        at = city.night_begins(DAY) + timedelta(minutes=20)
        store.offset_ms = to_ms(at) - round(time.time() * 1000)
        await store.agree_on_offset(store.offset_ms, anew=True)
        return put, past
    finally:
        await store.close()


def night(url: str, results: Path) -> subprocess.Popen[str]:
    """`jiaohao night`, its lines on a pipe."""
    command = [sys.executable, "-m", "server.cli", "night", "--redis-url", url, "--results", str(results)]
    env = environment(JIAOHAO_SECRET=SECRET.hex(), JIAOHAO_PEPPER=PEPPER.hex(), JIAOHAO_OPERATOR_TOKEN=OPERATOR)
    return subprocess.Popen(
        [*command, "--date", str(DAY)], cwd=REPO, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def to_its_end(url: str, results: Path) -> str:
    """Run a night that nobody disturbs; what it says."""
    with night(url, results) as process:
        out, err = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, err[-2000:]
    return out


def files_of(results: Path) -> dict[str, bytes]:
    """The results, byte by byte; what was put aside by a night that was killed is no result.

    Of two nights all is the same but the time at which the list was frozen, and what is hashed of it: a result's root,
    and the proofs, of which the length is looked at here (`check` verifies each result).
    """
    files = [p for p in sorted(results.rglob("*")) if p.suffix in (".jsonl", ".proof")]
    return {p.name: _timeless(p.read_bytes()) if p.suffix == ".jsonl" else b"." * p.stat().st_size for p in files}


def _timeless(result: bytes) -> bytes:
    result, frozen = re.subn(rb'"frozen_ms":[0-9]+', b'"frozen_ms":0', result)
    result, rooted = re.subn(rb'"root":"[0-9a-f]{64}"}\n$', b'"root":""}\n', result)
    assert (frozen, rooted) == (1, 1)
    return result


async def check(url: str, prepared: tuple[dict[str, dict[str, Any]], Past], results: Path) -> None:
    """Everybody has what the result says, once; no slot is given twice; one message for each event, and pointed to."""
    store = Store(await connect(url))
    house = NightHouse(store, results)
    put, past = prepared
    try:
        await _check_past(house, put, past)
        for district in DISTRICTS:
            path = house.published.path(DAY, district)
            assert path is not None
            verify_allotment(path)
            slots: Counter[tuple[str, str, str, str]] = Counter()
            lines = house.lines(district)
            for line in lines:
                kept = await house.fields(line["no"], put)
                expected = ["registered", "allotted", "closed"] if line["no"] in past.closed else ["registered"]
                expected += ["allotted"] if line.get("slot") else []
                assert await house.owed(put[line["no"]]["resident"]) == expected
                assert kept["state"] == ("booked" if line.get("slot") else "proposed")
                if line.get("slot"):
                    slots[tuple(line["slot"])] += 1
                    assert [kept["day"], kept["site"], kept["period"]] == line["slot"][:3]
                else:
                    assert kept["nights"] == "1"
            for no in past.reminded if district == TIANHE else []:
                slots[(await house.fields(no, put))["day"], f"{TIANHE}-3", "am", "inactivated"] += 1
            await _check_slots(store, district, slots)
            assert await house.pointed_to(district) >= {put[line["no"]]["resident"] for line in lines}
    finally:
        await store.close()


async def _check_past(house: NightHouse, put: dict[str, dict[str, Any]], past: Past) -> None:
    """Everybody was counted, barred, reminded and sent back once."""
    for no in past.missed:
        resident = put[no]["resident"]
        is_barred = no in past.barred
        life = await house.store.history(resident)
        assert ((await house.fields(no, put))["state"], life.no_shows) == ("noshow", 3 if is_barred else 1)
        assert life.barred is is_barred
        assert await house.owed(resident) == ["registered", "allotted"] + ["barred"] * is_barred
    assert (await house.store.bars([TIANHE]))[0].keys() == set(past.barred)
    for no in past.reminded:
        assert await house.owed(put[no]["resident"]) == ["registered", "allotted", "reminder"]
    told = {put[no]["resident"] for no in (*past.barred, *past.reminded, *past.closed)}
    assert await house.pointed_to(TIANHE) >= told
    assert {line["no"] for line in house.lines(TIANHE) if line["cohort"] == 0} == set(past.closed)


async def _check_slots(store: Store, district: str, slots: Counter[tuple[str, str, str, str]]) -> None:
    days = [DAY + timedelta(days=n) for n in range(2, 15)]
    tags = [day_tag(district, day) for day in days]
    for day, tag, used in zip(days, tags, await store.used(tags), strict=True):
        roster = Counter((taken.site, taken.period, taken.product) for taken in await store.roster(tag))
        for place, (capacity, taken) in used.items():
            assert taken == roster[place] == slots[day.isoformat(), *place] <= capacity, (day, place)
    assert all(not unsettled for unsettled in await store.open_changes(tags))


def is_back(url: str) -> bool:
    """Whether the store answers."""
    with Redis.from_url(url) as client, suppress(RedisError):
        return bool(client.ping())
    return False


def undisturbed(tmp_path: Path) -> tuple[dict[str, bytes], float]:
    """The result of the same night in another store, and how long its work took after the first step."""
    with EmbeddedStore(tmp_path / "other") as store:
        asyncio.run(prepare(store.url))
        with night(store.url, tmp_path / "expected") as process:
            assert process.stdout is not None
            process.stdout.readline()
            started = time.monotonic()
            assert process.wait(_PATIENCE_SECONDS) == 0
            took = time.monotonic() - started
    return files_of(tmp_path / "expected"), took


def test_a_night_that_is_killed_anywhere_comes_to_the_same_end(url: str, tmp_path: Path) -> None:
    expected, took_s = undisturbed(tmp_path)
    rng, kills, lives = random.Random(f"kills {KILLS}"), 0, 0
    steps_seen: set[int] = set()
    while kills < KILLS:
        with Redis.from_url(url) as client:
            client.flushall()
        results = tmp_path / f"results-{lives}"
        prepared = asyncio.run(prepare(url))
        for _ in range(rng.randint(1, 4)):  # one night may be killed several times
            with night(url, results) as process:
                assert process.stdout is not None
                step = kills % 7
                for _ in range(step):  # after each step's line in turn, and then a moment of chance
                    process.stdout.readline()
                time.sleep(rng.random() * took_s / 2)
                finished = process.poll() is not None
                process.kill()
                assert process.stderr is not None
                said = process.stderr.read()
            assert not finished or process.returncode == 0, said[-2000:]
            kills += 1
            steps_seen.add(step)
            if finished:
                break
        to_its_end(url, results)
        assert files_of(results) == expected
        asyncio.run(check(url, prepared, results))
        lives += 1
    assert len(steps_seen) >= min(7, KILLS)


def test_a_store_that_is_killed_under_the_night_comes_back_and_the_night_goes_on(url: str, tmp_path: Path) -> None:
    expected, took_s = undisturbed(tmp_path)
    rng = random.Random("store kills")
    pid_file = tmp_path / "data" / "store.pid"
    for life in range(STORE_KILLS):
        with Redis.from_url(url) as client:
            client.flushall()
        results = tmp_path / f"results-{life}"
        prepared = asyncio.run(prepare(url))
        with night(url, results) as process:
            assert process.stdout is not None
            for _ in range(life % 4):
                process.stdout.readline()
            time.sleep(rng.random() * took_s / 2)
            with suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
            _, err = process.communicate(timeout=_PATIENCE_SECONDS)
        assert process.returncode == 0, err[-2000:]
        assert files_of(results) == expected
        until(lambda: is_back(url), "the store, killed at the night's very end, is back")
        asyncio.run(check(url, prepared, results))
