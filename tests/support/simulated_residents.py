"""Residents with several devices before a server that does everything at one moment: what each call was told.

Made from the contract's words and a clock, and from nothing of `loadtests.history.model`: it has an order of its own
for every history it makes, so that an honest one can be explained.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from loadtests.history.record import OPEN, UNTOLD, CallRecord, Flag, Kind, Outcome, Told, place_value

DRAW_MS, CALL_EVERY_MS, CLAIM_MS, PASS_MS = 3000, 40, 6000, 5000
CLOSES_MS = 60_000
LAG_MS = 1500
_RETURN_MS = (1, 900)
_SHARE_LOST = 0.06


@dataclass
class _Place:
    entry: int
    left_ms: int | None = None
    pass_: int = 0
    expires_ms: int = 0
    is_used: bool = False

    @property
    def number(self) -> int:
        return self.entry + 1

    @property
    def called_ms(self) -> int:
        return DRAW_MS + self.number * CALL_EVERY_MS

    def is_over(self, now_ms: int) -> bool:
        """Whether its holder may have another one."""
        if self.left_ms is not None:
            return True
        if self.is_used:
            return False
        return now_ms >= (self.expires_ms if self.pass_ else self.called_ms + CLAIM_MS)

    def standing(self, now_ms: int) -> Told:
        if self.left_ms is not None:
            return Told.LEFT
        if self.is_used or (self.pass_ and now_ms < self.expires_ms):
            return Told.CLAIMED
        if now_ms < DRAW_MS:
            return Told.DRAWING
        if now_ms < self.called_ms:
            return Told.WAITING
        return Told.MISSED if self.is_over(now_ms) else Told.READY


@dataclass
class _Registration:
    no: int
    wishes: int
    is_cancelled: bool = False

    def told(self) -> Told:
        return Told.CANCELLED if self.is_cancelled else Told.PROPOSED


@dataclass
class _Sent:
    """A call on its way: what it is about as its sender knew it."""

    kind: Kind
    called_ms: int
    returned_ms: int
    entry: int = UNTOLD
    no: int = 0
    wishes: int = 0
    twice: bool = False


@dataclass
class Resident:
    """One resident: what the server has of them, what they know, and what each of their calls was told."""

    who: int
    chance: random.Random
    new_entry: Callable[[], int]
    tick: int = 0
    places: list[_Place] = field(default_factory=list)
    registrations: list[_Registration] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    known_entries: list[int] = field(default_factory=list)
    known_passes: list[int] = field(default_factory=list)
    known_nos: list[int] = field(default_factory=list)
    knows_number: int = 0

    # the server

    def does(self, sent: _Sent, now_ms: int) -> CallRecord:
        """What the server does at this moment, and says."""
        match sent.kind:
            case Kind.JOIN:
                return self._join(sent, now_ms)
            case Kind.POLL | Kind.LOOK:
                return self._tells(sent, now_ms)
            case Kind.LEAVE | Kind.CLAIM:
                return self._of_a_place(sent, now_ms)
        return self._of_a_registration(sent, now_ms)

    def _join(self, sent: _Sent, now_ms: int) -> CallRecord:
        place = self.places[-1] if self.places else None
        is_registered = bool(self.registrations) and not self.registrations[-1].is_cancelled
        if is_registered:
            return self._says(sent, Outcome.ALREADY_REGISTERED)
        outcome = Outcome.DONE
        if place is None or place.is_over(now_ms) or place.is_used:
            place = _Place(self.new_entry())
            self.places.append(place)
            outcome = Outcome.FIRST
        told = place.standing(now_ms)
        if told == Told.CLAIMED:
            told = Told.READY
        number = 0 if told == Told.DRAWING else place.number
        return self._says(sent, outcome, told, place.entry, place_value(number, _serving(now_ms)))

    def _tells(self, sent: _Sent, now_ms: int) -> CallRecord:
        place = self._place(sent.entry)
        seen_ms = max(now_ms - self.chance.randint(0, LAG_MS), 0)  # by a memory
        serving = _serving(seen_ms)
        if sent.kind == Kind.LOOK:
            number = self.knows_number if place is self.places[-1] else 0
            return self._says(sent, Outcome.DONE, Told.NOTHING, sent.entry, place_value(number, serving), seen_ms)
        if place.number <= serving and seen_ms >= DRAW_MS:  # the store is asked
            told = place.standing(now_ms)
        else:
            told = Told.DRAWING if seen_ms < DRAW_MS else Told.WAITING
            if place.left_ms is not None and place.left_ms <= seen_ms:
                told = Told.LEFT
        until_ms = place.called_ms + CLAIM_MS if told == Told.READY else UNTOLD
        number = 0 if told == Told.DRAWING else place.number
        return self._says(sent, Outcome.DONE, told, sent.entry, place_value(number, serving), until_ms)

    def _of_a_place(self, sent: _Sent, now_ms: int) -> CallRecord:
        place = self._place(sent.entry)
        standing = place.standing(now_ms)
        if sent.kind == Kind.LEAVE:
            if standing == Told.CLAIMED or (place.pass_ and standing == Told.MISSED):
                return self._says(sent, Outcome.USED, entry=sent.entry)
            if standing not in (Told.MISSED, Told.LEFT) and place is self.places[-1]:
                place.left_ms = now_ms
            return self._says(sent, Outcome.DONE, entry=sent.entry)
        if place.is_used:
            return self._says(sent, Outcome.USED, entry=sent.entry)
        if standing in (Told.DRAWING, Told.WAITING):
            return self._says(sent, Outcome.NOT_YOUR_TURN, entry=sent.entry)
        if standing in (Told.MISSED, Told.LEFT):
            return self._says(sent, Outcome.EXPIRED, entry=sent.entry)
        outcome = Outcome.DONE
        if not place.pass_:
            place.pass_, place.expires_ms = self.chance.getrandbits(31) | 1, now_ms + PASS_MS
            outcome = Outcome.FIRST
        return self._says(sent, outcome, entry=sent.entry, extra=place.expires_ms, shown=place.pass_)

    def _of_a_registration(self, sent: _Sent, now_ms: int) -> CallRecord:
        if sent.kind == Kind.REGISTER:
            return self._register(sent, now_ms)
        found = next(one for one in self.registrations if one.no == sent.no)
        if sent.kind == Kind.AMEND:
            if found.is_cancelled:
                return self._says(sent, Outcome.REFUSED)
            found.wishes = sent.wishes
        elif sent.kind == Kind.CANCEL:
            found.is_cancelled = True
        return self._says(sent, Outcome.DONE, found.told(), sent.entry, found.no, shown=found.wishes)

    def _register(self, sent: _Sent, now_ms: int) -> CallRecord:
        place, no = self._place(sent.entry), 10**14 + sent.entry
        found = next((one for one in self.registrations if one.no == no), None)
        if found is not None:
            if found.is_cancelled:
                return self._says(sent, Outcome.USED, entry=sent.entry)
            return self._says(sent, Outcome.DONE, found.told(), sent.entry, no, shown=found.wishes)
        if now_ms >= place.expires_ms:
            return self._says(sent, Outcome.EXPIRED, entry=sent.entry)
        place.is_used = True
        self.registrations.append(_Registration(no, sent.wishes))
        return self._says(sent, Outcome.FIRST, Told.PROPOSED, sent.entry, no, shown=sent.wishes)

    def _place(self, entry: int) -> _Place:
        return next(place for place in self.places if place.entry == entry)

    def _says(
        self, sent: _Sent, outcome: Outcome, told: Told = Told.NOTHING, entry: int = UNTOLD, value: int = 0,
        extra: int = UNTOLD, shown: int = 0,
    ) -> CallRecord:  # fmt: skip
        return CallRecord(
            self.who, sent.called_ms, sent.returned_ms, sent.kind, outcome, told, Flag.SENT_TWICE if sent.twice else 0,
            entry, value, extra, sent.wishes, shown,
        )  # fmt: skip

    # the devices

    def next_call(self, now_ms: int) -> _Sent:
        """Something that a device can ask for by what the resident knows."""
        kinds = [Kind.JOIN]
        if self.known_entries:
            kinds += [Kind.POLL] * 5 + [Kind.LOOK] * 3 + [Kind.CLAIM] * 3 + [Kind.LEAVE]
        if self.known_passes:
            kinds += [Kind.REGISTER] * 6
        if self.known_nos:
            kinds += [Kind.READ] * 5 + [Kind.AMEND] * 4 + [Kind.CANCEL] * 2
        kind = self.chance.choice(kinds)
        sent = _Sent(kind, now_ms, now_ms + self.chance.randint(*_RETURN_MS))
        if kind in (Kind.POLL, Kind.LOOK, Kind.CLAIM, Kind.LEAVE):
            old = self.chance.random() < 0.1
            sent.entry = self.chance.choice(self.known_entries) if old else self.known_entries[-1]
        elif kind == Kind.REGISTER:
            sent.entry = self.known_passes[-1]
        elif kind in (Kind.READ, Kind.AMEND, Kind.CANCEL):
            sent.no = self.known_nos[-1]
        if kind in (Kind.REGISTER, Kind.AMEND):
            self.tick += 1
            sent.wishes = self.tick
        return sent

    def hears(self, call: CallRecord) -> None:
        """A device is told; from now on all of them know."""
        self.calls.append(call)
        if call.outcome > Outcome.DONE:
            return
        if call.kind == Kind.JOIN and call.entry not in self.known_entries:
            self.known_entries.append(call.entry)
            self.knows_number = 0
        elif call.kind == Kind.CLAIM and call.entry not in self.known_passes:
            self.known_passes.append(call.entry)
        elif call.kind == Kind.REGISTER and call.value not in self.known_nos:
            self.known_nos.append(call.value)
        if call.kind == Kind.POLL and call.number and call.entry == self.known_entries[-1]:
            self.knows_number = call.number


def simulate(seed: int, residents: int = 20) -> list[list[CallRecord]]:
    """The calls of each resident, in the order in which they were sent."""
    chance, entries = random.Random(seed), iter(range(10**6))
    people = [Resident(who, chance, lambda: next(entries)) for who in range(residents)]
    order = 0
    events: list[tuple[int, int, Callable[[int], None]]] = []

    def at(ms: int, what: Callable[[int], None]) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (ms, order, what))

    def device(one: Resident, calls_left: int) -> Callable[[int], None]:
        def ask(now_ms: int) -> None:
            sent = one.next_call(now_ms)
            lost, moment_ms = chance.random() < _SHARE_LOST, chance.randint(now_ms, sent.returned_ms)
            if chance.random() < 0.04:  # the first sending is done as well, and its answer lost
                sent.twice = True
                at(chance.randint(now_ms, moment_ms), lambda ms: void(one.does(sent, ms)))
            if not lost:
                at(moment_ms, lambda ms: answered(one.does(sent, ms)))
            else:
                one.calls.append(one._says(sent, Outcome.UNKNOWN)._replace(returned_ms=OPEN, entry=sent.entry))
                if chance.random() < 0.5:
                    at(moment_ms + chance.randint(0, 3000), lambda ms: void(one.does(sent, ms)))
                again(sent.returned_ms + 500)

        def answered(call: CallRecord) -> None:
            at(call.returned_ms, lambda ms: one.hears(call))
            again(call.returned_ms)

        def again(ms: int) -> None:
            if calls_left > 1:
                at(ms + chance.choice((1, 5, 50, 500, 2500)), device(one, calls_left - 1))

        return ask

    def void(call: CallRecord) -> None:
        pass

    for one in people:
        for _ in range(chance.choice((1, 1, 2, 3))):
            at(chance.randint(0, 6000), device(one, chance.randint(3, 16)))
    while events:
        ms, _, what = heapq.heappop(events)
        what(ms)
    return [sorted(one.calls, key=lambda call: call.called_ms) for one in people]


def _serving(ms: int) -> int:
    return max(0, (ms - DRAW_MS) // CALL_EVERY_MS)


def honest(seeds: range, residents: int = 20) -> Iterator[list[CallRecord]]:
    """Honest histories, one resident after the other."""
    for seed in seeds:
        yield from simulate(seed, residents)
