"""Every call that changes or reads how a resident stands, written down with what it was told (`loadtests/history`)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from loadtests.client import answers
from loadtests.client.wire import Answer
from loadtests.history.record import OPEN, UNTOLD, Kind, Outcome, place_value
from loadtests.resident.acts import Act
from loadtests.resident.bots import BotRequest, Fleet
from loadtests.resident.journey import Journey
from loadtests.resident.telling import pass_shown, refusal, state_told, wishes_sent, wishes_shown

_KIND_OF = {
    Act.JOIN: Kind.JOIN, Act.REFRESH: Kind.JOIN, Act.OTHER_DEVICE: Kind.JOIN, Act.POLL: Kind.POLL, Act.WATCH: Kind.LOOK,
    Act.LEAVE: Kind.LEAVE, Act.JUMP: Kind.CLAIM, Act.CLAIM: Kind.CLAIM, Act.CLAIM_AGAIN: Kind.CLAIM,
    Act.REGISTER: Kind.REGISTER, Act.REGISTER_AGAIN: Kind.REGISTER, Act.LOOK_UP: Kind.READ, Act.OPEN_AGAIN: Kind.READ,
    Act.CHANGE: Kind.AMEND, Act.CANCEL: Kind.CANCEL,
}  # fmt: skip
_KINDS = [_KIND_OF.get(act) for act in Act]
_BOTS_WITH_A_TICKET = ("fast-poller", "replayer")


class Recording:
    """A recording writes down what the residents of one generator, and bots in their name, were told.

    Args:
        journey: theirs; the history is that of its observations.
        fleet: the bots.
    """

    def __init__(self, journey: Journey, fleet: Fleet) -> None:
        self._journey, self._fleet = journey, fleet
        self._observations, self._watching = journey.observations, journey.queueing.watching
        self._add = journey.observations.history.add
        self._made: list[tuple[answers.Opening | None, int]] = [(None, UNTOLD)] * len(journey.openings)
        readers = {
            Kind.JOIN: self._place, Kind.POLL: self._place, Kind.LOOK: self._look, Kind.LEAVE: self._left,
            Kind.CLAIM: self._pass,
        }  # fmt: skip
        self._readers: list[Callable[[int, int, int, int, int, int, bytes, Answer], None]] = [
            readers.get(kind, self._registration) for kind in Kind
        ]

    def answered(
        self, i: int, act: Act, entry: int, sent_us: int, now_us: int, request: bytes, answer: Answer, flags: int = 0
    ) -> None:
        """Write down a call of resident `i`, once they have taken its answer in.

        Args:
            entry: of the place that they held when it was sent.
            flags: of `Flag`.
        """
        kind = _KINDS[act]
        if kind is None:
            return
        if answer.status >= 400:
            self._refused(i, kind, entry, sent_us // 1000, now_us // 1000, request, answer, flags)
            return
        try:
            self._readers[kind](i, kind, entry, sent_us // 1000, now_us // 1000, flags, request, answer)
        except (msgspec.DecodeError, ValueError):  # an error that the journey counts
            self.unanswered(i, act, entry, sent_us, request, flags)

    def unanswered(self, i: int, act: Act, entry: int, sent_us: int, request: bytes, flags: int = 0) -> None:
        """Write down a call of resident `i` that nobody was told the end of."""
        kind = _KINDS[act]
        if kind is not None:
            wishes = wishes_sent(kind, request)
            self._add(i, sent_us // 1000, OPEN, kind, Outcome.UNKNOWN, 0, flags, entry, 0, UNTOLD, wishes)

    def of_a_bot(self, actor: int) -> BotRequest | None:
        """Return what a bot has sent in a resident's name, and with what is theirs; None where it is neither."""
        return self._fleet.sent(actor) if self._fleet.kind(actor) in _BOTS_WITH_A_TICKET else None

    def _refused(
        self, i: int, kind: Kind, entry: int, called_ms: int, now_ms: int, request: bytes, answer: Answer, flags: int
    ) -> None:
        outcome = refusal(answer)
        ended_ms = OPEN if outcome == Outcome.UNKNOWN else now_ms
        self._add(i, called_ms, ended_ms, kind, outcome, 0, flags, entry, 0, UNTOLD, wishes_sent(kind, request))

    # what answers say

    def _place(
        self, i: int, kind: int, entry: int, called_ms: int, now_ms: int, flags: int, request: bytes, answer: Answer
    ) -> None:
        told = answers.decode_place(answer.body)
        until_ms = UNTOLD
        if told.claim_before is not None:
            until_ms = self._journey.opening(i).run_us(told.claim_before) // 1000
        if kind == Kind.JOIN:
            entry = UNTOLD if told.entry is None else told.entry
        self._add(
            i, called_ms, now_ms, kind, answer.status != 201, state_told(told.state), flags, entry,
            place_value(told.number, told.serving), until_ms,
        )  # fmt: skip

    def _look(
        self, i: int, kind: int, entry: int, called_ms: int, now_ms: int, flags: int, request: bytes, answer: Answer
    ) -> None:
        told = self._watching.latest(i)
        if told is None:
            return
        home = self._journey.home(i)
        known, made_ms = self._made[home]
        if known is not told:
            made_ms = self._journey.opening(i).run_us(told.now) // 1000
            self._made[home] = told, made_ms
        number = self._observations.own_number[i] if self._observations.entry[i] == entry else 0
        self._add(i, called_ms, now_ms, kind, Outcome.DONE, 0, flags, entry, place_value(number, told.serving), made_ms)

    def _left(
        self, i: int, kind: int, entry: int, called_ms: int, now_ms: int, flags: int, request: bytes, answer: Answer
    ) -> None:
        self._add(i, called_ms, now_ms, kind, Outcome.DONE, 0, flags, entry)

    def _pass(
        self, i: int, kind: int, entry: int, called_ms: int, now_ms: int, flags: int, request: bytes, answer: Answer
    ) -> None:
        given = answers.decode_pass(answer.body)
        until_ms = self._journey.opening(i).run_us(given.expires_at) // 1000
        self._add(i, called_ms, now_ms, kind, answer.status != 201, 0, flags, entry, 0, until_ms, 0, pass_shown(given))

    def _registration(
        self, i: int, kind: int, entry: int, called_ms: int, now_ms: int, flags: int, request: bytes, answer: Answer
    ) -> None:
        found = answers.decode_registration(answer.body)
        self._add(
            i, called_ms, now_ms, kind, answer.status != 201, state_told(found.state), flags, entry,
            int(found.registration_no), UNTOLD, wishes_sent(kind, request), wishes_shown(found),
        )  # fmt: skip
