"""What each resident was told, kept small: the witness statements for the audit.

Arrays by resident, so that millions of them take some 80 bytes each besides their ticket.
Times are milliseconds from the opening, `NEVER` where it has not happened.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from loadtests.history.record import History
from loadtests.resident.facts import (
    NEVER,
    OF_THE_PLACE,
    OF_THE_REGISTRATION,
    ClosedRegistration,
    Fact,
    ObservedPass,
    SpentPlace,
)
from loadtests.resident.statements import Statements
from loadtests.resident.told_turns import ToldTurns, TurnsSeen

_LATEST = (1 << 31) - 1
_EXAMPLES = 5
# What is looked at often: a flag takes ten times as long as a number.
_READY = int(Fact.READY)
_JOINING = int(Fact.JOIN_SENT | Fact.JOIN_OPEN)
_NO_JOIN_OPEN = int(~Fact.JOIN_OPEN)


class Observations:
    """Observations record what each of `residents` people was told.

    Attributes:
        came_ms: to the page: the opening for who was at the door, the first join for who came later.
        number: as a worker told them; `own_number`: as they worked it out of the public answer.
        polls: answered ones of the place they hold, up to the one that told them of the call; `looks`: of the public
            answer, until then.
        requests: sent, of any kind; a request that the connection lost unanswered and sent again counts once.
        bytes_up: HTTP as sent, heads included; what is below HTTP, TCP or TLS, is not.
        bytes_down: the same of the answers.
        history: every call that changes or reads how a resident stands.
    """

    def __init__(self, residents: int) -> None:
        self.residents = residents
        self.history = History()
        self.facts = array("I", bytes(4 * residents))
        self.came_ms = array("i", [NEVER]) * residents
        self.entry = array("i", [-1]) * residents
        self.number = array("i", [0]) * residents
        self.own_number = array("i", [0]) * residents
        self.joined_ms = array("i", [NEVER]) * residents
        self.ready_ms = array("i", [NEVER]) * residents
        self.claim_before_ms = array("i", [NEVER]) * residents
        self.claim_sent_ms = array("i", [NEVER]) * residents
        self.claimed_ms = array("i", [NEVER]) * residents
        self.expires_ms = array("i", [NEVER]) * residents
        self.register_sent_ms = array("i", [NEVER]) * residents
        self.registered_ms = array("i", [NEVER]) * residents
        self.registration_no = array("Q", bytes(8 * residents))
        self.promised_wait_ms = array("i", [NEVER]) * residents  # from joining to the call, as first promised
        self.told_turns = ToldTurns(residents)
        self.turns_seen = TurnsSeen()
        self.polls = array("I", bytes(4 * residents))
        self.looks = array("I", bytes(4 * residents))
        self.requests = array("I", bytes(4 * residents))
        self.bytes_up = array("I", bytes(4 * residents))
        self.bytes_down = array("I", bytes(4 * residents))
        self.ticket: list[bytes | None] = [None] * residents
        self.passes: dict[int, tuple[bytes, str]] = {}
        self.receipts: dict[int, bytes] = {}
        self.spent: list[SpentPlace] = []
        self.spent_passes: list[ObservedPass] = []
        self.closed: dict[int, ClosedRegistration] = {}  # by resident: nobody cancels twice
        self._joins: Counter[int] = Counter()  # on their way, by resident: from two devices, or by refreshing
        self.not_found: set[int] = set()  # whose receipt opened nothing, after the run
        self.codes_asked: Counter[int] = Counter()  # by resident
        self.contradictions: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def has(self, i: int, fact: Fact) -> bool:
        """Return whether any of these facts holds for resident `i`."""
        return self.facts[i] & int(fact) != 0

    def note(self, i: int, fact: Fact) -> None:
        self.facts[i] |= int(fact)

    def contradict(self, what: str, i: int, detail: str) -> None:
        """Record an answer that contradicts an earlier one or the contract; any of these fails the audit."""
        self.contradictions[what] += 1
        examples = self.examples.setdefault(what, [])
        if len(examples) < _EXAMPLES:
            who = f"resident {i}" if i < self.residents else f"bot {i - self.residents}"
            examples.append(f"{who}: {detail}")

    def place(self, i: int, entry: int, now_ms: int) -> None:
        """Resident `i` was told a place. A new one is right only where the earlier one is spent.

        A place is spent when it was given up, missed, or its pass lapsed unused.
        """
        before = self.entry[i]
        if before < 0:
            self.joined_ms[i] = now_ms
        elif before != entry:
            how = self._spent_by(i, now_ms)
            if entry < before:
                self.contradict("place not at the back", i, f"entry {before} was {how}, then {entry}")
            self.spent.append(SpentPlace(i, before, self.number[i], how, now_ms, self.facts[i]))
            if self.has(i, Fact.CLAIMED):
                self.spent_passes.append(self._pass(i))
                self.passes.pop(i, None)
            if self.has(i, Fact.CANCELLED):
                self._close(i, before)
            self.facts[i] &= ~OF_THE_PLACE
            self.number[i] = self.own_number[i] = 0
            self.polls[i] = self.looks[i] = 0
            for times in (
                self.ready_ms, self.claim_before_ms, self.claim_sent_ms, self.claimed_ms, self.expires_ms,
                self.promised_wait_ms,
            ):  # fmt: skip
                times[i] = NEVER
            self.told_turns.forget(i)
            self.joined_ms[i] = now_ms
        self.entry[i] = entry
        self.note(i, Fact.JOINED)

    def join_sent(self, i: int) -> None:
        """Resident `i` asks for a place."""
        self.facts[i] |= _JOINING
        self._joins[i] += 1

    def join_heard(self, i: int) -> None:
        """One of their joins was answered: once none is on its way, what they were told is what holds."""
        self.join_unheard(i)
        if i not in self._joins:
            self.facts[i] &= _NO_JOIN_OPEN

    def join_unheard(self, i: int) -> None:
        """One of their joins will not be answered any more."""
        self._joins[i] -= 1
        if self._joins[i] <= 0:
            del self._joins[i]

    def numbered(self, i: int, number: int) -> None:
        """Resident `i` was told the number of the place; once told it never changes."""
        if self.number[i] and self.number[i] != number:
            self.contradict("number changed", i, f"{self.number[i]}, then {number}")
        self.number[i] = number
        self._compare_numbers(i)

    def worked_out(self, i: int, number: int) -> None:
        """Resident `i` has worked out the number of the place; a worker must say the same."""
        if self.own_number[i] != number:
            self.own_number[i] = number
            self._compare_numbers(i)

    def _compare_numbers(self, i: int) -> None:
        own, told = self.own_number[i], self.number[i]
        if own and told and own != told:
            self.contradict("number not the draw's", i, f"worked out {own}, told {told}")

    def spent_since(self, i: int, entry: int, ms: int) -> bool:
        """Return whether resident `i` held this place at `ms`, and has got another one since."""
        return self.entry[i] != entry and any(
            spent.resident == i and spent.entry == entry and spent.at_ms >= ms for spent in reversed(self.spent)
        )

    def numbered_before(self, i: int, entry: int, number: int) -> None:
        """Resident `i` was told, late, the number of a place that is theirs no more: it must be the one they knew."""
        for at in range(len(self.spent) - 1, -1, -1):
            spent = self.spent[at]
            if (spent.resident, spent.entry) == (i, entry):
                if spent.number and spent.number != number:
                    self.contradict("number changed", i, f"{spent.number}, then {number}, of the earlier entry {entry}")
                self.spent[at] = replace(spent, number=number)
                return

    def promised(self, i: int, eta_seconds: float, now_ms: int) -> None:
        """Resident `i` was told when to expect the call; the first promise for a place is the one that is kept or not.

        Being called already is no promise.
        """
        if self.promised_wait_ms[i] == NEVER and not self.has(i, Fact.READY):
            self.promised_wait_ms[i] = min(now_ms - self.joined_ms[i] + int(eta_seconds * 1000), _LATEST)

    def told_turn(self, i: int, home: int, from_ms: float, to_ms: float, now_ms: int) -> None:
        """Resident `i` of an opening was told between which times their turn comes, in ms from the run's opening."""
        if not self.has(i, Fact.READY):
            self.told_turns.told(i, len(self.turns_seen.changes.get(home, ())), from_ms, to_ms, now_ms)

    def exchanged(self, i: int, bytes_up: int, bytes_down: int) -> None:
        """Resident `i` sent a request and got an answer, or none (0 bytes)."""
        self.requests[i] += 1
        self.bytes_up[i] += bytes_up
        self.bytes_down[i] += bytes_down

    def polled(self, i: int) -> None:
        """Resident `i` was told how the place stands."""
        if not self.facts[i] & _READY:
            self.polls[i] += 1

    def looked(self, i: int) -> None:
        """Resident `i` has seen how far the calls have come."""
        if not self.facts[i] & _READY:
            self.looks[i] += 1

    def wish_turns(self, i: int) -> tuple[int, ...]:
        """Say which of their wishes (`Crowd.wishes`) the store may hold for resident `i`: two while a change is
        unheard."""
        first = 2 if i in self.closed else 0
        if self.has(i, Fact.CHANGED):
            return (first + 1,)
        return (first, first + 1) if self.has(i, Fact.CHANGE_SENT) else (first,)

    def registered_ever(self, i: int) -> bool:
        """Return whether resident `i` was ever told of a registration."""
        return self.has(i, Fact.REGISTERED) or i in self.closed

    def last_passes(self, residents: Iterable[int]) -> list[ObservedPass]:
        """Return the pass that each of these was told of last; those before it are `spent_passes`."""
        return [self._pass(i) for i in residents if self.claimed_ms[i] != NEVER]

    def encoded(self, part: int = 0, parts: int = 1) -> bytes:
        """Return the statements of the residents i ≡ part (mod parts), and all of bots, for another process to
        `take_in`.

        Tickets, passes and receipts stay: they are for asking, and no audit asks.
        """
        arrays = {name: values[part::parts].tobytes() for name, values in self._arrays().items()}
        sent = Statements(
            self.residents, part, parts, arrays, self.spent, self.spent_passes, self.closed, self.not_found,
            self.codes_asked, self.contradictions, self.examples, self.history.encoded(), self.turns_seen,
        )  # fmt: skip
        return msgspec.msgpack.encode(sent)

    def take_in(self, encoded: bytes) -> None:
        """Add the statements of some residents, of whom nothing was known here, from another process.

        Raises:
            ValueError: they are of another crowd.
            msgspec.DecodeError: it is nothing that was `encoded`.
        """
        sent = msgspec.msgpack.decode(encoded, type=Statements)
        own = self._arrays()
        if sent.residents != self.residents or sent.arrays.keys() != own.keys():
            raise ValueError(f"statements of {sent.residents} residents, expected {self.residents}")
        for name, values in own.items():
            values[sent.part :: sent.parts] = array(values.typecode, sent.arrays[name])
        self.history.take_in(sent.history)
        self.turns_seen.take_in(sent.turns_seen)
        self.spent += sent.spent
        self.spent_passes += sent.spent_passes
        self.closed |= sent.closed
        self.not_found |= sent.not_found
        self.codes_asked.update(sent.codes_asked)
        self.contradictions.update(sent.contradictions)
        for what, told in sent.examples.items():
            self.examples[what] = (self.examples.get(what, []) + told)[:_EXAMPLES]

    def _arrays(self) -> dict[str, array[Any]]:
        own = {name: values for name, values in vars(self).items() if isinstance(values, array)}
        return own | self.told_turns.arrays()

    def _pass(self, i: int) -> ObservedPass:
        return ObservedPass(i, self.entry[i], self.claimed_ms[i], self.expires_ms[i], self.register_sent_ms[i])

    def _close(self, i: int, entry: int) -> None:
        """Resident `i`, who cancelled the registration of `entry`, begins anew."""
        self.closed[i] = ClosedRegistration(i, entry, self.registration_no[i])
        self.facts[i] &= ~OF_THE_REGISTRATION
        self.registration_no[i] = 0
        self.register_sent_ms[i] = self.registered_ms[i] = NEVER
        self.receipts.pop(i, None)

    def _spent_by(self, i: int, now_ms: int) -> str:
        if self.has(i, Fact.LEFT | Fact.LEAVE_SENT):
            return "left"
        if self.has(i, Fact.CANCELLED):
            return "cancelled"
        if self.has(i, Fact.REGISTERED) and not self.has(i, Fact.CANCEL_SENT):
            self.contradict("place changed", i, f"entry {self.entry[i]}, of an open registration")
        if self.has(i, Fact.CLAIMED):
            if now_ms < self.expires_ms[i] - 1500:  # its holder's clock may be a second off the city's
                self.contradict("place changed", i, f"entry {self.entry[i]} while its pass lived")
            return "lapsed"
        return "missed" if self.has(i, Fact.MISSED) else "unaware"
