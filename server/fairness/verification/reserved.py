"""A night with reserves allotted again, one registration after the other in the night's order.

The night itself has its turns in another order and looks at a block of them at a time (`allotment/choices.py`); that
this comes to the same is what is checked.
"""

from bisect import insort
from collections.abc import Iterator, Sequence

from server.fairness.allotment import Candidates, Order, Rules
from server.fairness.allotment.reserves import seats_of
from server.fairness.allotment.slots import Rows, Table

Ranked = tuple[int, int]
"""A rank, and the index of the candidate who has it."""


class _Slot:
    """A row of the table: who it would choose of all who have asked."""

    def __init__(self, capacity: int, own: Sequence[int]) -> None:
        self.room = capacity
        self.own = own
        self.reserved: list[list[Ranked]] = [[] for _ in own]
        self.open: list[Ranked] = []

    def chooses(self, i: int, reserves: Sequence[int], ranks: "_Ranks") -> bool:
        """Whether somebody who asks now would be among the chosen."""
        if self.room > 0 or (self.open and ranks.night[i] < self.open[-1][0]):
            return True
        for n in reserves:
            if self.own[n] > len(self.reserved[n]):
                return True
            if self.own[n] and ranks.of(n, i) < self.reserved[n][-1][0]:
                return True
        return False

    def choose(self, i: int, members: Sequence[Sequence[int]], ranks: "_Ranks") -> int | None:
        """Let them in; who is not among the chosen any more."""
        asking: int | None = i
        for n in range(len(self.own)):
            if asking is None or n not in members[asking]:
                continue
            insort(self.reserved[n], (ranks.of(n, asking), asking))
            asking = self.reserved[n].pop()[1] if len(self.reserved[n]) > self.own[n] else None
        if asking is not None:
            insort(self.open, (ranks.night[asking], asking))
        self.room -= 1
        if self.room >= 0:
            return None
        self.room = 0
        return self.open.pop()[1]


class _Ranks:
    """Everybody's place in the night's order, and in that of each reserve."""

    def __init__(self, rules: Rules, order: Order) -> None:
        self.night = _places(order.indices)
        lots: Sequence[int] = ()
        if any(reserve.order == "lot" for reserve in rules.reserves):
            lots = _places(sorted(order.indices, key=lambda i: (order.cohorts[i] != 0, order.tie(i))))
        self._each = [lots if reserve.order == "lot" else self.night for reserve in rules.reserves]
        self.is_lot = [reserve.order == "lot" for reserve in rules.reserves]

    def of(self, n: int, i: int) -> int:
        """In the order of reserve n."""
        return self._each[n][i]


def _places(indices: Sequence[int]) -> list[int]:
    places = [0] * len(indices)
    for place, i in enumerate(indices):
        places[i] = place
    return places


class _Asking:
    """Everybody's way through the lines of rows that they like, best first."""

    def __init__(
        self, rules: Rules, candidates: Candidates, table: Table, lines: list[tuple[list[Rows], Rows]]
    ) -> None:
        self._candidates, self._lines = candidates, lines
        own = seats_of(rules.reserves, [(slot.site, slot.product) for slot in table.slots], table.free)
        self.slots = [_Slot(free, [each[row] for each in own]) for row, free in enumerate(table.free)]
        self._passed: dict[tuple[int, int], list[int]] = {}

    def lines_of(self, i: int) -> Iterator[Rows]:
        """Of one, in order of liking."""
        it = self._candidates
        at_site, anywhere = self._lines[it.product[i]]
        for code in it.wish[it.start[i] : it.start[i + 1]]:
            yield at_site[code]
        if it.any_site(i):
            yield anywhere

    def next_choosing(self, rows: Rows, position: int, i: int, reserves: Sequence[int], ranks: _Ranks) -> int | None:
        """The first position, from this one on, whose slot chooses them."""
        for at in range(position, len(rows.rows)):
            if self.slots[rows.rows[at]].chooses(i, reserves, ranks):
                return at
        return None

    def passed(self, rows: Rows, bits: int) -> list[int]:
        """Position -> a later one to begin at, of a line, for those of these reserves whose turn comes first now.

        What has refused one in the night's order refuses all of the same reserves who come after them.
        """
        return self._passed.setdefault((id(rows), bits), list(range(len(rows.rows) + 1)))


def allot_with_reserves(
    rules: Rules,
    candidates: Candidates,
    table: Table,
    order: Order,
    day: Sequence[int],
    lines: list[tuple[list[Rows], Rows]],
) -> dict[int, tuple[int, int]]:
    """Deferred acceptance: everybody asks in turn; who is refused later asks on at once.

    Returns:
        index of the candidate -> the row that keeps them at the end, and the reserve's number from 1 (0: an open seat).
    """
    ranks = _Ranks(rules, order)
    asking = _Asking(rules, candidates, table, lines)
    each = range(len(rules.reserves))
    by_bits = [[n for n in each if bits >> n & 1] for bits in range(1 << len(rules.reserves))]
    members = [by_bits[bits] for bits in candidates.reserves]
    where: dict[int, tuple[int, int]] = {}  # the line, counted among their own, and the position in it
    for first in order.indices:
        i: int | None = first
        while i is not None:
            i = _ask(asking, i, members, ranks, day[i], where, candidates.reserves[i])
    kept: dict[int, tuple[int, int]] = {}
    for row, slot in enumerate(asking.slots):
        kept |= {i: (row, 0) for _, i in slot.open}
        for n, holders in enumerate(slot.reserved, 1):
            kept |= {i: (row, n) for _, i in holders}
        table.free[row] = slot.room
    return kept


def _ask(
    asking: _Asking, i: int, members: Sequence[Sequence[int]], ranks: _Ranks, day: int,
    where: dict[int, tuple[int, int]], bits: int,
) -> int | None:  # fmt: skip
    """Let one ask until a slot chooses them; who is refused for it."""
    before = where.pop(i, None)
    in_turn = before is None and not any(ranks.is_lot[n] for n in members[i])
    for number, rows in enumerate(asking.lines_of(i)):
        if before is not None and number < before[0]:
            continue
        position = before[1] + 1 if before is not None and number == before[0] else rows.start[day]
        if in_turn:
            passed = asking.passed(rows, bits)
            position = _last(passed, position)
        at = asking.next_choosing(rows, position, i, members[i], ranks)
        if in_turn:
            passed[position] = len(rows.rows) if at is None else at
        if at is not None:
            where[i] = number, at
            return asking.slots[rows.rows[at]].choose(i, members, ranks)
    return None


def _last(passed: list[int], position: int) -> int:
    while (later := passed[position]) != position:
        passed[position] = passed[later]
        position = later
    return position
