"""Residents do what the page would do: wait as told, come again as told, keep what they were told."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from loadtests.client.answers import ENDPOINTS, METHODS, PAGE_CALLS, Call
from loadtests.client.wire import Answer
from loadtests.crowd.behaviour import Afterthought, Behaviour
from loadtests.resident.acts import CALL_OF, Act
from loadtests.resident.facts import Fact
from tests.support.scripted_server import LATER_NO, NO, Desk, S, at, place, refusal
from tests.support.serving import open_house


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_everyone_arrives_once(desk: Desk) -> None:
    desk.journey.everyone_arrives(-3 * S)
    joins = []
    while (event := desk.next()) is not None:
        assert event[0] >= -3 * S
        if event[2] is Act.JOIN:
            joins.append(event[1])
    assert sorted(joins) == list(range(3000))


def test_who_was_at_the_door_came_with_the_opening(desk: Desk) -> None:
    desk.journey.everyone_arrives(-3 * S)
    for i in range(3000):
        arrival = desk.journey.arrival(i)
        # who came later did so when the curve says, to the millisecond
        assert desk.observations.came_ms[i] == (0 if arrival.at_door else int(arrival.at_seconds * 1000))
    assert {desk.journey.arrival(i).at_door for i in range(3000)} == {True, False}


def test_polls_are_counted_until_the_call(desk: Desk) -> None:
    i = desk.someone()
    desk.gets_a_place(i)
    desk.hears(i, Act.POLL, 200, {"state": "waiting", "number": 3, "serving": 1, "poll_after_seconds": 5})
    desk.is_called(i)
    desk.is_called(i)  # looks again before claiming
    assert desk.observations.polls[i] == 2


def test_an_old_client_goes_from_join_to_registration(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY, plain=True)
    request = desk.sends(i, Act.JOIN)
    who = desk.journey.crowd.resident(i)
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/openings/440106/tickets HTTP/1.1\r\nHost: test:80\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert json.loads(body) == {
        "id_type": who.id_type, "id_number": who.id_number, "name": who.name, "phone": who.phone,
    }  # fmt: skip
    desk.hears(i, Act.JOIN, 201, place(7, "drawing", after=60), 2 * S)
    assert desk.next() == (62 * S, i, Act.POLL)
    assert b"Bearer t7\r\n" in desk.sends(i, Act.POLL, 62 * S)
    desk.hears(i, Act.POLL, 200, {"state": "waiting", "number": 3, "serving": 0, "poll_after_seconds": 9.5}, 63 * S)
    assert desk.next() == (72_500_000, i, Act.POLL)
    desk.is_called(i, 73 * S)
    event = desk.next()
    assert event is not None
    due_us, _, act = event
    assert act is Act.CLAIM
    assert 74 * S <= due_us <= 85 * S
    desk.gets_a_pass(i, due_us)
    event = desk.next()
    assert event is not None
    assert event[2] is Act.REGISTER
    request = desk.sends(i, Act.REGISTER, event[0])
    assert b"Bearer p1\r\n" in request
    wish = json.loads(request.partition(b"\r\n\r\n")[2])
    assert {p["site"] for p in wish["preferences"]} <= {"440106001", "440106002"}
    assert {p["period"] for p in wish["preferences"]} <= {"am", "pm", "any"}
    desk.hears(
        i, Act.REGISTER, 201, {"registration_no": "106190100000073", "state": "proposed", "receipt": "r"}, 150 * S
    )
    assert desk.observations.registration_no[i] == 106190100000073
    assert desk.observations.has(i, Fact.REGISTERED)
    assert desk.next() == (150 * S, i, Act.SHOW_QR)
    assert desk.next() is None
    assert not desk.observations.contradictions
    assert not desk.meters.counts["errors"]


def test_pressing_too_early_comes_again_within_the_draw(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN, -4 * S)
    desk.hears(i, Act.JOIN, 425, refusal("not-open", opens_at=at(0)), -4 * S, retry_after=4)
    event = desk.next()
    assert event is not None
    due_us, _, act = event
    assert act is Act.JOIN
    assert 0 <= due_us <= 120 * S
    assert not desk.meters.counts["errors"]


def test_not_open_long_after_the_opening_is_no_excuse(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN, 90 * S)
    desk.hears(i, Act.JOIN, 503, refusal("maintenance"), 90 * S, retry_after=4)
    assert sum(desk.meters.counts["errors"].values()) == 1


def test_a_refresh_keeps_the_place_and_a_change_is_noted(desk: Desk) -> None:
    i = desk.someone(Behaviour.REFRESHES)
    desk.gets_a_place(i)
    acts = {event[2] for event in iter(desk.next, None) if event}
    assert acts == {Act.WATCH, Act.REFRESH}
    desk.sends(i, Act.REFRESH, 5 * S)
    desk.hears(i, Act.REFRESH, 200, place(7, "drawing", after=55), 5 * S)
    assert desk.next() is None  # the page already knows when to ask
    assert not desk.observations.spent
    desk.hears(i, Act.REFRESH, 201, place(8, "drawing", after=55), 6 * S)
    assert [(spent.entry, spent.how) for spent in desk.observations.spent] == [(7, "unaware")]


def test_a_second_device_joins_at_the_same_time(desk: Desk) -> None:
    i = desk.someone(Behaviour.SECOND_DEVICE)
    desk.sends(i, Act.JOIN, 3 * S)
    assert desk.next() == (3 * S, i, Act.OTHER_DEVICE)
    assert desk.sends(i, Act.OTHER_DEVICE, 3 * S).endswith(desk.journey.crowd.join_body(i))


def test_giving_up_ends_the_waiting(desk: Desk) -> None:
    i = desk.someone(Behaviour.GIVES_UP)
    desk.gets_a_place(i)
    assert {event[2] for event in iter(desk.next, None) if event} == {Act.WATCH, Act.LEAVE}
    assert desk.sends(i, Act.LEAVE).startswith(b"DELETE /api/v1/ticket ")
    desk.journey.answered(i, Act.LEAVE, Answer(204, b"", b""), 0)
    assert desk.observations.has(i, Fact.LEFT)
    assert desk.journey.request(i, Act.POLL, 0) is None
    assert desk.journey.request(i, Act.CLAIM, 0) is None


def test_one_who_forgets_the_page_comes_back_late(desk: Desk) -> None:
    i = desk.someone(Behaviour.COMES_BACK_LATE)
    desk.gets_a_place(i)
    event = desk.next()
    assert event is not None
    assert event[2] is Act.WATCH
    assert event[0] > 90 * S


def test_one_who_never_claims_is_told_missed_after_the_deadline(desk: Desk) -> None:
    i = desk.someone(Behaviour.NEVER_CLAIMS)
    desk.gets_a_place(i)
    assert desk.next() is not None
    desk.is_called(i, 100 * S)
    assert desk.next() == (302 * S, i, Act.POLL)
    desk.hears(i, Act.POLL, 200, {"state": "missed", "number": 3, "serving": 5}, 302 * S)
    assert desk.observations.has(i, Fact.MISSED)
    assert not desk.observations.contradictions
    desk.observations.facts[i] &= ~Fact.MISSED
    desk.hears(i, Act.POLL, 200, {"state": "missed", "number": 3, "serving": 5}, 200 * S)
    assert desk.observations.contradictions == {"missed before its time": 1}


def test_a_missed_call_leads_to_a_new_place_at_the_back(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    desk.observations.note(i, Fact.MISSED)
    desk.sends(i, Act.JOIN, 400 * S)
    desk.hears(i, Act.JOIN, 201, place(90, "waiting", after=5, number=91), 400 * S)
    assert [(spent.entry, spent.how) for spent in desk.observations.spent] == [(7, "missed")]
    assert not desk.observations.has(i, Fact.MISSED)
    assert not desk.observations.contradictions
    desk.observations.note(i, Fact.MISSED)
    desk.hears(i, Act.JOIN, 200, place(90, "waiting", after=5, number=91), 500 * S)
    assert desk.observations.contradictions == {"no new place": 1}


def test_jumping_the_line_is_refused_and_no_error(desk: Desk) -> None:
    i = desk.someone(Behaviour.IMPATIENT)
    desk.gets_a_place(i)
    assert {event[2] for event in iter(desk.next, None) if event} == {Act.WATCH, Act.JUMP}
    desk.sends(i, Act.JUMP, 9 * S)
    desk.hears(i, Act.JUMP, 425, refusal("not-your-turn", ahead=9), 9 * S, retry_after=5)
    assert sum(desk.meters.counts["early claims refused"].values()) == 1
    assert not desk.meters.counts["errors"]
    assert not desk.observations.has(i, Fact.CLAIM_SENT)


def test_called_and_then_refused_is_a_contradiction(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    desk.is_called(i, 100 * S)
    desk.sends(i, Act.CLAIM, 105 * S)
    desk.hears(i, Act.CLAIM, 425, refusal("not-your-turn"), 105 * S, retry_after=5)
    assert desk.observations.contradictions == {"called, then not": 1}


def test_repeated_claims_and_registrations_are_compared(desk: Desk) -> None:
    i = desk.someone(Behaviour.REPEATS)
    desk.gets_a_place(i)
    desk.is_called(i)
    while desk.next():
        pass
    desk.gets_a_pass(i)
    assert {event[2] for event in iter(desk.next, None) if event} == {Act.CLAIM_AGAIN, Act.REGISTER}
    desk.sends(i, Act.CLAIM_AGAIN)
    desk.hears(i, Act.CLAIM_AGAIN, 200, {"pass": "p1", "expires_at": at(600)})
    assert not desk.observations.contradictions
    desk.hears(i, Act.CLAIM_AGAIN, 200, {"pass": "p2", "expires_at": at(600)})
    assert desk.observations.contradictions == {"pass changed": 1}
    answer = {"registration_no": "106190100000073", "state": "proposed", "receipt": "r"}
    desk.sends(i, Act.REGISTER)
    desk.hears(i, Act.REGISTER, 201, answer)
    assert desk.upcoming() == [Act.SHOW_QR, Act.REGISTER_AGAIN]
    desk.hears(i, Act.REGISTER_AGAIN, 200, answer)
    desk.hears(i, Act.REGISTER_AGAIN, 201, answer | {"registration_no": "106190100000081"})
    assert desk.observations.contradictions["registration changed"] == 1


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.TOO_SOON, "too-soon"),
        (Behaviour.WRONG_DISTRICT, "wrong-district"),
        (Behaviour.NO_FIRST_DOSE, "no-first-dose"),
        (Behaviour.COMPLETE, "complete"),
    ],
)
def test_the_ineligible_must_be_refused_with_their_reason(desk: Desk, behaviour: Behaviour, reason: str) -> None:
    i = desk.someone(behaviour)
    desk.sends(i, Act.JOIN)
    desk.hears(i, Act.JOIN, 403, refusal("not-eligible", reason=reason))
    assert desk.observations.has(i, Fact.REFUSED)
    assert not desk.observations.contradictions
    assert desk.next() is None
    desk.hears(i, Act.JOIN, 403, refusal("not-eligible", reason="another"))
    assert desk.observations.contradictions == {"wrongly refused": 1}
    desk.hears(i, Act.JOIN, 201, place(7, "drawing", after=60))
    assert desk.observations.contradictions["wrongly let in"] == 1


def test_a_mistyped_name_is_refused_once(desk: Desk) -> None:
    i = desk.someone(Behaviour.MISTYPES_NAME)
    first = desk.sends(i, Act.JOIN)
    desk.hears(i, Act.JOIN, 403, refusal("identity-mismatch"))
    event = desk.next()
    assert event is not None
    assert event[2] is Act.JOIN
    assert desk.sends(i, Act.JOIN) != first
    desk.hears(i, Act.JOIN, 201, place(7, "drawing", after=60))
    assert not desk.observations.has(i, Fact.ASKED_TWICE)  # their own mistake
    assert not desk.observations.contradictions
    assert not desk.meters.counts["errors"]


@pytest.mark.parametrize(
    ("status", "code"), [(503, "overloaded"), (503, "store-unavailable"), (429, "too-many-requests")]
)
def test_pushed_back_comes_again_as_told_and_counts_as_error(desk: Desk, status: int, code: str) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN, 10 * S)
    desk.hears(i, Act.JOIN, status, refusal(code), 10 * S, retry_after=4)
    event = desk.next()
    assert event is not None
    assert 14 * S <= event[0] <= 17 * S
    assert event[2] is Act.JOIN
    assert sum(desk.meters.counts["errors"].values()) == 1
    assert sum(desk.meters.counts["retries"].values()) == 1
    assert desk.observations.has(i, Fact.ASKED_TWICE)
    desk.hears(i, Act.JOIN, status, refusal(code), 10 * S)
    assert desk.observations.contradictions == {"no Retry-After": 1}


def test_a_broken_connection_is_tried_again_and_leaves_the_join_open(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN)
    desk.journey.unanswered(i, Act.JOIN, "reset", 0)
    assert desk.observations.has(i, Fact.JOIN_OPEN)
    assert desk.observations.has(i, Fact.ASKED_TWICE)
    event = desk.next()
    assert event is not None
    assert event[2] is Act.JOIN
    desk.gets_a_place(i)
    assert not desk.observations.has(i, Fact.JOIN_OPEN)


def test_a_join_from_another_device_leaves_the_place_open_until_it_is_heard_of_too(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN)
    desk.sends(i, Act.OTHER_DEVICE)
    desk.hears(i, Act.JOIN, 201, place(7, "drawing", after=60))
    assert desk.observations.has(i, Fact.JOIN_OPEN)
    desk.hears(i, Act.OTHER_DEVICE, 200, place(7, "drawing", after=60))
    assert not desk.observations.has(i, Fact.JOIN_OPEN)
    # and one that is never heard of leaves it open
    desk.sends(i, Act.REFRESH)
    desk.journey.unanswered(i, Act.REFRESH, "reset", 0)
    assert desk.observations.has(i, Fact.JOIN_OPEN)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"", b"<html>"),
        Answer(200, b"", b'{"state": 5}'),
        Answer(500, b"", b""),
        Answer(201, b"", b'{"state": "drawing", "serving": 0}'),
    ],
)
def test_an_unreadable_answer_is_an_error_not_a_crash(desk: Desk, answer: Answer) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN)
    desk.journey.answered(i, Act.JOIN, answer, 0)
    assert sum(desk.meters.counts["errors"].values()) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 409, 500])
def test_an_unexpected_refusal_is_an_error(desk: Desk, status: int) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    while desk.next():
        pass
    desk.hears(i, Act.POLL, status, refusal("forged"))
    assert sum(desk.meters.counts["errors"].values()) == 1
    assert desk.next() is None


def test_a_ready_join_asks_once_more_for_its_deadline(desk: Desk) -> None:
    """The contract's answer to a join has no claim_before: the first poll says it."""
    i = desk.someone(Behaviour.ORDINARY)
    desk.sends(i, Act.JOIN, 200 * S)
    desk.hears(i, Act.JOIN, 201, place(7, "ready", after=1, number=3), 200 * S)
    assert desk.next() == (201 * S, i, Act.POLL)
    assert not desk.observations.contradictions


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ({"state": "waiting", "serving": 0}, "not told when to ask again"),
        ({"state": "ready", "serving": 9, "number": 3}, "called without a deadline"),
        ({"state": "claimed", "serving": 9}, "claimed without claiming"),
        ({"state": "left", "serving": 9}, "left without leaving"),
        ({"state": "asleep", "serving": 9}, "unknown state"),
    ],
)
def test_strange_polls_are_noted(desk: Desk, says: dict[str, Any], kind: str) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    desk.hears(i, Act.POLL, 200, says)
    assert desk.observations.contradictions == {kind: 1}


def test_a_number_once_told_never_changes(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    waiting: Callable[[int], dict[str, Any]] = lambda number: {  # noqa: E731
        "state": "waiting", "number": number, "serving": 0, "poll_after_seconds": 5,
    }  # fmt: skip
    desk.hears(i, Act.POLL, 200, waiting(3))
    desk.hears(i, Act.POLL, 200, waiting(3))
    assert not desk.observations.contradictions
    desk.hears(i, Act.POLL, 200, waiting(4))
    assert desk.observations.contradictions == {"number changed": 1}


def test_a_pass_that_ran_out_is_expected_to_be_refused(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    desk.is_called(i)
    desk.gets_a_pass(i)
    while desk.next():
        pass
    desk.sends(i, Act.REGISTER, 601 * S)
    desk.hears(i, Act.REGISTER, 410, refusal("expired"), 601 * S)
    assert not desk.meters.counts["errors"]
    assert desk.journey.request(i, Act.REGISTER, 602 * S) is None


def test_a_live_pass_refused_is_an_error(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    desk.gets_a_place(i)
    desk.is_called(i)
    desk.gets_a_pass(i)
    desk.sends(i, Act.REGISTER, 100 * S)
    desk.hears(i, Act.REGISTER, 410, refusal("expired"), 100 * S)
    assert sum(desk.meters.counts["errors"].values()) == 1


def test_receipts_are_looked_up_and_compared(desk: Desk) -> None:
    i = desk.someone(Behaviour.ORDINARY)
    assert desk.journey.request(i, Act.LOOK_UP, 0) is None  # nothing to look up
    desk.observations.registration_no[i] = 106190100000073
    desk.observations.receipts[i] = b"r"
    desk.observations.note(i, Fact.REGISTERED)
    assert desk.sends(i, Act.LOOK_UP).startswith(b"GET /api/v1/registrations/106190100000073 ")
    desk.hears(i, Act.LOOK_UP, 200, {"registration_no": "106190100000073", "state": "proposed"})
    assert sum(desk.meters.counts["receipts opened"].values()) == 1
    desk.hears(i, Act.LOOK_UP, 200, {"registration_no": "106190100000081", "state": "proposed"})
    assert desk.observations.contradictions == {"receipt opens another registration": 1}


def test_those_who_look_see_the_city_and_then_their_opening(desk: Desk) -> None:
    assert desk.sends(0, Act.LOOK).startswith(b"GET /api/v1/city HTTP/1.1\r\n")
    desk.hears(0, Act.LOOK, 200, {})
    assert desk.next() == (0, 0, Act.LOOK_CLOSER)
    assert desk.sends(0, Act.LOOK_CLOSER).startswith(b"GET /api/v1/openings/440106 HTTP/1.1\r\n")


def test_a_lapsed_pass_gives_way_to_a_new_place(desk: Desk) -> None:
    i = desk.someone(Behaviour.LEAVES_FORM)
    desk.gets_a_place(i)
    desk.is_called(i)
    desk.gets_a_pass(i)
    assert Act.REGISTER not in {event[2] for event in iter(desk.next, None) if event}
    desk.hears(i, Act.JOIN, 201, place(50, "waiting", after=5, number=51), 700 * S)
    assert [(spent.entry, spent.how) for spent in desk.observations.spent] == [(7, "lapsed")]
    assert [
        (p.entry, p.expires_ms) for p in (*desk.observations.last_passes([i]), *desk.observations.spent_passes)
    ] == [(7, 600_000)]
    assert not desk.observations.contradictions


def test_the_form_asks_for_the_sites_first(desk: Desk) -> None:
    i = desk.someone(sites=True)
    desk.gets_a_place(i)
    desk.is_called(i)
    desk.agenda.clear()
    desk.gets_a_pass(i, 10 * S)
    assert desk.next() == (10 * S, i, Act.SITES)
    assert desk.sends(i, Act.SITES).startswith(b"GET /api/v1/sites?district=440106 HTTP/1.1\r\n")
    desk.hears(i, Act.SITES, 200, {"sites": [{"site": "440106001", "district": "440106"}]}, 11 * S)
    assert desk.upcoming() == [Act.REGISTER]
    desk.hears(i, Act.SITES, 200, {"sites": []}, 11 * S)
    assert desk.errors() == 1


def test_the_receipt_shows_its_image(desk: Desk) -> None:
    i = desk.someone()
    desk.registers(i)
    assert desk.upcoming() == [Act.SHOW_QR]
    request = desk.sends(i, Act.SHOW_QR)
    assert request.startswith(b"GET /api/v1/registrations/106190100000073/qr.svg HTTP/1.1\r\n")
    assert b"Authorization" not in request
    desk.journey.answered(i, Act.SHOW_QR, Answer(200, b"", b"<svg></svg>"), 0)
    assert desk.errors() == 0
    desk.journey.answered(i, Act.SHOW_QR, Answer(200, b"", b"{}"), 0)
    assert desk.errors() == 1


@pytest.mark.parametrize("sites", [False, True])
def test_second_thoughts_change_the_wishes(desk: Desk, sites: bool) -> None:
    i = desk.someone(thought=Afterthought.CHANGES, sites=sites)
    view = desk.registers(i)
    assert desk.upcoming() == [Act.SHOW_QR, Act.OPEN_AGAIN]
    assert b"Bearer r7\r\n" in desk.sends(i, Act.OPEN_AGAIN)
    desk.hears(i, Act.OPEN_AGAIN, 200, view)
    assert desk.upcoming() == [Act.SITES if sites else Act.CHANGE]
    if sites:
        desk.hears(i, Act.SITES, 200, {"sites": [{"site": "440106001", "district": "440106"}]})
        assert desk.upcoming() == [Act.CHANGE]
    request = desk.sends(i, Act.CHANGE)
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"PATCH /api/v1/registrations/106190100000073 HTTP/1.1\r\n")
    assert b"Bearer r7" in head
    assert b"Content-Length: %d" % len(body) in head
    wishes = json.loads(body)
    assert wishes != {name: view[name] for name in ("preferences", "accept_any_site")}
    assert desk.observations.wish_turns(i) == (0, 1)  # unheard
    assert request == desk.sends(i, Act.CHANGE)  # the same again
    desk.hears(i, Act.CHANGE, 200, view | wishes)
    assert desk.observations.wish_turns(i) == (1,)
    assert not desk.observations.contradictions
    desk.hears(i, Act.LOOK_UP, 200, view)  # what was before the change
    assert desk.observations.contradictions == {"registration not as told": 1}
    assert desk.errors() == 0


def test_a_cancelled_registration_stays_cancelled(desk: Desk) -> None:
    i = desk.someone(Behaviour.REPEATS, Afterthought.CANCELS)
    view = desk.registers(i)
    assert desk.upcoming() == [Act.SHOW_QR, Act.REGISTER_AGAIN, Act.OPEN_AGAIN]
    desk.hears(i, Act.OPEN_AGAIN, 200, view)
    assert desk.upcoming() == [Act.CANCEL]
    request = desk.sends(i, Act.CANCEL)
    assert request.startswith(b"POST /api/v1/registrations/106190100000073/cancellation HTTP/1.1\r\n")
    assert request.endswith(b"Authorization: Bearer r7\r\nContent-Length: 0\r\n\r\n")
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"})
    assert desk.observations.has(i, Fact.CANCELLED)
    assert desk.upcoming() == [Act.CANCEL]  # a double tap
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"})
    assert desk.upcoming() == []
    assert not desk.observations.contradictions
    desk.hears(i, Act.LOOK_UP, 200, view)
    assert desk.observations.contradictions == {"registration not as told": 1}


def test_who_cancelled_may_start_again_at_the_back(desk: Desk) -> None:
    i = desk.someone(thought=Afterthought.RETURNS)
    view = desk.registers(i)
    desk.sends(i, Act.CANCEL)
    desk.agenda.clear()
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"})
    assert desk.upcoming() == [Act.JOIN]
    desk.sends(i, Act.JOIN, 200 * S)
    desk.hears(i, Act.JOIN, 201, place(90, "waiting", after=5, number=91), 200 * S)
    assert [(spent.entry, spent.how) for spent in desk.observations.spent] == [(7, "cancelled")]
    assert desk.observations.closed[i].no == int(NO)
    assert [(p.entry, p.used_ms) for p in (*desk.observations.last_passes([i]), *desk.observations.spent_passes)] == [
        (7, 0)
    ]
    assert not desk.observations.has(i, Fact.REGISTERED | Fact.CANCELLED | Fact.CLAIMED)
    assert desk.journey.request(i, Act.CANCEL, 200 * S) is None  # the old receipt is of no more use
    again = desk.registers(i, LATER_NO, 90)
    assert again["accept_any_site"] != view["accept_any_site"]
    assert desk.upcoming() == [Act.SHOW_QR]  # and keeps it this time
    assert desk.observations.wish_turns(i) == (2,)
    assert desk.observations.registered_ever(i)
    assert not desk.observations.contradictions
    assert desk.errors() == 0


def test_a_cancelled_number_is_not_given_again(desk: Desk) -> None:
    i = desk.someone(thought=Afterthought.RETURNS)
    view = desk.registers(i)
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"})
    desk.hears(i, Act.JOIN, 201, place(90, "waiting", after=5, number=91), 200 * S)
    desk.registers(i, NO, 90)
    assert desk.observations.contradictions == {"registration changed": 1}


def test_a_pass_that_was_not_freed_is_waited_for(desk: Desk) -> None:
    """A server killed just after it stored a registration: the place is spent once the pass has lapsed."""
    i = desk.someone(thought=Afterthought.RETURNS)
    view = desk.registers(i)
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"})
    desk.agenda.clear()
    desk.hears(i, Act.JOIN, 200, place(7, "ready", after=1, number=3), 200 * S)
    assert desk.next() == (601 * S, i, Act.JOIN)
    assert not desk.observations.contradictions
    desk.hears(i, Act.JOIN, 200, place(7, "ready", after=1, number=3), 700 * S)
    assert desk.observations.contradictions == {"no new place": 1}


def test_an_open_registration_lets_nobody_have_a_new_place(desk: Desk) -> None:
    i = desk.someone()
    desk.registers(i)
    desk.hears(i, Act.JOIN, 201, place(90, "waiting", after=5, number=91), 700 * S)
    assert desk.observations.contradictions == {"place changed": 1}


def test_some_at_the_door_check_whether_they_may_register(desk: Desk) -> None:
    desk.journey.everyone_arrives(-20 * S)
    checks = [event for event in iter(desk.next, None) if event and event[2] is Act.CHECK]
    assert 0.01 < len(checks) / 1500 < 0.04  # half the crowd is at the door
    assert all(-8 * S <= event[0] <= -1 * S for event in checks)
    desk.journey.everyone_arrives(1 * S)
    assert Act.CHECK not in desk.upcoming()  # it is open: the join says so itself


def test_a_check_says_what_a_join_would(desk: Desk) -> None:
    i = desk.someone()
    request = desk.sends(i, Act.CHECK, -5 * S)
    assert request.startswith(b"POST /api/v1/openings/440106/eligibility HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n" + desk.journey.crowd.join_body(i))
    dose = desk.journey.crowd.resident(i).first_dose.isoformat()
    told = {"eligible": True, "date": "2021-06-19", "first_dose_date": dose, "product": "inactivated"}
    desk.hears(i, Act.CHECK, 200, told)
    assert not desk.observations.contradictions
    desk.hears(i, Act.CHECK, 200, told | {"first_dose_date": "2021-01-01"})
    assert desk.observations.contradictions == {"eligibility of another": 1}
    early = desk.someone(Behaviour.TOO_SOON)
    desk.hears(early, Act.CHECK, 403, refusal("not-eligible", reason="too-soon"))
    assert not desk.observations.has(early, Fact.REFUSED)  # they come all the same
    desk.hears(early, Act.CHECK, 403, refusal("not-eligible", reason="complete"))
    assert desk.observations.contradictions["wrongly refused"] == 1
    desk.sends(i, Act.JOIN)
    assert desk.journey.request(i, Act.CHECK, 0) is None
    assert desk.errors() == 0


def test_a_mistyped_name_is_put_right_before_the_opening(desk: Desk) -> None:
    i = desk.someone(Behaviour.MISTYPES_NAME)
    first = desk.sends(i, Act.CHECK)
    desk.hears(i, Act.CHECK, 403, refusal("identity-mismatch"), -6 * S)
    assert desk.upcoming() == [Act.CHECK]
    assert desk.sends(i, Act.CHECK) != first
    desk.hears(i, Act.CHECK, 403, refusal("identity-mismatch"), -5 * S)
    assert desk.errors() == 1


def test_in_the_night_nobody_can_check(desk: Desk) -> None:
    i = desk.someone()
    desk.hears(i, Act.CHECK, 503, refusal("maintenance"), -5 * S, retry_after=5)
    assert desk.upcoming() == []
    assert desk.errors() == 0
    desk.hears(i, Act.CHECK, 503, refusal("maintenance"), 60 * S, retry_after=5)
    assert desk.errors() == 1


def test_a_lost_receipt_leads_to_a_code(desk: Desk) -> None:
    i = desk.someone(thought=Afterthought.LOSES_RECEIPT)
    view = desk.registers(i)
    assert desk.upcoming() == [Act.SHOW_QR, Act.ASK_CODE]
    who = desk.journey.crowd.resident(i)
    papers = {"id_type": who.id_type, "id_number": who.id_number, "phone": who.phone}
    request = desk.sends(i, Act.ASK_CODE)
    assert request.startswith(b"POST /api/v1/access-codes HTTP/1.1\r\n")
    assert json.loads(request.partition(b"\r\n\r\n")[2]) == papers
    desk.hears(i, Act.ASK_CODE, 202, {"expires_in_seconds": 300, "retry_after_seconds": 60, "sms_file": None})
    assert desk.upcoming() == [Act.SHOW_CODE]
    request = desk.sends(i, Act.SHOW_CODE)
    assert request.startswith(b"POST /api/v1/access-tokens HTTP/1.1\r\n")
    shown = json.loads(request.partition(b"\r\n\r\n")[2])
    assert len(shown.pop("code")) == 6
    assert shown == papers
    desk.hears(i, Act.SHOW_CODE, 422, refusal("invalid", errors=[{"field": "code", "message": "?"}]))
    assert desk.errors() == 0
    desk.hears(i, Act.SHOW_CODE, 422, refusal("invalid", errors=[{"field": "phone", "message": "?"}]))
    assert desk.errors() == 1
    desk.hears(i, Act.SHOW_CODE, 201, view | {"receipt": "r"})  # guessed: one in a million
    assert not desk.observations.contradictions
    desk.hears(i, Act.SHOW_CODE, 201, view | {"registration_no": LATER_NO})
    assert desk.observations.contradictions == {"code opens another registration": 1}


def test_strangers_ask_for_a_code_and_must_be_told_the_same(desk: Desk) -> None:
    strangers = [i for i in range(3000) if desk.journey.crowd.behaviour(i) is Behaviour.NO_FIRST_DOSE]
    for i in strangers:
        desk.sends(i, Act.JOIN)
        desk.hears(i, Act.JOIN, 403, refusal("not-eligible", reason="no-first-dose"))
    asking = desk.upcoming()
    assert set(asking) == {Act.ASK_CODE}
    assert 0 < len(asking) < len(strangers)
    answer = {"expires_in_seconds": 300, "retry_after_seconds": 60, "sms_file": "sms.txt"}
    desk.hears(desk.someone(), Act.ASK_CODE, 202, answer)
    desk.hears(strangers[0], Act.ASK_CODE, 202, answer)
    assert not desk.observations.contradictions
    desk.hears(strangers[0], Act.ASK_CODE, 202, answer | {"sms_file": None})
    assert desk.observations.contradictions == {"code answered another way": 1}


def test_too_many_codes_are_expected_only_where_an_answer_was_lost(desk: Desk) -> None:
    i = desk.someone(thought=Afterthought.LOSES_RECEIPT)
    desk.sends(i, Act.ASK_CODE)
    desk.journey.unanswered(i, Act.ASK_CODE, "reset", 0)
    desk.sends(i, Act.ASK_CODE)
    desk.agenda.clear()
    desk.hears(i, Act.ASK_CODE, 429, refusal("too-many-requests"), retry_after=58)
    assert desk.upcoming() == [Act.SHOW_CODE]
    assert desk.errors() == 1  # the lost connection
    other = desk.someone()
    desk.sends(other, Act.ASK_CODE)
    desk.hears(other, Act.ASK_CODE, 429, refusal("too-many-requests"), retry_after=58)
    assert desk.errors() == 2


def test_there_is_no_appointment_before_the_night(desk: Desk) -> None:
    i = desk.someone()
    desk.registers(i)
    request = desk.sends(i, Act.CALENDAR)
    assert request.startswith(b"GET /api/v1/registrations/106190100000073/appointment.ics HTTP/1.1\r\n")
    desk.hears(i, Act.CALENDAR, 404, refusal("not-found"))
    assert desk.errors() == 0
    desk.hears(i, Act.CALENDAR, 200, {})
    assert desk.observations.contradictions == {"appointment before the night": 1}


def test_every_act_is_one_of_the_pages_calls(desk: Desk) -> None:
    """What is sent for each act is the call it is counted as, and `PAGE_CALLS` has them all."""
    i = desk.someone(thought=Afterthought.LOSES_RECEIPT)
    sent: dict[Act, bytes] = {act: desk.sends(i, act) for act in (Act.CHECK, Act.LOOK, Act.LOOK_CLOSER, Act.JOIN)}
    desk.gets_a_place(i)
    for act in (Act.REFRESH, Act.OTHER_DEVICE, Act.POLL, Act.WATCH, Act.JUMP):
        sent[act] = desk.sends(i, act)
    desk.observations.facts[i] &= ~Fact.CLAIM_SENT
    sent[Act.LEAVE] = desk.sends(i, Act.LEAVE)
    desk.observations.facts[i] &= ~Fact.LEAVE_SENT
    desk.is_called(i)
    sent[Act.CLAIM] = desk.sends(i, Act.CLAIM)
    desk.gets_a_pass(i)
    sent[Act.CLAIM_AGAIN] = desk.sends(i, Act.CLAIM_AGAIN)
    for act in (Act.REGISTER, Act.REGISTER_AGAIN):
        sent[act] = desk.sends(i, act)
    desk.hears(i, Act.REGISTER, 201, {"registration_no": NO, "state": "proposed", "receipt": "r"})
    sent |= {act: desk.sends(i, act) for act in Act if act not in sent}
    for act, request in sent.items():
        method, path, _ = request.decode().split(" ", 2)
        plain = path.partition("?")[0].replace("440106", "{district}").replace(NO, "{no}")
        assert (method, plain) in PAGE_CALLS
        assert (METHODS[CALL_OF[act]], "/api/v1" + ENDPOINTS[CALL_OF[act]][1]) == (method, plain)
    assert {CALL_OF[act] for act in sent} == set(Call)
    assert len(PAGE_CALLS) == len(Call)


async def test_the_pages_calls_are_in_the_servers_schema(store_url: str) -> None:
    async with open_house(store_url) as house:
        paths = (await house.client.get("/schema")).json()["paths"]
    assert PAGE_CALLS <= {(method.upper(), path) for path, item in paths.items() for method in item}


def test_two_claims_on_their_way_may_overtake_each_other(desk: Desk) -> None:
    i = desk.someone(Behaviour.IMPATIENT)
    desk.gets_a_place(i)
    desk.sends(i, Act.JUMP)
    desk.is_called(i)
    desk.sends(i, Act.CLAIM)
    desk.hears(i, Act.CLAIM, 200, {"pass": "p1", "expires_at": at(600)})
    desk.hears(i, Act.JUMP, 201, {"pass": "p1", "expires_at": at(600)})
    assert not desk.observations.contradictions
    desk.hears(i, Act.JUMP, 201, {"pass": "p2", "expires_at": at(600)})
    assert desk.observations.contradictions == {"pass changed": 1}


def test_a_claim_sent_again_may_come_after_the_registration_or_the_end_of_the_pass(desk: Desk) -> None:
    i = desk.someone(Behaviour.REPEATS)
    desk.gets_a_place(i)
    desk.is_called(i)
    desk.gets_a_pass(i)
    desk.hears(i, Act.CLAIM_AGAIN, 410, refusal("expired"), 500 * S)
    assert desk.observations.contradictions["pass changed"] == 1
    desk.hears(i, Act.CLAIM_AGAIN, 410, refusal("expired"), 600 * S)
    desk.sends(i, Act.REGISTER)
    desk.hears(i, Act.CLAIM_AGAIN, 409, refusal("used"))
    assert desk.observations.contradictions["pass changed"] == 1


def test_a_receipt_that_opens_nothing_after_the_run_is_left_to_the_audit(desk: Desk) -> None:
    i = desk.someone()
    desk.registers(i)
    desk.sends(i, Act.LOOK_UP)
    desk.hears(i, Act.LOOK_UP, 404, refusal("not-found"))
    assert desk.observations.not_found == {i}
    assert not desk.errors()


def test_the_answer_to_a_second_tap_cancels_nothing_new(desk: Desk) -> None:
    i = desk.someone(thought=Afterthought.RETURNS)
    view = desk.registers(i)
    desk.sends(i, Act.CANCEL)
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"})
    desk.gets_a_place(i, 70)
    desk.hears(i, Act.CANCEL, 200, view | {"state": "cancelled"})
    assert not desk.observations.has(i, Fact.CANCELLED)
    assert not desk.observations.contradictions
