"""Random small cities for the allotment's oracles, and what everybody would like, written anew from the rules."""

import hashlib
import hmac
import random
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import permutations
from typing import Any, NamedTuple

from server.core.keys import registration_no
from server.fairness.allotment import Candidate, OfferedSlot, Rules

PRODUCTS: Mapping[str, int | None] = {"inactivated": 21, "cho": 28, "adenovirus": None}
SITES = ("S1", "S10", "S2", "S3")
HALVES = {"am": ("am",), "pm": ("pm",), "any": ("am", "pm")}
NIGHT = date(2021, 7, 2)
LEAD, HORIZON = 2, 5
PRIORITY = date(2021, 6, 9)


class City(NamedTuple):
    """A night: everybody, the slots, the seed."""

    people: list[Candidate]
    table: dict[OfferedSlot, int]
    seed: bytes


def rules() -> Rules:
    return Rules("440106", NIGHT, LEAD, HORIZON, PRIORITY, dict(PRODUCTS))


# The rules once more, one by one


def order(city: City) -> list[Candidate]:
    def rank(c: Candidate) -> tuple[int, date, str]:
        if c.sent_back:
            cohort = 0
        elif c.first_dose is None:
            cohort = 3
        else:
            cohort = 1 if c.first_dose < PRIORITY else 2
        return cohort, c.first_dose or date.max, hmac.new(city.seed, c.no.encode(), hashlib.sha256).hexdigest()

    return sorted(city.people, key=rank)


def ranking(c: Candidate, table: Mapping[OfferedSlot, int]) -> list[OfferedSlot]:
    """All slots that would do, best first."""
    earliest = NIGHT + timedelta(LEAD)
    if c.first_dose is not None:
        interval = PRODUCTS[c.product]
        assert interval is not None
        earliest = max(earliest, c.first_dose + timedelta(interval))
    if c.not_before is not None:
        earliest = max(earliest, c.not_before)
    latest = NIGHT + timedelta(HORIZON)
    theirs = [c.product] if c.first_dose is not None else list(PRODUCTS)
    usable = [s for s, free in table.items() if free and earliest <= s.date <= latest and s.product in theirs]

    def by_date(slots: list[OfferedSlot]) -> list[OfferedSlot]:
        return sorted(slots, key=lambda s: (s.date, s.site, s.period, list(PRODUCTS).index(s.product)))

    found: list[OfferedSlot] = []
    for site, period in c.wishes:
        found += by_date([s for s in usable if s.site == site and s.period in HALVES[period]])
    if c.any_site:
        found += by_date(usable)
    return list(dict.fromkeys(found))


# Cities


def some_city(chance: random.Random, people: int, slots: int, most_doses: int, relatives: float = 0.0) -> City:
    sites = SITES[: chance.randint(1, len(SITES))]
    days = [NIGHT + timedelta(n) for n in range(LEAD, HORIZON + 1)]
    table: dict[OfferedSlot, int] = {}
    for _ in range(chance.randint(0, slots)):
        products = chance.choices(list(PRODUCTS), (6, 3, 1))
        halves: Any = chance.choice(("am", "pm"))
        table[OfferedSlot(chance.choice(days), chance.choice(sites), halves, products[0])] = chance.randint(
            0, most_doses
        )
    dates = [date(2021, 6, chance.randint(1, 15)) for _ in range(3)]
    numbers = [registration_no(1, NIGHT, n) for n in chance.sample(range(1000), chance.randint(0, people))]
    everyone = []
    for no in numbers:
        first_dose = chance.choice((*dates, None))
        wishes: Any = list(
            dict.fromkeys(
                (chance.choice((*sites, "S9")), chance.choice(("am", "pm", "any"))) for _ in range(chance.randint(0, 4))
            )
        )
        everyone.append(
            Candidate(
                no,
                first_dose,
                chance.choice(("inactivated", "inactivated", "cho")) if first_dose else "",
                wishes,
                chance.random() < 0.4,
                NIGHT + timedelta(chance.randint(0, HORIZON)) if chance.random() < 0.2 else None,
                chance.random() < 0.15,
            )
        )
    if relatives and len(everyone) > 1:
        for n in range(0, len(everyone) - 1, 2):
            if chance.random() < relatives:
                everyone[n] = everyone[n]._replace(together=numbers[n + 1])
                everyone[n + 1] = everyone[n + 1]._replace(together=chance.choice((numbers[n], numbers[n], numbers[0])))
    return City(everyone, table, chance.randbytes(32))


# Lying


def reports(c: Candidate, city: City) -> Iterator[Candidate]:
    """Everything that somebody could have said instead."""
    sites = sorted({slot.site for slot in city.table} | {site for site, _ in c.wishes})
    wishes: Any = [(site, period) for site in sites for period in ("am", "pm", "any")]
    relatives = [None, *(other.no for other in city.people if other.no != c.no)]
    for length in range(min(3, len(wishes) + 1)):
        for listed in permutations(wishes, length):
            for any_site in (False, True):
                yield c._replace(wishes=list(listed), any_site=any_site)
    for day in range(LEAD, HORIZON + 2):
        yield c._replace(not_before=NIGHT + timedelta(day))
    for relative in relatives:
        yield c._replace(together=relative)
