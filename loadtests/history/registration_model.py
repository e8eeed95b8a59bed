"""The contract's model of one resident's registration: from the pass on (`model.py` has what is before it)."""

from __future__ import annotations

from loadtests.history.record import UNTOLD, CallRecord, Outcome, Told
from loadtests.history.state import NO_REGISTRATION, SOME_REGISTRATION, Phase, Rules, State


def register(s: State, c: CallRecord, rules: Rules) -> State | None:
    """The first use of a pass makes a registration; each later one finds it, whatever it wishes for."""
    match c.outcome:
        case Outcome.FIRST:
            return _registered(s, c, rules)
        case Outcome.UNKNOWN:
            return _registered(s, c._replace(value=SOME_REGISTRATION, shown=0), rules)
        case Outcome.DONE:
            shown = _shown(s, c)
            return _registered(s, c, rules) if shown is None and rules.may_repeat else shown
        case Outcome.EXPIRED:
            if c.entry != s.entry or s.phase in (Phase.LEFT, Phase.MISSED):
                return s
            since_ms = s.moment_ms if s.until_ms == UNTOLD else s.until_ms - rules.clock_slack_ms
            if s.phase != Phase.CLAIMED or c.returned_ms < since_ms:
                return None
            return s._replace(phase=Phase.MISSED, moment_ms=max(s.moment_ms, since_ms))
        case Outcome.USED:
            return s if c.entry != s.entry or (s.phase == Phase.USED and s.cancelled) else None
        case Outcome.ALREADY_REGISTERED:
            return s if s.is_registered else None
    return s


def read(s: State, c: CallRecord, rules: Rules) -> State | None:
    """A look at the registration shows it as it is."""
    if c.outcome == Outcome.NOT_FOUND:
        return s if s.no == NO_REGISTRATION and not s.closed else None
    return _shown(s, c) if c.outcome == Outcome.DONE else s


def amend(s: State, c: CallRecord, rules: Rules) -> State | None:
    """Other wishes for an open registration, all of them."""
    if c.outcome > Outcome.UNKNOWN:
        return s
    if not s.is_registered or c.shown not in (0, c.sent):
        return None
    if c.outcome == Outcome.DONE and c.value not in (s.no, 0) and s.no != SOME_REGISTRATION:
        return None
    return s if s.wishes == c.sent else s._replace(wishes=c.sent)


def cancel(s: State, c: CallRecord, rules: Rules) -> State | None:
    """The registration is closed; again changes nothing."""
    if c.outcome > Outcome.UNKNOWN:
        return s
    if c.outcome == Outcome.DONE and any(no == c.value for no, _ in s.closed):
        return _shown(s, c)
    if s.no == NO_REGISTRATION:
        return None
    after = s if s.cancelled else s._replace(cancelled=True)
    return _shown(after, c) if c.outcome == Outcome.DONE else after


def _registered(s: State, c: CallRecord, rules: Rules) -> State | None:
    lapsed = s.until_ms != UNTOLD and c.called_ms > s.until_ms + rules.clock_slack_ms
    if c.entry != s.entry or s.phase not in (Phase.CLAIMED, Phase.MISSED) or s.is_registered or lapsed:
        return None
    if s.phase == Phase.MISSED and not s.pass_:
        return None
    if any(no == c.value for no, _ in s.closed) or c.told not in (Told.NOTHING, Told.PROPOSED):
        return None
    if c.shown not in (0, c.sent):
        return None
    return s._replace(phase=Phase.USED, no=c.value, cancelled=False, wishes=c.sent)


def _shown(s: State, c: CallRecord) -> State | None:
    """What is shown is what is there: number, state, wishes."""
    for no, wishes in s.closed:
        if no == c.value:
            return s if c.told == Told.CANCELLED and (not c.shown or not wishes or c.shown == wishes) else None
    if s.no == SOME_REGISTRATION:
        s = s._replace(no=c.value)
    if c.value != s.no or s.no == NO_REGISTRATION:
        return None
    if c.told in (Told.PROPOSED, Told.CANCELLED) and s.cancelled != (c.told == Told.CANCELLED):
        return None
    if not c.shown or c.shown == s.wishes:
        return s
    return None if s.wishes else s._replace(wishes=c.shown)
