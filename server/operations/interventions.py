"""What the operator on call puts right: calls, bars, messages that were given up, capacity."""

import re
from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

import msgspec
import structlog

from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.clock import from_ms
from server.core.districts import District
from server.core.encryption import Cipher
from server.core.errors import Invalid, Refusal
from server.core.masks import mask_name
from server.messages.delivery_failures import failed, put_back
from server.messages.store import OutboxStore
from server.operations.store import OperationStore
from server.records.message import Backlog
from server.records.registration import Registration, registration_of
from server.records.registration_changes import Change
from server.registry.contacts import readable_contact
from server.registry.store import RegistryStore
from server.store.agreed import Agreement
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

_NUMBER = re.compile(r"\d[\d\s-]{3,}\d")


class Failed(msgspec.Struct, omit_defaults=True):
    """A message that has not arrived: its kind, what became of it, when, and why (see `delivery_failures.Missed`)."""

    kind: str
    outcome: str
    at: datetime
    why: str | None = None


class Visit(msgspec.Struct):
    """The appointment to be told."""

    site: str
    date: date
    period: str


class Call(msgspec.Struct):
    """Somebody to be called. `phone`: in full, null where it cannot be read; `state`: null where it is not their latest
    registration any more."""

    registration_no: str
    district: str
    name: str
    phone: str | None
    lang: str
    state: str | None
    appointment: Visit | None
    failed: list[Failed]


class Bar(msgspec.Struct):
    """Somebody who is barred, by the registration that brought it about; `since`: null where it is not known."""

    registration_no: str
    district: str
    since: datetime | None


class DeadMessage(msgspec.Struct):
    """A message that was given up after many tries."""

    pointer: str
    district: str
    registration_no: str
    kind: str
    at: datetime
    tries: int
    why: str


class Backlogged(NamedTuple):
    """A district's messages by state; `oldest_for_ms`: how long the oldest of those to go now has waited."""

    district: District
    backlog: Backlog
    oldest_for_ms: int | None


class Resent(NamedTuple):
    """How many messages were put back, and the pointers that lead to no dead letter."""

    done: int
    unknown: list[str]


class Operations:
    """What is the operator's to look through and put right.

    Args:
        city: its districts.
        connection: the truth.
        cipher: decrypts names and phones.
    """

    def __init__(self, city: City, connection: Connection, cipher: Cipher) -> None:
        self._city = city
        self._codes = [district.code for district in city.districts]
        self._connection = connection
        self._outbox = OutboxStore(connection)
        self._reader = RegistrationReader(connection)
        self._registry_store = RegistryStore(connection)
        self._operation_store = OperationStore(connection)
        self._slot_store = SlotStore(connection)
        self._cipher = cipher

    # Whom to call, who is barred

    async def calls(self) -> list[Call]:
        """Whom no message has reached, the next appointment first."""
        found = [
            (code, no, resident)
            for code, calls in zip(self._codes, await self._outbox.to_call(self._codes), strict=True)
            for no, resident in calls.items()
        ]
        residents = [resident for _, _, resident in found]
        kept = await self._reader.registrations(residents)
        known = await self._registry_store.residents(residents) if residents else []
        calls = []
        for (code, no, resident), read, person in zip(found, kept, known, strict=True):
            name, phone = self._contact(resident, person.first_dose.contact if person.first_dose else b"")
            calls.append(self._call(code, no, registration_of(read, no), name, phone))
        return sorted(calls, key=lambda it: (it.appointment.date if it.appointment else date.max, it.registration_no))

    def _call(self, code: str, no: str, latest: Registration | None, name: str, phone: str | None) -> Call:
        missed = [Failed(it.kind, it.outcome, from_ms(it.at_ms, self._city.tz), it.why) for it in failed(latest)]
        if latest is None:
            return Call(no, code, name, phone, "zh", None, None, missed)
        visit = None
        if latest.site and latest.day and latest.period and latest.state != "cancelled":
            visit = Visit(latest.site, latest.day, latest.period)
        return Call(no, code, name, phone, latest.lang, latest.state, visit, missed)

    def _contact(self, resident: bytes, contact: bytes) -> tuple[str, str | None]:
        opened = readable_contact(self._cipher, resident, contact)
        return (mask_name(opened.name), opened.phone) if opened else ("*", None)

    async def called(self, no: str, reason: str) -> None:
        """Somebody has been reached by phone, or need not be any more.

        Raises:
            Refusal: `not-found`: not on the list.
            Invalid: no reason.
        """
        if not reason.strip():
            raise Invalid(("reason", "empty"))
        for code, calls in zip(self._codes, await self._outbox.to_call(self._codes), strict=True):
            if no in calls:
                # A number that was typed into the reason may be a phone's.
                said = _NUMBER.sub("****", reason.strip())
                await self._operation_store.called(Change(calls[no], no, "operator"), said)
                await self._outbox.forget_call(code, no)
                log.info("called", registration_no=no, actor="operator")
                return
        raise Refusal("not-found", reason="no-call")

    async def bars(self) -> list[Bar]:
        """Who is barred, the latest first."""
        found = [
            (code, no, resident)
            for code, bars in zip(self._codes, await self._slot_store.bars(self._codes), strict=True)
            for no, resident in bars.items()
        ]
        bars = []
        kept = await self._reader.registrations([resident for _, _, resident in found])
        for (code, no, _), read in zip(found, kept, strict=True):
            latest = registration_of(read, no)
            closed_ms = latest.closed_ms if latest and latest.state == "noshow" else None
            bars.append(Bar(no, code, from_ms(closed_ms, self._city.tz) if closed_ms else None))
        return sorted(bars, key=lambda it: (-it.since.timestamp() if it.since else 0.0, it.registration_no))

    # Messages

    async def backlogs(self) -> list[Backlogged]:
        """Each district's messages by state."""
        store_ms = await Agreement(self._connection).time_ms()
        return [
            # A stream's ids are the store's own time, without the city's offset.
            Backlogged(district, backlog, None if backlog.oldest_ms is None else max(0, store_ms - backlog.oldest_ms))
            for district, backlog in zip(self._city.districts, await self._outbox.backlogs(self._codes), strict=True)
        ]

    async def dead(self) -> list[DeadMessage]:
        """Dead letters, the oldest first."""
        found = []
        for code, letters in zip(self._codes, await self._outbox.dead(self._codes), strict=True):
            for pointer, it in letters.items():
                at = from_ms(it.at_ms, self._city.tz)
                found.append(DeadMessage(pointer, code, it.no, it.kind, at, it.tries, it.why))
        return sorted(found, key=lambda it: (it.at, it.pointer))

    async def resend(self, pointer: str) -> None:
        """Let a message that was given up go out after all.

        Raises:
            Refusal: `not-found`: no such dead letter.
        """
        if (await self.resend_all([pointer])).unknown:
            raise Refusal("not-found", reason="no-letter")
        log.info("resent", pointer=pointer, actor="operator")

    async def resend_all(self, pointers: Collection[str] | None = None) -> Resent:
        """Let messages that were given up go out after all; stopped in between, it may be done again.

        Args:
            pointers: names of dead letters; None = all there are.
        """
        done, unknown = 0, set(pointers or ())
        for code, letters in zip(self._codes, await self._outbox.dead(self._codes), strict=True):
            for pointer, letter in letters.items():
                if pointers is None or pointer in pointers:
                    await put_back(self._connection, code, pointer, letter)
                    unknown.discard(pointer)
                    done += 1
        return Resent(done, sorted(unknown))
