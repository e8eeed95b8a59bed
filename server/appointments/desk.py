"""The desk of a site: who is expected on a day, and who has come."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import assert_never

import msgspec
import structlog

from server.appointments.appointments import Appointments
from server.appointments.shared_numbers import SharedNumbers, holder_of
from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.appointments.staff import Staff
from server.appointments.store import AppointmentStore
from server.appointments.undoing import Undoing
from server.appointments.unmatched import Attended, Unmatched
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import Cipher
from server.core.errors import Invalid
from server.core.keys import day_tag
from server.core.masks import mask_name, mask_phone
from server.records.registration import registration_of
from server.records.registration_changes import Change
from server.records.slot import RosterEntry, SitePeriod
from server.registry.contacts import readable_contact
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

# How late an offline desk may be; after that a no-show is the operator's to put right.
_LATEST_DAYS = 7


class ClosureView(msgspec.Struct):
    """A period in which a site does not vaccinate."""

    period: str
    reason: str


class RosterLine(msgspec.Struct):
    """One appointment as the desk needs it; the name and the phone are masked.

    `holder`: of a number that two residents have or had: whose this appointment is, to be said in `POST /attendances`.
    `undo_before`: until when the mark of who has come can be taken back, null where it cannot.
    """

    registration_no: str
    name: str
    phone: str
    period: str
    product: str
    dose: int
    state: str
    holder: str | None = None
    undo_before: datetime | None = None


class Roster(msgspec.Struct):
    """A site's day (contract, `GET /sites/{site}/roster`)."""

    site: str
    name_zh: str
    name_en: str
    district: str
    date: date
    closures: list[ClosureView]
    entries: list[RosterLine]


class Desk:
    """What the desk sees and says.

    Args:
        city: its time zone.
        connection: rosters and registrations.
        clock: city time.
        cipher: decrypts names and phones for their masks.
        appointments: lifts the bar of who was there after all.
        unmatched: finds whom the desk means, and keeps what meets no appointment.
        shared: knows the numbers that two residents have.
        undoing: knows until when a mark can be taken back.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        cipher: Cipher,
        appointments: Appointments,
        unmatched: Unmatched,
        shared: SharedNumbers,
        undoing: Undoing,
    ) -> None:
        self._city = city
        self._slot_store = SlotStore(connection)
        self._reader = RegistrationReader(connection)
        self._registry_store = RegistryStore(connection)
        self._appointment_store = AppointmentStore(connection)
        self._clock = clock
        self._cipher = cipher
        self._appointments = appointments
        self._unmatched = unmatched
        self._shared = shared
        self._undoing = undoing

    async def roster(self, site: Site, day: date) -> Roster:
        """Who is expected at a site on a day, and who has come.

        Raises:
            Refusal: `store-unavailable`.
        """
        tag = day_tag(site.district, day)
        ours = sorted(
            (taken for taken in await self._slot_store.roster(tag) if taken.site == site.site),
            key=lambda taken: (self._city.place_in_day(taken.period), taken.no),
        )
        (closures,) = await self._slot_store.closures([tag])
        closed = [
            ClosureView(period, closures[SitePeriod(site.site, period)].reason)
            for period in self._city.periods
            if SitePeriod(site.site, period) in closures
        ]
        entries = await self._entries(ours, day)
        return Roster(site.site, site.name_zh, site.name_en, site.district, day, closed, entries)

    async def _entries(self, ours: Sequence[RosterEntry], day: date) -> list[RosterLine]:
        if not ours:
            return []
        residents = [taken.resident for taken in ours]
        kept = await self._reader.registrations(residents)
        known = await self._registry_store.residents(residents)
        shared = await self._shared.among([(taken.no, taken.resident) for taken in ours])
        entries = []
        for taken, read, person in zip(ours, kept, known, strict=True):
            # The roster is derived: whoever cancelled a moment ago, or has another appointment by now, is left out.
            registration = registration_of(read, taken.no)
            if registration is None or not registration.holds_slot(taken.no, day):
                continue
            name, phone = self._masked(taken.resident, person.first_dose.contact if person.first_dose else b"")
            dose = 2 if registration.first_dose else 1
            holder = holder_of(taken.resident, taken.no) if taken.no in shared else None
            undo_before = self._undoing.until(registration)
            entries.append(
                RosterLine(
                    taken.no, name, phone, taken.period, taken.product, dose, registration.state, holder, undo_before
                )
            )
        return entries

    def _masked(self, resident: bytes, contact: bytes) -> tuple[str, str]:
        opened = readable_contact(self._cipher, resident, contact)
        return (mask_name(opened.name), mask_phone(opened.phone)) if opened else ("*", "****")

    async def attend(self, staff: Staff, no: str, day: date, holder: str | None = None) -> Attended:
        """The desk has given a resident their dose; again answers the same. A desk that was offline may be days late.

        Who does not hold that appointment any more was there all the same: see `server.appointments.unmatched`. Of a
        number that two have, nobody is marked present without the `holder` of the roster's line.

        Raises:
            Refusal: `not-found`: there is no such registration, or two, and it is not said which.
            Invalid: a day that is yet to come, or too long ago.
        """
        today = from_ms(self._clock.now_ms(), self._city.tz).date()
        if day > today:
            raise Invalid(("date", "future"))
        if day < today - timedelta(days=_LATEST_DAYS):
            raise Invalid(("date", "long-ago"))
        seen = await self._unmatched.whom(staff, no, day)
        await self._shared.check_holder(seen.resident, no, holder, site=seen.site, actor=staff.actor)
        status, at_ms, unbarred = await self._appointment_store.attend(
            Change(seen.resident, no, staff.actor), seen.site, day.isoformat()
        )
        match status:
            case "other" | "absent":
                return await self._unmatched.keep(seen)
            case "attended":
                log.info("attended", registration_no=no, site=seen.site, actor=staff.actor)
            case "again":
                pass
            case _:
                assert_never(status)
        if unbarred:
            await self._appointments.forget_bar(no)
        latest = await self._reader.registration(seen.resident)
        period = (latest.period if latest else None) or next(iter(self._city.periods))
        return Attended(no, seen.site, day, period, "fulfilled", from_ms(at_ms, self._city.tz))
