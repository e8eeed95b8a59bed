"""Residents wait by the public answer, as the page does, and ask a worker only where it is about themselves."""

import hashlib
import json
from typing import Any

import pytest

from loadtests.client.answers import decode_opening
from loadtests.client.public_wait import eta_seconds, look_after_seconds, turn_seconds
from loadtests.client.wire import Answer
from loadtests.crowd.behaviour import Behaviour
from loadtests.resident.acts import Act
from tests.support import public_wait
from tests.support.model import permutation
from tests.support.scripted_server import Desk, S, at, place

SEED = bytes(range(32))
ENTRIES = 1000
NUMBER_OF_7 = 1 + permutation(SEED, ENTRIES)(7)
LOOK = {"floor_seconds": 5, "ceiling_seconds": 600, "share": 0.6, "stretch": 1.0, "per_second": 100}
WAIT = {
    "pace_per_second": 4.0, "free": 20, "given_up": [], "turns": [], "hold_until": None, "claim_seconds": 300,
    "look": LOOK,
}  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    return Desk()


def answer(serving: int = 0, *, drawn: bool = True, wait: Any = WAIT, **more: Any) -> dict[str, Any]:
    draw = {
        "seconds": 120, "commitment": hashlib.sha256(SEED).hexdigest(),
        "entries": ENTRIES if drawn else None, "seed": SEED.hex() if drawn else None,
    }  # fmt: skip
    return {
        "district": "440106", "date": "2021-06-19", "state": "open", "now": at(130), "opens_at": at(0),
        "closes_at": at(7200), "issued": 1200, "serving": serving, "waiting": 1200 - serving, "rate_per_second": 10.0,
        "message": None, "draw": draw, "window": 1, "wait": wait,
    } | more  # fmt: skip


def watched(desk: Desk, told: dict[str, Any], now_us: int = 130 * S) -> tuple[int, int, Act] | None:
    """What resident 7 does next, after this answer."""
    i = desk.someone()
    desk.gets_a_place(i)
    desk.agenda.clear()
    assert desk.sends(i, Act.WATCH, now_us).startswith(b"GET /api/v1/openings/440106 HTTP/1.1\r\n")
    desk.hears(i, Act.WATCH, 200, told, now_us)
    return desk.next()


def test_the_first_look_is_at_the_end_of_the_draw_in_the_order_of_the_entries(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.hears(i, Act.LOOK_CLOSER, 200, answer(drawn=False))  # the page has looked: 100 a second
    desk.gets_a_place(i, entry=700, now_us=2 * S)
    event = desk.next()
    assert event is not None
    assert event[1:] == (i, Act.WATCH)
    assert (120 + 7) * S <= event[0] <= (120 + 8) * S


def test_who_is_not_called_yet_asks_no_worker(desk: Desk) -> None:
    event = watched(desk, answer())
    assert event is not None
    wanted = public_wait.look_after_s(answer(), NUMBER_OF_7)
    assert event[2] is Act.WATCH
    assert 130 * S + 0.85 * wanted * S - 1 <= event[0] <= 130 * S + wanted * S
    i = event[1]
    assert (desk.observations.own_number[i], desk.observations.number[i]) == (NUMBER_OF_7, 0)
    assert (desk.observations.looks[i], desk.observations.polls[i]) == (1, 0)
    expected_s = 130 + (public_wait.eta_s(answer(), NUMBER_OF_7) or 0)
    assert desk.observations.promised_wait_ms[i] == 1000 * expected_s


def test_who_is_called_asks_for_the_ticket_at_once(desk: Desk) -> None:
    event = watched(desk, answer(serving=NUMBER_OF_7))
    assert event is not None
    assert (event[0], event[2]) == (130 * S, Act.POLL)
    desk.is_called(event[1], 131 * S, number=NUMBER_OF_7)
    assert desk.upcoming() == [Act.CLAIM]
    assert desk.journey.request(event[1], Act.WATCH, 140 * S) is None
    assert not desk.observations.contradictions


def test_a_worker_that_has_not_heard_of_the_call_is_asked_again_as_it_says(desk: Desk) -> None:
    event = watched(desk, answer(serving=NUMBER_OF_7))
    assert event is not None
    told = {"state": "waiting", "number": NUMBER_OF_7, "serving": NUMBER_OF_7 - 1, "poll_after_seconds": 2}
    desk.hears(event[1], Act.POLL, 200, told, 131 * S)
    assert desk.next() == (133 * S, event[1], Act.POLL)


def test_another_number_than_the_draws_is_noted(desk: Desk) -> None:
    event = watched(desk, answer(serving=NUMBER_OF_7))
    assert event is not None
    desk.is_called(event[1], 131 * S, number=NUMBER_OF_7 ^ 1)
    assert desk.observations.contradictions == {"number not the draw's": 1}


def test_before_the_seed_is_out_they_look_again_soon(desk: Desk) -> None:
    event = watched(desk, answer(drawn=False))
    assert event is not None
    assert (event[0], event[2]) == (135 * S, Act.WATCH)


@pytest.mark.parametrize(
    "odd",
    [
        {"wait": None},
        {"date": "2021-06-20"},
        {"issued": 7},
        {"draw": answer()["draw"] | {"seed": "00" * 32}},
    ],
    ids=["not on", "of another day", "does not know the place", "seed does not fit"],
)
def test_when_something_is_odd_a_worker_is_asked(desk: Desk, odd: dict[str, Any]) -> None:
    event = watched(desk, answer() | odd)
    assert event is not None
    assert (event[0], event[2]) == (130 * S, Act.POLL)


def test_a_browser_asks_once_a_second_however_often_it_is_looked_at(desk: Desk) -> None:
    event = watched(desk, answer())
    assert event is not None
    assert desk.journey.request(event[1], Act.WATCH, 130 * S + 900_000) is None
    assert desk.upcoming() == [Act.WATCH]
    assert desk.observations.looks[event[1]] == 1
    assert desk.journey.request(event[1], Act.WATCH, 131 * S) is not None


def test_what_has_not_changed_is_what_was_told(desk: Desk) -> None:
    event = watched(desk, answer())
    assert event is not None
    desk.journey.answered(event[1], Act.WATCH, Answer(304, b"", b""), 140 * S)
    assert desk.upcoming() == [Act.WATCH]
    assert desk.errors() == 0


def test_an_old_client_asks_a_worker_each_time(desk: Desk) -> None:
    plain = [i for i in range(3000) if desk.journey.queueing.watching.is_plain(i)]
    assert 60 < len(plain) < 120  # 3 %
    i = desk.someone(Behaviour.ORDINARY, plain=True)
    desk.gets_a_place(i)
    assert desk.upcoming() == [Act.POLL]


def test_who_joins_after_the_draw_waits_as_told_and_then_by_the_public_answer(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN, 200 * S)
    desk.hears(i, Act.JOIN, 201, place(1100, "waiting", after=9, number=1101), 200 * S)
    assert desk.next() == (209 * S, i, Act.WATCH)


def test_a_look_of_an_earlier_place_says_nothing_of_the_new_one(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    asked = desk.journey.asks(i, 130 * S)
    desk.observations.place(i, 900, 131_000)
    desk.agenda.clear()
    told = Answer(200, b"", json.dumps(answer(serving=NUMBER_OF_7)).encode())
    desk.journey.answered(i, Act.WATCH, told, 131 * S, asked)
    assert desk.upcoming() == []
    assert desk.observations.own_number[i] == 0


TURNS = [[2, 0.0, 0.5], [601, 60.0, 66.5], [1200, 119.5, 140.0]]
GIVEN_UP = [[200, 10], [600, 100], [1200, 150]]


@pytest.mark.parametrize("number", [2, 150, 201, 600, 1100, 1200])
@pytest.mark.parametrize(
    "wait",
    [
        WAIT,
        WAIT | {"given_up": GIVEN_UP, "turns": TURNS},
        WAIT | {"pace_per_second": 0},
        WAIT | {"look": LOOK | {"stretch": 3.5}},
    ],
    ids=["plain", "given up", "held", "stretched"],
)
@pytest.mark.parametrize("rate", [0.0, 10.0])
def test_pace_and_promise_are_those_of_the_page(number: int, wait: dict[str, Any], rate: float) -> None:
    """Against the rule's other wording, that of the server's tests."""
    told = answer(serving=1, wait=wait, rate_per_second=rate)
    opening = decode_opening(json.dumps(told).encode())
    assert opening.wait is not None
    for chance in (0.0, 0.5, 1.0):
        expected = public_wait.look_after_s(told, number, chance)
        assert look_after_seconds(opening, opening.wait, number, chance) == pytest.approx(expected)
    if rate:
        assert eta_seconds(opening, opening.wait, number) == public_wait.eta_s(told, number)
    else:
        assert eta_seconds(opening, opening.wait, number) is None
    assert turn_seconds(opening, opening.wait, number) == public_wait.turn_s(told, number)
