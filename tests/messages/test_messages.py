"""Messages reach the phones: none lost, none twice without need, in order, through every fault of the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.core.encryption import Cipher, Contact
from server.core.errors import MessageRefused, NotHandedOver, StoreUnavailable
from server.core.keys import Pepper, resident_tag
from server.core.sms import QuietHours
from server.messages.gateways import FileGateway
from server.records.first_dose import FirstDoseRecord
from server.records.message import Pointer
from server.records.registration import NewRegistration
from server.records.registration_changes import Change, PassedOver
from server.records.statuses import known
from tests.support.post import HOUR, SLOT, T0, Phones, Post, city, open_post, read
from tests.support.serving import TIANHE, Person, person
from tests.support.stores import FIELDS, swap


@pytest.fixture
async def post(store_url: str) -> AsyncIterator[Post]:
    """It is 08:00."""
    async with open_post(store_url) as it:
        yield it


# What they say


async def test_a_message_says_what_it_must_in_the_residents_language(post: Post) -> None:
    phones = Phones()
    await post.register([Person(person(0).id_number, "欧阳娜", person(0).phone)])
    await post.register([Person(person(1).id_number, "LI SI", person(1).phone)], lang="en")
    assert await post.send(phones) == 2
    for i in (0, 1):
        await post.book(i)
    assert await post.send(phones) == 2
    zh, en = ([text for phone, text in phones.messages if phone == who.phone] for who in post.people)
    assert zh == [
        "【广州健康通】欧*已登记，登记号106190100000000。每晚按第一剂日期安排，有结果即发短信，不必守候。拒收回TD",
        "【广州健康通】欧*，请于6月21日（周一）08:30-12:00带身份证到接种点T1接种。"
        "不能来的，请在6月20日20:00前上网取消；不取消又不来，会记一次爽约。",
    ]
    assert en[1] == (
        "【广州健康通】L*: your dose is on Mon 21 Jun, 08:30-12:00, at Site T1. Bring your ID. Cannot come? "
        "Cancel online before 20:00 on Sun 20 Jun, or it counts as a no-show."
    )
    assert await post.told("registered") == await post.told("allotted") == {"accepted": 2}
    assert await post.backlog() == (0, 0, 0)


async def test_where_a_night_has_reached_nobody_it_says_so_and_an_unknown_site_is_its_code(post: Post) -> None:
    phones = Phones()
    await post.register([person(0), person(1)])
    await post.book(1, SLOT._replace(site="X9"))
    for night in ("2021-06-17", "2021-06-18", "2021-06-19"):
        await post.store.pass_over([PassedOver(post.key(0), post.no(0), night, 1, "later", "")], 3)
    await post.point([0])
    await post.send(phones)
    said = [text for _, text in phones.messages]
    assert sum("已排到的第一剂日期：暂无" in text for text in said) == 1
    assert sum("带身份证到X9接种" in text for text in said) == 1


async def test_a_reminder_of_an_appointment_that_is_gone_is_not_sent(post: Post) -> None:
    phones = Phones()
    await post.register([person(0), person(1)])
    for i in (0, 1):
        await post.book(i)
    await post.send(phones)
    expected = [(post.no(i), post.key(i)) for i in (0, 1)]
    assert await post.store.remind(expected, SLOT.day, T0 + HOUR, T0) == ["reminded"] * 2
    await post.point([0, 1])
    assert await post.send(phones) == 0
    assert (await post.backlog())[0] == 0
    assert await post.store.reopen(Change(post.key(0), post.no(0), "desk"), SLOT, "停电") == "reopened"
    post.at(T0 + HOUR)
    phones.messages.clear()
    assert await post.send(phones) == 2
    said = sorted((phone, "提醒您" in text, "停诊" in text) for phone, text in phones.messages)
    assert said == [(person(0).phone, False, True), (person(1).phone, True, False)]
    assert (await post.told("reminder")) == {"nothing": 1, "accepted": 1}


# Through the file


async def test_five_thousand_go_out_and_are_done(store_url: str, tmp_path: Path) -> None:
    gateway = FileGateway(tmp_path / "sms.jsonl")
    async with open_post(store_url) as post:
        await post.register([person(i) for i in range(5000)])
        sending = asyncio.create_task(post.sender.run(gateway, "test"))
        await post.settled("registered", "accepted")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert await post.backlog() == (0, 0, 0)
    assert Counter(map(lambda line: line["phone"], read(gateway.path))) == {p.phone: 1 for p in post.people}
    assert gateway.path.stat().st_mode & 0o777 == 0o600


async def test_a_full_disk_is_no_message_sent(tmp_path: Path) -> None:
    gateway = FileGateway(tmp_path / "no" / "sms.jsonl")
    answers = await asyncio.gather(*(gateway.submit(f"{i}", "text") for i in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [FileNotFoundError] * 3
    (tmp_path / "no").mkdir()
    await asyncio.gather(*(gateway.submit(f"{i}", "text") for i in range(3)))
    assert [line["phone"] for line in read(gateway.path)] == ["0", "1", "2"]


# Order, repeats


async def test_each_resident_gets_their_messages_in_the_order_of_events_also_on_one_phone(store_url: str) -> None:
    """Without the cap of a phone, which is another test's."""
    async with open_post(store_url, per_phone_a_day_in_all=1000) as post:
        await check_order_on_one_phone(post)


async def check_order_on_one_phone(post: Post) -> None:
    family = [Person(person(i).id_number, f"{chr(0x4E00 + i)}家", "13611112222") for i in range(20)]
    phones = Phones()
    await post.register(family)
    for i in range(20):
        await post.book(i)
        change = Change(post.key(i), post.no(i), "desk")
        assert await post.store.reopen(change, SLOT, "停电") == "reopened"
        await post.book(i, SLOT._replace(day="2021-06-23"))
    assert await post.send(phones) == 80
    for i in range(20):
        name = f"{chr(0x4E00 + i)}*"
        said = [text for _, text in phones.messages if text.startswith(f"【广州健康通】{name}")]
        assert ["已登记" in said[0], "请于6月21日" in said[1], "停诊" in said[2], "请于6月23日" in said[3]] == [
            True
        ] * 4
        assert len(said) == 4
    assert {phone for phone, _ in phones.messages} == {"13611112222"}


async def test_a_doubled_pointer_sends_once(post: Post) -> None:
    phones = Phones()
    await post.register([person(i) for i in range(20)])
    for _ in range(3):
        await post.point(range(20))
    assert await post.send(phones) == 20
    post.at(T0 + HOUR)
    assert await post.send(phones) == 0
    assert await post.backlog() == (0, 0, 0)


async def test_two_senders_at_once_send_once(store_url: str, tmp_path: Path) -> None:
    async with open_post(store_url) as post:
        await post.register([person(i) for i in range(600)])
        gateways = [FileGateway(tmp_path / str(i)) for i in range(3)]
        run = [asyncio.create_task(post.new_sender().run(gateway, gateway.path.name)) for gateway in gateways]
        for i in range(600):
            await post.book(i)
        await post.settled("allotted", "accepted")
        for task in run:
            task.cancel()
        await asyncio.gather(*run, return_exceptions=True)
    sent = [line for gateway in gateways for line in read(gateway.path)]
    assert Counter(line["phone"] for line in sent) == {who.phone: 2 for who in post.people}
    assert len({(line["phone"], line["text"]) for line in sent}) == 1200


@pytest.mark.parametrize("stays", [False, True])
async def test_a_store_that_goes_away_after_the_gateway_took_it_costs_no_repeat(
    post: Post, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    phones = Phones()
    await post.register([person(0)])
    settle, left = post.store.settle_message, [1_000 if stays else 3]

    async def away(settled: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise StoreUnavailable
        return await settle(settled)

    swap(monkeypatch, post.store, "settle_message", away)
    post.sender = post.new_sender()
    if stays:  # too long: left to the next look
        monkeypatch.setattr("server.messages.message_sender._TELL_SECONDS", 0.0)
        assert await post.send(phones) == 0
        left[0] = 0
        monkeypatch.setattr("server.messages.outbox_reader._IDLE_MS", {"codes": 0, "outbox": 0})  # long enough ago
    assert await post.send(phones) == 1
    assert len(phones.messages) == 1 and await post.told("registered") == {"accepted": 1}


# What is not taken


async def test_what_fails_is_tried_later_and_later_then_laid_aside_and_holds_up_no_other(store_url: str) -> None:
    async with open_post(store_url, tries=3) as post:
        phones = Phones()
        await post.register([person(0), person(1)])
        await post.book(0)
        phones.failing[person(0).phone] = ConnectionResetError("no answer")
        assert await post.send(phones) == 1, "of the other one"
        # After 5 s, then after 10; with up to half as much again. Then at once the next message, which fails too.
        for at_ms, asked in ((4_999, 2), (7_500, 3), (7_500 + 9_999, 3), (7_500 + 15_000, 5)):
            post.at(T0 + at_ms)
            assert await post.send(phones) == 0
            assert phones.asked == asked
        assert await post.told("registered") == {"unsent": 1, "accepted": 1}
        (letters,) = await post.store.dead([TIANHE])
        (letter,) = letters.values()
        assert (letter.kind, letter.no, letter.tries) == ("registered", post.no(0), 3)
        assert letter.why == "ConnectionResetError: no answer"
        assert await post.to_call() == set(), "only of messages that matter"
        phones.failing.clear()
        post.at(T0 + 60_000)
        assert await post.send(phones) == 1, "the next message has a pointer of its own"
        assert await post.told("allotted") == {"accepted": 1, "nothing": 1}


async def test_a_message_that_is_refused_for_good_is_called_in(post: Post) -> None:
    phones = Phones()
    await post.register([person(0), person(1)])
    phones.failing[person(0).phone] = MessageRefused("ESME_RINVDSTADR")
    assert await post.send(phones) == 1
    assert await post.told("registered") == {"refused": 1, "accepted": 1}
    assert await post.to_call() == set()
    for i in (0, 1):
        await post.book(i)
    assert await post.send(phones) == 1
    assert await post.told("allotted") == {"refused": 1, "accepted": 1}
    assert await post.to_call() == {post.no(0)}
    assert await post.backlog() == (0, 0, 0)


async def test_what_was_not_handed_over_costs_no_tries(store_url: str) -> None:
    async with open_post(store_url, tries=2, per_phone_a_day=1) as post:
        phones = Phones()
        await post.register([person(0)])
        phones.failing[person(0).phone] = NotHandedOver("not connected")
        for minute in range(20):
            post.at(T0 + minute * 60_000)
            assert await post.send(phones) == 0
        assert phones.asked == 20
        phones.failing.clear()
        post.at(T0 + HOUR)
        assert await post.send(phones) == 1, "and it was counted once against its phone"


async def test_a_gateway_that_is_not_ready_is_not_fed(post: Post) -> None:
    phones = Phones()
    phones.ready = 0
    await post.register([person(0)])
    await post.sender.enqueue_code(post.key(0), TIANHE, "123456", T0 + 300_000)
    assert await post.sender.send_due(phones, "test") == 0
    assert (phones.asked, await post.backlog()) == (0, (1, 0, 0))
    phones.ready = 1
    assert await post.sender.send_due(phones, "test") == 2


async def test_a_contact_that_cannot_be_read_is_a_dead_letter_and_one_that_was_deleted_is_none(post: Post) -> None:
    phones = Phones()
    await post.register([person(0), person(1)])
    client: Any = post.store.client
    kept = await post.store.residents([post.key(1)])
    assert kept[0].first_dose is not None
    spoilt = msgspec.structs.replace(kept[0].first_dose, contact=b"\x00" + kept[0].first_dose.contact[1:])
    await post.store.keep_first_doses([(post.key(1), spoilt)])
    await client.delete(*[name async for name in client.scan_iter("registry:*") if name == registry_of(post.key(0))])
    assert await post.send(phones) == 0
    assert await post.backlog() == (0, 0, 1)
    assert await post.told("registered") == {"nothing": 1, "unsent": 1}


def registry_of(resident: bytes) -> bytes:
    from server.core.keys import key, resident_tag

    return key("registry", resident_tag(resident)).encode()


# Limits


async def test_in_quiet_hours_only_codes_go(post: Post) -> None:
    phones = Phones()
    night = T0 + 14 * HOUR  # 22:00
    post.at(night)
    await post.register([person(0)])
    await post.sender.enqueue_code(post.key(0), TIANHE, "123456", night + 300_000)
    assert await post.sender.send_due(phones, "test") == 1
    assert "验证码123456" in phones.messages[0][1]
    post.at(night + 10 * HOUR - 1000)  # 07:59:59
    assert await post.send(phones) == 0
    post.at(night + 10 * HOUR)
    assert await post.send(phones) == 1


async def test_quiet_hours_can_be_switched_off(store_url: str) -> None:
    async with open_post(store_url, quiet_hours=QuietHours()) as post:
        post.at(T0 + 18 * HOUR)
        await post.register([person(0)])
        assert await post.send(Phones()) == 1


async def test_a_phone_gets_no_more_than_its_cap_of_a_kind_and_the_rest_the_next_day(store_url: str) -> None:
    async with open_post(store_url, per_phone_a_day=5) as post:
        phones = Phones()
        await post.register([Person(person(i).id_number, "家人", "13611112222") for i in range(8)])
        await post.register([person(8)])
        assert await post.send(phones) == 6
        await post.book(0)
        assert await post.send(phones) >= 1, "another kind, of one whose first message has gone, or of none"
        before = len(phones.messages)
        post.at(T0 + 24 * HOUR - 1)
        await post.send(phones)
        assert len([text for phone, text in phones.messages if "已登记" in text]) == 6
        post.at(T0 + 24 * HOUR + 660_000)
        await post.send(phones)
        assert await post.told("registered") == {"accepted": 9}
        assert len(phones.messages) > before


async def test_all_senders_together_keep_to_the_cap(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long each batch is to wait, not how long it took."""
    paced: list[tuple[int, int]] = []  # how long it is to wait, and how many it is
    async with open_post(store_url, per_second=50) as post:
        await post.register([person(i) for i in range(120)])
        pace = post.store.pace

        async def slow(many: int, per_second: int) -> int:
            paced.append((await pace(many * 1000, per_second), many))  # a thousand times as slow
            return 0

        swap(monkeypatch, post.store, "pace", slow)
        phones = Phones()
        senders = [post.new_sender(), post.new_sender()]
        sent = await asyncio.gather(*(each.send_messages(phones, f"s{i}") for i, each in enumerate(senders)))
    assert sum(sent) == 120
    # 120 messages at 50 a second; each batch behind all before it, whichever sender heard of its own first.
    paced.sort()
    assert paced[0][0] == 0 and len(paced) >= 3
    assert all(after - before > 0.5 * many * 20_000 for (before, many), (after, _) in pairwise(paced)), paced
    assert 800_000 < paced[-1][0] <= 2_400_000


# Receipts


async def test_a_receipt_may_come_before_the_answer(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.messages.delivery_receipts._LOOK_AGAIN_SECONDS", (0.01,) * 200)
    await post.register([person(0), person(1)])

    class Hasty(Phones):
        async def submit(self, phone: str, text: str) -> list[str]:
            await super().submit(phone, text)
            await post.receipt(phone, delivered=phone == person(0).phone)
            return [phone]

    assert await post.send(Hasty()) == 2
    await post.sender.receipts.settled(20)
    assert await post.told("registered") == {"delivered": 1, "undelivered": 1}
    await post.receipt("of nobody", delivered=True)
    await post.sender.receipts.settled(20)


async def test_an_undelivered_message_that_matters_is_called_in(post: Post) -> None:
    class Numbered(Phones):
        async def submit(self, phone: str, text: str) -> list[str]:
            await super().submit(phone, text)
            return [f"{phone} {len(self.messages)} a", f"{phone} {len(self.messages)} b"]

    await post.register([person(0)])
    phones = Numbered()
    await post.send(phones)
    await post.book(0)
    await post.send(phones)
    await post.receipt(f"{person(0).phone} 1 a", delivered=False)
    assert (await post.told("registered"), await post.to_call()) == ({"undelivered": 1}, set())
    await post.receipt(f"{person(0).phone} 2 a", delivered=True)
    # Not before the other part has arrived as well.
    assert (await post.told("allotted"), await post.to_call()) == ({"accepted": 1}, set())
    await post.receipt(f"{person(0).phone} 2 b", delivered=False)
    assert (await post.told("allotted"), await post.to_call()) == ({"undelivered": 1}, {post.no(0)})


async def test_a_pointer_keeps_its_name(post: Post) -> None:
    """What `jiaohao outbox dead` shows is what its log has said."""
    await post.register([person(0)])
    (owed,) = await post.store.next_entries([TIANHE], "test", 10, 60_000, "outbox")
    assert Pointer.of(owed).name == f"{TIANHE}-{owed.id}"


# What crosses the way of a message


async def test_whose_bar_was_lifted_meanwhile_is_not_told_of_it(post: Post) -> None:
    await post.register([person(0), person(1)])
    assert await post.send(Phones()) == 2
    client: Any = post.store.client
    for i in (0, 1):
        await post.book(i)
        await client.set(f"no_shows:{{{resident_tag(post.key(i))}}}", 2)
    assert await post.send(Phones()) == 2
    missed = [(Change(post.key(i), post.no(i), "night"), True) for i in (0, 1)]
    assert [status for status, _ in known(await post.store.miss(missed, SLOT.day, 2))] == ["barred", "barred"]
    assert await post.store.lift(Change(post.key(0), post.no(0), "operator"), "住院")
    await post.point([0, 1])
    phones = Phones()
    await post.send(phones)
    assert [phone for phone, _ in phones.messages] == [person(1).phone]
    assert await post.backlog() == (0, 0, 0)


async def test_an_answer_that_was_not_noted_is_not_taken_for_that_of_the_next_message(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store dies having settled `registered`, before it says so; what is owed next has the same number again."""
    monkeypatch.setattr("server.messages.message_sender._TELL_SECONDS", 0.0)
    await post.register([person(0)])
    settle = post.store.settle_message

    async def noted_and_gone(*args: Any) -> Any:
        await settle(*args)
        raise StoreUnavailable

    swap(monkeypatch, post.store, "settle_message", noted_and_gone)
    sender = post.new_sender()
    phones = Phones()
    await sender.send_messages(phones, "test")
    assert len(phones.messages) == 1
    swap(monkeypatch, post.store, "settle_message", settle)
    await post.book(0)
    monkeypatch.setattr("server.messages.outbox_reader._IDLE_MS", {"codes": 0, "outbox": 0})
    await sender.send_messages(phones, "test")
    assert len(phones.messages) == 2, "the appointment's own message went out"
    assert await post.told("allotted") == Counter({"accepted": 1})


async def test_killed_before_the_dead_letter_was_laid_aside_it_is_not_lost(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.city = city(tries=1)
    post.sender = post.new_sender()
    await post.register([person(0)])
    phones = Phones()
    phones.failing[person(0).phone] = ConnectionResetError("gone")

    async def killed(*_: Any) -> bool:
        raise StoreUnavailable

    shelve = post.store.shelve_message
    swap(monkeypatch, post.store, "shelve_message", killed)
    await post.send(phones)
    assert (await post.backlog())[2] == 1, "the letter is there"
    swap(monkeypatch, post.store, "shelve_message", shelve)
    monkeypatch.setattr("server.messages.outbox_reader._IDLE_MS", {"codes": 0, "outbox": 0})
    phones.failing.clear()
    await post.send(phones)
    assert [phone for phone, _ in phones.messages] == [person(0).phone]


async def test_what_was_typed_stays_while_a_message_needs_it(post: Post) -> None:
    """Registered for a first dose, cancelled, joined again and left: the word of the cancellation still goes out."""
    resident = Pepper(b"p" * 32).resident("resident_id", person(7).id_number)
    contact = Cipher([b"s" * 32]).encrypt(resident, Contact(person(7).name, person(7).phone))
    await post.store.enrol([(resident, FirstDoseRecord(0, "", TIANHE, b"m" * 12, contact))], HOUR)
    new = NewRegistration(resident, T0 + HOUR, "106190100000099", "", FIELDS)
    await post.store.register([new])
    await post.store.write_pointers([(TIANHE, resident)])
    phones = Phones()
    await post.send(phones)
    assert await post.store.cancel(Change(resident, new.no, "resident"), "", HOUR) == "cancelled"
    assert await post.store.unenrol(resident) is False
    await post.store.write_pointers([(TIANHE, resident)])
    await post.send(phones)
    assert len(phones.messages) == 2
    assert await post.store.unenrol(resident) is True
