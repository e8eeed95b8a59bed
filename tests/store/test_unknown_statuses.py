"""A script's status that nobody knows is never a success: whoever asked comes again, and what was owed stays owed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import httpx
import pytest
from structlog.testing import capture_logs

from server.appointments.giving import SlotGrant
from server.appointments.numbers import Numbers
from server.core.errors import StoreUnavailable
from server.core.keys import day_tag, key, resident_tag
from server.core.metrics import Metrics
from server.messages.delivery_receipts import ReportedDelivery
from server.night.steps import STEPS
from server.operations.retention import purge
from server.records.first_dose import FirstDoseRecord
from server.records.message import DeadLetter, Next, Pointer, Sent
from server.records.registration import NewRegistration
from server.records.registration_changes import Change
from server.records.scripts import SCRIPTS
from server.records.slot import RosterEntry, Slot
from server.records.statuses import known
from server.store.connecting import connect
from tests.support.nights import DAY, NightHouse, fill, resident_of
from tests.support.post import Phones, Post, open_post
from tests.support.serving import (
    OPERATOR,
    TIANHE,
    House,
    at_half_past_eight,
    person,
    refused,
)
from tests.support.stores import FIELDS, Store
from tests.support.unknown import WORD, Stub

MONDAY = date(2021, 6, 21)
REASON = {"reason": "停电"}
ANY_SITE: dict[str, Any] = {"preferences": [], "accept_any_site": True}

Ask: TypeAlias = Callable[[], Awaitable[httpx.Response]]
Prepare: TypeAlias = Callable[[House], Awaitable[Ask]]


class Call(NamedTuple):
    """A call that comes upon a script.

    Attributes:
        prepare: all that comes before it; gives back the call itself.
        changes: kinds of keys that other scripts of the same call may change, for good.
    """

    prepare: Prepare
    changes: frozenset[str]


CALLS: dict[str, Call] = {}


def upon(script: str, *changes: str) -> Callable[[Prepare], Prepare]:
    """The decorated call comes upon this script."""

    def keep(prepare: Prepare) -> Prepare:
        CALLS[script] = Call(prepare, frozenset(changes))
        return prepare

    return keep


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Half past eight on 19 June 2021; residents 0 to 9 of Tianhe are eligible."""
    async with at_half_past_eight(store_url, 10) as it:
        yield it


def logged(logs: Iterable[Any]) -> set[tuple[str, str]]:
    """(script, what it said) of what was logged as unknown."""
    return {(it["script"], it["status"]) for it in logs if it["event"] == "unknown status"}


# Calls over HTTP


@upon("join")
async def _join(house: House) -> Ask:
    return lambda: house.try_join(person(0))


@upon("check_papers")
async def _papers(house: House) -> Ask:
    return lambda: house.try_join(person(0))


@upon("rejoin")
async def _rejoin(house: House) -> Ask:
    await house.join(person(0))
    await house.forward(1)
    await house.forward(3600)
    return lambda: house.try_join(person(0))


@upon("replace_record", "places", "opening")
async def _keep_contact(house: House) -> Ask:
    (record,) = await house.store.records([house.resident(person(0))])
    assert record is not None
    bare = FirstDoseRecord(record.day, record.product, record.district, record.match)
    await house.store.keep_first_doses([(house.resident(person(0)), bare)])
    return lambda: house.try_join(person(0))


async def _ticket(house: House) -> str:
    """Of somebody who has been called."""
    ticket = str((await house.join(person(0)))["ticket"])
    await house.forward(1)
    return ticket


@upon("standing")
async def _poll(house: House) -> Ask:
    ticket = await _ticket(house)
    return lambda: house.call("GET", "/ticket", bearer=ticket)


@upon("claim")
async def _claim(house: House) -> Ask:
    ticket = await _ticket(house)
    return lambda: house.call("POST", "/passes", bearer=ticket)


@upon("leave")
async def _leave(house: House) -> Ask:
    ticket = await _ticket(house)
    return lambda: house.call("DELETE", "/ticket", bearer=ticket)


@upon("unenrol", "places", "leavers", "left", "opening", "done")
async def _leave_and_forget(house: House) -> Ask:
    ticket = await _ticket(house)
    return lambda: house.call("DELETE", "/ticket", bearer=ticket)


@upon("register")
async def _register(house: House) -> Ask:
    pass_ = await house.claim(await _ticket(house))
    return lambda: house.register(pass_)


@upon("amend")
async def _amend(house: House) -> Ask:
    done = await house.registered(person(0))
    wishes = ANY_SITE | {"not_before": "2021-06-30"}
    path = f"/registrations/{done['registration_no']}"
    return lambda: house.call("PATCH", path, bearer=done["receipt"], json=wishes)


def _cancel(house: House, done: Any) -> Ask:
    path = f"/registrations/{done['registration_no']}/cancellation"
    return lambda: house.call("POST", path, bearer=done["receipt"])


# A pointer too many, to what has been owed since before, does no harm.
@upon("cancel", "outbox")
async def _cancel_it(house: House) -> Ask:
    return _cancel(house, await house.booked(person(0), MONDAY))


# Cancelled it is, and the note of the slot stays until it is reconciled.
@upon("vacate", "outbox", "registration", "stop", "history", "owed", "unsettled")
async def _cancel_and_free(house: House) -> Ask:
    return _cancel(house, await house.booked(person(0), MONDAY))


def _attend(house: House, done: Any) -> Ask:
    seen = {"registration_no": done["registration_no"], "date": MONDAY.isoformat()}
    return lambda: house.call("POST", "/attendances", bearer=house.staff("T1"), json=seen)


@upon("attend")
async def _come(house: House) -> Ask:
    done = await house.booked(person(0), MONDAY)
    await house.at("09:00:00", MONDAY)
    return _attend(house, done)


@upon("unattend")
async def _take_back(house: House) -> Ask:
    done = await house.booked(person(0), MONDAY)
    await house.at("09:00:00", MONDAY)
    assert (await _attend(house, done)()).status_code == 200
    path, body = f"/attendances/{done['registration_no']}/undo", REASON | {"date": MONDAY.isoformat()}
    return lambda: house.call("POST", path, bearer=house.staff("T1"), json=body)


def _help(house: House) -> Ask:
    token = house.services.helper_tokens.token("shamian", house.day, 2**32 - 1)[0]
    path, body = f"/assist/openings/{TIANHE}/tickets", person(0).papers(consent="self")
    return lambda: house.call("POST", path, bearer=token, json=body)


@upon("assist")
async def _be_helped(house: House) -> Ask:
    return _help(house)


# The place is theirs by then, as it would be had they come alone; asking again finds it.
@upon("note_help", "helped", "lane", "acts", "places", "opening", "leaves")
async def _be_helped_on_record(house: House) -> Ask:
    return _help(house)


# What the desk has said is kept first of all.
@upon("reconcile_attendance", "attendances", "outbox")
async def _come_all_the_same(house: House) -> Ask:
    done = await house.booked(person(0), MONDAY)
    assert (await _cancel(house, done)()).status_code == 200
    await house.at("09:00:00", MONDAY)
    return _attend(house, done)


@upon("close_site")
async def _close(house: House) -> Ask:
    await house.booked(person(0), MONDAY)
    closed = {"date": MONDAY.isoformat(), **REASON}
    return lambda: house.call("POST", "/sites/T1/closures", bearer=house.staff("T1"), json=closed)


# Closed it is, and who is sent back is on the list of those to be looked at.
@upon("reopen", "closures", "audit", "pending")
async def _send_back(house: House) -> Ask:
    return await _close(house)


@upon("lift")
async def _lift(house: House) -> Ask:
    done = await house.registered(person(0))
    client: Any = house.store.client
    await client.set(key("stop", resident_tag(house.resident(person(0)))), "barred")
    return lambda: house.call("DELETE", f"/bars/{done['registration_no']}", bearer=OPERATOR, json=REASON)


@upon("called")
async def _called(house: House) -> Ask:
    no = (await house.registered(person(0)))["registration_no"]
    await house.store.note_call(TIANHE, no, house.resident(person(0)))
    return lambda: house.call("DELETE", f"/operations/calls/{no}", bearer=OPERATOR, json=REASON)


@upon("unshelve_message")
async def _resend(house: House) -> Ask:
    no = (await house.registered(person(0)))["registration_no"]
    letter = DeadLetter(house.resident(person(0)), 1, "registered", no, house.clock.at_ms, 9, "ConnectionError")
    await house.store.keep_dead_letter(TIANHE, "p-1", letter)
    return lambda: house.call("POST", "/operations/dead/p-1/resend", bearer=OPERATOR)


@upon("adjust")
async def _adjust(house: House) -> Ask:
    return lambda: house.call("PATCH", f"/openings/{TIANHE}", bearer=OPERATOR, json={"rate_per_second": 3})


@upon("try_code")
async def _show_code(house: House) -> Ask:
    await house.registered(person(0))
    papers = person(0).papers()
    del papers["name"]
    assert (await house.call("POST", "/access-codes", json=papers)).status_code == 202
    await house.services.access.settled()
    phones = Phones()
    assert await house.services.sender.send_codes(phones, "test") == 1
    code = "".join(c if c.isdigit() else " " for c in phones.messages[0][1]).split()[0]
    return lambda: house.call("POST", "/access-tokens", json=papers | {"code": code})


@pytest.mark.parametrize("script", sorted(CALLS))
async def test_a_call_whose_status_nobody_knows_is_refused_and_has_changed_nothing(script: str, house: House) -> None:
    ask = await CALLS[script].prepare(house)
    await house.passes_freed()
    before = await house.everything()
    stub = Stub(house.store, script)
    with capture_logs() as logs:
        refused(await ask(), "store-unavailable", 503)
    assert stub.batches, "it is this script that the call comes upon"
    assert logged(logs) == {(script, "0" if script == "check_papers" else WORD.decode())}
    assert house.store.tallies.unknown_statuses[script] >= 1
    await house.passes_freed()
    after = await house.everything()
    differ = {it.partition(b":")[0].decode() for it in before.keys() | after if before.get(it) != after.get(it)}
    assert differ <= CALLS[script].changes
    stub.off()
    assert (await ask()).is_success, "nothing stands in the way of asking again"


async def test_a_place_that_is_none_for_no_known_reason_is_not_given_and_the_neighbours_are(house: House) -> None:
    def answer(args: Any) -> list[int | bytes]:
        return [b"ok", -1, 0, -9, *(2 * entry + 1 for entry in range(1, len(args[2]) // 16))]

    stub = Stub(house.store, "join", answer)
    one, other = await asyncio.gather(*(house.try_join(person(i)) for i in range(2)))
    assert len(stub.batches) == 1, "they travel together"
    refused(one, "store-unavailable", 503)
    assert (other.status_code, other.json()["entry"]) == (201, 1)


async def test_one_status_that_nobody_knows_neither_fails_nor_blesses_its_neighbours(house: House) -> None:
    tickets = [(await house.join(person(i)))["ticket"] for i in range(2)]
    await house.forward(2)
    passes = [await house.claim(ticket) for ticket in tickets]
    numbers: list[Any] = []

    def answer(args: Any) -> Any:
        numbers.append(args[3])
        return None if len(numbers) > 1 else [WORD, args[0], str(args[3]).encode(), 0]

    stub = Stub(house.store, "register", answer)
    one, other = await asyncio.gather(*(house.register(it) for it in passes))
    assert stub.batches == [2], "they travel together"
    refused(one, "store-unavailable", 503)
    assert other.status_code == 201
    assert await house.store.registration_fields(house.resident(person(0))) == {}


# What a worker does by itself


async def test_an_opening_that_is_not_known_to_be_prepared_gives_no_places(house: House) -> None:
    house.set_time("08:30:00", MONDAY)
    stub = Stub(house.store, "prepare")
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await house.look()
    assert logged(logs) == {("prepare", "surprise")}
    refused(await house.try_join(person(0)), "store-unavailable", 503)
    stub.off()
    await house.look()
    await house.join(person(0))


@pytest.mark.parametrize("script", ["bind_draw", "fix_draw", "close_draw"])
async def test_a_draw_that_is_not_known_to_be_settled_is_settled_later(script: str, house: House) -> None:
    await house.at("08:00:10", MONDAY)
    tickets = [(await house.join(person(i)))["ticket"] for i in range(2)]
    assert (await house.call("DELETE", "/ticket", bearer=tickets[0])).status_code == 204
    stub = Stub(house.store, script)
    house.set_time("08:10:00")
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await house.look()
    assert logged(logs) == {(script, "surprise")}
    client: Any = house.store.client
    assert await client.hget(f"opening:{{{TIANHE}:{MONDAY}}}", "settled") == b"0"
    stub.off()
    await house.look()
    await house.forward(1)
    assert (await house.get("/ticket", bearer=tickets[1]))["state"] == "ready"


async def test_a_promise_that_may_not_be_public_holds_nobody_up(house: House) -> None:
    await house.at("08:10:00")
    stub = Stub(house.store, "calibrate")
    ticket = (await house.join(person(0)))["ticket"]
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await house.at("08:10:01")
    assert logged(logs) == {("calibrate", "surprise")}
    assert (await house.get("/ticket", bearer=ticket))["state"] == "ready"
    stub.off()
    await house.at("08:10:02")
    assert house.services.room.opening(TIANHE).promise_text == ""  # it is seen with the next look
    await house.at("08:10:03")
    assert house.services.room.opening(TIANHE).promise_text != ""


# The night

NIGHT = {
    "lease": "close", "enter_night": "close", "miss": "close", "note_night": "close", "correct": "freeze",
    "freeze": "freeze", "take": "allot", "book": "allot", "settle": "allot", "pass_over": "allot", "remind": "tell",
    "commit_night": "tell",
}  # fmt: skip
"""Script -> the step that comes upon it."""

TONIGHT = day_tag(TIANHE, DAY)


@pytest.fixture
async def night(store_url: str, tmp_path: Path) -> AsyncIterator[NightHouse]:
    """Twenty people of Tianhe wait, for ten slots; one has missed their appointment of the day, and of another the
    registry says something new."""
    store = Store(await connect(store_url))
    it = NightHouse(store, tmp_path / "results")
    it.at("12:00:00")
    put = await fill(store, 20, per_slot=1, districts=(TIANHE,))
    for n in range(2, 7):
        await store.keep_capacity(
            day_tag(TIANHE, DAY + timedelta(days=n)),
            {Slot(f"{TIANHE}-{s}", "pm", "inactivated"): 0 for s in range(1, 5)},
        )
    await store.keep_capacity(TONIGHT, {Slot(f"{TIANHE}-1", "am", "inactivated"): 1})
    no = next(iter(put))
    slot = RosterEntry(no, put[no]["resident"], f"{TIANHE}-1", "am", "inactivated")
    assert await it.appointments.give(TIANHE, [SlotGrant(slot, DAY)], "test") == ["booked"]
    (record,) = await store.records([resident_of(TIANHE, 7)])
    assert record is not None
    news = FirstDoseRecord(record.day - 1, record.product, record.district, record.match, record.contact)
    await store.keep_first_doses([(resident_of(TIANHE, 7), news)])
    it.at("20:10:00")
    yield it
    await store.close()


@pytest.mark.parametrize("script", sorted(NIGHT))
async def test_a_step_of_the_night_whose_status_nobody_knows_is_not_done(script: str, night: NightHouse) -> None:
    stub = Stub(night.store, script)
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await night.night.run(DAY, patience_s=0)
    assert stub.batches
    assert logged(logs) == {(script, "surprise")}
    (kept,) = await night.store.nights([TONIGHT])
    undone = STEPS[STEPS.index(NIGHT[script]) :]
    assert not [step for step in undone if kept.is_done(step)]
    stub.off()
    (brought,) = [it for it in await night.night.run(DAY) if it.district == TIANHE]
    assert await night.night.is_done(DAY)
    assert (brought.missed, brought.registrations) == (1, 19)
    given = [await night.store.roster(day_tag(TIANHE, DAY + timedelta(days=n))) for n in range(2, 7)]
    assert sum(map(len, given)) == brought.counts["allotted"] > 5
    assert brought.reminded == 0, "who got it tonight has just been told"


def _of_one(no: str, word: Any, args: Sequence[Any]) -> Any:
    """What is said of this number; of others what the script says."""
    return word if args[2] == no else None


async def test_who_is_given_a_slot_gets_it_whatever_is_said_of_a_neighbour(night: NightHouse) -> None:
    on = DAY + timedelta(days=3)
    wanted = [
        SlotGrant(RosterEntry(f"10619022{i:07d}", resident_of(TIANHE, i), f"{TIANHE}-{i}", "am", "inactivated"), on)
        for i in (1, 2)
    ]
    numbers = await night.store.numbers([it.slot.resident for it in wanted])
    wanted = [it._replace(slot=it.slot._replace(no=no)) for it, no in zip(wanted, numbers, strict=True)]
    for script in ("take", "book"):
        first = wanted[0].slot.no
        word: Any = [WORD, 1] if script == "take" else WORD
        stub = Stub(night.store, script, partial(_of_one, first, word))
        unknown, told = await night.appointments.give(TIANHE, wanted, "test")
        assert (str(unknown), told in ("booked", "again")) == ("store-unavailable", True)
        assert (await night.store.registration_fields(wanted[0].slot.resident))["state"] == "proposed"
        assert [it.no for it in await night.store.roster(day_tag(TIANHE, on))] == [wanted[1].slot.no]
        assert await night.store.open_changes([day_tag(TIANHE, on)]) == [[]], "and nothing is left to be settled"
        stub.off()
    assert await night.appointments.give(TIANHE, wanted, "test") == ["booked", "again"]


# Messages


@pytest.fixture
async def post(store_url: str) -> AsyncIterator[Post]:
    """A resident is owed a message; a gateway that fails once has failed for good."""
    async with open_post(store_url, tries=1) as it:
        await it.register([person(0)])
        yield it


async def _send(post: Post, failing: Exception | None = None) -> None:
    phones = Phones()
    if failing is not None:
        phones.failing[person(0).phone] = failing
    async with asyncio.timeout(20):
        await post.send(phones)


async def _send_where_the_gateway_is_away(post: Post) -> None:
    await _send(post, ConnectionError("away"))


async def _put_off(post: Post) -> None:
    (owed,) = await post.store.next_entries([TIANHE], "test", 1, 0, "outbox")
    (found,) = await post.store.next_message([pointer := Pointer.of(owed)])
    assert isinstance(found, Next)
    with pytest.raises(StoreUnavailable):
        await post.store.defer(pointer, 1, 1)


MESSAGES: dict[str, Callable[[Post], Awaitable[None]]] = {
    "next_message": _send,
    "admit": _send,
    "settle_message": _send,
    "shelve_message": _send_where_the_gateway_is_away,
    "defer": _put_off,
}


@pytest.mark.parametrize("script", sorted(MESSAGES))
async def test_a_message_whose_status_nobody_knows_stays_owed(
    script: str, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.messages.message_sender._TELL_SECONDS", 0.0)
    stub = Stub(post.store, script)
    with capture_logs() as logs:
        await MESSAGES[script](post)
    assert stub.batches
    assert logged(logs) == {(script, "surprise")}
    (backlog,) = await post.store.backlogs([TIANHE])
    assert (backlog.waiting, backlog.later) == (1, 0), "its pointer is there to be taken up again"
    client: Any = post.store.client
    assert await client.hexists(key("owed", resident_tag(post.key(0))), "1")
    assert await post.told("registered") == {"nothing": 1}


async def test_a_receipt_whose_status_nobody_knows_is_not_noted_and_may_come_again(post: Post) -> None:
    await post.store.expect_receipts(["x-1"], Sent(post.key(0), TIANHE, post.no(0), "barred", 1))
    stub = Stub(post.store, "receipt")
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await post.sender.receipts.take(ReportedDelivery(("x-1",), "undelivered"))
    assert logged(logs) == {("receipt", "surprise")}
    assert await post.to_call() == set()
    stub.off()


# What is told of a call


@upon("ask_alerts")
async def _ask_alerts(house: House) -> Ask:
    ticket = str((await house.join(person(0)))["ticket"])
    return lambda: house.call("POST", "/ticket/alerts", bearer=ticket, json={"sms": True})


@upon("more_time")
async def _more_time(house: House) -> Ask:
    ticket = await _ticket(house)
    return lambda: house.call("POST", "/ticket/more-time", bearer=ticket)


async def test_nobody_is_told_of_their_turn_where_it_is_not_known_how_the_place_stands(house: House) -> None:
    await house.join(person(0))
    ticket = str((await house.join(person(1)))["ticket"])
    await house.call("POST", "/ticket/alerts", bearer=ticket, json={"sms": True})
    await house.forward(1)
    assert await house.services.room.tell_due() == 1
    phones = Phones()
    stub = Stub(house.store, "start_claim", lambda _: [WORD, 0])
    with capture_logs() as logs:
        await house.services.sender.send_messages(phones, "test")
    assert logged(logs) == {("start_claim", "surprise")} and phones.messages == []
    stub.off()
    (backlog,) = await house.store.backlogs([TIANHE])
    assert backlog.waiting == 1, "it is taken up again once it has lain for long enough"


async def test_what_is_due_of_a_call_stays_in_hand_where_it_is_not_known_whether_it_is_owed(house: House) -> None:
    await house.at("08:30:00")
    await house.join(person(0))
    ticket = str((await house.join(person(1)))["ticket"])
    assert (await house.call("POST", "/ticket/alerts", bearer=ticket, json={"sms": True})).json()["sms"]
    await house.forward(1)
    stub = Stub(house.store, "owe_alert")
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await house.services.room.tell_due()
    assert logged(logs) == {("owe_alert", "surprise")}
    stub.off()
    await house.forward(16)
    assert await house.services.room.tell_due() == 1


# What is deleted


@pytest.mark.parametrize("script", ["forget", "drop_record"])
async def test_nobody_is_counted_as_deleted_of_whom_that_is_not_known(script: str, post: Post) -> None:
    assert await post.store.cancel(Change(post.key(0), post.no(0), "resident"), "", 1) == "cancelled"
    stub = Stub(post.store, script)
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await purge(post.store, date(2030, 1, 1), UTC, registry=True)
    assert logged(logs) == {(script, "surprise")}
    stub.off()


# What a roll-back has left


async def test_a_registration_stands_of_which_it_is_not_known_whether_its_pass_is_free(house: House) -> None:
    pass_ = await house.claim(await _ticket(house))
    stub = Stub(house.store, "release")
    with capture_logs() as logs:
        assert (await house.register(pass_)).status_code == 201
        await house.passes_freed()
    assert logged(logs) == {("release", "surprise")}
    stub.off()


async def test_a_number_of_two_is_parted_again_where_it_is_not_known_whether_it_was(house: House) -> None:
    no = (await house.registered(person(0)))["registration_no"]
    other = NewRegistration(house.resident(person(1)), 1 << 52, no, "", FIELDS)
    assert known(await house.store.register([other]))[0].status == "registered"
    residents = [house.resident(person(i)) for i in range(2)]
    stub = Stub(house.store, "renumber")
    with capture_logs() as logs, pytest.raises(StoreUnavailable):
        await Numbers(house.services.city, house.store).part(no, residents, "night")
    assert logged(logs) == {("renumber", "surprise")}
    stub.off()
    assert [bool(it.new_no) for it in await Numbers(house.services.city, house.store).part(no, residents, "night")] == [
        True
    ]


# All of them

_OTHERS = {
    "prepare",
    "calibrate",
    "bind_draw",
    "fix_draw",
    "close_draw",
    "receipt",
    "forget",
    "drop_record",
    "release",
    "renumber",
    "owe_alert",
    "start_claim",
    "unassist",  # beside a refusal, which is told: a place of the lane stays taken
}


def test_every_script_that_answers_with_one_of_a_closed_set_has_its_case() -> None:
    assert {*CALLS, *NIGHT, *MESSAGES, *_OTHERS} == set(SCRIPTS)


def _unknown_counts(exposition: bytes) -> dict[str, float]:
    head = 'jiaohao_unknown_statuses_total{script="'
    lines = [line.removeprefix(head) for line in exposition.decode().splitlines() if line.startswith(head)]
    return {name: float(count) for name, _, count in (line.partition('"} ') for line in lines)}


async def test_they_are_counted_by_script_from_the_first_scrape_on(house: House) -> None:
    metrics: Metrics = house.services.metrics
    assert _unknown_counts(metrics.exposition()) == dict.fromkeys(SCRIPTS, 0.0)
    Stub(house.store, "join")
    for _ in range(2):
        refused(await house.try_join(person(0)), "store-unavailable", 503)
    for _ in range(2):  # once more hands over nothing twice
        metrics.take_over(house.store.tallies)
    assert _unknown_counts(metrics.exposition()) == dict.fromkeys(SCRIPTS, 0.0) | {"join": 2.0}


async def test_what_is_logged_is_a_word_and_never_data(house: House) -> None:
    Stub(house.store, "register", lambda _: [b"440106197001010014 \xe6\xb5\x8b", 1, b"", 0])
    pass_ = await house.claim(await _ticket(house))
    with capture_logs() as logs:
        refused(await house.register(pass_), "store-unavailable", 503)
    assert logged(logs) == {("register", "a value of type bytes")}
