"""Everybody's turn, in order, a block at a time: what can be said of a whole block is worked out by numpy.

Slots only ever become fewer. So at the beginning of a block it is known of whom nothing is left that they could take,
and why; one after the other is looked at only who may still find something. Of a city in which a third gets a slot
that is hardly more than this third.
"""

from array import array
from typing import Any, Final, NamedTuple

import numpy as np

from server.fairness.allotment.candidates import ANY_SITE, Candidates
from server.fairness.allotment.rules import REASONS, Rules
from server.fairness.allotment.slots import NOBODY, Rows, Table

BLOCK: Final = 8192
_CODE: Final = {reason: -1 - i for i, reason in enumerate(REASONS)}

Column = np.ndarray[Any, Any]


class Questions(NamedTuple):
    """What each of a block asks for, one after the other.

    Attributes:
        lines: of all, each one's in order of liking; the last is the line of all sites, or the one of nothing.
        begins: where each one's lines begin.
        ends: where they end.
        day: from which day on each may come.
        interval_last: whether it is the product's interval that they wait for, not their own `not_before`.
        any_site: whether any site will do.
    """

    lines: Column
    begins: Column
    ends: Column
    day: Column
    interval_last: Column
    any_site: Column


class Lines:
    """The lines of a night's table, numbered: those of the first product by wish, then of all sites and of nothing."""

    def __init__(self, candidates: Candidates, table: Table) -> None:
        self.wishes = len(candidates.sites) * candidates.per_site
        self.per_product = self.wishes + 2
        self.each: list[Rows] = []
        for product in candidates.products:
            known = table.products.index(product) if product in table.products else -1
            at_site, anywhere = table.lines(known if product else None, candidates.sites)
            self.each += [*at_site, anywhere, table.nothing]
        offered = [site in table.sites for site in candidates.sites for _ in range(candidates.per_site)]
        self.of_known_site = np.array([*offered, False, False] * len(candidates.products))
        self.last = np.array([line.last for line in self.each])
        nobodys = len(table.slots)
        self._rows = np.concatenate([[*line.rows, nobodys] for line in self.each]).astype(np.int64)
        self._begins = np.cumsum([0] + [len(line.rows) + 1 for line in self.each[:-1]])
        self._free, self._day = np.asarray(table.free), np.array(table.day, np.int64)

    def last_free(self) -> Column:
        """Line -> the last day on which something of it is free now; -1 where nothing is."""
        return self.last_day(self._free > 0)

    def last_day(self, rows: Column) -> Column:
        """Line -> the last day of which it has one of these rows (a truth for each); -1 without any."""
        day_if_free = np.append(np.where(rows, self._day, NOBODY), NOBODY)
        found: Column = np.maximum.reduceat(day_if_free[self._rows], self._begins)
        return found


def take_turns(rules: Rules, candidates: Candidates, table: Table, indices: "array[int]") -> "array[int]":
    """Everybody, in the order of the indices, takes the best row that is free.

    Returns:
        index of the candidate -> row, or a negative code of the reason why there is none.
    """
    order, brought = np.asarray(indices), array("i", bytes(4 * len(indices)))
    if not len(order):
        return brought
    block_of = Blocks(candidates, rules, lines := Lines(candidates, table))
    got = np.asarray(brought)
    for at in range(0, len(order), BLOCK):
        these = order[at : at + BLOCK]
        asked = block_of(these)
        given = why_not(asked, lines, rules.days)
        may_find = np.maximum.reduceat(lines.last_free()[asked.lines], asked.begins) >= asked.day
        _take(table, lines.each, asked, np.flatnonzero(may_find).tolist(), given)
        got[these] = given
    return brought


class Blocks:
    """Says what those of a block ask for."""

    def __init__(self, candidates: Candidates, rules: Rules, lines: Lines) -> None:
        self._first_dose, self._product = np.asarray(candidates.first_dose), np.asarray(candidates.product)
        self._not_before, self._flags = np.asarray(candidates.not_before), np.asarray(candidates.flags)
        self._wish, self._start = np.append(np.asarray(candidates.wish), np.uint16(0)), np.asarray(candidates.start)
        self._interval = np.array([rules.products.get(product) or 0 for product in candidates.products])
        self._first, self._days = rules.first_day.toordinal(), rules.days
        self._lines = lines

    def __call__(self, these: Column) -> Questions:
        starts, product = self._start[these].astype(np.int64), self._product[these].astype(np.int64)
        counts = self._start[these + 1] - starts + 1  # and the line of all sites, or of nothing
        ends = np.cumsum(counts)
        begins = ends - counts
        lines = self._wish[np.arange(ends[-1]) - np.repeat(begins - starts, counts)].astype(np.int64)
        any_site = self._flags[these] & ANY_SITE != 0
        lines[ends - 1] = self._lines.wishes + 1 - any_site
        lines += np.repeat(product * self._lines.per_product, counts)
        day, interval_last = self._first_days(self._first_dose[these], self._not_before[these], product)
        return Questions(lines, begins, ends, day, interval_last, any_site)

    def days(self) -> list[int]:
        """Index of the candidate -> from which day on they may come."""
        day, _ = self._first_days(self._first_dose, self._not_before, self._product)
        found: list[int] = day.tolist()
        return found

    def _first_days(self, first_dose: Column, not_before: Column, product: Column) -> tuple[Column, Column]:
        """(from which day on, whether it is the product's interval that says so)."""
        by_interval = np.where(first_dose != 0, first_dose + self._interval[product] - self._first, 0)
        by_wish = np.where(not_before != 0, not_before - self._first, 0)
        return np.minimum(self._days, np.maximum(0, np.maximum(by_interval, by_wish))), by_interval >= by_wish


def why_not(asked: Questions, lines: Lines, days: int) -> Column:
    """Why each of a block gets nothing, if they get nothing."""
    last = np.maximum.reduceat(lines.last[asked.lines], asked.begins)
    none_known = ~asked.any_site & ~np.logical_or.reduceat(lines.of_known_site[asked.lines], asked.begins)
    too_late = np.where(asked.interval_last, _CODE["too-early"], _CODE["not-before"])
    never = np.where(none_known, _CODE["no-such-site"], _CODE["not-offered"])
    in_vain = np.where((last >= 0) | ((asked.day > 0) & (asked.day == days)), too_late, never)
    return np.where(last >= asked.day, _CODE["full"], in_vain)


def _take(table: Table, lines: list[Rows], asked: Questions, turns: list[int], given: Column) -> None:
    """Those who may find something, one after the other."""
    theirs, begins, ends, days = (it.tolist() for it in (asked.lines, asked.begins, asked.ends, asked.day))
    who, what = [], []
    for turn in turns:
        day = days[turn]
        for line in theirs[begins[turn] : ends[turn]]:
            start, following, rows, _ = lines[line]
            position = start[day]
            while (later := following[position]) != position:
                following[position] = following[later]
                position = following[later]
            if position < len(rows):
                who.append(turn)
                what.append(rows[position])
                table.take(rows[position])
                break
    given[who] = what
