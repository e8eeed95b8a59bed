"""A desk that has marked the wrong person as attended takes it back, within minutes and with a reason."""

from datetime import date, datetime
from typing import Final, assert_never

import msgspec
import structlog

from server.appointments.shared_numbers import SharedNumbers
from server.appointments.slot_store import SlotStore
from server.appointments.staff import Staff
from server.appointments.store import AppointmentStore
from server.appointments.unmatched import Unmatched, said_reason
from server.core.city import City
from server.core.clock import Clock, from_ms, to_ms
from server.core.errors import Refusal, UnknownStatus
from server.records.registration import Registration
from server.records.registration_changes import Change
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

UNDO_MINUTES: Final = 10
"""So long after a mark it can be taken back: the next resident in the queue finds the mistake, or the one after."""


class Undone(msgspec.Struct):
    """What the desk is told (`POST /attendances/{no}/undo`); `state`: `booked`, or `noshow` as it was before."""

    registration_no: str
    site: str
    date: date
    state: str


class Undoing:
    """Takes marks back.

    Args:
        city: its hours and time zone.
        connection: registrations.
        clock: city time.
        unmatched: finds whom the desk means.
        shared: knows the numbers that two residents have.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        unmatched: Unmatched,
        shared: SharedNumbers,
    ) -> None:
        self._city = city
        self._appointment_store = AppointmentStore(connection)
        self._slot_store = SlotStore(connection)
        self._reader = RegistrationReader(connection)
        self._clock = clock
        self._unmatched = unmatched
        self._shared = shared

    def until(self, registration: Registration) -> datetime | None:
        """Until when the mark of this registration can be taken back; None where it cannot."""
        if registration.state != "fulfilled" or not registration.attended_from or registration.day is None:
            return None
        until_ms = (registration.closed_ms or 0) + UNDO_MINUTES * 60_000
        if registration.attended_from == "booked":
            until_ms = min(until_ms, self._closes_ms(registration.day))
        return from_ms(until_ms, self._city.tz) if self._clock.now_ms() < until_ms else None

    def _closes_ms(self, day: date) -> int:
        """When the city closes on a day, after which the night may count who has not come."""
        return to_ms(self._city.at(day, self._city.open_hours.closes))

    async def undo(self, staff: Staff, no: str, day: date, reason: str, holder: str | None = None) -> Undone:
        """Take a mark back; again answers the same.

        Raises:
            Refusal: `not-found`: no such registration, or no desk has marked it; `too-late`.
            Invalid: no reason.
        """
        why = said_reason(reason)
        seen = await self._unmatched.whom(staff, no, day)
        await self._shared.check_holder(seen.resident, no, holder, site=seen.site, actor=staff.actor)
        status = await self._appointment_store.unattend(
            Change(seen.resident, no, staff.actor), seen.site, day.isoformat(), why,
            within_ms=UNDO_MINUTES * 60_000, closes_ms=self._closes_ms(day),
        )  # fmt: skip
        match status:
            case "unattended" | "again" | "barred":
                pass
            case "late":
                raise Refusal("too-late", reason="undo-late")
            case "other" | "absent":
                raise Refusal("not-found", reason="no-attendance")
            case _:
                assert_never(status)
        latest = await self._reader.registration(seen.resident)
        if latest is None:
            raise UnknownStatus("unattend")
        if status != "again":
            log.info("attendance undone", registration_no=no, site=seen.site, actor=staff.actor)
        if latest.state == "noshow" and (await self._reader.with_history(seen.resident))[1].barred:
            await self._slot_store.note_bar(seen.district, no, seen.resident)  # again: a crash may have come between
        return Undone(no, seen.site, day, latest.state)
