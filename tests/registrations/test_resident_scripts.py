"""The scripts of a resident, each branch, on a standalone server and on a cluster: what nobody may lose."""

import asyncio
from datetime import date
from typing import Any

import pytest

from server.core.errors import StoreUnavailable
from server.core.keys import key, resident_tag
from server.records.first_dose import FirstDoseRecord
from server.records.history import HistoryEvent
from server.records.registration import NewRegistration
from server.records.registration_changes import Change
from server.records.statuses import known
from tests.support.resident_scripts import (
    CANCEL_BEFORE,
    FIRST_DOSE,
    PASS_UNTIL,
    SLOT,
    T0,
    book,
    booked,
    cancel,
    miss,
    past,
    r,
    register,
    stop,
)
from tests.support.stores import FIELDS, Store


async def state(store: Store, resident: int = 1) -> str:
    return (await store.registration_fields(r(resident)))["state"]


# register


async def test_a_registration_is_kept_and_found_again_by_the_same_pass(store: Store) -> None:
    assert await register(store, T0, "A") == ("registered", T0, "A", 0)
    assert await register(store, T0 + 1000, "A") == ("again", T0, "A", 0)
    assert await register(store, PASS_UNTIL, "A") == ("again", T0, "A", 0), "even when the pass is over"
    kept = await store.registration_fields(r(1))
    assert kept == {
        "no": "A",
        "state": "proposed",
        "registered_ms": str(T0),
        "first_dose": FIRST_DOSE,
        "district": "440106",
        "date": "2021-06-19",
    }
    assert [x.stop for x in await store.residents([r(1), r(2)])] == ["open A", None]


async def test_one_resident_has_one_open_registration(store: Store) -> None:
    await register(store, T0, "A")
    assert await register(store, T0, "B") == ("open", 0, "A", 0)
    assert (await store.registration_fields(r(1)))["no"] == "A"


async def test_a_pass_that_is_over_registers_nothing(store: Store) -> None:
    assert await register(store, PASS_UNTIL, "A") == ("expired", 0, "A", 0)
    assert await store.registration_fields(r(1)) == {}
    assert (await register(store, PASS_UNTIL - 1, "A")).status == "registered"


async def test_a_closed_registration_makes_way_but_its_pass_is_used(store: Store) -> None:
    await register(store, T0, "A", note="first")
    assert await cancel(store, Change(r(1), "A", "resident")) == "cancelled"
    assert await register(store, T0, "A") == ("used", T0, "A", 0)
    assert await register(store, T0 + 1, "B") == ("registered", T0 + 1, "B", 0)
    assert "note" not in await store.registration_fields(r(1)), "nothing of the earlier one stays"
    assert await register(store, T0, "A") == ("used", 0, "A", 0)
    assert (await store.registration_fields(r(1)))["no"] == "B"


async def test_whoever_takes_over_has_the_registration_and_its_line_or_neither(store: Store) -> None:
    """The line of the day's list lies in the slot of the resident's own keys, and is written with the registration."""
    client: Any = store.client
    for i in range(40):
        await register(store, T0, f"10619010000{i:04d}", i)
        names = [name async for name in client.scan_iter(match="registered:*") if r(i) in await client.get(name)]
        if store.is_cluster:
            names.append(key("registration", resident_tag(r(i))).encode())
            assert len({client.keyslot(name) for name in names}) == 1, "as the client has it, which is the store's"
    await register(store, T0, "106190100000000", 0)
    found = [line async for page in store.registered(date(2021, 6, 19)) for line in page]
    assert sorted(found) == sorted((f"10619010000{i:04d}", r(i)) for i in range(40)), "each once"
    assert [line async for page in store.registered(date(2021, 6, 20)) for line in page] == []
    lifetimes = [await client.pttl(name) async for name in client.scan_iter(match="registered:*")]
    assert 35 * 86_400_000 < min(lifetimes) <= max(lifetimes) <= 36 * 86_400_000


async def test_many_residents_register_in_one_round_trip_each_with_their_answer(store: Store) -> None:
    """On a cluster they live on all three nodes."""
    store.now_ms = T0
    some = [
        NewRegistration(r(i), PASS_UNTIL if i % 3 else T0, f"N{i}", "", {"date": "2021-06-19", "x": i})
        for i in range(200)
    ]
    answers = known(await store.register(some))
    assert answers == [("registered", T0, f"N{i}", 0) if i % 3 else ("expired", 0, f"N{i}", 0) for i in range(200)]


# enrol, replace_record


def record(match: bytes = b"m" * 12, day: int = 0) -> FirstDoseRecord:
    return FirstDoseRecord(day, "", "440106", match, b"sealed")


async def test_who_comes_for_a_first_dose_is_kept_for_a_time_and_for_good_once_registered(store: Store) -> None:
    assert await store.enrol([(r(1), record()), (r(2), record())], 60_000) == [record(), record()]
    client: Any = store.client
    lives_ms = await client.pttl(key("registry", resident_tag(r(1))))
    assert 0 < lives_ms <= 60_000
    await register(store, T0, "A")
    assert await client.pttl(key("registry", resident_tag(r(1)))) == -1
    assert await client.pttl(key("registry", resident_tag(r(2)))) > 0


async def test_nobody_is_replaced_by_a_later_name_or_phone(store: Store) -> None:
    await store.enrol([(r(1), record())], 60_000)
    assert await store.enrol([(r(1), record(b"x" * 12))], 60_000) == [record()]
    await store.keep_first_doses([(r(2), record(day=700_000))])
    assert await store.enrol([(r(2), record(b"x" * 12))], 60_000) == [record(day=700_000)]
    client: Any = store.client
    assert await client.pttl(key("registry", resident_tag(r(2)))) == -1, "an imported line does not expire"


async def test_a_record_is_replaced_only_as_it_was_read(store: Store) -> None:
    client: Any = store.client
    tag = resident_tag(r(1))
    name = key("registry", tag)
    await client.set(name, b"old", px=60_000)
    elsewhere = resident_tag(r(9))
    assert await store.replace_record([(tag, b"other", b"new"), (elsewhere, b"old", b"new")]) == [False, False]
    assert await client.get(name) == b"old"
    assert await store.replace_record([(tag, b"old", b"new")]) == [True]
    assert await client.get(name) == b"new"
    assert await client.pttl(name) > 0, "what was to expire still does"
    assert await client.exists(key("registry", elsewhere)) == 0


# amend


async def test_wishes_change_while_there_is_no_appointment(store: Store) -> None:
    await register(store, T0, "A", preferences="[1]")
    change = Change(r(1), "A", "resident")
    assert await store.amend(change, {"preferences": "[2]", "accept_any_site": 1}) == "amended"
    assert await store.amend(change, {"preferences": "[2]", "accept_any_site": 1}) == "same"
    kept = await store.registration_fields(r(1))
    assert (kept["preferences"], kept["accept_any_site"], kept["state"]) == ("[2]", "1", "proposed")
    assert await past(store) == [("A", "amended", "resident", "")]
    assert await store.amend(Change(r(1), "B", "resident"), {"preferences": "[3]"}) == "absent"
    assert await book(store, change, SLOT, CANCEL_BEFORE) == "booked"
    assert await store.amend(change, {"preferences": "[3]"}) == "other"
    assert (await store.registration_fields(r(1)))["preferences"] == "[2]"


# book


async def test_an_appointment_is_given_once(store: Store) -> None:
    change = await booked(store)
    kept = await store.registration_fields(r(1))
    assert {k: kept[k] for k in ("state", "site", "day", "period", "cancel_before_ms")} == {
        "state": "booked", "site": "T1", "day": "2021-06-21", "period": "am", "cancel_before_ms": str(CANCEL_BEFORE),
    }  # fmt: skip
    assert await book(store, change, SLOT, CANCEL_BEFORE) == "again"
    assert await book(store, change, SLOT._replace(period="pm"), CANCEL_BEFORE) == "other"
    assert await book(store, change, SLOT._replace(site="T2"), CANCEL_BEFORE) == "other"
    assert await book(store, change._replace(no="B"), SLOT, CANCEL_BEFORE) == "absent"
    assert (await store.registration_fields(r(1)))["period"] == "am"
    assert await past(store) == [("A", "booked", "night", "")]
    assert await stop(store) == "open A", "a booked registration is an open one"


async def test_nobody_who_cancelled_is_booked(store: Store) -> None:
    await register(store, T0, "A")
    change = Change(r(1), "A", "resident")
    await cancel(store, change)
    assert await book(store, change, SLOT, CANCEL_BEFORE) == "other"
    assert await state(store) == "cancelled"


# cancel


async def test_cancelling_before_there_is_an_appointment(store: Store) -> None:
    await register(store, T0, "A")
    change = Change(r(1), "A", "resident")
    assert await cancel(store, change) == "cancelled"
    assert await cancel(store, change) == "again"
    assert await stop(store) is None
    kept = await store.registration_fields(r(1))
    assert (kept["state"], kept["closed_ms"]) == ("cancelled", str(T0))
    assert await past(store) == [("A", "cancelled", "resident", "")]
    assert await cancel(store, Change(r(2), "A", "resident")) == "absent"
    assert await cancel(store, Change(r(1), "B", "resident")) == "absent"


@pytest.mark.parametrize(("now", "status"), [(CANCEL_BEFORE - 1, "cancelled"), (CANCEL_BEFORE, "late")])
async def test_an_appointment_can_be_cancelled_until_its_time(store: Store, now: int, status: str) -> None:
    change = await booked(store)
    store.now_ms = now
    assert await cancel(store, change, SLOT.day) == status
    assert await state(store) == ("cancelled" if status == "cancelled" else "booked")
    assert await stop(store) == (None if status == "cancelled" else "open A")


async def test_what_has_been_attended_or_missed_is_not_cancelled(store: Store) -> None:
    change = await booked(store)
    await store.attend(change, "T1", SLOT.day)
    assert await cancel(store, change, SLOT.day) == "closed"
    other = await booked(store, "B", 2)
    await miss(store, other, SLOT.day, charge=True)
    assert await cancel(store, other, SLOT.day) == "closed"
    assert [await state(store, i) for i in (1, 2)] == ["fulfilled", "noshow"]


async def test_who_was_given_an_appointment_in_that_moment_is_asked_for_again(store: Store) -> None:
    change = await booked(store)
    assert await cancel(store, change) == "moved", (
        "the caller has not seen the appointment, and would not free its slot"
    )
    assert await cancel(store, change, "2021-06-22") == "moved"
    assert await state(store) == "booked"
    assert await cancel(store, change, SLOT.day) == "cancelled"
    assert await cancel(store, change, SLOT.day) == "again"


async def test_what_was_typed_for_a_first_dose_goes_again_after_cancelling(store: Store) -> None:
    client: Any = store.client
    await store.enrol([(r(1), record())], 60_000)
    store.now_ms = T0
    await store.register([NewRegistration(r(1), PASS_UNTIL, "A", "", FIELDS)])
    name = key("registry", resident_tag(r(1)))
    assert await client.pttl(name) == -1
    assert await cancel(store, Change(r(1), "A", "resident")) == "cancelled"
    assert 0 < await client.pttl(name) <= 60_000
    await store.keep_first_doses([(r(2), record(day=700_000))])
    await register(store, T0, "B", 2)
    await cancel(store, Change(r(2), "B", "resident"))
    assert await client.pttl(key("registry", resident_tag(r(2)))) == -1, "an imported line stays"


async def test_who_leaves_again_is_forgotten_unless_imported_or_registered(store: Store) -> None:
    await store.enrol([(r(1), record())], 60_000)
    assert await store.unenrol(r(1)) is True
    assert await store.unenrol(r(1)) is False
    await store.keep_first_doses([(r(2), record(day=700_000))])
    assert await store.unenrol(r(2)) is False
    assert (await store.residents([r(2)]))[0].first_dose is not None


# attend


async def test_who_came_is_done(store: Store) -> None:
    change = (await booked(store))._replace(actor="T1/desk")
    store.now_ms = T0 + 5
    assert await store.attend(change, "T1", SLOT.day) == ("attended", T0 + 5, False)
    store.now_ms = T0 + 9
    assert await store.attend(change, "T1", SLOT.day) == ("again", T0 + 5, False)
    assert await stop(store) == f"done {SLOT.day}"
    assert await past(store) == [("A", "booked", "night", ""), ("A", "fulfilled", "T1/desk", "")]


async def test_nobody_attends_elsewhere_or_on_another_day_or_without_an_appointment(store: Store) -> None:
    change = await booked(store)
    assert (await store.attend(change, "T2", SLOT.day))[0] == "other"
    assert (await store.attend(change, "T1", "2021-06-22"))[0] == "other"
    assert (await store.attend(change._replace(no="B"), "T1", SLOT.day))[0] == "absent"
    await register(store, T0, "C", 3)
    assert (await store.attend(Change(r(3), "C", "desk"), "T1", SLOT.day))[0] == "other"
    store.now_ms = T0
    assert await cancel(store, change, SLOT.day) == "cancelled"
    assert (await store.attend(change, "T1", SLOT.day))[0] == "other", "cancelled"
    assert await state(store) == "cancelled"


# miss, lift


async def miss_again(store: Store, no: str, *, charge: bool = True) -> tuple[str, int]:
    change = await booked(store, no)
    return await miss(store, change, SLOT.day, charge=charge)


async def test_the_third_no_show_bars_and_not_the_second(store: Store) -> None:
    assert await miss_again(store, "A") == ("missed", 1)
    assert await miss_again(store, "B") == ("missed", 2)
    assert await stop(store) is None
    assert await miss_again(store, "C") == ("barred", 3)
    assert await stop(store) == "barred"
    assert await register(store, T0, "D") == ("barred", 0, "D", 3)
    assert (await store.registration_fields(r(1)))["no"] == "C"


async def test_what_is_not_charged_does_not_count(store: Store) -> None:
    for no in "ABCD":
        assert await miss_again(store, no, charge=False) == ("missed", 0)
    assert (await past(store))[-1] == ("D", "excused", "night", "")


async def test_a_no_show_is_charged_once(store: Store) -> None:
    change = await booked(store)
    assert await miss(store, change, SLOT.day, charge=True) == ("missed", 1)
    assert await miss(store, change, SLOT.day, charge=True) == ("again", 1)
    assert await miss(store, change._replace(no="B"), SLOT.day, charge=True) == ("absent", 1)


async def test_who_came_or_cancelled_or_has_another_day_is_not_missed(store: Store) -> None:
    change = await booked(store)
    assert (await miss(store, change, "2021-06-22", charge=True))[0] == "other"
    await store.attend(change, "T1", SLOT.day)
    assert await miss(store, change, SLOT.day, charge=True) == ("other", 0)
    assert await state(store) == "fulfilled"
    other = await booked(store, "B", 2)
    assert await cancel(store, other, SLOT.day) == "cancelled"
    assert await miss(store, other, SLOT.day, charge=True) == ("other", 0)


async def test_a_desk_that_was_offline_puts_a_no_show_right_and_its_bar(store: Store) -> None:
    await miss_again(store, "A")
    await miss_again(store, "B")
    change = await booked(store, "C")
    await miss(store, change, SLOT.day, charge=True)
    assert await store.attend(change, "T1", SLOT.day) == ("attended", T0, True)
    assert await stop(store) == f"done {SLOT.day}"
    assert (await store.history(r(1))).no_shows == 2, "the two others stay"
    assert (await store.attend(change, "T1", SLOT.day))[0] == "again"
    assert (await store.history(r(1))).no_shows == 2


async def test_a_no_show_that_was_not_charged_is_put_right_without_a_gift(store: Store) -> None:
    await miss_again(store, "A")
    change = await booked(store, "B")
    await miss(store, change, SLOT.day, charge=False)
    assert (await store.attend(change, "T1", SLOT.day))[0] == "attended"
    assert (await store.history(r(1))).no_shows == 1


async def test_an_operator_lifts_a_bar_with_a_reason(store: Store) -> None:
    for no in "ABC":
        await miss_again(store, no)
    change = Change(r(1), "C", "operator")
    assert await store.lift(change, "in hospital") is True
    assert await store.lift(change, "in hospital") is False
    assert await stop(store) is None
    lines, no_shows, _ = await store.history(r(1))
    assert (lines[-1], no_shows) == (HistoryEvent(T0, "C", "lifted", "operator", "in hospital"), 0)
    assert await miss_again(store, "D") == ("missed", 1), "the count begins anew"


async def test_only_a_bar_is_lifted(store: Store) -> None:
    await register(store, T0, "A")
    assert await store.lift(Change(r(1), "A", "operator"), "why") is False
    assert await stop(store) == "open A"


async def test_a_dose_that_was_given_meanwhile_ends_a_journey(store: Store) -> None:
    """Missed by the night, in line again the next day, and then the desk that was offline reports."""
    change = await booked(store)
    await miss(store, change, SLOT.day, charge=True)
    await store.attend(change, "T1", SLOT.day)
    assert (await register(store, T0, "B")).status == "done"
    assert (await store.registration_fields(r(1)))["no"] == "A"
    store.now_ms = T0
    later = NewRegistration(
        r(1), PASS_UNTIL, "C", SLOT.day, FIELDS
    )  # that dose was their first, as the registry says by now
    assert [kept.status for kept in known(await store.register([later]))] == ["registered"]


# reopen


async def test_a_closed_site_sends_back_with_priority_and_no_no_show(store: Store) -> None:
    change = (await booked(store))._replace(actor="T1/boss")
    assert await store.reopen(change, SLOT._replace(period="pm"), "flood") == "other"
    assert await store.reopen(change, SLOT, "flood") == "reopened"
    assert await store.reopen(change, SLOT, "flood") == "other"
    kept = await store.registration_fields(r(1))
    assert (kept["state"], kept["priority"]) == ("proposed", "1")
    assert not {"site", "day", "period", "cancel_before_ms"} & kept.keys()
    assert (await store.attend(change, "T2", SLOT.day))[0] == "other"
    assert (await store.attend(change, "T1", "2021-06-22"))[0] == "other"
    assert (await past(store))[-1] == ("A", "proposed", "T1/boss", "flood")
    assert (await store.history(r(1))).no_shows == 0
    assert await stop(store) == "open A"
    assert await store.reopen(change._replace(no="B"), SLOT, "flood") == "absent"


async def test_who_came_before_the_site_was_closed_has_come(store: Store) -> None:
    """The desk's report was still on its way when the site was closed."""
    change = await booked(store)
    await store.reopen(change, SLOT, "flood")
    assert (await store.attend(change, "T1", SLOT.day))[0] == "attended"
    kept = await store.registration_fields(r(1))
    assert (kept["state"], kept["site"], kept["day"], kept["period"]) == ("fulfilled", *SLOT)


# quota

SPANS = ((60_000, 1), (3_600_000, 3))


async def test_a_quota_holds_in_each_of_its_spans(store: Store) -> None:
    tag = resident_tag(r(1))

    async def ask(after_ms: int) -> int:
        store.now_ms = T0 + after_ms
        return await store.quota(tag, SPANS, count=True)

    assert await ask(0) == 0
    assert await ask(59_999) == 1
    assert await ask(60_000) == 0
    assert await ask(120_000) == 0
    assert await ask(180_000) == 3_600_000 - 180_000, "three in the hour"
    assert await ask(3_599_999) == 1
    assert await ask(3_600_000) == 0
    store.now_ms = T0
    assert await store.quota(resident_tag(r(2)), SPANS, count=True) == 0, "everybody has their own"


async def test_looking_at_a_quota_counts_nothing(store: Store) -> None:
    tag = resident_tag(r(1))
    store.now_ms = T0
    for _ in range(3):
        assert await store.quota(tag, SPANS, count=False) == 0
    assert await store.quota(tag, SPANS, count=True) == 0
    assert await store.quota(tag, SPANS, count=False) == 60_000


async def test_a_clock_set_back_locks_nobody_out(store: Store) -> None:
    tag = resident_tag(r(1))
    store.now_ms = T0
    assert await store.quota(tag, SPANS, count=True) == 0
    store.now_ms = T0 - 86_400_000
    assert await store.quota(tag, SPANS, count=True) == 0


# keep_code, try_code

CODE_MS = 300_000
RIGHT, WRONG = b"d" * 16, b"w" * 16


async def test_a_code_is_spent_once(store: Store) -> None:
    store.now_ms = T0
    assert await store.keep_code(r(1), RIGHT, CODE_MS) == T0 + CODE_MS
    assert await store.try_code(r(2), RIGHT, 5, spend=True) is False, "somebody else's"
    assert await store.try_code(r(1), RIGHT, 5, spend=False) is True, "only looked at"
    assert await store.try_code(r(1), RIGHT, 5, spend=True) is True
    assert await store.try_code(r(1), RIGHT, 5, spend=True) is False


@pytest.mark.parametrize(("after_ms", "right"), [(CODE_MS - 1, True), (CODE_MS, False)])
async def test_a_code_is_good_for_five_minutes(store: Store, after_ms: int, right: bool) -> None:
    store.now_ms = T0
    await store.keep_code(r(1), RIGHT, CODE_MS)
    store.now_ms = T0 + after_ms
    assert await store.try_code(r(1), RIGHT, 5, spend=True) is right


@pytest.mark.parametrize(("wrong", "right"), [(4, True), (5, False)])
async def test_a_code_bears_four_wrong_tries_and_not_five(store: Store, wrong: int, right: bool) -> None:
    store.now_ms = T0
    await store.keep_code(r(1), RIGHT, CODE_MS)
    for _ in range(wrong):
        assert await store.try_code(r(1), WRONG, 5, spend=True) is False
    assert await store.try_code(r(1), RIGHT, 5, spend=True) is right


async def test_a_new_code_replaces_the_old_one_and_its_tries(store: Store) -> None:
    store.now_ms = T0
    await store.keep_code(r(1), WRONG, CODE_MS)
    for _ in range(4):
        await store.try_code(r(1), b"x" * 16, 5, spend=True)
    await store.keep_code(r(1), RIGHT, CODE_MS)
    assert await store.try_code(r(1), WRONG, 5, spend=True) is False
    assert await store.try_code(r(1), RIGHT, 5, spend=True) is True


async def test_a_field_that_is_no_number_changes_nothing(store: Store) -> None:
    await register(store, T0, "A")
    before = await store.registration_fields(r(1))
    with pytest.raises(StoreUnavailable):
        await book(store, Change(r(1), "A", "night"), SLOT, "soon")  # type: ignore[arg-type]
    assert await store.registration_fields(r(1)) == before
    assert await past(store) == []


async def test_more_calls_at_once_than_there_are_connections(store: Store) -> None:
    """They wait for their turn; the client of the library would refuse them."""
    await register(store, T0, "A")
    found = await asyncio.gather(*(store.registration_fields(r(1 + i % 2)) for i in range(900)))
    assert [each.get("no") for each in found] == ["A", None] * 450
