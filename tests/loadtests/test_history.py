"""The check of histories finds every fault planted in one, and none in thousands of honest ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.history.record import UNTOLD, CallRecord, History, Kind, Outcome, Told, place_value
from loadtests.history.residents import fault_of
from loadtests.history.state import CallTimes, Rules
from loadtests.history.words import call_in_words
from tests.support.simulated_residents import LAG_MS, simulate

RULES = Rules(lag_ms=LAG_MS, clock_slack_ms=0)
Calls = list[CallRecord]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_an_honest_history_is_explained(seed: int) -> None:
    for calls in simulate(seed):
        assert fault_of(calls, RULES) is None


# Faults, each planted in one answer that nothing else can explain. They say which answers can be told otherwise so.


def after(calls: Calls, kind: Kind, *outcomes: Outcome) -> Iterator[tuple[int, CallRecord, CallRecord]]:
    """(index of a later call, an earlier one that was answered before that was sent, the later one)"""
    for first in calls:
        if first.kind == kind and first.outcome in outcomes:
            for k, call in enumerate(calls):
                if call.called_ms > first.returned_ms + LAG_MS:
                    yield k, first, call


def of(calls: Calls, *kinds: Kind) -> Calls:
    return [call for call in calls if call.kind in kinds]


def first_answer_twice(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for kind in (Kind.JOIN, Kind.CLAIM, Kind.REGISTER):
        for k, first, call in after(calls, kind, Outcome.FIRST):
            same = call.entry == first.entry and call.value == first.value if kind == Kind.REGISTER else True
            if call.kind == kind and call.outcome == Outcome.DONE and call.entry == first.entry and same:
                yield k, call._replace(outcome=Outcome.FIRST)


def another_place(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.JOIN, Outcome.FIRST):
        used_later = any(
            claim.outcome == Outcome.FIRST and claim.entry == first.entry and claim.called_ms > call.returned_ms
            for claim in of(calls, Kind.CLAIM)
        )
        if call.kind == Kind.JOIN and call.outcome == Outcome.DONE and call.entry == first.entry and used_later:
            yield k, call._replace(entry=call.entry + 10_000, value=0)


def another_number(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for first in of(calls, Kind.POLL):
        for k, call in enumerate(calls):
            both = call.kind == Kind.POLL and call.entry == first.entry and first.number and call.number
            if both and call is not first:
                yield k, call._replace(value=place_value(call.number + 1, call.serving))


def stale_read_of_a_claimed_place(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.CLAIM, Outcome.FIRST, Outcome.DONE):
        if call.kind == Kind.POLL and call.told == Told.CLAIMED and call.entry == first.entry:
            yield k, call._replace(told=Told.WAITING)
            yield k, call._replace(told=Told.READY, extra=first.extra)


def lost_leave(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.LEAVE, Outcome.DONE):
        if call.kind == Kind.POLL and call.told == Told.LEFT and call.entry == first.entry:
            yield k, call._replace(told=Told.WAITING)
            yield k, call._replace(told=Told.READY, extra=10**6)


def place_given_up_and_given_again(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.LEAVE, Outcome.DONE):
        if call.kind == Kind.JOIN and call.outcome == Outcome.FIRST and call.entry != first.entry:
            holds = [j for j in of(calls, Kind.JOIN) if j.outcome == Outcome.FIRST and j.called_ms < call.called_ms]
            if holds and holds[-1].entry == first.entry and holds[-1].returned_ms < first.called_ms:
                yield k, call._replace(entry=first.entry, outcome=Outcome.DONE, value=0)


def resurrected_registration(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.CANCEL, Outcome.DONE):
        if call.kind == Kind.READ and call.told == Told.CANCELLED and call.value == first.value:
            yield k, call._replace(told=Told.PROPOSED)
        if call.kind == Kind.REGISTER and call.outcome == Outcome.USED and call.entry == first.value - 10**14:
            yield k, call._replace(outcome=Outcome.DONE, told=Told.PROPOSED, value=first.value)


def stale_wishes(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.AMEND, Outcome.DONE):
        before = [c for c in of(calls, Kind.AMEND) if c.returned_ms < first.called_ms and not c.flags]
        if call.kind == Kind.READ and call.value == first.value and before and call.shown != before[-1].sent:
            yield k, call._replace(shown=before[-1].sent)


def another_pass(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.CLAIM, Outcome.FIRST):
        if call.kind == Kind.CLAIM and call.outcome == Outcome.DONE and call.entry == first.entry:
            yield k, call._replace(shown=call.shown ^ 2)
            yield k, call._replace(extra=call.extra + 1000)


def another_registration(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.REGISTER, Outcome.FIRST):
        if call.kind == Kind.REGISTER and call.outcome == Outcome.DONE and call.value == first.value:
            yield k, call._replace(value=call.value + 1)


def lost_registration(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.REGISTER, Outcome.FIRST):
        if call.kind == Kind.READ and call.told == Told.PROPOSED and call.value == first.value:
            yield k, call._replace(outcome=Outcome.NOT_FOUND)


def time_going_backwards(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.POLL, Outcome.DONE):
        if call.kind == Kind.POLL and call.entry == first.entry:
            if first.told == call.told == Told.READY:
                yield k, call._replace(told=Told.WAITING)
            if first.told in (Told.WAITING, Told.READY) and call.told in (Told.WAITING, Told.READY):
                yield k, call._replace(told=Told.DRAWING, value=place_value(0, 0))


def called_and_then_not(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.POLL, Outcome.DONE):
        if first.told == Told.READY and call.kind == Kind.CLAIM and call.entry == first.entry:
            if call.outcome == Outcome.FIRST:
                yield k, call._replace(outcome=Outcome.NOT_YOUR_TURN)


def missed_before_its_time(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    for k, first, call in after(calls, Kind.POLL, Outcome.DONE):
        if call.kind == Kind.POLL and first.told == call.told == Told.READY and call.entry == first.entry:
            unheard = any(claim.outcome == Outcome.UNKNOWN or claim.flags for claim in of(calls, Kind.CLAIM))
            if call.returned_ms < first.extra and not unheard:  # else they may have had a pass that lapsed
                yield k, call._replace(told=Told.MISSED, extra=UNTOLD)


def refused_a_second_registration_without_a_first(calls: Calls) -> Iterator[tuple[int, CallRecord]]:
    made = of(calls, Kind.REGISTER)
    for k, call in enumerate(calls):
        before_any = all(one.called_ms > call.returned_ms for one in made)
        if call.kind == Kind.JOIN and call.outcome <= Outcome.DONE and before_any:
            yield k, call._replace(outcome=Outcome.ALREADY_REGISTERED)


FAULTS: Sequence[Callable[[Calls], Iterator[tuple[int, CallRecord]]]] = (
    first_answer_twice, another_place, another_number, stale_read_of_a_claimed_place, lost_leave,
    place_given_up_and_given_again, resurrected_registration, stale_wishes, another_pass, another_registration,
    lost_registration, time_going_backwards, called_and_then_not, missed_before_its_time,
    refused_a_second_registration_without_a_first,
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_planted_fault_is_found(fault: Callable[[Calls], Iterator[tuple[int, CallRecord]]]) -> None:
    planted = 0
    for calls in histories():
        for k, told in islice(fault(calls), 2):
            planted += 1
            wrong = [*calls[:k], told, *calls[k + 1 :]]
            assert fault_of(wrong, RULES) is not None, f"{told}: {list(map(call_in_words, wrong))}"
    assert planted >= 20


@cache
def histories() -> list[Calls]:
    return [calls for seed in range(60) for calls in simulate(seed)]


def test_calls_that_several_generators_wrote_down_are_those_of_each_resident_in_the_order_they_were_sent() -> None:
    people = simulate(5)
    one, other = History(), History()
    for calls in people:
        for call in sorted(calls, key=lambda call: call.returned_ms):
            (one if call.who % 2 else other).add(*call)
    whole = History()
    whole.take_in(one.encoded())
    whole.take_in(other.encoded())
    assert len(whole) == sum(map(len, people))
    assert list(whole.by_resident(len(people) + 1)) == [calls for calls in people if calls]
    with pytest.raises(ValueError, match="no number of these"):
        whole.take_in(b"half a record")


def test_a_counterexample_names_each_call_and_the_one_that_does_not_fit() -> None:
    joined = CallRecord(7, 100, 160, Kind.JOIN, Outcome.FIRST, Told.DRAWING, 0, 3, place_value(0, 0), UNTOLD, 0, 0)
    left = joined._replace(called_ms=200, returned_ms=250, kind=Kind.LEAVE, outcome=Outcome.DONE, told=Told.NOTHING)
    polled = joined._replace(called_ms=9000, returned_ms=9010, kind=Kind.POLL, outcome=Outcome.DONE)
    assert fault_of([joined, left, polled], RULES) == (
        "resident 7: no order explains (3): at the furthest place 3 is left. (1) 0.100-0.160 s join: 201 place 3 "
        "drawing serving 0; (2) 0.200-0.250 s leave of 3: 200; (3) 9.000-9.010 s poll of 3: 200 drawing serving 0"
    )
    called = polled._replace(told=Told.READY, value=place_value(4, 4), extra=20_000)
    waits = polled._replace(called_ms=12_000, returned_ms=12_020, told=Told.WAITING, value=place_value(4, 2))
    assert (fault_of([joined, called, waits], RULES) or "").startswith(
        "resident 7: (2) and (3) cannot both be right of place 3: time went backwards for it. (1) 0.100-0.160 s join"
    )


def test_a_call_lapses_with_the_window_and_not_before_its_time_else() -> None:
    joined = CallRecord(7, 100, 160, Kind.JOIN, Outcome.FIRST, Told.WAITING, 0, 3, place_value(4, 3), UNTOLD, 0, 0)
    missed = joined._replace(called_ms=60_000, returned_ms=60_020, kind=Kind.POLL, outcome=Outcome.DONE)
    missed = missed._replace(told=Told.MISSED, value=place_value(4, 9))
    may_claim = replace(RULES, claim_ms=300_000, calls=CallTimes([(1000, 3)]))
    assert "place 3 (number 4) is held" in (fault_of([joined, missed], replace(may_claim, closes_ms=60_021)) or "")
    assert fault_of([joined, missed], replace(may_claim, closes_ms=60_020)) is None
    assert fault_of([joined, missed], replace(may_claim, claim_ms=59_020)) is None
