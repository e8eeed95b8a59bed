"""Which of a night's slots would have suited somebody.

Who is told `full` may have thought that nothing was left, or that there had been nothing: how many slots there were
that they would have taken is public, as the result file begins with them. All of these went to people ahead of them
(guarantee 6), so it is also how many people with their wishes got one before them.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple, Protocol

from server.core.periods import ANY
from server.fairness.allotment import Rules


class Asking(Protocol):
    """What a line of a result file says of a registration; `product` is empty of who comes for a first dose."""

    first_dose: date | None
    product: str
    any_site: bool
    not_before: date | None

    @property
    def wishes(self) -> Iterable[tuple[str, str]]:
        """Site, and period or `any`."""


class _Row(NamedTuple):
    day: date
    product: str
    free: int


class NightSlots:
    """What a night had to give, laid out to be asked for one registration after the other.

    Args:
        rules: of the night.
        slots: of the head of its result file: date, site, period of the day, product, how many were free.
    """

    def __init__(self, rules: Rules, slots: Iterable[tuple[date, str, str, str, int]]) -> None:
        self._rules = rules
        self._at: dict[tuple[str, str], list[_Row]] = {}
        everywhere: Counter[tuple[date, str]] = Counter()
        for day, site, period, product, free in slots:
            self._at.setdefault((site, period), []).append(_Row(day, product, free))
            everywhere[day, product] += free
        self._anywhere = [_Row(day, product, free) for (day, product), free in everywhere.items()]

    def suiting(self, it: Asking) -> int:
        """How many of them a registration would have taken."""
        from_day = self._first_day(it)
        return sum(
            row.free for row in self._asked(it) if row.day >= from_day and it.product in ("", row.product)
        )  # fmt: skip

    def _asked(self, it: Asking) -> Iterable[_Row]:
        """Each row once, however often its place was listed."""
        if it.any_site:
            return self._anywhere
        periods = self._rules.periods
        places = {(site, its) for site, period in it.wishes for its in (periods if period == ANY else (period,))}
        return [row for place in places for row in self._at.get(place, ())]

    def _first_day(self, it: Asking) -> date:
        days = [self._rules.first_day]
        if it.first_dose is not None:
            days.append(it.first_dose + timedelta(days=self._rules.products.get(it.product) or 0))
        if it.not_before is not None:
            days.append(it.not_before)
        return max(days)
