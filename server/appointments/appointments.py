"""What becomes of an appointment: given, missed, cancelled, or taken back because the site is closed."""

from collections.abc import Sequence
from datetime import date
from typing import assert_never

import structlog

from server.appointments.closures import Closed, Closures
from server.appointments.giving import SlotGiver
from server.appointments.reconciliation import Reconciliation
from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.appointments.staff import Staff
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import Invalid, Refusal, UnknownStatus
from server.core.keys import day_tag, opening_tag, parts_of
from server.records.registration_changes import CancelStatus, Change, MissStatus
from server.records.slot import NumberOrigin, RosterEntry
from server.records.statuses import known
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.pointers import Pointers

log = structlog.get_logger()

# What somebody typed who came for a first dose and cancelled: long enough to come again, not to keep anybody out.
_TYPED_LIVES_MS = 12 * 3_600_000


class Appointments:
    """Appointments of all sites. What its parts do is called there directly: giving slots, reconciling after a crash.

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
        self._registry_store = RegistryStore(connection)
        self._clock = clock
        self._closures = Closures(city, connection, clock)
        self._reconciliation = Reconciliation(city, connection, clock, self._closures)
        self.reconcile = self._reconciliation.reconcile
        self.give = SlotGiver(city, connection, self._closures, self._reconciliation).give

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
        await self._reconciliation.settle(district, no, resident, day, since_ms)

    async def miss(self, district: str, day: date, missed: Sequence[tuple[RosterEntry, bool]]) -> list[MissStatus]:
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

    async def close(self, staff: Staff, site: Site, day: date, period: str | None, reason: str) -> Closed:
        """Close a site for a period of a day, or the whole day: everyone on it is allotted anew, with priority.

        Raises:
            Invalid: a day that is over, no reason, or a period that the city does not have.
        """
        return await self._closures.close(staff, site, day, period, reason)

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
        it = self.origin_of(no)
        return await self._slot_store.holder(it.opening, it.entry, it.district, no) if it else None

    def origin_of(self, no: str) -> NumberOrigin | None:
        """Where a registration number comes from; None for what is none of this city."""
        parts, district = parts_of(no, self._today()), self.district_of(no)
        if parts is None or not district:
            return None
        return NumberOrigin(no, district, opening_tag(district, parts.day, parts.window), parts.entry)


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
