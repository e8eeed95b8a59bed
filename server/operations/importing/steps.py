"""An import of each kind of file, step by step: judged, compared, doubted, kept.

The terminal and the operator's page go through the same; nothing is written before `keep`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from server.appointments.appointments import Appointments
from server.appointments.corrections import Counts
from server.appointments.sites import Site
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import Cipher
from server.core.keys import Pepper
from server.core.settings import Settings
from server.operations.importing.affected import AtSites, at_sites, remove_sites
from server.operations.importing.capacity import (
    CAPACITY_COLUMNS,
    Capacity,
    CapacityFound,
    DaySlot,
    Lowered,
    capacity_reader,
    compare_capacity,
    judge_capacity,
    keep_capacity,
    remove_slots,
)
from server.operations.importing.csv_file import CsvFile
from server.operations.importing.last import LastImport, last_import, note_import
from server.operations.importing.plausible import doubts_of_capacity, doubts_of_registry, doubts_of_sites, names_rule
from server.operations.importing.registry import (
    Going,
    RegistryFound,
    RegistryKeeper,
    compare_registry,
    judge_registry,
)
from server.operations.importing.registry_rows import registry_columns, registry_reader
from server.operations.importing.sites import (
    SITES_COLUMNS,
    SITES_MAY_HAVE,
    SitesFound,
    judge_sites,
    keep_sites,
    known_sites,
)
from server.store.connection import Connection

Progress = Callable[[int], Any]


class FileScope(NamedTuple):
    """What a file claims: with `replace` all there is, so that the rest goes; when `partial`, only some of the rows, so
    that it is compared with no last import."""

    replace: bool = False
    partial: bool = False


class RegistryKept(NamedTuple):
    """How many residents' lines were removed, and what became of open registrations."""

    removed: int
    counts: Counts


class RegistryImport:
    """First-dose records.

    Args:
        city: districts, products, which names are the same.
        connection: where they are kept.
        clock: city time.
        settings: secrets.
        scope: what the file claims.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, settings: Settings, scope: FileScope) -> None:
        self._city = city
        self._connection = connection
        self._clock = clock
        self._scope = scope
        self._read = registry_reader(city, Pepper(settings.pepper, city.papers.same_name), _today(city, clock))
        appointments = Appointments(city, connection, clock)
        self._keeper = RegistryKeeper(connection, city, Cipher(settings.secrets), appointments)

    def judge(self, file: Path, progress: Progress) -> RegistryFound:
        """Read the whole file."""
        return judge_registry(self._city, CsvFile(file, registry_columns(self._city), progress), self._read)

    async def compare(self, found: RegistryFound, progress: Progress) -> tuple[RegistryFound, LastImport | None]:
        """The same beside what the store has, and the last import."""
        compared = await compare_registry(self._connection, found, progress)
        return compared, await last_import(self._connection, "registry")

    async def going(self, found: RegistryFound, progress: Progress) -> Going | None:
        """What goes, where the file replaces all there is."""
        return await self._keeper.going(found.residents, progress) if self._scope.replace else None

    def doubts(self, found: RegistryFound, last: LastImport | None, going: Going | None) -> list[str]:
        """What is not plausible."""
        return doubts_of_registry(self._city, found, last, going, partial=self._scope.partial)

    async def keep(self, file: Path, found: RegistryFound, keeping: Progress, removing: Progress) -> RegistryKept:
        """Write the good rows; killed at any point, it may be done again."""
        source = CsvFile(file, registry_columns(self._city), keeping)
        async for _ in self._keeper.keep(source.rows(self._read), found.residents.at_odds):
            pass
        removed = await self._keeper.remove(found.residents, removing) if self._scope.replace else 0
        if not self._scope.partial:
            this = LastImport(
                self._clock.now_ms(), source.digest(), found.count, found.districts, found.products,
                names=names_rule(self._city),
            )  # fmt: skip
            await note_import(self._connection, "registry", this)
        return RegistryKept(removed, self._keeper.counts)


class SitesImport:
    """Vaccination sites.

    Args:
        city: districts.
        connection: where they are kept.
        clock: city time.
        scope: what the file claims.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, scope: FileScope) -> None:
        self._city = city
        self._connection = connection
        self._clock = clock
        self._scope = scope
        self._appointments = Appointments(city, connection, clock)

    async def judge(self, file: CsvFile) -> SitesFound:
        """Read the whole file, beside what the store has."""
        return await judge_sites(self._connection, self._city, file, replace=self._scope.replace)

    async def affected(self, found: SitesFound) -> AtSites:
        """What hangs on the sites that go."""
        going = self._going(found)
        if not going:
            return AtSites()
        today = _today(self._city, self._clock)
        return await at_sites(self._connection, self._city, self._appointments, going, today)

    def doubts(self, found: SitesFound, affected: AtSites) -> list[str]:
        """What is not plausible, or takes away what is in use."""
        doubts = [] if self._scope.partial else doubts_of_sites(self._city, found, replace=self._scope.replace)
        if count := affected.appointments.total():
            doubts.append(f"{count:,} appointments are at sites that go")
        return doubts

    async def keep(self, file: CsvFile, found: SitesFound, affected: AtSites) -> int:
        """Write the good rows; how many."""
        kept = await keep_sites(self._connection, found.sites.values())
        await remove_sites(self._connection, self._going(found), affected.slots)
        if not self._scope.partial:
            districts = Counter(site.district for site in found.sites.values())
            this = LastImport(self._clock.now_ms(), file.digest(), kept, districts)
            await note_import(self._connection, "sites", this)
        return kept

    def _going(self, found: SitesFound) -> list[Site]:
        return found.going() if self._scope.replace else []


class SlotsKept(NamedTuple):
    """How many slots were written, how many went, and of which more has been given than there is now."""

    slots: int
    removed: int
    lowered: list[Lowered]


class CapacityImport:
    """Doses that sites can give.

    Args:
        city: districts, products.
        connection: where they are kept.
        clock: city time.
        scope: what the file claims.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, scope: FileScope | None = None) -> None:
        self._city = city
        self._connection = connection
        self._clock = clock
        self._scope = scope or FileScope()

    async def reader(self) -> Callable[[Sequence[str]], Capacity]:
        """Makes a capacity of a row, by the sites that the store has now."""
        known = await known_sites(self._connection, self._city)
        return capacity_reader(self._city, known, _today(self._city, self._clock))

    def judge(self, file: CsvFile, read: Callable[[Sequence[str]], Capacity]) -> CapacityFound:
        """Read the whole file; asks nobody."""
        return judge_capacity(file, read)

    async def compare(self, found: CapacityFound) -> tuple[CapacityFound, LastImport | None]:
        """The same beside what the store has, and the last import."""
        compared = await compare_capacity(self._connection, self._city, found)
        return compared, await last_import(self._connection, "capacity")

    def missing(self, found: CapacityFound) -> list[DaySlot]:
        """Slots of these days, from today on, that the file has not: they stay, unless the file replaces them."""
        return found.missing(_today(self._city, self._clock))

    def doubts(self, found: CapacityFound, last: LastImport | None) -> list[str]:
        """What is not plausible."""
        return doubts_of_capacity(self._city, found, last, replace=self._scope.replace, partial=self._scope.partial)

    async def keep(self, file: CsvFile, found: CapacityFound) -> SlotsKept:
        """Write the good rows."""
        kept = await keep_capacity(self._connection, [Capacity(*slot, doses) for slot, doses in found.slots.items()])
        going = self.missing(found) if self._scope.replace else []
        lowered = kept.lowered + await remove_slots(self._connection, going)
        if not self._scope.partial:
            districts = Counter(slot.district for slot in found.slots)
            doses, days = sum(found.slots.values()), len(found.days)
            this = LastImport(
                self._clock.now_ms(), file.digest(), kept.slots, districts, doses=doses, days=days
            )  # fmt: skip
            await note_import(self._connection, "capacity", this)
        return SlotsKept(kept.slots, len(going), lowered)


def capacity_file(source: Path | bytes, progress: Progress) -> CsvFile:
    """A file of capacities."""
    return CsvFile(source, CAPACITY_COLUMNS, progress)


def sites_file(source: Path, progress: Progress) -> CsvFile:
    """A file of sites."""
    return CsvFile(source, SITES_COLUMNS, progress, SITES_MAY_HAVE)


def _today(city: City, clock: Clock) -> date:
    return from_ms(clock.now_ms(), city.tz).date()
