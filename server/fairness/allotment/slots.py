"""The night's slots, laid out so that the best free one of anybody is found in a step or two.

Whoever looks asks for the earliest free slot from a day on, of some product, at one site (in a period of the day
or in any) or at any. For each such question there is a *line*: the rows of the table that answer it, best first, with a
pointer from each to the next one that is free. A full row is pointed past, pointers are shortened as they are
followed (path halving), so the cost of a look does not grow with the number of people or of slots already given.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from server.fairness.allotment.rules import OfferedSlot, Rules

NOBODY: Final = -1


class Rows(NamedTuple):
    """Rows that answer one question, best first.

    Attributes:
        start: position of the first row of a day (index: days from the first day) or of a later one.
        following: position -> a later one that may be free, itself where it is; the last stands for "none".
        rows: position -> row of the table, for those that were free when the night began.
        last: index of the last day that has a row, free or not; -1 without any.
    """

    start: list[int]
    following: list[int]
    rows: list[int]
    last: int


class Table:
    """The slots of a night and what is left of them.

    Args:
        rules: dates and products.
        offered: of `Rules.offered`.

    Attributes:
        slots: the rows.
        free: how many of each row are left.
        day: row -> days from the first day.
        days: how many dates there are.
        place: row -> index of its (date, site, period of the day), in that order.
        at: place -> {product's index: row}, in the city file's order.
        day_of_place: place -> days from the first day.
        sites: site -> its rows.
    """

    def __init__(self, rules: Rules, offered: Sequence[tuple[OfferedSlot, int]]) -> None:
        self.slots = [slot for slot, _ in offered]
        self.free = array("q", [free for _, free in offered])
        self.days = rules.days
        self.products = list(rules.products)
        self.periods = rules.periods
        rank = {product: i for i, product in enumerate(self.products)}
        self.product = [rank[slot.product] for slot in self.slots]
        self.day = [(slot.date - rules.first_day).days for slot in self.slots]
        self.place: list[int] = []
        self.at: list[dict[int, int]] = []
        self.day_of_place: list[int] = []
        self.sites: dict[str, list[int]] = {}
        self._in_lines: list[list[tuple[list[int], int]]] = [[] for _ in self.slots]
        before: tuple[object, ...] = ()
        for row, slot in enumerate(self.slots):
            if slot[:3] != before:
                before = slot[:3]
                self.at.append({})
                self.day_of_place.append(self.day[row])
            self.place.append(len(self.at) - 1)
            self.at[-1][self.product[row]] = row
            self.sites.setdefault(slot.site, []).append(row)
        self.nothing = self._line(())

    def lines(self, product: int | None, sites: Sequence[str]) -> tuple[list[Rows], Rows]:
        """(site * (periods + 1) + period -> line, the line of all sites) for one product; None: any product."""

        def wanted(rows: Iterable[int]) -> list[int]:
            return [row for row in rows if product is None or self.product[row] == product]

        found: list[Rows] = []
        for site in sites:
            rows = wanted(self.sites.get(site, ()))
            if not rows:
                found += [self.nothing] * (len(self.periods) + 1)
                continue
            found += [self._line([row for row in rows if self.slots[row].period == it]) for it in self.periods]
            found.append(self._line(rows))
        return found, self._line(wanted(range(len(self.slots))))

    def take(self, row: int) -> None:
        """One is given; a row that is full now is pointed past in every line that has it."""
        self.free[row] -= 1
        if not self.free[row]:
            for following, position in self._in_lines[row]:
                following[position] = position + 1

    def _line(self, offered: Sequence[int]) -> Rows:
        rows = [row for row in offered if self.free[row]]
        following = list(range(len(rows) + 1))
        for position, row in enumerate(rows):
            self._in_lines[row].append((following, position))
        start, position = [], 0
        for day in range(self.days + 1):
            while position < len(rows) and self.day[rows[position]] < day:
                position += 1
            start.append(position)
        return Rows(start, following, rows, self.day[offered[-1]] if offered else NOBODY)
