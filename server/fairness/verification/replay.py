"""A night allotted again as the rules say it, one registration after the other.

The night itself works in columns and blocks (`allotment/`, `result_lines.py`), to be fast. What
checks it shares neither: this is how it is meant, written so that it can be read.
"""

from collections import Counter
from collections.abc import Sequence

from server.fairness.allotment import REASONS, Allotment, Candidates, OfferedSlot, Order, Rules
from server.fairness.allotment.candidates import day_of
from server.fairness.allotment.serial import COHORTS, Earliest
from server.fairness.allotment.slots import Rows, Table
from server.fairness.allotment.together import gather
from server.fairness.merkle import Frontier
from server.fairness.result_file import Entry, Foot, Line, encode

_FULL, _NO_SUCH_SITE, _TOO_EARLY, _NOT_BEFORE, _NOT_OFFERED = range(-1, -1 - len(REASONS), -1)


def refuse_twice(candidates: Candidates) -> None:
    """Raises ValueError where a registration stands twice in the list."""
    numbers = candidates.no
    if len(set(numbers)) != len(numbers):
        no = next(no for no, count in Counter(numbers).items() if count > 1)
        raise ValueError(f"registration {no:015d} is listed twice")


def allot_again(
    rules: Rules, offered: Sequence[tuple[OfferedSlot, int]], candidates: Candidates, order: Order
) -> Allotment:
    """What the night must have come to, everybody taking their turn in this order."""
    result = Allotment(candidates, Table(rules, offered), order)
    earliest = Earliest(rules, candidates)
    for cohort, ordinal in enumerate(_serve(result, earliest)):
        result.reached[cohort] = day_of(ordinal) if ordinal else None
    if candidates.together:
        result.moved = gather(candidates, result.table, earliest, result.order.indices, result.got)
    return result


def line_of(night: Allotment, i: int) -> bytes:
    """The line of the candidate with index i."""
    no, slot, reason, reached, moved = night.outcome(i)
    _, first_dose, product, wishes, any_site, not_before, _, together = night.candidates[i]
    return encode(
        Line(
            no, night.order.cohorts[i], first_dose, product, wishes, any_site, not_before, together,
            tie=night.order.tie(i).hex(), slot=slot, moved=moved, reason=reason, reached=reached,
        )
    )  # fmt: skip


def foot_of(night: Allotment, root: str) -> bytes:
    """The last line, given the root of the lines before it."""
    rows = Counter(row if row < 0 else 0 for row in night.got)
    counts = {"allotted": rows[0]} | {reason: rows[-1 - i] for i, reason in enumerate(REASONS)}
    return encode(Foot(counts, night.reached, root))


def list_root_of(cohorts: Sequence[int], candidates: Candidates) -> str:
    """The Merkle root of a list of registrations, by number."""
    frontier, numbers = Frontier(), candidates.no
    for i in sorted(range(len(candidates)), key=numbers.__getitem__):
        no, first_dose, product, wishes, any_site, not_before, _, together = candidates[i]
        frontier.append(encode(Entry(no, cohorts[i], first_dose, product, wishes, any_site, not_before, together)))
    return frontier.root()


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
    reached = [0] * COHORTS
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
