"""Short messages: receipts as providers spell them, phones that want none, and messages that have an end.

What an SMSC says is written octet by octet (`tests/support/fake_smsc.py`), and read as `jiaohao notify --gateway smpp`
does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from server.messages.smpp import smpp_from_environment
from server.messages.smpp_gateway import smpp_gateway
from server.night.inputs import Tonight
from server.records.registration import Appointment
from server.records.registration_changes import Change
from server.store.registrations import RegistrationReader
from tests.support.fake_smsc import DATA_SM, DELIVER_SM, FakeSmsc, fake_smsc, field
from tests.support.post import HOUR, SLOT, T0, Phones, Post, open_post
from tests.support.serving import TIANHE, Jiaohao, Person, person
from tests.support.smsc import PASSWORD, Orders, need_smsc, smsc

DAY = 24 * HOUR
RECEIPTED_ID, STATE, PAYLOAD = 0x001E, 0x0427, 0x0424
# So short that an appointment's message is one SMS.
SHORT = {"allotted_zh": "{date}{time}{site}，{cancel_before}前"}


@pytest.fixture
async def post(store_url: str) -> AsyncIterator[Post]:
    """It is 08:00 on 19 June; appointments are on the morning of the 21st, to be cancelled by 20:00 on the 20th."""
    async with open_post(store_url) as it:
        yield it


class Line:
    """A sender bound to an SMSC, as `jiaohao notify --gateway smpp` is."""

    def __init__(self, post: Post, server: FakeSmsc) -> None:
        self.post = post
        self.smsc = server

    async def becomes(self, kind: str, **expected: int) -> None:
        """Wait until this stands on the registrations."""
        async with asyncio.timeout(30):
            while (await self.post.told(kind)) != expected:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def of(self, phone: str) -> list[str]:
        """The ids of the messages that this phone got."""
        return [it.answer for it in self.smsc.submitted if it.phone == "86" + phone]

    async def say(self, i: int, text: str, *, codec: str = "latin-1", nameless: bool = False, **more: Any) -> None:
        """Something for the message to a resident; taken without a fault."""
        phone = "" if nameless else "86" + self.post.people[i].phone
        answer = await self.smsc.say(text.encode(codec), phone=phone, **more)
        assert answer == (more.get("command", DELIVER_SM) | 0x80000000, 0)


@asynccontextmanager
async def line(
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[int], str] = "{:010d}".format,
    refuse: dict[str, int] | None = None,
    options: str = "",
) -> AsyncIterator[Line]:
    """A sender at work on an SMSC of the test's."""
    async with fake_smsc(answer, refuse) as server:
        url = f"smpp://jiaohao@127.0.0.1:{server.port}?source=10690000&rate=5000{options}"
        monkeypatch.setenv("JIAOHAO_SMPP_URL", url)
        monkeypatch.setenv("JIAOHAO_SMPP_PASSWORD", PASSWORD)
        async with smpp_gateway(smpp_from_environment(), post.sender.receipts) as gateway:
            sending = asyncio.create_task(post.sender.run(gateway, "test"))
            try:
                yield Line(post, server)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)


def said(message_id: str, state: str) -> str:
    """As in SMPP 3.4, appendix B."""
    return f"id:{message_id} sub:001 dlvrd:000 submit date:2106190800 done date:2106190801 stat:{state} err:000 text:"


async def state_of(post: Post, i: int, kind: str = "registered") -> str:
    """What stands on a registration about a message, with why where that is known."""
    kept = await post.store.registration_fields(post.key(i))
    why = kept.get(f"why:{kind}", "")
    return " ".join(filter(None, (kept[f"sms:{kind}"].split()[0], why)))


async def may_charge(post: Post, i: int) -> bool:
    """Whether the night would count it as a no-show, had they not come."""
    kept = await RegistrationReader(post.store).registration(post.key(i))
    assert kept is not None
    return Tonight(post.city, post.store)._may_charge(kept)


# S1. Spellings


# What a provider answered, what its receipt said, and who reported it.
SPELLINGS = [
    ("39f99dd5", "0972660181", "jookies/jasmin#1034"),
    ("00B8BE11", "B8BE11", "jookies/jasmin#1129"),
    ("00BB42DD", "00bb42dd", "jookies/jasmin#1129"),
    ("10C8F40D", "281605133", "jookies/jasmin#535"),
    ("812FC7470000001B", "9308878062554710043", "jookies/jasmin#586: 64 bits"),
    ("5f878c79", "1602718841", "jookies/jasmin#1050"),
    ("04062581461644996000141", "4062581461644996000141", "jookies/jasmin#424: 22 digits"),
    ("1101C1-C9D03D-F000", "1101c1-c9d03d-f000", "jookies/jasmin#916"),
    ("SAR-2347039245475-1eedf843-2-1", "SAR-2347039245475-1EEDF843-2-1", "jookies/jasmin#418"),
    ("0e999f21-81ef-4974-a414-3de98174e3c7", "E999F21-81EF-4974-A414-3DE98174E3C7", "jookies/jasmin#643"),
    ("33e95179", "0870928761", "opentelecoms-org/jsmpp#56; ten digits, as in SMPP 3.4, appendix B"),
    ("d2d4504", "0221070596", "opentelecoms-org/jsmpp#178: a zero before the decimal"),
    ("000000000000004d2a", "19754", "MavoCz/smscsim#4: hexadecimal padded, decimal not"),
    ("4D2B", "4d2b", "telenordigital/sms-smpp#153"),
    ("0000029095", "71a7", "Kannel, msg-id-type 0x02: the answer decimal, the receipt hexadecimal"),
    ("0x1F4C0DE5", "1f4c0de5", "ours: only one of them marked as hexadecimal"),
    ("1216080510463401720", '"1216080510463401720"', "ours: in quotes (the id is jookies/jasmin#447's)"),
]


async def test_a_receipt_is_matched_however_it_spells_the_id(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says that the appointment's message did not arrive: its holder is called, and no no-show is charged."""
    everybody = range(len(SPELLINGS))
    async with open_post(store_url, **SHORT) as post:
        await post.register([person(i) for i in everybody])
        await post.send(Phones())
        for i in everybody:
            await post.book(i)
        async with line(post, monkeypatch, lambda n: SPELLINGS[n][0]) as it:
            await it.becomes("allotted", accepted=len(SPELLINGS))
            receipt_of = {answer: receipt for answer, receipt, _ in SPELLINGS}
            for i in everybody:
                (answer,) = it.of(post.people[i].phone)
                await it.say(i, said(receipt_of[answer], "UNDELIV"))
            await it.becomes("allotted", undelivered=len(SPELLINGS))
        assert await post.to_call() == {post.no(i) for i in everybody}
        assert not any([await may_charge(post, i) for i in everybody])


async def test_digits_that_may_be_decimal_or_hexadecimal_find_the_message_to_their_phone(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 is the second one's id, and the first one's in decimal."""
    await post.register([person(0), person(1)])
    async with line(post, monkeypatch, lambda n: ("10", "16")[n]) as it:
        await it.becomes("registered", accepted=2)
        first, second = (next(i for i in (0, 1) if s.phone[2:] == person(i).phone) for s in it.smsc.submitted)
        await it.say(first, said("16", "UNDELIV"))
        await it.becomes("registered", accepted=1, undelivered=1)
        assert [await state_of(post, i) for i in (first, second)] == ["undelivered", "accepted"]
        await it.say(second, said("16", "DELIVRD"))
        await it.becomes("registered", delivered=1, undelivered=1)
        assert await state_of(post, second) == "delivered"


@pytest.mark.parametrize(
    ("options", "stands"),
    [("", "accepted accepted"), ("&receipt_ids=same", "accepted delivered"),
     ("&receipt_ids=decimal", "delivered accepted")],
)  # fmt: skip
async def test_where_more_than_one_message_may_be_meant_none_is_unless_the_operator_says_how_ids_are_spelled(
    post: Post, monkeypatch: pytest.MonkeyPatch, options: str, stands: str
) -> None:
    monkeypatch.setattr("server.messages.delivery_receipts._LOOK_AGAIN_SECONDS", (0.01,))
    await post.register([person(0), person(1)])
    async with line(post, monkeypatch, lambda n: ("10", "16")[n], options=options) as it:
        await it.becomes("registered", accepted=2)
        order = [next(i for i in (0, 1) if s.phone[2:] == person(i).phone) for s in it.smsc.submitted]
        await it.say(0, said("16", "DELIVRD"), nameless=True)
        await post.sender.receipts.settled(20)
        assert " ".join([await state_of(post, i) for i in order]) == stands
    counts = await post.sender.receipts.counts(24)
    assert (counts["ambiguous"], counts["matched"]) == ((1, 0) if not options else (0, 1))


async def test_a_receipt_that_matches_nothing_is_not_silent(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    from server.messages.delivery_report import delivery_report

    monkeypatch.setattr("server.messages.delivery_receipts._LOOK_AGAIN_SECONDS", (0.01,))
    await post.register([person(i) for i in range(30)])
    async with line(post, monkeypatch) as it:
        await it.becomes("registered", accepted=30)
        for i in range(20):
            (answer,) = it.of(person(i).phone)
            await it.say(i, said(answer, "DELIVRD"))
        await it.becomes("registered", delivered=20, accepted=10)
        found = {each.what: each.level for each in await delivery_report(post.city, post.store, T0)}
        assert found["receipts: 20 in the last day, each of a message that was sent"] == "ok"
        for i in range(20, 30):
            await it.say(i, said(f"{7_000_000 + i}", "UNDELIV"))
        (answer,) = it.of(person(20).phone)
        await it.say(29, said(answer, "UNDELIV"))  # the right id, and the phone of somebody else
        await post.sender.receipts.settled(20)
        assert await state_of(post, 20) == "accepted"
    (finding,) = [each for each in await delivery_report(post.city, post.store, T0 + HOUR) if "match" in each.what]
    assert finding.level == "bad"
    assert finding.what == (
        "receipts: 11 of 31 in the last day match no message (10 unknown, 1 other-phone), 0 of 0 in this hour"
    )
    assert "receipt_ids" in finding.cure


async def test_the_receipt_of_a_one_time_code_is_that_of_a_message_of_ours(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post.register([person(0)])
    await post.send(Phones())
    await post.sender.enqueue_code(post.key(0), TIANHE, "123456", T0 + 300_000)
    async with line(post, monkeypatch) as it:
        async with asyncio.timeout(20):
            while not it.smsc.submitted:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await asyncio.sleep(0)
        await it.say(0, said(it.smsc.submitted[0].answer, "DELIVRD"))
        await post.sender.receipts.settled(20)
    counts = await post.sender.receipts.counts(1)
    assert (counts["matched"], counts["unmatched"]) == (1, 0)


NUMBERS = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 5000))
PADDING = st.sampled_from(["", "0", "00", "000000"])
CASES = st.sampled_from([str.lower, str.upper])
AROUND = st.sampled_from(["{}", " {}", "{} ", '"{}"', "'{}'", "<{}>", "{}\0", "[{}]"])


def hexadecimal(number: int, padding: str, case: Callable[[str], str], mark: str) -> str:
    return mark + padding + case(f"{number:x}")


MARKS = st.sampled_from(["", "0x", "0X"])
HEXADECIMALS = st.builds(hexadecimal, NUMBERS, PADDING, CASES, MARKS)


@given(NUMBERS, PADDING, PADDING, CASES, CASES, MARKS, AROUND, st.sampled_from(["hh", "hd", "dh", "dd"]))
def test_any_spelling_of_an_id_that_the_answer_had_is_found(
    number: int,
    pad: str,
    other_pad: str,
    case: Callable[[str], str],
    other_case: Callable[[str], str],
    mark: str,
    around: str,
    bases: str,
) -> None:
    from server.messages.message_ids import form_of, forms_of, relation

    answer = hexadecimal(number, pad, case, mark) if bases[0] == "h" else f"{pad}{number}"
    receipt = hexadecimal(number, other_pad, other_case, "") if bases[1] == "h" else f"{other_pad}{number}"
    receipt = around.format(receipt)
    assert form_of(answer) in forms_of(receipt)
    assert relation(answer, receipt) is not None


@given(HEXADECIMALS, st.one_of(HEXADECIMALS, NUMBERS.map(str)))
def test_no_id_is_taken_for_one_that_it_cannot_spell(answer: str, receipt: str) -> None:
    """The model is Python's own reading of numbers."""
    from server.messages.message_ids import relation

    readings = {int(receipt, 16)} | ({int(receipt)} if receipt.isdecimal() else set())
    answers = {int(answer, 16)} | ({int(answer)} if answer.isdecimal() else set())
    if not readings & answers:
        assert relation(answer, receipt) is None


@given(st.uuids(), CASES, st.booleans())
def test_uuids_are_found_with_and_without_their_dashes(it: Any, case: Callable[[str], str], dashes: bool) -> None:
    from server.messages.message_ids import form_of, forms_of, relation

    answer, receipt = str(it), case(str(it) if dashes else it.hex)
    assert form_of(answer) in forms_of(receipt) and relation(answer, receipt) == "same"
    assert relation(answer, receipt[:-1] + ("0" if receipt[-1] != "0" else "1")) is None


# S2. States


# A receipt's word (or the number of its message_state), what stands on the registration, and who writes it.
STATES: list[tuple[str | int, str, str]] = [
    ("DELIVRD", "delivered", "SMPP 3.4, appendix B"),
    ("EXPIRED", "undelivered", "SMPP 3.4, appendix B"),
    ("DELETED", "undelivered", "SMPP 3.4, appendix B"),
    ("UNDELIV", "undelivered", "SMPP 3.4, appendix B"),
    ("REJECTD", "undelivered", "SMPP 3.4, appendix B"),
    ("ACCEPTD", "accepted", "SMPP 3.4, appendix B: somebody read it for the subscriber; not on the phone"),
    ("ENROUTE", "accepted", "SMPP 3.4, 5.2.28: not the end"),
    ("UNKNOWN", "undelivered unknown", "SMPP 3.4, appendix B"),
    ("FAILED", "undelivered", "jookies/jasmin#447: stat:FAILED err:002"),
    ("SYSERR", "undelivered", "smscentral.com.au, SMPP, receive DLRs"),
    ("NOCRED", "undelivered", "smscentral.com.au, SMPP, receive DLRs"),
    ("BUFFRED", "accepted", "smscentral.com.au, SMPP, receive DLRs: not the end"),
    ("SCHEDLD", "accepted", "melroselabs.com, SMPP delivery receipts: not the end"),
    ("SKIPPED", "undelivered", "melroselabs.com, SMPP delivery receipts"),
    ("REJECTED", "undelivered", "openmarket.com, SMPP 4, receipt examples: eight letters"),
    ("MK:0012", "undelivered", "CMPP: the failing place and its number (anxin163.com lists some 300)"),
    ("MA:0001", "undelivered", "CMPP"),
    ("HURRAH", "undelivered unknown", "ours: a word that nobody knows"),
    ("", "undelivered unknown", "jookies/jasmin#534: no word at all"),
    (0, "accepted", "SMPP 5.0, 4.7.15: scheduled"),
    (1, "accepted", "SMPP 3.4, 5.2.28: en route"),
    (2, "delivered", "SMPP 3.4, 5.2.28"),
    (3, "undelivered", "SMPP 3.4, 5.2.28: expired"),
    (4, "undelivered", "SMPP 3.4, 5.2.28: deleted"),
    (5, "undelivered", "SMPP 3.4, 5.2.28: undeliverable"),
    (6, "accepted", "SMPP 3.4, 5.2.28: accepted"),
    (7, "undelivered unknown", "SMPP 3.4, 5.2.28: unknown"),
    (8, "undelivered", "SMPP 3.4, 5.2.28: rejected"),
    (9, "undelivered", "SMPP 5.0, 4.7.15: skipped"),
    (77, "undelivered unknown", "ours: a number that nobody knows"),
]


async def test_every_state_word_is_understood_and_an_unknown_one_is_undelivered_unknown(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = range(len(STATES))
    async with open_post(store_url, **SHORT) as post:
        await post.register([person(i) for i in everybody])
        await post.send(Phones())
        for i in everybody:
            await post.book(i)
        async with line(post, monkeypatch) as it:
            await it.becomes("allotted", accepted=len(STATES))
            for i, (state, _, _) in enumerate(STATES):
                (answer,) = it.of(person(i).phone)
                if isinstance(state, int):
                    named = field(RECEIPTED_ID, answer.encode() + b"\0")
                    await it.say(i, "", fields=named + field(STATE, bytes((state,))))
                else:
                    await it.say(i, said(answer, state))
            await post.sender.receipts.settled(20)
        assert [(state, await state_of(post, i, "allotted")) for i, (state, _, _) in enumerate(STATES)] == [
            (state, stands) for state, stands, _ in STATES
        ]
        lost = {post.no(i) for i, (_, stands, _) in enumerate(STATES) if stands.startswith("undelivered")}
        assert await post.to_call() == lost


async def test_what_was_not_known_and_arrives_after_all_need_not_be_called(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some say UNKNOWN while a phone is switched off (cardboardfish.com, delivery report status)."""
    async with open_post(store_url, **SHORT) as post:
        await post.register([person(0)])
        await post.book(0)
        async with line(post, monkeypatch) as it:
            await it.becomes("allotted", accepted=1)
            answer = (it.of(person(0).phone))[1]
            await it.say(0, said(answer, "UNKNOWN"))
            assert (await state_of(post, 0, "allotted"), await post.to_call()) == ("undelivered unknown", {post.no(0)})
            await it.say(0, said(answer, "DELIVRD"))
            assert (await state_of(post, 0, "allotted"), await post.to_call()) == ("delivered", set())


# S3. Parts


async def test_a_message_of_two_parts_has_arrived_when_both_have_whoever_hears_of_them(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second receipt comes to another sender, started after the first one ended."""
    await post.register([person(0), person(1)])
    await post.send(Phones())
    for i in (0, 1):
        await post.book(i)
    async with line(post, monkeypatch) as it:
        await it.becomes("allotted", accepted=2)
        parts = [it.of(person(i).phone) for i in (0, 1)]
        assert [len(each) for each in parts] == [2, 2]
        for i in (0, 1):
            await it.say(i, said(parts[i][1], "DELIVRD"))
        assert await post.told("allotted") == {"accepted": 2}, "one of two"
        await it.say(0, said(parts[0][1], "DELIVRD"))
        assert await post.told("allotted") == {"accepted": 2}, "the same one again"
    post.sender = post.new_sender()
    async with line(post, monkeypatch) as it:
        async with asyncio.timeout(20):
            while not it.smsc.peers:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await it.say(0, said(parts[0][0], "DELIVRD"))
        await it.say(1, said(parts[1][0], "FAILED"))
    assert [await state_of(post, i, "allotted") for i in (0, 1)] == ["delivered", "undelivered"]
    assert await post.to_call() == {post.no(1)}


async def test_a_part_that_is_lost_long_before_the_other_is_taken_is_not_forgotten(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SMSC was away between the two; the first one's receipt came, and was looked at again for as long as it is."""
    monkeypatch.setattr("server.messages.delivery_receipts._LOOK_AGAIN_SECONDS", (0.01,))

    class Slow(Phones):
        async def submit(self, phone: str, text: str) -> list[str]:
            await super().submit(phone, text)
            if "请于" not in text:
                return []
            await post.receipt("00B8BE11", delivered=False, phones=(phone,))
            await post.sender.receipts.settled(20)
            assert (await post.sender.receipts.counts(1))["unmatched"] == 1
            return ["b8be11", "b8be12"]

    await post.register([person(0)])
    await post.book(0)
    await post.send(Slow())
    assert (await state_of(post, 0, "allotted"), await post.to_call()) == ("undelivered", {post.no(0)})
    counts = await post.sender.receipts.counts(1)
    assert (counts["matched"], counts["unmatched"], counts["unknown"]) == (1, 0, 0)


# S4. Too many, and no more


STRANGER = "13700137000"


def made_up(i: int) -> Person:
    return Person(person(i).id_number, f"{chr(0x4E00 + i)}三", STRANGER)


async def test_made_up_people_cannot_flood_a_strangers_phone_nor_use_up_what_the_stranger_is_owed(post: Post) -> None:
    """Thirty of them register with it and cancel, day after day; the stranger is a resident too."""
    phones = Phones()
    await post.register([Person(person(40).id_number, "周五", STRANGER)])
    await post.send(phones)
    for i in range(30):
        await post.register([made_up(i)])
        change = Change(post.key(i + 1), post.no(i + 1), "resident")
        assert await post.store.cancel(change, "", HOUR) == "cancelled"
    await post.point(range(31))
    for hours in (0, 1, 5, 11):
        post.at(T0 + hours * HOUR)
        await post.send(phones)
    assert len(phones.messages) == 10, "half of the 20 that are a phone's, and none is put off to the next day"
    await post.book(0)
    await post.send(phones)
    assert "请于6月21日" in phones.messages[-1][1] and len(phones.messages) == 11
    for hours in range(12, 72, 12):
        post.at(T0 + hours * HOUR)
        await post.send(phones)
    assert len(phones.messages) == 11


async def test_six_relatives_on_one_phone_are_told_everything_on_one_day(post: Post) -> None:
    phones = Phones()
    await post.register([made_up(i) for i in range(6)])
    await post.send(phones)
    for i in range(6):
        await post.book(i)
    await post.send(phones)
    expected = [(post.no(i), post.key(i)) for i in range(6)]
    assert await post.store.remind(expected, SLOT.day, T0 + HOUR, T0) == ["reminded"] * 6
    await post.point(range(6))
    post.at(T0 + HOUR)
    await post.send(phones)
    assert len(phones.messages) == 18


async def test_what_matters_waits_for_its_turn_and_is_called_in_where_that_is_too_late(store_url: str) -> None:
    async with open_post(store_url, per_phone_a_day_in_all=2) as post:
        phones = Phones()
        await post.register([made_up(i) for i in range(4)])
        await post.send(phones)
        assert await post.told("registered") == {"accepted": 1, "unsent": 3}
        for i in range(4):
            await post.book(i)
        await post.send(phones)
        assert await post.told("allotted") == {"accepted": 1, "nothing": 3}
        post.at(T0 + DAY + HOUR)
        await post.send(phones)
        assert await post.told("allotted") == {"accepted": 3, "nothing": 1}, "two on the next day"
        post.at(T0 + 2 * DAY + 2 * HOUR)
        await post.send(phones)
        assert await post.told("allotted") == {"accepted": 3, "unsent": 1}, "their mornings have begun"
        assert len(await post.to_call()) == 1


@pytest.mark.parametrize(
    ("text", "codec", "coding"),
    [("TD", "latin-1", 0), ("退订", "utf-16-be", 8), ("ｔｄ", "utf-16-be", 0x18), (" Stop. ", "latin-1", 0),
     ("R", "latin-1", 1)],
)  # fmt: skip
async def test_who_replies_the_stop_word_gets_no_more_messages_but_is_called(
    post: Post, monkeypatch: pytest.MonkeyPatch, text: str, codec: str, coding: int
) -> None:
    await post.register([person(0), person(1)])
    async with line(post, monkeypatch) as it:
        await it.becomes("registered", accepted=2)
        await it.say(0, text, codec=codec, coding=coding, esm_class=0)
        for i in (0, 1):
            await post.book(i)
        await it.becomes("allotted", accepted=1, unsent=1)
        assert await state_of(post, 0, "allotted") == "unsent opted-out"
        assert await post.to_call() == {post.no(0)}
        assert not await may_charge(post, 0)
        before = len(it.of(person(0).phone))
        await post.sender.enqueue_code(post.key(0), TIANHE, "123456", T0 + 300_000)
        async with asyncio.timeout(20):
            while len(it.of(person(0).phone)) == before:  # noqa: ASYNC110  (the code)
                await asyncio.sleep(0.02)
        await it.say(0, "START", esm_class=0)
        assert await post.store.cancel(Change(post.key(0), post.no(0), "resident"), SLOT.day, HOUR) == "cancelled"
        await post.point([0])
        await it.becomes("cancelled", accepted=1, nothing=1)


@pytest.mark.parametrize("text", ["取消", "CANCEL", "我退订了别的", "谢谢", "N", "1", "停"])
async def test_what_is_no_stop_word_stops_nothing(post: Post, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """取消 may mean the appointment, which is cancelled on the page."""
    await post.register([person(0)])
    async with line(post, monkeypatch) as it:
        await it.becomes("registered", accepted=1)
        await it.say(0, text, codec="utf-16-be", coding=8, esm_class=0)
        await post.book(0)
        await it.becomes("allotted", accepted=1)


def test_an_operator_stops_messages_to_a_phone_and_starts_them_again(
    jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"s" * 32).hex())
    monkeypatch.setenv("JIAOHAO_PEPPER", (b"p" * 32).hex())

    async def messages() -> list[str]:
        async with open_post(store_url) as post:
            post.people = [person(0)]
            phones = Phones()
            if await post.store.registration_fields(post.key(0)):
                await post.book(0)
            else:
                post.people = []
                await post.register([person(0)])
            await post.send(phones)
            return [text for _, text in phones.messages]

    def sent() -> list[str]:
        with capture_logs():  # else they stand before what a command says
            return asyncio.run(messages())

    said_then = jiaohao("outbox", "stop", "--phone", f"+86 {person(0).phone}")
    assert said_then[:2] == (0, "no more messages go there\n")
    assert jiaohao("outbox", "stop", "--phone", person(0).phone)[:2] == (0, "it had been stopped before\n")
    assert sent() == []
    assert jiaohao("outbox", "start", "--phone", person(0).phone)[:2] == (0, "messages go there again\n")
    assert len(sent()) == 1
    assert jiaohao("outbox", "start", "--phone", person(0).phone)[:2] == (0, "it had not been stopped\n")
    code, _, err = jiaohao("outbox", "stop", "--phone", "12345")
    assert (code, err) == (1, "jiaohao: that is no phone as residents give it\n")


def test_the_first_message_says_how_to_get_no_more(post_words: dict[str, str]) -> None:
    assert {kind for kind, text in post_words.items() if "拒收回TD" in text or "Reply STOP" in text} == {
        "registered_zh", "registered_en",
    }  # fmt: skip


@pytest.fixture
def post_words() -> dict[str, str]:
    """The texts of Guangzhou's messages."""
    from server.core.city import load_city

    sms = load_city().sms
    texts = {name: getattr(sms, name) for name in sms.__struct_fields__ if name.endswith(("_zh", "_en"))}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


# S5. An SMSC's freedoms


async def test_an_smsc_without_transceiver_is_bound_as_a_pair_and_its_data_sm_receipts_are_taken(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """npm's `smpp`: refuses one with ESME_RBINDFAIL, and says what became of messages in data_sm."""
    need_smsc()
    orders = Orders(journal=str(tmp_path / "journal"), refuse_binds={"transceiver": 0x0D}, receipts_by="data_sm")
    await post.register([person(i) for i in range(5)])
    with smsc(orders) as server:
        monkeypatch.setenv("JIAOHAO_SMPP_URL", f"smpp://jiaohao@127.0.0.1:{orders.port}")
        monkeypatch.setenv("JIAOHAO_SMPP_PASSWORD", PASSWORD)
        async with smpp_gateway(smpp_from_environment(), post.sender.receipts) as gateway:
            sending = asyncio.create_task(post.sender.run(gateway, "test"))
            try:
                async with asyncio.timeout(30):
                    await post.settled("registered", "delivered")
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        async with asyncio.timeout(20):
            while sum(each.unbound for each in server.journal()) < 2:  # noqa: ASYNC110  (both take their leave)
                await asyncio.sleep(0.02)
        journal = server.journal()
    assert [each.role for each in journal if each.role] == ["transceiver", "receiver", "transmitter"]
    assert sum(bool(each.receipted) for each in journal) == 5, "each data_sm was answered"


@pytest.mark.parametrize(
    ("refuse", "options", "roles"),
    [
        ({"transceiver": -1}, "", ["transceiver", "receiver", "transmitter"]),  # a generic_nack
        ({"transceiver": -2}, "", ["transceiver", "receiver", "transmitter"]),  # hangs up
        ({"transceiver": 0x03}, "", ["transceiver", "receiver", "transmitter"]),  # ESME_RINVCMDID: SMPP 3.3
        ({}, "&bind=pair", ["receiver", "transmitter"]),
        ({"receiver": 0x0D, "transmitter": 0x0D}, "&bind=transceiver", ["transceiver"]),
        ({}, "", ["transceiver"]),
    ],
)
async def test_it_binds_as_the_smsc_lets_it(
    post: Post, monkeypatch: pytest.MonkeyPatch, refuse: dict[str, int], options: str, roles: list[str]
) -> None:
    await post.register([person(0)])
    async with line(post, monkeypatch, refuse=refuse, options=options) as it:
        await it.becomes("registered", accepted=1)
        (answer,) = it.of(person(0).phone)
        await it.say(0, said(answer, "DELIVRD"))
        await it.becomes("registered", delivered=1)
        assert it.smsc.binds == roles
        if len(roles) > 1:  # cut off, it comes back at once as what was let in
            it.smsc.peers[0].writer.transport.abort()
            await post.register([person(1)])
            await it.becomes("registered", accepted=1, delivered=1)
            assert it.smsc.binds[len(roles) :] == ["receiver", "transmitter"]


def as_written(answer: str) -> list[tuple[str, dict[str, Any]]]:
    """A receipt for this id, as freely as providers write it: text, and how it comes."""
    named = field(RECEIPTED_ID, answer.encode() + b"\0")
    plain = said(answer, "UNDELIV")
    return [
        (plain.replace("id:", "id: "), {}),  # our own run, facts-operate
        (plain, {"command": DATA_SM}),
        ("", {"command": DATA_SM, "fields": named + field(STATE, b"\x05")}),
        ("", {"fields": named + field(STATE, b"\x05")}),
        ("", {"fields": field(RECEIPTED_ID, answer.encode()) + field(STATE, b"\x05")}),  # without the zero at its end
        ("", {"fields": field(PAYLOAD, plain.encode())}),
        (plain, {"codec": "utf-16-be", "coding": 0x18}),
        (plain, {"codec": "utf-16-be", "coding": 8}),
        (plain, {"codec": "utf-16-be", "coding": 0}),  # not labelled at all
        (plain, {"coding": 8}),  # labelled as what it is not
        (plain, {"codec": "utf-16-le", "coding": 0x18}),
        (plain.upper(), {}),
        (f"stat:UNDELIV err:12A id:{answer} done date:210619080159", {}),  # order, seconds, no sub and no text
        (f"ID : {answer}\r\nStat : undeliv", {}),
        (f"id:{answer}, stat:UNDELIV, err:", {}),
        (f"id:{answer} submitdate:210619080000 donedate:210619080100 stat:UNDELIV", {}),  # openmarket.com, SMPP 4
        (plain + "id:99 stat:DELIVRD", {}),  # what follows is the message
        (plain, {"esm_class": 0}),  # jookies/jasmin#1050: not labelled as a receipt
        (said("9999", "UNDELIV"), {"fields": named}),  # the field knows better than the text
        (plain, {"fields": field(RECEIPTED_ID, b"ffffffff\0")}),  # or the text does
        (plain, {"nameless": True}),
    ]


async def test_receipts_are_read_however_freely_they_are_written(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    many = len(as_written("7"))
    await post.register([person(i) for i in range(many)])
    async with line(post, monkeypatch, lambda n: f"{4_711_000_000 + n}") as it:
        await it.becomes("registered", accepted=many)
        for i in range(many):
            (answer,) = it.of(person(i).phone)
            text, how = as_written(answer)[i]
            await it.say(i, text, **how)
        await asyncio.sleep(0)
        assert [(i, await state_of(post, i)) for i in range(many)] == [(i, "undelivered") for i in range(many)]


async def test_what_is_not_the_end_changes_nothing(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """An intermediate notification (SMPP 3.4, 5.2.12: 0x20), and somebody's own words that look like a receipt."""
    await post.register([person(0)])
    async with line(post, monkeypatch) as it:
        await it.becomes("registered", accepted=1)
        (answer,) = it.of(person(0).phone)
        await it.say(0, said(answer, "UNDELIV"), esm_class=0x20)
        await it.say(0, f"id:{answer} stat:UNDELIV", esm_class=0)
        await it.say(0, "without any id", esm_class=4)
        assert await state_of(post, 0) == "accepted"


# T9. Ends


async def test_a_sender_that_was_off_for_two_days_sends_nothing_stale(post: Post) -> None:
    """Off from the night on until the 22nd; appointments were on the 21st and are on the 23rd."""
    phones = Phones()
    await post.register([person(i) for i in range(4)])
    for i in (0, 1):
        await post.book(i, SLOT)
    await post.book(2, Appointment("T1", "2021-06-24", "pm"))
    assert await post.store.reopen(Change(post.key(1), post.no(1), "desk"), SLOT, "停电") == "reopened"
    await post.point(range(4))
    post.at(T0 + 3 * DAY)
    await post.send(phones)
    assert [(phone, "6月24日" in text) for phone, text in phones.messages] == [(person(2).phone, True)]
    assert [await state_of(post, i, "registered") for i in range(4)] == ["unsent too-late"] * 4
    assert await state_of(post, 0, "allotted") == await state_of(post, 1, "allotted") == "unsent too-late"
    assert await state_of(post, 1, "closed") == "unsent too-late"
    assert await post.to_call() == {post.no(0), post.no(1)}
    assert not await may_charge(post, 0)
    assert (await post.backlog())[0] == 0


@pytest.mark.parametrize(
    ("at_ms", "says"),
    [
        (T0 + 35 * HOUR + 59 * 60_000, "请在6月20日20:00前上网取消"),  # 19:59 on the 20th
        (T0 + 36 * HOUR, "已不能上网取消；来不了的，不会记爽约"),  # 20:00
        (T0 + 48 * HOUR + 29 * 60_000, "已不能上网取消；来不了的，不会记爽约"),  # 08:29 on the 21st
        (T0 + 48 * HOUR + 30 * 60_000, None),  # 08:30: it begins
    ],
)
async def test_nobody_is_told_to_cancel_before_a_time_that_is_past(post: Post, at_ms: int, says: str | None) -> None:
    phones = Phones()
    await post.register([person(0)])
    await post.send(phones)
    await post.book(0)
    phones.messages.clear()
    post.at(at_ms)
    await post.send(phones)
    assert len(phones.messages) == (says is not None)
    if says is None:
        assert await state_of(post, 0, "allotted") == "unsent too-late"
        assert await post.to_call() == {post.no(0)}
    else:
        assert says in phones.messages[0][1] and "6月21日" in phones.messages[0][1]
    if at_ms > T0 + 36 * HOUR - 4 * HOUR:  # too few open hours were left
        assert not await may_charge(post, 0)


async def test_a_reminder_after_the_time_to_cancel_only_reminds(post: Post) -> None:
    phones = Phones()
    await post.register([person(0)])
    await post.book(0)
    await post.send(phones)
    assert await post.store.remind([(post.no(0), post.key(0))], SLOT.day, T0 + HOUR, T0) == ["reminded"]
    await post.point([0])
    phones.messages.clear()
    post.at(T0 + 36 * HOUR + 30 * 60_000)
    await post.send(phones)
    ((_, text),) = phones.messages
    assert "提醒您6月21日" in text and "取消" not in text


async def test_the_city_says_until_when_a_message_is_worth_sending(store_url: str) -> None:
    from server.core.sms import Ends

    async with open_post(store_url, ends=Ends(registered=2, allotted="cancel_before")) as post:
        phones = Phones()
        await post.register([person(0), person(1)])
        post.at(T0 + 2 * HOUR - 1)
        await post.point([0, 1])
        assert await post.send(phones) == 2
        await post.book(0)
        post.at(T0 + 34 * HOUR)
        await post.register([person(2)])
        post.at(T0 + 36 * HOUR)
        assert await post.send(phones) == 0
        assert await state_of(post, 0, "allotted") == await state_of(post, 2) == "unsent too-late"


async def test_a_dead_letter_that_is_sent_after_all_is_not_sent_too_late(store_url: str) -> None:
    from server.messages.delivery_failures import put_back

    async with open_post(store_url, tries=1) as post:
        phones = Phones()
        await post.register([person(0)])
        await post.send(phones)
        await post.book(0)
        phones.failing[person(0).phone] = ConnectionResetError("no answer")
        await post.send(phones)
        ((name, letter),) = (await post.store.dead([TIANHE]))[0].items()
        phones.failing.clear()
        post.at(T0 + 5 * DAY)
        await put_back(post.store, TIANHE, name, letter)
        assert await post.to_call() == set()
        assert await post.send(phones) == 0
        assert (await state_of(post, 0, "allotted"), await post.to_call()) == ("unsent too-late", {post.no(0)})


async def test_doctor_says_how_many_could_not_be_told_and_why(post: Post) -> None:
    from server.messages.delivery_report import delivery_report

    phones = Phones()
    await post.register([person(i) for i in range(3)])
    await post.send(phones)
    assert (await delivery_report(post.city, post.store, T0))[0].what == "outbox: everybody could be told"
    for i in range(3):
        await post.book(i)
    await post.sender.receipts.reply(person(0).phone, "TD")
    await post.send(phones)
    post.at(T0 + 3 * DAY)
    assert await post.store.reopen(Change(post.key(1), post.no(1), "desk"), SLOT, "停电") == "reopened"
    await post.point([1])
    await post.send(phones)
    found = await delivery_report(post.city, post.store, T0 + 3 * DAY)
    assert [(it.level, it.what) for it in found] == [
        ("note", "outbox: 2 residents to call, as no SMS could tell them: 1 unsent (opted-out), 1 unsent (too-late)"),
        ("note", "messages: 1 phones have asked for none"),
    ]
