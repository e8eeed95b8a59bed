"""A city of made-up registrations in front of a night, put straight into the store: thousands in a second."""

import json
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from server.appointments.appointments import Appointments
from server.core.city import City, load_city
from server.core.clock import to_ms
from server.core.encryption import Cipher, Contact, SeedCipher
from server.core.keys import Pepper, day_tag, key, registration_no, resident_tag
from server.fairness.line_numbers import LineNumbers
from server.night.lottery import Lottery
from server.night.outcome import NightOutcome
from server.night.published import Published
from server.night.run import Night
from server.records.fields import Arg
from server.records.first_dose import FirstDoseRecord
from server.records.registration import NewRegistration
from server.records.slot import Slot
from server.records.statuses import known
from tests.support.serving import StandingClock, keep_sites
from tests.support.stores import Store

DAY = date(2021, 6, 22)
DISTRICTS = ("440106", "440105")
SECRET, PEPPER = b"s" * 32, b"p" * 32
_SITES = 4
_BATCH = 1000


_KEYS = Pepper(PEPPER)  # made once


def resident_of(district: str, entry: int) -> bytes:
    """The resident key of who has this entry."""
    return _KEYS.resident("resident_id", f"{district}-{entry}")


def phone_of(district: str, entry: int) -> str:
    """Their phone, their own."""
    return f"13{district[-2:]}{entry:07d}"


async def fill(
    store: Store, people: int, *, seed: int = 1, first: int = 0, day: date = DAY, per_slot: int | None = None,
    districts: Sequence[str] = DISTRICTS, city: City | None = None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Registrations of one day's openings, sites and capacity for five days; number -> what was put there.

    Args:
        store: which is told the time by `now_ms`, or has it.
        people: in each district.
        seed: same seed, same city.
        first: entry of the first of them; other entries, other people.
        day: of the openings.
        per_slot: doses a slot; None = about half of what the people need.
        districts: where.
        city: the city file.
    """
    city, rng = city or load_city(), random.Random(f"{seed} {day}")
    put: dict[str, dict[str, Any]] = {}
    each = per_slot if per_slot is not None else max(1, people // (2 * 5 * 2 * _SITES))
    for code in districts:
        district = city.district(code)
        assert district is not None
        sites = [f"{code}-{n}" for n in range(1, _SITES + 1)]
        await keep_sites(store, {code: sites})
        for n in range(2, 7):
            slots = {Slot(site, half, "inactivated"): each for site in sites for half in ("am", "pm")}
            await store.keep_capacity(day_tag(code, day + timedelta(days=n)), slots)
        for start in range(0, people, _BATCH):
            batch = range(first + start, first + min(people, start + _BATCH))
            made = [_registration(rng, city, code, district.no, day, entry, sites) for entry in batch]
            await store.keep_first_doses([(new.resident, record) for new, record in made])
            for kept in known(await store.register([new for new, _ in made])):
                assert kept.status == "registered"
            claims: dict[bytes | str, bytes] = {
                str(entry): new.resident + b"0" for entry, (new, _) in zip(batch, made, strict=True)
            }
            client: Any = store.client
            await client.hset(key("claims", day_tag(code, day)), mapping=claims)
            await store.write_pointers([(code, new.resident) for new, _ in made])
            put |= {new.no: {"district": code, "resident": new.resident, **new.fields} for new, _ in made}
    return put


def _registration(
    rng: random.Random, city: City, code: str, district_no: int, day: date, entry: int, sites: Sequence[str]
) -> tuple[NewRegistration, FirstDoseRecord]:
    resident = resident_of(code, entry)
    first_dose = date(2021, 4, 20) + timedelta(days=rng.randrange(50))
    wishes = [
        {"site": site, "period": rng.choice(["am", "pm", "any"])} for site in rng.sample(sites, rng.randint(1, 3))
    ]
    fields: dict[str, Arg] = {
        "district": code,
        "date": day.isoformat(),
        "entry": entry,
        "preferences": msgspec.json.encode(wishes),
        "accept_any_site": int(rng.random() < 0.5),
        "not_before": (day + timedelta(days=rng.randint(3, 9))).isoformat() if rng.random() < 0.1 else "",
        "product": "inactivated",
    }
    contact = Cipher([SECRET]).encrypt(resident, Contact("测试", phone_of(code, entry)))
    record = FirstDoseRecord(first_dose.toordinal(), "inactivated", code, b"m" * 12, contact)
    no = registration_no(district_no, day, entry)
    return NewRegistration(resident, 1 << 52, no, first_dose.isoformat(), fields), record


class NightHouse:
    """A night's service at a time that stands still, and what the tests look at.

    Args:
        store: empty.
        folder: for the results; None = there is none.
        city: the city file.
        chain: the beacon that it names, whose relays nobody knows.
    """

    def __init__(self, store: Store, folder: Path | None, city: City | None = None, *, chain: str = "") -> None:
        self.store = store
        self.city = city or load_city()
        self.clock = StandingClock()
        self.folder = folder
        self.published = Published(folder, LineNumbers(b"l" * 32))
        self.appointments = Appointments(self.city, store, self.clock)
        self.lottery = Lottery(SeedCipher([b"s" * 32]), chain)
        self.night = Night(self.city, store, self.clock, self.appointments, self.published, self.lottery)

    def at(self, clock_time: str, day: date = DAY) -> int:
        """Let it be this time; in ms."""
        instant = datetime.fromisoformat(f"{day}T{clock_time}").replace(tzinfo=self.city.tz)
        self.clock.at_ms = self.store.now_ms = to_ms(instant)
        return self.clock.at_ms

    async def run(self, day: date = DAY) -> dict[str, NightOutcome]:
        """Run a night at its beginning; district -> what it brought."""
        self.at("20:10:00", day)
        return {outcome.district: outcome for outcome in await self.night.run(day)}

    async def fields(self, no: str, put: dict[str, dict[str, Any]]) -> dict[str, str]:
        """A registration as it is now."""
        return await self.store.registration_fields(put[no]["resident"])

    async def owed(self, resident: bytes) -> list[str]:
        """Kinds of the messages owed to a resident, in order."""
        client: Any = self.store.client
        fields = await client.hgetall(key("owed", resident_tag(resident)))
        numbered = sorted((int(k), v) for k, v in fields.items() if k.isdigit())
        return [msgspec.json.decode(v)[0] for _, v in numbered]

    async def pointed_to(self, district: str) -> set[bytes]:
        """Residents to whom the outbox points."""
        client: Any = self.store.client
        return {fields[b"resident"] for _, fields in await client.xrange(key("outbox", district))}

    def lines(self, district: str, day: date = DAY) -> list[dict[str, Any]]:
        """The registrations of a result file."""
        path = self.published.path(day, district)
        assert path is not None
        return [json.loads(line) for line in path.read_text().splitlines()[1:-1]]

    async def everything(self) -> dict[bytes, bytes]:
        """All that the store holds, but for who may run the night."""
        client: Any = self.store.client
        return {k: await client.dump(k) async for k in client.scan_iter() if not k.startswith(b"lease:")}
