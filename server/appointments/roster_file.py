"""A site's day as a table for a spreadsheet or a printer, to go on by when there is no power."""

from server.appointments.desk import Roster
from server.appointments.periods import PeriodView
from server.core.csv_cells import csv_file
from server.core.wording import knows, word

_COLUMNS = ("period", "regno", "name", "phone", "product", "doseLabel", "state", "signature")


def roster_csv(roster: Roster, periods: dict[str, PeriodView], lang: str) -> bytes:
    """The roster as the desk has it, names and phones masked; the last column is for who comes, to sign.

    Args:
        roster: of a site's day.
        periods: the names of the parts of the day.
        lang: `zh` or `en`.
    """
    rows = [[word(f"staff.{column}", lang) for column in _COLUMNS]]
    for it in roster.entries:
        period = periods.get(it.period)
        name = it.period if period is None else period.name_en if lang == "en" else period.name_zh
        # In groups: a spreadsheet would show fifteen digits as 1.06E+14.
        number = " ".join(it.registration_no[i : i + 5] for i in range(0, len(it.registration_no), 5))
        words = (_word(it.product, lang), str(it.dose), _word(it.state, lang))
        rows.append([name, number, it.name, it.phone, *words, ""])
    return csv_file(rows)


def _word(code: str, lang: str) -> str:
    return word(f"staff.{code}", lang) if knows(f"staff.{code}") else code
