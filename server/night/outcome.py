"""What a night brought in a district, in the numbers that an operator looks at."""

from collections.abc import Mapping

import msgspec

from server.night.inputs import Free
from server.records.night import NightRecord
from server.records.slot import Overbooked


class NightOutcome(msgspec.Struct):
    """What a night brought in a district, or would bring (`Night.foresee`).

    `missed` appointments of the day, of those `charged` as no-shows, of whose residents `barred`; `over`: slots given
    beyond a capacity that was lowered since (nobody is thrown out); `registrations` on the list; `offered` doses;
    `counts` by outcome (`allotment.Allotment.counts`); `withdrawn`: given, but taken away by the city in that very
    moment; `reminded`; `root` of the result.
    """

    district: str
    missed: int = 0
    charged: int = 0
    barred: int = 0
    over: list[Overbooked] = msgspec.field(default_factory=list)
    registrations: int = 0
    offered: int = 0
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    withdrawn: int = 0
    reminded: int = 0
    root: str = ""


def outcome_of(district: str, night: NightRecord) -> NightOutcome:
    """What a district's night says of itself."""
    offered = msgspec.json.decode(night.offered, type=list[Free]) if night.offered else []
    return NightOutcome(
        district,
        night.missed or 0,
        night.charged or 0,
        night.barred or 0,
        list(night.over or ()),
        night.registrations or 0,
        sum(free for _, free in offered),
        dict(night.counts or {}),
        night.withdrawn or 0,
        night.reminded or 0,
        night.root or "",
    )


def outcomes_of(nights: Mapping[str, NightRecord]) -> list[NightOutcome]:
    """The same of each district, by its code."""
    return [outcome_of(code, night) for code, night in nights.items()]
