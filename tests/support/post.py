"""A sender on an empty store with residents who have registered, and gateways that fail as they are told."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from server.appointments.sites import Sites
from server.core.city import City, load_city
from server.core.clock import Clock, from_ms, to_ms
from server.core.encryption import Cipher
from server.core.keys import Pepper
from server.core.sms import QuietHours
from server.messages.delivery_receipts import ReportedDelivery
from server.messages.gateways import Gateway
from server.messages.sender import Sender
from server.records.registration import Appointment, NewRegistration
from server.records.registration_changes import Booking, Change
from server.records.statuses import known
from server.store.connecting import connect
from tests.support.serving import TIANHE, Person, StandingClock, enrol, keep_sites
from tests.support.stores import FIELDS, Store

T0 = 1_624_060_800_000  # 2021-06-19 08:00 in Guangzhou
HOUR = 3_600_000
SLOT = Appointment("T1", "2021-06-21", "am")
CANCEL_BEFORE = T0 + 36 * HOUR

_PEPPER = Pepper(b"p" * 32)  # made once: it is asked for thousands of keys, many times


class Phones:
    """A gateway that keeps what it was given, and fails as it is told: what it raises for a phone, each time."""

    def __init__(self) -> None:
        self.ready = 100
        self.messages: list[tuple[str, str]] = []
        self.failing: dict[str, Exception] = {}
        self.asked = 0

    async def submit(self, phone: str, text: str) -> list[str]:
        self.asked += 1
        await asyncio.sleep(0)
        if phone in self.failing:
            raise self.failing[phone]
        self.messages.append((phone, text))
        return []


class Post:
    """A sender of our own on an empty store, with residents who have registered.

    Args:
        store: where messages are owed.
        city: words and limits.
    """

    def __init__(self, store: Store, city: City) -> None:
        self.store = store
        self.city = city
        self.clock: Clock = StandingClock()
        self.sender = self.new_sender()
        self.people: list[Person] = []
        self.slot, self.cancel_before_ms = SLOT, CANCEL_BEFORE
        self.at(T0)

    def new_sender(self) -> Sender:
        """Another one on the same store."""
        secrets = Cipher([b"s" * 32]), Pepper(b"p" * 32)
        return Sender(self.city, self.store, self.clock, *secrets, Sites(self.city, self.store))

    def at(self, ms: int) -> None:
        """Let it be this time."""
        assert isinstance(self.clock, StandingClock)
        self.clock.at_ms = self.store.now_ms = ms

    def loud(self, **sms: Any) -> None:
        """From now on by the machine's clock, at any hour; what was put off comes again by itself."""
        self.clock, self.store.now_ms = Clock(), 0
        day = from_ms(self.clock.now_ms(), self.city.tz).date() + timedelta(days=2)
        self.slot = SLOT._replace(day=day.isoformat())
        self.cancel_before_ms = to_ms(self.city.cancel_before(day))
        changed = msgspec.structs.replace(self.city.sms, **{"quiet_hours": QuietHours()} | sms)
        self.city = msgspec.structs.replace(self.city, sms=changed)
        self.sender = self.new_sender()

    def key(self, i: int) -> bytes:
        """The resident key of the resident of this index."""
        return _PEPPER.resident(self.people[i].id_type, self.people[i].id_number)

    async def register(self, people: Sequence[Person], *, lang: str = "zh") -> None:
        """They are in the registry and register: each is owed a message, and pointed to."""
        begin = len(self.people)
        self.people += people
        await enrol(self.store, people)
        fields: dict[str, Any] = {**FIELDS, "lang": lang}
        new = [
            NewRegistration(self.key(i), self.clock.now_ms() + HOUR, self.no(i), "2021-05-01", fields)
            for i in range(begin, len(self.people))
        ]
        assert {kept.status for kept in known(await self.store.register(new))} == {"registered"}
        await self.point(range(begin, len(self.people)))

    async def point(self, indices: Sequence[int]) -> None:
        await self.store.write_pointers([(TIANHE, self.key(i)) for i in indices])

    def no(self, i: int) -> str:
        """Their registration's number."""
        return f"1061901{i:08d}"

    async def book(self, i: int, slot: Appointment | None = None) -> None:
        """They get an appointment."""
        change = Change(self.key(i), self.no(i), "night")
        booking = Booking(change, slot or self.slot, self.cancel_before_ms)
        assert await self.store.book([booking]) == ["booked"]
        await self.point([i])

    async def send(self, gateway: Gateway) -> int:
        return await self.sender.send_messages(gateway, "test")

    async def receipt(self, *ids: str, delivered: bool, **told: Any) -> None:
        """The provider says what became of a message."""
        await self.sender.receipts.take(ReportedDelivery(ids, "delivered" if delivered else "undelivered", **told))

    async def told(self, kind: str) -> Counter[str]:
        """What stands on the registrations about the messages of a kind."""
        kept = [await self.store.registration_fields(self.key(i)) for i in range(len(self.people))]
        return Counter(each.get(f"sms:{kind}", "nothing").split()[0] for each in kept)

    async def settled(self, kind: str, outcome: str) -> None:
        """Wait until it stands on all registrations."""
        async with asyncio.timeout(180):
            while (await self.told(kind))[outcome] < len(self.people):  # noqa: ASYNC110  (nobody tells us)
                await asyncio.sleep(0.2)

    async def backlog(self) -> tuple[int, int, int]:
        """(waiting, later, dead) in Tianhe."""
        (found,) = await self.store.backlogs([TIANHE])
        return found.waiting, found.later, found.dead

    async def to_call(self) -> set[str]:
        (found,) = await self.store.to_call([TIANHE])
        return set(found)


def city(**sms: Any) -> City:
    """Guangzhou, with other settings of its messages."""
    loaded = load_city()
    return msgspec.structs.replace(loaded, sms=msgspec.structs.replace(loaded.sms, **{"per_second": 100_000} | sms))


@asynccontextmanager
async def open_post(url: str, **sms: Any) -> AsyncIterator[Post]:
    store = Store(await connect(url))
    try:
        post = Post(store, city(**sms))
        await store.open_outbox([district.code for district in post.city.districts])
        await keep_sites(store)
        yield post
    finally:
        await store.close()


def read(file: Path) -> list[dict[str, str]]:
    """The messages of the file gateway."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
