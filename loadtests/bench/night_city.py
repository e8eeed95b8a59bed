"""A made-up city for the night: how many wait in each district, for what, and what the sites can give.

All numbers are assumptions but for the populations (city file) and the total (domain.md, "Demand"). Same seed, same
city.
"""

import random
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Final

from server.core.city import City
from server.core.districts import District
from server.core.keys import registration_no
from server.fairness.allotment import Candidate, OfferedSlot, Rules

DEMAND: Final = 4_836_000
"""Residents with a first dose and no second one on 18 June 2021 (domain.md)."""
NIGHT: Final = date(2021, 7, 1)
"""The first night that has first doses too."""

_FIRST_DOSES = 0.10
_ANY_SITE = 0.70
_SENT_BACK = 0.002
_NOT_BEFORE = 0.05
_DOSE_DAYS = 80  # first doses of this many days, evenly; the last of them 21 days before the night
_OPENING_DAYS = 12  # registered in the openings of these last days
_PRODUCTS = {"inactivated": 0.80, "cho": 0.15, "adenovirus": 0.05}
_PERIODS = ("am", "pm", "any")
_REGISTRATIONS_A_SITE = 10_000
_OLD = 0.20
_DISABLED = 0.02
_FEWEST_SITES = 3

ASSUMED: Final = (
    f"the night of {NIGHT}; districts by population, those with a window; {_FIRST_DOSES:.0%} first doses, the others' "
    f"first doses evenly on {_DOSE_DAYS} days, {_PRODUCTS['inactivated']:.0%} inactivated, the rest CHO; 1 to 4 "
    f"wishes, {_ANY_SITE:.0%} take any site, {_NOT_BEFORE:.0%} not before a date, {_SENT_BACK:.1%} sent back by a "
    f"closure; a site for {_REGISTRATIONS_A_SITE:,} registrations (at least {_FEWEST_SITES} a district), both halves "
    f"of 13 days; with reserves, {_OLD:.0%} in the first one's group and {_DISABLED:.0%} in the second's"
)


def shares(city: City, total: int, codes: Iterable[str] = ()) -> list[tuple[District, int]]:
    """Districts with a window (those with these codes, or all) and how many of `total` wait there, by population."""
    wanted = set(codes)
    open_ones = [d for d in city.districts if d.windows and (not wanted or d.code in wanted)]
    people, before = sum(d.population for d in open_ones), 0
    found = []
    for district in open_ones:  # rounded so that they add up
        upto = before + district.population
        found.append((district, total * upto // people - total * before // people))
        before = upto
    return found


def sites_of(district: District, count: int) -> list[str]:
    """Codes of the sites of a district in which so many wait."""
    return [f"{district.code}-{n}" for n in range(1, max(_FEWEST_SITES, count // _REGISTRATIONS_A_SITE) + 1)]


def capacity(rules: Rules, sites: list[str], doses: int, seed: int) -> Iterator[tuple[OfferedSlot, int]]:
    """So many doses, on all dates, sites and halves of the day alike."""
    chosen = random.Random(f"capacity {seed} {rules.district}")
    each = doses / (rules.days * len(sites) * 2)
    for n in range(rules.days):
        for site in sites:
            for half in ("am", "pm"):
                for product, share in _PRODUCTS.items():
                    free = int(each * share + chosen.random())
                    yield OfferedSlot(rules.first_day + timedelta(n), site, half, product), free


def waiting(
    city: City, district: District, count: int, seed: int, night: date = NIGHT, *, reserves: int = 0
) -> Iterator[Candidate]:
    """Return those who wait in a district, members of so many reserves among them."""
    chosen = random.Random(f"waiting {seed} {district.code}")
    sites = sites_of(district, count)
    last_dose, first_day = night - timedelta(days=21), night - timedelta(days=_OPENING_DAYS - 1)
    doses = [last_dose - timedelta(days=n) for n in range(_DOSE_DAYS)]
    openings = [first_day + timedelta(days=n) for n in range(_OPENING_DAYS)]
    members = (_OLD, _DISABLED)[:reserves]
    uniform, of_group = chosen.random, random.Random(f"groups {seed} {district.code}").random
    for i in range(count):
        first_dose = None if uniform() < _FIRST_DOSES else doses[int(uniform() * _DOSE_DAYS)]
        second = "inactivated" if uniform() < _PRODUCTS["inactivated"] else "cho"
        any_site = uniform() < _ANY_SITE
        wanted = range(1 + int(uniform() * 4))
        wishes = dict.fromkeys((sites[int(uniform() * len(sites))], _PERIODS[int(uniform() * 3)]) for _ in wanted)
        not_before = night + timedelta(days=int(uniform() * 14)) if uniform() < _NOT_BEFORE else None
        sent_back = uniform() < _SENT_BACK
        yield Candidate(
            registration_no(district.no, openings[i % _OPENING_DAYS], i // _OPENING_DAYS),
            first_dose,
            second if first_dose else "",
            list(wishes),
            any_site,
            not_before,
            sent_back,
            reserves=sum((of_group() < share) << bit for bit, share in enumerate(members)),
        )
