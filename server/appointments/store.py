"""The appointments' part of the store, beside a day's slots: what happens to a registration with an appointment."""

from collections.abc import Sequence
from datetime import date
from functools import partial

import msgspec

from server.core.errors import UnknownStatus
from server.core.keys import beside, key, resident_tag
from server.records.fields import items_of
from server.records.registration import Appointment
from server.records.registration_changes import (
    ATTEND,
    BOOK,
    CANCEL,
    CORRECT,
    LIFT,
    MISS,
    RECONCILE,
    RENUMBER,
    REOPEN,
    UNATTEND,
    AttendStatus,
    Booking,
    BookStatus,
    CancelStatus,
    Change,
    Correction,
    CorrectStatus,
    MissStatus,
    RenumberStatus,
    ReopenStatus,
    UnattendStatus,
)
from server.records.slot import AttendedDay, KeptAttendance, Reconciled
from server.store.connection import FeatureStore
from server.store.scripts import Beside

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptAttendance).decode


class AppointmentStore(FeatureStore):
    """The scripts that give, fulfil and end appointments, each on the keys of one resident."""

    async def book(self, bookings: Sequence[Booking]) -> list[BookStatus | UnknownStatus]:
        """Give registrations their appointments; the status of each."""
        calls = []
        for (resident, no, actor), slot, cancel_before_ms, night, leaf, frozen_ms in bookings:
            args = (*self._connection.clock(), no, *slot, cancel_before_ms, actor, night, leaf, frozen_ms)
            calls.append((resident_tag(resident), args))
        return self._connection.read_each(
            await self._connection.run_each("book", calls), partial(self._connection.read, BOOK)
        )

    async def cancel(self, change: Change, day: str, lives_ms: int, why: str = "") -> CancelStatus:
        """Close a registration whose appointment is on this day ("" = none), on its holder's wish or for the reason
        given; the status.

        What somebody typed for a first dose lives on for `lives_ms`.
        """
        args = (*self._connection.clock(), change.no, change.actor, day, lives_ms, why)
        return self._connection.read(CANCEL, await self._connection.run("cancel", resident_tag(change.resident), *args))

    async def attend(self, change: Change, site: str, day: str) -> tuple[AttendStatus, int, bool]:
        """(status, at_ms, whether a bar was lifted by it)."""
        args = (*self._connection.clock(), change.no, site, day, change.actor)
        status, at_ms, unbarred = await self._connection.run("attend", resident_tag(change.resident), *args)
        return self._connection.read(ATTEND, status), at_ms, bool(unbarred)

    async def unattend(
        self, change: Change, site: str, day: str, why: str, *, within_ms: int, closes_ms: int
    ) -> UnattendStatus:
        """Take a desk's mark back, so long after it, and where they were expected until the city closes; the status."""
        args = (*self._connection.clock(), change.no, site, day, change.actor, why, within_ms, closes_ms)
        return self._connection.read(
            UNATTEND, await self._connection.run("unattend", resident_tag(change.resident), *args)
        )

    async def miss(
        self, missed: Sequence[tuple[Change, bool]], day: str, limit: int
    ) -> list[tuple[MissStatus, int] | UnknownStatus]:
        """For each (registration, whether it counts) that had an appointment on this day: (status, no-shows so far)."""
        calls = []
        for (resident, no, actor), charge in missed:
            calls.append((resident_tag(resident), (*self._connection.clock(), no, day, int(charge), limit, actor)))
        return self._connection.read_each(
            await self._connection.run_each("miss", calls), lambda a: (self._connection.read(MISS, a[0]), a[1])
        )

    async def reopen(self, change: Change, slot: Appointment, why: str) -> ReopenStatus:
        """Send a registration back to be allotted; the status."""
        args = (*self._connection.clock(), change.no, *slot, change.actor, why)
        return self._connection.read(REOPEN, await self._connection.run("reopen", resident_tag(change.resident), *args))

    async def renumber(self, change: Change, new_no: str, entry: int, day: date) -> RenumberStatus:
        """Another number, of this entry, for a registration that waits since this day; the status."""
        tag, line = resident_tag(change.resident), change.resident + f"{new_no}\n".encode()
        args = (*self._connection.clock(), change.no, new_no, entry, change.actor, line)
        tags = Beside(tag, "registered", beside(tag, day.isoformat()))
        (status,) = await self._connection.run_each("renumber", [(tags, args)])
        return self._connection.read(RENUMBER, status)

    async def lift(self, change: Change, why: str) -> bool:
        """Lift a bar; False where there is none."""
        args = (*self._connection.clock(), change.no, change.actor, why)
        return self._connection.read(LIFT, await self._connection.run("lift", resident_tag(change.resident), *args))

    async def correct(self, corrections: Sequence[Correction]) -> list[CorrectStatus | UnknownStatus]:
        """Put the registry's word into open registrations; the status of each."""
        calls = []
        for (resident, no, actor), first_dose, product, record in corrections:
            args = (*self._connection.clock(), no, actor, first_dose, product, record)
            calls.append((resident_tag(resident), args))
        return self._connection.read_each(
            await self._connection.run_each("correct", calls), partial(self._connection.read, CORRECT)
        )

    async def keep_pending(self, district: str, waiting: Sequence[tuple[str, bytes]]) -> None:
        """They wait for a slot."""
        if waiting:
            await self._connection.plain([("HSET", key("pending", district), *(x for each in waiting for x in each))])


class AttendanceStore(FeatureStore):
    """Doses that met no appointment: kept for the operator, reconciled with what the resident has. Tag: `district`."""

    async def reconcile_attendance(self, change: Change, slot: Appointment, why: str, held_day: str) -> Reconciled:
        """Let a resident's latest registration be fulfilled by a dose given under one of their numbers."""
        args = (*self._connection.clock(), change.no, *slot, change.actor, why, held_day)
        status, at_ms, no, unbarred = await self._connection.run(
            "reconcile_attendance", resident_tag(change.resident), *args
        )
        return Reconciled(self._connection.read(RECONCILE, status), at_ms, no.decode(), bool(unbarred))

    async def keep_attendance(self, district: str, no: str, kept: KeptAttendance, *, replace: bool = False) -> None:
        """Keep what a desk has said; the first word about a number and a date stands, unless replaced."""
        command = "HSET" if replace else "HSETNX"
        await self._connection.plain(
            [(command, key("attendances", district), AttendedDay(no, kept.day).pack(), _encode(kept))]
        )

    async def attendances(self, districts: Sequence[str]) -> list[list[tuple[str, KeptAttendance]]]:
        """(registration number, what was said) in each district."""
        answers = await self._connection.plain([("HGETALL", key("attendances", district)) for district in districts])
        return [
            [(AttendedDay.unpack(name.decode()).no, _decode(it)) for name, it in items_of(answer)] for answer in answers
        ]

    async def count_attendances(self, districts: Sequence[str]) -> list[int]:
        """How many are kept in each district."""
        return [
            int(n)
            for n in await self._connection.plain([("HLEN", key("attendances", district)) for district in districts])
        ]

    async def settle_attendance(self, district: str, no: str, day: date, audit_tag: str, **said: str | int) -> None:
        """The operator has looked at it: it goes from the list, and into the audit log."""
        flat = [x for each in said.items() for x in each]
        await self._connection.plain(
            [
                ("XADD", key("audit", audit_tag), "*", *flat),
                ("HDEL", key("attendances", district), AttendedDay(no, day.isoformat()).pack()),
            ]
        )
