"""Nights made up from a seed, with whatever a night can have in it; same name, same night, on every Python."""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from server.core.keys import registration_no
from server.fairness.allotment import Candidate, OfferedSlot, Rules
from server.fairness.allotment.reserves import ReserveRule

NIGHT = date(2021, 7, 2)
PRODUCTS = {"inactivated": 21, "cho": 28, "adenovirus": None}
# As no city file would have them: what JSON escapes, what is not ASCII, what sorts otherwise than it looks.
SITES = ("440106-1", "440106-10", "440106-2", "天河-3", 'a "q" \\ b', "é\u2028<&>", "\U0001f489", "440106-9")


class SeededNight(NamedTuple):
    """What a night is given."""

    rules: Rules
    people: list[Candidate]
    table: dict[OfferedSlot, int]
    seed: bytes


def seeded_night(
    name: str,
    people: int,
    *,
    doses: float = 0.3,
    relatives: float = 0.05,
    periods: Sequence[str] = ("am", "pm"),
    horizon: int = 14,
    priority: date | None = date(2021, 6, 9),
    sites: int = len(SITES),
    closed: float = 0.1,
    reserves: Sequence[ReserveRule] = (),
) -> SeededNight:
    """A night.

    Args:
        name: the seed.
        people: how many wait.
        doses: on offer, as a share of them.
        relatives: the share who name another: half of them one who names them back, some a ring of three.
        periods: of the day.
        horizon: days.
        priority: first doses before it go first.
        sites: that have slots; wishes are for all of `SITES`.
        closed: the share of slots of which none is free.
        reserves: seats for the members of groups; a fifth of those who wait are members of each.
    """
    chance = random.Random(f"night {name}")
    rules = Rules("440106", NIGHT, 2, horizon, priority, dict(PRODUCTS), tuple(periods), tuple(reserves))
    rows = [
        OfferedSlot(rules.first_day + timedelta(day), site, period, product)
        for day in range(rules.days)
        for site in SITES[:sites]
        for period in periods
        for product in PRODUCTS
    ]
    each = 2 * doses * people / max(1, len(rows))
    table = {row: 0 if chance.random() < closed else int(chance.random() * each + chance.random()) for row in rows}
    numbers = [registration_no(1, NIGHT, n, 1 + n % 3) for n in range(people)]
    chance.shuffle(numbers)
    everyone = [_somebody(chance, no, [*periods, "any"]) for no in numbers]
    _name_relatives(chance, everyone, relatives)
    seed = chance.randbytes(32)
    if reserves:
        everyone = [
            it._replace(reserves=sum((chance.random() < 0.2) << bit for bit in range(len(reserves)))) for it in everyone
        ]
    return SeededNight(rules, everyone, table, seed)


def _somebody(chance: random.Random, no: str, periods: Sequence[str]) -> Candidate:
    uniform = chance.random
    first_dose = None if uniform() < 0.1 else date(2021, 5, 1) + timedelta(int(uniform() * uniform() * 60))
    if uniform() < 0.01:
        first_dose = date(1999, 12, 31)
    product = chance.choices(["inactivated", "cho", "from afar", "adenovirus"], [80, 15, 2, 3])[0]
    wishes = dict.fromkeys(
        (chance.choice(SITES if uniform() < 0.97 else ("nowhere", "nowhere else")), chance.choice(periods))
        for _ in range(int(uniform() * 5))
    )
    not_before = NIGHT + timedelta(int(uniform() * 20)) if uniform() < 0.1 else None
    return Candidate(
        no, first_dose, product if first_dose else "", list(wishes), uniform() < 0.5, not_before, uniform() < 0.01
    )


def _name_relatives(chance: random.Random, everyone: list[Candidate], share: float) -> None:
    size = len(everyone)
    for i in range(size - 3):
        if chance.random() >= share:
            continue
        kind = chance.random()
        ring = [i, i + 1] if kind < 0.5 else [i, i + 1, i + 2] if kind < 0.7 else [i]
        names = [everyone[j].no for j in ring]
        following = [*names[1:], names[0]] if len(ring) > 1 else [everyone[chance.randrange(size)].no]
        if kind > 0.95:
            following = ["000000000000000"]
        for j, no in zip(ring, following, strict=True):
            everyone[j] = everyone[j]._replace(together=no)
