"""One number, one registration: where a roll-back has let two residents have the same, one of them gets another."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from server.appointments.slot_store import SlotStore
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.keys import opening_tag, registration_no, window_of
from server.records.registration import Registration, registration_of
from server.records.registration_changes import Change
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

log = structlog.get_logger()


class Renumbered(NamedTuple):
    """A registration that has, or would get, another number; `new_no`: "" where that cannot be done."""

    resident: bytes
    no: str
    new_no: str


class Numbers:
    """Gives other numbers.

    Args:
        city: its districts.
        connection: where registrations are.
    """

    def __init__(self, city: City, connection: Connection) -> None:
        self._city = city
        self._reader = RegistrationReader(connection)
        self._slot_store = SlotStore(connection)
        self._appointment_store = AppointmentStore(connection)
        self._pointers = Pointers(connection)

    async def part(self, no: str, residents: Sequence[bytes], actor: str, *, dry_run: bool = False) -> list[Renumbered]:
        """Let one of the residents whose latest registration has this number keep it; what became of the others.

        It stays with who has an appointment under it, else with who registered first. Done again it finds one holder.
        """
        read = await self._reader.registrations(residents)
        holders = [(who, it) for who, each in zip(residents, read, strict=True) if (it := registration_of(each, no))]
        holders.sort(key=lambda each: (each[1].state == "proposed", each[1].registered_ms, each[0]))
        if len(holders) > 1 and not dry_run and holders[0][1].state == "proposed":
            await self._appointment_store.keep_pending(holders[0][1].district, [(no, holders[0][0])])
        return [await self._renumber(who, it, actor, dry_run=dry_run) for who, it in holders[1:]]

    async def _renumber(self, resident: bytes, it: Registration, actor: str, *, dry_run: bool) -> Renumbered:
        district = self._city.district(it.district)
        if it.state != "proposed" or district is None:
            log.error("two registrations of one number, both with an appointment", registration_no=it.no)
            return Renumbered(resident, it.no, "")
        if dry_run:
            return Renumbered(resident, it.no, it.no)
        window = window_of(it.no)
        entry = await self._slot_store.spare(opening_tag(it.district, it.opening_day, window))
        new_no = registration_no(district.no, it.opening_day, entry, window)
        change = Change(resident, it.no, actor)
        if await self._appointment_store.renumber(change, new_no, entry, it.opening_day) != "renumbered":
            return Renumbered(resident, it.no, "")
        await self._appointment_store.keep_pending(it.district, [(new_no, resident)])
        await self._pointers.write_pointers([(it.district, resident)])
        log.warning("registration renumbered", registration_no=it.no, new_no=new_no, actor=actor)
        return Renumbered(resident, it.no, new_no)
