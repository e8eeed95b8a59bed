"""Is there an order of one resident's calls that explains every answer? The search of Wing and Gong, with a memory.

A call takes effect at one moment between when it was sent and when it was answered, so one that was answered before
another was sent comes first. Whatever order is left, some one must be allowed by the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadtests.history.model import step
from loadtests.history.progress import as_of_ms
from loadtests.history.record import OPEN, CallRecord, Flag, Kind, Outcome
from loadtests.history.state import NOBODY, Rules, State

MOST_LOOKED_AT = 200_000
"""So many orders of one history are tried; one that needs more is not judged."""
_WRITES = (Kind.JOIN, Kind.LEAVE, Kind.CLAIM, Kind.REGISTER, Kind.AMEND, Kind.CANCEL)


class TooManyOrders(Exception):
    """A history was given up: it has more orders than anybody wants to wait for."""


class Window(NamedTuple):
    """The time in which a call took effect; of one that may never have, to `OPEN`."""

    from_ms: int
    to_ms: int
    call: CallRecord


class Unexplained(NamedTuple):
    """The furthest that any order came: these calls, in this order, left this state, and the others do not follow.

    `stuck`: of the others, those that may come next.
    """

    explained: tuple[CallRecord, ...]
    state: State
    stuck: tuple[CallRecord, ...]


def unexplained(calls: Sequence[CallRecord], rules: Rules) -> Unexplained | None:
    """Return why no order explains the calls of one resident; None where one does.

    Raises:
        TooManyOrders: the search was given up.
    """
    if _in_sending_order(calls, rules):
        return None
    return _Search(sorted(_windows(calls, rules), key=_from_ms), rules).run()


def _in_sending_order(calls: Sequence[CallRecord], rules: Rules) -> bool:
    """Return whether the calls are explained as they were sent, which is nearly always so."""
    state = NOBODY
    for call in calls:
        if call.outcome != Outcome.UNKNOWN:
            after = step(state, call, rules)
            if after is None:
                return False
            state = after
    return True


def _windows(calls: Sequence[CallRecord], rules: Rules) -> list[Window]:
    found = []
    for call in calls:
        if call.flags & Flag.SENT_TWICE and call.kind in _WRITES:
            lost = call._replace(returned_ms=OPEN, outcome=Outcome.UNKNOWN, flags=call.flags & ~Flag.SENT_TWICE)
            found.append(Window(call.called_ms, OPEN, lost))
        if call.outcome != Outcome.UNKNOWN:
            found.append(Window(as_of_ms(call, rules), call.returned_ms, call))
        elif call.kind in _WRITES:
            found.append(Window(call.called_ms, OPEN, call))
    return found


def _from_ms(window: Window) -> int:
    return window.from_ms


class _Search:
    """One history's search: a node is which calls have taken effect, and the state they left."""

    def __init__(self, windows: Sequence[Window], rules: Rules) -> None:
        self._windows, self._rules = windows, rules
        self._needed = sum(1 << k for k, window in enumerate(windows) if window.to_ms != OPEN)
        self._known: set[tuple[int, State]] = set()
        self._furthest: tuple[int, tuple[int, ...], State, tuple[int, ...]] = (-1, (), NOBODY, ())

    def run(self) -> Unexplained | None:
        nodes: list[tuple[int, State, tuple[int, ...]]] = [(0, NOBODY, ())]
        while nodes:
            done, state, order = nodes.pop()
            if done & self._needed == self._needed:
                return None
            if (done, state) in self._known:
                continue
            self._known.add((done, state))
            if len(self._known) > MOST_LOOKED_AT:
                raise TooManyOrders
            next_ones, moves = self._next(done), []
            for k in next_ones:
                after = step(state, self._windows[k].call, self._rules)
                if after is None:
                    continue
                is_needed = self._windows[k].to_ms != OPEN
                if after is state and is_needed:  # it changes nothing, so it is never wrong to take it at once
                    moves = [(done | 1 << k, state, (*order, k))]
                    break
                if after is not state:
                    moves.append((done | 1 << k, after, (*order, k)))
            nodes += reversed(moves)
            told = sum(1 for k in order if self._windows[k].to_ms != OPEN)
            if told > self._furthest[0]:
                self._furthest = told, order, state, next_ones
        _, order, state, stuck = self._furthest
        return Unexplained(
            tuple(self._windows[k].call for k in order),
            state,
            tuple(self._windows[k].call for k in stuck if self._windows[k].to_ms != OPEN),
        )

    def _next(self, done: int) -> tuple[int, ...]:
        """Return the calls that may take effect next: none left was answered before they were sent."""
        found, soonest_ms = [], OPEN
        for k, window in enumerate(self._windows):
            if done >> k & 1:
                continue
            if window.from_ms > soonest_ms:
                break
            found.append(k)
            soonest_ms = min(soonest_ms, window.to_ms)
        return tuple(k for k in found if self._windows[k].from_ms <= soonest_ms)
