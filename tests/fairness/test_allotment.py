"""The night's order and its slots, on small cases worked out by hand with Guangzhou's dates."""

import hashlib
import hmac
import random
from datetime import date, timedelta
from typing import Any

import pytest

from server.core.city import load_city
from server.core.keys import registration_no
from server.fairness.allotment import Candidate, Candidates, Decision, OfferedSlot, Rules, allot, in_order

CITY = load_city()
SEED = bytes(range(32))
TUESDAY = date(2021, 6, 22)  # phase 2: first doses before 9 June go first
NOS = [registration_no(1, TUESDAY, entry) for entry in range(40)]
PERIODS: Any = {"a": "am", "p": "pm", "*": "any"}


def rules(day: date = TUESDAY, horizon_days: int = 14) -> Rules:
    return Rules.of(CITY, "440106", day, horizon_days)


def someone(
    n: int, first_dose: date | None, *wishes: str, any_site: bool = False, product: str = "inactivated", **more: Any
) -> Candidate:
    """Registration n, with wishes as "S1a" (morning), "S1p" (afternoon), "S1*" (either)."""
    listed = [(wish[:-1], PERIODS[wish[-1]]) for wish in wishes]
    return Candidate(NOS[n], first_dose, product if first_dose else "", listed, any_site, **more)


def slot(day: int, place: str, product: str = "inactivated") -> OfferedSlot:
    """A slot of June, such as slot(24, "S1a"); days from 31 on are July's."""
    return OfferedSlot(date(2021, 6, 1) + timedelta(day - 1), place[:-1], PERIODS[place[-1]], product)


def night(
    people: list[Candidate], table: dict[OfferedSlot, int], of: Rules | None = None, seed: bytes = SEED
) -> dict[int, Decision]:
    of = of or rules()
    result = allot(of, of.offered(table.items()), Candidates(people, of.periods), seed)
    return {NOS.index(outcome.no): outcome for outcome in result.outcomes()}


def got(outcomes: dict[int, Decision]) -> dict[int, OfferedSlot | None]:
    return {n: outcome.slot for n, outcome in outcomes.items()}


MAY = date(2021, 5, 1)
JUNE = date(2021, 6, 1)


# Who goes before whom


def test_the_longer_ago_the_first_dose_the_sooner_the_turn() -> None:
    people = [someone(n, MAY + timedelta(n), "S1a") for n in (7, 3, 5)]
    assert got(night(people, {slot(24, "S1a"): 1, slot(25, "S1a"): 1})) == {
        3: slot(24, "S1a"),
        5: slot(25, "S1a"),
        7: None,
    }


def test_phase_two_serves_those_before_9_june_first_and_a_closed_site_before_all() -> None:
    # 22 July: all of them may come on the first date.
    of = Rules.of(CITY, "440106", date(2021, 6, 28), 14)
    people = [
        someone(0, date(2021, 6, 9), "S1a"),  # the day itself is not before it
        someone(1, date(2021, 6, 8), "S1a"),
        someone(2, date(2021, 6, 9), "S1a", sent_back=True),
    ]
    order = in_order(of, Candidates(people), SEED)
    assert list(order.indices) == [2, 1, 0]
    assert list(order.cohorts) == [2, 1, 0]


def test_from_july_second_doses_go_before_first_ones_whatever_their_dates() -> None:
    of = Rules.of(CITY, "440106", date(2021, 7, 2), 14)
    people = [someone(0, None, "S1a"), someone(1, date(2021, 6, 12), "S1a"), someone(2, date(2021, 3, 1), "S1a")]
    order = in_order(of, Candidates(people), SEED)
    assert list(order.indices) == [2, 1, 0]
    assert list(order.cohorts) == [3, 2, 2]


def test_first_doses_sent_back_go_behind_the_second_doses_sent_back() -> None:
    people = [someone(0, None, "S1a", sent_back=True), someone(1, MAY, "S1a", sent_back=True), someone(2, MAY, "S1a")]
    assert list(in_order(rules(), Candidates(people), SEED).indices) == [1, 0, 2]


def test_ties_are_settled_by_the_contracts_hmac() -> None:
    people = [someone(n, MAY, "S1a") for n in range(40)]
    expected = sorted(range(40), key=lambda n: hmac.new(SEED, NOS[n].encode(), hashlib.sha256).hexdigest())
    assert list(in_order(rules(), Candidates(people), SEED).indices) == expected
    firsts = [someone(n, None, "S1a") for n in range(40)]
    assert list(in_order(rules(), Candidates(firsts), SEED).indices) == expected


def test_a_list_long_enough_for_buckets_is_in_the_same_order() -> None:
    chance = random.Random(4)
    people = [
        Candidate(registration_no(1, TUESDAY, n), MAY + timedelta(chance.randrange(3)), "inactivated", [], True)
        for n in range(20_000)
    ]

    def rank(n: int) -> tuple[Any, str]:
        return people[n].first_dose, hmac.new(SEED, people[n].no.encode(), hashlib.sha256).hexdigest()

    assert list(in_order(rules(), Candidates(people), SEED).indices) == sorted(range(len(people)), key=rank)


def test_another_seed_is_another_order() -> None:
    people = Candidates([someone(n, MAY, "S1a") for n in range(40)])
    assert in_order(rules(), people, SEED).indices != in_order(rules(), people, bytes(32)).indices


def test_a_registration_stands_in_the_list_once() -> None:
    people = Candidates([someone(0, MAY, "S1a"), someone(1, MAY), someone(0, JUNE, "S2a")])
    with pytest.raises(ValueError, match=f"{NOS[0]} stands twice"):
        in_order(rules(), people, SEED)


# Which slot


def test_the_first_wish_with_a_slot_and_its_earliest_date() -> None:
    table = {slot(24, "S2a"): 9, slot(27, "S1p"): 9, slot(26, "S1p"): 9, slot(25, "S1a"): 9}
    assert got(night([someone(0, MAY, "S1p", "S2a")], table)) == {0: slot(26, "S1p")}
    assert got(night([someone(0, MAY, "S3a", "S2a", "S1p")], table)) == {0: slot(24, "S2a")}


def test_either_half_of_the_day_is_the_morning_first_and_an_earlier_date_before_that() -> None:
    table = {slot(26, "S1a"): 1, slot(25, "S1p"): 1, slot(26, "S1p"): 1}
    people = [someone(n, MAY + timedelta(n), "S1*") for n in range(4)]
    assert got(night(people, table)) == {0: slot(25, "S1p"), 1: slot(26, "S1a"), 2: slot(26, "S1p"), 3: None}


def test_any_site_is_tried_after_the_wishes_earliest_date_then_site_then_morning() -> None:
    table = {
        slot(30, "S9a"): 1,
        slot(25, "S2p"): 1,
        slot(25, "S2a"): 1,
        slot(25, "S1p"): 1,
        slot(24, "S5p"): 1,
    }
    people = [someone(n, MAY + timedelta(n), "S9a", any_site=True) for n in range(6)]
    assert got(night(people, table)) == {
        0: slot(30, "S9a"),
        1: slot(24, "S5p"),
        2: slot(25, "S1p"),
        3: slot(25, "S2a"),
        4: slot(25, "S2p"),
        5: None,
    }


def test_two_days_ahead_at_least_and_the_horizon_at_most() -> None:
    table = {slot(day, "S1a"): 1 for day in (22, 23, 24, 36, 37)}  # 24 June to 6 July
    people = [someone(n, MAY + timedelta(n), "S1a") for n in range(4)]
    assert got(night(people, table)) == {0: slot(24, "S1a"), 1: slot(36, "S1a"), 2: None, 3: None}


def test_never_before_the_products_interval() -> None:
    """5 June + 21 days = 26 June; 2 June + 28 days (CHO) = 30 June."""
    table = {slot(day, "S1a", product): 5 for day in range(24, 36) for product in ("inactivated", "cho")}
    people = [someone(0, date(2021, 6, 5), "S1a"), someone(1, date(2021, 6, 2), "S1a", product="cho")]
    assert got(night(people, table)) == {0: slot(26, "S1a"), 1: slot(30, "S1a", "cho")}


def test_never_before_the_day_they_asked_for() -> None:
    table = {slot(day, "S1a"): 5 for day in range(24, 36)}
    people = [
        someone(0, MAY, "S1a", not_before=date(2021, 6, 29)),
        someone(1, date(2021, 6, 10), "S1a", not_before=date(2021, 6, 29)),  # 1 July by the interval
        someone(2, MAY, "S1a", not_before=date(2021, 1, 1)),
    ]
    assert got(night(people, table)) == {0: slot(29, "S1a"), 1: slot(31, "S1a"), 2: slot(24, "S1a")}


def test_a_second_dose_needs_its_own_product() -> None:
    table = {slot(24, "S1a", "cho"): 1, slot(24, "S1a", "adenovirus"): 1, slot(28, "S1a"): 1}
    assert got(night([someone(0, MAY, "S1a")], table)) == {0: slot(28, "S1a")}


def test_a_first_dose_takes_any_product_in_the_city_files_order() -> None:
    of = Rules.of(CITY, "440106", date(2021, 7, 2), 14)
    table = {slot(35, "S1a", product): 1 for product in ("adenovirus", "cho", "inactivated")}
    table[slot(34, "S1p", "adenovirus")] = 1
    outcomes = night([someone(n, None, "S1*") for n in range(5)], table, of)
    order = [n for n, _ in outcomes.items()]
    assert [outcomes[n].slot for n in order] == [
        slot(34, "S1p", "adenovirus"),
        slot(35, "S1a", "inactivated"),
        slot(35, "S1a", "cho"),
        slot(35, "S1a", "adenovirus"),
        None,
    ]


# Why not


def test_not_reached_says_how_far_it_went_in_their_cohort() -> None:
    """12 May is the last of the priority cohort; after 9 June nobody got anything."""
    of = Rules.of(CITY, "440106", date(2021, 6, 30), 14)
    table = {slot(34, "S1a"): 2}
    people = [
        someone(0, date(2021, 5, 10), "S1a"),
        someone(1, date(2021, 5, 12), "S1a"),
        someone(2, date(2021, 5, 13), "S1a"),
        someone(3, date(2021, 6, 9), "S1a"),
    ]
    outcomes = night(people, table, of)
    assert outcomes[2] == Decision(NOS[2], None, "full", date(2021, 5, 12))
    assert outcomes[3] == Decision(NOS[3], None, "full", None)


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (someone(0, MAY, "S7a", "S8*"), "no-such-site"),
        (someone(0, MAY, "S7a", "S2a"), "not-offered"),  # S2 has CHO only
        (someone(0, MAY, "S1p"), "not-offered"),
        (someone(0, MAY), "no-such-site"),
        (someone(0, MAY, any_site=True, product="cho"), "full"),  # none left of yesterday's
        (someone(0, MAY, "S1a", not_before=date(2021, 6, 27)), "not-before"),
        (someone(0, MAY, "S1a", not_before=date(2022, 1, 1)), "not-before"),
        (someone(0, date(2021, 6, 6), "S1a"), "too-early"),  # 27 June, and the slots end on the 26th
        (someone(0, date(2021, 6, 21), "S1a", not_before=date(2021, 6, 30)), "too-early"),
        (someone(0, date(2021, 6, 6), "S1a", not_before=date(2021, 6, 30)), "not-before"),
        (someone(0, date(2021, 6, 6), "S1a", not_before=date(2021, 6, 27)), "too-early"),  # both: the rule is named
        (someone(0, date(2021, 6, 21), "S7a"), "too-early"),
        (someone(0, MAY, "S1a", product="adenovirus"), "not-offered"),  # never a second-dose applicant
        (someone(0, MAY, "S1a", product="gone"), "not-offered"),
    ],
)
def test_the_reason_is_kept(who: Candidate, reason: str) -> None:
    table = {slot(24, "S1a"): 1, slot(26, "S1a"): 1, slot(24, "S2a", "cho"): 0}
    assert night([who], table)[0] == Decision(NOS[0], None, reason)  # type: ignore[arg-type]


def test_nobody_and_nothing() -> None:
    assert night([], {slot(24, "S1a"): 1}) == {}
    assert night([someone(0, MAY, "S1a", any_site=True)], {})[0].reason == "not-offered"
    assert night([someone(0, MAY, "S1a")], {slot(24, "S1a"): 1}, rules(horizon_days=1))[0].reason == "no-such-site"


def test_what_the_night_cannot_give_is_not_offered() -> None:
    of = rules()
    rows = [(slot(23, "S1a"), 1), (slot(37, "S1a"), 1), (slot(24, "S1a", "gone"), 1), (slot(24, "S1a"), 0)]
    assert of.offered(rows) == [(slot(24, "S1a"), 0)]
    with pytest.raises(ValueError, match="twice"):
        of.offered([(slot(24, "S1a"), 1), (slot(24, "S2a"), 1), (slot(24, "S1a"), 2)])
    with pytest.raises(ValueError, match="free >= 0"):
        of.offered([(slot(24, "S1a"), -1)])


@pytest.mark.parametrize(
    "wrong",
    [
        Candidate("12345", MAY, "inactivated", [], True),
        Candidate("１" * 15, MAY, "inactivated", [], True),
        Candidate(NOS[0], MAY, "", [], True),
        Candidate(NOS[0], None, "inactivated", [], True),
        Candidate(NOS[0], MAY, "inactivated", [("S1", "noon")], True),
        Candidate(NOS[0], MAY, "inactivated", [], True, together="x"),
    ],
)
def test_a_candidate_that_is_none_changes_nothing(wrong: Candidate) -> None:
    people = Candidates()
    with pytest.raises(ValueError, match="expected"):
        people.add(wrong)
    assert len(people) == 0
    people.add(someone(0, MAY, "S1a"))
    assert people[0] == someone(0, MAY, "S1a")
    assert len(people) == 1


def test_columns_give_back_what_went_in() -> None:
    people = [
        someone(0, MAY, "S1a", "S2*", any_site=True, sent_back=True, together=NOS[1]),
        someone(1, None, not_before=JUNE),
        someone(2, JUNE, "S2p", product="cho"),
    ]
    assert [Candidates(people)[i] for i in range(3)] == people


# Relatives


def mother_and_son(**more: Any) -> list[Candidate]:
    """The mother is first in order; she would rather go to S1, her son to S2, and each takes the other's site too."""
    return [
        someone(0, date(2021, 5, 1), "S1a", "S2a", together=NOS[1], **more),
        someone(1, date(2021, 5, 9), "S2a", "S1a", together=NOS[0], **more),
    ]


def test_relatives_come_together_where_there_is_room() -> None:
    table = {slot(24, "S1a"): 9, slot(25, "S2a"): 9}
    outcomes = night(mother_and_son(), table)
    assert outcomes[0] == Decision(NOS[0], slot(24, "S1a"))
    assert outcomes[1] == Decision(NOS[1], slot(24, "S1a"), moved=True)


def test_only_who_name_each_other_are_moved() -> None:
    mother, son = mother_and_son()
    table = {slot(24, "S1a"): 9, slot(25, "S2a"): 9}
    for stranger in (son._replace(together=NOS[5]), son._replace(together=None), son._replace(together=NOS[1])):
        assert got(night([mother, stranger], table)) == {0: slot(24, "S1a"), 1: slot(25, "S2a")}


def test_three_in_a_ring_come_together() -> None:
    table = {slot(24, "S1a"): 9, slot(24, "S2a"): 9, slot(24, "S3p"): 9}
    family = [
        someone(0, MAY, "S1a", "S2a", together=NOS[1]),
        someone(1, MAY + timedelta(1), "S2a", "S3p", together=NOS[2]),
        someone(2, MAY + timedelta(2), "S3p", "S2a", together=NOS[0]),
        someone(3, MAY, "S3p", together=NOS[0]),  # names one of them, and nobody names them
    ]
    two = slot(24, "S2a")
    assert got(night(family, table)) == {0: two, 1: two, 2: two, 3: slot(24, "S3p")}


def test_relatives_take_nothing_that_somebody_has() -> None:
    one_left = {slot(24, "S1a"): 1, slot(25, "S2a"): 9}
    # The mother's slot ran full: she keeps it, and there is no room beside her.
    assert got(night(mother_and_son(), one_left)) == {0: slot(24, "S1a"), 1: slot(25, "S2a")}
    stranger = someone(2, MAY, "S1a")
    assert got(night([*mother_and_son(), stranger], {slot(24, "S1a"): 2, slot(25, "S2a"): 9})) == {
        0: slot(24, "S1a"),
        2: slot(24, "S1a"),
        1: slot(25, "S2a"),
    }


def test_a_slot_that_others_wanted_is_not_left_behind() -> None:
    """The son's slot ran full and somebody behind him wanted it: if he left it, they would rightly complain."""
    table = {slot(24, "S1a"): 9, slot(25, "S2a"): 1}
    behind = someone(2, date(2021, 5, 20), "S2a")
    assert got(night([*mother_and_son(), behind], table)) == {0: slot(24, "S1a"), 1: slot(25, "S2a"), 2: None}


def test_who_cannot_leave_is_joined_by_who_can() -> None:
    """The mother has the last inactivated dose of the morning; her son, for CHO, comes to her."""
    mother = someone(0, MAY, "S1a", together=NOS[1])
    son = someone(1, MAY, "S2a", "S1a", product="cho", together=NOS[0])
    table = {slot(24, "S1a"): 1, slot(24, "S1a", "cho"): 5, slot(24, "S2a", "cho"): 5}
    assert got(night([mother, son], table)) == {0: slot(24, "S1a"), 1: slot(24, "S1a", "cho")}


def test_two_who_cannot_leave_stay_apart() -> None:
    """Both have a last dose; there is room beside each of them, of the other's product."""
    mother = someone(0, MAY, "S1a", "S2a", together=NOS[1])
    son = someone(1, MAY, "S2a", "S1a", product="cho", together=NOS[0])
    table = {slot(24, "S1a"): 1, slot(24, "S1a", "cho"): 5, slot(24, "S2a"): 5, slot(24, "S2a", "cho"): 1}
    assert got(night([mother, son], table)) == {0: slot(24, "S1a"), 1: slot(24, "S2a", "cho")}


def test_of_two_families_the_one_whose_first_member_is_ahead_gets_the_room() -> None:
    """One place is left at S1 on the 24th: two mothers have theirs there, and two sons would come."""
    people = [
        someone(2, date(2021, 5, 9), "S2a", "S1a", together=NOS[3]),
        someone(3, date(2021, 5, 3), "S1a", together=NOS[2]),
        someone(0, date(2021, 5, 8), "S2a", "S1a", together=NOS[1]),
        someone(1, date(2021, 5, 4), "S1a", together=NOS[0]),
    ]
    two, one = slot(25, "S2a"), slot(24, "S1a")
    assert got(night(people, {one: 3, two: 9})) == {3: one, 1: one, 0: two, 2: one}
    # Neither the order of the list nor somebody ahead who names one of them has a say in it.
    stranger = someone(4, MAY, "S9a", together=NOS[0])
    assert got(night([stranger, *people[::-1]], {one: 3, two: 9})) == {4: None, 3: one, 1: one, 0: two, 2: one}


def test_together_is_no_later_than_the_later_of_the_two_and_where_both_asked_for() -> None:
    mother = someone(0, MAY, "S1a", "S2a", together=NOS[1])
    son = someone(1, date(2021, 6, 5), "S2a", together=NOS[0])  # from 26 June on
    table = {slot(24, "S1a"): 9, slot(26, "S2a"): 9, slot(27, "S1a"): 9}
    assert got(night([mother, son], table)) == {0: slot(26, "S2a"), 1: slot(26, "S2a")}
    later = {slot(24, "S1a"): 9, slot(25, "S2p"): 9, slot(26, "S2a"): 9}
    son = someone(1, MAY, "S2p", "S2a", together=NOS[0])  # both could on the 26th, the son has the 25th
    assert got(night([mother, son], later)) == {0: slot(24, "S1a"), 1: slot(25, "S2p")}


def test_any_site_will_do_for_relatives_too_and_first_doses_leave_the_others_their_product() -> None:
    of = Rules.of(CITY, "440106", date(2021, 7, 2), 14)
    mother = someone(0, MAY, "S1a", any_site=True, together=NOS[1])
    son = someone(1, None, "S2a", together=NOS[0])
    table = {
        slot(34, "S1a"): 2,
        slot(34, "S2a"): 2,
        slot(34, "S2a", "cho"): 1,
        slot(34, "S1a", "cho"): 5,
    }
    assert got(night([mother, son], table, of)) == {0: slot(34, "S2a"), 1: slot(34, "S2a")}


def test_relatives_of_whom_one_got_nothing_stay_as_they_are() -> None:
    mother, son = mother_and_son()
    outcomes = night([mother, son._replace(wishes=[("S9", "am")])], {slot(24, "S1a"): 9})
    assert got(outcomes) == {0: slot(24, "S1a"), 1: None}
