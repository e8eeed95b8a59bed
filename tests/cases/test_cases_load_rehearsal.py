"""Load (cases, L4-L6): a rehearsal that blames nobody for what it cannot know, and says at once what cannot be held."""

import pytest

from loadtests.acts import Act
from loadtests.told import Fact
from tests.test_loadtests_journey import NO, S, Desk, at, place, refusal


@pytest.fixture
def desk() -> Desk:
    return Desk()


def _rejoined(desk: Desk, *, number: int | None = 829) -> tuple[int, object]:
    """Somebody who polled as number 829 of entry 7, and had left and joined again (entry 40) before the answer came.

    Returns the resident, and what the poll was about.
    """
    i = desk.someone()
    desk.gets_a_place(i, 7)
    if number is not None:
        desk.hears(i, Act.POLL, 200, place(7, "waiting", 30, number) | {"entry": None, "ticket": None})
    asked = desk.journey.asks(i, 10 * S)
    desk.sends(i, Act.LEAVE, 11 * S)
    desk.hears(i, Act.LEAVE, 204, {}, 11 * S)
    desk.sends(i, Act.JOIN, 12 * S)
    desk.hears(i, Act.JOIN, 201, place(40, "waiting", 30, 30), 12 * S)
    desk.agenda.clear()
    return i, asked


def _polled_late(desk: Desk, i: int, asked: object, body: dict[str, object], status: int = 200) -> None:
    _answered_late(desk, i, Act.POLL, asked, body, status)


def _answered_late(
    desk: Desk, i: int, act: Act, asked: object, body: dict[str, object], status: int = 200, retry_after: int | None = 5
) -> None:
    import json

    from loadtests.wire import Answer

    head = b"http/1.1 200 ok\r\n" + (b"retry-after: %d\r\n" % retry_after if retry_after is not None else b"")
    desk.journey.answered(i, act, Answer(status, head, json.dumps(body).encode()), 13 * S, asked)  # type: ignore[arg-type]


def test_a_late_answer_to_the_old_ticket_is_no_changed_number(desk: Desk) -> None:
    i, asked = _rejoined(desk)
    _polled_late(desk, i, asked, {"state": "waiting", "number": 829, "serving": 0, "poll_after_seconds": 5})
    assert not desk.told.contradictions
    assert (desk.told.number[i], desk.told.entry[i]) == (30, 40)
    assert desk.upcoming() == []  # the new place has polls of its own


def test_a_late_answer_that_changes_the_old_number_is_told_of(desk: Desk) -> None:
    i, asked = _rejoined(desk)
    _polled_late(desk, i, asked, {"state": "waiting", "number": 828, "serving": 0, "poll_after_seconds": 5})
    assert desk.told.contradictions == {"number changed": 1}
    assert "829, then 828" in desk.told.examples["number changed"][0]


def test_a_late_answer_gives_the_old_place_the_number_that_was_not_known(desk: Desk) -> None:
    i, asked = _rejoined(desk, number=None)
    _polled_late(desk, i, asked, {"state": "waiting", "number": 829, "serving": 0, "poll_after_seconds": 5})
    assert [(spent.entry, spent.number) for spent in desk.told.spent] == [(7, 829)]
    _polled_late(desk, i, asked, {"state": "waiting", "number": 12, "serving": 0, "poll_after_seconds": 5})
    assert desk.told.contradictions == {"number changed": 1}


@pytest.mark.parametrize("state", ["missed", "left", "claimed", "ended", "ready"])
def test_a_late_answer_about_the_old_place_says_nothing_of_the_new_one(desk: Desk, state: str) -> None:
    i, asked = _rejoined(desk)
    body = {"state": state, "number": 829, "serving": 829, "poll_after_seconds": 5, "claim_before": at(300)}
    _polled_late(desk, i, asked, body)
    assert not desk.told.contradictions
    assert not desk.told.has(i, Fact.MISSED | Fact.ENDED | Fact.READY | Fact.LEFT)
    assert desk.upcoming() == []


def test_a_join_that_was_sent_before_leaving_and_is_answered_after_the_rejoin_is_no_step_to_the_front(
    desk: Desk,
) -> None:
    i = desk.someone()
    desk.gets_a_place(i, 7)
    desk.sends(i, Act.REFRESH, 10 * S)
    asked = desk.journey.asks(i, 10 * S)
    desk.sends(i, Act.LEAVE, 11 * S)
    desk.hears(i, Act.LEAVE, 204, {}, 11 * S)
    desk.sends(i, Act.JOIN, 12 * S)
    desk.hears(i, Act.JOIN, 201, place(40, "waiting", 30, 30), 12 * S)
    _answered_late(desk, i, Act.REFRESH, asked, place(7, "waiting", 30, 829))
    assert not desk.told.contradictions
    assert (desk.told.entry[i], desk.told.ticket[i]) == (40, b"t40")


def test_a_join_sent_after_the_rejoin_that_gives_the_old_place_back_is_a_fault(desk: Desk) -> None:
    i, _ = _rejoined(desk)
    desk.sends(i, Act.REFRESH, 13 * S)
    _answered_late(desk, i, Act.REFRESH, desk.journey.asks(i, 13 * S), place(7, "waiting", 30, 829))
    assert desk.told.contradictions["place not at the back"] == 1


@pytest.mark.parametrize("code", ["expired", "ended", "used", "not-your-turn"])
def test_a_late_refusal_of_the_old_claim_does_not_end_the_new_place(desk: Desk, code: str) -> None:
    i, asked = _rejoined(desk)
    status = 425 if code == "not-your-turn" else 410
    _answered_late(desk, i, Act.CLAIM, asked, refusal(code), status)
    assert not desk.told.contradictions
    assert not desk.told.has(i, Fact.MISSED)
    assert desk.upcoming() == []
    assert desk.errors() == 0


def test_a_late_fault_of_the_server_is_still_an_error(desk: Desk) -> None:
    i, asked = _rejoined(desk)
    _answered_late(desk, i, Act.POLL, asked, refusal("overloaded"), 503)
    assert desk.errors() == 1
    _answered_late(desk, i, Act.POLL, asked, refusal("overloaded"), 503, retry_after=None)
    assert desk.told.contradictions == {"no Retry-After": 1}


def test_a_late_answer_about_a_cancelled_registration_is_not_booked_on_the_next_one(desk: Desk) -> None:
    i = desk.someone()
    view = desk.registers(i)
    asked = desk.journey.asks(i, 20 * S)
    desk.sends(i, Act.CANCEL, 21 * S)
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"}, 21 * S)
    desk.sends(i, Act.JOIN, 22 * S)
    desk.hears(i, Act.JOIN, 201, place(40, "waiting", 30, 30), 22 * S)
    desk.agenda.clear()
    for act in (Act.REGISTER_AGAIN, Act.OPEN_AGAIN, Act.CHANGE):
        _answered_late(desk, i, act, asked, view | {"receipt": "r7"})
    assert not desk.told.contradictions
    assert desk.told.registration_no[i] == 0
    assert desk.told.closed[i].no == int(NO)
