"""The registry's file: judged, compared with the lines there are, kept."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from server.appointments.appointments import Appointments
from server.appointments.corrections import Corrections, Counts, Told, word_of
from server.core.city import City
from server.core.encryption import Cipher
from server.operations.importing.csv_file import CsvFile, RowFault, RowsKept
from server.operations.importing.duplicates import Residents, SeenRows, says_otherwise
from server.operations.importing.registry_rows import FirstDoseRow
from server.operations.walking import resident_of, walk
from server.records.first_dose import FirstDoseRecord, pack
from server.records.registration_views import OpenRegistration
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

_BATCH: Final = 1000


class RegistryFound(msgspec.Struct, frozen=True):
    """What a file of the registry says: how many residents, by district, product and day of the first dose; and beside
    the store: how many are new there, how many changed, of how many of these the first dose."""

    outcome: RowsKept
    residents: Residents
    districts: Counter[str] = msgspec.field(default_factory=Counter)
    products: Counter[str] = msgspec.field(default_factory=Counter)
    days: Counter[date] = msgspec.field(default_factory=Counter)
    new: int = 0
    changed: int = 0
    other_dose: int = 0

    @property
    def count(self) -> int:
        """Residents of the file, each once."""
        return self.districts.total()


class Going(msgspec.Struct):
    """What `--replace` takes away: `lines` of the registry out of so many, and the open registrations of their
    residents: number, state and day of the appointment."""

    lines: int = 0
    of: int = 0
    registrations: list[tuple[str, str, str]] = msgspec.field(default_factory=list)


def judge_registry(city: City, source: CsvFile, read: Callable[[Sequence[str]], FirstDoseRow]) -> RegistryFound:
    """Read the whole file; keeps nothing, and asks nobody."""
    residents = Residents(list(city.products), [district.code for district in city.districts])
    unread = RowsKept()
    for line, row in source.numbered(read):
        if isinstance(row, RowFault):
            unread.add([row])
        else:
            residents.add(line, row)
    outcome = unread.with_also(residents.settle(source.place_of("id_number")))
    districts, products = Counter[str](), Counter[str]()
    days: Counter[int] = Counter()
    for seen in residents:
        districts[seen.district] += 1
        products[seen.product] += 1
        days[seen.day] += 1
    by_date = Counter({date.fromordinal(day): count for day, count in days.items()})
    return RegistryFound(outcome, residents, districts, products, by_date)


async def compare_registry(
    connection: Connection, found: RegistryFound, progress: Callable[[int], Any]
) -> RegistryFound:
    """The same with who is new in the store, and of whom the file says otherwise."""
    done = new = changed = other_dose = 0
    for batch in _batches(found.residents):
        for seen, record in zip(
            batch, await RegistryStore(connection).records([seen.resident for seen in batch]), strict=True
        ):
            if record is None or not record.day:  # what somebody typed is no line of the registry
                new += 1
            elif says_otherwise(seen, record.match, record.day, record.product, record.district):
                changed += 1
                other_dose += says_otherwise(seen, seen.match, record.day, record.product, record.district)
        done += len(batch)
        progress(done)
    return msgspec.structs.replace(found, new=new, changed=changed, other_dose=other_dose)


class RegistryKeeper:
    """Writes lines of the registry, and lets open registrations follow them.

    Args:
        connection: where.
        city: products.
        cipher: encrypts names and phones.
        appointments: closes the registrations of those who have nothing left to get.
    """

    def __init__(self, connection: Connection, city: City, cipher: Cipher, appointments: Appointments) -> None:
        self._connection = connection
        self._registry_store = RegistryStore(connection)
        self._reader = RegistrationReader(connection)
        self._city = city
        self._cipher = cipher
        self._corrections = Corrections(city, connection, appointments)
        self.counts = Counts()

    async def keep(
        self, rows: Iterable[FirstDoseRow | RowFault], at_odds: frozenset[bytes] | set[bytes] = frozenset()
    ) -> AsyncIterator[int]:
        """Write the good rows, a thousand at a time; yields how many have been looked at.

        A line that is there already is not written again. Killed at any point, it may be done again.

        Args:
            rows: of the file.
            at_odds: residents of whom the file says two things.
        """
        batch: list[FirstDoseRow] = []
        for row in rows:
            if not isinstance(row, RowFault) and row.resident not in at_odds:
                batch.append(row)
            if len(batch) == _BATCH:
                await self._keep(batch)
                yield len(batch)
                batch.clear()
        if batch:
            await self._keep(batch)
            yield len(batch)

    async def _keep(self, rows: Sequence[FirstDoseRow]) -> None:
        # Who is registered under the key of a version before, goes on under it.
        before = [row.before for row in rows if row.before]
        known = await self._registry_store.records([row.resident for row in before])
        batch = [*rows, *(row for row, record in zip(before, known, strict=True) if record is not None and record.day)]
        kept = await self._registry_store.records([row.resident for row in batch])
        fresh: list[tuple[bytes, FirstDoseRecord]] = []
        moved: list[tuple[bytes, FirstDoseRecord]] = []
        for row, old in zip(batch, kept, strict=True):
            if old is None:
                fresh.append((row.resident, row.record(self._cipher)))
            elif (old.day, old.product) != (row.day, row.product):
                moved.append((row.resident, row.record(self._cipher)))
            elif (
                (old.match, old.district, old.earlier) != (row.match, row.district, row.earlier)
                or (old.born, old.groups) != (row.born, row.groups)
                or not old.contact
                or self._cipher.is_stale(old.contact)
            ):
                fresh.append((row.resident, row.record(self._cipher)))
        if moved:
            fresh += await self._follow(moved)
        if fresh:
            await self._registry_store.keep_first_doses(fresh)

    async def _follow(self, moved: Sequence[tuple[bytes, FirstDoseRecord]]) -> list[tuple[bytes, FirstDoseRecord]]:
        """Let the open registrations of these follow their new lines; those whose lines are still to be written.

        A correction writes the line in the same moment. A registration is closed before its line is written: so a crash
        between the two is found by the import that is done again.
        """
        told, rest = [], []
        for (resident, record), it in zip(moved, await self._open([r for r, _ in moved]), strict=True):
            word = word_of(self._city, record, it.first_dose, it.product) if it else None
            if word is None or word.over:
                rest.append((resident, record))
            if it is not None and word is not None:
                told.append(Told(resident, it.no, it.district, it.day, word, b"" if word.over else pack(record)))
        if told:
            self.counts.add(await self._corrections.apply(told))
        return rest

    async def _open(self, residents: Sequence[bytes]) -> list[OpenRegistration | None]:
        """Each resident's registration, where it is open; one that cannot be read stays as it is."""
        found = await self._reader.open_registrations(residents)
        return [it if isinstance(it, OpenRegistration) else None for it in found]

    # What is not in the file

    async def going(self, residents: Residents, progress: Callable[[int], Any]) -> Going:
        """What `remove` would take away."""
        going = Going()
        async for _, lines, count in self._lines_without(residents, progress):
            going.of += count
            going.lines += len(lines)
            for it in await self._open([resident for resident, _ in lines]):
                if it is not None:
                    going.registrations.append((it.no, it.state, it.day))
        return going

    async def remove(self, residents: Residents, progress: Callable[[int], Any]) -> int:
        """Take away the lines of residents who are not in the file; how many.

        Their open registrations are closed, and they are told. Of whoever has a registration, open or not, name and
        phone stay until `jiaohao purge`, as if they had come for a first dose.
        """
        removed = 0
        async for tags, lines, _ in self._lines_without(residents, progress):
            told = []
            for (resident, _), it in zip(lines, await self._open([r for r, _ in lines]), strict=True):
                gone = FirstDoseRecord(0, "", "", b"")
                word = word_of(self._city, gone, it.first_dose, it.product) if it else None
                if it is not None and word is not None:
                    told.append(Told(resident, it.no, it.district, it.day, word))
            if told:
                self.counts.add(await self._corrections.apply(told))
            await self._registry_store.drop_record(tags)
            kept = await self._registry_store.records([resident for resident, _ in lines])
            await self._registry_store.replace_record(
                [
                    (tag, pack(record), pack(msgspec.structs.replace(record, day=0, product="")))
                    for tag, record in zip(tags, kept, strict=True)
                    if record is not None and record.day
                ]
            )
            removed += len(lines)
        return removed

    async def _lines_without(
        self, residents: Residents, progress: Callable[[int], Any]
    ) -> AsyncIterator[tuple[list[str], list[tuple[bytes, FirstDoseRecord]], int]]:
        """(tags, lines, how many lines were looked at), some hundred keys at a time: of those not in the file."""
        async for keys in walk(self._connection, progress):
            tags = [tag for kind, tag in keys if kind == "registry"]
            records = await self._registry_store.records([resident_of(tag) for tag in tags])
            lines = [(tag, record) for tag, record in zip(tags, records, strict=True) if record and record.day]
            gone = [(tag, (resident_of(tag), record)) for tag, record in lines if resident_of(tag) not in residents]
            yield [tag for tag, _ in gone], [line for _, line in gone], len(lines)


def _batches(residents: Iterable[SeenRows]) -> Iterator[list[SeenRows]]:
    batch: list[SeenRows] = []
    for seen in residents:
        batch.append(seen)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
