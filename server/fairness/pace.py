"""How many nights somebody may have to wait yet: from how far the slots have come in the nights before."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

NIGHTS_BACK: Final = 7
_MOST_NIGHTS: Final = 60


class Pace(msgspec.Struct, frozen=True):
    """Since the night of `since`, whose slots came to first doses of `reached`; at that pace `nights` more to one's.

    Both days of the earlier night are public: `GET /allotments/{district}/{since}`.
    """

    since: date
    reached: date
    nights: int


def pace_of(mine: date, day: date, reached: date, earlier: Sequence[tuple[date, date | None]]) -> Pace | None:
    """What to tell somebody whose first dose was on `mine` and whom the slots of the night of `day` have not reached.

    Args:
        mine: after `reached`.
        day: of the last night.
        reached: the first-dose date that its slots came to, in their cohort.
        earlier: nights before it and how far those came, the first one first.

    Returns:
        None where nothing can be said: no earlier night is known, the slots have not come on since, or it would be
        so long that nobody knows.
    """
    known = next(((since, came_to) for since, came_to in earlier if came_to is not None and since < day), None)
    if known is None or mine <= reached:
        return None
    since, came_to = known
    came_on = (reached - came_to).days
    if came_on <= 0:
        return None
    nights = -(-(mine - reached).days * (day - since).days // came_on)
    return Pace(since, came_to, nights) if nights <= _MOST_NIGHTS else None
