"""What a resident does next, and what they make of an answer: the page's manners and the crowd's bad habits.

Knows the contract and nothing of sockets: `request` turns an event into bytes to send, `answered` turns the
answer into statements (`Told`) and further events (`Agenda`). Times are microseconds from the opening.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.measure import Meters
from loadtests.client.wire import Answer
from loadtests.crowd.arrivals import Arrival, Curve
from loadtests.crowd.crowd import EVERYONE, INELIGIBLE, Behaviour, Crowd, Share
from loadtests.crowd.network import Networks
from loadtests.resident import refusals
from loadtests.resident.acts import (
    CALL_OF,
    LOOK_US,
    SECOND_US,
    Act,
    Ground,
    Pace,
)
from loadtests.resident.afterwards import Afterwards
from loadtests.resident.agenda import Agenda
from loadtests.resident.observations import Asked, Fact, Told

_JOINS = (Act.JOIN, Act.REFRESH, Act.OTHER_DEVICE)
_CLAIMS = (Act.JUMP, Act.CLAIM, Act.CLAIM_AGAIN)
_OF_WHAT_IS_HELD = frozenset(
    (
        Act.POLL, Act.LEAVE, *_CLAIMS, Act.REGISTER, Act.REGISTER_AGAIN, Act.LOOK_UP, Act.SHOW_QR, Act.OPEN_AGAIN,
        Act.CHANGE, Act.CANCEL, Act.CALENDAR,
    )
)  # fmt: skip
"""Acts that are about the place, or the registration, that its resident holds when they are sent."""
_POLL_POINTLESS = Fact.CLAIMED | Fact.LEAVE_SENT | Fact.MISSED | Fact.ENDED


class Journey:
    """All residents' next steps.

    Args:
        grounds: the openings, in the order of `crowd.districts`.
        curves: when the residents of each come, from its opening.
        share: whose steps: the others are played by other generators.
    """

    def __init__(
        self,
        crowd: Crowd,
        grounds: tuple[Ground, ...],
        curves: Sequence[Curve],
        pace: Pace,
        requests: Requests,
        agenda: Agenda,
        meters: Meters,
        share: Share = EVERYONE,
    ) -> None:
        self.crowd, self.grounds, self.curves, self.pace, self.share = crowd, grounds, curves, pace, share
        self.agenda, self.meters, self.told = agenda, meters, Told(crowd.residents)
        self.random = random.Random(crowd.seed + share.index)
        self.whims, self.networks = crowd.traits.whims, Networks(crowd)
        self._refreshed: Counter[int] = Counter()  # by resident
        self._requests = requests
        self.afterwards = Afterwards(self, requests)
        self._accepted = {
            Act.LOOK: self._looked,
            Act.LOOK_CLOSER: self._looked,
            **dict.fromkeys(_JOINS, self._joined),
            Act.POLL: self._polled,
            Act.LEAVE: self._left,
            **dict.fromkeys(_CLAIMS, self._claimed),
            **self.afterwards.accepted,
        }

    def everyone_arrives(self, now_us: int) -> None:
        """File the arrival of every resident of the share; nobody is due before now."""
        for i in self.share.of_all(self.crowd.residents):
            arrival = self.arrival(i)
            opens_us = max(self.ground(i).opens_us, 0)
            due_us = max(opens_us + int(arrival.at_seconds * SECOND_US), now_us + LOOK_US)
            self.afterwards.checks_before(i, arrival, now_us)
            self.arrives(i, due_us)
            if arrival.at_door:
                self.told.came_ms[i] = opens_us // 1000

    def arrives(self, i: int, due_us: int) -> None:
        """File the arrival of one resident."""
        self.told.came_ms[i] = due_us // 1000
        if (self.crowd.stir(i, 4) & 0xFFFF) / 0x10000 < self.whims.looks:
            self.file(due_us - LOOK_US, i, Act.LOOK)
        self.file(due_us, i, Act.JOIN)

    def arrival(self, i: int) -> Arrival:
        """When resident `i` comes; of a family one after the other, as they share a phone, but in the run's time."""
        head, curve = self.crowd.head(i), self.curves[self.crowd.home(i)]
        arrival = curve.arrival(self.crowd.stir(head, 3))
        if head == i:
            return arrival
        after_seconds = (i - head) * self.crowd.traits.families.seconds_apart * self.pace.haste
        latest_seconds = max(arrival.at_seconds, curve.seconds - 1)
        return replace(arrival, at_seconds=min(arrival.at_seconds + after_seconds, latest_seconds))

    def ground(self, i: int) -> Ground:
        """The opening of resident `i`."""
        return self.grounds[self.crowd.home(i)]

    def file(self, due_us: int, i: int, act: Act) -> None:
        """File what resident `i` does at `due_us`: for when its request reaches the server."""
        self.agenda.file(due_us + self.networks.delay_us(i, act, due_us), i, act)

    def later(self, i: int, act: Act, now_us: int, seconds: tuple[float, float]) -> None:
        """File an event some seconds from now."""
        self.file(now_us + int(self.random.uniform(*seconds) * SECOND_US), i, act)

    def request(self, i: int, act: Act, now_us: int) -> bytes | None:
        """Bytes to send for an event; None where it has become pointless. Notes that it is being sent."""
        told, ticket = self.told, self.told.ticket[i]
        if act is Act.POLL:
            return None if ticket is None or told.has(i, _POLL_POINTLESS) else self._requests.poll(ticket)
        if act in _JOINS:
            return self._join_request(i, act, now_us)
        if act in _CLAIMS:
            return None if ticket is None else self._claim_request(i, act, ticket, now_us)
        if act is Act.LEAVE:
            if ticket is None or told.has(i, Fact.CLAIM_SENT | Fact.MISSED | Fact.LEFT):
                return None
            told.note(i, Fact.LEAVE_SENT)
            return self._requests.leave(ticket)
        if act is Act.LOOK:
            return self._requests.get("/city")
        if act is Act.LOOK_CLOSER:
            return self._requests.get(f"/openings/{self.ground(i).district}")
        return self.afterwards.request(i, act, now_us)

    def asks(self, i: int, now_us: int) -> Asked:
        """What a request of resident `i` that is sent now will be about, whatever has become of it by its answer."""
        return Asked(self.told.entry[i], now_us // 1000)

    def answered(self, i: int, act: Act, answer: Answer, now_us: int, asked: Asked | None = None) -> None:
        """Take in an answer.

        Args:
            asked: from `asks`, when the request was sent; None: nothing has changed since.
        """
        if act in _JOINS:
            self.told.join_heard(i)
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
        if asked is not None and asked.entry != self.told.entry[i] and act in _OF_WHAT_IS_HELD:
            refusals.refused_before(self, i, act, answer, problem, now_us)
        else:
            refusals.refused(self, i, act, answer, problem, now_us)

    def _is_overtaken(self, i: int, act: Act, answer: Answer, asked: Asked) -> bool:
        """Whether a good answer is about an earlier place than the one held now; then it is booked on that one.

        It says nothing of the place that its resident has got since, which has events of its own.
        """
        told = self.told
        if asked.entry == told.entry[i]:  # nearly always: no need to read the answer twice
            return False
        if act in _JOINS or act is Act.POLL:
            place = answers.decode_place(answer.body)
            entry = asked.entry if place.entry is None else place.entry
            overtaken = told.spent_since(i, entry, asked.sent_ms) if act in _JOINS else entry != told.entry[i]
            if overtaken and place.number is not None:
                told.numbered_before(i, entry, place.number)
            return overtaken
        # A registration that is told of late is its holder's all the same, but not one that they have cancelled since.
        if act in (Act.REGISTER, Act.REGISTER_AGAIN):
            closed = told.closed.get(i)
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
        self.told.note(i, Fact.ASKED_TWICE)
        if act in _JOINS:
            self.told.join_unheard(i)
        self.later(i, act, now_us, (0.5, 3))

    # requests

    def _join_request(self, i: int, act: Act, now_us: int) -> bytes | None:
        told = self.told
        if act is not Act.JOIN and told.has(i, Fact.LEAVE_SENT | Fact.CLAIM_SENT | Fact.REFUSED):
            return None
        if act is Act.JOIN and not told.has(i, Fact.JOIN_SENT):
            self.meters.count("arrivals", now_us)
            if self.crowd.behaviour(i) is Behaviour.SECOND_DEVICE:
                self.file(now_us, i, Act.OTHER_DEVICE)
        told.join_sent(i)
        attempt = 1 if told.has(i, Fact.CORRECTED) else 0
        return self._requests.join(self.ground(i).district, self.crowd.join_body(i, attempt))

    def _claim_request(self, i: int, act: Act, ticket: bytes, now_us: int) -> bytes | None:
        told = self.told
        pointless = Fact.LEAVE_SENT | Fact.MISSED | Fact.REGISTER_SENT
        if act is not Act.CLAIM_AGAIN:
            pointless |= Fact.CLAIMED | (Fact.READY if act is Act.JUMP else Fact(0))
        if told.has(i, pointless):
            return None
        if not told.has(i, Fact.CLAIM_SENT):
            told.claim_sent_ms[i] = now_us // 1000
        told.note(i, Fact.CLAIM_SENT)
        return self._requests.claim(ticket)

    # accepted

    def _looked(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        if act is Act.LOOK:
            self.file(now_us, i, Act.LOOK_CLOSER)

    def _joined(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        told, behaviour = self.told, self.crowd.behaviour(i)
        place = answers.decode_place(answer.body)
        if place.ticket is None or place.entry is None:
            raise ValueError("no ticket or no entry")
        if behaviour in INELIGIBLE or (behaviour is Behaviour.MISTYPES_NAME and not told.has(i, Fact.CORRECTED)):
            told.contradict("wrongly let in", i, behaviour.name)
        known, first = place.entry == told.entry[i], told.entry[i] < 0
        if known and act is Act.JOIN and told.has(i, Fact.MISSED | Fact.LEFT):
            told.contradict("no new place", i, f"entry {place.entry} was missed or left")
        if known and act is Act.JOIN and told.has(i, Fact.CANCELLED):
            self._pass_still_lives(i, now_us)
            return
        told.place(i, place.entry, now_us // 1000)
        told.ticket[i] = place.ticket.encode()
        if place.number is not None:
            told.numbered(i, place.number)
        if known:
            if act is Act.REFRESH:
                self._refreshes(i, now_us)
            return
        self._stands(i, place, now_us, forgets=first and behaviour is Behaviour.COMES_BACK_LATE)
        if first and behaviour is Behaviour.REFRESHES:
            self._refreshes(i, now_us)
        elif first and behaviour is Behaviour.GIVES_UP:
            self.later(i, Act.LEAVE, now_us, self.pace.give_up)
        elif first and behaviour is Behaviour.IMPATIENT:
            self.later(i, Act.JUMP, now_us, (1, 20))

    def _refreshes(self, i: int, now_us: int) -> None:
        if self._refreshed[i] < self.crowd.traits.impatience.refreshes:
            self._refreshed[i] += 1
            self.later(i, Act.REFRESH, now_us, self.pace.refresh)

    def _polled(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        place = answers.decode_place(answer.body)
        if place.ticket is not None:
            self.told.ticket[i] = place.ticket.encode()
        if place.number is not None:
            self.told.numbered(i, place.number)
        self.told.polled(i)
        self._stands(i, place, now_us)

    def _stands(self, i: int, place: answers.Place, now_us: int, *, forgets: bool = False) -> None:
        told = self.told
        match place.state:
            case "drawing" | "waiting":
                if place.poll_after_seconds is None:
                    told.contradict("not told when to ask again", i, place.state)
                if place.eta_seconds is not None:
                    told.promised(i, place.eta_seconds, now_us // 1000)
                pause = place.poll_after_seconds or 30.0
                if forgets:
                    pause += self.random.uniform(*self.pace.forget)
                self.file(now_us + int(pause * SECOND_US), i, Act.POLL)
            case "ready":
                self._called(i, place, now_us, joining=place.entry is not None)
            case "missed":
                self.missed(i, now_us)
            case "ended":
                told.note(i, Fact.ENDED)
            case "left" if not told.has(i, Fact.LEAVE_SENT):
                told.contradict("left without leaving", i, f"entry {told.entry[i]}")
            case "claimed" if not told.has(i, Fact.CLAIM_SENT):
                told.contradict("claimed without claiming", i, f"entry {told.entry[i]}")
            case "left" | "claimed":
                pass
            case unknown:
                told.contradict("unknown state", i, unknown)

    def _called(self, i: int, place: answers.Place, now_us: int, *, joining: bool) -> None:
        told = self.told
        if place.claim_before is None:
            if not joining:
                told.contradict("called without a deadline", i, f"entry {told.entry[i]}")
            # a join's answer has none (contract): the first poll says until when to claim
            self.file(now_us + int((place.poll_after_seconds or 1.0) * SECOND_US), i, Act.POLL)
            return
        claim_before_us = self.ground(i).run_us(place.claim_before)
        if not told.has(i, Fact.READY):
            told.ready_ms[i] = now_us // 1000
            told.claim_before_ms[i] = claim_before_us // 1000
            told.note(i, Fact.READY)
        if self.crowd.behaviour(i) is Behaviour.NEVER_CLAIMS:
            self.file(max(claim_before_us, now_us) + 2 * SECOND_US, i, Act.POLL)
        else:
            self.later(i, Act.CLAIM, now_us, self.pace.think)

    def missed(self, i: int, now_us: int) -> None:
        """Resident `i` is told that the call was missed; most join again at the back."""
        told = self.told
        if told.has(i, Fact.READY) and now_us // 1000 < told.claim_before_ms[i] - 1500:
            told.contradict("missed before its time", i, f"could claim until {told.claim_before_ms[i]} ms")
        told.note(i, Fact.MISSED)
        if self.random.random() < self.whims.rejoins:
            self.later(i, Act.JOIN, now_us, self.pace.think)

    def _pass_still_lives(self, i: int, now_us: int) -> None:
        """Resident `i` cancelled and joins again, but gets the same place: its pass was not freed.

        It is when the registration is stored, unless a process is killed just then; it lapses by itself.
        """
        expires_us = self.told.expires_ms[i] * 1000
        if now_us > expires_us + 2 * SECOND_US:
            self.told.contradict("no new place", i, f"entry {self.told.entry[i]}: its registration was cancelled")
            return
        self.meters.count("passes not freed", now_us)
        self.file(max(expires_us, now_us) + SECOND_US, i, Act.JOIN)

    def _left(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        self.told.note(i, Fact.LEFT)
        if self.random.random() < self.whims.regrets:
            self.later(i, Act.JOIN, now_us, self.pace.think)

    def _claimed(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        told, now_ms = self.told, now_us // 1000
        given = answers.decode_pass(answer.body)
        told_now, told_before = (given.pass_.encode(), given.expires_at), told.passes.get(i)
        if told_before is not None:
            # who jumped and was called meanwhile has two claims on their way, whose answers may overtake each other
            if told_before != told_now or (act is Act.CLAIM_AGAIN and answer.status != 200):
                told.contradict("pass changed", i, f"{answer.status}, {told_before[1]}, then {given.expires_at}")
            return
        if told.has(i, Fact.READY) and told.claim_sent_ms[i] > told.claim_before_ms[i] + 1500:
            told.contradict("claimed after its time", i, f"could claim until {told.claim_before_ms[i]} ms")
        told.passes[i] = told_now
        told.claimed_ms[i] = now_ms
        told.expires_ms[i] = self.ground(i).run_us(given.expires_at) // 1000
        told.note(i, Fact.CLAIMED)
        behaviour = self.crowd.behaviour(i)
        if behaviour is Behaviour.REPEATS:
            self.later(i, Act.CLAIM_AGAIN, now_us, (0.1, 0.5))
        if behaviour is not Behaviour.LEAVES_FORM:
            self.afterwards.has_a_pass(i, now_us)
