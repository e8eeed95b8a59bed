"""Who stands in a file more than once: found over millions of rows, in some 46 bytes a row (34, and room to grow).

A dict of them would take some 800 MB for a city's 4.8 million. So the rows are put by their key's first two bytes into
65,536 small heaps of packed entries, and each heap is looked at by itself. What is kept of a person are keyed hashes.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from server.operations.importing.csv_file import RowFault, RowsKept
from server.operations.importing.registry_rows import FirstDoseRow

_ENTRY: Final = struct.Struct("<16s8sIIBB")
_pack = _ENTRY.pack
_Entry: TypeAlias = tuple[bytes, bytes, int, int, int, int]  # resident, match, line, day, product, district
_MATCH_BYTES: Final = 8


class SeenRows(NamedTuple):
    """What a file says of a resident; `match`: the beginning of the record's."""

    resident: bytes
    match: bytes
    line: int
    day: int
    product: str
    district: str


class Residents:
    """The residents of a file, each once.

    Args:
        products: of the city file.
        districts: codes of the city file.
    """

    def __init__(self, products: list[str], districts: list[str]) -> None:
        self._products, self._districts = products, districts
        self._product_no = {name: i for i, name in enumerate(products)}
        self._district_no = {code: i for i, code in enumerate(districts)}
        self._heaps: defaultdict[bytes, bytearray] = defaultdict(bytearray)
        self.rows = 0
        self.duplicates = 0
        self.at_odds: set[bytes] = set()
        """Keys of residents of whom two rows say otherwise: none of them can be kept."""
        self._before: set[bytes] = set()

    def add(self, line: int, row: FirstDoseRow) -> None:
        """A good row of the file."""
        resident, day, product, district, match, *_ = row
        self._heaps[resident[:2]] += _pack(
            resident, match[:_MATCH_BYTES], line, day, self._product_no[product], self._district_no[district]
        )
        self.rows += 1
        if row.before:
            self._before.add(row.before.resident)

    def settle(self, column_no: int) -> RowsKept:
        """Look for those who are there more than once: rows that agree count once, the others are bad.

        Args:
            column_no: where the file has `id_number`.

        Returns:
            How many of the added rows are good, and which are not.
        """
        outcome = RowsKept(self.rows)
        for heap in self._heaps.values():
            of_resident: dict[bytes, list[_Entry]] = {}
            for entry in _ENTRY.iter_unpack(heap):
                of_resident.setdefault(entry[0], []).append(entry)
            if len(of_resident) * _ENTRY.size == len(heap):
                continue
            kept = []
            for resident, entries in of_resident.items():
                if any(_said(entry) != _said(entries[0]) for entry in entries[1:]):
                    self.at_odds.add(resident)
                    outcome.add(_faults(entries, column_no))
                    outcome.kept -= len(entries)
                else:
                    self.duplicates += len(entries) - 1
                    kept.append(_pack(*entries[0]))
            heap[:] = b"".join(kept)
        return outcome

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values())) // _ENTRY.size

    def __iter__(self) -> Iterator[SeenRows]:
        """Each resident, once `settle` has been called."""
        for heap in self._heaps.values():
            for resident, match, line, day, product, district in _ENTRY.iter_unpack(heap):
                yield SeenRows(resident, match, line, day, self._products[product], self._districts[district])

    def __contains__(self, resident: object) -> bool:
        if not isinstance(resident, bytes):
            return False
        heap, at = self._heaps.get(resident[:2], b""), -1
        while (at := heap.find(resident, at + 1)) >= 0:
            if at % _ENTRY.size == 0:
                return True
        return resident in self.at_odds or resident in self._before


def says_otherwise(seen: SeenRows, match: bytes, day: int, product: str, district: str) -> bool:
    """Whether a kept record says something else than the file."""
    return (seen.match, seen.day, seen.product, seen.district) != (match[:_MATCH_BYTES], day, product, district)


def _said(entry: _Entry) -> tuple[bytes, int, int, int]:
    """All but whose it is and where it stands."""
    _, match, _, day, product, district = entry
    return match, day, product, district


def _faults(entries: Sequence[_Entry], column_no: int) -> Iterator[RowFault]:
    """A fault for each row of one person, each naming another that says otherwise."""
    for entry in entries:
        said = _said(entry)
        other = next(it for it in entries if _said(it) != said)
        parts = zip(("name or phone", "first_dose_date", "product", "district"), said, _said(other), strict=True)
        what = ", ".join(name for name, mine, theirs in parts if mine != theirs)
        why = f"the same person as in line {other[2]}, with another {what}: leave the right one"
        yield RowFault(entry[2], column_no, "id_number", why, twice=True)
