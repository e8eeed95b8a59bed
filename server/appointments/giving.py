"""Giving slots: taken on the day's roster first, then booked on the resident's registration."""

from collections.abc import Sequence
from datetime import date
from typing import Literal, NamedTuple, TypeAlias, assert_never

from server.appointments.closures import ClosedSite, Closures
from server.appointments.reconciliation import Reconciliation
from server.appointments.slot_store import SlotStore
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.clock import to_ms
from server.core.errors import BrokenRecord, UnknownStatus
from server.core.keys import day_tag
from server.records.registration import Appointment
from server.records.registration_changes import Booking, Change
from server.records.slot import RosterEntry, SitePeriod, TakeStatus
from server.store.connection import Connection
from server.store.pointers import Pointers

GaveStatus: TypeAlias = Literal["booked", "again", "full", "closed", "other", "absent"]
"""What came of giving a slot to a registration."""


class SlotGrant(NamedTuple):
    """Who is to get which slot on which day; the rest as in `Booking`."""

    slot: RosterEntry
    day: date
    night: str = ""
    leaf: int | str = ""
    frozen_ms: int = 0


class SlotGiver:
    """Gives slots to registrations.

    Args:
        city: until when an appointment may be cancelled.
        connection: registrations and rosters.
        closures: sends back who was given a slot of a site that is closed.
        reconciliation: lets a slot follow its registration.
    """

    def __init__(self, city: City, connection: Connection, closures: Closures, reconciliation: Reconciliation) -> None:
        self._city = city
        self._slot_store = SlotStore(connection)
        self._appointment_store = AppointmentStore(connection)
        self._pointers = Pointers(connection)
        self._closures = closures
        self._reconciliation = reconciliation

    async def give(self, district: str, wanted: Sequence[SlotGrant], actor: str) -> list[GaveStatus | UnknownStatus]:
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
        statuses: list[GaveStatus | UnknownStatus] = [_until_booked(it) for it in took]
        noted_ms = {i: it[1] for i, it in enumerate(took) if not isinstance(it, UnknownStatus)}
        taken = [i for i, status in enumerate(statuses) if status == "again"]
        booked = await self._appointment_store.book([self._booking(wanted[i], actor) for i in taken])
        await self._pointers.write_pointers([(district, wanted[i].slot.resident) for i in taken])
        for i, status in zip(taken, booked, strict=True):
            statuses[i] = status
            if status not in ("booked", "again"):  # cancelled in this moment, say
                slot = wanted[i].slot
                try:
                    await self._reconciliation.settle(district, slot.no, slot.resident, wanted[i].day, noted_ms[i])
                except BrokenRecord:  # the slot stays taken, and noted
                    continue
                except UnknownStatus as unknown:  # the others are given theirs all the same
                    statuses[i] = unknown
        held = [i for i in taken if statuses[i] in ("booked", "again")]
        await self._slot_store.settle([(tags[i], wanted[i].slot.no, noted_ms[i]) for i in held])
        mended = await self._mend(district, wanted, held, actor)
        return [mended.get(i, status) for i, status in enumerate(statuses)]

    def _booking(self, giving: SlotGrant, actor: str) -> Booking:
        slot, day, night, leaf, frozen_ms = giving
        change = Change(slot.resident, slot.no, actor)
        appointment = Appointment(slot.site, day.isoformat(), slot.period)
        return Booking(change, appointment, to_ms(self._city.cancel_before(day)), night, leaf, frozen_ms)

    async def _mend(
        self,
        district: str,
        wanted: Sequence[SlotGrant],
        held: Sequence[int],
        actor: str,
    ) -> dict[int, GaveStatus | UnknownStatus]:
        """Between taking and booking the site may have been closed, and has left these to us; or we were so long that a
        reconciling has freed the slot: what became of them then."""
        mended: dict[int, GaveStatus | UnknownStatus] = {}
        days = sorted({wanted[i].day for i in held})
        closures = dict(zip(days, await self._slot_store.closures([day_tag(district, d) for d in days]), strict=True))
        on_roster = await self._slot_store.are_on_rosters(
            [(day_tag(district, wanted[i].day), wanted[i].slot.no) for i in held]
        )
        for i, is_there in zip(held, on_roster, strict=True):
            slot, day, *_ = wanted[i]
            place = ClosedSite(district, day, slot.site, slot.period)
            closure = closures[day].get(SitePeriod(slot.site, slot.period))
            try:
                if closure is not None:
                    await self._closures.send_back(place, closure.actor, closure.reason, [(slot.no, slot.resident)])
                    mended[i] = "closed"
                elif not is_there:
                    await self._closures.reopen(Change(slot.resident, slot.no, actor), place, "")
                    mended[i] = "other"
            except UnknownStatus as unknown:
                mended[i] = unknown
        return mended


def _until_booked(took: tuple[TakeStatus, int] | UnknownStatus) -> GaveStatus | UnknownStatus:
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
