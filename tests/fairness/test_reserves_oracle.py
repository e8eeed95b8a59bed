"""Nights with reserves against the textbook, on random small cities.

What a slot chooses is spelled out here as the docstring of `reserves.py` says it in words, from scratch every time;
so is deferred acceptance, in rounds. Any other range of cities:

    python -m tests.fairness.test_reserves_oracle 0 10000
"""

import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

import pytest

from server.fairness.allotment import Candidate, Candidates, OfferedSlot, Order, Rules, allot, in_order
from server.fairness.allotment.reserves import ReserveRule
from server.fairness.verification.replay import allot_again
from tests.support.small_cities import City, order, ranking, reports, rules, some_city

Outcome = dict[str, tuple[OfferedSlot | None, str]]
"""Number -> slot, and the letter of the reserve that gave it."""


class Reserved(NamedTuple):
    """A night with reserves: (percent, drawn by lot) of each."""

    city: City
    reserves: tuple[tuple[int, bool], ...]

    def rules(self) -> Rules:
        made = (ReserveRule("ABC"[n], percent, "lot" if lot else "first-dose") for n, (percent, lot) in self.numbered())
        return rules_with(tuple(made))

    def numbered(self) -> Iterable[tuple[int, tuple[int, bool]]]:
        return enumerate(self.reserves)

    def saying(self, i: int, said: Candidate) -> "Reserved":
        people = [*self.city.people[:i], said, *self.city.people[i + 1 :]]
        return self._replace(city=self.city._replace(people=people))


def rules_with(reserves: tuple[ReserveRule, ...]) -> Rules:
    of = rules()
    return Rules(
        of.district, of.date, of.lead_days, of.horizon_days, of.priority_first_dose_before, of.products, of.periods,
        reserves,
    )  # fmt: skip


def some_night(name: str, people: int, slots: int, most_doses: int, relatives: float = 0.0) -> Reserved:
    chance = random.Random(name)
    city = some_city(chance, people, slots, most_doses, relatives)
    count = chance.choice((1, 1, 2, 3))
    percents = (25, 33) if count == 3 else (30, 50) if count == 2 else (30, 50, 100)
    reserves = tuple((chance.choice(percents), chance.random() < 0.3) for _ in range(count))
    share = chance.choice((0.1, 0.3, 0.6))
    everyone = [c._replace(reserves=sum((chance.random() < share) << bit for bit in range(count))) for c in city.people]
    return Reserved(city._replace(people=everyone), reserves)


def run(night: Reserved) -> Outcome:
    of = night.rules()
    brought = allot(
        of, of.offered(night.city.table.items()), Candidates(night.city.people, of.periods), night.city.seed
    )
    return {outcome.no: (outcome.slot, outcome.by) for outcome in brought.outcomes()}


# The rules once more, one by one


class Slots:
    """What the slots of a night choose."""

    def __init__(self, night: Reserved) -> None:
        in_line = order(night.city)
        self.place = {c.no: n for n, c in enumerate(in_line)}
        by_lot = sorted(in_line, key=lambda c: (not c.sent_back, self._tie(night, c.no)))
        lot = {c.no: n for n, c in enumerate(by_lot)}
        self.rank = [lot if drawn else self.place for _, drawn in night.reserves]
        self.members = [{c.no for c in night.city.people if c.reserves >> n & 1} for n, _ in night.numbered()]
        self.capacity = night.city.table
        self.own = self._own(night)

    def _tie(self, night: Reserved, no: str) -> str:
        import hashlib
        import hmac

        return hmac.new(night.city.seed, no.encode(), hashlib.sha256).hexdigest()

    def _own(self, night: Reserved) -> dict[OfferedSlot, list[int]]:
        """Seats of each reserve: over a site's slots of a product, in their order, never behind the share so far by a
        whole seat unless a slot has no more."""
        offered: Counter[tuple[str, str]] = Counter()
        given: Counter[tuple[str, str, int]] = Counter()
        found: dict[OfferedSlot, list[int]] = {}
        for slot in sorted(
            self.capacity, key=lambda s: (s.date, s.site, s.period, list(rules().products).index(s.product))
        ):
            of = (slot.site, slot.product)
            offered[of] += self.capacity[slot]
            left, found[slot] = self.capacity[slot], []
            for n, (percent, _) in night.numbered():
                seats = min(left, int(Fraction(percent, 100) * offered[of]) - given[(*of, n)])
                given[(*of, n)] += seats
                left -= seats
                found[slot].append(seats)
        return found

    def choose(self, slot: OfferedSlot, asking: Iterable[str]) -> dict[str, str]:
        """Who gets a seat of those who ask, and by which reserve."""
        left, chosen = set(asking), dict[str, str]()
        for n, members in enumerate(self.members):
            for no in sorted(left & members, key=self.rank[n].__getitem__)[: self.own[slot][n]]:
                chosen[no] = "ABC"[n]
                left.remove(no)
        for no in sorted(left, key=self.place.__getitem__)[: self.capacity[slot] - len(chosen)]:
            chosen[no] = ""
        return chosen


def deferred_acceptance(night: Reserved) -> Outcome:
    """Gale and Shapley, in rounds, the slots choosing from all who have ever asked."""
    slots = Slots(night)
    wanted = {c.no: ranking(c, night.city.table) for c in night.city.people}
    asked: dict[OfferedSlot, set[str]] = defaultdict(set)
    step = dict.fromkeys(wanted, 0)
    while True:
        for no, theirs in wanted.items():
            if step[no] < len(theirs):
                asked[theirs[step[no]]].add(no)
        kept = {slot: slots.choose(slot, who) for slot, who in asked.items()}
        refused = [no for no, theirs in wanted.items() if step[no] < len(theirs) and no not in kept[theirs[step[no]]]]
        if not refused:
            break
        for no in refused:
            step[no] += 1
    result: Outcome = dict.fromkeys(wanted, (None, ""))
    for slot, who in kept.items():
        result |= {no: (slot, by) for no, by in who.items() if wanted[no][step[no]] == slot}
    return result


def check_fair(night: Reserved, result: Mapping[str, tuple[OfferedSlot | None, str]]) -> None:
    """Nobody is envied within a category, and nothing is wasted; said without any choice of a slot."""
    slots = Slots(night)
    holders: dict[OfferedSlot, dict[str, str]] = defaultdict(dict)
    for no, (slot, by) in result.items():
        if slot is not None:
            holders[slot][no] = by
    for slot, who in holders.items():
        given = Counter(who.values())
        assert len(who) <= slots.capacity[slot], "a slot was given too often"
        for n, members in enumerate(slots.members):
            assert given["ABC"[n]] <= slots.own[slot][n], "a reserve has given more than its seats"
            assert all(no in members for no, letter in who.items() if letter == "ABC"[n]), "to who is no member"
    for c in night.city.people:
        mine, _ = result[c.no]
        theirs = ranking(c, night.city.table)
        assert mine is None or mine in theirs, "a slot that they did not ask for or may not have"
        for slot in theirs if mine is None else theirs[: theirs.index(mine)]:
            who = holders[slot]
            assert len(who) == slots.capacity[slot], "what they would rather have is free"
            given = Counter(who.values())
            for no, letter in who.items():
                if letter == "":
                    assert slots.place[no] < slots.place[c.no], "an open seat went to somebody behind them"
            for n, members in enumerate(slots.members):
                if c.no in members:
                    assert given["ABC"[n]] == slots.own[slot][n], "a seat of their reserve went to somebody else"
                    for no, letter in who.items():
                        assert letter != "ABC"[n] or slots.rank[n][no] < slots.rank[n][c.no], "the reserve's order"


def check_city(name: str, people: int = 16, slots: int = 12, most_doses: int = 5) -> Counter[str]:
    """One city whole; how often a reserve gave something."""
    night = some_night(name, people, slots, most_doses)
    result = run(night)
    assert result == deferred_acceptance(night), name
    assert result == replayed(night), name
    check_fair(night, result)
    return Counter(by for slot, by in result.values() if slot is not None)


def replayed(night: Reserved) -> Outcome:
    """What who checks a result file comes to."""
    of = night.rules()
    candidates = Candidates(night.city.people, of.periods)
    found = in_order(of, candidates, night.city.seed)
    brought = allot_again(of, of.offered(night.city.table.items()), candidates, Order(*found))
    return {outcome.no: (outcome.slot, outcome.by) for outcome in brought.outcomes()}


@pytest.mark.parametrize("part", range(2))
def test_it_is_what_deferred_acceptance_gives_and_fair_in_every_category(part: int) -> None:
    given: Counter[str] = Counter()
    for n in range(400):
        given += check_city(f"reserves {part} {n}")
    for n in range(15):
        given += check_city(f"reserves, more people {part} {n}", people=80, slots=30, most_doses=8)
    assert min(given["A"], given["B"], given[""]) > 100


def worth(theirs: list[OfferedSlot], slot: OfferedSlot | None) -> int:
    """The better the more; what one may not have or did not ask for is worse than nothing."""
    return len(theirs) if slot is None else theirs.index(slot) if slot in theirs else len(theirs) + 1


def check_lies(name: str) -> int:
    """That nobody of a city gains by other wishes than their true ones, or by hiding a group; how many lies."""
    night = some_night(name, people=8, slots=6, most_doses=3)
    honest, lies = run(night), 0
    for i, c in enumerate(night.city.people):
        theirs = ranking(c, night.city.table)
        best = worth(theirs, honest[c.no][0])
        if best == 0:
            continue
        hidden = [c._replace(reserves=c.reserves & ~(1 << bit)) for bit in range(3) if c.reserves >> bit & 1]
        hidden += [c._replace(reserves=0)] if c.reserves else []
        wishes = list(reports(c, night.city))
        random.Random(f"{name} {i}").shuffle(wishes)
        for lie in (*hidden, *wishes[:40], *(w._replace(reserves=0) for w in wishes[40:50])):
            lies += 1
            slot, _ = run(night.saying(i, lie))[c.no]
            assert worth(theirs, slot) >= best, (name, c, lie)
    return lies


def test_nobody_gains_by_other_wishes_or_by_hiding_a_group() -> None:
    assert sum(check_lies(f"reserved lies {n}") for n in range(150)) > 1000


def test_to_belong_to_a_group_takes_nothing_from_a_member() -> None:
    """Somebody with a group has at least what they would have without it, whoever else has which."""
    gained = 0
    for n in range(150):
        night = some_night(f"belongs {n}", people=16, slots=8, most_doses=3)
        result = run(night)
        for i, c in enumerate(night.city.people):
            if not c.reserves:
                continue
            theirs = ranking(c, night.city.table)
            without, _ = run(night.saying(i, c._replace(reserves=0)))[c.no]
            assert worth(theirs, result[c.no][0]) <= worth(theirs, without)
            gained += worth(theirs, result[c.no][0]) < worth(theirs, without)
    assert gained > 20


def test_a_night_whose_reserves_have_no_members_is_the_night_without_them() -> None:
    for n in range(60):
        night = some_night(f"no members {n}", people=40, slots=20, most_doses=4, relatives=0.4)
        everyone = [c._replace(reserves=0) for c in night.city.people]
        night = night._replace(city=night.city._replace(people=everyone))
        without = allot(rules(), rules().offered(night.city.table.items()), Candidates(everyone), night.city.seed)
        assert run(night) == {outcome.no: (outcome.slot, "") for outcome in without.outcomes()}


if __name__ == "__main__":
    first, last = int(sys.argv[1]), int(sys.argv[2])
    total: Counter[str] = Counter()
    told = 0
    for number in range(first, last):
        total += check_city(f"by hand {number}")
        told += check_lies(f"by hand {number}") if number % 10 == 0 else 0
    print(
        f"{last - first:,} cities as the oracle has them; seats by reserve {dict(total)}; {told:,} lies gained nothing"
    )
