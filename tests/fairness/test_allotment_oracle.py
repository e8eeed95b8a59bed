"""The allotment against somebody else's stable matching, on thousands of random small cities.

What everybody would like is spelled out here as a full ranking of slots, written anew from the rules and slowly;
the order too. As all slots share one order there is exactly one stable matching: the one that is best for the
residents and the one that is best for the slots must both be the night's.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping

import pytest
from matching.games import HospitalResident

from server.fairness.allotment import Candidates, OfferedSlot, allot
from tests.support.small_cities import City, order, ranking, reports, rules, some_city

Result = dict[str, OfferedSlot | None]


def run(city: City) -> Result:
    of = rules()
    night = allot(of, of.offered(city.table.items()), Candidates(city.people, of.periods), city.seed)
    return {outcome.no: outcome.slot for outcome in night.outcomes()}


def stable_matching(city: City, best_for: str) -> Result:
    """What `matching` says."""
    names = {slot: "|".join(map(str, slot)) for slot in city.table}
    wanted = {c.no: [names[s] for s in ranking(c, city.table)] for c in city.people}
    residents = {no: slots for no, slots in wanted.items() if slots}
    hospitals: dict[str, list[str]] = defaultdict(list)
    for c in order(city):
        for name in wanted[c.no]:
            hospitals[name].append(c.no)
    result: Result = dict.fromkeys(c.no for c in city.people)
    if residents:
        capacities = {names[slot]: city.table[slot] for slot in city.table if names[slot] in hospitals}
        game = HospitalResident.create_from_dictionaries(residents, dict(hospitals), capacities)
        by_name = {name: slot for slot, name in names.items()}
        for hospital, guests in game.solve(optimal=best_for).items():
            for guest in guests:
                result[guest.name] = by_name[hospital.name]
    return result


@pytest.mark.parametrize("part", range(4))
def test_it_is_the_stable_matching(part: int) -> None:
    allotted = waiting = 0
    for n in range(1000):
        city = some_city(random.Random(f"oracle {part} {n}"), people=14, slots=12, most_doses=3)
        result = run(city)
        assert result == stable_matching(city, "resident"), (part, n)
        assert result == stable_matching(city, "hospital"), (part, n)
        allotted += sum(slot is not None for slot in result.values())
        waiting += sum(slot is None for slot in result.values())
    assert min(allotted, waiting) > 1000  # neither everybody nor nobody got something


def check_fair(city: City, result: Result) -> None:
    """Guarantees 5 and 6 of the contract, and that nothing is left lying about."""
    taken = Counter(slot for slot in result.values() if slot is not None)
    assert all(count <= city.table[slot] for slot, count in taken.items()), "a slot was given too often"
    behind_have: set[OfferedSlot] = set()
    for c in reversed(order(city)):
        slots = ranking(c, city.table)
        mine = result[c.no]
        assert mine is None or mine in slots, "a slot that they did not ask for or may not have"
        better = slots if mine is None else slots[: slots.index(mine)]
        for slot in better:
            assert slot not in behind_have, "somebody behind has what they would rather have"
            assert taken[slot] == city.table[slot], "what they would rather have is free"
        if mine is not None:
            behind_have.add(mine)


def test_nobody_envies_anyone_behind_and_nothing_wanted_stays_free() -> None:
    for n in range(150):
        city = some_city(random.Random(f"fair {n}"), people=120, slots=40, most_doses=8)
        check_fair(city, run(city))


def test_the_order_of_the_lists_changes_nothing() -> None:
    for n in range(300):
        chance = random.Random(f"permuted {n}")
        city = some_city(chance, people=30, slots=20, most_doses=3, relatives=0.5)
        result = run(city)
        people, table = city.people[:], list(city.table.items())
        for _ in range(3):
            chance.shuffle(people)
            chance.shuffle(table)
            assert run(City(people, dict(table), city.seed)) == result


def test_relatives_together_change_nothing_for_anybody_else() -> None:
    moved = 0
    for n in range(400):
        city = some_city(random.Random(f"together {n}"), people=40, slots=30, most_doses=8, relatives=0.8)
        alone = run(city._replace(people=[c._replace(together=None) for c in city.people]))
        result = run(city)
        names = {c.no: c.together for c in city.people}
        for c in city.people:
            mine, before = result[c.no], alone[c.no]
            if mine == before:
                continue
            moved += 1
            relative = names[c.no]
            assert relative is not None
            assert names[relative] == c.no  # they named each other
            theirs = result[relative]
            assert mine is not None and before is not None and theirs is not None
            assert mine[:3] == theirs[:3]
            other_before = alone[relative]
            assert other_before is not None
            assert mine.date <= max(before.date, other_before.date)
            assert mine in ranking(c, city.table)
        # To everybody else it is as fair as it was: relatives ask for nothing but what they have now.
        settled = {no: slot for no, slot in result.items() if slot != alone[no]}
        check_fair_beside(city, result, settled)
    assert moved > 100


def check_fair_beside(city: City, result: Result, settled: Mapping[str, OfferedSlot | None]) -> None:
    """As `check_fair`, but who was moved has chosen that."""
    taken = Counter(slot for slot in result.values() if slot is not None)
    assert all(count <= city.table[slot] for slot, count in taken.items())
    behind_have: set[OfferedSlot] = set()
    for c in reversed(order(city)):
        mine = result[c.no]
        if c.no not in settled:
            slots = ranking(c, city.table)
            for slot in slots if mine is None else slots[: slots.index(mine)]:
                assert slot not in behind_have
                assert taken[slot] == city.table[slot]
        if mine is not None:
            behind_have.add(mine)


def test_nobody_gains_by_saying_something_else() -> None:
    lies = 0
    for n in range(40):
        city = some_city(random.Random(f"lies {n}"), people=6, slots=7, most_doses=2, relatives=0.3)
        honest = run(city)
        for i, c in enumerate(city.people):
            slots = ranking(c, city.table)
            alone = run(city._replace(people=[p._replace(together=None) for p in city.people]))[c.no]
            worth = {slot: -position for position, slot in enumerate(slots)}
            # Who is moved to a relative has asked for that: the most that a lie could win is their turn's slot.
            best = max(worth.get(s, -99) if s else -50 for s in (honest[c.no], alone))
            for lie in reports(c, city):
                lies += 1
                people = [*city.people[:i], lie, *city.people[i + 1 :]]
                slot = run(city._replace(people=people))[c.no]
                assert (worth.get(slot, -99) if slot else -50) <= best, (n, c, lie)
    assert lies > 10_000
