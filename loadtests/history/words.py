"""A history that no order explains, in words: each call in order of time, and the point from which nothing follows."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.history.progress import Contradiction
from loadtests.history.record import OPEN, UNTOLD, CallRecord, Flag, Kind, Outcome, Told
from loadtests.history.search import Unexplained
from loadtests.history.state import NO_PLACE, NO_REGISTRATION, SOME_PLACE, SOME_REGISTRATION, Phase, State

_MOST_SHOWN = 12
_OUTCOMES = {
    Outcome.FIRST: "201", Outcome.DONE: "200", Outcome.UNKNOWN: "no answer that says", Outcome.REFUSED: "refused",
}  # fmt: skip
_OF_A_REGISTRATION = (Kind.REGISTER, Kind.READ, Kind.AMEND, Kind.CANCEL)


def counterexample(calls: Sequence[CallRecord], why: Unexplained) -> str:
    """Say why no order explains what each of a resident's calls was told, then list them in order of time."""
    stuck = [k for k, call in enumerate(calls, 1) if any(call[:8] == other[:8] for other in why.stuck)]
    which = " or ".join(f"({k})" for k in stuck)
    return (
        f"resident {calls[0].who}: no order explains {which}: at the furthest {state_in_words(why.state)}. "
        f"{_listed(calls, max(stuck, default=len(calls)))}"
    )


def contradiction_in_words(calls: Sequence[CallRecord], found: Contradiction) -> str:
    """Say which two of a resident's calls contradict each other, then list them in order of time."""
    before, after = calls.index(found.before) + 1, calls.index(found.after) + 1
    return (
        f"resident {calls[0].who}: ({before}) and ({after}) cannot both be right of place {found.after.entry}: "
        f"{found.what}. {_listed(calls, max(before, after))}"
    )


def _listed(calls: Sequence[CallRecord], last: int) -> str:
    """List a resident's calls up to the last that matters."""
    first = max(0, last - _MOST_SHOWN)
    lines = [f"({k}) {call_in_words(call)}" for k, call in enumerate(calls, 1) if first < k <= last]
    left_out = [f"{first} calls before"] if first else []
    return "; ".join([*left_out, *lines])


def call_in_words(call: CallRecord) -> str:
    """Say when a call was sent and answered, and what it was told."""
    until = "…" if call.returned_ms == OPEN else f"{call.returned_ms / 1000:.3f}"
    asked = Kind(call.kind).name.lower() + ("" if call.kind == Kind.JOIN or call.entry < 0 else f" of {call.entry}")
    if call.kind == Kind.AMEND or (call.kind == Kind.REGISTER and call.sent):
        asked += f" with wishes {call.sent:08x}"
    bot = " by a bot" if call.flags & Flag.BY_A_BOT else ""
    twice = " (sent twice)" if call.flags & Flag.SENT_TWICE else ""
    return f"{call.called_ms / 1000:.3f}-{until} s {asked}{bot}{twice}: {_told(call)}"


def state_in_words(s: State) -> str:
    """Say how a resident stands."""
    if s.entry == NO_PLACE:
        place = "they have no place"
    else:
        entry = "some place" if s.entry == SOME_PLACE else f"place {s.entry}"
        number = f" (number {s.number})" if s.number else ""
        until = f" until {s.until_ms / 1000:.3f} s" if s.until_ms != UNTOLD and s.phase <= Phase.CLAIMED else ""
        place = f"{entry}{number} is {s.phase.name.lower()}{until}"
    if s.no == NO_REGISTRATION:
        return place
    no = "a registration" if s.no == SOME_REGISTRATION else f"registration {s.no:015d}"
    wishes = f" with wishes {s.wishes:08x}" if s.wishes else ""
    return f"{place} and {no} is {'cancelled' if s.cancelled else 'open'}{wishes}"


def _told(call: CallRecord) -> str:
    outcome = _OUTCOMES.get(Outcome(call.outcome)) or Outcome(call.outcome).name.lower().replace("_", "-")
    if call.outcome > Outcome.DONE:
        return outcome
    state = Told(call.told).name.lower() if call.told else ""
    if call.kind in _OF_A_REGISTRATION:
        shown = f"wishes {call.shown:08x}" if call.shown else ""
        return " ".join(filter(None, (outcome, f"{call.value:015d}", state, shown)))
    if call.kind == Kind.CLAIM:
        return f"{outcome} pass {call.shown:08x} until {call.extra / 1000:.3f} s"
    if call.kind == Kind.LEAVE:
        return outcome
    words = [outcome if call.kind != Kind.LOOK else "", f"place {call.entry}" if call.kind == Kind.JOIN else "", state]
    words += [f"number {call.number}" if call.number else "", f"serving {call.serving}"]
    return " ".join(filter(None, words))
