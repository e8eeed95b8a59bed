"""Messages reach the phones: none lost, none twice without need, in order, through every fault of the way."""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from server.city import City, load_city
from server.clock import Clock
from server.errors import MessageRefused, NotHandedOver, StoreUnavailable
from server.gateways import FileGateway, Gateway
from server.keys import Pepper, resident_tag
from server.notices import Notices
from server.seal import Contact, Seal
from server.sites import Sites
from server.smpp import Delivery, SmppGateway, SmppSettings
from server.sms import QuietHours
from server.store import Store, connect
from server.store.store import (
    Appointment,
    Booking,
    Change,
    FirstDoseRecord,
    NewRegistration,
    PassedOver,
    Pointer,
)
from tests.conftest import Jiaohao, standalone_server
from tests.serving import REPO, TIANHE, Person, enrol, environment, keep_sites, person, until
from tests.smsc import PASSWORD, Line, Orders, Smsc, need_smsc, smsc

T0 = 1_624_060_800_000  # 2021-06-19 08:00 in Guangzhou
HOUR = 3_600_000
SLOT = Appointment("T1", "2021-06-21", "am")
CANCEL_BEFORE = T0 + 36 * HOUR


class StandingClock(Clock):
    """City time that a test sets."""

    def __init__(self, at_ms: int) -> None:
        super().__init__()
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms


class Phones:
    """A gateway that keeps what it was given, and fails as it is told: what it raises for a phone, each time."""

    def __init__(self) -> None:
        self.ready = 100
        self.messages: list[tuple[str, str]] = []
        self.failing: dict[str, Exception] = {}
        self.asked = 0

    async def submit(self, phone: str, text: str) -> list[str]:
        self.asked += 1
        await asyncio.sleep(0)
        if phone in self.failing:
            raise self.failing[phone]
        self.messages.append((phone, text))
        return []


class Post:
    """A sender of our own on an empty store, with residents who have registered.

    Args:
        store: where messages are owed.
        city: words and limits.
    """

    def __init__(self, store: Store, city: City) -> None:
        self.store = store
        self.city = city
        self.clock: Clock = StandingClock(T0)
        self.notices = self.sender()
        self.people: list[Person] = []
        self.at(T0)

    def sender(self) -> Notices:
        """Another one on the same store."""
        secrets = Seal([b"s" * 32]), Pepper(b"p" * 32)
        return Notices(self.city, self.store, self.clock, *secrets, Sites(self.city, self.store))

    def at(self, ms: int) -> None:
        """Let it be this time."""
        assert isinstance(self.clock, StandingClock)
        self.clock.at_ms = self.store.now_ms = ms

    def loud(self, **sms: Any) -> None:
        """From now on by the machine's clock, at any hour; what was put off comes again by itself."""
        self.clock, self.store.now_ms = Clock(), 0
        changed = msgspec.structs.replace(self.city.sms, **{"quiet_hours": QuietHours()} | sms)
        self.city = msgspec.structs.replace(self.city, sms=changed)
        self.notices = self.sender()

    def key(self, i: int) -> bytes:
        """The resident key of the resident of this index."""
        return Pepper(b"p" * 32).resident(self.people[i].id_type, self.people[i].id_number)

    async def register(self, people: Sequence[Person], *, lang: str = "zh") -> None:
        """They are in the registry and register: each is owed a message, and pointed to."""
        begin = len(self.people)
        self.people += people
        await enrol(self.store, people)
        fields: dict[str, Any] = {"district": TIANHE, "lang": lang}
        new = [
            NewRegistration(self.key(i), self.clock.now_ms() + HOUR, self.no(i), "2021-05-01", fields)
            for i in range(begin, len(self.people))
        ]
        assert {kept.status for kept in await self.store.register(new)} == {"registered"}
        await self.point(range(begin, len(self.people)))

    async def point(self, indices: Sequence[int]) -> None:
        await self.store.point([(TIANHE, self.key(i)) for i in indices])

    def no(self, i: int) -> str:
        """Their registration's number."""
        return f"1061901{i:08d}"

    async def book(self, i: int, slot: Appointment = SLOT) -> None:
        """They get an appointment."""
        change = Change(self.key(i), self.no(i), "night")
        assert await self.store.book([Booking(change, slot, CANCEL_BEFORE)]) == ["booked"]
        await self.point([i])

    async def send(self, gateway: Gateway) -> int:
        return await self.notices.send_messages(gateway, "test")

    async def told(self, kind: str) -> Counter[str]:
        """What stands on the registrations about the messages of a kind."""
        kept = await self.store.registrations([self.key(i) for i in range(len(self.people))])
        return Counter(each.get(f"sms:{kind}", "nothing").split()[0] for each in kept)

    async def settled(self, kind: str, outcome: str) -> None:
        """Wait until it stands on all registrations."""
        async with asyncio.timeout(180):
            while (await self.told(kind))[outcome] < len(self.people):  # noqa: ASYNC110  (nobody tells us)
                await asyncio.sleep(0.2)

    async def backlog(self) -> tuple[int, int, int]:
        """(waiting, later, dead) in Tianhe."""
        (found,) = await self.store.backlogs([TIANHE])
        return found.waiting, found.later, found.dead

    async def to_call(self) -> set[str]:
        (found,) = await self.store.to_call([TIANHE])
        return set(found)


def city(**sms: Any) -> City:
    """Guangzhou, with other settings of its messages."""
    loaded = load_city()
    return msgspec.structs.replace(loaded, sms=msgspec.structs.replace(loaded.sms, **{"per_second": 100_000} | sms))


@asynccontextmanager
async def open_post(url: str, **sms: Any) -> AsyncIterator[Post]:
    store = Store(await connect(url))
    try:
        post = Post(store, city(**sms))
        await store.open_outbox([district.code for district in post.city.districts])
        await keep_sites(store)
        yield post
    finally:
        await store.close()


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
        "【广州健康通】欧*已登记，登记号106190100000000。每晚按第一剂日期安排，有结果即发短信，不必守候。",
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
        sending = asyncio.create_task(post.notices.run(gateway, "test"))
        await post.settled("registered", "accepted")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert await post.backlog() == (0, 0, 0)
    assert Counter(map(lambda line: line["phone"], read(gateway.path))) == {p.phone: 1 for p in post.people}
    assert gateway.path.stat().st_mode & 0o777 == 0o600


def read(file: Path) -> list[dict[str, str]]:
    """The messages of the file gateway."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


async def test_a_full_disk_is_no_message_sent(tmp_path: Path) -> None:
    gateway = FileGateway(tmp_path / "no" / "sms.jsonl")
    answers = await asyncio.gather(*(gateway.submit(f"{i}", "text") for i in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [FileNotFoundError] * 3
    (tmp_path / "no").mkdir()
    await asyncio.gather(*(gateway.submit(f"{i}", "text") for i in range(3)))
    assert [line["phone"] for line in read(gateway.path)] == ["0", "1", "2"]


# Order, repeats


async def test_each_resident_gets_their_messages_in_the_order_of_events_also_on_one_phone(post: Post) -> None:
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
        run = [asyncio.create_task(post.sender().run(gateway, gateway.path.name)) for gateway in gateways]
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

    async def away(settled: Any) -> list[bool]:
        left[0] -= 1
        if left[0] >= 0:
            raise StoreUnavailable
        return await settle(settled)

    monkeypatch.setattr(post.store, "settle_message", away)
    post.notices = post.sender()
    if stays:  # too long: left to the next look
        monkeypatch.setattr("server.notices._TELL_SECONDS", 0.0)
        assert await post.send(phones) == 0
        left[0] = 0
        monkeypatch.setattr("server.notices._IDLE_MS", {"codes": 0, "outbox": 0})  # long enough ago
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
    await post.notices.owe_code(post.key(0), TIANHE, "123456", T0 + 300_000)
    assert await post.notices.send_owed(phones, "test") == 0
    assert (phones.asked, await post.backlog()) == (0, (1, 0, 0))
    phones.ready = 1
    assert await post.notices.send_owed(phones, "test") == 2


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
    from server.keys import key, resident_tag

    return key("registry", resident_tag(resident)).encode()


# Limits


async def test_in_quiet_hours_only_codes_go(post: Post) -> None:
    phones = Phones()
    night = T0 + 14 * HOUR  # 22:00
    post.at(night)
    await post.register([person(0)])
    await post.notices.owe_code(post.key(0), TIANHE, "123456", night + 300_000)
    assert await post.notices.send_owed(phones, "test") == 1
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
    waits: list[int] = []
    async with open_post(store_url, per_second=50) as post:
        await post.register([person(i) for i in range(120)])
        pace = post.store.pace

        async def slow(many: int, per_second: int) -> int:
            waits.append(await pace(many * 1000, per_second))  # a thousand times as slow
            return 0

        monkeypatch.setattr(post.store, "pace", slow)
        phones = Phones()
        senders = [post.sender(), post.sender()]
        sent = await asyncio.gather(*(each.send_messages(phones, f"s{i}") for i, each in enumerate(senders)))
    assert sum(sent) == 120
    # 120 messages at 50 a second; each batch behind all before it.
    assert sorted(waits) == waits and waits[0] == 0 and len(waits) >= 3
    assert 800_000 < waits[-1] <= 2_400_000


# Through an SMSC


class Rig:
    """Senders and an SMSC that misbehaves."""

    def __init__(self, post: Post, config: SmppSettings) -> None:
        self.post = post
        self.config = config

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[SmppGateway]:
        """A sender at work, as `jiaohao notify --gateway smpp`."""

        async def on_receipt(message_id: str, state: Delivery) -> None:
            await self.post.notices.receipt(message_id, delivered=state is Delivery.delivered)

        async with SmppGateway(self.config, on_receipt) as gateway:
            task = asyncio.create_task(self.post.notices.run(gateway, "test"))
            try:
                yield gateway
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    need_smsc()
    return Orders(journal=str(tmp_path / "journal"))


def smpp_settings(server: Smsc, **changes: Any) -> SmppSettings:
    quick = SmppSettings(
        host="127.0.0.1", port=server.orders.port, tls=False, system_id="jiaohao", password=PASSWORD,
        rate_per_second=5000, backoff_s=0.02, throttle_hold_s=0.05, answer_timeout_s=2.0,
    )  # fmt: skip
    return msgspec.structs.replace(quick, **changes)


def whole(taken: Sequence[Line]) -> list[tuple[str, str]]:
    """(phone, first part's text) of each message, in the order they were taken."""
    return [(line.to, line.text) for line in taken if line.text.startswith("【")]


async def test_five_thousand_over_smpp_and_the_receipts_stand_on_the_registrations(
    store_url: str, orders: Orders
) -> None:
    async with open_post(store_url) as post:
        await post.register([person(i) for i in range(5000)])
        with smsc(orders) as server:
            async with Rig(post, smpp_settings(server)).sending():
                await post.settled("registered", "delivered")
            taken = server.taken()
        assert Counter(line.to for line in taken) == {"86" + who.phone: 1 for who in post.people}
        assert await post.backlog() == (0, 0, 0)
        assert await post.to_call() == set()


async def test_nothing_is_lost_and_order_is_kept_through_every_fault(
    store_url: str, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off, killed, throttling, late and answering twice; two messages to each, the second one in two parts."""
    monkeypatch.setattr("server.notices._FIRST_BACKOFF_MS", 100)
    monkeypatch.setattr("server.notices._NOT_HANDED_OVER_MS", 50)
    faults = {"late_every": 301, "late_ms": 2500, "twice_every": 37, "throttle_every": 400}
    orders = msgspec.structs.replace(orders, **faults, cut_at=[700], kill_at=1500)
    async with open_post(store_url, tries=30) as post:
        post.loud()
        await post.register([person(i) for i in range(1000)])
        for i in range(1000):
            await post.book(i)
        with capture_logs() as logs, smsc(orders) as server:
            config = smpp_settings(server, answer_timeout_s=1.0)

            async def restarted() -> Smsc:
                await asyncio.to_thread(server.died)
                return Smsc(msgspec.structs.replace(orders, port=config.port, kill_at=0, cut_at=[500]))

            restarting = asyncio.create_task(restarted())
            async with Rig(post, config).sending() as gateway:
                second = await restarting
                try:
                    await post.settled("registered", "delivered")
                    await post.settled("allotted", "delivered")
                    lost = gateway.state.answer_lost
                finally:
                    second.stop()
            taken = server.taken()
        assert await post.told("allotted") == {"delivered": 1000}
        assert (await post.backlog())[2] == 0
    often = Counter(whole(taken))
    assert len(often) == 2000, "nothing lost"
    repeats = sum(count - 1 for count in often.values())
    assert repeats <= lost and set(often.values()) <= {1, 2}, "a repeat only where an answer was lost, and one"
    by_phone: dict[str, list[bool]] = {}
    for to, text in whole(taken):
        by_phone.setdefault(to, []).append("请于" in text)
    assert all(kinds == sorted(kinds) for kinds in by_phone.values()), "registered, then allotted"
    said = json.dumps(logs, default=str, ensure_ascii=False)
    assert not any(who.phone in said or who.name in said for who in post.people)


async def test_a_receipt_may_come_before_the_answer(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.notices._LOOK_AGAIN_SECONDS", (0.01,) * 200)
    await post.register([person(0), person(1)])

    class Hasty(Phones):
        async def submit(self, phone: str, text: str) -> list[str]:
            await super().submit(phone, text)
            await post.notices.receipt(phone, delivered=phone == person(0).phone)
            return [phone]

    assert await post.send(Hasty()) == 2
    await post.notices.receipts_noted(20)
    assert await post.told("registered") == {"delivered": 1, "undelivered": 1}
    await post.notices.receipt("of nobody", delivered=True)
    await post.notices.receipts_noted(20)


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
    await post.notices.receipt(f"{person(0).phone} 1 a", delivered=False)
    assert (await post.told("registered"), await post.to_call()) == ({"undelivered": 1}, set())
    await post.notices.receipt(f"{person(0).phone} 2 a", delivered=True)
    assert (await post.told("allotted"), await post.to_call()) == ({"delivered": 1}, set())
    await post.notices.receipt(f"{person(0).phone} 2 b", delivered=False)
    assert (await post.told("allotted"), await post.to_call()) == ({"undelivered": 1}, {post.no(0)})


# The commands


@pytest.fixture
def secrets(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a machine that sends; after `jiaohao`, which clears it."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"s" * 32).hex())
    monkeypatch.setenv("JIAOHAO_PEPPER", (b"p" * 32).hex())


def loud_city(folder: Path, **sms: int) -> str:
    """A city file without quiet hours: commands go by the machine's clock."""
    text = load_text().replace("quiet_hours = { begins = 21:00:00, ends = 08:00:00 }", "quiet_hours = {}")
    for name, value in sms.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(line, f"{name} = {value}")
    file = folder / "loud.toml"
    file.write_text(text, "utf-8")
    return str(file)


def load_text() -> str:
    text = (REPO / "server" / "cities" / "guangzhou.toml").read_text("utf-8")
    assert "quiet_hours = { begins" in text
    return text


def on_store(url: str, work: Any) -> Any:
    """What a coroutine makes of a post office on this store, outside of any loop; in real time."""

    async def run() -> Any:
        async with open_post(url) as post:
            post.loud()
            return await work(post)

    with capture_logs():  # else they stand before what a command says
        return asyncio.run(run())


@pytest.mark.usefixtures("secrets")
def test_a_dead_letter_is_listed_and_sent_after_all(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    from server.store.store import DeadLetter

    async def begin(post: Post) -> str:
        await post.register([person(0), person(1)])
        for i in (0, 1):
            await post.book(i)
        assert await post.store.owed([TIANHE]) == 4
        # A sender that lays them aside at once, as after the last try.
        gateway = Phones()
        for who in post.people:
            gateway.failing[who.phone] = ConnectionResetError("no answer")
        post.loud(tries=1)
        await post.send(gateway)
        assert (await post.backlog())[2] == 4
        (letters,) = await post.store.dead([TIANHE])
        assert all(isinstance(letter, DeadLetter) for letter in letters.values())
        return next(name for name, letter in letters.items() if letter.no == post.no(0) and letter.kind == "allotted")

    name = on_store(store_url, begin)
    city_file = loud_city(tmp_path)
    options = ("--city", city_file)
    code, out, _ = jiaohao("outbox", *options, "dead")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["pointer", "registration", "kind", "since", "tries", "why"]
    assert {(line[1], line[2], line[5]) for line in lines[1:]} == {
        (f"1061901{i:08d}", kind, "1") for i in (0, 1) for kind in ("registered", "allotted")
    }
    assert all(line[6:] == ["ConnectionResetError:", "no", "answer"] for line in lines[1:])
    assert not any(who.phone in out or who.name in out for who in (person(0), person(1)))

    code, out, _ = jiaohao("outbox", *options)
    (tianhe,) = (line for line in out.splitlines() if line.startswith("440106"))
    cells = tianhe.split()
    assert (code, cells[2], cells[5]) == (0, "0", "4")

    code, out, _ = jiaohao("outbox", *options, "calls")
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:]] == [
        [TIANHE, "106190100000000", "137****0000", "allotted", "unsent"],
        [TIANHE, "106190100000001", "137****0001", "allotted", "unsent"],
    ]

    code, out, err = jiaohao("outbox", *options, "resend", name, "440106-9-9")
    assert (code, out) == (1, "1 back in the outbox\n")
    assert err == "jiaohao: no dead letter: 440106-9-9\n"
    code, out, _ = jiaohao("outbox", *options, "calls")
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["106190100000001"]
    assert jiaohao("outbox", *options, "resend", "--all")[:2] == (0, "3 back in the outbox\n")

    file = tmp_path / "sms.jsonl"
    code, out, _ = jiaohao("notify", "--file", str(file), "--once", *options)
    assert (code, out) == (0, "4 messages sent\n")
    assert Counter(line["phone"] for line in read(file)) == {person(0).phone: 2, person(1).phone: 2}
    code, out, err = jiaohao("outbox", *options, "dead")
    assert (code, out, err) == (0, "", "no dead letters\n")
    code, out, err = jiaohao("outbox", *options, "calls")
    assert (code, out, err) == (0, "", "nobody is to be called\n")


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("arguments", [(), ("--all", "440106-1-0")])
def test_resend_wants_pointers_or_all(jiaohao: Jiaohao, arguments: tuple[str, ...]) -> None:
    code, _, err = jiaohao("outbox", "resend", *arguments)
    assert code == 2 and "--all" in err


@pytest.mark.usefixtures("secrets")
def test_in_quiet_hours_notify_says_what_waits(jiaohao: Jiaohao, store_url: str, tmp_path: Path) -> None:
    async def begin(post: Post) -> None:
        await post.register([person(0)])

    on_store(store_url, begin)
    file = tmp_path / "always.toml"
    always = "quiet_hours = { begins = 00:00:00, ends = 23:59:59.999999 }\nreminder_at = 23:59:59.999999"
    text = load_text().replace("quiet_hours = { begins = 21:00:00, ends = 08:00:00 }", always)
    file.write_text("\n".join(line for line in text.splitlines() if line != "reminder_at = 10:00:00"), "utf-8")
    code, out, _ = jiaohao("notify", "--file", str(tmp_path / "sms"), "--once", "--city", str(file))
    assert (code, out) == (0, "0 messages sent, 1 wait for the end of the quiet hours\n")
    assert read(tmp_path / "sms") == []


@pytest.fixture
def own_store() -> Iterator[str]:
    """A store that nobody else has ever used: a process of its own works on it."""
    with standalone_server() as url:
        yield url


@contextmanager
def notify(*arguments: str, **env: str) -> Any:
    """`jiaohao notify` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "notify", *arguments],
        cwd=REPO, env=environment(**env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


async def dead_for_long(store: Store) -> None:
    """Let what anybody has in hand have been in it for two minutes."""
    client: Any = store.client
    stream = f"outbox:{{{TIANHE}}}"
    pending = await client.xpending_range(stream, "gateway", "-", "+", 10_000)
    ids = [entry["message_id"] for entry in pending]
    if ids:  # it may have been killed between one handful and the next
        await client.xclaim(stream, "gateway", "the dead one", 0, ids, idle=120_000)


@contextmanager
def busy_sender(url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """One that has sent 200 of 2,000 messages and more, and the file it writes."""

    async def begin(post: Post) -> None:
        await post.register([person(i) for i in range(2000)])

    on_store(url, begin)
    file = folder / "sms.jsonl"
    env = {"JIAOHAO_REDIS_URL": url, "JIAOHAO_SECRET": (b"s" * 32).hex(), "JIAOHAO_PEPPER": (b"p" * 32).hex()}
    with notify("--file", str(file), "--city", loud_city(folder), **env) as process:
        until(lambda: len(read(file)) >= 200, "it has begun")
        yield process, file


def test_a_sender_that_is_killed_loses_nothing_and_repeats_little(own_store: str, tmp_path: Path) -> None:
    """kill -9 in the middle; another takes over what it had in hand, and repeats at most what was in its hand."""
    with busy_sender(own_store, tmp_path) as (first, file):
        first.send_signal(signal.SIGKILL)
        first.wait(30)
    assert 200 <= len(read(file)) < 2000

    async def finish(post: Post) -> None:
        post.people = [person(i) for i in range(2000)]
        await dead_for_long(post.store)
        await post.send(FileGateway(file))
        assert await post.told("registered") == {"accepted": 2000}
        assert (await post.backlog())[0] == 0

    on_store(own_store, finish)
    often = Counter(line["phone"] for line in read(file))
    assert set(often) == {person(i).phone for i in range(2000)}
    assert set(often.values()) <= {1, 2}
    assert sum(count - 1 for count in often.values()) <= 200


def test_a_sender_that_is_asked_to_stop_repeats_nothing(own_store: str, tmp_path: Path) -> None:
    with busy_sender(own_store, tmp_path) as (first, file):
        first.terminate()
        assert first.wait(30) == 0
    sent = len(read(file))

    async def count(post: Post) -> int:
        post.people = [person(i) for i in range(2000)]
        return (await post.told("registered"))["accepted"]

    assert on_store(own_store, count) == sent
    assert set(Counter(line["phone"] for line in read(file)).values()) == {1}


async def test_a_pointer_keeps_its_name(post: Post) -> None:
    """What `jiaohao outbox dead` shows is what its log has said."""
    await post.register([person(0)])
    (owed,) = await post.store.next_owed([TIANHE], "test", 10, 60_000, "outbox")
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
    assert [status for status, _ in await post.store.miss(missed, SLOT.day, 2)] == ["barred", "barred"]
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
    monkeypatch.setattr("server.notices._TELL_SECONDS", 0.0)
    await post.register([person(0)])
    settle = post.store.settle_message

    async def noted_and_gone(*args: Any) -> Any:
        await settle(*args)
        raise StoreUnavailable

    monkeypatch.setattr(post.store, "settle_message", noted_and_gone)
    notices = post.sender()
    phones = Phones()
    await notices.send_messages(phones, "test")
    assert len(phones.messages) == 1
    monkeypatch.setattr(post.store, "settle_message", settle)
    await post.book(0)
    monkeypatch.setattr("server.notices._IDLE_MS", {"codes": 0, "outbox": 0})
    await notices.send_messages(phones, "test")
    assert len(phones.messages) == 2, "the appointment's own message went out"
    assert await post.told("allotted") == Counter({"accepted": 1})


async def test_killed_before_the_dead_letter_was_laid_aside_it_is_not_lost(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.city = city(tries=1)
    post.notices = post.sender()
    await post.register([person(0)])
    phones = Phones()
    phones.failing[person(0).phone] = ConnectionResetError("gone")

    async def killed(*_: Any) -> bool:
        raise StoreUnavailable

    shelve = post.store.shelve_message
    monkeypatch.setattr(post.store, "shelve_message", killed)
    await post.send(phones)
    assert (await post.backlog())[2] == 1, "the letter is there"
    monkeypatch.setattr(post.store, "shelve_message", shelve)
    monkeypatch.setattr("server.notices._IDLE_MS", {"codes": 0, "outbox": 0})
    phones.failing.clear()
    await post.send(phones)
    assert [phone for phone, _ in phones.messages] == [person(0).phone]


async def test_what_was_typed_stays_while_a_message_needs_it(post: Post) -> None:
    """Registered for a first dose, cancelled, joined again and left: the word of the cancellation still goes out."""
    resident = post.sender()._pepper.resident("resident_id", person(7).id_number)
    contact = Seal([b"s" * 32]).close(resident, Contact(person(7).name, person(7).phone))
    await post.store.enrol([(resident, FirstDoseRecord(0, "", TIANHE, b"m" * 12, contact))], HOUR)
    new = NewRegistration(resident, T0 + HOUR, "106190100000099", "", {"district": TIANHE})
    await post.store.register([new])
    await post.store.point([(TIANHE, resident)])
    phones = Phones()
    await post.send(phones)
    assert await post.store.cancel(Change(resident, new.no, "resident"), "", HOUR) == "cancelled"
    assert await post.store.unenrol(resident) is False
    await post.store.point([(TIANHE, resident)])
    await post.send(phones)
    assert len(phones.messages) == 2
    assert await post.store.unenrol(resident) is True
