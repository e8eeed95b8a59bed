"""What a resident does before the opening, and once they hold a pass: form, receipt, second thoughts, a lost receipt.

The waiting itself is in `journey.py`. Same manners: a request turns an event into bytes, an answer into statements and
further events.
"""

from __future__ import annotations

from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.wire import Answer
from loadtests.crowd.arrivals import Arrival
from loadtests.crowd.behaviour import INELIGIBLE, Afterthought, Behaviour
from loadtests.crowd.crowd import Wishes
from loadtests.resident.acts import SECOND_US, Act
from loadtests.resident.facts import Fact
from loadtests.resident.residents import Residents

_LAST_CHECK_SECONDS = 1.0


class Registering:
    """This plays what all residents do before the queue (may I register?) and after it (form, receipt, changes)."""

    def __init__(self, residents: Residents, requests: Requests) -> None:
        self._residents, self._requests = residents, requests
        self.crowd, self.observations = residents.crowd, residents.observations
        self._code_answer: tuple[int, bytes] | None = None  # the first one: everybody's must be like it
        self.accepted = {
            Act.CHECK: self._checked,
            Act.SITES: self._listed,
            Act.REGISTER: self._registered,
            Act.REGISTER_AGAIN: self._registered,
            Act.SHOW_QR: self._shown,
            Act.OPEN_AGAIN: self._opened,
            Act.LOOK_UP: self._opened,
            Act.CHANGE: self._changed,
            Act.CANCEL: self._cancelled,
            Act.ASK_CODE: self._code_sent,
            Act.SHOW_CODE: self._let_in,
            Act.CALENDAR: self._calendar,
        }

    def checks_before(self, i: int, arrival: Arrival, now_us: int) -> None:
        """File the question of one at the door whether they may register at all."""
        opens_us, door = self._residents.opening(i).opens_us, self.crowd.profile.door
        if not arrival.at_door or now_us >= opens_us or not self._is_one_of(i, 7, door.checks):
            return
        before_seconds = _LAST_CHECK_SECONDS + (door.early_seconds - _LAST_CHECK_SECONDS) * arrival.spread
        self._residents.file(max(opens_us - int(before_seconds * SECOND_US), now_us), i, Act.CHECK)

    def has_a_pass(self, i: int, now_us: int) -> None:
        """Resident `i` is at the form, which lists the sites."""
        if self.asks_for_sites(i):
            self._residents.file(now_us, i, Act.SITES)
        else:
            self._fills_form(i, now_us)

    def asks_for_sites(self, i: int) -> bool:
        """Return whether resident `i` is one whose look at the sites reaches the server."""
        return self._is_one_of(i, 8, self.crowd.profile.reactions.sites)

    def unknown(self, i: int, now_us: int) -> None:
        """Resident `i` was refused for being in no registry; some ask for a code then."""
        if self._is_one_of(i, 10, self.crowd.profile.reactions.strangers_ask):
            self._residents.later(i, Act.ASK_CODE, now_us, self._residents.pace.think)

    def request(self, i: int, act: Act, now_us: int) -> bytes | None:
        """Return the bytes to send for an event; None where it has become pointless."""
        observations, send, district = self.observations, self._requests.send, self._residents.opening(i).district
        match act:
            case Act.CHECK:
                if observations.has(i, Fact.JOIN_SENT):
                    return None
                body = self.crowd.join_body(i, 1 if observations.has(i, Fact.CORRECTED) else 0)
                return send("POST", f"/openings/{district}/eligibility", body)
            case Act.SITES:
                return self._requests.get(f"/sites?district={district}")
            case Act.REGISTER | Act.REGISTER_AGAIN:
                return self._register(i, now_us)
            case Act.ASK_CODE:
                observations.codes_asked[i] += 1
                return send("POST", "/access-codes", self.crowd.code_body(i))
            case Act.SHOW_CODE:
                return send("POST", "/access-tokens", self.crowd.code_body(i, guess=True))
        receipt = observations.receipts.get(i)
        if receipt is None or not observations.has(i, Fact.REGISTERED):
            return None
        path = f"/registrations/{observations.registration_no[i]:015d}"
        match act:
            case Act.SHOW_QR:
                return self._requests.get(f"{path}/qr.svg")
            case Act.CALENDAR:
                return self._requests.get(f"{path}/appointment.ics", receipt)
            case Act.CHANGE:
                observations.note(i, Fact.CHANGE_SENT)
                return send("PATCH", path, self._wishes_body(i, observations.wish_turns(i)[-1]), receipt)
            case Act.CANCEL:
                observations.note(i, Fact.CANCEL_SENT)
                return send("POST", f"{path}/cancellation", None, receipt)
        return self._requests.get(path, receipt)

    def code_is_tried(self, i: int, now_us: int) -> None:
        """Resident `i` expects a code on the phone, and types one."""
        self._residents.later(i, Act.SHOW_CODE, now_us, self._residents.pace.think)

    def codes_are_alike(self, i: int, answer: Answer) -> None:
        """Compare what one who asked for a code was told with what everybody was: it says nothing about anybody."""
        answers.decode_code_sent(answer.body)
        told_now = answer.status, answer.body
        if self._code_answer is None:
            self._code_answer = told_now
        elif self._code_answer != told_now:
            self.observations.contradict("code answered another way", i, f"{answer.status} {answer.body[:80]!r}")

    # requests

    def _register(self, i: int, now_us: int) -> bytes | None:
        observations = self.observations
        if i not in observations.passes:
            return None
        if not observations.has(i, Fact.REGISTER_SENT):
            observations.register_sent_ms[i] = now_us // 1000
        observations.note(i, Fact.REGISTER_SENT)
        body = self._wishes_body(i, observations.wish_turns(i)[0], self._residents.opening(i).consent)
        return self._requests.register(observations.passes[i][0], body)

    def _wishes_body(self, i: int, turn: int, consent: str = "") -> bytes:
        return self.crowd.registration_body(i, self._residents.opening(i).sites, turn, consent)

    def _is_one_of(self, i: int, salt: int, share: float) -> bool:
        """Return whether resident `i` is one of this share of the crowd: the same ones from the same seed."""
        return (self.crowd.stir(i, salt) & 0xFFFF) / 0x10000 < share

    def _fills_form(self, i: int, now_us: int) -> None:
        act = Act.CHANGE if self.observations.has(i, Fact.REGISTERED) else Act.REGISTER
        self._residents.later(i, act, now_us, self._residents.pace.fill_form)

    # accepted

    def _checked(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        found, behaviour = answers.decode_eligible(answer.body), self.crowd.behaviour(i)
        mistyped = behaviour is Behaviour.MISTYPES_NAME and not self.observations.has(i, Fact.CORRECTED)
        if not found.eligible or mistyped or behaviour in INELIGIBLE:
            self.observations.contradict("wrongly let in", i, f"{behaviour.name}: {answer.body[:80]!r}")
        expected = self._residents.opening(i).date, self.crowd.resident(i).first_dose.isoformat()
        if (found.date, found.first_dose_date) != expected:
            self.observations.contradict(
                "eligibility of another", i, f"{found.date}, {found.first_dose_date}: not {expected}"
            )
        self._residents.meters.count("eligibility told", now_us)

    def _listed(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        if not answers.decode_sites(answer.body).sites:
            raise ValueError("no sites")
        self._fills_form(i, now_us)

    def _registered(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        observations, residents = self.observations, self._residents
        given = answers.decode_registration(answer.body)
        no, known = int(given.registration_no), observations.registration_no[i]
        if known:
            if known != no or answer.status != 200:
                observations.contradict("registration changed", i, f"{known}, then {answer.status} {no}")
            return
        if i in observations.closed and observations.closed[i].no == no:
            observations.contradict("registration changed", i, f"{no} was cancelled, and is given again")
        if given.receipt is None:
            observations.contradict("no receipt", i, given.registration_no)
        else:
            observations.receipts[i] = given.receipt.encode()
        observations.registration_no[i] = no
        observations.registered_ms[i] = now_us // 1000
        observations.note(i, Fact.REGISTERED)
        if self._is_one_of(i, 15, self.crowd.profile.reactions.shows_qr):
            residents.file(now_us, i, Act.SHOW_QR)
        if self.crowd.behaviour(i) is Behaviour.REPEATS:
            residents.later(i, Act.REGISTER_AGAIN, now_us, (0.1, 0.5))
        thought = self.crowd.afterthought(i)
        if thought is not Afterthought.NONE and i not in observations.closed:
            lost = thought is Afterthought.LOSES_RECEIPT
            residents.later(i, Act.ASK_CODE if lost else Act.OPEN_AGAIN, now_us, residents.pace.reconsider)

    def _shown(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        if b"<svg" not in answer.body:
            raise ValueError("no image")

    def _opened(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        found = answers.decode_registration(answer.body)
        if int(found.registration_no) != self.observations.registration_no[i]:
            self.observations.contradict(
                "receipt opens another registration", i, str(self.observations.registration_no[i])
            )
        self._compare(i, found)
        if act is Act.LOOK_UP:
            self._residents.meters.count("receipts opened", now_us)
        elif self.crowd.afterthought(i) is Afterthought.CHANGES:
            self.has_a_pass(i, now_us)  # the same form again
        else:
            self._residents.later(i, Act.CANCEL, now_us, self._residents.pace.think)

    def _changed(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        self.observations.note(i, Fact.CHANGED)
        self._compare(i, answers.decode_registration(answer.body))
        self._residents.meters.count("changes", now_us)

    def _cancelled(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        observations, residents = self.observations, self._residents
        first, found = not observations.has(i, Fact.CANCELLED), answers.decode_registration(answer.body)
        if i in observations.closed and observations.closed[i].no == int(found.registration_no):
            return  # the second tap's answer, when its holder has joined again already
        observations.note(i, Fact.CANCELLED)
        self._compare(i, found)
        if not first:
            return
        residents.meters.count("cancellations", now_us)
        if self.crowd.behaviour(i) is Behaviour.REPEATS:  # a double tap
            residents.later(i, Act.CANCEL, now_us, (0.1, 0.5))
        if self.crowd.afterthought(i) is Afterthought.RETURNS:
            residents.later(i, Act.JOIN, now_us, residents.pace.think)

    def _compare(self, i: int, found: answers.Registration) -> None:
        """State and wishes against what resident `i` was told of them."""
        observations = self.observations
        states = {"cancelled"} if observations.has(i, Fact.CANCELLED) else {"proposed"}
        if observations.has(i, Fact.CANCEL_SENT):
            states.add("cancelled")
        if found.state not in states:
            observations.contradict(
                "registration not as told", i, f"{found.state} in place of {' or '.join(sorted(states))}"
            )
        if found.accept_any_site is None:
            return
        shown = Wishes(
            tuple((wish.site, wish.period) for wish in found.preferences), found.accept_any_site, found.not_before or ""
        )
        sites = self._residents.opening(i).sites
        if shown not in [self.crowd.wishes(i, sites, turn) for turn in observations.wish_turns(i)]:
            observations.contradict("registration not as told", i, f"wishes for {shown}")

    def _code_sent(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        self.codes_are_alike(i, answer)
        self._residents.meters.count("codes asked", now_us)
        self.code_is_tried(i, now_us)

    def _let_in(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        # a guess is right once in a million; then it is a receipt like any other
        no = int(answers.decode_registration(answer.body).registration_no)
        if no != self.observations.registration_no[i]:
            self.observations.contradict("code opens another registration", i, f"{no}")

    def _calendar(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        self.observations.contradict("appointment before the night", i, str(self.observations.registration_no[i]))
