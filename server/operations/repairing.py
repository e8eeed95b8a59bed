"""Finds what roll-backs of the store have broken in it, and mends it: registrations that no night would see, and
numbers that two residents have.

Works on all keys of the store, in no order and beside a running service; killed at any point, it is run again.
"""

from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from server.appointments.numbers import Numbers
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.keys import beside, opening_tag, window_of
from server.night.store import NightStore
from server.operations.store import OperationStore, Waits
from server.operations.walking import resident_of, walk
from server.records.night import Through
from server.store.connection import Connection
from server.store.pointers import Pointers

_ACTOR = "repair"


class Repaired(msgspec.Struct):
    """What a repair found, and mended where it was no dry run.

    `registrations`: looked at; `unseen`: numbers of those that no night would have seen; `renumbered`: (number, new
    number) of those whose number another resident has too; `left`: numbers that two have with an appointment each.
    """

    registrations: int = 0
    unseen: list[str] = msgspec.field(default_factory=list)
    renumbered: list[tuple[str, str]] = msgspec.field(default_factory=list)
    left: list[str] = msgspec.field(default_factory=list)


async def repair(
    city: City, connection: Connection, *, dry_run: bool = False, progress: Callable[[int], Any] = lambda _: None
) -> Repaired:
    """Look at every registration of the store.

    Args:
        city: its districts.
        connection: where.
        dry_run: change nothing.
        progress: told how many keys have been looked at.

    Raises:
        StoreUnavailable: what has been done so far is done; run it again.
    """
    work = _Repair(city, connection, dry_run=dry_run)
    await work.begin()
    async for keys in walk(connection, progress):
        await work.look([tag for kind, tag in keys if kind == "registration"])
    twice = work.twice()
    if twice:
        async for keys in walk(connection, lambda _: None):
            await work.find_holders([tag for kind, tag in keys if kind == "registration"], twice)
        await work.part()
    return work.done


class _Repair:
    """One repair; counts in `done`."""

    def __init__(self, city: City, connection: Connection, *, dry_run: bool) -> None:
        self._city = city
        self._operation_store = OperationStore(connection)
        self._appointment_store = AppointmentStore(connection)
        self._night_store = NightStore(connection)
        self._pointers = Pointers(connection)
        self._numbers = Numbers(city, connection)
        self._dry_run = dry_run
        self._through: dict[str, Through] = {}
        self._seen = array("Q")  # eight bytes a registration, however many there are
        self._of_number: dict[str, list[bytes]] = {}
        self.done = Repaired()

    async def begin(self) -> None:
        """How far each district's nights have come."""
        codes = [district.code for district in self._city.districts]
        self._through = dict(zip(codes, await self._night_store.through(codes), strict=True))

    async def look(self, tags: Sequence[str]) -> None:
        """Note the numbers, and mend what no night would see."""
        found = [it for it in await self._operation_store.waits(tags) if it.no]
        self._seen.extend(int(it.no) for it in found if it.no.isdecimal())
        self.done.registrations += len(found)
        waiting = [it for it in found if it.state == "proposed" and it.district in self._through and it.no.isdecimal()]
        # Whose day is still to be gathered is seen by way of the day's list, or of the claims.
        listed = await self._operation_store.are_listed([(it, self._ways(it)) for it in waiting])
        unseen = [it for it, is_listed in zip(waiting, listed, strict=True) if not is_listed]
        self.done.unseen += [it.no for it in unseen]
        if self._dry_run:
            return
        for it in unseen:
            resident = resident_of(it.tag)
            await self._appointment_store.keep_pending(it.district, [(it.no, resident)])
            await self._pointers.write_pointers([(it.district, resident)])

    def _ways(self, it: Waits) -> tuple[str, str] | None:
        """Tags of the day's list and of the opening, by which the next night will see it; None: it looks there no
        more."""
        gathered = self._through[it.district].gathered
        if gathered is not None and it.day <= gathered.isoformat():
            return None
        return beside(it.tag, it.day), opening_tag(it.district, it.date, window_of(it.no))

    def twice(self) -> set[int]:
        """The numbers that were met more than once."""
        return {a for a, b in pairwise(sorted(self._seen)) if a == b}

    async def find_holders(self, tags: Sequence[str], numbers: set[int]) -> None:
        """Who has these numbers."""
        for it in await self._operation_store.waits(tags):
            if it.no.isdecimal() and int(it.no) in numbers:
                holders = self._of_number.setdefault(it.no, [])
                if (resident := resident_of(it.tag)) not in holders:
                    holders.append(resident)

    async def part(self) -> None:
        """One of them keeps each number; the same key may have been met twice, and is one holder."""
        for no, residents in sorted(self._of_number.items()):
            for it in await self._numbers.part(no, residents, _ACTOR, dry_run=self._dry_run):
                if it.new_no:
                    self.done.renumbered.append((no, it.new_no))
                else:
                    self.done.left.append(no)
