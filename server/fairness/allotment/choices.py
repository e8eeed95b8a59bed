"""A night with reserves: deferred acceptance, so that every slot gives its seats as `reserves.py` says.

Everybody asks for the best slot that has not refused them yet. A slot keeps those whom it would choose of all who have
asked so far, and refuses the others, also those whom it had kept until then; they ask on. The result does not depend on
who asks first (McVitie and Wilson, 1971), so that the turns here are in an order in which few are refused again: a
reserve's members ahead of the night's order, as far as its share is greater than theirs among those who wait. Within
a class (those of the same reserves) the turns are in the night's order: what has refused one refuses all after them.
"""

from array import array
from bisect import insort
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from server.fairness.allotment.candidates import ANY_SITE, Candidates
from server.fairness.allotment.candidates import SENT_BACK as SENT_BACK_FLAG
from server.fairness.allotment.order import Order, ranked
from server.fairness.allotment.reserves import seats_of
from server.fairness.allotment.rules import Rules
from server.fairness.allotment.slots import NOBODY, Table
from server.fairness.allotment.turns import BLOCK, Blocks, Lines, Questions, why_not

_NOT_KEPT: Final = -1
_EVERYBODY: Final = 1 << 40  # a rank behind all

Column = np.ndarray[Any, Any]


class Chosen(NamedTuple):
    """What everybody got.

    Attributes:
        got: index of the candidate -> row, or a negative code of the reason why there is none.
        by: index of the candidate -> number of the reserve that gave it, from 1; 0: an open seat, or nothing.
    """

    got: "array[int]"
    by: "array[int]"


def choose(rules: Rules, candidates: Candidates, table: Table, order: Order) -> Chosen:
    """Give the seats; the table knows afterwards what is left."""
    chosen = Chosen(array("i", bytes(4 * len(candidates))), array("B", bytes(len(candidates))))
    if not len(candidates):
        return chosen
    seats = _Seats(rules, candidates, table, order)
    asking = _Asking(candidates, table, rules, lines := Lines(candidates, table), seats)
    turns, block_of = _turns(rules, candidates, order), Blocks(candidates, rules, lines)
    got = np.asarray(chosen.got)
    for at in range(0, len(turns), BLOCK):
        these = turns[at : at + BLOCK]
        asked = block_of(these)
        got[these] = why_not(asked, lines, rules.days)
        asking.take_turns(asked, these, np.flatnonzero(asking.may_find(asked, these)).tolist())
    kept = np.asarray(asking.kept)
    np.copyto(got, kept, where=kept != _NOT_KEPT)
    table.free = array("q", seats.free)
    for number, of_reserve in enumerate(seats.members, 1):
        for holders in of_reserve.held:
            for rank in holders:
                chosen.by[of_reserve.who[rank]] = number
    return chosen


class _Members:
    """The seats of one reserve: how many each row has, who holds them; holders by their ranks in the reserve's order.

    Args:
        own: row -> seats.
        who: rank -> index of the candidate.
    """

    def __init__(self, own: list[int], who: Sequence[int], *, is_nights: bool) -> None:
        self.own, self.who, self.is_nights = own, who, is_nights
        self.held: list[list[int]] = [[] for _ in own]
        ranks = np.empty(len(who), np.uint32)
        ranks[np.asarray(who)] = np.arange(len(who), dtype=np.uint32)
        self.rank = array("I")
        self.rank.frombytes(ranks.tobytes())


class _Seats:
    """Who holds the seats of every slot.

    Attributes:
        free: row -> seats that nobody holds.
        pool: row -> ranks of those who hold a seat that is no reserve's, or one that its reserve does not need.
        who: rank -> index of the candidate.
        rank: the other way round.
        bits: index -> of which reserves.
        members: the reserves.
    """

    def __init__(self, rules: Rules, candidates: Candidates, table: Table, order: Order) -> None:
        self.free = table.free.tolist()
        self.pool: list[list[int]] = [[] for _ in self.free]
        self.who, self.bits = order.indices, candidates.reserves
        seats = seats_of(rules.reserves, [(slot.site, slot.product) for slot in table.slots], self.free)
        self.members = [
            _Members(own, self.who if reserve.order == "first-dose" else _by_lot(candidates, order),
                     is_nights=reserve.order == "first-dose")
            for reserve, own in zip(rules.reserves, seats, strict=True)
        ]  # fmt: skip
        self.rank = _Members([], self.who, is_nights=True).rank

    def takes(self, row: int, i: int) -> bool:
        """Whether a row would keep somebody who asks now."""
        if self.free[row]:
            return True
        pool = self.pool[row]
        if pool and self.rank[i] < pool[-1]:
            return True
        bits = self.bits[i]
        if bits:
            for number, of_reserve in enumerate(self.members):
                if bits >> number & 1 and (own := of_reserve.own[row]):
                    held = of_reserve.held[row]
                    if len(held) < own or of_reserve.rank[i] < held[-1]:
                        return True
        return False

    def keep(self, row: int, i: int) -> int:
        """Let a row keep somebody whom it takes; whom it refuses instead, -1 = nobody."""
        for number, of_reserve in enumerate(self.members if self.bits[i] else ()):
            if self.bits[i] >> number & 1 and (own := of_reserve.own[row]):
                held, rank = of_reserve.held[row], of_reserve.rank[i]
                if len(held) < own:
                    insort(held, rank)
                    break
                if rank < held[-1]:
                    insort(held, rank)
                    i = of_reserve.who[held.pop()]  # goes on to the reserves behind, and to the seats of everybody
        else:
            pool, rank = self.pool[row], self.rank[i]
            if pool and rank < pool[-1]:
                insort(pool, rank)
            else:
                pool.append(rank)
        if self.free[row]:
            self.free[row] -= 1
            return NOBODY
        return self.who[self.pool[row].pop()]

    def behind(self, bits: int) -> Column:
        """Row -> the rank in the night's order of the last one of these reserves who would be refused by nobody."""
        behind = np.where(np.array(self.free) > 0, _EVERYBODY, [pool[-1] if pool else -1 for pool in self.pool])
        for number, of_reserve in enumerate(self.members):
            if bits >> number & 1:
                last = [
                    -1 if not own else held[-1] if len(held) == own and of_reserve.is_nights else _EVERYBODY
                    for own, held in zip(of_reserve.own, of_reserve.held, strict=True)
                ]
                behind = np.maximum(behind, last)
        return behind


class _Asking:
    """Everybody on their way from one slot to the next.

    Attributes:
        kept: index of the candidate -> row that keeps them.
    """

    def __init__(self, candidates: Candidates, table: Table, rules: Rules, lines: Lines, seats: _Seats) -> None:
        count = len(candidates)
        self._candidates, self._lines, self._seats = candidates, lines, seats
        self._day = Blocks(candidates, rules, lines).days()
        self.kept = array("i", [_NOT_KEPT]) * count
        self._at_line, self._at_position = array("I", bytes(4 * count)), array("I", bytes(4 * count))
        # Reserves -> line -> position -> a later one that may take the next of them.
        self._following: dict[int, list[list[int] | None]] = {bits: [None] * len(lines.each) for bits in {*seats.bits}}
        nights = sum(of_reserve.is_nights << number for number, of_reserve in enumerate(seats.members))
        self._by_lot = ~nights

    def may_find(self, asked: Questions, these: Column) -> Column:
        """Of a block in which nobody has had their turn: those for whom there may still be something."""
        classes, ranks = np.asarray(self._seats.bits)[these], np.asarray(self._seats.rank)[these]
        found = np.zeros(len(these), bool)
        for bits in np.unique(classes).tolist():
            mine = classes == bits
            last = self._lines.last_day(self._seats.behind(bits) > ranks[mine].min())
            found |= mine & (np.maximum.reduceat(last[asked.lines], asked.begins) >= asked.day)
        return found

    def take_turns(self, asked: Questions, these: Column, turns: list[int]) -> None:
        """Those of a block who may find something, one after the other; who is refused for it asks on at once."""
        who, classes = these.tolist(), np.asarray(self._seats.bits)[these].tolist()
        theirs, begins, ends, days = (it.tolist() for it in (asked.lines, asked.begins, asked.ends, asked.day))
        for turn in turns:
            i = self._ask_first(who[turn], classes[turn], theirs[begins[turn] : ends[turn]], days[turn])
            while i != NOBODY:
                i = self._ask_on(i)

    def _ask_first(self, i: int, bits: int, theirs: list[int], day: int) -> int:
        seats, each, free, rank = self._seats, self._lines.each, self._seats.free, self._seats.rank[i]
        pools, following_of, by_lot = seats.pool, self._following[bits], bits & self._by_lot
        for number, line in enumerate(theirs):
            start, _, rows, _ = each[line]
            following = following_of[line]
            if following is None:
                following = following_of[line] = list(range(len(rows) + 1))
            position, last = start[day], len(rows)
            while True:
                while (later := following[position]) != position:
                    following[position] = following[later]
                    position = following[later]
                if position == last:
                    break
                row = rows[position]
                if free[row]:
                    return self._keep(i, row, number, position)
                pool = pools[row]
                if (pool and rank < pool[-1]) or (bits and seats.takes(row, i)):
                    return self._keep(i, row, number, position)
                if by_lot:
                    position += 1
                else:
                    following[position] = position + 1
        return NOBODY

    def _ask_on(self, i: int) -> int:
        """From behind the row that has refused them now."""
        self.kept[i] = _NOT_KEPT
        takes, day, each, position = self._seats.takes, self._day[i], self._lines.each, self._at_position[i] + 1
        first = self._at_line[i]
        for number, line in enumerate(self._lines_of(i)[first:], first):
            start, _, rows, _ = each[line]
            for at in range(position if number == first else start[day], len(rows)):
                if takes(rows[at], i):
                    return self._keep(i, rows[at], number, at)
        return NOBODY

    def _keep(self, i: int, row: int, number: int, position: int) -> int:
        self.kept[i], self._at_line[i], self._at_position[i] = row, number, position
        return self._seats.keep(row, i)

    def _lines_of(self, i: int) -> list[int]:
        """In order of liking."""
        candidates, lines = self._candidates, self._lines
        base = candidates.product[i] * lines.per_product
        theirs = [base + wish for wish in candidates.wish[candidates.start[i] : candidates.start[i + 1]]]
        theirs.append(base + lines.wishes + (not candidates.flags[i] & ANY_SITE))
        return theirs


def _by_lot(candidates: Candidates, order: Order) -> "array[int]":
    """Everybody by lot, those first whom a closed site sent back."""
    group = (np.asarray(candidates.flags) & SENT_BACK_FLAG == 0).astype(np.uint32)
    found = array("I")
    found.frombytes(ranked(group, order.ties).astype(np.uintc).tobytes())
    return found


def _turns(rules: Rules, candidates: Candidates, order: Order) -> Column:
    """The indices in an order in which few are refused again; each class of members in the night's."""
    indices = np.asarray(order.indices).astype(np.int64)
    classes = np.asarray(candidates.reserves)[indices]
    found, counts = np.unique(classes, return_counts=True)
    size_of = dict(zip(found.tolist(), (counts / len(indices)).tolist(), strict=True))
    pace = np.empty(len(indices))
    weights = {bits: _weight(rules, bits, size_of) for bits in size_of}
    for bits, weight in weights.items():
        mine = classes == bits
        pace[mine] = np.arange(int(mine.sum())) / weight
    turns: Column = indices[np.argsort(pace, kind="stable")]
    return turns


def _weight(rules: Rules, bits: int, size_of: dict[int, float]) -> float:
    """The part of the slots that those of these reserves may come to have."""
    size = size_of[bits]
    reserved = 0.0
    for number, reserve in enumerate(rules.reserves):
        if bits >> number & 1:
            members = sum(share for other, share in size_of.items() if other >> number & 1)
            reserved += reserve.percent / 100 * size / members
    return max(size, reserved)
