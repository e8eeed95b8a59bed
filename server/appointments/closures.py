"""A site that does not vaccinate in a period: everyone on it is sent back, to be allotted anew with priority."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, assert_never

import msgspec
import structlog

from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.appointments.staff import Staff
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import BrokenRecord, Invalid, UnknownStatus
from server.core.keys import day_tag
from server.records.registration import Appointment
from server.records.registration_changes import Change
from server.records.slot import Closure
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

log = structlog.get_logger()


class Closed(msgspec.Struct):
    """What the site is told (contract, `POST /sites/{site}/closures`); `sent_back`: how many are allotted anew."""

    site: str
    date: date
    period: str | None
    reason: str
    sent_back: int


class ClosedSite(NamedTuple):
    """A site in a period of a day."""

    district: str
    day: date
    site: str
    period: str

    @property
    def appointment(self) -> Appointment:
        """As a registration has it."""
        return Appointment(self.site, self.day.isoformat(), self.period)


class Closures:
    """Closes sites.

    Args:
        city: periods of the day, time zone.
        connection: registrations and rosters.
        clock: city time.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock) -> None:
        self._city = city
        self._slot_store = SlotStore(connection)
        self._appointment_store = AppointmentStore(connection)
        self._pointers = Pointers(connection)
        self._reader = RegistrationReader(connection)
        self._clock = clock

    async def close(self, staff: Staff, site: Site, day: date, period: str | None, reason: str) -> Closed:
        """Close a site for a period of a day, or the whole day: everyone on it is allotted anew, with priority.

        Raises:
            Invalid: a day that is over, no reason, or a period that the city does not have.
        """
        if period is not None and period not in self._city.periods:
            raise Invalid(("period", "type"))
        if day < self._today():
            raise Invalid(("date", "past"))
        if not reason.strip():
            raise Invalid(("reason", "empty"))
        tag = day_tag(site.district, day)
        sent_back = 0
        told = reason.strip()
        for each in (period,) if period else self._city.periods:
            status, waiting = await self._slot_store.close_site(tag, staff.actor, site.site, each, told)
            closure = await self._slot_store.closure(tag, site.site, each)
            if closure is not None:
                told = closure.reason  # the first word stands
            place = ClosedSite(site.district, day, site.site, each)
            sent_back += await self.send_back(place, staff.actor, told, waiting)
            if status == "closed":
                log.info("site closed", site=site.site, date=day.isoformat(), period=each, actor=staff.actor)
        return Closed(site.site, day, period, told, sent_back)

    async def send_back(self, place: ClosedSite, actor: str, why: str, waiting: Sequence[tuple[str, bytes]]) -> int:
        """Let these (number, resident) wait for another appointment; how many do by this.

        Raises:
            UnknownStatus: of one of them; the others are sent back.
        """
        count = 0
        unknown: UnknownStatus | None = None
        for no, resident in waiting:
            try:
                count += await self.reopen(Change(resident, no, actor), place, why)
                kept = await self._reader.registration(resident)
            except BrokenRecord:  # it stays on the roster until it can be read
                continue
            except UnknownStatus as error:  # the others are sent back all the same; this one when it is reconciled
                unknown = error
                continue
            # Who came or was missed stays on the roster: it did happen. What is just being given is `give`'s to mend.
            if (
                kept is None
                or kept.no != no
                or kept.state == "cancelled"
                or (kept.state == "proposed" and kept.taken_back == place.appointment)
            ):
                await self._slot_store.vacate(day_tag(place.district, place.day), no)
        if unknown is not None:
            raise unknown
        return count

    async def reopen(self, change: Change, place: ClosedSite, why: str) -> bool:
        """Let a registration wait for another appointment, and let those who must know of it know; whether it does by
        this."""
        waiting = [(change.no, change.resident)]
        # Before, for a crash in between; and after, as a night that saw it booked just before may have dropped it.
        await self._appointment_store.keep_pending(place.district, waiting)
        status = await self._appointment_store.reopen(change, place.appointment, why)
        await self._appointment_store.keep_pending(place.district, waiting)
        if status == "unbarred":
            await self._slot_store.forget_bar(place.district, change.no)
        await self._pointers.write_pointers([(place.district, change.resident)])
        match status:
            case "reopened" | "unbarred":
                return True
            case "other" | "absent":
                return False
            case _:
                assert_never(status)

    async def finish(self, place: ClosedSite, closure: Closure) -> int:
        """Send those back whom a crash has left on it; how many."""
        _, waiting = await self._slot_store.close_site(
            day_tag(place.district, place.day), closure.actor, place.site, place.period, closure.reason
        )
        return await self.send_back(place, closure.actor, closure.reason, waiting)

    def _today(self) -> date:
        return from_ms(self._clock.now_ms(), self._city.tz).date()
