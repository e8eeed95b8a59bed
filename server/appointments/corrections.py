"""What the registry says now holds: for a registration that is open, too, though it was copied there on registering.

An import that brings other news of somebody puts them into their registration in the same moment (`correct.lua`); the
night looks at everybody who waits, before it freezes its list, and finds what an import did not (an earlier version's,
say). Whoever has nothing left to get does not wait any longer: complete, or gone from the registry.
"""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import msgspec
import structlog

from server.appointments.appointments import Appointments
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.errors import NotUnderstood
from server.records.first_dose import FirstDoseRecord
from server.records.registration_changes import CancelStatus, Change, Correction
from server.records.statuses import known
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

ACTOR: Final = "registry"
_AT_ONCE: Final = 64
_MOST_MOVES: Final = 3

COMPLETE: Final = "complete"
NOT_IN_REGISTRY: Final = "not-in-registry"


class Word(NamedTuple):
    """What the registry says: first dose as YYYY-MM-DD, "" = none, and its product; `over`: why there is nothing left
    to get (`COMPLETE`, `NOT_IN_REGISTRY`), "" = there is."""

    first_dose: str
    product: str
    over: str = ""


class Told(NamedTuple):
    """Somebody's open registration that says otherwise than the registry; `day`: of its appointment, as YYYY-MM-DD, ""
    = none; `record`: as in `Correction`."""

    resident: bytes
    no: str
    district: str
    day: str
    word: Word
    record: bytes = b""


class Counts(msgspec.Struct):
    """How many registrations were corrected, closed, or left alone as their appointment cannot be cancelled any
    more."""

    corrected: int = 0
    closed: int = 0
    late: int = 0

    def add(self, more: "Counts") -> None:
        """Count these as well."""
        self.corrected += more.corrected
        self.closed += more.closed
        self.late += more.late


def word_of(city: City, record: FirstDoseRecord | None, first_dose: str, product: str) -> Word | None:
    """What a registration that says `first_dose` and `product` should say; None where it is right.

    Somebody without a line, or who typed it themselves, came for a first dose, of whom the registry knows nothing; with
    a first dose they were in the registry, and are there no more.
    """
    if record is None:
        return None
    if not record.day or record.date is None:
        return Word("", "", NOT_IN_REGISTRY) if first_dose else None
    known = city.products.get(record.product)
    if known is None or known.min_interval_days is None:
        return Word(record.date.isoformat(), record.product, COMPLETE)
    word = Word(record.date.isoformat(), record.product)
    return word if (word.first_dose, word.product) != (first_dose, product) else None


class Corrections:
    """Lets registrations follow the registry.

    Args:
        city: its products.
        connection: registrations and records.
        appointments: closes a registration, and frees its slot.
    """

    def __init__(self, city: City, connection: Connection, appointments: Appointments) -> None:
        self._city = city
        self._appointment_store = AppointmentStore(connection)
        self._pointers = Pointers(connection)
        self._reader = RegistrationReader(connection)
        self._appointments = appointments

    async def apply(self, told: Sequence[Told]) -> Counts:
        """Correct these registrations, or close them; again changes nothing. Each is noted in its history and told.

        Raises:
            NotUnderstood: of one of them; the others are corrected or closed.
        """
        corrected = [it for it in told if not it.word.over]
        statuses = await self._appointment_store.correct(
            [
                Correction(Change(it.resident, it.no, ACTOR), it.word.first_dose, it.word.product, it.record)
                for it in corrected
            ]
        )
        await self._pointers.write_pointers([(it.district, it.resident) for it in corrected])
        closed: list[CancelStatus | NotUnderstood] = []
        over = [it for it in told if it.word.over]
        for start in range(0, len(over), _AT_ONCE):
            those = over[start : start + _AT_ONCE]
            closed += await asyncio.gather(*(self._close_or_not(it) for it in those))
        counts = Counts(
            known(statuses).count("corrected"), known(closed).count("cancelled"), known(closed).count("late")
        )
        if counts != Counts():
            log.info("the registry's word", corrected=counts.corrected, closed=counts.closed, late=counts.late)
        return counts

    async def _close_or_not(self, told: Told) -> CancelStatus | NotUnderstood:
        """The same as `_close`, so that one that is not understood is no hindrance to the others."""
        try:
            return await self._close(told)
        except NotUnderstood as unknown:
            return unknown

    async def _close(self, told: Told) -> CancelStatus:
        """Close a registration; the status of `cancel`."""
        change = Change(told.resident, told.no, ACTOR)
        held = date.fromisoformat(told.day) if told.day else None
        status: CancelStatus = "moved"
        for _ in range(_MOST_MOVES):
            status = await self._appointments.cancel(change, told.district, held, told.word.over)
            if status != "moved":  # a night has just given it a slot
                break
            latest = await self._reader.registration(told.resident)
            held = latest.day if latest else None
        return status
