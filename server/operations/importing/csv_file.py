"""A CSV file of the contract, read row by row and never held in memory."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from server.core.errors import SetupError
from server.operations.importing.cells import BadRow, plain
from server.operations.importing.dialect import open_source, open_text, recognise

Row = TypeVar("Row")

_BATCH: Final = 1000
_MOST_TOLD: Final = 10
_PIECE: Final = 1 << 20


class RowFault(NamedTuple):
    """A row that cannot be kept: its line (1 = the header), the column (0 and "" = the row as a whole), why.

    Never quotes what is in it: it may be someone's papers. `twice`: another row says otherwise of the same thing.
    """

    line: int
    column_no: int
    column: str
    why: str
    twice: bool = False

    def __str__(self) -> str:
        column = f"column {self.column_no} ({self.column}): " if self.column else ""
        return f"line {self.line}: {column}{self.why}"


class RowsKept(msgspec.Struct):
    """Of the rows of a file: how many are good, how many are not, and where the first of these are."""

    kept: int = 0
    bad: int = 0
    first_bad: list[RowFault] = msgspec.field(default_factory=list)

    def add(self, faults: Iterable[RowFault]) -> None:
        """Bad rows; the first of them by line stay."""
        for fault in faults:
            self.bad += 1
            if len(self.first_bad) < _MOST_TOLD or fault.line < self.first_bad[-1].line:
                self.first_bad.append(fault)
                self.first_bad.sort(key=lambda it: it.line)
                del self.first_bad[_MOST_TOLD:]

    def with_also(self, other: "RowsKept") -> "RowsKept":
        """Of the rows of both."""
        first = sorted([*self.first_bad, *other.first_bad], key=lambda it: it.line)[:_MOST_TOLD]
        return RowsKept(self.kept + other.kept, self.bad + other.bad, first)


class CsvFile:
    """A file of the contract.

    Args:
        source: the file, or what was sent in its place.
        columns: its columns; the header may have them in another order (`dialect`).
        progress: told how many bytes have been read.
        optional: columns that come after them in a row, each empty where the file has none.

    Raises:
        SetupError: it cannot be read, or its header is another.
    """

    def __init__(
        self,
        source: Path | bytes,
        columns: Sequence[str],
        progress: Callable[[int], Any],
        optional: Sequence[str] = (),
    ) -> None:
        self._source = source
        self._columns = [*columns, *optional]
        self._progress = progress
        where = f"{source.name}: " if isinstance(source, Path) else ""
        try:
            self.bytes = source.stat().st_size if isinstance(source, Path) else len(source)
            self._dialect = recognise(source, columns, optional)
        except OSError as error:
            raise SetupError(f"{where}cannot be read ({error.strerror})") from None
        except SetupError as error:
            raise SetupError(f"{where}{error}") from None

    def digest(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        digest = hashlib.sha256()
        with open_source(self._source) as f:
            while piece := f.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def place_of(self, column: str) -> int:
        """Which column of the file it is, from 1 on; 0 where the file has no such one."""
        return self._dialect.order[self._columns.index(column)] + 1

    def rows(self, read: Callable[[Sequence[str]], Row]) -> Iterator[Row | RowFault]:
        """What `read` makes of each row, or what is wrong with it."""
        return (row for _, row in self.numbered(read))

    def numbered(self, read: Callable[[Sequence[str]], Row]) -> Iterator[tuple[int, Row | RowFault]]:
        """The same, each with its line."""
        encoding, separator, order, width, header = self._dialect
        is_in_order = order == tuple(range(width))
        with open_text(self._source, encoding) as f:
            reader = csv.reader(f, delimiter=separator)
            for _ in range(header):
                next(reader)
            told = 0
            try:
                for cells in reader:
                    row = [plain(cell) for cell in cells]
                    if len(row) != width:
                        while len(row) > width and not row[-1]:  # a spreadsheet's empty columns
                            row.pop()
                    if not any(row):  # a spreadsheet's empty rows
                        continue
                    if len(row) != width:
                        fault = RowFault(reader.line_num, 0, "", f"expected {width} columns, got {len(row)}")
                        yield fault.line, fault
                        continue
                    try:
                        yield reader.line_num, read(row if is_in_order else [row[i] if i >= 0 else "" for i in order])
                    except BadRow as bad:
                        yield reader.line_num, RowFault(reader.line_num, self.place_of(bad.column), bad.column, bad.why)
                    told += 1
                    if told % _BATCH == 0:
                        self._progress(f.buffer.tell())
            except (csv.Error, UnicodeDecodeError) as error:
                why = f"cannot be read as CSV in {_NAMES.get(encoding, 'UTF-16')} ({type(error).__name__})"
                fault = RowFault(reader.line_num + 1, 0, "", why)
                yield fault.line, fault
        self._progress(self.bytes)


_NAMES: Final = {"utf-8-sig": "UTF-8", "gb18030": "GB18030"}
