"""Cells of a CSV file that a spreadsheet opens: what would be taken for a formula stays text."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

# OWASP, CSV injection: what makes a spreadsheet calculate, in full-width forms and behind blanks too; what ends a cell.
_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_ENDS_A_CELL: Final = ("\t", "\r", "\n")


def as_text(cell: str) -> str:
    """A cell that a spreadsheet shows and never calculates: an apostrophe goes before what it might."""
    is_text = not (cell.startswith(_ENDS_A_CELL) or cell.lstrip().startswith(_STARTS_A_FORMULA))
    return cell if is_text else f"'{cell}"


def csv_file(rows: Iterable[Sequence[str]]) -> bytes:
    """Rows of text as a CSV file for a spreadsheet: UTF-8 with the mark by which Excel knows it."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([as_text(cell) for cell in row] for row in rows)
    return ("\ufeff" + out.getvalue()).encode()
