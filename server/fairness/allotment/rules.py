"""The rules of one night in one district, and the words for what it can bring."""

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from server.core.city import City
from server.core.periods import ANY, MORNING_AND_AFTERNOON, PeriodCode
from server.fairness.allotment.reserves import LETTERS, ReserveRule, check_reserves

Days = Annotated[int, msgspec.Meta(ge=0, le=3660)]
WhyNot = Literal["full", "no-such-site", "too-early", "not-before", "not-offered"]

REASONS: Final[tuple[WhyNot, ...]] = ("full", "no-such-site", "too-early", "not-before", "not-offered")
"""Why somebody got nothing.

`full`: there are slots of theirs, and all were given to people ahead, tonight or before. `no-such-site`: none of the
sites they listed has any slot in the table. `not-offered`: the sites have slots, but none of their product.
`too-early`, `not-before`: the last date offered comes before the product's minimum interval is over, before their own
`not_before`.
"""

SENT_BACK: Final = 0
PRIORITY: Final = 1
SECOND: Final = 2
FIRST: Final = 3


class OfferedSlot(NamedTuple):
    """Doses of a product that a site can give in a period of a day."""

    date: dt.date
    site: str
    period: str
    product: str


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What decides a night, besides the lists and the seed.

    Dates run from ``date`` + ``lead_days`` to ``date`` + ``horizon_days``, both inclusive. ``products``, in the city
    file's order: days from the first dose to the second (None: one dose is complete). ``periods`` of the day, in its
    order; they are written where they are not `am` and `pm`, which all cities had once. ``reserves``: seats that go to
    the members of groups first, see `server.fairness.allotment.reserves`.
    """

    district: str
    date: dt.date
    lead_days: Days
    horizon_days: Days
    priority_first_dose_before: dt.date | None
    products: dict[str, Days | None]
    periods: tuple[PeriodCode, ...] = MORNING_AND_AFTERNOON
    reserves: tuple[ReserveRule, ...] = ()

    def __post_init__(self) -> None:
        if not self.periods or len({*self.periods, ANY}) <= len(self.periods):
            raise ValueError(f"expected one period of the day or more, each once, and none called {ANY}")
        if self.periods == MORNING_AND_AFTERNOON:  # what is omitted is known by being this very tuple
            msgspec.structs.force_setattr(self, "periods", MORNING_AND_AFTERNOON)
        check_reserves(self.reserves)

    @classmethod
    def of(cls, city: City, district: str, day: dt.date, horizon_days: int) -> "Rules":
        """The rules of the night of `day`."""
        phase = city.phase(day)
        return cls(
            district,
            day,
            city.policy.lead_days,
            horizon_days,
            phase.priority_first_dose_before if phase else None,
            {key: product.min_interval_days for key, product in city.products.items()},
            tuple(city.periods),
            tuple(
                ReserveRule(letter, reserve.percent, reserve.order)
                for letter, reserve in zip(LETTERS, city.reserves, strict=False)
            ),
        )

    @property
    def first_day(self) -> dt.date:
        """The first date that is allotted."""
        return self.date + dt.timedelta(days=self.lead_days)

    @property
    def last_day(self) -> dt.date:
        """The last date that is allotted."""
        return self.date + dt.timedelta(days=self.horizon_days)

    @property
    def days(self) -> int:
        """How many dates are allotted; 0 where the horizon ends before the lead."""
        return max(0, self.horizon_days - self.lead_days + 1)

    def cohort(self, first_dose: dt.date | None, sent_back: bool) -> int:
        """0 sent back by a closed site, 1 the phase's priority (A3), 2 other second doses, 3 first doses (A4)."""
        if sent_back:
            return SENT_BACK
        if first_dose is None:
            return FIRST
        before = self.priority_first_dose_before
        return PRIORITY if before is not None and first_dose < before else SECOND

    def offered(self, table: Iterable[tuple[OfferedSlot, int]]) -> list[tuple[OfferedSlot, int]]:
        """The rows that this night can give, in order: date, site code, period and product as in the city file.

        Args:
            table: slots and how many of each are free, 0 for one that is full (its site is then a known one). Rows
                outside the dates, or of a product or period that the city file does not have, are left out.

        Raises:
            ValueError: a slot twice, or a negative number.
        """
        rank = {product: i for i, product in enumerate(self.products)}
        of_day = {period: i for i, period in enumerate(self.periods)}
        first, last = self.first_day, self.last_day
        rows = [
            (slot, free)
            for slot, free in table
            if first <= slot.date <= last and slot.product in rank and slot.period in of_day
        ]
        rows.sort(key=lambda row: (row[0].date, row[0].site, of_day[row[0].period], rank[row[0].product]))
        for (slot, _), (following, _) in pairwise(rows):
            if slot == following:
                raise ValueError(f"the slot {slot} stands twice in the table")
        for slot, free in rows:
            if free < 0:
                raise ValueError(f"expected free >= 0 for {slot}, got {free}")
        return rows
