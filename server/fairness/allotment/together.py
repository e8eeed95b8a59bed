"""Relatives who would like to come together: a later pass that takes nothing from anybody.

Who names a relative is in a *ring* when following the names leads back to them: two who name each other, or three of
whom each names the next. Only a ring counts, so that nobody is moved by a stranger who knows their number.

When everybody has had their turn, the rings are looked at in the order of their first members. Those of a ring who
got a slot are moved to one place (date, site, period of the day) when

1. each of them may come then, and asked for that site and period of the day (or said that any site will do);
2. it is no later than the latest date that one of them has anyway;
3. there are free slots left for all who are to be moved, each of their own product;
4. whoever is moved leaves a slot that was not full when everybody had had their turn.

Because of 3 nobody else loses anything, and because of 4 nobody else gains a reason to complain: a slot that still has
room was never refused to anyone, so nobody wants the one that is left more than what they have. Nor is anything to be
won by naming a relative: what is still free now stood open at everyone's turn, and they took what they liked better.
Of the places that will do, the ring gets the best in the ranking of its first member.

The price of 4: people take early dates first, so most slots are full and few rings can be moved. To hand a slot that is
left to the next in order would move more of them, and would open a way to gain by lying: who lists a slot falsely last
could keep it free for a ring, and then get what that ring leaves.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from server.core.periods import ANY
from server.fairness.allotment.candidates import Candidate, Candidates
from server.fairness.allotment.slots import Table


class FirstDays(Protocol):
    """From which day on each may come."""

    def day(self, i: int) -> int:
        """Days from the first one allotted."""


def gather(
    candidates: Candidates, table: Table, earliest: FirstDays, order: Sequence[int], got: "array[int]"
) -> frozenset[int]:
    """Move the rings that can be moved; changes `got` and what the table says is free.

    Returns:
        the indices of those who have another slot now.
    """
    full = [not free for free in table.free]
    place_at = {
        (day, slot.site, str(slot.period)): place
        for day, slot, place in zip(table.day, table.slots, table.place, strict=True)
    }
    moved: set[int] = set()
    for ring in _rings(candidates, order):
        members = [i for i in ring if got[i] >= 0]
        held = {table.place[got[i]] for i in members if full[got[i]]}
        if len({table.place[got[i]] for i in members}) < 2 or len(held) > 1:
            continue  # they are together, or two of them cannot leave where they are
        search = _Search(candidates, table, earliest, got, members)
        # Who cannot leave is where the others would have to come.
        rows = next(filter(None, map(search.rows_at, held or search.ranking(place_at))), None)
        if rows is None:
            continue
        for i, row in zip(members, rows, strict=True):
            if got[i] != row:
                table.free[got[i]] += 1
                table.free[row] -= 1
                got[i] = row
                moved.add(i)
    return frozenset(moved)


def _rings(candidates: Candidates, order: Sequence[int]) -> list[list[int]]:
    """Each ring once, its members in order; the ring with the earliest first member first."""
    index = {candidates.no[i]: i for i in candidates.together}
    names = {i: index[no] for i, no in candidates.together.items() if no in index}
    rank = {i: r for r, i in enumerate(order) if i in names}
    seen: set[int] = set()
    rings: list[list[int]] = []
    for i in names:
        path, here = [], i
        while here in names and here not in seen:
            seen.add(here)
            path.append(here)
            here = names[here]
        if here in path:
            rings.append(sorted(path[path.index(here) :], key=rank.__getitem__))
    return sorted(rings, key=lambda ring: rank[ring[0]])


class _Search:
    """The places where a ring may be."""

    def __init__(
        self,
        candidates: Candidates,
        table: Table,
        earliest: FirstDays,
        got: "array[int]",
        members: Sequence[int],
    ) -> None:
        self._table, self._got, self._members = table, got, members
        self._wishes: list[Candidate] = [candidates[i] for i in members]
        self._asked = [
            {(site, its) for site, period in w.wishes for its in self._periods(period)} for w in self._wishes
        ]
        self._from = max(earliest.day(i) for i in members)
        self._to = max(table.day[got[i]] for i in members)

    def _periods(self, wish: str) -> Sequence[str]:
        """The periods that a wish is for."""
        return self._table.periods if wish == ANY else (wish,)

    def ranking(self, place_at: Mapping[tuple[int, str, str], int]) -> Iterator[int]:
        """The places in the time that is in question, in the ranking of the first member; some of them twice."""
        for site, period in self._wishes[0].wishes:
            for day in range(self._from, self._to + 1):
                for its in self._periods(period):
                    if (place := place_at.get((day, site, its))) is not None:
                        yield place
        if self._wishes[0].any_site:
            yield from (place for place, day in enumerate(self._table.day_of_place) if self._from <= day <= self._to)

    def rows_at(self, place: int) -> list[int] | None:
        """The row that each member would have at a place; None where not all of them can be there."""
        here = self._table.at[place]
        a_row = next(iter(here.values()))
        if not self._from <= self._table.day[a_row] <= self._to:
            return None
        slot = self._table.slots[a_row]
        rows: dict[int, int] = {}
        wanted: Counter[int] = Counter()
        # First doses last: they can have any product, so they take what the others leave.
        for m in sorted(range(len(self._members)), key=lambda m: self._wishes[m].product == ""):
            i, wishes = self._members[m], self._wishes[m]
            if self._table.place[self._got[i]] == place:
                rows[m] = self._got[i]
                continue
            if not (wishes.any_site or (slot.site, slot.period) in self._asked[m]):
                return None
            for row in here.values():
                theirs = not wishes.product or self._table.slots[row].product == wishes.product
                if theirs and self._table.free[row] > wanted[row]:
                    rows[m] = row
                    wanted[row] += 1
                    break
            else:
                return None
        return [rows[m] for m in range(len(self._members))]
