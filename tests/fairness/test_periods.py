"""Periods of the day other than morning and afternoon: data of the night's rules, in the order of the day."""

import io
import json
from datetime import date, time
from pathlib import Path

import msgspec
import pytest

from server.core.city import City, load_city
from server.core.keys import registration_no
from server.core.periods import Period
from server.fairness.allotment import Candidate, Candidates, OfferedSlot, Rules, allot
from server.fairness.lots import Lots
from server.fairness.result_lines import write
from server.fairness.verification import WrongFile, verify_allotment

SEED = bytes(range(32))
NIGHT = date(2021, 6, 22)
DAY = date(2021, 6, 24)
MAY = date(2021, 5, 1)
NOS = [registration_no(1, NIGHT, entry) for entry in range(6)]


@pytest.fixture
def city() -> City:
    """Guangzhou with an hour at dawn and one in the evening; neither order of the alphabet is that of the day."""
    more = {
        "evening": Period(time(18), time(20), "晚上", "Evening"),
        "small-hours": Period(time(5), time(7), "清晨", "Small hours"),
    }
    return msgspec.structs.replace(load_city(), periods_in_file=more)


def slot(period: str, site: str = "S1") -> OfferedSlot:
    return OfferedSlot(DAY, site, period, "inactivated")


def someone(n: int, *wishes: tuple[str, str], together: int | None = None) -> Candidate:
    relative = NOS[together] if together is not None else None
    return Candidate(NOS[n], date(2021, 5, 1 + n), "inactivated", wishes, False, together=relative)


def given(rules: Rules, people: list[Candidate], table: dict[OfferedSlot, int]) -> dict[int, OfferedSlot | None]:
    result = allot(rules, rules.offered(table.items()), Candidates(people, rules.periods), SEED)
    return {NOS.index(outcome.no): outcome.slot for outcome in result.outcomes()}


def test_slots_are_offered_in_the_order_of_the_day_and_none_of_a_period_that_the_city_has_not(city: City) -> None:
    rules = Rules.of(city, "440106", NIGHT, 14)
    assert rules.periods == ("small-hours", "am", "pm", "evening")
    table = {slot(period): 1 for period in ("evening", "am", "midnight", "pm", "small-hours")}
    assert [it.period for it, _ in rules.offered(table.items())] == ["small-hours", "am", "pm", "evening"]


def test_who_wishes_for_any_period_gets_the_earliest_that_is_free(city: City) -> None:
    rules = Rules.of(city, "440106", NIGHT, 14)
    people = [
        someone(0, ("S1", "any")),
        someone(1, ("S1", "any")),
        someone(2, ("S1", "evening")),
        someone(3, ("S1", "am")),
    ]
    table = {slot("evening"): 2, slot("small-hours"): 1, slot("am"): 0}
    assert given(rules, people, table) == {0: slot("small-hours"), 1: slot("evening"), 2: slot("evening"), 3: None}


def test_relatives_come_together_in_a_third_period(city: City) -> None:
    rules = Rules.of(city, "440106", NIGHT, 14)
    people = [
        someone(0, ("S1", "am"), ("S2", "evening"), together=1),
        someone(1, ("S2", "any"), together=0),
    ]
    table = {slot("am"): 2, slot("am", "S2"): 2, slot("evening", "S2"): 2}
    assert given(rules, people, table) == {0: slot("evening", "S2"), 1: slot("evening", "S2")}


def test_a_wish_for_a_period_that_the_city_has_not_is_refused(city: City) -> None:
    people = Candidates(periods=Rules.of(city, "440106", NIGHT, 14).periods)
    with pytest.raises(ValueError, match="expected small-hours, am, pm, evening or any"):
        people.add(someone(0, ("S1", "midnight")))
    assert len(people) == 0


def test_candidates_of_other_periods_than_the_rules_are_refused(city: City) -> None:
    rules = Rules.of(city, "440106", NIGHT, 14)
    with pytest.raises(ValueError, match="expected candidates of the periods"):
        allot(rules, [], Candidates([someone(0, ("S1", "am"))]), SEED)


def _file(tmp_path: Path, rules: Rules) -> Path:
    people = [someone(0, ("S1", "evening")), someone(1, ("S1", "any"))]
    offered = rules.offered({slot(period): 1 for period in rules.periods}.items())
    out = io.BytesIO()
    write(out, rules, Lots(SEED), offered, allot(rules, offered, Candidates(people, rules.periods), SEED))
    path = tmp_path / "night.jsonl"
    path.write_bytes(out.getvalue())
    return path


def test_a_result_file_says_the_periods_and_is_verified_by_them(city: City, tmp_path: Path) -> None:
    path = _file(tmp_path, Rules.of(city, "440106", NIGHT, 14))
    head = json.loads(path.read_bytes().splitlines()[0])
    assert head["rules"]["periods"] == ["small-hours", "am", "pm", "evening"]
    assert verify_allotment(path).head.registrations == 2
    path.write_bytes(path.read_bytes().replace(b'["small-hours","am","pm","evening"]', b'["am","pm","evening"]', 1))
    with pytest.raises(WrongFile, match=r"slots: some are outside the rules' dates, products or periods"):
        verify_allotment(path)


def test_of_morning_and_afternoon_alone_a_result_file_says_nothing() -> None:
    rules = Rules.of(load_city(), "440106", NIGHT, 14)
    written = msgspec.json.encode(rules)
    assert b"periods" not in written
    assert msgspec.json.decode(written, type=Rules).periods == ("am", "pm")


@pytest.mark.parametrize("periods", [[], ["am", "am"], ["am", "any"], ["A M"]])
def test_rules_with_periods_that_are_none_are_refused(periods: list[str]) -> None:
    rules = msgspec.to_builtins(Rules.of(load_city(), "440106", NIGHT, 14))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rules | {"periods": periods}, Rules)
