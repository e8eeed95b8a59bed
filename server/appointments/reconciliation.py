"""What a crash left between a registration and its slot is found by its note, and finished.

The resident's registration is the authority; a day's roster is derived from it. Between the two there is no
transaction: what is being given or freed is noted first (`unsettled`, `closures`).
"""

from collections.abc import Sequence
from datetime import date, timedelta

import structlog

from server.appointments.closures import ClosedSite, Closures
from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.districts import District
from server.core.errors import BrokenRecord, UnknownStatus
from server.core.keys import day_tag
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

# The furthest date that reconciling looks at; the night allots nothing further ahead.
_HORIZON_DAYS = 35


class Reconciliation:
    """Lets slots follow registrations.

    Args:
        city: its districts.
        connection: registrations and rosters.
        clock: city time.
        closures: finishes what is left of one.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, closures: Closures) -> None:
        self._city = city
        self._slot_store = SlotStore(connection)
        self._pointers = Pointers(connection)
        self._reader = RegistrationReader(connection)
        self._clock = clock
        self._closures = closures

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

    async def reconcile(self, older_than_ms: int = 60_000, districts: Sequence[District] | None = None) -> int:
        """Finish what a crash left between a registration and its slot; how many slots that concerned.

        Looks at what was noted, not at the city: the work is in proportion to what was under way.

        Args:
            older_than_ms: what is younger than this may be under way, and is left alone.
            districts: where; all by default.

        One whose registration cannot be read is left as it is: it keeps no night from being run.

        Raises:
            UnknownStatus: of one of them; the others are finished.
        """
        today = from_ms(self._clock.now_ms(), self._city.tz).date()
        days = [today + timedelta(days=n) for n in range(-1, _HORIZON_DAYS)]
        places = [(district.code, day) for district in districts or self._city.districts for day in days]
        tags = [day_tag(*place) for place in places]
        before_ms = self._clock.now_ms() - older_than_ms
        reconciled = 0
        unknown: UnknownStatus | None = None
        for (district, day), changes in zip(places, await self._slot_store.open_changes(tags), strict=True):
            for change in changes:
                if change.since_ms > before_ms:
                    continue
                try:
                    await self.settle(district, change.no, change.resident, day, change.since_ms)
                    reconciled += 1
                except BrokenRecord:  # its slot stays as it is, and noted
                    continue
                except UnknownStatus as error:  # of one; the others are reconciled all the same
                    unknown = error
        for (district, day), closures in zip(places, await self._slot_store.closures(tags), strict=True):
            for (site, period), closure in closures.items():
                try:
                    reconciled += await self._closures.finish(ClosedSite(district, day, site, period), closure)
                except UnknownStatus as error:
                    unknown = error
        if reconciled:
            log.info("reconciled", slots=reconciled)
        if unknown is not None:
            raise unknown
        return reconciled
