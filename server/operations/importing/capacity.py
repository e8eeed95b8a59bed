"""The file of capacities: judged, compared with what the store has for its days, kept."""

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

import msgspec

from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.keys import day_tag
from server.core.periods import in_words
from server.operations.importing.cells import BadRow, day_of
from server.operations.importing.csv_file import CsvFile, RowFault, RowsKept
from server.operations.importing.twice import agreeing
from server.operations.store import OperationStore
from server.records.slot import Slot, SlotCount
from server.store.connection import Connection

CAPACITY_COLUMNS: Final = ("site", "date", "period", "product", "capacity")
_EARLIEST_DAY: Final = date(2020, 1, 1)
_CAPACITY = re.compile("[0-9]{1,6}")


class DaySlot(NamedTuple):
    """A product at a site in a period of a day, in which district and on which day."""

    district: str
    site: str
    day: date
    period: str
    product: str

    @property
    def slot(self) -> Slot:
        """Its name among the day's slots."""
        return Slot(self.site, self.period, self.product)


class Capacity(NamedTuple):
    """How many doses of a product a site can give in a period of a day."""

    district: str
    site: str
    day: date
    period: str
    product: str
    doses: int

    @property
    def day_slot(self) -> DaySlot:
        """What it is the capacity of."""
        return DaySlot(*self[:-1])


class Lowered(msgspec.Struct, frozen=True):
    """A slot whose capacity is now below what has been given: nobody loses theirs, and nobody else gets one."""

    date: date
    site: str
    period: str
    product: str
    capacity: int
    taken: int


class CapacityKept(NamedTuple):
    """How many slots (site, date, period, product) were written, and which of them have been given too often."""

    slots: int
    lowered: list[Lowered]


class CapacityFound(msgspec.Struct, frozen=True):
    """What a file of capacities says, beside what the store has for the days from its first to its last.

    `slots` and `before`: doses of each slot; `given`: how many of them somebody has.
    """

    outcome: RowsKept
    slots: dict[DaySlot, int]
    duplicates: int
    before: dict[DaySlot, int]
    given: dict[DaySlot, int]

    @property
    def days(self) -> list[date]:
        """The days that the file names, in order."""
        return sorted({slot.day for slot in self.slots})

    @property
    def new(self) -> int:
        """Slots that the store has not."""
        return sum(slot not in self.before for slot in self.slots)

    @property
    def changed(self) -> int:
        """Slots of which the file says otherwise."""
        return sum(slot in self.before and doses != self.before[slot] for slot, doses in self.slots.items())

    def missing(self, first: date = date.min) -> list[DaySlot]:
        """Slots from this day on that the store offers, between the file's first and last day, and the file has not."""
        return [slot for slot, doses in self.before.items() if doses and slot not in self.slots and slot.day >= first]


def capacity_reader(
    city: City, district_of: Mapping[str, str], today: date | None = None
) -> Callable[[Sequence[str]], Capacity]:
    """Makes a capacity of a row; it raises BadRow.

    Args:
        city: its products.
        district_of: the known sites, each with its district.
        today: by the city's clock; None = any day.
    """
    last = today + timedelta(days=city.imports.capacity_days_ahead) if today else date.max

    def read(row: Sequence[str]) -> Capacity:
        site, day_text, period, product, doses = row
        if site not in district_of:
            raise BadRow("site", "not a known site: import its sites file first")
        day = day_of("date", day_text, _EARLIEST_DAY, last)
        if period not in city.periods:
            raise BadRow("period", f"expected {in_words(city.periods)}")
        if product not in city.products:
            raise BadRow("product", f"expected one of {', '.join(city.products)}")
        if not _CAPACITY.fullmatch(doses):
            raise BadRow("capacity", "expected a whole number from 0 to 999999")
        return Capacity(district_of[site], site, day, period, product, int(doses))

    return read


def judge_capacity(source: CsvFile, read: Callable[[Sequence[str]], Capacity]) -> CapacityFound:
    """Read a file of capacities; keeps nothing, and asks nobody."""
    column = "site", source.place_of("site")
    rows = agreeing(source.numbered(read), lambda row: row.day_slot, "slot", column)
    slots = {slot: row.doses for slot, row in rows.kept.items()}
    return CapacityFound(rows.outcome, slots, rows.duplicates, {}, {})


async def compare_capacity(connection: Connection, city: City, found: CapacityFound) -> CapacityFound:
    """The same beside what the store has for the days from the file's first to its last."""
    if not found.slots:
        return found
    before: dict[DaySlot, int] = {}
    given: dict[DaySlot, int] = {}
    first, last = found.days[0], found.days[-1]
    for district in city.districts:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        used = await SlotStore(connection).used([day_tag(district.code, day) for day in days])
        for day, slots in zip(days, used, strict=True):
            for (site, period, product), (capacity, taken) in slots.items():
                slot = DaySlot(district.code, site, day, period, product)
                before[slot] = capacity
                if taken:
                    given[slot] = taken
    return msgspec.structs.replace(found, before=before, given=given)


async def keep_capacity(connection: Connection, rows: Iterable[Capacity | RowFault]) -> CapacityKept:
    """Write the good rows."""
    by_day: dict[tuple[str, date], dict[Slot, int]] = {}
    for row in rows:
        if not isinstance(row, RowFault):
            slots = by_day.setdefault((row.district, row.day), {})
            slots[row.day_slot.slot] = row.doses
    tags = [day_tag(district, day) for district, day in by_day]
    for tag, slots in zip(tags, by_day.values(), strict=True):
        await SlotStore(connection).keep_capacity(tag, slots)
    # After the writing: from then on nothing more is given than the new capacity, so that this is all there is.
    lowered: list[Lowered] = []
    for (_, day), slots, used in zip(by_day, by_day.values(), await SlotStore(connection).used(tags), strict=True):
        lowered += _lowered(day, slots, used)
    lowered.sort(key=lambda it: (it.date, it.site, it.period, it.product))
    return CapacityKept(sum(len(slots) for slots in by_day.values()), lowered)


async def remove_slots(connection: Connection, slots: Iterable[DaySlot]) -> list[Lowered]:
    """Offer these no longer; those of which something has been given, which stays."""
    by_day: dict[tuple[str, date], list[Slot]] = {}
    for gone in slots:
        by_day.setdefault((gone.district, gone.day), []).append(gone.slot)
    lowered = []
    for (district, day), removed in by_day.items():
        tag = day_tag(district, day)
        await OperationStore(connection).remove_capacity(tag, removed)
        (used,) = await SlotStore(connection).used([tag])
        lowered += _lowered(day, removed, used)
    return sorted(lowered, key=lambda it: (it.date, it.site, it.period, it.product))


def _lowered(day: date, among: Container[Slot], used: Mapping[Slot, SlotCount]) -> list[Lowered]:
    return [
        Lowered(day, *slot, use.capacity, use.taken)
        for slot, use in used.items()
        if slot in among and use.taken > use.capacity
    ]
