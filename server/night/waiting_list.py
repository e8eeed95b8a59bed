"""Who waits for a slot tonight: found without looking at the whole city, frozen, and read again as it was frozen."""

from collections.abc import AsyncIterator, Sequence
from datetime import date

import structlog

from server.appointments.appointments import Appointments
from server.appointments.corrections import Corrections, Told, Word, word_of
from server.appointments.numbers import Numbers
from server.appointments.store import AppointmentStore
from server.core.city import City
from server.core.districts import District
from server.core.errors import BrokenRecord
from server.core.keys import opening_tag
from server.core.reserves import memberships
from server.night.listed import Listed, ListedWaiting, unpack
from server.night.registered import RegisteredOn
from server.night.store import NightStore
from server.records.first_dose import FirstDoseRecord
from server.records.registration_views import Latest, WaitingRegistration
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

log = structlog.get_logger()

_PART = 5_000


class WaitingList:
    """Those who wait for a slot in each district.

    `pending` holds who is left from earlier nights or was sent back since; the rest are those who have registered in an
    opening that no night has looked at yet. Neither grows with the city. What the registry says now of their first dose
    holds, not what it said when they registered.

    Args:
        city: districts.
        connection: where they are.
        appointments: closes the registrations of those who have nothing left to get.
    """

    def __init__(self, city: City, connection: Connection, appointments: Appointments) -> None:
        self._city = city
        self._night_store = NightStore(connection)
        self._registered = RegisteredOn(connection)
        self._numbers = Numbers(city, connection)
        self._reader = RegistrationReader(connection)
        self._appointment_store = AppointmentStore(connection)
        self._pointers = Pointers(connection)
        self._registry_store = RegistryStore(connection)
        self._corrections = Corrections(city, connection, appointments)

    async def gather(self, district: District, day: date) -> None:
        """Take over into `pending` who registered in the openings up to a day that are not taken over yet.

        From the first day on in which somebody may still register, all are looked at again the next night.
        """
        all_over = True
        for each, windows in await self._registered.openings(district, day):
            # Not while somebody may still register there: a grace that was shortened since, say. Asked before it
            # is read, as who registers behind the reading gives the pass back with it.
            for window in windows:
                all_over = all_over and await self._registered.is_over(opening_tag(district.code, each, window))
            async for page in self._apart(self._registered.of(district, each, windows)):
                await self._appointment_store.keep_pending(district.code, page)
                # Here, too, what a crash left unsaid since the morning is found.
                await self._pointers.write_pointers([(district.code, resident) for _, resident in page])
            if all_over:
                await self._night_store.note_through(district.code, "gathered", each)

    async def _apart(self, pages: AsyncIterator[list[tuple[str, bytes]]]) -> AsyncIterator[list[tuple[str, bytes]]]:
        """The same pages, but for those of two residents with one number who have got another one by now."""
        holders: dict[str, bytes] = {}
        async for page in pages:
            twice = [(no, who) for no, who in page if holders.setdefault(no, who) != who]
            for no, who in twice:
                await self._numbers.part(no, [holders[no], who], "night")
            # Whoever keeps it may be either of them: the list follows their registrations as they are now.
            both = [(no, each) for no, who in twice for each in (holders[no], who)]
            yield [each for each in page if each not in twice] + await self._registered.still(both)

    async def waiting(self, district: District, day: date, *, drop: bool) -> AsyncIterator[list[ListedWaiting]]:
        """Those of `pending` who wait indeed, each once, a page at a time; with `drop` the others are forgotten, and
        what the registry says otherwise is put into their registrations."""
        seen: set[int] = set()
        async for page in self._night_store.pending(district.code):
            fresh = [(no, resident) for no, resident in page if int(no) not in seen]
            seen.update(int(no) for no, _ in fresh)
            found, gone = await self._read(fresh, day, correct=drop)
            if drop and gone:
                await self.forget(district, gone)
            yield found

    async def parts(self, district: District, day: date) -> AsyncIterator[list[ListedWaiting]]:
        """As `waiting`, which forgets the others, in as many as are kept together when the list is frozen."""
        part: list[ListedWaiting] = []
        async for page in self.waiting(district, day, drop=True):
            part += page
            if len(part) >= _PART:
                yield part
                part = []
        if part:
            yield part

    async def forget(self, district: District, gone: Sequence[tuple[str, bytes]]) -> None:
        """These (number, resident) wait no longer; unless one of them was sent back in this very moment."""
        await self._night_store.drop_pending(district.code, [no for no, _ in gone])
        latest = await self._reader.states([resident for _, resident in gone])
        await self._appointment_store.keep_pending(
            district.code, [each for each, its in zip(gone, latest, strict=True) if _may_wait(its, each[0])]
        )

    async def foreseen(self, district: District, day: date) -> AsyncIterator[list[ListedWaiting]]:
        """As `waiting` would be after `gather`, changing nothing."""
        seen: set[str] = set()
        async for page in self.waiting(district, day, drop=False):
            seen.update(waiting.no for waiting in page)
            yield page
        for each, windows in await self._registered.openings(district, day):
            async for registered in self._registered.of(district, each, windows):
                fresh = [(no, resident) for no, resident in registered if no not in seen]
                found, _ = await self._read(fresh, day, correct=False)
                seen.update(no for no, _ in registered)
                yield found

    async def thaw(self, tag: str, parts: int, periods: Sequence[str]) -> Listed:
        """The list of a district's night as it was frozen, when these were the periods of the day.

        Raises:
            LookupError: it is not kept any more.
        """
        result = Listed(periods)
        for part in range(parts):
            data = await self._night_store.frozen(tag, part)
            if data is None:
                raise LookupError(f"part {part} of the frozen list is gone")
            result.add(unpack(data))
        return result

    async def _read(
        self, pending: Sequence[tuple[str, bytes]], day: date, *, correct: bool
    ) -> tuple[list[ListedWaiting], list[tuple[str, bytes]]]:
        """(those who wait, those who do not any more); whose registration cannot be read is left out of both."""
        found: list[ListedWaiting] = []
        gone: list[tuple[str, bytes]] = []
        kept = await self._reader.waiting([resident for _, resident in pending])
        waiting: list[tuple[bytes, WaitingRegistration]] = []
        for (no, resident), it in zip(pending, kept, strict=True):
            if isinstance(it, BrokenRecord):
                log.error("registration cannot be read, left out of the night", registration_no=no)
            elif it is not None and it.no == no:
                waiting.append((resident, it))
            else:
                gone.append((no, resident))
        records = await self._registry_store.read_records([resident for resident, _ in waiting])
        known = [
            (resident, it, word_of(self._city, record, it.first_dose, it.product), self._reserves(record, day))
            for (resident, it), record in zip(waiting, records, strict=True)
            if not isinstance(record, BrokenRecord)
        ]
        if correct:
            await self._correct([(resident, it, word) for resident, it, word, _ in known])
        for resident, it, word, reserves in known:
            if word is not None and word.over:
                gone.append((it.no, resident))
            else:
                found.append(_waiting(resident, it, word, reserves))
        return found, gone

    def _reserves(self, record: FirstDoseRecord | None, day: date) -> int:
        reserves = self._city.reserves
        return memberships(reserves, record.birth_date, record.groups, day) if reserves and record else 0

    async def _correct(self, known: Sequence[tuple[bytes, WaitingRegistration, Word | None]]) -> None:
        """Registrations of which the registry says otherwise follow its word."""
        told = [Told(resident, it.no, it.district, "", word) for resident, it, word in known if word is not None]
        if told:
            await self._corrections.apply(told)


def _waiting(resident: bytes, it: WaitingRegistration, word: Word | None, reserves: int) -> ListedWaiting:
    """A registration on the list."""
    return ListedWaiting(
        it.no,
        resident,
        word.first_dose if word else it.first_dose,
        word.product if word else it.product,
        [(wish.site, wish.period) for wish in it.preferences],
        it.accept_any_site,
        it.not_before,
        it.priority,
        it.together,
        reserves,
    )


def _may_wait(latest: Latest | BrokenRecord, no: str) -> bool:
    """Whether the registration of this number waits for a slot; also where that cannot be read."""
    return isinstance(latest, BrokenRecord) or (latest.no == no and latest.state == "proposed")
