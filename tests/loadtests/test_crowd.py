"""The synthetic city: valid papers, no two alike, the same from every process, arriving as stated."""

import csv
import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_11_2

from loadtests.crowd.arrivals import CurveError, parse_curve
from loadtests.crowd.behaviour import Afterthought, Behaviour
from loadtests.crowd.crowd import Crowd, mix
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.files import REGISTRY_COLUMNS, write_files
from loadtests.crowd.papers import sloppy
from loadtests.resident.acts import Act
from loadtests.resident.agenda import Agenda

DAY = date(2021, 6, 19)
DISTRICTS = ("440106", "440111")


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd(20_000, DISTRICTS, DAY, seed=7)


def test_papers_are_valid_and_nobodys_twice(crowd: Crowd) -> None:
    everyone = [crowd.resident(i) for i in range(crowd.residents)]
    assert len({(who.id_type, who.id_number) for who in everyone}) == crowd.residents
    assert len({who.phone for who in everyone}) == crowd.residents
    kinds = Counter(who.id_type for who in everyone)
    assert set(kinds) == {"resident_id", "residence_permit", "hk_macao_permit", "taiwan_permit", "passport"}
    for who in everyone:
        if who.id_type in ("resident_id", "residence_permit"):
            assert mod_11_2.is_valid(who.id_number)
            birth = date.fromisoformat(who.id_number[6:14])
            assert 18 <= (DAY - birth).days / 365.25 < 100
    for who in everyone[:300]:
        parsed = phonenumbers.parse(who.phone, "CN")
        assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE or who.phone[0] == "1"
        assert len(who.phone) == 11


def test_the_same_seed_is_the_same_city_and_another_is_not(crowd: Crowd) -> None:
    again, other = Crowd(20_000, DISTRICTS, DAY, seed=7), Crowd(20_000, DISTRICTS, DAY, seed=8)
    assert [crowd.resident(i) for i in range(500)] == [again.resident(i) for i in range(500)]
    assert [crowd.resident(i) for i in range(500)] != [other.resident(i) for i in range(500)]


def test_shares_and_districts_are_as_stated(crowd: Crowd) -> None:
    behaviours = Counter(crowd.behaviour(i) for i in range(crowd.residents))
    for behaviour, share in crowd.behaviour_shares():
        assert behaviours[behaviour] / crowd.residents == pytest.approx(share, rel=0.25)
    homes = Counter(crowd.home(i) for i in range(crowd.residents))
    assert homes[1] / homes[0] == pytest.approx(3_742_991 / 2_241_826, rel=0.05)


def test_afterthoughts_are_as_stated_and_the_seeds_own(crowd: Crowd) -> None:
    thoughts = [crowd.afterthought(i) for i in range(crowd.residents)]
    for thought, share in crowd.afterthought_shares():
        assert thoughts.count(thought) / crowd.residents == pytest.approx(share, rel=0.25)
    again, other = Crowd(20_000, DISTRICTS, DAY, seed=7), Crowd(20_000, DISTRICTS, DAY, seed=8)
    assert thoughts == [again.afterthought(i) for i in range(crowd.residents)]
    assert thoughts != [other.afterthought(i) for i in range(crowd.residents)]
    # whatever they are like besides
    assert {crowd.behaviour(i) for i, thought in enumerate(thoughts) if thought is not Afterthought.NONE} > {
        Behaviour.ORDINARY, Behaviour.REFRESHES, Behaviour.REPEATS,
    }  # fmt: skip


def test_wishes_differ_from_turn_to_turn_and_are_the_pages(crowd: Crowd) -> None:
    sites = ("A", "B", "C")
    for i in range(500):
        turns = [crowd.wishes(i, sites, turn) for turn in range(4)]
        assert len(set(turns)) == 4
        assert turns == [crowd.wishes(i, sites, turn) for turn in range(4)]
        for turn, wishes in enumerate(turns):
            assert 1 <= len(wishes.preferences) <= 3
            assert {site for site, _ in wishes.preferences} <= set(sites)
            assert {period for _, period in wishes.preferences} <= {"am", "pm", "any"}
            body = json.loads(crowd.registration_body(i, sites, turn))
            assert [(wish["site"], wish["period"]) for wish in body["preferences"]] == list(wishes.preferences)
            assert body["accept_any_site"] is wishes.accept_any_site
            assert body.get("not_before", "") == wishes.not_before
            assert not wishes.not_before or date.fromisoformat(wishes.not_before) > DAY


def test_first_doses_fit_the_day(crowd: Crowd) -> None:
    for i in range(2000):
        who = crowd.resident(i)
        days = (DAY - who.first_dose).days
        assert (days < 36) == (who.behaviour is Behaviour.TOO_SOON)
        assert (who.product == "adenovirus") == (who.behaviour is Behaviour.COMPLETE)


def test_registry_file_is_the_contracts(crowd: Crowd, tmp_path: Path) -> None:
    registry, sites = write_files(crowd, tmp_path)
    with registry.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == REGISTRY_COLUMNS
    unknown = sum(1 for i in range(crowd.residents) if crowd.behaviour(i) is Behaviour.NO_FIRST_DOSE)
    assert unknown > 0
    assert len(rows) == crowd.residents - unknown
    elsewhere = {row["id_number"] for row in rows if row["district"] not in DISTRICTS}
    assert elsewhere == {
        crowd.resident(i).id_number for i in range(crowd.residents) if crowd.behaviour(i) is Behaviour.WRONG_DISTRICT
    }
    assert all(date.fromisoformat(row["first_dose_date"]) < DAY - timedelta(days=9) for row in rows)
    with sites.open(encoding="utf-8", newline="") as file:
        assert {row["district"] for row in csv.DictReader(file)} == set(DISTRICTS)


@given(st.integers(0, 2), st.sampled_from(["11010519491231002X", "440524188001010014"]))
def test_sloppy_typing_is_the_same_number(bits: int, number: str) -> None:
    import unicodedata

    typed = sloppy(number, bits)
    assert unicodedata.normalize("NFKC", typed).replace(" ", "").upper() == number


def test_a_mistyped_name_is_put_right_the_second_time(crowd: Crowd) -> None:
    i = next(i for i in range(crowd.residents) if crowd.behaviour(i) is Behaviour.MISTYPES_NAME)
    name = crowd.resident(i).name.encode()
    assert b'"name": "%b"' % name in crowd.join_body(i, 1)
    assert b'"name": "%b"' % name not in crowd.join_body(i, 0)


def test_arrivals_follow_the_stated_curve() -> None:
    door = load_profile().door
    curve = parse_curve("door:0.333", 600, 120, door)
    arrivals = [curve.arrival(mix(k)).at_seconds for k in range(30_000)]
    early = [at for at in arrivals if at < 0]
    assert len(early) / len(arrivals) == pytest.approx(0.333 * 0.03, rel=0.25)
    assert min(early) >= -door.early_seconds
    assert max(arrivals) <= 600
    # a third evenly over the draw, and of the others 1 - exp(-120/200) within a cut exponential by then
    by_draw = sum(1 for at in arrivals if at < 120) / len(arrivals)
    assert by_draw == pytest.approx(0.333 + 0.667 * (0.4512 / 0.9502), rel=0.02)
    assert "assumption" not in curve.describe()
    assert "33.3%" in curve.describe()
    assert "exponential decay" in curve.describe()


@pytest.mark.parametrize(
    ("text", "latest"), [("stampede", 1.0), ("even", 600.0), ("door:1", 120.0), ("decay@30", 600.0), ("", 600.0)]
)
def test_other_curves(text: str, latest: float) -> None:
    curve = parse_curve(text, 600, 120)
    arrivals = [curve.arrival(mix(k)).at_seconds for k in range(2000)]
    assert latest / 10 < max(arrivals) <= latest


@pytest.mark.parametrize("text", ["door:1.5", "crowd", "door:x", "decay@0", "door,even", "door:0.6,even:0.6"])
def test_a_curve_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(CurveError, match="arrivals"):
        parse_curve(text, 600, 120)


@given(
    st.lists(
        st.tuples(st.integers(-20_000_000, 20_000_000), st.integers(0, 2**31 - 1), st.sampled_from(Act)), max_size=60
    )
)
def test_the_agenda_gives_everyone_once_in_order_and_never_early(events: list[tuple[int, int, int]]) -> None:
    agenda = Agenda()
    for event in events:
        agenda.file(*event)
    taken: list[tuple[int, int, int]] = []
    now_us = -21_000_000
    while now_us <= 20_000_000:
        while (due := agenda.take(now_us)) is not None:
            assert due[0] <= now_us
            taken.append(due)
        assert agenda.overdue(now_us) == 0
        now_us += 777_777
    taken += [due for _ in events if (due := agenda.take(20_000_000)) is not None]
    assert taken == sorted(events)
    assert len(agenda) == 0


def test_the_agenda_takes_what_is_filed_late() -> None:
    agenda = Agenda()
    agenda.file(5_000_000, 1, 2)
    assert agenda.take(4_999_999) is None
    agenda.file(4_000_000, 3, 4)  # its bucket has been reached already
    assert agenda.overdue(6_000_000) == 2
    assert agenda.take(6_000_000) == (4_000_000, 3, 4)
    assert agenda.take(6_000_000) == (5_000_000, 1, 2)
    assert agenda.take(6_000_000) is None
