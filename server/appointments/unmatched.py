"""Doses that were given on an appointment which the resident does not hold any more: kept, reconciled, shown.

A desk without a network works from the roster that it has, and meanwhile somebody cancels elsewhere, or a site is
closed. What was given is a fact. It is kept first of all; where the day's roster bears the desk out, the resident's
registration is fulfilled by it; the operator sees both, and settles what nothing bears out.
"""

import re
from datetime import date, datetime
from typing import NamedTuple

import msgspec
import structlog

from server.appointments.appointments import Appointments
from server.appointments.slot_store import SlotStore
from server.appointments.staff import Staff
from server.appointments.store import AttendanceStore
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import Invalid, Refusal, StoreUnavailable, UnknownStatus
from server.core.keys import day_tag
from server.records.registration import Appointment, Registration
from server.records.registration_changes import Change
from server.records.slot import KeptAttendance, Reconciled
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

_NUMBER = re.compile(r"\d[\d\s-]{3,}\d")
_TRIES = 5


class Attended(msgspec.Struct):
    """What the desk is told (contract, `POST /attendances`).

    `state`: `fulfilled`, or `unmatched`: kept for the operator. `period`: null where it is not known.
    """

    registration_no: str
    site: str
    date: date
    period: str | None
    state: str
    at: datetime


class UnmatchedAttendance(msgspec.Struct):
    """A dose that met no appointment; `actor`: who said so.

    `state`: `unmatched`, or `reconciled` with `fulfilled_no`, the registration that was fulfilled by it.
    """

    registration_no: str
    district: str
    site: str
    date: date
    state: str
    fulfilled_no: str | None
    actor: str
    at: datetime


class AttendanceSeen(NamedTuple):
    """Whom a desk has seen; `period`: of the appointment that they had there on that day, "" where they had none."""

    no: str
    resident: bytes
    district: str
    site: str
    day: date
    period: str
    actor: str


class Unmatched:
    """Attendances that met no appointment.

    Args:
        city: says what is done with them (`policy.attendance_off_roster`).
        connection: rosters as they are and were, registrations, what is kept.
        clock: city time.
        appointments: lets a slot follow its registration.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, appointments: Appointments) -> None:
        self._city = city
        self._codes = [district.code for district in city.districts]
        self._slot_store = SlotStore(connection)
        self._reader = RegistrationReader(connection)
        self._attendance_store = AttendanceStore(connection)
        self._clock = clock
        self._appointments = appointments

    # The desk

    async def whom(self, staff: Staff, no: str, day: date) -> AttendanceSeen:
        """Whom the desk means.

        Raises:
            Refusal: `not-found`: there is no such registration, or it is not known at which site they were.
        """
        district = self._appointments.district_of(no)
        had = await self._slot_store.ever_on_roster(day_tag(district, day), no) if district else None
        resident = had.resident if had else await self._appointments.holder(no)
        if resident is None:
            raise Refusal("not-found", reason="no-registration")
        site = staff.site or (had.site if had else None)
        if site is None:  # the operator's token is of no site
            raise Refusal("not-found", reason="not-on-roster")
        period = had.period if had is not None and had.site == site else ""
        return AttendanceSeen(no, resident, district, site, day, period, staff.actor)

    async def keep(self, seen: AttendanceSeen) -> Attended:
        """Keep a dose that met no appointment, and reconcile it where the day's roster had them; again is the same.

        Raises:
            Refusal: `not-found`: no such registration; or the city keeps no such doses.
        """
        if not await self._reader.is_number_of(seen.resident, seen.no):
            raise Refusal("not-found", reason="no-registration")
        decision = self._city.policy.attendance_off_roster
        if decision == "refuse":
            raise Refusal("not-found", reason="not-on-roster")
        kept = KeptAttendance(
            seen.resident, seen.site, seen.day.isoformat(), seen.period, seen.actor, self._clock.now_ms()
        )
        await self._attendance_store.keep_attendance(seen.district, seen.no, kept)
        period = seen.period or await self._period_before(seen)
        if decision == "reconcile" and period:
            done = await self._reconcile(seen.no, msgspec.structs.replace(kept, period=period), seen.actor, "")
            if done.status == "reconciled":
                kept = msgspec.structs.replace(kept, state="reconciled", fulfilled_no=done.no)
                await self._attendance_store.keep_attendance(seen.district, seen.no, kept, replace=True)
            if done.is_fulfilled:
                at = from_ms(done.at_ms, self._city.tz)
                return Attended(seen.no, seen.site, seen.day, period, "fulfilled", at)
        log.warning("attendance unmatched", registration_no=seen.no, site=seen.site, actor=seen.actor)
        at = from_ms(kept.at_ms, self._city.tz)
        return Attended(seen.no, seen.site, seen.day, period or None, "unmatched", at)

    async def _period_before(self, seen: AttendanceSeen) -> str:
        """The period of an appointment there on that day, cancelled before rosters kept who had been on them."""
        kept = await self._reader.registration(seen.resident)
        is_it = kept is not None and (kept.no, kept.site, kept.day) == (seen.no, seen.site, seen.day)
        return kept.period or "" if kept is not None and is_it else ""

    async def _reconcile(self, no: str, kept: KeptAttendance, actor: str, why: str) -> Reconciled:
        """Let the resident's registration be fulfilled, and its slot of another day follow."""
        slot = Appointment(kept.site, kept.day, kept.period)
        for _ in range(_TRIES):
            latest = await self._reader.registration(kept.resident)
            held = ""
            since_ms = 0
            if latest and latest.day:  # noted before, so that a slot is freed whatever happens in between
                held = latest.day.isoformat()
                since_ms = await self._slot_store.unsettle(
                    day_tag(latest.district, latest.day), latest.no, kept.resident
                )
            try:
                done = await self._attendance_store.reconcile_attendance(
                    Change(kept.resident, no, actor), slot, why, held
                )
            except UnknownStatus:  # whatever it did, the slot follows
                await self._follow(latest, kept.resident, since_ms)
                raise
            await self._follow(latest, kept.resident, since_ms)
            if done.unbarred:
                await self._appointments.forget_bar(done.no)
            if done.status == "reconciled":
                log.info("attendance reconciled", registration_no=no, fulfilled=done.no, site=kept.site, actor=actor)
            if done.status != "moved":
                return done
        raise StoreUnavailable

    async def _follow(self, latest: Registration | None, resident: bytes, since_ms: int) -> None:
        """Let the slot of a registration, as it was just read, follow it."""
        if latest and latest.day:
            await self._appointments.settle(latest.district, latest.no, resident, latest.day, since_ms)

    # The operator

    async def listed(self) -> list[UnmatchedAttendance]:
        """What is kept: what has to be settled first, then the oldest."""
        found = []
        for code, attendances in zip(self._codes, await self._attendance_store.attendances(self._codes), strict=True):
            for no, it in attendances:
                at, day = from_ms(it.at_ms, self._city.tz), date.fromisoformat(it.day)
                found.append(
                    UnmatchedAttendance(no, code, it.site, day, it.state, it.fulfilled_no or None, it.actor, at)
                )
        return sorted(found, key=lambda it: (it.state != "unmatched", it.at, it.registration_no))

    async def accept(self, no: str, day: date, reason: str) -> UnmatchedAttendance:
        """The operator says that the dose was given: the resident's registration is fulfilled by it; again is the same.

        Raises:
            Refusal: `not-found`: it is not on the list. `used`: another dose is on record already.
            Invalid: no reason.
        """
        why = said_reason(reason)
        code, kept = await self._one(no, day)
        if kept.state == "unmatched":
            latest = None if kept.period else await self._reader.registration(kept.resident)
            period = kept.period or (latest.period if latest else None) or next(iter(self._city.periods))
            done = await self._reconcile(no, msgspec.structs.replace(kept, period=period), "operator", why)
            if not done.is_fulfilled:
                raise Refusal("used", reason="other-dose")
            kept = msgspec.structs.replace(kept, state="reconciled", fulfilled_no=done.no)
            await self._attendance_store.keep_attendance(code, no, kept, replace=True)
        at = from_ms(kept.at_ms, self._city.tz)
        return UnmatchedAttendance(no, code, kept.site, day, kept.state, kept.fulfilled_no or None, kept.actor, at)

    async def settle(self, no: str, day: date, reason: str) -> None:
        """The operator has looked at it: it goes from the list.

        Raises:
            Refusal: `not-found`: it is not on the list.
            Invalid: no reason.
        """
        why = said_reason(reason)
        code, kept = await self._one(no, day)
        said: dict[str, str | int] = {"at_ms": self._clock.now_ms(), "actor": "operator", "attendance": no}
        said |= {"site": kept.site, "said_by": kept.actor, "said_ms": kept.at_ms, "state": kept.state, "reason": why}
        await self._attendance_store.settle_attendance(code, no, day, day_tag(code, day), **said)
        log.info("attendance settled", registration_no=no, state=kept.state, actor="operator")

    async def _one(self, no: str, day: date) -> tuple[str, KeptAttendance]:
        for code, attendances in zip(self._codes, await self._attendance_store.attendances(self._codes), strict=True):
            for number, kept in attendances:
                if (number, kept.day) == (no, day.isoformat()):
                    return code, kept
        raise Refusal("not-found", reason="no-attendance")


def said_reason(reason: str) -> str:
    """A reason as it is kept: a number that was typed into it may be a phone's.

    Raises:
        Invalid: there is none.
    """
    if not reason.strip():
        raise Invalid(("reason", "empty"))
    return _NUMBER.sub("****", reason.strip())
