"""A whole night, end to end: window one's two districts in an embedded store, and `jiaohao night` as a process."""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from redis import Redis
from rich.console import Console
from rich.table import Table

from loadtests.bench.night_city import ASSUMED, NIGHT, capacity, shares, sites_of
from loadtests.bench.night_store import Filling, Waiting, batches, people, send
from server.appointments.appointments import Appointments
from server.appointments.giving import SlotGrant
from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.appointments.store import AppointmentStore
from server.core.city import City, load_city
from server.core.clock import Clock, to_ms
from server.core.districts import District
from server.core.keys import key, opening_tag
from server.core.settings import Settings, from_environment, local_secrets
from server.fairness.allotment import Rules
from server.messages.store import OutboxStore
from server.records.registration_changes import Change
from server.records.slot import RosterEntry, Slot
from server.store.connecting import connect
from server.store.connection import Connection
from server.store.embedded import EmbeddedStore

WINDOW_ONE = ("440106", "440111")
WINDOW_ONE_DEMAND = 1_550_000
"""Window one's share of those still to come (domain.md)."""

_STEPS = ("closed", "freed", "frozen", "allotted", "published", "told")
_BEGINS = "20:15:00"
_TODAY_SHARE = 0.03
_CAME = 0.9
_GIB = 1 << 30


class WholeNight(msgspec.Struct):
    """What a night cost. Times in seconds, memory in bytes; `store_before`, `store_after`: used_memory."""

    registrations: int
    missed: int
    allotted: int
    filling: float
    steps: dict[str, float]
    wall: float
    cpu: float
    store_cpu: float
    peak: int
    store_before: int
    store_after: int
    store_rss: int
    aof_bytes: int
    verify: float


async def _fill(city: City, settings: Settings, total: int, seed: int) -> None:
    """Everything as it stands at the end of the day."""
    noon = datetime.fromisoformat(f"{NIGHT}T12:00:00").replace(tzinfo=city.tz)
    offset_ms = to_ms(noon) - round(time.time() * 1000)
    connection = Connection(await connect(settings.redis_url), offset_ms)
    appointments = Appointments(city, connection, Clock(offset_ms))
    try:
        for district, waiting in shares(city, total, WINDOW_ONE):
            sites = sites_of(district, waiting)
            made = {s: msgspec.json.encode(Site(s, f"接种点{s}", f"Site {s}", district.code, "路1号")) for s in sites}
            await SlotStore(connection).keep_sites(district.code, made)
            await OutboxStore(connection).open_outbox([district.code])
            filling = Filling(connection, settings, district.code)
            today = round(waiting * _TODAY_SHARE)
            for batch in batches(people(city, district, waiting + today, seed)):
                await filling.enrol(batch)
                await filling.claim(batch)
                await filling.register(batch)
                await filling.point(batch)
                await send(connection, district.code, batch)
                if today > 0:
                    await _had_appointments(connection, appointments, district, sites, batch[:today])
                    today -= len(batch[:today])
    finally:
        await connection.close()


async def _had_appointments(
    connection: Connection, appointments: Appointments, district: District, sites: list[str], batch: list[Waiting]
) -> None:
    """These had their appointment today; most of them came."""
    tag, slot = opening_tag(district.code, NIGHT), Slot(sites[0], "am", "inactivated")
    await SlotStore(connection).keep_capacity(tag, {slot: 999_999})
    given = [SlotGrant(RosterEntry(w.wishes.no, w.resident, sites[0], "am", "inactivated"), NIGHT) for w in batch]
    await appointments.give(district.code, given, "bench")
    for each in batch[: round(len(batch) * _CAME)]:
        await AppointmentStore(connection).attend(
            Change(each.resident, each.wishes.no, "bench"), sites[0], NIGHT.isoformat()
        )


def _capacity_file(city: City, total: int, doses: float, seed: int, file: Path) -> None:
    rows = ["site,date,period,product,capacity"]
    for district, waiting in shares(city, total, WINDOW_ONE):
        rules = Rules.of(city, district.code, NIGHT, city.policy.horizon_days)
        for slot, free in capacity(rules, sites_of(district, waiting), round(waiting * doses), seed):
            rows.append(f"{slot.site},{slot.date},{slot.period},{slot.product},{free}")
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _embedded() -> Iterator[tuple[Settings, "Redis", Path]]:
    with tempfile.TemporaryDirectory() as folder, EmbeddedStore(Path(folder) / "store") as store:
        settings = from_environment(local_secrets(Path(folder), {}) | {"JIAOHAO_REDIS_URL": store.url})
        with Redis.from_url(store.url) as redis:
            yield settings, redis, Path(folder)


def measure(total: int, doses: float = 0.3, seed: int = 1) -> WholeNight:
    """Fill a store, run the night, and take its cost.

    Raises:
        RuntimeError: a command failed.
    """
    city = load_city()
    with _embedded() as (settings, redis, folder):
        started = time.perf_counter()
        asyncio.run(_fill(city, settings, total, seed))
        filling = time.perf_counter() - started
        env, results = settings.environment(), folder / "results"
        _capacity_file(city, total, doses, seed, folder / "capacity.csv")
        _command(env, "import", "capacity", str(folder / "capacity.csv"))
        begins = datetime.fromisoformat(f"{NIGHT}T{_BEGINS}").replace(tzinfo=city.tz)
        redis.set(
            key("clock", "clock"), to_ms(begins) - round(time.time() * 1000)
        )  # filling took its time: it is evening
        before, store_cpu, started = redis.info("memory")["used_memory"], _store_cpu(redis), time.perf_counter()
        said, used = _command(env, "night", "--json", "--results", str(results))
        wall, store_cpu = time.perf_counter() - started, _store_cpu(redis) - store_cpu
        brought = [msgspec.json.decode(line) for line in said.splitlines()]
        memory, steps = redis.info("memory"), _steps(redis, city, to_ms(begins))
        started = time.perf_counter()
        for code in WINDOW_ONE:
            _command(env, "verify", "allotment", str(results / NIGHT.isoformat() / f"{code}.jsonl"))
        return WholeNight(
            registrations=sum(each["registrations"] for each in brought),
            missed=sum(each["missed"] for each in brought),
            allotted=sum(each["counts"]["allotted"] for each in brought),
            filling=filling,
            steps=steps,
            wall=wall,
            cpu=used.ru_utime + used.ru_stime,
            store_cpu=store_cpu,
            peak=used.ru_maxrss * 1024,
            store_before=before,
            store_after=memory["used_memory"],
            store_rss=memory["used_memory_rss"],
            aof_bytes=redis.info("persistence")["aof_current_size"],
            verify=time.perf_counter() - started,
        )


def _command(env: dict[str, str], *arguments: str) -> tuple[str, resource.struct_rusage]:
    """Return `jiaohao` in a process of its own: (what it printed, what it used)."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.cli", *arguments], env={**os.environ, **env}, stdout=out
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        if process.returncode:
            raise RuntimeError(f"jiaohao {arguments[0]}: exit code {process.returncode}")
        return out.read().decode(), used


def _store_cpu(redis: "Redis") -> float:
    cpu = redis.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def _steps(redis: "Redis", city: City, begun_ms: int) -> dict[str, float]:
    """Step -> seconds; each begins when the one before has ended in the last district."""
    found, before = {}, begun_ms
    for step in _STEPS:
        ends = [redis.hget(key("night", opening_tag(d.code, NIGHT)), f"{step}_ms") for d in city.districts]
        last = max(int(end) for end in ends if end)
        found[step], before = (last - before) / 1000, last
    return found


def run(total: int, doses: float = 0.3, seed: int = 1) -> None:
    """Run nights of a fifth of this size and of this size, and print what they cost and what window one's would."""
    nights = [measure(size, doses, seed) for size in (total // 5, total)]
    table = Table(title="`jiaohao night`, Tianhe and Baiyun, embedded Valkey, appendfsync always", title_justify="left")
    table.add_column("")
    for night in nights:
        table.add_column(f"{night.registrations:,}", justify="right")
    rows: list[tuple[str, list[str]]] = [(f"{s} s", [f"{n.steps[s]:.1f}" for n in nights]) for s in _STEPS]
    rows += [
        ("all of it s", [f"{n.wall:.1f}" for n in nights]),
        ("µs a registration", [f"{n.wall / n.registrations * 1e6:.0f}" for n in nights]),
        ("night's CPU s · store's CPU s", [f"{n.cpu:.1f} · {n.store_cpu:.1f}" for n in nights]),
        ("peak RSS of the night MB", [f"{n.peak / 1e6:,.0f}" for n in nights]),
        ("store before · after MB", [f"{n.store_before / 1e6:,.0f} · {n.store_after / 1e6:,.0f}" for n in nights]),
        ("store's RSS · AOF MB", [f"{n.store_rss / 1e6:,.0f} · {n.aof_bytes / 1e6:,.0f}" for n in nights]),
        ("allotted · missed", [f"{n.allotted:,} · {n.missed:,}" for n in nights]),
        ("verify s (not in the night)", [f"{n.verify:.1f}" for n in nights]),
        ("filling s (not in the night)", [f"{n.filling:.0f}" for n in nights]),
    ]
    for what, cells in rows:
        table.add_row(what, *cells)
    console = Console(width=140)
    console.print(table)
    small, large = nights
    apart = large.registrations - small.registrations
    more = WINDOW_ONE_DEMAND - large.registrations
    wall = large.wall + (large.wall - small.wall) / apart * more
    peak = large.peak + (large.peak - small.peak) / apart * more
    store = large.store_after + (large.store_after - small.store_after) / apart * more
    each = large.wall / large.registrations / (small.wall / small.registrations)
    console.print(f"  time a registration, {large.registrations:,} / {small.registrations:,}: {each:.2f} ×")
    console.print(
        f"  window one's {WINDOW_ONE_DEMAND:,}, by these two: {wall / 60:.0f} min of the twelve hours, "
        f"{peak / _GIB:.1f} GiB in the night's process, {store / _GIB:.1f} GiB in the store"
    )
    busy = (large.cpu + large.store_cpu) / large.wall
    console.print(f"  machine: {os.cpu_count()} cores; night and store together used {busy:.2f} of them")
    console.print(
        f"  assumed: {ASSUMED}; {_TODAY_SHARE:.0%} more had appointments today, {_CAME:.0%} of them came; all "
        f"openings are taken over in this one night; doses for {doses:.0%}"
    )
