"""What the calls of all residents say of one opening: places dense, calls in order, passes within their cap."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from loadtests.history.record import OPEN, UNTOLD, CallRecord, Flag, History, Kind, Outcome, Told
from loadtests.history.state import CallTimes, Rules

_BUCKET_MS = 10
"""Moments are told apart no finer than this: what is closer together may have been in either order."""
_NOTHING_TOLD = -1
_NOBODY = -1
_TELLS_SERVING = (Kind.JOIN, Kind.POLL, Kind.LOOK)


class OpeningHistory:
    """All that the residents of one opening were told of it, put together call by call.

    Args:
        first_ms, last_ms: no call was sent before the one, or answered after the other.
        rules: how old an answer may be.
        doubt_ms: how far the clocks of those who wrote the calls down may be from each other.
    """

    def __init__(self, first_ms: int, last_ms: int, rules: Rules, doubt_ms: int = 0) -> None:
        self._first_ms = first_ms - rules.troubled_lag_ms - rules.lag_ms
        self._rules, self._doubt_ms = rules, doubt_ms
        buckets = (last_ms - self._first_ms) // _BUCKET_MS + 3
        self._told_by = array("i", [_NOTHING_TOLD]) * buckets  # how far the calls had come, as told by then
        self._least_of = array("i", [OPEN]) * buckets  # and as told to who asked then, at the least
        self._passes = array("i", [0]) * buckets  # alive since the bucket before
        self._holder = array("i")  # by entry
        self._entry = array("i")  # by number
        self._lapse: dict[tuple[int, int], int] = {}  # (resident, entry) -> last ms of the pass, surely
        self._unheard = 0
        self.shared: list[tuple[int, int, int]] = []
        """Entries, and two residents who were told each."""
        self.same_number: list[tuple[int, int, int]] = []
        """Numbers, and two entries that were told each."""

    def take(self, call: CallRecord) -> None:
        """Take in one call of one of its residents."""
        kind, outcome = call.kind, call.outcome
        if outcome == Outcome.UNKNOWN:
            if kind == Kind.JOIN:
                self._unheard += 1
            return
        if outcome <= Outcome.DONE:
            if kind in _TELLS_SERVING:
                self._take_place(call)
            elif kind == Kind.CLAIM:
                self._take_pass(call)
        if kind == Kind.REGISTER and (over_ms := self._lapse.pop((call.who, call.entry), None)) is not None:
            self._passes[self._bucket(min(call.called_ms, over_ms))] -= 1

    def finish(self) -> None:
        """Let the passes that nobody used lapse; nothing is taken in after this."""
        for over_ms in self._lapse.values():
            self._passes[min(self._bucket(over_ms), len(self._passes) - 1)] -= 1
        self._lapse.clear()

    @property
    def places(self) -> int:
        """Count the entries up to the last that anybody was told."""
        return len(self._holder)

    def gaps(self) -> list[int]:
        """Return entries that nobody was told, where somebody was told a later one, beyond those that may have gone
        unheard."""
        missing = [entry for entry, who in enumerate(self._holder) if who == _NOBODY]
        return missing[self._unheard :]

    def most_passes(self) -> int:
        """Say how many passes were surely alive at once, at the most."""
        most = alive = 0
        for change in self._passes:
            alive += change
            most = max(most, alive)
        return most

    def backward(self) -> tuple[int, int, int] | None:
        """Return (ms, told, before): who asked at `ms` was told fewer calls than somebody had been told before."""
        reached, doubt = _NOTHING_TOLD, -(-self._doubt_ms // _BUCKET_MS)
        for at, least in enumerate(self._least_of):
            known_at = at - 1 - doubt
            if known_at >= 0:
                reached = max(reached, self._told_by[known_at])
            if least < reached:
                return self._first_ms + at * _BUCKET_MS, least, reached
        return None

    def call_times(self) -> CallTimes:
        """Say when numbers can have been called at the soonest."""
        steps: list[tuple[int, int]] = []
        least = OPEN
        for at in range(len(self._least_of) - 1, -1, -1):
            if self._least_of[at] < least:
                least = self._least_of[at]
                steps.append((self._first_ms + at * _BUCKET_MS, least))
        return CallTimes(steps[::-1])

    def _take_place(self, call: CallRecord) -> None:
        if call.kind == Kind.JOIN:
            self._hold(call.entry, call.who)
            if call.flags & Flag.SENT_TWICE:
                self._unheard += 1
        number, serving = call.number, call.serving
        if number and call.entry >= 0:
            self._number(number, call.entry)
        asked = self._bucket(self._as_of_ms(call))
        if serving < self._least_of[asked]:
            self._least_of[asked] = serving
        # who is told that they are called knows that the calls have come to their number
        reached = max(serving, number) if call.told in (Told.READY, Told.CLAIMED) else serving
        answered = self._bucket(call.returned_ms)
        if reached > self._told_by[answered]:
            self._told_by[answered] = reached

    def _as_of_ms(self, call: CallRecord) -> int:
        made_ms = call.called_ms
        if call.kind == Kind.LOOK and call.extra != UNTOLD:
            made_ms = min(made_ms, call.extra)
        return max(made_ms - self._rules.lag_at(call.called_ms), self._first_ms)

    def _take_pass(self, call: CallRecord) -> None:
        key = call.who, call.entry
        if key not in self._lapse and call.outcome == Outcome.FIRST:
            over_ms = max(call.extra - self._rules.clock_slack_ms, call.returned_ms)
            self._lapse[key] = over_ms
            self._passes[self._bucket(call.returned_ms) + 1] += 1

    def _hold(self, entry: int, who: int) -> None:
        while len(self._holder) <= entry:
            self._holder.append(_NOBODY)
        holder = self._holder[entry]
        if holder == _NOBODY:
            self._holder[entry] = who
        elif holder != who:
            self.shared.append((entry, holder, who))

    def _number(self, number: int, entry: int) -> None:
        while len(self._entry) <= number:
            self._entry.append(_NOBODY)
        holder = self._entry[number]
        if holder == _NOBODY:
            self._entry[number] = entry
        elif holder != entry:
            self.same_number.append((number, holder, entry))

    def _bucket(self, ms: int) -> int:
        return (ms - self._first_ms) // _BUCKET_MS


def of_openings(
    history: History, homes: bytes | bytearray, rules: Sequence[Rules], doubt_ms: int
) -> list[OpeningHistory]:
    """Return what the calls say of each opening.

    Args:
        homes: the opening of each resident.
        rules: of each opening.
        doubt_ms: how far the clocks of those who wrote the calls down may be from each other.
    """
    span_ms = history.span_ms()
    openings = [OpeningHistory(*span_ms, each, doubt_ms) for each in rules]
    takes = [opening.take for opening in openings]
    for call in history:
        takes[homes[call.who]](call)
    for opening in openings:
        opening.finish()
    return openings
