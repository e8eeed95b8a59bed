"""The night's allotment: everybody, in order, takes the best free slot of their own ranking.

As all slots share one order, the result is the only stable one, and nobody can gain by listing other wishes than their
true ones: what they list decides only which free slot they take when it is their turn. Where the rules have reserves
the slots do not share one order any more: then it is as `reserves.py` says.
"""

from array import array
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, NamedTuple

from server.fairness.allotment.candidates import Candidates, day_of
from server.fairness.allotment.order import Order, in_order
from server.fairness.allotment.reserves import letter_of
from server.fairness.allotment.rules import REASONS, OfferedSlot, Rules, WhyNot
from server.fairness.allotment.slots import Table
from server.fairness.allotment.together import gather

COHORTS: Final = 4
FULL: Final = -1 - REASONS.index("full")


class Decision(NamedTuple):
    """What the night brought for one registration: a slot, or why not.

    `reached`, where the reason is `full`: the first-dose date of the last one of their cohort who got a slot.
    `moved`: the slot is another than their turn gave them, to be with their relatives. `by`: the letter of the reserve
    that gave it; empty for an open seat.
    """

    no: str
    slot: OfferedSlot | None
    reason: WhyNot | None = None
    reached: date | None = None
    moved: bool = False
    by: str = ""


class Allotment:
    """The result of a night in a district.

    Attributes:
        candidates: who waited.
        table: the slots, and what is left of them.
        order: in which everybody had their turn.
        got: index of the candidate -> row of the table, or a negative code of the reason.
        reached: cohort -> first-dose date of the last one in it who got a slot; None before anybody did, and for
            somebody without a first dose.
        moved: indices of those who were moved to be with their relatives.
        by: index of the candidate -> number of the reserve that gave the slot, from 1; 0: an open seat, or none.
        reached_by: the same as `reached` of each reserve's own seats.
    """

    def __init__(self, candidates: Candidates, table: Table, order: Order) -> None:
        self.candidates = candidates
        self.table = table
        self.order = order
        self.got = array("i", bytes(4 * len(candidates)))
        self.reached: list[date | None] = [None] * COHORTS
        self.moved: frozenset[int] = frozenset()
        self.by = array("B", bytes(len(candidates)))
        self.reached_by: list[list[date | None]] = []

    def outcome(self, i: int) -> Decision:
        """Of the candidate with index i."""
        no, row = f"{self.candidates.no[i]:015d}", self.got[i]
        if row >= 0:
            return Decision(no, self.table.slots[row], moved=i in self.moved, by=letter_of(self.by[i]))
        reached = self.reached_for(self.order.cohorts[i], self.candidates.reserves[i]) if row == FULL else None
        return Decision(no, None, REASONS[-1 - row], reached)

    def reached_for(self, cohort: int, reserves: int) -> date | None:
        """How far the slots came in a cohort, for members of these reserves (bits): the open seats, or their own."""
        own = [its[cohort] for number, its in enumerate(self.reached_by) if reserves >> number & 1]
        return max((each for each in (self.reached[cohort], *own) if each is not None), default=None)

    def outcomes(self) -> Iterator[Decision]:
        """Of everybody, in order."""
        return map(self.outcome, self.order.indices)

    def counts_by_reserve(self) -> dict[str, int]:
        """How many slots each reserve gave, by its letter; empty without reserves."""
        given = self.by.tobytes()
        return {letter_of(number): given.count(number) for number in range(1, len(self.reached_by) + 1)}

    def counts(self) -> dict[str, int]:
        """How many got a slot ("allotted"), and how many did not, by reason; each of them, 0 too."""
        import numpy as np

        got = np.asarray(self.got)
        found = {reason: int((got == -1 - i).sum()) for i, reason in enumerate(REASONS)}
        return {"allotted": len(got) - sum(found.values())} | found


def allot(
    rules: Rules,
    offered: Sequence[tuple[OfferedSlot, int]],
    candidates: Candidates,
    key: bytes,
    order: Order | None = None,
) -> Allotment:
    """Allot the night's slots.

    Args:
        rules: of the night.
        offered: of `Rules.offered`.
        candidates: everybody who waits.
        key: 32 bytes, of the tie-breaks (`Lots.key`).
        order: if it is known already.

    Raises:
        ValueError: as `in_order`; or the candidates wish for periods of another day than the rules'.
    """
    if candidates.periods != rules.periods:
        raise ValueError(f"expected candidates of the periods {rules.periods}, got {candidates.periods}")
    from server.fairness.allotment.turns import take_turns  # with numpy

    result = Allotment(candidates, Table(rules, offered), order or in_order(rules, candidates, key))
    if rules.reserves:
        from server.fairness.allotment.choices import choose  # with numpy, too

        result.got, result.by = choose(rules, candidates, result.table, result.order)
    else:
        result.got = take_turns(rules, candidates, result.table, result.order.indices)
    result.reached = _reached(result)
    result.reached_by = [
        _reached(result, number) if reserve.order == "first-dose" else [None] * COHORTS
        for number, reserve in enumerate(rules.reserves, 1)
    ]
    if candidates.together:
        result.moved = gather(candidates, result.table, Earliest(rules, candidates), result.order.indices, result.got)
        for i in result.moved:  # to where there was room for everybody
            result.by[i] = 0
    return result


def _reached(result: Allotment, by: int = 0) -> list[date | None]:
    """Cohort -> first-dose date of the last one in it who got an open seat, or one of the reserve with this number."""
    import numpy as np

    order, got, cohorts = (np.asarray(it) for it in (result.order.indices, result.got, result.order.cohorts))
    having = order[(got[order] >= 0) & (np.asarray(result.by)[order] == by)]
    last = [having[cohorts[having] == cohort][-1:].tolist() for cohort in range(COHORTS)]
    first_dose = result.candidates.first_dose
    return [day_of(first_dose[who[0]]) if who and first_dose[who[0]] else None for who in last]


class Earliest:
    """From which day on each may come; days count from the first one allotted, and `days` is beyond the last.

    A second dose waits for the product's minimum interval (A2), everybody for their own `not_before`.
    """

    def __init__(self, rules: Rules, candidates: Candidates) -> None:
        self._first = rules.first_day.toordinal()
        self.days = rules.days
        self._interval = [rules.products.get(product) or 0 for product in candidates.products]
        self._candidates = candidates

    def by_interval(self, i: int) -> int:
        """The day on which the minimum interval is over; may be negative."""
        first_dose = self._candidates.first_dose[i]
        return first_dose + self._interval[self._candidates.product[i]] - self._first if first_dose else 0

    def by_wish(self, i: int) -> int:
        """The day of `not_before`; may be negative."""
        not_before = self._candidates.not_before[i]
        return not_before - self._first if not_before else 0

    def day(self, i: int) -> int:
        """The first day that is in question, 0 to `days`."""
        return min(self.days, max(0, self.by_interval(i), self.by_wish(i)))
