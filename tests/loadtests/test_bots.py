"""Bots ask too often, forge, replay and hammer; whatever they are told that they should not be turns a check red."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import msgspec
import pytest

from loadtests.audit.evidence import Check
from loadtests.audit.promises import audit
from loadtests.client.answers import Call, Requests
from loadtests.client.measure import Meters
from loadtests.client.wire import Answer
from loadtests.crowd.arrivals import curve_of
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.profile import BotKind, Bots
from loadtests.resident.acts import Act
from loadtests.resident.agenda import Agenda
from loadtests.resident.bots import Fleet, changed, fleet_size
from loadtests.resident.facts import Fact
from loadtests.resident.journey import Journey
from loadtests.resident.pace import Pace
from loadtests.resident.run_opening import RunOpening
from tests.support.honest_opening import World
from tests.support.honest_opening_bots import Infested

S = 1_000_000
N = 50
KINDS: tuple[BotKind, ...] = ("fast-poller", "forger", "replayer", "code-hammer")
TICKET, PASS, RECEIPT = b"dGlja2V0LW9mLXNvbWVib2R5", b"cGFzcy1vZi1zb21lYm9keQ", b"cmVjZWlwdC1vZi1zb21lYm9keQ"
NO = 106190100000073


class Den:
    """One bot of a kind among fifty residents, who all hold the same; a scripted server on the other side."""

    def __init__(self, kind: BotKind) -> None:
        bots = (Bots(kind, 1 / N, 0.5),)
        profile = msgspec.structs.replace(load_profile("bots"), bots=bots)
        crowd = Crowd(N, ("440106",), date(2021, 6, 19), 5, profile)
        opens_at = datetime.fromisoformat("2021-06-19T08:00:00+08:00")
        opening = RunOpening("440106", "2021-06-19", opens_at, 0, 120.0, "", ("440106001", "440106002"))
        curve = curve_of(profile.arrivals, profile.door, 600, 120)
        requests = Requests("test:80")
        self.agenda, self.meters = Agenda(), Meters()
        self.journey = Journey(crowd, (opening,), (curve,), Pace.of(600, profile), requests, self.agenda, self.meters)
        self.observations = self.journey.observations
        self.fleet = Fleet(self.journey, requests)
        self.now_us = 0

    def everyone(self, facts: Fact, number: int = 0) -> None:
        """Everybody holds a ticket, and as much more as these facts say."""
        for i in range(N):
            self.observations.ticket[i] = TICKET
            self.observations.entry[i], self.observations.number[i] = 7, number
            self.observations.note(i, facts)
            if facts & Fact.CLAIMED:
                self.observations.passes[i] = (PASS, "2021-06-19T08:20:00+08:00")
            if facts & Fact.REGISTERED:
                self.observations.registration_no[i] = NO
                self.observations.receipts[i] = RECEIPT

    def sends(self) -> bytes | None:
        self.now_us += S // 2
        return self.fleet.request(N, Act.POLL, self.now_us)

    def hears(self, status: int, body: dict[str, Any], head: bytes = b"") -> None:
        self.fleet.answered(N, Act.POLL, Answer(status, head, json.dumps(body).encode()), self.now_us)

    def complaints(self) -> set[str]:
        return set(self.observations.contradictions)


def poll(**more: Any) -> dict[str, Any]:
    return {"state": "waiting", "number": 3, "serving": 0, "poll_after_seconds": 60} | more


def problem(code: str) -> dict[str, Any]:
    return {"code": code, "detail": ""}


def test_as_many_bots_come_as_the_file_says() -> None:
    profile = load_profile("bots")
    crowd = Crowd(2000, profile.come, date(2021, 6, 19), 1, profile)
    sizes = {bots.kind: fleet_size(bots, crowd.residents) for bots in profile.bots}
    asking = {"fast-poller": 40, "forger": 10, "replayer": 10, "code-hammer": 4}
    assert sizes == asking | {"slow-head": 4, "slow-body": 4, "idle-herd": 1, "connection-flood": 1}
    assert fleet_size(Bots("forger", 0.001, 1), 10) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_bot_keeps_its_beat_whatever_it_is_told(kind: BotKind) -> None:
    den = Den(kind)
    den.fleet.begin(-5 * S)
    event = den.agenda.take(S // 2)
    assert event is not None
    assert 0 <= event[0] <= S // 2
    assert event[1] == N
    if den.fleet.request(N, Act.POLL, 3 * S) is not None:  # with nobody there yet
        den.fleet.unanswered(N, Act.POLL, "reset", 3 * S)
    assert den.agenda.take(3_500_000 - 1) is None
    assert den.agenda.take(3_500_000) == (3_500_000, N, Act.POLL)
    den.everyone(Fact.JOINED)
    assert den.fleet.request(N, Act.POLL, 4 * S) is not None
    assert den.fleet.request(N, Act.POLL, 5 * S) is None  # one on its way at a time
    den.fleet.unanswered(N, Act.POLL, "reset", 5 * S)
    assert den.fleet.request(N, Act.POLL, 6 * S) is not None
    assert den.meters.bots[(kind, 0, "reset")] >= 1
    assert not den.meters.counts["errors"]  # a bot's errors are nobody's


# fast pollers


def test_a_fast_poller_ignores_when_to_come_again_and_stops_when_called() -> None:
    den = Den("fast-poller")
    den.everyone(Fact.JOINED)
    for _ in range(20):
        request = den.sends()
        assert request is not None
        assert request.startswith(b"GET /api/v1/ticket ")
        assert request.endswith(b"Bearer %b\r\n\r\n" % TICKET)
        den.hears(200, poll())
    assert sum(den.meters.counts["polls from memory"].values()) == 20
    assert not den.complaints()
    assert den.sends()
    den.hears(200, poll(state="ready"))
    assert sum(den.meters.counts["polls from memory"].values()) == 20
    den.everyone(Fact.READY)
    assert den.sends() is None


def test_a_fast_poller_that_is_refused_or_told_another_place_is_noted() -> None:
    den = Den("fast-poller")
    den.everyone(Fact.JOINED, number=3)
    den.sends()
    den.hears(200, poll(state="drawing", number=None))  # a worker that is a tick behind
    assert not den.complaints()
    den.sends()
    den.hears(200, poll(number=4))
    assert den.complaints() == {"fast poller told another place"}
    den.sends()
    den.hears(403, problem("barred"))
    assert den.complaints() == {"fast poller told another place", "fast poller refused"}
    den.sends()
    den.hears(503, problem("overloaded"))
    assert sum(den.meters.counts["bots pushed back"].values()) == 1


# forgers


def test_a_forger_tries_everything_that_takes_a_token_and_nothing_it_sends_is_right() -> None:
    den = Den("forger")
    den.everyone(Fact.JOINED | Fact.CLAIMED | Fact.REGISTERED)
    right = {"GET /api/v1/ticket": TICKET, "POST /api/v1/passes": TICKET, "DELETE /api/v1/ticket": TICKET,
             "POST /api/v1/registrations": PASS, f"GET /api/v1/registrations/{NO:015d}": RECEIPT}  # fmt: skip
    seen: dict[str, set[bytes]] = {call: set() for call in right}
    for _ in range(90):
        request = den.sends()
        assert request is not None
        head = request.partition(b"\r\n\r\n")[0]
        call = " ".join(head.decode().split(" ")[:2])
        seen[call].add(head.partition(b"Bearer ")[2].partition(b"\r\n")[0])
        den.hears(401, problem("forged"))
    for call, tokens in seen.items():
        assert right[call] not in tokens
        assert len(tokens) >= 3  # changed, of another kind, made up
        assert tokens & {TICKET, PASS, RECEIPT}
    assert not den.complaints()
    assert den.meters.bots == {("forger", 401, "forged"): 90}


@pytest.mark.parametrize(
    ("status", "code"), [(200, ""), (204, ""), (401, "unauthorized"), (410, "expired"), (500, "x")]
)
def test_a_forgery_that_is_told_anything_else_is_noted(status: int, code: str) -> None:
    den = Den("forger")
    den.everyone(Fact.JOINED)
    den.sends()
    den.hears(status, problem(code))
    assert den.complaints() == {"forgery not refused"}
    assert den.observations.examples["forgery not refused"] == [f"bot 0: CLAIM: {status} {code}"]


def test_a_changed_token_is_not_the_same_one() -> None:
    for bits in range(200):
        other = changed(TICKET, bits)
        assert len(other) == len(TICKET)
        assert sum(a != b for a, b in zip(other, TICKET, strict=True)) == 1
        assert other[-1] == TICKET[-1]


# replayers


def _replay(facts: Fact, call: bytes) -> Den:
    """A replayer that has just sent this."""
    den = Den("replayer")
    den.everyone(facts, number=3)
    for _ in range(3):
        request = den.sends()
        assert request is not None
        if request.startswith(call):
            return den
        den.fleet.unanswered(N, Act.POLL, "reset", den.now_us)
    raise AssertionError(f"{call!r} was not replayed")


HELD = Fact.JOINED | Fact.CLAIMED
ALL = HELD | Fact.REGISTERED
RENEWED = {"registration_no": f"{NO:015d}", "state": "proposed", "receipt": "r"}
EXPIRES = "2021-06-19T08:20:00+08:00"


@pytest.mark.parametrize(
    ("facts", "call", "status", "body", "complaint"),
    [
        (Fact.JOINED, b"GET /api/v1/ticket", 200, poll(), None),
        (Fact.JOINED, b"GET /api/v1/ticket", 200, poll(number=9), "replay told another place"),
        (Fact.JOINED, b"GET /api/v1/ticket", 200, poll(entry=8), "replay told another place"),
        (Fact.JOINED, b"GET /api/v1/ticket", 403, problem("barred"), "replay answered otherwise"),
        (HELD, b"POST /api/v1/passes", 200, {"pass": PASS.decode(), "expires_at": EXPIRES}, None),
        (HELD, b"POST /api/v1/passes", 409, problem("used"), None),
        (HELD, b"POST /api/v1/passes", 410, problem("expired"), None),
        (HELD, b"POST /api/v1/passes", 200, {"pass": "p2", "expires_at": EXPIRES}, "replay got something new"),
        (HELD, b"POST /api/v1/passes", 201, {"pass": PASS.decode(), "expires_at": EXPIRES}, "replay got something new"),
        (HELD, b"POST /api/v1/passes", 401, problem("forged"), "replay answered otherwise"),
        (ALL, b"POST /api/v1/registrations", 200, RENEWED, None),
        (ALL, b"POST /api/v1/registrations", 409, problem("already-registered"), None),
        (ALL, b"POST /api/v1/registrations", 201, RENEWED, "replay got something new"),
        (
            ALL, b"POST /api/v1/registrations", 200, RENEWED | {"registration_no": "106190100000081"},
            "replay got something new",
        ),
        (ALL, b"POST /api/v1/registrations", 200, {"state": "proposed"}, "bot's answer unreadable"),
    ],
)  # fmt: skip
def test_a_replay_gets_its_owners_answer_or_none(
    facts: Fact, call: bytes, status: int, body: dict[str, Any], complaint: str | None
) -> None:
    den = _replay(facts, call)
    den.hears(status, body)
    assert den.complaints() == ({complaint} if complaint else set())


def test_a_replayer_is_never_before_the_owner() -> None:
    """A thief who is first has used the ticket, which is a ticket's nature; a replay comes after."""
    den = Den("replayer")
    den.everyone(Fact.JOINED | Fact.READY | Fact.CLAIM_SENT)
    for _ in range(9):
        request = den.sends()
        assert request is not None
        assert request.startswith(b"GET /api/v1/ticket")
        den.hears(200, poll())


# code hammers


def test_a_hammer_asks_for_nobodys_code_and_gets_one_a_minute() -> None:
    den = Den("code-hammer")
    request = den.sends()
    assert request is not None
    assert request.startswith(b"POST /api/v1/access-codes ")
    papers = {den.journey.crowd.resident(i).id_number for i in range(N)}
    assert json.loads(request.partition(b"\r\n\r\n")[2])["id_number"] not in papers
    sent = {"expires_in_seconds": 300, "retry_after_seconds": 60, "sms_file": None}
    den.hears(202, sent)
    for _ in range(110):  # at two a second
        den.sends()
        den.hears(429, problem("too-many-requests"), b"\r\nretry-after: 5\r\n")
    den.now_us = 61 * S
    den.sends()
    den.hears(202, sent)
    assert not den.complaints()
    den.sends()
    den.hears(202, sent)
    assert den.complaints() == {"codes without limit"}
    den.sends()
    den.hears(429, problem("too-many-requests"))
    assert den.complaints() == {"codes without limit", "codes answered otherwise"}
    den.sends()
    den.hears(404, problem("not-found"))
    assert den.observations.contradictions["codes answered otherwise"] == 2


def test_a_hammer_is_told_the_same_as_everybody() -> None:
    den = Den("code-hammer")
    den.journey.answered(
        3, Act.ASK_CODE, Answer(202, b"", b'{"expires_in_seconds":300,"retry_after_seconds":60,"sms_file":"x"}'), 0
    )
    den.sends()
    den.hears(202, {"expires_in_seconds": 300, "retry_after_seconds": 60, "sms_file": None})
    assert den.complaints() == {"code answered another way"}


# the audit


def test_well_kept_bots_are_green_and_counted_apart() -> None:
    checks = audit(Infested().evidence)
    assert [check for check in checks if not check.ok] == []
    details = {check.name: check.detail for check in checks}
    assert len(checks) == 25 + 9
    assert details["forgeries refused"] == "30 x 401 forged"
    # by hand: looks from 1 to 9 s, so 8 times 20 scripts; 1.25 each for ten joins in ten seconds, ten ticks in nine,
    # and in each of the nine two tries at the told waits of either of two openings: 215 + 36
    assert details["fast polls free"] == (
        "280 fast polls in the draw; the store ran 160 scripts, up to 251 are for all else"
    )


def _of_kind(kind: str) -> Callable[[World], None]:
    def breaks(w: World) -> None:
        w.observations.contradict(kind, 1, "told so")

    return breaks


def _a_script_for_every_fast_poll(w: World) -> None:
    w.evidence.seen.scripts = [(second, ran + 40 * max(0, second)) for second, ran in w.evidence.seen.scripts]


def _too_few_fast_polls(w: World) -> None:
    w.evidence.meters.counts["polls from memory"].clear()


def _nobody(kind: str) -> Callable[[World], None]:
    def breaks(w: World) -> None:
        bots = w.evidence.meters.bots
        for told in [told for told in bots if told[0] == kind]:
            del bots[told]

    return breaks


def _pushed_back(w: World) -> None:
    w.evidence.meters.count("bots pushed back", 5 * S)


@pytest.mark.parametrize(
    ("breaks", "red"),
    [
        (_of_kind("fast poller refused"), "fast polls answered"),
        (_of_kind("fast poller told another place"), "fast polls answered"),
        (_nobody("fast-poller"), "fast polls answered"),
        (_a_script_for_every_fast_poll, "fast polls free"),
        (_too_few_fast_polls, "fast polls free"),
        (_of_kind("forgery not refused"), "forgeries refused"),
        (_nobody("forger"), "forgeries refused"),
        (_of_kind("replay got something new"), "replays harmless"),
        (_of_kind("replay answered otherwise"), "replays harmless"),
        (_of_kind("replay told another place"), "replays harmless"),
        (_nobody("replayer"), "replays harmless"),
        (_of_kind("codes without limit"), "codes limited"),
        (_of_kind("codes answered otherwise"), "codes limited"),
        (_nobody("code-hammer"), "codes limited"),
        (_of_kind("bot's answer unreadable"), "bots served"),
        (_pushed_back, "bots served"),
    ],
)
def test_a_bot_told_what_it_should_not_be_turns_its_own_check_red(breaks: Callable[[World], None], red: str) -> None:
    world = Infested()
    breaks(world)
    assert world.red() == {red}


def test_a_place_given_to_a_bot_is_a_place_nobody_asked_for() -> None:
    world = Infested()
    world.truth.places[b"bot" * 5 + b"."] = world.first.issued
    world.truth.fields["issued"] = str(world.first.issued + 1)
    assert world.red() == {"places as told"}


def test_bots_pushed_back_around_a_fault_are_forgiven_and_a_restarted_store_counts_anew() -> None:
    world = Infested()
    world.evidence.fault, world.evidence.fault_second = "kill-store", 5
    _pushed_back(world)
    world.evidence.meters.answered(Call.POLL, 9 * S, 9 * S, 9 * S + 10)
    world.evidence.seen.scripts = [(s, ran if s < 5 else ran - 1080) for s, ran in world.evidence.seen.scripts]
    assert world.red() == set()


def test_without_the_store_nobody_says_what_polls_cost() -> None:
    world = Infested()
    world.evidence.seen.scripts = []
    unjudged: list[Check] = [check for check in audit(world.evidence) if check.ok is None]
    assert [check.name for check in unjudged] == ["fast polls free"]


def test_every_contradiction_a_bot_can_note_is_judged() -> None:
    import re
    from pathlib import Path

    import loadtests

    kinds = set(
        re.findall(r'contradict\(\s*"([^"]+)"', (Path(loadtests.__file__).parent / "resident" / "bots.py").read_text())
    )
    assert len(kinds) == 9
    for kind in kinds:
        world = Infested()
        world.observations.contradict(kind, 1, "told so")
        assert world.red(), f"{kind!r} would go unnoticed"
