"""How a file was saved: its encoding, its separator, and where its columns are.

Spreadsheets save in many ways. What can mean one thing only is read; the rest is refused in one line that says what was
found and how to save it. Nothing of the file is quoted: what is taken for a header may be a row.
"""

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, TextIO

from server.core.errors import SetupError

_CHUNK: Final = 1 << 20
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_HOW: Final = "save it as CSV UTF-8"
# So many Chinese characters of a file in GBK are looked at, to tell it from files in other encodings.
_LOOKED_AT: Final = 20_000
_MOST_HEADER_LINES: Final = 20
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class Dialect(NamedTuple):
    """How to read a file: `order[i]` is the place of column i (-1: the file has none), `width` that of a whole row,
    `line` the header's."""

    encoding: str
    separator: str
    order: tuple[int, ...]
    width: int
    line: int


def open_source(source: Path | bytes) -> BinaryIO:
    """The file, or what was sent in its place."""
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def open_text(source: Path | bytes, encoding: str) -> TextIO:
    """The same as text, line ends as they are."""
    return io.TextIOWrapper(open_source(source), encoding=encoding, newline="")


def recognise(source: Path | bytes, columns: Sequence[str], optional: Sequence[str] = ()) -> Dialect:
    """How a file with these columns was saved; it may have the optional ones or not.

    Raises:
        SetupError: it cannot be told, or it is another file; without the file's name.
        OSError: it cannot be read.
    """
    with open_source(source) as f:
        if f.read(4).startswith(_WORKBOOKS):
            raise SetupError(f"is a workbook, not a CSV file; {_HOW}")
    encoding = _encoding_of(source)
    where, found = f"line 1: expected the header {','.join(columns)}", ""
    try:
        with open_text(source, encoding) as f:
            lines = [(number, f.readline(100_000)) for number in range(1, _MOST_HEADER_LINES + 1)]
    except UnicodeDecodeError:
        raise SetupError(f"is neither UTF-8 nor GBK; {_HOW} (not ANSI)") from None
    for number, line in lines:
        separator = line[4:5] if line[:4].lower() == "sep=" else ""  # a line for spreadsheets only
        if separator in _SEPARATORS or not line.strip('",;|\t\r\n \ufeff'):
            continue
        for separator in _SEPARATORS:
            names = [_name(cell) for cell in _cells(line, separator)]
            while names and not names[-1]:
                names.pop()
            if set(columns) <= set(names):
                return _dialect(names, columns, optional, encoding, separator, number)
            if known := [name for name in columns if name in names]:
                missing = [name for name in columns if name not in names]
                found = f"; found {', '.join(known)}, separated by {_SEPARATORS[separator]}; missing: "
                found += ", ".join(missing)
                break
        break
    raise SetupError(f"{where}{found}; {_HOW}")


def _dialect(
    names: Sequence[str], columns: Sequence[str], optional: Sequence[str], encoding: str, separator: str, line: int
) -> Dialect:
    known = [*columns, *optional]
    if twice := [name for name in known if names.count(name) > 1]:
        raise SetupError(f"line {line}: the column {twice[0]} stands there twice")
    if len(names) > sum(name in names for name in known):
        perhaps = f" and perhaps {','.join(optional)}" if optional else ""
        raise SetupError(
            f"line {line}: expected the {len(columns)} columns {','.join(columns)}{perhaps}, got {len(names)}: "
            "remove the others"
        )
    order = tuple(names.index(name) if name in names else -1 for name in known)
    return Dialect(encoding, separator, order, len(names), line)


def _name(cell: str) -> str:
    """A column's name in one spelling: `﻿ID Number ` is `id_number`."""
    plain = unicodedata.normalize("NFKC", cell).replace("\ufeff", "").replace("\u200b", "")
    return "_".join(plain.strip().lower().replace("-", " ").replace("_", " ").split())


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a cell without an end
        return []


def _encoding_of(source: Path | bytes) -> str:
    with open_source(source) as f:
        head = f.read(_CHUNK)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if head[1:9:2] == b"\0\0\0\0" and head[0:8:2].isascii() and b"\0" not in head[0:8:2]:
            return "utf-16-le"
        if head[0:8:2] == b"\0\0\0\0" and head[1:9:2].isascii() and b"\0" not in head[1:9:2]:
            return "utf-16-be"
        f.seek(0)
        if _reads(f, "utf-8"):
            return "utf-8-sig"
        f.seek(0)
        if not head.startswith(codecs.BOM_UTF8) and _reads(f, "gb18030", _Chinese()):
            return "gb18030"
    return "utf-8-sig"  # and where it breaks off is said by line


class _Chinese:
    """Whether a text looks as if it were Chinese and nothing else: what was written in another encoding and is read as
    GBK comes out as rare characters, or as Chinese glued to Latin letters."""

    def __init__(self) -> None:
        self._common = self._rare = self._glued = 0

    def fits(self, text: str) -> bool:
        """Look at a piece more."""
        for before, c in zip(" " + text, text, strict=False):
            if self._common + self._rare >= _LOOKED_AT:
                break
            if c.isascii():
                continue
            self._glued += before.isascii() and before.isalpha()
            try:
                c.encode("gb2312")
            except UnicodeEncodeError:
                self._rare += 1
            else:
                self._common += 1
        return self._rare <= max(3, self._common // 10) and max(self._rare, 4 * self._glued) <= self._common


def _reads(f: BinaryIO, encoding: str, judge: _Chinese | None = None) -> bool:
    """Whether all of it can be read in this encoding, and looks as it should."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(f):
            text = decoder.decode(chunk)
            if judge is not None and not judge.fits(text):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _chunks(f: BinaryIO) -> Iterable[bytes]:
    return iter(lambda: f.read(_CHUNK), b"")
