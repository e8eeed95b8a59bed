"""The night's allotment: everybody, in order, takes the best free slot of their own ranking.

The order is (cohort, first-dose date, HMAC-SHA256(seed, registration number)): contract, "The draw". As all slots
share this one order, the result is the only stable one, and nobody can gain by listing other wishes than their true
ones: what they list decides only which free slot they take when it is their turn.
"""

import hmac
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, NamedTuple

from server.fairness.allotment.candidates import Candidates, day_of
from server.fairness.allotment.rules import REASONS, SENT_BACK, OfferedSlot, Rules, WhyNot
from server.fairness.allotment.slots import Rows, Table
from server.fairness.allotment.together import gather
from server.fairness.draw import check_seed

_FULL, _NO_SUCH_SITE, _TOO_EARLY, _NOT_BEFORE, _NOT_OFFERED = range(-1, -1 - len(REASONS), -1)
_NO_DATE: Final = 0xFFFFFF  # after every date; 24 bits hold the ordinals up to the year 9999
_TIE_BYTES: Final = 32
_COHORTS: Final = 4


class Decision(NamedTuple):
    """What the night brought for one registration: a slot, or why not.

    `reached`, where the reason is `full`: the first-dose date of the last one of their cohort who got a slot.
    `moved`: the slot is another than their turn gave them, to be with their relatives.
    """

    no: str
    slot: OfferedSlot | None
    reason: WhyNot | None = None
    reached: date | None = None
    moved: bool = False


class Order(NamedTuple):
    """Who goes before whom.

    Attributes:
        indices: of the candidates, the first in order first.
        cohorts: index -> cohort.
        ties: the tie-breaks, 32 bytes each; that of index i is ties[32 * i : 32 * i + 32].
    """

    indices: "array[int]"
    cohorts: "array[int]"
    ties: bytes

    def tie(self, i: int) -> bytes:
        """The tie-break of the candidate with index i."""
        return self.ties[_TIE_BYTES * i : _TIE_BYTES * i + _TIE_BYTES]


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
    """

    def __init__(self, candidates: Candidates, table: Table, order: Order) -> None:
        self.candidates = candidates
        self.table = table
        self.order = order
        self.got = array("i", bytes(4 * len(candidates)))
        self.reached: list[date | None] = [None] * _COHORTS
        self.moved: frozenset[int] = frozenset()

    def outcome(self, i: int) -> Decision:
        """Of the candidate with index i."""
        no, row = f"{self.candidates.no[i]:015d}", self.got[i]
        if row >= 0:
            return Decision(no, self.table.slots[row], moved=i in self.moved)
        return Decision(no, None, REASONS[-1 - row], self.reached[self.order.cohorts[i]] if row == _FULL else None)

    def outcomes(self) -> Iterator[Decision]:
        """Of everybody, in order."""
        return map(self.outcome, self.order.indices)

    def counts(self) -> dict[str, int]:
        """How many got a slot ("allotted"), and how many did not, by reason; each of them, 0 too."""
        rows = Counter(row if row < 0 else 0 for row in self.got)
        return {"allotted": rows[0]} | {reason: rows[-1 - i] for i, reason in enumerate(REASONS)}


def tie_break(seed: bytes, no: int) -> bytes:
    """HMAC-SHA256(seed, registration number), 32 bytes; the smaller goes first."""
    return hmac.digest(seed, b"%015d" % no, "sha256")


def in_order(rules: Rules, candidates: Candidates, seed: bytes) -> Order:
    """Candidates by cohort, first-dose date (none: last) and tie-break.

    Raises:
        ValueError: a registration twice, a seed of another length.
    """
    check_seed(seed)
    refuse_twice(candidates)
    cohorts = cohorts_of(rules, candidates)
    ties = bytearray()
    # Buckets by cohort, date and the first bits of the tie-break, so that only a few people are sorted at a time.
    buckets: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
    shift = 8 - min(8, max(0, len(candidates).bit_length() - 13))
    for i, (no, cohort, day) in enumerate(zip(candidates.no, cohorts, candidates.first_dose, strict=True)):
        tie = tie_break(seed, no)
        ties += tie
        buckets[(cohort << 24 | (day or _NO_DATE)) << 8 | tie[0] >> shift].append(i)
    indices = array("I")
    for key in sorted(buckets):
        indices.extend(sorted(buckets.pop(key), key=lambda i: ties[_TIE_BYTES * i : _TIE_BYTES * i + _TIE_BYTES]))
    return Order(indices, cohorts, bytes(ties))


def cohorts_of(rules: Rules, candidates: Candidates) -> "array[int]":
    """Index of the candidate -> cohort."""
    of_day = {
        ordinal: rules.cohort(day_of(ordinal) if ordinal else None, sent_back=False)
        for ordinal in set(candidates.first_dose)
    }
    cohorts = array("B", map(of_day.__getitem__, candidates.first_dose))
    for i in range(len(candidates)):
        if candidates.sent_back(i):
            cohorts[i] = SENT_BACK
    return cohorts


def refuse_twice(candidates: Candidates) -> None:
    """Raises ValueError where a registration stands twice in the list."""
    numbers = candidates.no
    if len(set(numbers)) != len(numbers):
        no = next(no for no, count in Counter(numbers).items() if count > 1)
        raise ValueError(f"the registration {no:015d} stands twice in the list")


def allot(
    rules: Rules,
    offered: Sequence[tuple[OfferedSlot, int]],
    candidates: Candidates,
    seed: bytes,
    order: Order | None = None,
) -> Allotment:
    """Allot the night's slots.

    Args:
        rules: of the night.
        offered: of `Rules.offered`.
        candidates: everybody who waits.
        seed: 32 bytes, committed to before the list was frozen.
        order: if it is known already.

    Raises:
        ValueError: as `in_order`; or the candidates wish for periods of another day than the rules'.
    """
    if candidates.periods != rules.periods:
        raise ValueError(f"expected candidates of the periods {rules.periods}, got {candidates.periods}")
    result = Allotment(candidates, Table(rules, offered), order or in_order(rules, candidates, seed))
    earliest = Earliest(rules, candidates)
    for cohort, ordinal in enumerate(_serve(result, earliest)):
        result.reached[cohort] = day_of(ordinal) if ordinal else None
    if candidates.together:
        result.moved = gather(candidates, result.table, earliest, result.order.indices, result.got)
    return result


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


def _lines(candidates: Candidates, table: Table) -> list[tuple[list[Rows], Rows]]:
    """Index of a candidate's product -> the lines that are theirs: of their own product, or of any for a first dose."""
    found = []
    for product in candidates.products:
        known = table.products.index(product) if product in table.products else -1
        found.append(table.lines(known if product else None, candidates.sites))
    return found


def _serve(result: Allotment, earliest: Earliest) -> list[int]:
    """Everybody in order takes a row; (cohort -> first dose of the last one who got something, an ordinal)."""
    candidates, table, got, cohorts = result.candidates, result.table, result.got, result.order.cohorts
    lines = _lines(candidates, table)
    wish, start, product, first_dose = candidates.wish, candidates.start, candidates.product, candidates.first_dose
    any_site, earliest_day, take = candidates.any_site, earliest.day, table.take
    reached = [0] * _COHORTS
    for i in result.order.indices:
        day = earliest_day(i)
        at_site, anywhere = lines[product[i]]
        theirs = [at_site[code] for code in wish[start[i] : start[i + 1]]]
        if any_site(i):
            theirs.append(anywhere)
        for begins, following, rows, _ in theirs:
            position = begins[day]
            while (later := following[position]) != position:
                following[position] = following[later]
                position = following[later]
            if position < len(rows):
                got[i] = rows[position]
                take(rows[position])
                reached[cohorts[i]] = first_dose[i]
                break
        else:
            got[i] = _why_not(candidates, table, earliest, theirs, i)
    return reached


def _why_not(candidates: Candidates, table: Table, earliest: Earliest, theirs: list[Rows], i: int) -> int:
    day = earliest.day(i)
    last = max((line.last for line in theirs), default=-1)
    if last >= day:
        return _FULL
    if last >= 0 or 0 < day == earliest.days:
        return _TOO_EARLY if earliest.by_interval(i) >= earliest.by_wish(i) else _NOT_BEFORE
    named = {
        candidates.sites[code // candidates.per_site] for code in candidates.wish[slice(*candidates.start[i : i + 2])]
    }
    return _NO_SUCH_SITE if not candidates.any_site(i) and named.isdisjoint(table.sites) else _NOT_OFFERED
