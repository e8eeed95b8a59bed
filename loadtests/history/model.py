"""The contract's model of one resident: what a call may be told in a state, and what state it leaves.

Written from the contract, not from the server. What no call brings about (the draw's end, a call, a turn or a pass
that lapses) is taken to have happened once an answer says so, and not before its time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from loadtests.history.record import OPEN, UNTOLD, CallRecord, Kind, Outcome, Told
from loadtests.history.registration_model import amend, cancel, read, register
from loadtests.history.state import NO_PLACE, NO_REGISTRATION, SOME_PASS, SOME_PLACE, Phase, Rules, SpentPlace, State

_OVER = (Phase.LEFT, Phase.MISSED)
_HELD = (Phase.CLAIMED, Phase.USED)


def step(s: State, c: CallRecord, rules: Rules) -> State | None:
    """Return the state after a call that was told this in state `s`; None where the contract does not allow it."""
    return None if c.returned_ms < s.moment_ms else _STEPS[c.kind](s, c, rules)


def _join(s: State, c: CallRecord, rules: Rules) -> State | None:
    if c.outcome == Outcome.UNKNOWN:
        spent = _spent(s, c, rules)
        return None if spent is None else _placed(spent, SOME_PLACE)
    if c.outcome == Outcome.ALREADY_REGISTERED:
        return s if s.is_registered else None
    if c.outcome > Outcome.DONE:
        return s
    if s.entry not in (c.entry, SOME_PLACE):
        if c.outcome != Outcome.FIRST and not rules.may_repeat:
            return None
        spent = _spent(s, c, rules)
        if spent is None or c.entry <= s.latest_entry:
            return None
        s = _placed(spent, c.entry)
    elif c.outcome == Outcome.FIRST or s.phase in _OVER:  # two first answers; or no new place for a spent one
        return None
    elif s.entry == SOME_PLACE:
        if c.entry <= s.latest_entry:
            return None
        s = s._replace(entry=c.entry)
    return _join_told(s, c)


def _join_told(s: State, c: CallRecord) -> State | None:
    """A join's answer has no time to claim by, so its "ready" says that the number was called, and no more."""
    if c.told in (Told.DRAWING, Told.WAITING) and s.phase != Phase.HELD:
        return None
    return _numbered(s, c.number)


def _poll(s: State, c: CallRecord, rules: Rules) -> State | None:
    if c.outcome != Outcome.DONE:
        return s
    if c.entry != s.entry:
        return _poll_of_before(s, c, rules)
    numbered = _numbered(s, c.number)
    if numbered is None:
        return None
    match c.told:
        case Told.DRAWING | Told.WAITING | Told.ENDED:
            return numbered if s.phase == Phase.HELD else None
        case Told.READY:
            if s.phase != Phase.HELD:
                return None
            return numbered if c.extra <= s.until_ms else numbered._replace(until_ms=c.extra)
        case Told.CLAIMED:
            return numbered if s.phase in _HELD else None
        case Told.MISSED:
            if s.phase == Phase.MISSED or _frees_its_pass(s, c, rules):
                return numbered
            missed = _missed(numbered, c, rules)
            # who leaves a place that was missed just before is told "missed" ever after
            return numbered if missed is not None and s.phase == Phase.LEFT else missed
        case Told.LEFT:
            return numbered if s.phase == Phase.LEFT else None
    return None


def _poll_of_before(s: State, c: CallRecord, rules: Rules) -> State | None:
    """A ticket of a place that was replaced tells what has become of that."""
    for place in s.spent:
        if place.entry == c.entry:
            left_too_late = place.phase == Phase.LEFT and c.returned_ms >= place.until_ms - rules.clock_slack_ms
            allowed = {
                Told.LEFT: place.phase == Phase.LEFT,
                Told.CLAIMED: place.phase == Phase.USED,
                Told.MISSED: place.phase == Phase.MISSED or left_too_late,
            }
            return s if allowed.get(Told(c.told)) else None
    return None


def _look(s: State, c: CallRecord, rules: Rules) -> State | None:
    """The public answer tells who knows their number whether it was called."""
    if c.entry != s.entry or not c.number:
        return s
    if c.number > c.serving and s.phase not in (Phase.HELD, Phase.LEFT):
        return None
    return _numbered(s, c.number)


def _leave(s: State, c: CallRecord, rules: Rules) -> State | None:
    if c.outcome > Outcome.UNKNOWN:
        return s if c.outcome != Outcome.USED or c.entry != s.entry or s.phase in (*_HELD, Phase.MISSED) else None
    if c.entry != s.entry:
        return s if any(place.entry == c.entry for place in s.spent) else None
    if s.phase == Phase.HELD:
        return s._replace(phase=Phase.LEFT)
    return s if s.phase in _OVER else None


def _claim(s: State, c: CallRecord, rules: Rules) -> State | None:
    if c.entry != s.entry:
        return s if c.outcome >= Outcome.UNKNOWN else None
    match c.outcome:
        case Outcome.FIRST | Outcome.UNKNOWN:
            if s.phase != Phase.HELD:
                return None
            is_told = c.outcome == Outcome.FIRST
            return s._replace(
                phase=Phase.CLAIMED, pass_=c.shown if is_told else SOME_PASS, until_ms=c.extra if is_told else UNTOLD
            )
        case Outcome.DONE:
            if s.phase == Phase.HELD and rules.may_repeat:
                return s._replace(phase=Phase.CLAIMED, pass_=c.shown, until_ms=c.extra)
            if s.phase not in _HELD or (s.pass_ != SOME_PASS and (s.pass_, s.until_ms) != (c.shown, c.extra)):
                return None
            return s if s.pass_ == c.shown else s._replace(pass_=c.shown, until_ms=c.extra)
        case Outcome.NOT_YOUR_TURN | Outcome.ENDED:
            return s if s.phase == Phase.HELD else None
        case Outcome.EXPIRED:
            return s if s.phase in _OVER or _frees_its_pass(s, c, rules) else _missed(s, c, rules)
        case Outcome.USED:
            return s if s.phase == Phase.USED else None
    return s


def _placed(s: State, entry: int) -> State:
    """A new place, after whatever there was; a registration that is not open is of the past."""
    spent = s.spent if s.entry == NO_PLACE else (*s.spent, SpentPlace(s.entry, s.phase, s.until_ms))
    closed = (*s.closed, (s.no, s.wishes)) if s.no != NO_REGISTRATION else s.closed
    return State(entry=entry, spent=spent, closed=closed, moment_ms=s.moment_ms)


def _spent(s: State, c: CallRecord, rules: Rules) -> State | None:
    """The place is one after which its holder gets another; None where it is not."""
    if s.is_registered:
        return None
    return s if s.entry == NO_PLACE or s.phase in (*_OVER, Phase.USED) else _missed(s, c, rules)


def _missed(s: State, c: CallRecord, rules: Rules) -> State | None:
    """The call, or the pass, has lapsed by the time of this call's answer; None where it cannot have."""
    since_ms = _lapses_ms(s, rules)
    if s.phase == Phase.USED or c.returned_ms < since_ms:
        return None
    return s._replace(phase=Phase.MISSED, moment_ms=max(s.moment_ms, since_ms))


def _frees_its_pass(s: State, c: CallRecord, rules: Rules) -> bool:
    """Return whether who registered at the last moment may be told that the pass has lapsed.

    The registration is what counts, and its pass is freed after it; the contract says nothing of the moment between.
    """
    return s.phase == Phase.USED and s.until_ms != UNTOLD and c.returned_ms >= s.until_ms - rules.clock_slack_ms


def _lapses_ms(s: State, rules: Rules) -> int:
    """Say from when on the call, or the pass, may have lapsed."""
    if s.until_ms != UNTOLD:
        return s.until_ms - rules.clock_slack_ms
    if s.phase == Phase.CLAIMED or not s.number:  # a pass whose answer never came; a number that nobody was told
        return -OPEN
    called_after_ms = rules.calls.not_before(s.number)
    if called_after_ms is None:
        return -OPEN
    return min(called_after_ms + rules.claim_ms, rules.closes_ms) - rules.clock_slack_ms


def _numbered(s: State, number: int) -> State | None:
    """The place has this number, which never changes once it was told."""
    if not number or number == s.number:
        return s
    return None if s.number else s._replace(number=number)


_STEPS: Final[dict[int, Callable[[State, CallRecord, Rules], State | None]]] = {
    Kind.JOIN: _join,
    Kind.POLL: _poll,
    Kind.LOOK: _look,
    Kind.LEAVE: _leave,
    Kind.CLAIM: _claim,
    Kind.REGISTER: register,
    Kind.READ: read,
    Kind.AMEND: amend,
    Kind.CANCEL: cancel,
}
