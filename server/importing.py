"""Reading the contract's CSV files: a first pass that judges every row, a second that keeps them."""

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar, get_args

import msgspec

from server.city import City
from server.errors import SetupError
from server.keys import Pepper, day_tag
from server.papers import (
    IdType,
    faults,
    normalise_id,
    normalise_name,
    normalise_phone,
)
from server.seal import Contact, Seal
from server.sites import Site
from server.store import Store
from server.store.store import FirstDoseRecord

Row = TypeVar("Row")
_BATCH = 1000
_ID_TYPES = frozenset(get_args(IdType))
_EARLIEST_DAY = date(2020, 1, 1)
_CAPACITY = re.compile("[0-9]{1,6}")

REGISTRY_COLUMNS = ("id_type", "id_number", "name", "phone", "first_dose_date", "product", "district")
SITES_COLUMNS = ("site", "name_zh", "name_en", "district", "address")
CAPACITY_COLUMNS = ("site", "date", "period", "product", "capacity")


_SITE_CODE = re.compile(r"[\w-]+")


class BadRow(Exception):
    """A row that cannot be kept: which column, and why. Never quotes what is in it: it may be someone's papers."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(f"{column}: {why}")
        self.column = column
        self.why = why


class Capacity(NamedTuple):
    """How many doses of a product a site can give in a period of a day."""

    district: str
    site: str
    day: date
    period: str
    product: str
    doses: int


class Fault(NamedTuple):
    """A row that cannot be kept: its line (1 = the header), the column (0 and "" = the row as a whole), why.

    Never quotes what is in it: it may be someone's papers.
    """

    line: int
    column_no: int
    column: str
    why: str

    def __str__(self) -> str:
        column = f"column {self.column_no} ({self.column}): " if self.column else ""
        return f"line {self.line}: {column}{self.why}"


class Outcome(msgspec.Struct):
    """What an import did: rows kept, rows left out, where the first of these are, whether anything was kept at all."""

    kept: int = 0
    bad: int = 0
    first_bad: list[Fault] = msgspec.field(default_factory=list)
    done: bool = False


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


def _day(column: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # Python reads 20210501 and 2021-W17-6 as well
        raise BadRow(column, "expected a date as YYYY-MM-DD")
    if day < _EARLIEST_DAY:
        raise BadRow(column, f"expected a date from {_EARLIEST_DAY} on")
    return day


def registry_reader(city: City, pepper: Pepper, seal: Seal) -> Callable[[Sequence[str]], tuple[bytes, FirstDoseRecord]]:
    """Makes a resident key and a record, name and phone sealed in it, of a registry row; it raises BadRow."""
    districts = {district.code for district in city.districts}

    def read(row: Sequence[str]) -> tuple[bytes, FirstDoseRecord]:
        id_type, id_number, name, phone, dose_day, product, district = row
        if id_type not in _ID_TYPES:
            raise BadRow("id_type", f"expected one of {', '.join(sorted(_ID_TYPES))}")
        number = normalise_id(id_type, id_number, city.papers.old_15_digit_ids)  # type: ignore[arg-type]
        name, phone = normalise_name(name), normalise_phone(phone)
        for column, fault in faults(id_type, number, name, phone):  # type: ignore[arg-type]
            raise BadRow(column, f"wrong {fault}")
        day = _day("first_dose_date", dose_day)
        if product not in city.products:
            raise BadRow("product", f"expected one of {', '.join(city.products)}")
        if district not in districts:
            raise BadRow("district", "not a district of the city file")
        resident = pepper.resident(id_type, number)
        match, contact = pepper.match(resident, name, phone), seal.close(resident, Contact(name, phone))
        earlier = pepper.earlier(id_type, number) or b""
        return resident, FirstDoseRecord(day.toordinal(), product, district, match, contact, earlier)

    return read


def site_reader(city: City) -> Callable[[Sequence[str]], Site]:
    """Makes a site of a row; it raises BadRow. A site's code is its own in the whole city."""
    districts = {district.code for district in city.districts}
    district_of: dict[str, str] = {}

    def read(row: Sequence[str]) -> Site:
        site, name_zh, name_en, district, address = (cell.strip() for cell in row)
        for column, value in (("site", site), ("name_zh", name_zh), ("name_en", name_en)):
            if not value or len(value) > 64:
                raise BadRow(column, "expected 1 to 64 characters")
        if not _SITE_CODE.fullmatch(site):
            raise BadRow("site", "expected a code of letters, digits, - and _ (it stands in addresses)")
        if district not in districts:
            raise BadRow("district", "not a district of the city file")
        if district_of.setdefault(site, district) != district:
            raise BadRow("site", "expected a code of its own, there is one in another district")
        return Site(site, name_zh, name_en, district, address)

    return read


def capacity_reader(city: City, district_of: Mapping[str, str]) -> Callable[[Sequence[str]], Capacity]:
    """Makes a capacity of a row; it raises BadRow.

    Args:
        city: its products.
        district_of: the known sites, each with its district.
    """

    def read(row: Sequence[str]) -> Capacity:
        site, day_text, period, product, doses = (cell.strip() for cell in row)
        if site not in district_of:
            raise BadRow("site", "not a known site: import its sites file first")
        day = _day("date", day_text)
        if period not in ("am", "pm"):
            raise BadRow("period", "expected am or pm")
        if product not in city.products:
            raise BadRow("product", f"expected one of {', '.join(city.products)}")
        if not _CAPACITY.fullmatch(doses):
            raise BadRow("capacity", "expected a whole number from 0 to 999999")
        return Capacity(district_of[site], site, day, period, product, int(doses))

    return read


class CsvFile:
    """A file of the contract, read row by row and never held in memory.

    Args:
        source: the file, or what was sent in its place (UTF-8; a byte order mark does no harm).
        columns: its header, in this order.
        progress: told how many bytes have been read.

    Raises:
        SetupError: it cannot be read, or its header is another.
    """

    def __init__(self, source: Path | bytes, columns: Sequence[str], progress: Callable[[int], Any]) -> None:
        self._source = source
        self._columns = list(columns)
        self._progress = progress
        where = f"{source}: " if isinstance(source, Path) else ""
        try:
            self.bytes = source.stat().st_size if isinstance(source, Path) else len(source)
            with self._open() as f:
                header = next(csv.reader(f), None)
        except UnicodeDecodeError:
            raise SetupError(f"{where}is not UTF-8; save it as CSV UTF-8 (not GBK or ANSI)") from None
        except OSError as error:
            raise SetupError(f"{where}cannot be read ({error})") from None
        except csv.Error:  # a cell without an end
            header = None
        if header != self._columns:
            raise SetupError(f"{where}line 1: expected the header {','.join(columns)}")

    def _open(self) -> TextIO:
        if isinstance(self._source, Path):
            return self._source.open(encoding="utf-8-sig", newline="")
        return io.TextIOWrapper(io.BytesIO(self._source), encoding="utf-8-sig", newline="")

    def rows(self, read: Callable[[Sequence[str]], Row]) -> Iterator[Row | Fault]:
        """What `read` makes of each row, or what is wrong with it."""
        with self._open() as f:
            reader = csv.reader(f)
            next(reader)
            told = 0
            try:
                for row in reader:
                    if len(row) != len(self._columns):
                        if row:
                            why = f"expected {len(self._columns)} columns, got {len(row)}"
                            yield Fault(reader.line_num, 0, "", why)
                        continue
                    try:
                        yield read(row)
                    except BadRow as bad:
                        yield Fault(reader.line_num, self._columns.index(bad.column) + 1, bad.column, bad.why)
                    told += 1
                    if told % _BATCH == 0:
                        self._progress(f.buffer.tell())
            except (csv.Error, UnicodeDecodeError) as error:
                why = f"cannot be read as CSV in UTF-8 ({type(error).__name__})"
                yield Fault(reader.line_num + 1, 0, "", why)
        self._progress(self.bytes)


def judge_rows(rows: Iterable[Any]) -> Outcome:
    """Count good and bad rows; keeps nothing."""
    outcome = Outcome()
    for row in rows:
        if isinstance(row, Fault):
            outcome.bad += 1
            if len(outcome.first_bad) < 10:
                outcome.first_bad.append(row)
        else:
            outcome.kept += 1
    return outcome


async def keep_registry(store: Store, rows: Iterable[tuple[bytes, FirstDoseRecord] | Fault]) -> AsyncIterator[int]:
    """Write the good rows, a thousand at a time; yields how many have been written."""
    batch: list[tuple[bytes, FirstDoseRecord]] = []
    for row in rows:
        if not isinstance(row, Fault):
            batch.append(row)
        if len(batch) == _BATCH:
            await store.keep_first_doses(batch)
            yield len(batch)
            batch.clear()
    if batch:
        await store.keep_first_doses(batch)
        yield len(batch)


async def keep_sites(store: Store, rows: Iterable[Site | Fault]) -> int:
    """Write the good rows; how many."""
    by_district: dict[str, dict[str, bytes]] = {}
    for row in rows:
        if not isinstance(row, Fault):
            by_district.setdefault(row.district, {})[row.site] = msgspec.json.encode(row)
    for district, sites in by_district.items():
        await store.keep_sites(district, sites)
    return sum(len(sites) for sites in by_district.values())


async def keep_capacity(store: Store, rows: Iterable[Capacity | Fault]) -> CapacityKept:
    """Write the good rows."""
    by_day: dict[tuple[str, date], dict[str, int]] = {}
    for row in rows:
        if not isinstance(row, Fault):
            slots = by_day.setdefault((row.district, row.day), {})
            slots[f"{row.site}|{row.period}|{row.product}"] = row.doses
    tags = [day_tag(district, day) for district, day in by_day]
    for tag, slots in zip(tags, by_day.values(), strict=True):
        await store.keep_capacity(tag, slots)
    # After the writing: from then on nothing more is given than the new capacity, so that this is all there is.
    lowered = []
    for (_, day), slots, used in zip(by_day, by_day.values(), await store.used(tags), strict=True):
        for (site, period, product), (capacity, taken) in used.items():
            if f"{site}|{period}|{product}" in slots and taken > capacity:
                lowered.append(Lowered(day, site, period, product, capacity, taken))
    lowered.sort(key=lambda it: (it.date, it.site, it.period, it.product))
    return CapacityKept(sum(len(slots) for slots in by_day.values()), lowered)


async def known_sites(store: Store, city: City) -> dict[str, str]:
    """District of each site in the store."""
    codes = [district.code for district in city.districts]
    return {site: code for code, sites in zip(codes, await store.sites(codes), strict=True) for site in sites}
