"""Those who wait for a slot, put into a store as registering puts them there, and the memory that each takes."""

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from redis import Redis
from rich.console import Console
from rich.table import Table

from loadtests.bench.night_city import ASSUMED, NIGHT, shares, waiting
from server.appointments.store import AppointmentStore
from server.core.city import City, load_city
from server.core.districts import District
from server.core.encryption import Cipher, Contact
from server.core.keys import Pepper, key, opening_tag, parts_of, resident_tag
from server.core.settings import Settings, from_environment, local_secrets
from server.fairness.allotment import Candidate
from server.messages.store import OutboxStore
from server.night.listed import ListedWaiting as Listed
from server.night.listed import pack
from server.night.store import NightStore
from server.records.first_dose import FirstDoseRecord
from server.records.message import Pointer
from server.records.registration import NewRegistration, Preference, Registration
from server.records.registration_changes import PassedOver
from server.records.statuses import known
from server.registrations.store import RegistrationStore
from server.registry.store import RegistryStore
from server.store.connecting import connect
from server.store.connection import Connection
from server.store.embedded import EmbeddedStore
from server.store.pointers import Pointers

_BATCH = 500
_SAMPLE = 1000
_PART = 5000


class Waiting(NamedTuple):
    """Somebody who waits."""

    resident: bytes
    wishes: Candidate
    day: date
    entry: int


def people(city: City, district: District, count: int, seed: int) -> Iterator[Waiting]:
    """Return those who wait in a district, each with a resident key and the place that their number came of."""
    for wishes in waiting(city, district, count, seed):
        parts = parts_of(wishes.no, NIGHT)
        if parts is None:
            raise RuntimeError(f"{wishes.no} is no registration number")
        yield Waiting(hashlib.sha256(wishes.no.encode()).digest()[:16], wishes, parts.day, parts.entry)


class Filling:
    """Writes those who wait into a store, a batch at a time.

    Args:
        connection: where to.
        settings: seal names and phones.
        district: code.
    """

    def __init__(self, connection: Connection, settings: Settings, district: str) -> None:
        self._connection = connection
        self._registry_store = RegistryStore(connection)
        self._registration_store = RegistrationStore(connection)
        self._pointers = Pointers(connection)
        self._pepper, self._cipher = Pepper(settings.pepper), Cipher(settings.secrets)
        self._district = district

    async def enrol(self, batch: list[Waiting]) -> None:
        """Their lines of the registry, as an import writes them; for a first dose: as joining does."""
        records = []
        for resident, wishes, *_ in batch:
            name, phone = "欧阳" + wishes.no[-1], "137" + wishes.no[-9:-1]
            match = self._pepper.match(resident, name, phone)
            contact = self._cipher.encrypt(resident, Contact(name, phone))
            day = wishes.first_dose.toordinal() if wishes.first_dose else 0
            records.append((resident, FirstDoseRecord(day, wishes.product, self._district, match, contact)))
        await self._registry_store.keep_first_doses(records)

    async def claim(self, batch: list[Waiting]) -> None:
        """The claims that their passes came of, marked as used; places and calls are left out."""
        by_day: dict[date, list[bytes | int]] = {}
        for resident, _, day, entry in batch:
            by_day.setdefault(day, []).extend((entry, resident + b"0"))
        await self._connection.plain(
            [("HSET", key("claims", opening_tag(self._district, day)), *fields) for day, fields in by_day.items()]
        )

    async def register(self, batch: list[Waiting]) -> None:
        """Through the script, with the fields that the service gives it."""
        new = []
        for resident, wishes, day, entry in batch:
            registration = Registration(
                no=wishes.no,
                state="proposed",
                registered_ms=0,
                district=self._district,
                opening_day=day,
                entry=entry,
                preferences=[Preference(site, half) for site, half in wishes.wishes],
                accept_any_site=wishes.any_site,
                not_before=wishes.not_before,
                first_dose=wishes.first_dose,
                product=wishes.product,
            )
            new.append(NewRegistration.of(resident, 1 << 52, registration))
        kept = known(await self._registration_store.register(new))
        if any(k.status != "registered" for k in kept):
            raise RuntimeError(f"not registered: {kept[0].status}")

    async def point(self, batch: list[Waiting]) -> None:
        """Their pointers in the outbox."""
        await self._pointers.write_pointers([(self._district, each.resident) for each in batch])


class _Memory:
    """Bytes of the store a registration, step after step."""

    def __init__(self, redis: "Redis", count: int) -> None:
        self._redis, self._count = redis, count
        self._before = self._first = self._used()
        self.steps: list[tuple[str, float]] = []

    def _used(self) -> int:
        return int(self._redis.info("memory")["used_memory"])

    def note(self, step: str) -> None:
        """What has come (or gone) since the last step."""
        used = self._used()
        self.steps.append((step, (used - self._before) / self._count))
        self._before = used

    @property
    def total(self) -> float:
        """Return how many there are by now."""
        return (self._before - self._first) / self._count


async def _measure(count: int, seed: int, listpack_bytes: int | None) -> None:
    city = load_city()
    (district, _), *_ = shares(city, count, ["440106"])
    with tempfile.TemporaryDirectory() as folder, EmbeddedStore(Path(folder)) as embedded:
        settings = from_environment(local_secrets(Path(folder), {}) | {"JIAOHAO_REDIS_URL": embedded.url})
        connection, redis = Connection(await connect(embedded.url)), Redis.from_url(embedded.url)
        if listpack_bytes:
            redis.config_set("hash-max-listpack-value", listpack_bytes)
        filling = Filling(connection, settings, district.code)
        everyone = list(people(city, district, count, seed))
        batches = [everyone[at : at + _BATCH] for at in range(0, count, _BATCH)]
        await OutboxStore(connection).open_outbox([district.code])
        memory = _Memory(redis, count)
        for batch in batches:
            await filling.enrol(batch)
        memory.note("registry line (there before anybody registers)")
        for batch in batches:
            await filling.claim(batch)
        memory.note("claim of their place")
        for batch in batches:
            await filling.register(batch)
        memory.note("registration, the message owed, and the stop that it is open")
        for batch in batches:
            await filling.point(batch)
        memory.note("pointer in the outbox")
        before_sent = _by_kind(redis, district.code, everyone)
        for batch in batches:
            await send(connection, district.code, batch)
        memory.note("the message is sent")
        for batch in batches:
            await AppointmentStore(connection).keep_pending(
                district.code, [(each.wishes.no, each.resident) for each in batch]
            )
        memory.note("pending entry")
        await _freeze(connection, district.code, everyone)
        memory.note("a night's frozen list, packed (kept for eight days)")
        for batch in batches:
            passed = [PassedOver(each.resident, each.wishes.no, f"{NIGHT}", 9, "full", "2021-05-01") for each in batch]
            await NightStore(connection).pass_over(passed, 3)
        memory.note("a night in vain")
        _report(count, memory, before_sent, _by_kind(redis, district.code, everyone))
        packed = redis.config_get("hash-max-listpack-value")["hash-max-listpack-value"]
        Console(width=140).print(f"  hash-max-listpack-value {packed}")
        await connection.close()
        redis.close()


async def send(connection: Connection, district: str, batch: list[Waiting]) -> None:
    """As the sender does: what is owed is found, accepted, and the pointer is gone."""
    owed = await OutboxStore(connection).next_entries([district], "bench", len(batch), 0, "outbox")
    pointers = [Pointer.of(each) for each in owed]
    found = known(await OutboxStore(connection).next_message(pointers))

    await OutboxStore(connection).settle_message(
        [(p, each.seq, "accepted") for p, each in zip(pointers, found, strict=True)]
    )
    await OutboxStore(connection).acknowledge(owed)


async def _freeze(connection: Connection, district: str, everyone: list[Waiting]) -> None:
    """As the night keeps its list."""
    for part, at in enumerate(range(0, len(everyone), _PART)):
        listed = []
        for resident, it, *_ in everyone[at : at + _PART]:
            dose, not_before = (f"{day}" if day else "" for day in (it.first_dose, it.not_before))
            wishes = list(it.wishes)
            listed.append(Listed(it.no, resident, dose, it.product, wishes, it.any_site, not_before, it.sent_back, ""))
        await connection.plain([("HSET", key("frozen", opening_tag(district, NIGHT)), part, pack(listed))])


def _by_kind(redis: "Redis", district: str, everyone: list[Waiting]) -> dict[str, float]:
    """MEMORY USAGE by kind, bytes a registration: of a sample of residents, and of what a district shares."""
    found = {}
    some = everyone[:: max(1, len(everyone) // _SAMPLE)]
    for kind in ("registry", "registration", "stop", "owed"):
        sizes = [redis.memory_usage(key(kind, resident_tag(each.resident))) or 0 for each in some]
        found[kind] = sum(sizes) / len(some)
    days = {each.day for each in everyone}
    claims = (redis.memory_usage(key("claims", opening_tag(district, day)), samples=0) or 0 for day in days)
    found["claims"] = sum(claims) / len(everyone)
    for kind in ("outbox", "pending"):
        found[kind] = (redis.memory_usage(key(kind, district), samples=0) or 0) / len(everyone)
    return found


def _report(count: int, memory: _Memory, registered: dict[str, float], waited: dict[str, float]) -> None:
    console = Console(width=140)
    table = Table(title=f"The store's memory, {count:,} who wait in one district", title_justify="left")
    table.add_column("step")
    table.add_column("bytes each", justify="right")
    for step, used in memory.steps:
        table.add_row(step, f"{used:+.0f}")
    table.add_row("all of it, with a night in vain", f"{memory.total:.0f}")
    console.print(table)
    kinds = Table(title="By kind (MEMORY USAGE)", title_justify="left")
    for column in ("", "registered, SMS owed", "after a night in vain"):
        kinds.add_column(column, justify="right" if column else "left")
    for kind, size in registered.items():
        kinds.add_row(kind, f"{size:.0f}", f"{waited[kind]:.0f}")
    console.print(kinds)
    console.print(f"  4.836 M such: {memory.total * 4.836e6 / 1e9:.1f} GB; used_memory has the dictionaries' own share")
    console.print(f"  assumed: {ASSUMED}")


def run(count: int, seed: int = 1, listpack_bytes: int | None = None) -> None:
    """Measure with so many who wait.

    Args:
        count: how many.
        seed: of the made-up city.
        listpack_bytes: the longest value of a hash that is kept packed; None = as the embedded store has it.
    """
    asyncio.run(_measure(count, seed, listpack_bytes))


def batches(everyone: Iterator[Waiting], size: int = _BATCH) -> Iterator[list[Waiting]]:
    """Return one batch after the other."""
    while batch := list(islice(everyone, size)):
        yield batch
