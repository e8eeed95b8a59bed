"""A storm's calls, written down as a history, and whether they are explained as the contract allows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime

import msgspec

from loadtests.client import answers
from loadtests.client.wire import Answer
from loadtests.history.opening import OpeningHistory
from loadtests.history.record import OPEN, UNTOLD, CallRecord, History, Kind, Outcome, place_value
from loadtests.history.residents import fault_of
from loadtests.history.search import TooManyOrders
from loadtests.history.state import Rules
from loadtests.nemesis.papers import CLAIM_SECONDS
from loadtests.resident.telling import pass_shown, refusal, state_told, wishes_sent, wishes_shown

_RULES = Rules(troubled=(-OPEN, OPEN), claim_ms=CLAIM_SECONDS * 1000, may_repeat=True)
"""Some fault or other lasts all the time."""
_OF_A_PLACE = (Kind.JOIN, Kind.POLL)


class Calls:
    """All calls of a storm, and what each was told.

    Args:
        history: where to write; times are from the first call's sending.
        clock: from city time to the machine's monotonic clock.
    """

    def __init__(self, history: History, clock: Callable[[datetime], float]) -> None:
        self._add = history.add
        self._clock = clock
        self._began: float | None = None

    def note(
        self, who: int, kind: Kind, entry: int | None, sent: float, came: float, request: bytes, answer: Answer | None
    ) -> None:
        """Write one down.

        Args:
            entry: of the place that they hold as it is sent.
            sent, came: by the machine's monotonic clock.
            answer: None where none came.
        """
        if self._began is None:
            self._began = sent
        about = UNTOLD if entry is None else entry
        called_ms, now_ms, wishes = self._ms(sent), self._ms(came), wishes_sent(kind, request)
        outcome = Outcome.UNKNOWN if answer is None else Outcome.DONE
        if answer is not None and answer.status >= 400:
            outcome = refusal(answer)
        elif answer is not None:
            try:
                self._told(who, kind, about, called_ms, now_ms, wishes, answer)
                return
            except (msgspec.DecodeError, ValueError):  # half an answer
                outcome = Outcome.UNKNOWN
        ended_ms = OPEN if outcome == Outcome.UNKNOWN else now_ms
        self._add(who, called_ms, ended_ms, kind, outcome, 0, 0, about, 0, UNTOLD, wishes)

    def _told(self, who: int, kind: Kind, entry: int, called_ms: int, now_ms: int, wishes: int, answer: Answer) -> None:
        add, done = self._add, Outcome.FIRST if answer.status == 201 else Outcome.DONE
        if kind in _OF_A_PLACE:
            place = answers.decode_place(answer.body)
            until_ms = UNTOLD if place.claim_before is None else self._city_ms(place.claim_before)
            if kind == Kind.JOIN:
                entry = UNTOLD if place.entry is None else place.entry
            value = place_value(place.number, place.serving)
            add(who, called_ms, now_ms, kind, done, state_told(place.state), 0, entry, value, until_ms)
        elif kind == Kind.CLAIM:
            given = answers.decode_pass(answer.body)
            until_ms = self._city_ms(given.expires_at)
            add(who, called_ms, now_ms, kind, done, 0, 0, entry, 0, until_ms, 0, pass_shown(given))
        else:
            found = answers.decode_registration(answer.body)
            state, no = state_told(found.state), int(found.registration_no)
            add(who, called_ms, now_ms, kind, done, state, 0, entry, no, UNTOLD, wishes, wishes_shown(found))

    def _ms(self, monotonic: float) -> int:
        return int((monotonic - (self._began or 0.0)) * 1000)

    def _city_ms(self, time: str) -> int:
        return self._ms(self._clock(datetime.fromisoformat(time)))


def unexplained(history: History, residents: int, gaps: Collection[int]) -> Iterator[tuple[str, str]]:
    """Each (check, what breaks it) of what the residents of an opening were told, as the rehearsal's audit has it.

    Args:
        residents: how many there may be.
        gaps: entries that the store knows to be nobody's.
    """
    opening = OpeningHistory(*history.span_ms(), _RULES)
    for call in history:
        opening.take(call)
    opening.finish()
    rules = replace(_RULES, calls=opening.call_times())
    faults = [fault for calls in history.by_resident(residents) if (fault := _fault_of(calls, rules)) is not None]
    if faults:
        yield "linearizable", f"of {len(faults)} residents, e.g. {faults[0]}"
    for entry, one, other in opening.shared:
        yield "told in turn", f"entry {entry} was told to residents {one} and {other}"
    for number, one, other in opening.same_number:
        yield "told in turn", f"number {number} was told of entries {one} and {other}"
    if nobodys := [entry for entry in opening.gaps() if entry not in gaps]:
        yield "told in turn", f"entries that nobody was told: {nobodys}"
    if (back := opening.backward()) is not None:
        at_ms, least, reached = back
        yield "told in turn", f"the calls had come to {reached}, and who asked about {at_ms / 1000:.1f} s heard {least}"


def _fault_of(calls: list[CallRecord], rules: Rules) -> str | None:
    try:
        return fault_of(calls, rules)
    except TooManyOrders:
        return f"resident {calls[0].who}: {len(calls)} calls have too many orders to be tried"
