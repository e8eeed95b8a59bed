"""What becomes of an appointment: given, missed, cancelled, or taken back because the site is closed.

The resident's registration is the authority; a day's roster is derived from it. Between the two there is no
transaction: what is being given or freed is noted first (`unsettled`, `closures`), and `repair` finishes what a crash
left.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, NamedTuple, TypeAlias, assert_never

import msgspec
import structlog

from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.appointments.staff import Staff
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.clock import Clock, from_ms, to_ms
from server.core.districts import District
from server.core.errors import Invalid, NotUnderstood, Refusal, UnknownStatus
from server.core.keys import day_tag, opening_tag, parts_of
from server.records.registration import Appointment
from server.records.registration_changes import Booking, CancelStatus, Change, MissStatus
from server.records.slot import Closure, SitePeriod, Taken, TakeStatus
from server.records.statuses import known
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

# The furthest date that the repair looks at; the night allots nothing further ahead.
_HORIZON_DAYS = 35
# What somebody typed who came for a first dose and cancelled: long enough to come again, not to keep anybody out.
_TYPED_LIVES_MS = 12 * 3_600_000


GaveStatus: TypeAlias = Literal["booked", "again", "full", "closed", "other", "absent"]
"""What came of giving a slot to a registration."""


class Closed(msgspec.Struct):
    """What the site is told (contract, `POST /sites/{site}/closures`); `sent_back`: how many are allotted anew."""

    site: str
    date: date
    period: str | None
    reason: str
    sent_back: int


class Giving(NamedTuple):
    """Who is to get which slot on which day; the rest as in `Booking`."""

    slot: Taken
    day: date
    night: str = ""
    leaf: int | str = ""
    frozen_ms: int = 0


class Place(NamedTuple):
    """A site in a period of a day."""

    district: str
    day: date
    site: str
    period: str

    @property
    def appointment(self) -> Appointment:
        """As a registration has it."""
        return Appointment(self.site, self.day.isoformat(), self.period)


class Appointments:
    """Appointments of all sites.

    Args:
        city: districts, hours, no-show limit.
        connection: registrations and rosters.
        clock: city time.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock) -> None:
        self._city = city
        self._slot_store = SlotStore(connection)
        self._appointment_store = AppointmentStore(connection)
        self._pointers = Pointers(connection)
        self._reader = RegistrationReader(connection)
        self._registry_store = RegistryStore(connection)
        self._clock = clock

    # Giving and freeing

    async def give(self, district: str, wanted: Sequence[Giving], actor: str) -> list[GaveStatus | NotUnderstood]:
        """Take slots and give them to registrations; each `booked`, `again`, or why not (`full`, `closed`, `other`).

        Where the store's word on one is not understood, the others get theirs, and that one's slot follows what its
        registration says; so it may be given again.

        Args:
            district: code of the sites' district.
            wanted: who gets what; of one registration at most one.
            actor: who, for the audit log.
        """
        tags = [day_tag(district, giving.day) for giving in wanted]
        took = await self._slot_store.take([(tag, giving.slot) for tag, giving in zip(tags, wanted, strict=True)])
        statuses: list[GaveStatus | NotUnderstood] = [_until_booked(it) for it in took]
        noted_ms = {i: it[1] for i, it in enumerate(took) if not isinstance(it, UnknownStatus)}
        taken = [i for i, status in enumerate(statuses) if status == "again"]
        booked = await self._appointment_store.book([self._booking(wanted[i], actor) for i in taken])
        await self._pointers.write_pointers([(district, wanted[i].slot.resident) for i in taken])
        for i, status in zip(taken, booked, strict=True):
            statuses[i] = status
            if status not in ("booked", "again"):  # cancelled in this moment, say
                slot = wanted[i].slot
                try:
                    await self.settle(district, slot.no, slot.resident, wanted[i].day, noted_ms[i])
                except NotUnderstood as unknown:  # the others are given theirs all the same
                    statuses[i] = unknown
        held = [i for i in taken if statuses[i] in ("booked", "again")]
        await self._slot_store.settle([(tags[i], wanted[i].slot.no, noted_ms[i]) for i in held])
        mended = await self._mend(district, wanted, held, actor)
        return [mended.get(i, status) for i, status in enumerate(statuses)]

    def _booking(self, giving: Giving, actor: str) -> Booking:
        slot, day, night, leaf, frozen_ms = giving
        change = Change(slot.resident, slot.no, actor)
        appointment = Appointment(slot.site, day.isoformat(), slot.period)
        return Booking(change, appointment, to_ms(self._city.cancel_before(day)), night, leaf, frozen_ms)

    async def _mend(
        self,
        district: str,
        wanted: Sequence[Giving],
        held: Sequence[int],
        actor: str,
    ) -> dict[int, GaveStatus | NotUnderstood]:
        """Between taking and booking the site may have been closed, and has left these to us; or we were so long that a
        repair has freed the slot: what became of them then."""
        mended: dict[int, GaveStatus | NotUnderstood] = {}
        days = sorted({wanted[i].day for i in held})
        closures = dict(zip(days, await self._slot_store.closures([day_tag(district, d) for d in days]), strict=True))
        on_roster = await self._slot_store.are_on_rosters(
            [(day_tag(district, wanted[i].day), wanted[i].slot.no) for i in held]
        )
        for i, is_there in zip(held, on_roster, strict=True):
            slot, day, *_ = wanted[i]
            place = Place(district, day, slot.site, slot.period)
            closure = closures[day].get(SitePeriod(slot.site, slot.period))
            try:
                if closure is not None:
                    await self._send_back(place, closure.actor, closure.reason, [(slot.no, slot.resident)])
                    mended[i] = "closed"
                elif not is_there:
                    await self._reopen(Change(slot.resident, slot.no, actor), place, "")
                    mended[i] = "other"
            except NotUnderstood as unknown:
                mended[i] = unknown
        return mended

    async def cancel(self, change: Change, district: str, held: date | None, why: str = "") -> CancelStatus:
        """Close a registration and free its slot; the status of `cancel`.

        Args:
            change: whose, which, who closes it.
            district: its district.
            held: the day of its appointment, as just read; where there is another meanwhile (`moved`), read it and ask
                again.
            why: the reason, where it is not their wish.
        """
        resident, no, _ = change
        # Without a slot as well: the message that is owed then must be found after a crash.
        day = held or self._today()
        since_ms = await self._slot_store.unsettle(day_tag(district, day), no, resident)
        try:
            told = held.isoformat() if held else ""
            status = await self._appointment_store.cancel(change, told, _TYPED_LIVES_MS, why)
        except UnknownStatus:  # whatever it did, the slot follows
            await self.settle(district, no, resident, day, since_ms)
            raise
        await self.settle(district, no, resident, day, since_ms)
        return status

    async def settle(self, district: str, no: str, resident: bytes, day: date, since_ms: int) -> None:
        """Let what is owed and the slot follow the registration: it keeps a slot that is its appointment's.

        Only as far as the note of that time goes: whoever has taken the matter up since, finishes it.
        """
        tag = day_tag(district, day)
        await self._pointers.write_pointers([(district, resident)])
        kept = await self._reader.registration(resident)
        if kept is not None and kept.holds_slot(no, day):
            await self._slot_store.settle([(tag, no, since_ms)])
        else:
            await self._slot_store.vacate(tag, no, since_ms)

    async def miss(self, district: str, day: date, missed: Sequence[tuple[Taken, bool]]) -> list[MissStatus]:
        """Count appointments as missed (announcement A9); the status of `miss` for each.

        Args:
            district: code of their district.
            day: their date.
            missed: lines of the day's roster, and whether each counts as a no-show.

        Raises:
            UnknownStatus: of one of them; the others are counted.
        """
        changes = [(Change(slot.resident, slot.no, "night"), charge) for slot, charge in missed]
        answers = await self._appointment_store.miss(changes, day.isoformat(), self._city.policy.no_show_limit)
        # Again: a crash may have come between the bar and the note of it.
        asked = [slot for (slot, _), answer in zip(missed, answers, strict=True) if _may_be_barred(answer)]
        if asked:
            residents = await self._registry_store.residents([slot.resident for slot in asked])
            for slot, resident in zip(asked, residents, strict=True):
                if resident.stop == "barred":
                    await self._slot_store.note_bar(district, slot.no, slot.resident)
            await self._pointers.write_pointers([(district, slot.resident) for slot in asked])
        return [status for status, _ in known(answers)]

    # The site

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
            place = Place(site.district, day, site.site, each)
            sent_back += await self._send_back(place, staff.actor, told, waiting)
            if status == "closed":
                log.info("site closed", site=site.site, date=day.isoformat(), period=each, actor=staff.actor)
        return Closed(site.site, day, period, told, sent_back)

    async def _send_back(self, place: Place, actor: str, why: str, waiting: Sequence[tuple[str, bytes]]) -> int:
        count = 0
        unknown: NotUnderstood | None = None
        for no, resident in waiting:
            try:
                count += await self._reopen(Change(resident, no, actor), place, why)
                kept = await self._reader.registration(resident)
            except NotUnderstood as error:  # the others are sent back all the same; this one by a repair
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

    async def _reopen(self, change: Change, place: Place, why: str) -> bool:
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

    # The operator

    async def lift_bar(self, no: str, reason: str) -> None:
        """Let a barred resident use this channel again (announcement A9).

        Raises:
            Refusal: `not-found`: no such registration, or no bar.
            Invalid: no reason.
        """
        if not reason.strip():
            raise Invalid(("reason", "empty"))
        district = self.district_of(no)
        resident = await self.holder(no)
        if resident is None or not await self._appointment_store.lift(Change(resident, no, "operator"), reason.strip()):
            raise Refusal("not-found", reason="no-bar")
        await self._slot_store.forget_bar(district, no)
        log.info("bar lifted", registration_no=no, actor="operator")

    # After a crash

    async def repair(self, older_than_ms: int = 60_000, districts: Sequence[District] | None = None) -> int:
        """Finish what a crash left between a registration and its slot; how many slots that concerned.

        Looks at what was noted, not at the city: the work is in proportion to what was under way.

        Args:
            older_than_ms: what is younger than this may be under way, and is left alone.
            districts: where; all by default.

        Raises:
            NotUnderstood: of one of them; the others are finished.
        """
        today = self._today()
        days = [today + timedelta(days=n) for n in range(-1, _HORIZON_DAYS)]
        places = [(district.code, day) for district in districts or self._city.districts for day in days]
        tags = [day_tag(*place) for place in places]
        before_ms = self._clock.now_ms() - older_than_ms
        mended = 0
        unknown: NotUnderstood | None = None
        for (district, day), changes in zip(places, await self._slot_store.open_changes(tags), strict=True):
            for change in changes:
                if change.since_ms > before_ms:
                    continue
                try:
                    await self.settle(district, change.no, change.resident, day, change.since_ms)
                    mended += 1
                except NotUnderstood as error:  # of one; the others are mended all the same
                    unknown = error
        for (district, day), closures in zip(places, await self._slot_store.closures(tags), strict=True):
            for (site, period), closure in closures.items():
                try:
                    mended += await self._repair_closure(Place(district, day, site, period), closure)
                except NotUnderstood as error:
                    unknown = error
        if mended:
            log.info("repaired", slots=mended)
        if unknown is not None:
            raise unknown
        return mended

    async def _repair_closure(self, place: Place, closure: Closure) -> int:
        _, waiting = await self._slot_store.close_site(
            day_tag(place.district, place.day), closure.actor, place.site, place.period, closure.reason
        )
        return await self._send_back(place, closure.actor, closure.reason, waiting)

    def _today(self) -> date:
        return from_ms(self._clock.now_ms(), self._city.tz).date()

    def district_of(self, no: str) -> str:
        """Code of the district that a registration number names, "" where there is none."""
        parts = parts_of(no, self._today())
        number = parts.district_no if parts else 0
        return next((district.code for district in self._city.districts if district.no == number), "")

    async def forget_bar(self, no: str) -> None:
        """A bar that came of this registration is gone."""
        await self._slot_store.forget_bar(self.district_of(no), no)

    async def holder(self, no: str) -> bytes | None:
        """The resident behind a registration number."""
        parts, district = parts_of(no, self._today()), self.district_of(no)
        if parts is None or not district:
            return None
        tag = opening_tag(district, parts.day, parts.window)
        return await self._slot_store.holder(tag, parts.entry, district, no)


def _until_booked(took: tuple[TakeStatus, int] | UnknownStatus) -> GaveStatus | NotUnderstood:
    """What came of taking a slot; `again` for one that is taken, which is to be booked now."""
    if isinstance(took, UnknownStatus):
        return took
    match took[0]:
        case "taken" | "again":
            return "again"
        case "full" | "closed" | "other":
            return took[0]
        case _:
            assert_never(took[0])


def _may_be_barred(missed: tuple[MissStatus, int] | UnknownStatus) -> bool:
    """Whether an appointment that was missed may have barred its holder, now or before a crash."""
    if isinstance(missed, UnknownStatus):
        return False
    match missed[0]:
        case "barred" | "again":
            return True
        case "missed" | "other" | "absent":
            return False
        case _:
            assert_never(missed[0])
