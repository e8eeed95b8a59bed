"""Telling what a night's allotment gave: a stretch of the order at a time, so that an interrupted night goes on."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, assert_never

from server.appointments.appointments import Appointments
from server.appointments.giving import GaveStatus, SlotGrant
from server.core.city import City
from server.core.clock import Clock
from server.core.districts import District
from server.core.errors import UnknownStatus
from server.fairness.allotment import Allotment, Rules
from server.fairness.lots import Lots
from server.night.inputs import Free
from server.night.listed import Listed
from server.night.lottery import Lottery
from server.night.published import Published
from server.night.store import NightStore
from server.night.waiting_list import WaitingList
from server.records.night import NightRecord
from server.records.registration_changes import PassedOver, PassOverStatus, RemindStatus
from server.records.slot import RosterEntry
from server.records.statuses import known
from server.store.connection import Connection
from server.store.pointers import Pointers


class Means(NamedTuple):
    """What a night works with."""

    city: City
    connection: Connection
    clock: Clock
    appointments: Appointments
    published: Published
    lottery: Lottery


class Result(NamedTuple):
    """The allotment of a district's night, and what it was made of."""

    rules: Rules
    lots: Lots
    offered: list[Free]
    list: Listed
    night: Allotment


class Stretches:
    """Gives the slots of a district's night.

    Args:
        means: what the night works with.
        district: where.
        night: how far it has come: frozen.
        day: its date.
        too_late: nothing is given any more; those who would get a slot are told that it was withdrawn.
    """

    def __init__(self, means: Means, district: District, night: NightRecord, day: date, *, too_late: bool) -> None:
        self._city, connection, self._appointments = means.city, means.connection, means.appointments
        self._night_store = NightStore(connection)
        self._pointers = Pointers(connection)
        self._list = WaitingList(self._city, connection, self._appointments)
        self._district = district
        self._night = night
        self._day = day
        self._too_late = too_late

    async def give(self, result: Result, start: int, batch: Sequence[int]) -> int:
        """Tell a stretch of the order what it got; how many did not get it after all.

        Raises:
            UnknownStatus: of one of them; the others have been told.
        """
        date_of_night, every = self._day.isoformat(), self._city.policy.tell_after_nights
        frozen_ms = self._night.frozen_ms or 0
        wanted: list[SlotGrant] = []
        passed: list[PassedOver] = []
        for leaf, i in enumerate(batch, start + 1):  # the head is leaf 0
            outcome, resident, no = result.night.outcome(i), result.list.resident(i), result.list.no(i)
            if outcome.slot is not None:
                day, site, period, product = outcome.slot
                taken = RosterEntry(no, resident, site, period, product)
                wanted.append(SlotGrant(taken, day, date_of_night, leaf, frozen_ms))
            else:
                reached = outcome.reached.isoformat() if outcome.reached else ""
                why = outcome.reason or ""
                passed.append(PassedOver(resident, no, date_of_night, leaf, why, reached, frozen_ms=frozen_ms))
        statuses: Sequence[GaveStatus | UnknownStatus]
        if self._too_late:
            statuses = ["full"] * len(wanted)
        else:
            statuses = await self._appointments.give(self._district.code, wanted, "night") if wanted else []
        booked = []
        lost = []
        for giving, status in zip(wanted, statuses, strict=True):
            if isinstance(status, UnknownStatus):
                continue
            match status:
                case "booked" | "again":
                    booked.append((giving.slot.no, giving.slot.resident))
                case "full" | "closed":  # the city took it away since the list was frozen
                    lost.append(_withdrawn(giving))
                case "other" | "absent":  # cancelled since, or with other wishes
                    pass
                case _:
                    assert_never(status)
        passed += lost
        told = await self._night_store.pass_over(passed, every) if passed else []
        await self._pointers.write_pointers(
            [(self._district.code, p.resident) for p, status in zip(passed, told, strict=True) if may_owe(status)]
        )
        if booked:
            await self._list.forget(self._district, booked)
        # Whoever was not understood is looked at again, with this whole stretch: it is not kept as given.
        known(statuses)
        known(told)
        return len(lost)


def _withdrawn(giving: SlotGrant) -> PassedOver:
    """What is told to somebody whose slot is not to be had any more."""
    resident, no = giving.slot.resident, giving.slot.no
    return PassedOver(resident, no, giving.night, int(giving.leaf), "withdrawn", "", withdrawn=True)


def may_owe(status: PassOverStatus | RemindStatus | UnknownStatus) -> bool:
    """Whether a resident may be owed a message by it, now or since before a crash."""
    if isinstance(status, UnknownStatus):
        return False
    match status:
        case "told" | "reminded" | "again":
            return True
        case "passed" | "other" | "absent":
            return False
        case _:
            assert_never(status)
