"""What a resident does for a place: look, join, leave, claim when called.

How they wait is in `watching.py`, what they do with the pass in `registering.py`. A request turns an event into bytes,
an answer into statements and further events.
"""

from __future__ import annotations

from collections import Counter

from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.wire import Answer
from loadtests.crowd.behaviour import INELIGIBLE, Behaviour
from loadtests.resident.acts import SECOND_US, Act
from loadtests.resident.facts import Fact
from loadtests.resident.registering import Registering
from loadtests.resident.residents import Residents
from loadtests.resident.sleeping import Sleeping
from loadtests.resident.watching import Watching

JOINS = (Act.JOIN, Act.REFRESH, Act.OTHER_DEVICE)
CLAIMS = (Act.JUMP, Act.CLAIM, Act.CLAIM_AGAIN)
_MORE_SALT = 23
STEP_MS = 30_000
"""Who was called so long before a step of the rate may be given time anew by it."""
_REFRESH_POINTLESS = Fact.LEAVE_SENT | Fact.CLAIM_SENT | Fact.REFUSED
_CLAIM_AGAIN_POINTLESS = Fact.LEAVE_SENT | Fact.MISSED | Fact.REGISTER_SENT
_CLAIM_POINTLESS = _CLAIM_AGAIN_POINTLESS | Fact.CLAIMED
_JUMP_POINTLESS = _CLAIM_POINTLESS | Fact.READY
_POLL_POINTLESS = Fact.CLAIMED | Fact.LEAVE_SENT | Fact.MISSED | Fact.ENDED


class Queueing:
    """This plays the waiting room as all residents go through it.

    Args:
        registering: what comes next for those who hold a pass.
    """

    def __init__(self, residents: Residents, registering: Registering, requests: Requests) -> None:
        self._residents, self._registering, self._requests = residents, registering, requests
        self.crowd, self.observations = residents.crowd, residents.observations
        self._refreshed: Counter[int] = Counter()  # by resident
        self.watching = Watching(residents, requests)
        self.sleeping = Sleeping(residents, requests)
        self.accepted = {
            Act.LOOK: self._looked,
            Act.LOOK_CLOSER: self._looked,
            **dict.fromkeys(JOINS, self._joined),
            Act.POLL: self._polled,
            Act.WATCH: self.watching.watched,
            Act.LEAVE: self._left,
            Act.ASK_ALERTS: self.sleeping.asked,
            Act.MORE_TIME: self._has_more_time,
            **dict.fromkeys(CLAIMS, self._claimed),
        }

    def request(self, i: int, act: Act, now_us: int) -> bytes | None:
        """Return the bytes to send for an event; None where it has become pointless. Notes that it is being sent."""
        observations, ticket = self.observations, self.observations.ticket[i]
        if act is Act.POLL:
            return None if ticket is None or observations.has(i, _POLL_POINTLESS) else self._requests.poll(ticket)
        if act is Act.WATCH:
            return self.watching.request(i, now_us)
        if act is Act.ASK_ALERTS:
            return self.sleeping.request(i)
        if act is Act.MORE_TIME:
            return None if ticket is None else self._requests.send("POST", "/ticket/more-time", None, ticket)
        if act in JOINS:
            return self._join_request(i, act, now_us)
        if act in CLAIMS:
            return None if ticket is None else self._claim_request(i, act, ticket, now_us)
        if act is Act.LEAVE:
            if ticket is None or observations.has(i, Fact.CLAIM_SENT | Fact.MISSED | Fact.LEFT):
                return None
            observations.note(i, Fact.LEAVE_SENT)
            return self._requests.leave(ticket)
        if act is Act.LOOK:
            return self._requests.get("/city")
        return self._requests.get(f"/openings/{self._residents.opening(i).district}")

    # requests

    def _join_request(self, i: int, act: Act, now_us: int) -> bytes | None:
        observations = self.observations
        if act is not Act.JOIN and observations.has(i, _REFRESH_POINTLESS):
            return None
        if act is Act.JOIN and not observations.has(i, Fact.JOIN_SENT):
            self._residents.meters.count("arrivals", now_us)
            if self.crowd.behaviour(i) is Behaviour.SECOND_DEVICE:
                self._residents.file(now_us, i, Act.OTHER_DEVICE)
        observations.join_sent(i)
        attempt = 1 if observations.has(i, Fact.CORRECTED) else 0
        return self._requests.join(self._residents.opening(i).district, self.crowd.join_body(i, attempt))

    def _claim_request(self, i: int, act: Act, ticket: bytes, now_us: int) -> bytes | None:
        observations = self.observations
        pointless = {Act.CLAIM_AGAIN: _CLAIM_AGAIN_POINTLESS, Act.JUMP: _JUMP_POINTLESS}
        if observations.has(i, pointless.get(act, _CLAIM_POINTLESS)):
            return None
        if not observations.has(i, Fact.CLAIM_SENT):
            observations.claim_sent_ms[i] = now_us // 1000
        observations.note(i, Fact.CLAIM_SENT)
        return self._requests.claim(ticket)

    # accepted

    def _looked(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        if act is Act.LOOK:
            self._residents.file(now_us, i, Act.LOOK_CLOSER)
        else:
            self.watching.has_looked(i, answer, now_us)

    def _joined(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        observations, behaviour = self.observations, self.crowd.behaviour(i)
        place = answers.decode_place(answer.body)
        if place.ticket is None or place.entry is None:
            raise ValueError("no ticket or no entry")
        if behaviour in INELIGIBLE or (
            behaviour is Behaviour.MISTYPES_NAME and not observations.has(i, Fact.CORRECTED)
        ):
            observations.contradict("wrongly let in", i, behaviour.name)
        known, first = place.entry == observations.entry[i], observations.entry[i] < 0
        if known and act is Act.JOIN and observations.has(i, Fact.MISSED | Fact.LEFT):
            observations.contradict("no new place", i, f"entry {place.entry} was missed or left")
        if known and act is Act.JOIN and observations.has(i, Fact.CANCELLED):
            self._pass_still_lives(i, now_us)
            return
        observations.place(i, place.entry, now_us // 1000)
        observations.ticket[i] = place.ticket.encode()
        if place.number is not None:
            observations.numbered(i, place.number)
        if known:
            if act is Act.REFRESH:
                self._refreshes(i, now_us)
            return
        self._stands(i, place, now_us, forgets=first and behaviour is Behaviour.COMES_BACK_LATE)
        if first and behaviour is Behaviour.REFRESHES:
            self._refreshes(i, now_us)
        elif first and behaviour is Behaviour.GIVES_UP:
            self._residents.later(i, Act.LEAVE, now_us, self._residents.pace.give_up)
        elif first and behaviour is Behaviour.IMPATIENT:
            self._residents.later(i, Act.JUMP, now_us, (1, 20))

    def _refreshes(self, i: int, now_us: int) -> None:
        if self._refreshed[i] < self.crowd.profile.impatience.refreshes:
            self._refreshed[i] += 1
            self._residents.later(i, Act.REFRESH, now_us, self._residents.pace.refresh)

    def _polled(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        place = answers.decode_place(answer.body)
        if place.ticket is not None:
            self.observations.ticket[i] = place.ticket.encode()
        if place.number is not None:
            self.observations.numbered(i, place.number)
        self.observations.polled(i)
        self._stands(i, place, now_us)

    def _stands(self, i: int, place: answers.Place, now_us: int, *, forgets: bool = False) -> None:
        observations, home, now_ms = self.observations, self._residents.home(i), now_us // 1000
        observations.turns_seen.saw(home, place.serving, now_ms)
        match place.state:
            case "drawing" | "waiting":
                if place.poll_after_seconds is None:
                    observations.contradict("not told when to ask again", i, place.state)
                if place.eta_seconds is not None:
                    observations.promised(i, place.eta_seconds, now_ms)
                if place.eta_low_seconds is not None and place.eta_high_seconds is not None:
                    low, high = (now_ms + seconds * 1000 for seconds in (place.eta_low_seconds, place.eta_high_seconds))
                    observations.told_turn(i, home, low, high, now_ms)
                if self.sleeping.is_asleep(i):
                    self.sleeping.waits(i, now_us)
                    return
                act, pause = self.watching.next_look(i, place, now_us)
                if forgets:
                    pause += self._residents.random.uniform(*self._residents.pace.forget)
                self._residents.file(now_us + int(pause * SECOND_US), i, act)
            case "ready":
                self._called(i, place, now_us, joining=place.entry is not None)
            case "missed":
                self._residents.missed(i, now_us)
            case "ended":
                observations.note(i, Fact.ENDED)
            case "left" if not observations.has(i, Fact.LEAVE_SENT):
                observations.contradict("left without leaving", i, f"entry {observations.entry[i]}")
            case "claimed" if not observations.has(i, Fact.CLAIM_SENT):
                observations.contradict("claimed without claiming", i, f"entry {observations.entry[i]}")
            case "left" | "claimed":
                pass
            case unknown:
                observations.contradict("unknown state", i, unknown)

    def _called(self, i: int, place: answers.Place, now_us: int, *, joining: bool) -> None:
        observations = self.observations
        if place.claim_before is None:
            if not joining:
                observations.contradict("called without a deadline", i, f"entry {observations.entry[i]}")
            # a join's answer has none (contract): the first poll says until when to claim
            self._residents.file(now_us + int((place.poll_after_seconds or 1.0) * SECOND_US), i, Act.POLL)
            return
        claim_before_us = self._residents.opening(i).run_us(place.claim_before)
        if not observations.has(i, Fact.READY):
            observations.ready_ms[i] = now_us // 1000
            observations.claim_before_ms[i] = claim_before_us // 1000
            observations.note(i, Fact.READY)
        if self.crowd.behaviour(i) is Behaviour.NEVER_CLAIMS:
            self._residents.file(max(claim_before_us, now_us) + 2 * SECOND_US, i, Act.POLL)
        elif self._needs_time(i):
            self._residents.later(i, Act.MORE_TIME, now_us, self._residents.pace.think)
        else:
            self._residents.later(i, Act.CLAIM, now_us, self._residents.pace.think)

    def _needs_time(self, i: int) -> bool:
        return (self.crowd.stir(i, _MORE_SALT) & 0xFFFF) / 0x10000 < self._residents.reactions.more_time

    def _has_more_time(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        """Take in until when resident `i` may come now, and come after the time that was told before."""
        told_us, before_us = now_us, self.observations.claim_before_ms[i] * 1000
        given = answers.decode_more_time(answer.body)
        until_us = self._residents.opening(i).run_us(given.claim_before)
        if until_us < before_us - SECOND_US:
            self.observations.contradict("missed before its time", i, "more time was less")
        self.observations.claim_before_ms[i] = until_us // 1000
        late_us = (max(before_us, told_us) + until_us) // 2 if given.extended else told_us
        self._residents.file(max(late_us, told_us), i, Act.CLAIM)

    def _pass_still_lives(self, i: int, now_us: int) -> None:
        """Resident `i` cancelled and joins again, but gets the same place: its pass was not freed.

        It is when the registration is stored, unless a process is killed just then; it lapses by itself.
        """
        expires_us = self.observations.expires_ms[i] * 1000
        if now_us > expires_us + 2 * SECOND_US:
            self.observations.contradict(
                "no new place", i, f"entry {self.observations.entry[i]}: its registration was cancelled"
            )
            return
        self._residents.meters.count("passes not freed", now_us)
        self._residents.file(max(expires_us, now_us) + SECOND_US, i, Act.JOIN)

    def _left(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        self.observations.note(i, Fact.LEFT)
        if self._residents.random.random() < self._residents.reactions.regrets:
            self._residents.later(i, Act.JOIN, now_us, self._residents.pace.think)

    def _claimed(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        observations, now_ms = self.observations, now_us // 1000
        given = answers.decode_pass(answer.body)
        told_now, told_before = (given.pass_.encode(), given.expires_at), observations.passes.get(i)
        if told_before is not None:
            # who jumped and was called meanwhile has two claims on their way, whose answers may overtake each other
            if told_before != told_now or (act is Act.CLAIM_AGAIN and answer.status != 200):
                observations.contradict(
                    "pass changed", i, f"{answer.status}, {told_before[1]}, then {given.expires_at}"
                )
            return
        is_late = observations.claim_sent_ms[i] > observations.claim_before_ms[i] + 1500
        # who was called around a step of the rate has more time than they were told, never less
        home, ready_ms = self._residents.home(i), observations.ready_ms[i]
        is_stepped = observations.turns_seen.is_overtaken(home, ready_ms - STEP_MS, now_ms)
        if observations.has(i, Fact.READY) and is_late and not is_stepped:
            observations.contradict(
                "claimed after its time", i, f"could claim until {observations.claim_before_ms[i]} ms"
            )
        observations.passes[i] = told_now
        observations.claimed_ms[i] = now_ms
        observations.expires_ms[i] = self._residents.opening(i).run_us(given.expires_at) // 1000
        observations.note(i, Fact.CLAIMED)
        behaviour = self.crowd.behaviour(i)
        if behaviour is Behaviour.REPEATS:
            self._residents.later(i, Act.CLAIM_AGAIN, now_us, (0.1, 0.5))
        if behaviour is not Behaviour.LEAVES_FORM:
            self._registering.has_a_pass(i, now_us)
