"""What a resident does next, and what they make of an answer: the page's manners and the crowd's bad habits.

Knows the contract and nothing of sockets: `request` turns an event into bytes to send, `answered` turns the
answer into statements (`Observations`) and further events (`Agenda`). Times are microseconds from the opening.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.measure import Meters
from loadtests.client.wire import Answer
from loadtests.crowd.arrivals import Curve
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.shares import EVERYONE, CrowdShare
from loadtests.resident.acts import CALL_OF, LOOK_US, SECOND_US, Act
from loadtests.resident.agenda import Agenda
from loadtests.resident.facts import Fact, RequestContext
from loadtests.resident.pace import Pace
from loadtests.resident.queueing import CLAIMS, JOINS, Queueing
from loadtests.resident.refusals import Refusals
from loadtests.resident.registering import Registering
from loadtests.resident.residents import Residents
from loadtests.resident.run_opening import RunOpening

_OF_WHAT_IS_HELD = frozenset(
    (
        Act.POLL, Act.WATCH, Act.LEAVE, *CLAIMS, Act.REGISTER, Act.REGISTER_AGAIN, Act.LOOK_UP, Act.SHOW_QR,
        Act.OPEN_AGAIN, Act.CHANGE, Act.CANCEL, Act.CALENDAR,
    )
)  # fmt: skip
"""Acts that are about the place, or the registration, that its resident holds when they are sent."""


class Journey(Residents):
    """All residents' next steps; its arguments are those of `Residents`, and the bytes of their requests."""

    def __init__(
        self,
        crowd: Crowd,
        openings: tuple[RunOpening, ...],
        curves: Sequence[Curve],
        pace: Pace,
        requests: Requests,
        agenda: Agenda,
        meters: Meters,
        share: CrowdShare = EVERYONE,
    ) -> None:
        super().__init__(crowd, openings, curves, pace, agenda, meters, share)
        self.registering = Registering(self, requests)
        self.queueing = Queueing(self, self.registering, requests)
        self._refusals = Refusals(self, self.registering)
        self._accepted = self.queueing.accepted | self.registering.accepted

    def everyone_arrives(self, now_us: int) -> None:
        """File the arrival of every resident of the share; nobody is due before now."""
        for i in self.share.of_all(self.crowd.residents):
            arrival = self.arrival(i)
            opens_us = max(self.opening(i).opens_us, 0)
            due_us = max(opens_us + int(arrival.at_seconds * SECOND_US), now_us + LOOK_US)
            self.registering.checks_before(i, arrival, now_us)
            self.arrives(i, due_us)
            if arrival.at_door:
                self.observations.came_ms[i] = opens_us // 1000

    def request(self, i: int, act: Act, now_us: int) -> bytes | None:
        """Return the bytes to send for an event; None where it has become pointless. Notes that it is being sent."""
        steps: Queueing | Registering = self.queueing if act in self.queueing.accepted else self.registering
        return steps.request(i, act, now_us)

    def asks(self, i: int, now_us: int) -> RequestContext:
        """Say what a request of resident `i` that is sent now will be about, whatever has become of it by its
        answer."""
        return RequestContext(self.observations.entry[i], now_us // 1000)

    def answered(self, i: int, act: Act, answer: Answer, now_us: int, asked: RequestContext | None = None) -> None:
        """Take in an answer.

        Args:
            asked: from `asks`, when the request was sent; None: nothing has changed since.
        """
        if act in JOINS:
            self.observations.join_heard(i)
        try:
            if answer.status < 400:
                self.meters.answers[(CALL_OF[act], answer.status, "")] += 1
                if asked is None or not self._is_overtaken(i, act, answer, asked):
                    self._accepted[act](i, act, answer, now_us)
                return
            problem = answers.decode_problem(answer.body)
        except (msgspec.DecodeError, ValueError) as failure:
            self.meters.error(f"{act.name}: {answer.status}: unreadable answer: {failure}", now_us)
            return
        self.meters.answers[(CALL_OF[act], answer.status, problem.code)] += 1
        if asked is not None and asked.entry != self.observations.entry[i] and act in _OF_WHAT_IS_HELD:
            self._refusals.refused_before(i, act, answer, problem, now_us)
        else:
            self._refusals.refused(i, act, answer, problem, now_us)

    def _is_overtaken(self, i: int, act: Act, answer: Answer, asked: RequestContext) -> bool:
        """Return whether a good answer is about an earlier place than the one held now; then it is booked on that one.

        It says nothing of the place that its resident has got since, which has events of its own.
        """
        observations = self.observations
        if asked.entry == observations.entry[i]:  # nearly always: no need to read the answer twice
            return False
        if act in JOINS or act is Act.POLL:
            place = answers.decode_place(answer.body)
            entry = asked.entry if place.entry is None else place.entry
            overtaken = (
                observations.spent_since(i, entry, asked.sent_ms) if act in JOINS else entry != observations.entry[i]
            )
            if overtaken and place.number is not None:
                observations.numbered_before(i, entry, place.number)
            return overtaken
        # A registration that is told of late is its holder's all the same, but not one that they have cancelled since.
        if act in (Act.REGISTER, Act.REGISTER_AGAIN):
            closed = observations.closed.get(i)
            return closed is not None and closed.no == int(answers.decode_registration(answer.body).registration_no)
        return act in _OF_WHAT_IS_HELD

    def unanswered(self, i: int, act: Act, reason: str, now_us: int) -> None:
        """The connection broke: whether the request was done is not known; the page tries again."""
        self.meters.answers[(CALL_OF[act], 0, reason)] += 1
        if reason == "timeout":
            self.meters.pushed_back(f"{act.name}: no answer: {reason}", now_us)
        else:
            self.meters.error(f"{act.name}: no answer: {reason}", now_us)
        self.meters.count("retries", now_us)
        self.observations.note(i, Fact.ASKED_TWICE)
        if act in JOINS:
            self.observations.join_unheard(i)
        self.later(i, act, now_us, (0.5, 3))
