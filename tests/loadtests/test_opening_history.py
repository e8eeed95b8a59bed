"""What all residents were told of an opening, put together: places dense, calls that only go on, passes counted."""

from typing import Any

from loadtests.history.opening import OpeningHistory
from loadtests.history.record import UNTOLD, CallRecord, Flag, Kind, Outcome, Told, place_value
from loadtests.history.state import Rules

LAG_MS = 2000


def call(kind: Kind, ms: int, outcome: Outcome = Outcome.DONE, told: Told = Told.NOTHING, **more: Any) -> CallRecord:
    """A call that was sent 20 ms before it was answered at `ms`."""
    plain = CallRecord(1, ms - 20, ms, kind, outcome, told, 0, UNTOLD, 0, UNTOLD, 0, 0)
    return plain._replace(**more)


def joins(who: int, entry: int, **more: Any) -> CallRecord:
    return call(Kind.JOIN, 100 + who, Outcome.FIRST, Told.DRAWING, who=who, entry=entry, **more)


def polls(ms: int, number: int, serving: int, told: Told = Told.WAITING, **more: Any) -> CallRecord:
    plain = call(Kind.POLL, ms, told=told, entry=number - 1, value=place_value(number, serving))
    return plain._replace(**more)


def told(*calls: CallRecord, doubt_ms: int = 0) -> OpeningHistory:
    opening = OpeningHistory(0, 60_000, Rules(lag_ms=LAG_MS, clock_slack_ms=0), doubt_ms)
    for each in calls:
        opening.take(each)
    opening.finish()
    return opening


def test_an_entry_or_a_number_of_two_people_is_named() -> None:
    assert told(joins(1, 7), joins(2, 8), joins(1, 7)).shared == []
    assert told(joins(1, 7), joins(2, 7)).shared == [(7, 1, 2)]
    assert told(polls(5000, 8, 1), polls(6000, 8, 1)).same_number == []
    assert told(polls(5000, 8, 1), polls(6000, 8, 1, entry=9)).same_number == [(8, 7, 9)]


def test_an_entry_that_nobody_was_told_is_a_gap_unless_a_join_went_unheard() -> None:
    assert told(joins(1, 0), joins(2, 1)).gaps() == []
    assert told(joins(1, 0), joins(2, 2)).gaps() == [1]
    assert told(joins(1, 0), joins(2, 2), call(Kind.JOIN, 90, Outcome.UNKNOWN, who=3)).gaps() == []
    assert told(joins(1, 0), joins(2, 2, flags=int(Flag.SENT_TWICE))).gaps() == []
    assert told(joins(1, 0), joins(2, 3), call(Kind.JOIN, 90, Outcome.UNKNOWN, who=3)).gaps() == [2]


def test_the_calls_never_go_back_beyond_what_a_memory_may_lag() -> None:
    before = polls(10_000, 90, 50)
    assert told(before, polls(10_000 + LAG_MS, 80, 40)).backward() is None
    late = polls(10_100 + LAG_MS, 80, 40)
    found = told(before, late).backward()
    assert found is not None
    assert found[1:] == (40, 50)
    assert told(before, late, doubt_ms=500).backward() is None
    # a look tells of when its answer was made: a cache may have kept it
    assert told(before, late._replace(kind=Kind.LOOK, extra=9000)).backward() is None
    assert told(before, late._replace(kind=Kind.LOOK, extra=late.called_ms)).backward() is not None


def test_who_is_called_shows_how_far_the_calls_have_come() -> None:
    called = polls(10_000, 50, 0, Told.READY)
    assert told(called, polls(13_000, 80, 49)).backward() is not None
    assert told(called, polls(13_000, 80, 50)).backward() is None


def test_passes_are_alive_from_when_they_were_told_until_they_are_used_or_lapse() -> None:
    passes = [call(Kind.CLAIM, 1000 * who, Outcome.FIRST, who=who, entry=who, extra=6000) for who in (1, 2, 3)]
    used = call(Kind.REGISTER, 2500, Outcome.FIRST, Told.PROPOSED, who=1, entry=1)
    late = call(Kind.CLAIM, 7000, Outcome.FIRST, who=4, entry=4, extra=12_000)
    again = passes[1]._replace(called_ms=4000, returned_ms=4020, outcome=Outcome.DONE)
    assert told(*passes, again).most_passes() == 3
    assert told(*passes, used).most_passes() == 2
    assert told(*passes, late).most_passes() == 3


def test_a_number_was_called_no_sooner_than_somebody_was_told_of_fewer_calls() -> None:
    times = told(polls(10_000, 90, 20), polls(12_000, 90, 45), polls(20_000, 90, 60)).call_times()
    at_ms = times.not_before(50)
    assert at_ms is not None
    assert 12_000 - LAG_MS - 50 <= at_ms <= 12_000 - LAG_MS
    assert times.not_before(20) is None
    assert (times.not_before(10_000) or 0) > 17_000
