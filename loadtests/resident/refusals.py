"""What a resident makes of a refusal: expected, too early, pushed back (and come again as told), or wrong."""

from __future__ import annotations

from loadtests.client.answers import Problem
from loadtests.client.wire import Answer
from loadtests.crowd.behaviour import INELIGIBLE, Behaviour
from loadtests.resident.acts import SECOND_US, Act
from loadtests.resident.facts import Fact
from loadtests.resident.registering import Registering
from loadtests.resident.residents import Residents

COME_AGAIN = (425, 429, 503)
"""Statuses that the contract gives a Retry-After."""
CLOCK_SLACK_MS = 1500
"""How far a resident's clock may be from the city's, and an answer on its way."""


class Refusals:
    """This takes in refusals: those that were expected, those to come again after, and those that are errors.

    Args:
        registering: where the refused go on with a code, or without one.
    """

    def __init__(self, residents: Residents, registering: Registering) -> None:
        self._residents, self._registering = residents, registering

    def refused(self, i: int, act: Act, answer: Answer, problem: Problem, now_us: int) -> None:
        """Take in a refusal of resident `i`."""
        if answer.status in COME_AGAIN and answer.seconds(b"retry-after") is None:
            self._residents.observations.contradict("no Retry-After", i, f"{act.name}: {answer.status} {problem.code}")
        expected = False
        match act:
            case Act.JOIN | Act.REFRESH | Act.OTHER_DEVICE:
                expected = self._join(i, act, answer, problem, now_us)
            case Act.JUMP | Act.CLAIM | Act.CLAIM_AGAIN:
                expected = self._claim(i, act, problem, now_us)
            case Act.REGISTER | Act.REGISTER_AGAIN:
                late = now_us // 1000 > self._residents.observations.expires_ms[i] - CLOCK_SLACK_MS
                expected = problem.code == "expired" and late
                if expected:
                    self._residents.observations.passes.pop(i, None)
            case Act.CHECK:
                expected = self._check(i, problem, now_us)
            case Act.ASK_ALERTS if problem.code in ("expired", "ended"):
                expected = True  # the place is over: the page says how
                self._residents.file(now_us, i, Act.POLL)
            case Act.MORE_TIME if problem.code in ("expired", "used"):
                expected = True  # it was too late, or another device has come in
                self._residents.file(now_us, i, Act.POLL)
            case Act.ASK_CODE if problem.code == "too-many-requests" and (
                self._residents.observations.codes_asked[i] > 1 or self._residents.crowd.shares_a_phone(i)
            ):
                # the first answer was lost, not the request: the SMS is under way; or a relative was quicker
                expected = True
                self._registering.code_is_tried(i, now_us)
            case Act.SHOW_CODE:
                expected = problem.code == "invalid" and [fault.field for fault in problem.errors or ()] == ["code"]
            case Act.LOOK_UP if problem.code == "not-found":
                # after the run: what is not there any more is the audit's to say, not an error of the service
                expected = True
                self._residents.observations.not_found.add(i)
            case Act.CALENDAR:
                expected = problem.code == "not-found"
        if not expected:
            self._come_again(i, act, answer, problem, now_us)

    def refused_before(self, i: int, act: Act, answer: Answer, problem: Problem, now_us: int) -> None:
        """Take in a refusal about an earlier place of resident `i`: nobody asks again, and a fault is one still."""
        if answer.status in COME_AGAIN and answer.seconds(b"retry-after") is None:
            self._residents.observations.contradict("no Retry-After", i, f"{act.name}: {answer.status} {problem.code}")
        if answer.status == 429 or answer.status >= 500:
            self._residents.meters.pushed_back(f"{act.name}: pushed back: {answer.status} {problem.code}", now_us)

    def _join(self, i: int, act: Act, answer: Answer, problem: Problem, now_us: int) -> bool:
        observations, behaviour = self._residents.observations, self._residents.crowd.behaviour(i)
        opening = self._residents.opening(i)
        match problem.code:
            case "not-open" | "maintenance" if now_us < opening.opens_us + 2 * SECOND_US:
                # the page was told when it opens, and spreads the join over the draw like everyone's at the door
                arrival = self._residents.arrival(i)
                soonest_us = now_us + int((answer.seconds(b"retry-after") or 1) * SECOND_US)
                spread_us = opening.opens_us + int(arrival.spread * max(opening.draw_seconds - 1, 0) * SECOND_US)
                self._residents.meters.count("pressed early", now_us)
                self._residents.file(max(soonest_us, spread_us), i, act)
            case "not-eligible":
                if problem.reason != INELIGIBLE.get(behaviour):
                    observations.contradict("wrongly refused", i, f"{behaviour.name}: {problem.reason}")
                observations.note(i, Fact.REFUSED)
                if behaviour is Behaviour.NO_FIRST_DOSE:
                    self._registering.unknown(i, now_us)
            case "identity-mismatch" if behaviour is Behaviour.MISTYPES_NAME and not observations.has(
                i, Fact.CORRECTED
            ):
                observations.note(i, Fact.CORRECTED)
                self._residents.later(i, Act.JOIN, now_us, (2, 6))
            case "ended":
                observations.note(i, Fact.ENDED)
            case _:
                return False
        return True

    def _check(self, i: int, problem: Problem, now_us: int) -> bool:
        observations, behaviour = self._residents.observations, self._residents.crowd.behaviour(i)
        match problem.code:
            case "maintenance" if now_us < self._residents.opening(i).opens_us + 2 * SECOND_US:
                # the first window of the day opens with the city: before it there is nobody to ask
                self._residents.meters.count("checks put off", now_us)
            case "not-eligible":
                if problem.reason != INELIGIBLE.get(behaviour):
                    observations.contradict("wrongly refused", i, f"{behaviour.name}: {problem.reason}")
                self._residents.meters.count("eligibility told", now_us)
            case "identity-mismatch" if behaviour is Behaviour.MISTYPES_NAME and not observations.has(
                i, Fact.CORRECTED
            ):
                observations.note(i, Fact.CORRECTED)
                self._residents.later(i, Act.CHECK, now_us, (0.5, 1))
            case _:
                return False
        return True

    def _claim(self, i: int, act: Act, problem: Problem, now_us: int) -> bool:
        observations = self._residents.observations
        match problem.code:
            case "not-your-turn":
                observations.facts[i] &= ~Fact.CLAIM_SENT
                if observations.has(i, Fact.READY):
                    observations.contradict("called, then not", i, f"entry {observations.entry[i]}")
                self._residents.meters.count("early claims refused", now_us)
            case "used" if observations.has(i, Fact.REGISTER_SENT):
                pass  # the claim sent again was overtaken by the registration
            case "expired" | "used" | "ended" | "too-late":
                lapsed = (
                    observations.has(i, Fact.CLAIMED) and now_us // 1000 > observations.expires_ms[i] - CLOCK_SLACK_MS
                )
                if (act is Act.CLAIM_AGAIN or observations.has(i, Fact.CLAIMED)) and not lapsed:
                    observations.contradict("pass changed", i, f"had one, then {problem.code}")
                self._residents.missed(i, now_us)
            case _:
                return False
        return True

    def _come_again(self, i: int, act: Act, answer: Answer, problem: Problem, now_us: int) -> None:
        if answer.status == 429 or answer.status >= 500:  # 425 is the resident's own haste
            self._residents.observations.note(i, Fact.ASKED_TWICE)
        if answer.status not in COME_AGAIN:
            self._residents.meters.error(f"{act.name}: {answer.status} {problem.code} {problem.detail}".strip(), now_us)
            return
        if answer.status != 425:
            self._residents.meters.pushed_back(f"{act.name}: pushed back: {answer.status} {problem.code}", now_us)
        self._residents.meters.count("retries", now_us)
        # as the page would: not before it was told, and not all at the same moment
        pause = max(answer.seconds(b"retry-after") or 0.0, problem.poll_after_seconds or 0.0, 0.5)
        self._residents.later(i, act, now_us, (pause, pause * 1.5 + 1))
