"""Programs among the people: they ask too often, forge, replay, and hammer the codes (`loadtests.crowd.profile.Bots`).

A bot is an actor like a resident, numbered after the last of them, with its own beat: it sends whatever it was told.
It holds no place of its own; it uses, or abuses, those of residents. What it is told is judged at once against what the
contract promises, and counted apart from the residents' answers and errors.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from loadtests.client import answers
from loadtests.client.answers import Requests
from loadtests.client.wire import Answer
from loadtests.crowd.profile import CONNECTION_KINDS, BotKind, Bots
from loadtests.resident.acts import SECOND_US, Act
from loadtests.resident.facts import Fact
from loadtests.resident.journey import Journey

_SALT = 14
_MADE_UP = b"bm90IGEgdGlja2V0LCBub3QgYSBwYXNzLCBub3QgYSByZWNlaXB0"
_CODE_PAUSE_US = 60 * SECOND_US
"""One code a minute (domain.md, SMS)."""
_SLACK_US = 2 * SECOND_US
_OF_THE_MEMORY = ("drawing", "waiting")
"""States of a number that has not been called: a worker answers them from its memory."""
_REPLAY_REFUSALS = ("used", "expired", "ended", "too-late", "already-registered")
_TRY_LATER = 429, 503


class BotRequest(NamedTuple):
    """What a bot sent last, and what its owner held then."""

    owner: int
    act: Act
    number: int = 0
    entry: int = -1
    pass_: bytes = b""
    registration_no: int = 0


class Fleet:
    """All bots of a run.

    Args:
        journey: the residents, whose tickets the bots use.
    """

    def __init__(self, journey: Journey, requests: Requests) -> None:
        self._journey, self._requests = journey, requests
        self._crowd, self._observations = journey.crowd, journey.observations
        self._bots: list[Bots] = []
        for bots in self._crowd.profile.bots:
            if bots.kind not in CONNECTION_KINDS:
                self._bots += [bots] * fleet_size(bots, self._crowd.residents)
        self._turns = [0] * len(self._bots)
        self._sent: dict[int, BotRequest] = {}
        self._open: set[int] = set()  # who waits for an answer: a bot has one request on its way at a time
        self._code_us: dict[int, int] = {}  # bot -> when it was last told that a code is under way

    def __len__(self) -> int:
        return len(self._bots)

    def kind(self, i: int) -> BotKind:
        """Say what actor `i` does."""
        return self._bots[i - self._crowd.residents].kind

    def sent(self, i: int) -> BotRequest | None:
        """Return what actor `i` has sent last, as long as it matters."""
        return self._sent.get(i)

    def begin(self, now_us: int) -> None:
        """File everybody's first beat: all over the first of them, from the opening on."""
        for b in self._journey.share.of_all(len(self._bots)):
            bots, i = self._bots[b], self._crowd.residents + b
            share = (self._crowd.stir(i, _SALT) & 0xFFFF) / 0x10000
            opens_us = max(self._journey.openings[0].opens_us, now_us)
            self._journey.agenda.file(opens_us + int(share * bots.every_seconds * SECOND_US), i, Act.POLL)

    def request(self, i: int, act: Act, now_us: int) -> bytes | None:
        """Return the bytes of the next beat of bot `i`; None where it finds nobody to abuse, and the beat goes on."""
        b = i - self._crowd.residents
        bots = self._bots[b]
        self._turns[b] += 1
        self._journey.agenda.file(now_us + int(bots.every_seconds * SECOND_US), i, act)
        if i in self._open:
            return None
        match bots.kind:
            case "fast-poller":
                request = self._polls_fast(i)
            case "forger":
                request = self._forges(i)
            case "replayer":
                request = self._replays(i)
            case "code-hammer":
                self._sent[i] = BotRequest(i, Act.ASK_CODE)
                self._journey.meters.count("codes asked by bots", now_us)
                # papers of nobody in the registry: a code that is asked for in vain costs no resident theirs
                request = self._requests.send("POST", "/access-codes", self._crowd.code_body(i))
        if request is not None:
            self._open.add(i)
        return request

    def answered(self, i: int, act: Act, answer: Answer, now_us: int) -> None:
        """Judge what bot `i` was told."""
        self._open.discard(i)
        kind, sent = self.kind(i), self._sent[i]
        meters = self._journey.meters
        code = ""
        if answer.status >= 400:
            try:
                code = answers.decode_problem(answer.body).code
            except (msgspec.DecodeError, ValueError):
                code = "unreadable"
        meters.bots[(kind, answer.status, code)] += 1
        if answer.status in _TRY_LATER and kind != "code-hammer":
            # a server that is down for a moment is down for bots too; that it is not is the audit's to say
            meters.count("bots pushed back", now_us)
            return
        try:
            match kind:
                case "fast-poller":
                    self._polled(i, sent, answer, code, now_us)
                case "forger":
                    self._forged(i, sent, answer, code)
                case "replayer":
                    self._replayed(i, sent, answer, code)
                case "code-hammer":
                    self._hammered(i, answer, code, now_us)
        except (msgspec.DecodeError, ValueError) as failure:
            self._observations.contradict("bot's answer unreadable", i, f"{kind}: {answer.status}: {failure}")

    def unanswered(self, i: int, act: Act, reason: str, now_us: int) -> None:
        """The connection broke; the beat goes on."""
        self._open.discard(i)
        self._journey.meters.bots[(self.kind(i), 0, reason)] += 1
        self._journey.meters.count("bots pushed back", now_us)

    # fast pollers

    def _polls_fast(self, i: int) -> bytes | None:
        """Return the ticket of one patron, until they are called; then another one's."""
        b, observations = i - self._crowd.residents, self._observations
        before = self._sent.get(i)
        owner = before.owner if before is not None else self._someone(b, self._turns[b])
        ticket = observations.ticket[owner]
        if ticket is None or observations.has(owner, Fact.READY | Fact.CLAIMED | Fact.LEFT | Fact.MISSED | Fact.ENDED):
            self._sent.pop(i, None)
            return None
        self._sent[i] = BotRequest(owner, Act.POLL, observations.number[owner], observations.entry[owner])
        return self._requests.poll(ticket)

    def _polled(self, i: int, sent: BotRequest, answer: Answer, code: str, now_us: int) -> None:
        if answer.status != 200:
            self._observations.contradict("fast poller refused", i, f"{answer.status} {code}")
            return
        place = answers.decode_place(answer.body)
        if not self._same_place(sent, place):
            self._observations.contradict("fast poller told another place", i, f"{place.number} for {sent.number}")
        if place.state in _OF_THE_MEMORY:
            self._journey.meters.count("polls from memory", now_us)
        else:
            self._sent.pop(i)  # it has what it came for

    # forgers

    def _forges(self, i: int) -> bytes | None:
        """Return a ticket, pass or receipt that is not ours: made up, changed by a letter, or one in place of
        another."""
        b, observations, send = i - self._crowd.residents, self._observations, self._requests
        turn = self._turns[b]
        owner = self._someone(b, turn)
        ticket = observations.ticket[owner]
        pass_ = observations.passes[owner][0] if owner in observations.passes else None
        own = (ticket, pass_, observations.receipts.get(owner))
        act = (Act.POLL, Act.CLAIM, Act.LEAVE, Act.REGISTER, Act.LOOK_UP)[turn % 5]
        right = {Act.REGISTER: pass_, Act.LOOK_UP: own[2]}.get(act, ticket)
        wrong = [token for token in own if token is not None and token is not right]
        match turn // 5 % 3:
            case 0 if right is not None:
                token = changed(right, self._crowd.stir(i, _SALT + turn))
            case 1 if wrong:
                token = wrong[turn % len(wrong)]
            case _:
                token = _MADE_UP
        self._sent[i] = BotRequest(owner, act)
        match act:
            case Act.POLL:
                return send.poll(token)
            case Act.CLAIM:
                return send.claim(token)
            case Act.LEAVE:
                return send.leave(token)
            case Act.REGISTER:
                return send.register(token, self._registration(owner, 0))
        return send.get(f"/registrations/{observations.registration_no[owner]:015d}", token)

    def _forged(self, i: int, sent: BotRequest, answer: Answer, code: str) -> None:
        if (answer.status, code) != (401, "forged"):
            self._observations.contradict("forgery not refused", i, f"{sent.act.name}: {answer.status} {code}")

    def _registration(self, owner: int, turn: int) -> bytes:
        opening = self._journey.opening(owner)
        return self._crowd.registration_body(owner, opening.sites, turn, opening.consent)

    # replayers

    def _replays(self, i: int) -> bytes | None:
        """Return what somebody has sent already, again: registered, claimed, or else asked how the ticket stands.

        Only what its owner has been answered: who has a ticket may use it, thief or not, and a thief who is first
        would leave the owner's own answers unexplained.
        """
        b, observations = i - self._crowd.residents, self._observations
        owner = self._someone(b, self._turns[b])
        ticket = observations.ticket[owner]
        if ticket is None:
            return None
        held = observations.passes.get(owner)
        act = Act.POLL
        if held is not None and observations.has(owner, Fact.CLAIMED) and self._turns[b] % 3:
            act = Act.REGISTER if observations.has(owner, Fact.REGISTERED) and self._turns[b] % 3 == 1 else Act.CLAIM
        self._sent[i] = BotRequest(
            owner, act, observations.number[owner], observations.entry[owner], held[0] if held else b"",
            observations.registration_no[owner],
        )  # fmt: skip
        if act is Act.REGISTER and held is not None:
            # with wishes of its own: they must not be taken
            return self._requests.register(held[0], self._registration(owner, 1))
        return self._requests.claim(ticket) if act is Act.CLAIM else self._requests.poll(ticket)

    def _replayed(self, i: int, sent: BotRequest, answer: Answer, code: str) -> None:
        if answer.status >= 400:
            if sent.act is Act.POLL or code not in _REPLAY_REFUSALS:
                self._observations.contradict(
                    "replay answered otherwise", i, f"{sent.act.name}: {answer.status} {code}"
                )
            return
        if answer.status != 200:
            self._observations.contradict("replay got something new", i, f"{sent.act.name}: {answer.status}")
        match sent.act:
            case Act.POLL:
                place = answers.decode_place(answer.body)
                if not self._same_place(sent, place):
                    self._observations.contradict("replay told another place", i, f"{place.number} for {sent.number}")
            case Act.CLAIM:
                if answers.decode_pass(answer.body).pass_.encode() != sent.pass_:
                    self._observations.contradict(
                        "replay got something new", i, f"another pass than resident {sent.owner}"
                    )
            case _:
                no = int(answers.decode_registration(answer.body).registration_no)
                if no != sent.registration_no:
                    self._observations.contradict("replay got something new", i, f"{no} for {sent.registration_no}")

    # code hammers

    def _hammered(self, i: int, answer: Answer, code: str, now_us: int) -> None:
        if answer.status == 202:
            since_us = now_us - self._code_us.get(i, -_CODE_PAUSE_US * 2)
            if since_us < _CODE_PAUSE_US - _SLACK_US:
                self._observations.contradict(
                    "codes without limit", i, f"another one after {since_us / SECOND_US:.0f} s"
                )
            self._code_us[i] = now_us
            self._journey.registering.codes_are_alike(i, answer)
        elif (answer.status, code) == (429, "too-many-requests"):
            if answer.seconds(b"retry-after") is None:
                self._observations.contradict("codes answered otherwise", i, "429 without Retry-After")
        elif answer.status == 503:
            self._journey.meters.count("bots pushed back", now_us)
        else:
            self._observations.contradict("codes answered otherwise", i, f"{answer.status} {code}")

    def _same_place(self, sent: BotRequest, place: answers.Place) -> bool:
        """Return whether this can be the place of the ticket's owner."""
        same = self._observations.entry[sent.owner] == sent.entry
        number = sent.number or (self._observations.number[sent.owner] if same else 0)
        # no number: a worker that has not heard of the draw's end yet; no entry: a poll is told none
        return place.entry in (None, sent.entry) and (not number or place.number in (None, number))

    def _someone(self, b: int, turn: int) -> int:
        """Return some resident who is played here; another one at each turn."""
        count = self._crowd.residents
        return self._journey.share.nearest(self._crowd.stir(count + b, _SALT + 1 + turn) % count, count)


def fleet_size(bots: Bots, residents: int) -> int:
    """Say how many bots of a kind come with so many residents; at least one."""
    return max(1, round(bots.per_resident * residents))


def changed(token: bytes, bits: int) -> bytes:
    """Return a token with one letter changed; not the last, of which some bits may mean nothing."""
    at = bits % (len(token) - 2)
    return token[:at] + (b"B" if token[at : at + 1] == b"A" else b"A") + token[at + 1 :]
