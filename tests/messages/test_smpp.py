"""The SMPP gateway against an SMSC somebody else wrote: nothing lost, nothing twice without need, in order."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmpplib import DeliverSm, PhoneNumber, SmppCommand
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from server.core.errors import MessageRefused, SetupError
from server.messages.smpp import (
    Delivery,
    Receipt,
    Reply,
    SmppGateway,
    SmppSettings,
    probe,
    smpp_from_environment,
    split,
    units,
)
from server.messages.smpp.incoming import read_incoming
from server.messages.smpp.pace import Pace
from tests.support.smsc import PASSWORD, Line, Orders, Smsc, need_smsc, smsc

PHONE = "13800138000"
SHORT = "【广州健康通】您的验证码是 314159，五分钟内有效。"
LONG_TAIL = (
    "请携带身份证和健康码，按时到越秀区人民街接种点。如不能前来，请于接种前一天二十时前登录系统取消，"
    "三次未取消且未到者将不能再使用本通道预约。"
)


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    need_smsc()
    return Orders(journal=str(tmp_path / "journal"))


def settings(server: Smsc, **changes: Any) -> SmppSettings:
    quick = SmppSettings(
        host="127.0.0.1",
        port=server.orders.port,
        tls=False,
        system_id="jiaohao",
        password=PASSWORD,
        source="10690000",
        rate_per_second=5000,
        patience_s=20,
        backoff_s=0.02,
        throttle_hold_s=0.05,
    )
    return msgspec.structs.replace(quick, **changes)


class Receipts:
    """What became of messages, by id; a loss is any that does not come."""

    def __init__(self) -> None:
        self.states: dict[str, Delivery] = {}
        self._news = asyncio.Condition()

    async def __call__(self, receipt: Receipt) -> None:
        self.states[receipt.message_id] = receipt.state
        async with self._news:
            self._news.notify_all()

    async def all_of(self, ids: set[str]) -> None:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: ids <= self.states.keys())


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while True:
            if happened():
                return
            await asyncio.sleep(0.01)


async def send_all(gateway: SmppGateway, phone: str, texts: list[str]) -> list[list[str]]:
    """As an outbox does: all at once, and what was given back again, in order; the ids of each."""
    ids: list[list[str]] = []
    while len(ids) < len(texts):
        answers = await asyncio.gather(*(gateway.submit(phone, t) for t in texts[len(ids) :]), return_exceptions=True)
        taken = [answer for answer in answers if isinstance(answer, list)]
        # Once one was given back, none behind it went ahead.
        assert answers[: len(taken)] == taken
        assert all(isinstance(answer, OSError) for answer in answers[len(taken) :])
        ids += taken
    return ids


# The expected octets: Python's own codec, and slices. All these characters are one UTF-16 unit.
def expected_pieces(text: str) -> list[str]:
    return [text] if len(text) <= 70 else [text[i : i + 67] for i in range(0, len(text), 67)]


class Crowd:
    """Phones with their messages; every tenth message is long."""

    def __init__(self, phones: int, messages: int) -> None:
        self.texts = {
            f"138{n:08d}": [self._text(n, k, (n + k) % 10 == 0) for k in range(messages)] for n in range(phones)
        }
        self.pieces = {
            ("86" + phone, piece): (k, i, len(pieces))
            for phone, texts in self.texts.items()
            for k, pieces in enumerate(map(expected_pieces, texts))
            for i, piece in enumerate(pieces, start=1)
        }

    @staticmethod
    def _text(n: int, k: int, is_long: bool) -> str:
        start = f"【广州健康通】第{n}户第{k}条："
        return start + (f"{LONG_TAIL}（第{n}户第{k}条完）" if is_long else "您已登记，请留意短信。")

    def check_octets(self, line: Line) -> tuple[int, int]:
        """Message and part of what the SMSC got, checked octet by octet."""
        k, i, parts = self.pieces[line.to, line.text]  # as the SMSC read it
        octets = bytes.fromhex(line.octets)
        assert len(octets) <= 140
        assert (line.data_coding, line.registered, line.ton, line.npi) == (8, 1, 1, 1)
        if parts == 1:
            assert (line.esm_class, octets) == (0, line.text.encode("utf-16-be"))
        else:
            assert line.esm_class == 0x40
            assert octets[:3] + octets[4:6] == bytes((5, 0, 3, parts, i))
            assert octets[6:] == line.text.encode("utf-16-be")
            assert line.udh == [octets[1:6].hex()]
        return k, i

    def check_order(self, lines: list[Line]) -> None:
        """Each phone's messages were taken in order, and of each its parts."""
        latest: dict[str, tuple[int, int]] = {}
        for line in lines:
            at = self.check_octets(line)
            assert at >= latest.get(line.to, (0, 0))
            latest[line.to] = at


@asynccontextmanager
async def crowd_sent(crowd: Crowd, gateway: SmppGateway) -> AsyncIterator[dict[str, list[list[str]]]]:
    sent = await asyncio.gather(*(send_all(gateway, phone, texts) for phone, texts in crowd.texts.items()))
    yield dict(zip(crowd.texts, sent, strict=True))


async def test_five_thousand_messages_with_receipts(orders: Orders) -> None:
    crowd, receipts = Crowd(1000, 5), Receipts()
    with smsc(orders) as server:
        async with SmppGateway(settings(server), receipts) as gateway, crowd_sent(crowd, gateway) as sent:
            ids = {i for messages in sent.values() for message in messages for i in message}
            await receipts.all_of(ids)
            assert set(receipts.states.values()) == {Delivery.delivered}
            assert gateway.state.connections == 1 and gateway.state.answer_lost == gateway.state.strays == 0
        taken = server.taken()
        assert len(taken) == len(ids) == len(crowd.pieces) == 5500  # 500 of them in two parts
        assert {line.taken for line in taken} == ids
        assert max(line.unanswered for line in taken) <= 50
        crowd.check_order(taken)
        assert server.journal()[-1].unbound


async def test_nothing_lost_and_no_needless_repeat_through_every_fault_at_once(orders: Orders) -> None:
    crowd, receipts = Crowd(1000, 5), Receipts()
    faults = {"late_every": 401, "late_ms": 1500, "twice_every": 37, "throttle_every": 2600}
    orders = msgspec.structs.replace(orders, **faults, cut_at=[1200], kill_at=3000)
    with capture_logs() as logs, smsc(orders) as server:
        config = settings(server, answer_timeout_s=1.0)

        async def restarted() -> Smsc:
            await asyncio.to_thread(server.died)
            return Smsc(msgspec.structs.replace(orders, port=config.port, kill_at=0, cut_at=[800]))

        restarting = asyncio.create_task(restarted())
        async with SmppGateway(config, receipts) as gateway, crowd_sent(crowd, gateway) as sent:
            second = await restarting
            try:
                by_message = [message for messages in sent.values() for message in messages]
                ids = {i for message in by_message for i in message}
                await receipts.all_of({line.taken for line in server.taken()})
                state = gateway.state
            finally:
                second.stop()
        taken = server.taken()
    # Nothing lost: every part of every message was taken, and is known to have been.
    assert Counter(map(len, by_message)) == {1: 4500, 2: 500}
    assert {(line.to, line.text) for line in taken} == crowd.pieces.keys()
    assert len(ids) == 5500 and ids <= {line.taken for line in taken}
    crowd.check_order(taken)
    # A repeat only where an answer was lost, once, with the connections: two cut and one killed, each with its window.
    repeated = Counter((line.to, line.text) for line in taken if line.taken not in ids)
    assert repeated and set(repeated.values()) == {1} and repeated.total() <= 3 * 50
    assert repeated.total() <= state.answer_lost <= 3 * 50 + 5500 // 401 and state.connections == 4
    assert state.throttled > 0 and state.strays > 0  # it did throttle, and did answer twice
    said = msgspec.json.encode(logs).decode()
    assert not any(phone in said for phone in crowd.texts) and "健康通" not in said


async def test_a_late_answer_is_waited_for_and_a_lost_one_repeats_once(orders: Orders) -> None:
    orders = msgspec.structs.replace(orders, late_every=8, late_ms=1400, swallow_every=20)
    phones = [f"138{n:08d}" for n in range(60)]
    with smsc(orders) as server:
        async with SmppGateway(settings(server, answer_timeout_s=1.0, window=100)) as gateway:
            first = await asyncio.gather(*(gateway.submit(phone, SHORT) for phone in phones), return_exceptions=True)
            given_back = [phone for phone, answer in zip(phones, first, strict=True) if isinstance(answer, OSError)]
            assert len(given_back) == 9  # six of them late, three never answered
            again = await asyncio.gather(*(send_all(gateway, phone, [SHORT]) for phone in given_back))
            assert gateway.state.answer_lost == 3
        taken = server.taken()
    known = {i for ids in first if isinstance(ids, list) for i in ids} | {ids[0][0] for ids in again}
    often = Counter(Counter(line.to for line in taken).values())
    assert often == {1: 57, 2: 3} and len(known) == 60


async def test_throttled_the_pace_adapts_and_all_goes_through(orders: Orders) -> None:
    with smsc(msgspec.structs.replace(orders, most_per_second=400)) as server:
        async with SmppGateway(settings(server, rate_per_second=1000, throttle_hold_s=0.1)) as gateway:
            await asyncio.gather(*(gateway.submit(f"138{n:08d}", SHORT) for n in range(400)))
            assert gateway.state.per_second < 1000
            throttled = gateway.state.throttled
        assert 0 < throttled < 80  # one that does not adapt has more of these than messages
        assert len(server.taken()) == 400 and len(server.got()) == 400 + throttled


async def test_throttled_for_good_it_is_given_back_in_time(orders: Orders) -> None:
    with smsc(msgspec.structs.replace(orders, throttle_every=1)) as server:
        async with SmppGateway(settings(server, patience_s=0.3)) as gateway:
            with pytest.raises(TimeoutError, match="too much to send"):
                await gateway.submit(PHONE, SHORT)
        assert not server.taken()


async def test_of_a_long_message_only_the_missing_part_goes_again(orders: Orders) -> None:
    text = "一" * 67 + "二" * 67 + "三" * 3
    with smsc(msgspec.structs.replace(orders, cut_at=[2])) as server:
        async with SmppGateway(settings(server)) as gateway:
            with pytest.raises(ConnectionResetError):
                await gateway.submit(PHONE, text)
            assert len(await gateway.submit(PHONE, text)) == 3
            await gateway.submit(PHONE, text)
        taken = server.taken()
    assert [line.text[0] for line in taken] == ["一", "二", "二", "三", "一", "二", "三"]
    headers = [line.octets[:12] for line in taken]
    first, second = headers[0][6:8], headers[4][6:8]
    assert headers[:4] == [f"050003{first}03{part}" for part in ("01", "02", "02", "03")]
    assert headers[4:] == [f"050003{second}03{part}" for part in ("01", "02", "03")]
    assert first != second  # or a phone would mix the two


async def test_refused_for_good_is_told_apart(orders: Orders) -> None:
    statuses = {"8613800000001": 0x0B, "8613800000002": 0x0453, "8613800000003": 0x08}
    with smsc(msgspec.structs.replace(orders, statuses=statuses)) as server, capture_logs() as logs:
        async with SmppGateway(settings(server)) as gateway:
            with pytest.raises(MessageRefused, match="ESME_RINVDSTADR"):
                await gateway.submit("13800000001", SHORT)
            with pytest.raises(OSError, match="0x00000453"):  # a provider's own
                await gateway.submit("13800000002", SHORT)
            with pytest.raises(OSError, match="ESME_RSYSERR"):
                await gateway.submit("13800000003", SHORT)
            for text in ("", "\ud83d", "长" * 67 * 256):
                with pytest.raises(MessageRefused):
                    await gateway.submit(PHONE, text)
            with pytest.raises(MessageRefused):
                await gateway.submit("+8613800138000", SHORT)
            await gateway.submit(PHONE, SHORT)
            assert gateway.state.connections == 1
    assert {"138****0001"} <= {entry.get("phone") for entry in logs}
    assert "13800000001" not in str(logs)


async def test_a_receipt_that_could_not_be_kept_comes_again(orders: Orders) -> None:
    kept: list[str] = []

    async def keep(receipt: Receipt) -> None:
        kept.append(receipt.message_id)
        if len(kept) == 1:
            raise OSError("the store is away")

    with smsc(msgspec.structs.replace(orders, cut_at=[2])) as server:
        async with SmppGateway(settings(server), keep) as gateway:
            (first,) = await gateway.submit(PHONE, SHORT)
            await until(lambda: kept)
            await send_all(gateway, PHONE, ["第二条"])  # and the connection is cut
            await until(lambda: kept.count(first) == 2)


async def test_a_silent_smsc_is_left_and_found_again(orders: Orders) -> None:
    with smsc(msgspec.structs.replace(orders, deaf=True)) as server:
        async with SmppGateway(settings(server, enquire_link_s=0.05, answer_timeout_s=0.2)) as gateway:
            await until(lambda: gateway.state.connections == 3)
        assert sum(line.enquired for line in server.journal()) >= 2


async def test_a_quiet_connection_is_kept(orders: Orders) -> None:
    with smsc(orders) as server:
        async with SmppGateway(settings(server, enquire_link_s=0.05, answer_timeout_s=0.2)) as gateway:
            await until(lambda: sum(line.enquired for line in server.journal()) >= 3)
            assert gateway.state.bound and gateway.state.connections == 1


def certificate(folder: Path) -> tuple[str, str]:
    """Files of a key and of its own certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smsc")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).add_extension(names, False)
    signed = builder.sign(key, hashes.SHA256())
    files = folder / "key.pem", folder / "certificate.pem"
    pem, secret = serialization.Encoding.PEM, serialization.NoEncryption()
    files[0].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, secret))
    files[1].write_bytes(signed.public_bytes(pem))
    return str(files[0]), str(files[1])


async def test_tls_and_only_to_whom_we_trust(orders: Orders, tmp_path: Path) -> None:
    files = certificate(tmp_path)
    with smsc(msgspec.structs.replace(orders, tls=files)) as server:
        trusting = settings(server, tls=True, ca_file=Path(files[1]))
        await probe(trusting)
        async with SmppGateway(trusting) as gateway:
            assert await gateway.submit(PHONE, SHORT)
        with pytest.raises(OSError, match="certificate verify failed"):
            await probe(settings(server, tls=True))
        assert [line.text for line in server.taken()] == [SHORT]


async def test_not_let_in_says_why(orders: Orders) -> None:
    with smsc(orders) as server:
        wrong = settings(server, password="another", patience_s=0.3)
        with pytest.raises(ConnectionRefusedError, match="ESME_RINVPASWD"):
            await probe(wrong)
        async with SmppGateway(wrong) as gateway:
            with pytest.raises(OSError, match="ESME_RINVPASWD"):
                await gateway.submit(PHONE, SHORT)
            assert not gateway.state.bound and "ESME_RINVPASWD" in str(gateway.state.why_not)


# By hand: units a part, of texts whose pairs fall on its end.
@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("好", [1]),
        ("好" * 70, [70]),
        ("好" * 71, [67, 4]),
        ("好" * 134, [67, 67]),
        ("好" * 135, [67, 67, 1]),
        ("好" * 68 + "😀", [70]),
        ("好" * 69 + "😀", [67, 4]),
        ("好" * 66 + "😀" + "好" * 3, [66, 5]),
        ("😀" * 35, [70]),
        ("😀" * 36, [66, 6]),
        ("a" * 160, [67, 67, 26]),
        ("好" * 67 * 255, [67] * 255),
    ],
)
def test_split_by_hand(text: str, sizes: list[int]) -> None:
    parts = split(text, 0xA7)
    header = 6 if len(sizes) > 1 else 0
    assert [(len(part) - header) // 2 for part in parts] == sizes
    if header:
        assert [part[:6] for part in parts] == [
            bytes.fromhex(f"050003a7{len(sizes):02x}{i:02x}") for i in range(1, len(sizes) + 1)
        ]
    assert b"".join(part[header:] for part in parts).decode("utf-16-be") == text
    assert units(text) == sum(sizes)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400), st.integers(0, 255))
def test_every_part_can_be_read_alone_and_fits(text: str, reference: int) -> None:
    parts = split(text, reference)
    header = 6 if len(parts) > 1 else 0
    assert all(len(part) <= 140 for part in parts)
    assert "".join(part[header:].decode("utf-16-be") for part in parts) == text


def deliver_sm(text: str, esm_class: int = 4, tlvs: bytes = b"") -> bytes:
    message = DeliverSm(short_message=text or "-", source=PhoneNumber("86" + PHONE), esm_class=esm_class)
    body: bytes = message.pdu()[16:]
    if not text:
        body = body[:-2] + b"\0"
    return body + tlvs


STATE, ID = bytes.fromhex("0427000105"), bytes.fromhex("001e0004") + b"A-7\0"


@pytest.mark.parametrize(
    ("body", "receipt"),
    [
        (deliver_sm("id:77 sub:001 dlvrd:001 submit date:2106190800 done date:2106190801 stat:DELIVRD err:000 text:x"),
         ("77", Delivery.delivered)),
        (deliver_sm("id:77 submit date:210619080059 done date: stat:undeliv err:0x1F Text:id:9 stat:DELIVRD"),
         ("77", Delivery.undeliverable)),
        (deliver_sm("id:77 stat:MK:0012"), ("77", Delivery.undeliverable)),
        (deliver_sm("id:77 stat:DELIVRD", tlvs=STATE + ID), ("A-7", Delivery.undeliverable)),
        (deliver_sm("", tlvs=ID + STATE), ("A-7", Delivery.undeliverable)),
        (deliver_sm("id:77 stat:EXPIRED", tlvs=bytes.fromhex("14010002ff80")), ("77", Delivery.expired)),
        (deliver_sm("id:77 stat:DELIVRD", esm_class=0), None),
    ],
)  # fmt: skip
def test_receipts_as_providers_write_them(body: bytes, receipt: tuple[str, Delivery] | None) -> None:
    found = read_incoming(SmppCommand.DELIVER_SM, body)
    if receipt is None:
        assert isinstance(found, Reply)
    else:
        assert isinstance(found, Receipt) and (found.message_id, found.state) == receipt


@pytest.mark.parametrize(
    "body", [b"", deliver_sm("stat:DELIVRD"), deliver_sm("id:7")[:-9], deliver_sm("x", 4, ID[:-1])]
)
def test_what_is_no_receipt_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_incoming(SmppCommand.DELIVER_SM, body)


def test_the_pace_halves_and_comes_back() -> None:
    pace = Pace(100, 1.0)
    assert pace.wait_s(10.0) == 0
    assert pace.throttled(sent_at=10.0, now=10.2)
    assert pace.per_second == 50
    assert not pace.throttled(sent_at=10.1, now=10.3)  # sent before the cut
    assert pace.per_second == 50
    assert 0.75 <= pace.wait_s(10.2) <= 1.25
    assert pace.wait_s(11.5) == 0
    for _ in range(1000):
        pace.taken()
    assert pace.per_second == 100
    handed_over = sum(pace.wait_s(20 + ms / 1000) == 0 for ms in range(10_000))
    assert 1000 <= handed_over <= 1006  # ten seconds' worth, and the burst


URL = "smpps://jiaohao@smsc.example:3551?source=10690000&window=20&rate=99.5"


def test_settings_from_the_environment() -> None:
    found = smpp_from_environment({"JIAOHAO_SMPP_URL": URL, "JIAOHAO_SMPP_PASSWORD": PASSWORD})
    assert (found.host, found.port, found.tls, found.system_id) == ("smsc.example", 3551, True, "jiaohao")
    assert (found.source, found.window, found.rate_per_second, found.password) == ("10690000", 20, 99.5, PASSWORD)
    assert PASSWORD not in f"{found!r} {found}"


@pytest.mark.parametrize(
    ("url", "password", "says"),
    [
        ("", PASSWORD, "JIAOHAO_SMPP_URL is not set"),
        (URL, "", "JIAOHAO_SMPP_PASSWORD is not set"),
        ("smpps://jiaohao:secret@smsc.example", PASSWORD, "the password does not belong"),
        ("https://jiaohao@smsc.example", PASSWORD, "expected smpps"),
        ("smpps://smsc.example", PASSWORD, "expected smpps"),
        ("smpps://a@smsc.example:99999", PASSWORD, "JIAOHAO_SMPP_URL: "),
        (URL + "&windows=3", PASSWORD, "unknown option windows"),
        (URL + "&ca=x&country_code=+86", PASSWORD, "country_code"),
        ("smpp://a@b?window=0", PASSWORD, "window: expected"),
        ("smpp://a@b?rate=nan", PASSWORD, "rate: expected"),
        (URL, "ninechars", "room for 8"),
        ("smpp://sixteencharacters@b", PASSWORD, "room for 15"),
    ],
)
def test_wrong_settings_say_so(url: str, password: str, says: str) -> None:
    with pytest.raises(SetupError, match=says) as error:
        smpp_from_environment({"JIAOHAO_SMPP_URL": url, "JIAOHAO_SMPP_PASSWORD": password})
    assert password not in str(error.value) or not password
