"""A night allotted again as the rules say it, one registration after the other.

The night itself works in columns and blocks (`allotment/`, `result_lines.py`), to be fast. What
checks it shares neither: this is how it is meant, written so that it can be read.
"""

from collections import Counter
from collections.abc import Sequence

from server.fairness.allotment import REASONS, Allotment, Candidates, OfferedSlot, Order, Rules
from server.fairness.allotment.candidates import day_of
from server.fairness.allotment.reserves import letters_of
from server.fairness.allotment.serial import COHORTS, Earliest
from server.fairness.allotment.slots import Rows, Table
from server.fairness.allotment.together import gather
from server.fairness.merkle import Frontier
from server.fairness.result_file import Entry, Foot, GivenByReserve, Line, encode
from server.fairness.verification.reserved import allot_with_reserves

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
    reached = _serve_with_reserves(rules, result, earliest) if rules.reserves else [_serve(result, earliest)]
    result.reached, *result.reached_by = [[day_of(day) if day else None for day in each] for each in reached]
    if candidates.together:
        result.moved = gather(candidates, result.table, earliest, result.order.indices, result.got)
        for i in result.moved:
            result.by[i] = 0
    return result


def line_of(night: Allotment, i: int) -> bytes:
    """The line of the candidate with index i."""
    no, slot, reason, reached, moved, by = night.outcome(i)
    _, first_dose, product, wishes, any_site, not_before, _, together, reserves = night.candidates[i]
    return encode(
        Line(
            no, night.order.cohorts[i], first_dose, product, wishes, any_site, not_before, together,
            letters_of(reserves), tie=night.order.tie(i).hex(), slot=slot, by=by, moved=moved, reason=reason,
            reached=reached,
        )
    )  # fmt: skip


def foot_of(rules: Rules, night: Allotment, root: str) -> bytes:
    """The last line, given the root of the lines before it."""
    rows = Counter(row if row < 0 else 0 for row in night.got)
    counts = {"allotted": rows[0]} | {reason: rows[-1 - i] for i, reason in enumerate(REASONS)}
    return encode(Foot(counts, night.reached, root, _by_reserve(rules, night)))


def _by_reserve(rules: Rules, night: Allotment) -> dict[str, GivenByReserve]:
    given = Counter(night.by)
    return {
        reserve.letter: GivenByReserve(given[number], reached)
        for number, (reserve, reached) in enumerate(zip(rules.reserves, night.reached_by, strict=True), 1)
    }


def list_root_of(cohorts: Sequence[int], candidates: Candidates) -> str:
    """The Merkle root of a list of registrations, by number."""
    frontier, numbers = Frontier(), candidates.no
    for i in sorted(range(len(candidates)), key=numbers.__getitem__):
        no, first_dose, product, wishes, any_site, not_before, _, together, reserves = candidates[i]
        frontier.append(
            encode(
                Entry(no, cohorts[i], first_dose, product, wishes, any_site, not_before, together, letters_of(reserves))
            )
        )
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


def _serve_with_reserves(rules: Rules, result: Allotment, earliest: Earliest) -> list[list[int]]:
    """As `_serve`, of the open seats and then of each reserve's; how far a lot has come says nothing."""
    candidates, table, order = result.candidates, result.table, result.order
    lines, days = _lines(candidates, table), [earliest.day(i) for i in range(len(candidates))]
    kept = allot_with_reserves(rules, candidates, table, order, days, lines)
    reached = [[0] * COHORTS for _ in range(1 + len(rules.reserves))]
    for i in order.indices:
        if i in kept:
            result.got[i], result.by[i] = kept[i]
            if not result.by[i] or rules.reserves[result.by[i] - 1].order == "first-dose":
                reached[result.by[i]][order.cohorts[i]] = candidates.first_dose[i]
        else:
            at_site, anywhere = lines[candidates.product[i]]
            theirs = [at_site[code] for code in candidates.wish[slice(*candidates.start[i : i + 2])]]
            theirs += [anywhere] if candidates.any_site(i) else []
            result.got[i] = _why_not(candidates, table, earliest, theirs, i)
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
