"""What stands in a cell: blanks and what a spreadsheet puts around it, dates, and what a spreadsheet has spoilt."""

import re
from datetime import date
from typing import Final

NO_DISTRICT: Final = "not a district of the city file"
SAVE_AS_TEXT: Final = "format the column as text and export it again"

_SCIENTIFIC = re.compile(r"[0-9]+(?:[.,][0-9]+)?[Ee]\+?[0-9]+")
_YEAR_FIRST = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})(?:[ T]0?0:00(?::00(?:\.0+)?)?)?")
_DAY_NUMBER = re.compile(r"[0-9]{5}(?:\.0+)?")
_BAD_DATE: Final = "expected a date as YYYY-MM-DD"


class BadRow(Exception):
    """A row that cannot be kept: which column, and why. Never quotes what is in it: it may be someone's papers."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(f"{column}: {why}")
        self.column = column
        self.why = why


def plain(cell: str) -> str:
    """A cell without the blanks around it and without what keeps a spreadsheet from taking it for a number:
    `="0123"` and `'0123`."""
    text = cell.strip()
    if text[:1] in ("=", "'"):
        if text.startswith('="') and text.endswith('"') and len(text) > 2:
            return text[2:-1].strip()
        if text[0] == "'":
            return text[1:].strip()
    return text


def check_unspoilt(column: str, text: str) -> None:
    """Refuse a number that a spreadsheet has rounded: its digits are lost, and no later step can bring them back.

    Raises:
        BadRow: it stands there as 4.40106E+17.
    """
    if _SCIENTIFIC.fullmatch(text):
        raise BadRow(column, f"a spreadsheet has shortened it (E+...), its digits are lost: {SAVE_AS_TEXT}")


def day_of(column: str, text: str, first: date, last: date) -> date:
    """A date with its year first, as YYYY-MM-DD or as a spreadsheet writes it (2021/5/1), within bounds.

    Raises:
        BadRow: it is no such date, or outside the bounds.
    """
    try:
        day = date.fromisoformat(text) if len(text) == 10 and text[4] == text[7] == "-" else _loose_day(text)
    except ValueError:
        day = None
    if day is None:
        if _DAY_NUMBER.fullmatch(text):
            raise BadRow(column, f"{_BAD_DATE}, got a spreadsheet's day number: {SAVE_AS_TEXT}")
        raise BadRow(column, _BAD_DATE)
    if day < first:
        raise BadRow(column, f"expected a date from {first} on")
    if day > last:
        raise BadRow(column, f"expected a date up to {last}")
    return day


def _loose_day(text: str) -> date | None:
    found = _YEAR_FIRST.fullmatch(text)
    return date(int(found[1]), int(found[3]), int(found[4])) if found else None
