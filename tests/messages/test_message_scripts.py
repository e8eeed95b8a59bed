"""The scripts of messages, each branch, on a standalone server and on a cluster: none is lost, none goes twice."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from server.core.keys import key, resident_tag
from server.messages.message_ids import Said
from server.records.message import About, Caps, DeadLetter, Message, Next, OutboxEntry, Pointer, SendOutcome, Sent
from server.records.registration import Appointment, NewRegistration
from server.records.registration_changes import Booking, Change, PassedOver
from server.records.statuses import known
from tests.support.stores import Store

T0 = 1_624_060_800_000  # 2021-06-19 08:00 in Guangzhou
CANCEL_BEFORE = T0 + 36 * 3_600_000
TIANHE, BAIYUN = "440106", "440111"
SLOT = Appointment("T1", "2021-06-21", "am")
NONE, BEHIND = Next("none", 0, None, 0), Next("behind", 0, None, 0)


def r(i: int) -> bytes:
    """The resident key of this index."""
    return i.to_bytes(16, "big")


def pointer(name: str, resident: int = 1, tries: int = 0) -> Pointer:
    """One that has been taken from the outbox."""
    return Pointer(OutboxEntry(TIANHE, "1-0", {}, "outbox"), name, tries, r(resident))


async def next_of(store: Store, name: str, resident: int = 1) -> Next:
    (found,) = known(await store.next_message([pointer(name, resident)]))
    return found


async def settle(store: Store, name: str, seq: int, outcome: SendOutcome = "accepted") -> bool:
    """The first resident's message of this number is owed no longer; False where it was not in this pointer's hand."""
    (was_in_hand,) = known(await store.settle_message([(pointer(name), seq, outcome)]))
    return was_in_hand


async def register(store: Store, no: str = "A", resident: int = 1, now: int = T0) -> Change:
    """A registration; it owes the message `registered`, number 1 of its resident's."""
    store.now_ms = now
    new = NewRegistration(r(resident), now + 600_000, no, "2021-05-01", {"district": TIANHE, "date": "2021-06-19"})
    assert known(await store.register([new]))[0].status == "registered"
    return Change(r(resident), no, "night")


async def book(store: Store, change: Change, slot: Appointment = SLOT) -> None:
    assert await store.book([Booking(change, slot, CANCEL_BEFORE)]) == ["booked"]


async def told(store: Store, kind: str, resident: int = 1) -> str | None:
    """What stands on the registration about the message of this kind."""
    return (await store.registration_fields(r(resident))).get(f"sms:{kind}")


async def owed_fields(store: Store, resident: int = 1) -> dict[str, str]:
    client: Any = store.client
    found = await client.hgetall(key("owed", resident_tag(r(resident))))
    return {name.decode(): value.decode() for name, value in found.items()}


# owe, next_message


async def test_an_event_owes_its_message_from_the_moment_it_is_true(store: Store) -> None:
    change = await register(store)
    store.now_ms = T0 + 5
    await book(store, change)
    expected = [Message("registered", "A", T0, 0, About()), Message("allotted", "A", T0 + 5, 0, About(*SLOT))]
    for seq, message in enumerate(expected, start=1):
        assert await next_of(store, "p") == Next("send", seq, message, 0)
        assert await settle(store, "p", seq)
    assert await next_of(store, "p") == NONE


async def test_a_pointer_gets_the_same_message_until_it_is_settled_and_no_other_gets_it(store: Store) -> None:
    await register(store)
    first = await next_of(store, "p")
    assert (first.status, first.seq) == ("send", 1)
    assert await next_of(store, "q") == BEHIND
    assert await next_of(store, "p") == first, "taken up again after a crash"
    assert not await settle(store, "q", 1), "not in its hand"
    assert await settle(store, "p", 1)
    assert not await settle(store, "p", 1), "once"
    assert await next_of(store, "q") == NONE
    assert await owed_fields(store) == {}, "nothing is kept of a resident who is owed nothing"


async def test_messages_go_in_the_order_of_their_events(store: Store) -> None:
    change = await register(store)
    await book(store, change)
    assert (await next_of(store, "p")).seq == 1
    assert await next_of(store, "q") == BEHIND, "the second does not overtake the first"
    await settle(store, "p", 1)
    assert (await next_of(store, "q")).seq == 2
    assert await next_of(store, "p") == BEHIND


async def test_one_that_is_not_due_yet_waits_and_holds_up_none(store: Store) -> None:
    change = await register(store)
    await book(store, change)
    assert await store.remind([("A", r(1))], SLOT.day, T0 + 10_000, T0) == ["reminded"]
    for seq in (1, 2):
        assert (await next_of(store, "p")).seq == seq
        await settle(store, "p", seq)
    assert await next_of(store, "p") == Next("early", 0, None, T0 + 10_000)
    assert await store.cancel(change, SLOT.day, 60_000) == "cancelled"
    found = await next_of(store, "p")
    assert (found.seq, found.message and found.message.kind) == (4, "cancelled")
    await settle(store, "p", 4)
    store.now_ms = T0 + 9_999
    assert (await next_of(store, "p")).status == "early"
    store.now_ms = T0 + 10_000
    assert await next_of(store, "p") == Next("send", 3, Message("reminder", "A", T0, T0 + 10_000, About(*SLOT)), 0)


async def test_who_is_owed_nothing_or_is_unknown(store: Store) -> None:
    assert await store.next_message([pointer("p", 1), pointer("q", 2)]) == [NONE, NONE]
    assert await store.next_message([]) == []


async def test_many_residents_in_one_round_trip(store: Store) -> None:
    """On a cluster they live on all three nodes."""
    for i in range(60):
        if i % 3:
            await register(store, f"N{i}", i)
    found = known(await store.next_message([pointer(f"p{i}", i) for i in range(60)]))
    assert [each.message.no if each.message else None for each in found] == [
        f"N{i}" if i % 3 else None for i in range(60)
    ]


# settle_message


@pytest.mark.parametrize(
    ("outcome", "stands"), [("accepted", f"accepted {T0 + 7} {T0}"), ("refused", f"refused {T0 + 7} {T0}"),
                            ("dropped", None)]
)  # fmt: skip
async def test_what_became_of_a_message_stands_on_its_registration(
    store: Store, outcome: SendOutcome, stands: str | None
) -> None:
    await register(store)
    await next_of(store, "p")
    store.now_ms = T0 + 7
    assert await settle(store, "p", 1, outcome)
    assert await told(store, "registered") == stands
    assert await next_of(store, "p") == NONE


async def test_a_message_of_an_earlier_registration_does_not_touch_the_later_one(store: Store) -> None:
    change = await register(store)
    assert await store.cancel(change, "", 60_000) == "cancelled"
    await register(store, "B", now=T0 + 1)
    for seq, kind in ((1, "registered"), (2, "cancelled")):
        found = await next_of(store, "p")
        assert found.message is not None and (found.message.kind, found.message.no) == (kind, "A")
        assert await settle(store, "p", seq)
        assert await told(store, kind) is None
    assert (await next_of(store, "p")).seq == 3
    await settle(store, "p", 3)
    assert await told(store, "registered") == f"accepted {T0 + 1} {T0 + 1}"


# shelve_message, unshelve_message


async def test_a_message_that_is_laid_aside_holds_up_none_and_comes_back(store: Store) -> None:
    change = await register(store)
    await book(store, change)
    await next_of(store, "p")
    assert not await store.shelve_message(pointer("q"), 1), "not in its hand"
    store.now_ms = T0 + 9
    assert await store.shelve_message(pointer("p"), 1)
    assert not await store.shelve_message(pointer("p"), 1), "once"
    assert await told(store, "registered") == f"unsent {T0 + 9} {T0}"
    assert not await settle(store, "p", 1), "nobody has it in hand any more"
    assert (await next_of(store, "q")).seq == 2, "what is behind it goes on"
    await settle(store, "q", 2)
    assert await next_of(store, "q") == NONE
    assert await store.unshelve_message(r(1), 1)
    assert not await store.unshelve_message(r(1), 1), "once"
    assert not await store.unshelve_message(r(2), 1), "nothing there"
    assert (await next_of(store, "z")).seq == 1
    await settle(store, "z", 1)
    assert await told(store, "registered") == f"accepted {T0 + 9} {T0}"


async def test_a_message_of_an_earlier_registration_is_laid_aside_without_a_word_on_the_later(store: Store) -> None:
    await store.cancel(await register(store), "", 60_000)
    await register(store, "B", now=T0 + 1)
    await next_of(store, "p")
    assert await store.shelve_message(pointer("p"), 1)
    assert await told(store, "registered") is None


# expect_receipts, sent_as, receipt


async def accepted(store: Store) -> Sent:
    """A message that the provider has."""
    await register(store)
    await next_of(store, "p")
    await settle(store, "p", 1)
    return Sent(r(1), TIANHE, "A", "registered", T0)


async def test_a_receipt_finds_its_message(store: Store) -> None:
    sent = await accepted(store)
    await store.expect_receipts(["77-1", "77-2"], sent)
    parts = [sent._replace(part=part, parts=2, answer=f"77-{part}") for part in (1, 2)]
    assert await store.sent_as([["77-1"], ["77-2"], ["77-3"]]) == [[parts[0]], [parts[1]], []]
    client: Any = store.client
    assert 3 * 86_400_000 < await client.pttl("answered:{77-1}") <= 4 * 86_400_000


async def test_a_message_that_the_version_before_has_sent_finds_its_receipt(store: Store) -> None:
    """It kept one message under its id as it was, without part, phone and time."""
    sent = await accepted(store)
    client: Any = store.client
    await client.set("sent:{AB-7}", msgspec.msgpack.encode(sent[:5]))
    assert await store.sent_as([["AB-7"], ["ab-7"]]) == [[sent._replace(answer="AB-7")], []]


async def test_an_smsc_that_gives_one_id_to_all_fills_no_store(store: Store) -> None:
    sent = await accepted(store)
    for at_ms in range(40):
        await store.expect_receipts(["0"], sent._replace(at_ms=at_ms))
    (found,) = await store.sent_as([["0"]])
    assert [each.at_ms for each in found] == list(range(39, 23, -1))


async def test_what_a_receipt_says_stands_on_the_registration(store: Store) -> None:
    sent = await accepted(store)
    store.now_ms = T0 + 50
    assert await store.receipt([(sent, "delivered")]) == [("delivered", "accepted")]
    assert await told(store, "registered") == f"delivered {T0} {T0}", "the time is that of its acceptance"
    assert await store.receipt([(sent, "delivered")]) == [("delivered", "delivered")], "said twice"
    assert await store.receipt([(sent, "undelivered")]) == [("undelivered", "delivered")]
    assert await told(store, "registered") == f"undelivered {T0} {T0}"
    assert (await store.registration_fields(r(1)))["undelivered_ms"] == str(T0 + 50)
    assert await store.receipt([(sent, "delivered")]) == [("undelivered", "undelivered")]
    assert await told(store, "registered") == f"undelivered {T0} {T0}", "and stays missing"


# Letters of the outcomes of parts, in the order they are told: what stands in the end. By hand.
@pytest.mark.parametrize(
    ("told_in_order", "stands", "why"),
    [
        ("1d", "accepted", None), ("1d 1d", "accepted", None), ("1d 2d", "delivered", None),
        ("2d 1d", "delivered", None), ("1d 2u", "undelivered", None), ("1u", "undelivered", None),
        ("1u 2d", "undelivered", None), ("1u 1d 2d", "undelivered", None), ("1k", "undelivered", "unknown"),
        ("1k 2d", "undelivered", "unknown"), ("1k 2d 1d", "delivered", None), ("1k 1d", "accepted", None),
        ("1k 2u", "undelivered", None), ("1d 1k 2d", "delivered", None), ("1u 1k 2d", "undelivered", None),
        ("1d 2d 3d", "delivered", None),
    ],
)  # fmt: skip
async def test_a_message_in_parts_has_arrived_when_none_is_missing(
    store: Store, told_in_order: str, stands: str, why: str | None
) -> None:
    sent = (await accepted(store))._replace(parts=2)
    said: dict[str, Said] = {"d": "delivered", "u": "undelivered", "k": "unknown"}
    for each in told_in_order.split():
        await store.receipt([(sent._replace(part=int(each[0])), said[each[1]])])
    kept = await store.registration_fields(r(1))
    assert (kept["sms:registered"], kept.get("why:registered")) == (f"{stands} {T0} {T0}", why)


async def test_what_one_part_is_not_known_of_may_be_known_later(store: Store) -> None:
    sent = await accepted(store)
    assert await store.receipt([(sent, "unknown")]) == [("undelivered", "accepted")]
    assert (await store.registration_fields(r(1)))["why:registered"] == "unknown"
    assert await store.receipt([(sent, "delivered")]) == [("delivered", "undelivered")]
    assert "why:registered" not in await store.registration_fields(r(1))
    assert await store.receipt([(sent, "unknown")]) == [("delivered", "delivered")]


async def test_a_receipt_of_another_message_changes_nothing(store: Store) -> None:
    sent = await accepted(store)
    before = await store.registration_fields(r(1))
    for other in (
        sent._replace(no="B"), sent._replace(kind="allotted"), sent._replace(at_ms=T0 + 1), sent._replace(resident=r(2))
    ):  # fmt: skip
        assert await store.receipt([(other, "undelivered")]) == [("", "")]
    assert await store.registration_fields(r(1)) == before


async def test_receipts_are_counted_by_the_hour(store: Store) -> None:
    await store.count_receipts([(7, ("matched", "same")), (7, ("matched",)), (8, ("unmatched",))])
    await store.count_receipts([(7, ("matched",))])
    assert await store.receipt_counts([6, 7, 8]) == [Counter(), Counter(matched=3, same=1), Counter(unmatched=1)]


async def test_who_wants_no_messages_says_so_once_and_may_think_again(store: Store) -> None:
    assert [await store.opt_out(b"a" * 16, T0), await store.opt_out(b"a" * 16, T0)] == [True, False]
    assert await store.has_opted_out([b"a" * 16, b"b" * 16]) == [True, False]
    assert await store.count_opted_out() == 1
    assert [await store.opt_in(b"a" * 16), await store.opt_in(b"a" * 16)] == [True, False]
    assert await store.has_opted_out([b"a" * 16]) == [False]


# admit


async def admitted(store: Store, letters: str, caps: Caps) -> str:
    """For each letter one more message to a phone: a, b of kinds that matter, x, y of kinds that only confirm."""
    verdicts = []
    for kind in letters:
        ((verdict, wait_ms),) = known(await store.admit([("phone", kind, kind in "xy", caps)]))
        verdicts.append({"go": "+", "later": f"({wait_ms})", "never": "-"}[verdict])
    return "".join(verdicts)


# By hand.
@pytest.mark.parametrize(
    ("caps", "letters", "verdicts"),
    [
        (Caps(2, 9, 9), "aaab", "++(86400000)+"),
        (Caps(9, 2, 9), "xyxa", "++-+"),
        (Caps(9, 2, 4), "aaaax", "++++-"),
        (Caps(9, 2, 3), "aaaa", "+++(86400000)"),
        (Caps(1, 2, 9), "xxy", "+(86400000)+"),
    ],
)
async def test_a_phone_has_so_many_messages_in_a_day(store: Store, caps: Caps, letters: str, verdicts: str) -> None:
    store.now_ms = T0
    assert await admitted(store, letters, caps) == verdicts


async def test_a_day_later_a_phone_may_have_more_and_what_was_refused_has_not_counted(store: Store) -> None:
    caps = Caps(9, 1, 3)
    for at_ms, letters, verdicts in (
        (0, "ax", "++"), (10, "xb", "-+"), (20, "a", "(86399980)"), (86_399_999, "a", "(1)"), (86_400_000, "ax", "++"),
        (86_400_009, "a", "(1)"), (86_400_010, "a", "+"),
    ):  # fmt: skip
        store.now_ms = T0 + at_ms
        assert await admitted(store, letters, caps) == verdicts, at_ms
    store.now_ms = T0 - 1
    assert await admitted(store, "a", caps) == "+", "a clock that was set back holds nobody up"


# write_pointers, defer, bring, dead letters


async def take(store: Store, districts: list[str] | None = None) -> list[Pointer]:
    found = await store.next_entries(districts or [TIANHE, BAIYUN], "test", 100, 60_000, "outbox")
    return [Pointer.of(owed) for owed in found]


async def test_only_those_who_are_owed_something_are_pointed_to(store: Store) -> None:
    await store.open_outbox([TIANHE, BAIYUN])
    await register(store)
    assert await store.write_pointers([]) == 0
    assert await store.write_pointers([(TIANHE, r(1)), (TIANHE, r(2)), (BAIYUN, r(1))]) == 2
    pointers = await take(store)
    assert [(p.entry.district, p.resident, p.tries) for p in pointers] == [(TIANHE, r(1), 0), (BAIYUN, r(1), 0)]
    assert len({p.name for p in pointers}) == 2
    assert await store.count_entries([TIANHE, BAIYUN]) == 2
    await store.acknowledge([each.entry for each in pointers])
    assert await store.count_entries([TIANHE, BAIYUN]) == 0


async def test_a_pointer_that_is_put_off_comes_back_by_its_name(store: Store) -> None:
    await store.open_outbox([TIANHE, BAIYUN])
    resident = b"|1|\x00\xff\n|" + b"x" * 8  # bytes that its place in the queue is written with
    client: Any = store.client
    await client.hset(key("owed", resident_tag(resident)), "last", 1)
    store.now_ms = T0
    await store.write_pointers([(TIANHE, resident)])
    (first,) = await take(store)
    await store.defer(first, T0 + 1000, 3)
    assert await take(store) == []
    assert [(b.waiting, b.later) for b in await store.backlogs([TIANHE, BAIYUN])] == [(0, 1), (0, 0)]
    store.now_ms = T0 + 999
    assert await store.bring([TIANHE, BAIYUN], 10) == 0
    store.now_ms = T0 + 1000
    assert await store.bring([TIANHE, BAIYUN], 10) == 1
    assert await store.bring([TIANHE, BAIYUN], 10) == 0
    (again,) = await take(store)
    assert (again.name, again.tries, again.resident) == (first.name, 3, resident)
    assert again.entry.id != first.entry.id


async def test_no_more_are_brought_than_asked_for_the_first_due_first(store: Store) -> None:
    await store.open_outbox([TIANHE])
    for i in range(1, 6):
        await register(store, f"N{i}", i)
    await store.write_pointers([(TIANHE, r(i)) for i in range(1, 6)])
    for each in await take(store, [TIANHE]):
        await store.defer(each, T0 + 100 - int.from_bytes(each.resident, "big"), 0)
    store.now_ms = T0 + 100
    assert await store.bring([TIANHE], 2) == 2
    assert [p.resident for p in await take(store, [TIANHE])] == [r(5), r(4)]
    assert await store.bring([TIANHE], 9) == 3


async def test_a_dead_letter_is_kept_in_the_place_of_its_pointer(store: Store) -> None:
    await store.open_outbox([TIANHE])
    await register(store)
    await store.write_pointers([(TIANHE, r(1))])
    (one,) = await take(store, [TIANHE])
    letter = DeadLetter(r(1), 1, "registered", "A", T0, 10, "ConnectionResetError")
    for _ in range(2):  # again after a crash
        await store.keep_dead_letter(TIANHE, one.name, letter)
    await store.acknowledge([one.entry])
    assert await store.dead([TIANHE, BAIYUN]) == [{one.name: letter}, {}]
    (backlog,) = await store.backlogs([TIANHE])
    assert (backlog.codes, backlog.waiting, backlog.later, backlog.dead, backlog.oldest_ms) == (0, 0, 0, 1, None)
    assert await store.next_entries([TIANHE], "another", 10, 0, "outbox") == []
    await store.forget_dead_letter(TIANHE, one.name)
    assert await store.dead([TIANHE]) == [{}]


async def test_the_backlog_knows_since_when(store: Store) -> None:
    client: Any = store.client
    await client.xadd(key("outbox", TIANHE), {"resident": r(1)}, id="2000-0")
    await client.xadd(key("codes", TIANHE), {"kind": "code"}, id="1500-0")
    await client.xadd(key("codes", TIANHE), {"kind": "code"}, id="2500-0")
    first, second = await store.backlogs([TIANHE, BAIYUN])
    assert first == (2, 1, 0, 0, 1500)
    assert second == (0, 0, 0, 0, None)


# pass_over


async def pass_over(store: Store, night: str, *, no: str = "A", withdrawn: bool = False, reached: str = "") -> str:
    (status,) = known(await store.pass_over([PassedOver(r(1), no, night, 7, "later", reached, withdrawn)], 3))
    return status


async def test_after_three_nights_in_vain_they_are_told_and_after_three_more_again(store: Store) -> None:
    await register(store)
    await next_of(store, "p")
    await settle(store, "p", 1)
    for day in range(19, 25):
        store.now_ms = T0 + day
        status = await pass_over(store, f"2021-06-{day}", reached="2021-05-01" if day < 24 else "")
        assert status == ("told" if day in (21, 24) else "passed")
        assert await pass_over(store, f"2021-06-{day}") == "again"
        found = await next_of(store, "p")
        if day in (21, 24):
            reached = "2021-05-01" if day == 21 else ""
            assert found.message == Message("waiting", "A", T0 + day, 0, About(reached=reached))
            await settle(store, "p", found.seq)
        else:
            assert found == NONE
    kept = await store.registration_fields(r(1))
    assert (kept["nights"], kept["night"], kept["leaf"], kept["why_not"], kept["reached"]) == (
        "6", "2021-06-24", "7", "later", "",
    )  # fmt: skip


async def test_who_does_not_wait_is_not_passed_over(store: Store) -> None:
    change = await register(store)
    assert await pass_over(store, "2021-06-19", no="B") == "absent"
    await book(store, change)
    assert await pass_over(store, "2021-06-19") == "other"
    assert "nights" not in await store.registration_fields(r(1))


async def test_a_slot_that_is_withdrawn_puts_them_first(store: Store) -> None:
    await register(store)
    assert await pass_over(store, "2021-06-19", withdrawn=True) == "passed"
    assert (await store.registration_fields(r(1)))["priority"] == "1"
    assert [(p.state, p.actor, p.why) for p in (await store.history(r(1))).events] == [("proposed", "night", "later")]


# remind


async def test_a_reminder_is_owed_once_for_an_appointment(store: Store) -> None:
    change = await register(store)
    assert await store.remind([("A", r(1))], SLOT.day, T0 + 5, T0) == ["other"], "no appointment"
    await book(store, change)
    assert await store.remind([("A", r(1)), ("B", r(1)), ("C", r(2))], "2021-06-22", T0 + 5, T0) == ["other"] * 3
    assert await store.remind([("A", r(1))], SLOT.day, T0 + 5, T0 - 1) == ["other"], "they have just been told"
    assert await store.remind([("A", r(1))], SLOT.day, T0 + 5, T0) == ["reminded"]
    assert await store.remind([("A", r(1))], SLOT.day, T0 + 5, T0) == ["again"]
    fields = await owed_fields(store)
    assert fields["last"] == "3" and '"reminder"' in fields["3"]


async def test_another_appointment_is_another_reminder(store: Store) -> None:
    change = await register(store)
    await book(store, change)
    await store.remind([("A", r(1))], SLOT.day, T0, T0)
    assert await store.reopen(change, SLOT, "停电") == "reopened"
    later = Appointment("T2", "2021-06-23", "pm")
    await book(store, change, later)
    assert await store.remind([("A", r(1))], later.day, T0, T0) == ["reminded"]
    kinds = []
    for seq in range(1, 7):
        found = await next_of(store, "p")
        assert found.seq == seq and found.message is not None
        kinds.append((found.message.kind, found.message.about.site))
        await settle(store, "p", seq)
    assert kinds == [
        ("registered", ""), ("allotted", "T1"), ("reminder", "T1"), ("closed", "T1"), ("allotted", "T2"),
        ("reminder", "T2"),
    ]  # fmt: skip


# pace


async def test_what_goes_takes_its_time_from_what_comes_after(store: Store) -> None:
    """In real time; slow rates, so that no machine is too slow for it."""
    assert await store.pace(10, 1) == 0
    assert 5_000 < await store.pace(5, 1) <= 10_000
    assert 10_000 < await store.pace(1, 1) <= 15_000
    client: Any = store.client
    await client.delete("pace:{gateway}")
    assert await store.pace(1, 1_000_000) == 0
