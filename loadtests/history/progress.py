"""Draw, line, call: a place only ever comes further, and who has been told so is not told of an earlier moment later.

How far the calls have come is the opening's, not the resident's, and answers may tell of it from a memory or a cache
that is some time old. So this is a matter of when each answer was given, and needs no search for an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadtests.history.record import UNTOLD, CallRecord, Kind, Outcome, Told
from loadtests.history.state import Rules

_DRAWING, _WAITING, _CALLED = 0, 1, 2
_NOTHING = _DRAWING, _CALLED
_OF_TOLD = {
    Told.DRAWING: (_DRAWING, _DRAWING), Told.WAITING: (_WAITING, _WAITING), Told.ENDED: (_DRAWING, _WAITING),
    Told.READY: (_CALLED, _CALLED), Told.CLAIMED: (_CALLED, _CALLED), Told.MISSED: (_CALLED, _CALLED),
}  # fmt: skip
"""What a state says of how far a place has come: at least, at most."""


class Contradiction(NamedTuple):
    """Two answers about one place that cannot both be right, and in what they differ."""

    before: CallRecord
    after: CallRecord
    what: str


def contradiction(calls: Sequence[CallRecord], rules: Rules) -> Contradiction | None:
    """Return two answers of which a place's number, or time, would have gone on and back; None where none did."""
    told: dict[tuple[int, int], CallRecord] = {}
    less: list[tuple[int, CallRecord]] = []
    numbered: dict[int, CallRecord] = {}
    for call in calls:
        if call.kind <= Kind.LOOK and call.number:
            known = numbered.setdefault(call.entry, call)
            if known.number != call.number:
                return Contradiction(known, call, "its number changed")
        least, most = _progress(call)
        for reached in range(_WAITING, least + 1):
            first = told.get((call.entry, reached))
            if first is None or call.returned_ms < first.returned_ms:
                told[call.entry, reached] = call
        if most < _CALLED:
            less.append((most, call))
    for most, call in less:
        first = told.get((call.entry, most + 1))
        if first is not None and first.returned_ms < as_of_ms(call, rules):
            return Contradiction(first, call, "time went backwards for it")
    return None


def as_of_ms(call: CallRecord, rules: Rules) -> int:
    """Say of when an answer may tell: one that somebody waits still may come from a memory, or a cache."""
    match call.kind:
        case Kind.POLL if call.told in (Told.DRAWING, Told.WAITING):
            return call.called_ms - rules.lag_at(call.called_ms)
        case Kind.CLAIM if call.outcome == Outcome.NOT_YOUR_TURN:
            return call.called_ms - rules.lag_at(call.called_ms)
        case Kind.LOOK if call.number > call.serving:
            made_ms = call.called_ms if call.extra == UNTOLD else min(call.called_ms, call.extra)
            return made_ms - rules.lag_at(call.called_ms)
    return call.called_ms


def _progress(call: CallRecord) -> tuple[int, int]:
    """Return how far a call's place had come as it was told: at least, at most."""
    match call.kind:
        case Kind.JOIN | Kind.POLL if call.outcome <= Outcome.DONE:
            return _OF_TOLD.get(Told(call.told), _NOTHING)
        case Kind.LOOK if call.number:
            return (_CALLED, _CALLED) if call.number <= call.serving else (_WAITING, _WAITING)
        case Kind.CLAIM if call.outcome <= Outcome.DONE:
            return _CALLED, _CALLED
        case Kind.CLAIM if call.outcome == Outcome.NOT_YOUR_TURN:
            return _DRAWING, _WAITING
    return _NOTHING
