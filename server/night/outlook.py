"""What somebody who has not registered yet may expect of the next night: by how far the nights before it came.

Said of published nights alone, so it gives away nothing that `GET /allotments/{district}/{date}` does not.
"""

import datetime as dt
from datetime import date, timedelta
from typing import Final

import msgspec

from server.core.city import City
from server.core.clock import Clock
from server.core.keys import day_tag
from server.fairness.allotment import Rules
from server.fairness.pace import NIGHTS_BACK, pace_of
from server.night.store import NightStore
from server.records.night import NightRecord
from server.store.connection import Connection

_KEPT_MS: Final = 60_000
"""A night is published once a day: whoever asks within a minute of another is answered by what that one found."""


class Outlook(msgspec.Struct, frozen=True):
    """What today's registration would likely bring, if the nights to come are as the last ones were.

    `night`: the last one that is published in the district; `registrations` waited in it, and `allotted` of them got a
    slot. `reached`: the first-dose date that it came to among those who go by the same rule; null where none of them
    got one, for a first dose, and in a city with reserves. `nights`: about so many, 1 is the night of that day; null
    where nobody knows. `since`: the earlier night by which the pace was measured, where it took one.
    """

    night: date
    registrations: int
    allotted: int
    reached: dt.date | None
    nights: int | None
    since: dt.date | None


class Outlooks:
    """Looks at the nights that were published.

    Args:
        city: phases, products.
        connection: where the nights are.
        clock: city time.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock) -> None:
        self._city = city
        self._night_store = NightStore(connection)
        self._clock = clock
        self._kept: dict[str, tuple[int, list[tuple[date, NightRecord]]]] = {}

    async def of(self, district: str, day: date, first_dose: date | None) -> Outlook | None:
        """For whom registers on a day; None where no night of the week before it is published.

        Args:
            district: code.
            day: of the opening.
            first_dose: theirs, None for who comes for a first dose.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        nights = await self._published(district, day)
        if not nights:
            return None
        last, night = nights[-1]
        counts = night.counts or {}
        reached = nights_more = since = None
        if first_dose is not None and not (night.by_reserve or self._city.reserves):
            came_to = [(each, self._reached(district, each, it, first_dose)) for each, it in nights]
            reached = came_to[-1][1]
            if reached is not None and first_dose <= reached:
                nights_more = 1
            elif reached is not None and (pace := pace_of(first_dose, last, reached, came_to[:-1])) is not None:
                nights_more, since = max(1, pace.nights - (day - last).days + 1), pace.since
        return Outlook(last, night.registrations or 0, counts.get("allotted", 0), reached, nights_more, since)

    def _reached(self, district: str, day: date, night: NightRecord, first_dose: date) -> date | None:
        """How far a night came among those who had their turn with this first dose, by the phase of that day."""
        cohort = Rules.of(self._city, district, day, 0).cohort(first_dose, sent_back=False)
        return night.reached[cohort] if night.reached else None

    async def _published(self, district: str, day: date) -> list[tuple[date, NightRecord]]:
        """The nights of the week before a day that are public, the first one first."""
        now_ms = self._clock.now_ms()
        tag = day_tag(district, day)
        kept = self._kept.get(tag)
        if kept is None or not 0 <= now_ms - kept[0] < _KEPT_MS:
            days = [day - timedelta(days=n) for n in range(NIGHTS_BACK + 1, 0, -1)]
            nights = await self._night_store.nights([day_tag(district, each) for each in days])
            found = [(each, night) for each, night in zip(days, nights, strict=True) if night.root is not None]
            self._kept = {code: it for code, it in self._kept.items() if 0 <= now_ms - it[0] < _KEPT_MS}
            kept = self._kept[tag] = (now_ms, found)
        return kept[1]
