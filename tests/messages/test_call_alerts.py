"""Whoever closes the page is called by SMS: near, called, missed, each once a place, whatever dies in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec
import pytest

from server.core.calls import Calls
from server.core.city import City, load_city
from server.core.errors import NotHandedOver, StoreUnavailable
from server.services import wire
from tests.support.post import Phones
from tests.support.serving import TIANHE, House, enrol, open_house, person, refused, test_settings
from tests.support.stores import swap


def city(**calls: Any) -> City:
    """Guangzhou with a call every hundred seconds."""
    loaded = load_city()
    policy = msgspec.structs.replace(loaded.policy, rate_per_second=0.01)
    return msgspec.structs.replace(loaded, policy=policy, calls=Calls(**({"sms": True} | calls)))


class Line:
    """A line of ten in Tianhe, 100 s apart, who have joined after the draw in their order."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.phones = Phones()
        self.tickets: list[str] = []

    async def ask(self, i: int, sms: bool = True, **how: Any) -> Any:
        answer = await self.house.call("POST", "/ticket/alerts", bearer=self.tickets[i], json={"sms": sms}, **how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def tell(self) -> int:
        """What is due is owed, and sent; how many were owed."""
        owed = await self.house.services.room.tell_due()
        await self.house.services.sender.send_messages(self.phones, "test")
        return owed

    async def forward(self, seconds: float) -> list[tuple[int, str]]:
        """Let time pass, in steps that cost the rate no call; whom something was said to, and what."""
        before = len(self.phones.messages)
        while True:
            await self.house.forward(min(seconds, 50))
            await self.tell()
            if (seconds := seconds - 50) <= 0:
                break
        who = {person(i).phone: i for i in range(10)}
        return [(who[phone], text.removeprefix("【广州健康通】")) for phone, text in self.phones.messages[before:]]


@asynccontextmanager
async def open_line(url: str, **calls: Any) -> AsyncIterator[Line]:
    async with open_house(url, city=city(**calls)) as house:
        await enrol(house.store, [person(i) for i in range(10)])
        await house.store.open_outbox([district.code for district in house.services.city.districts])
        await house.at("08:10:00")
        line = Line(house)
        for i in range(10):
            line.tickets.append((await house.join(person(i)))["ticket"])
        await house.look()
        yield line


@pytest.fixture
async def line(store_url: str) -> AsyncIterator[Line]:
    """It is 08:10, and the first of ten is called."""
    async with open_line(store_url) as it:
        yield it


async def test_who_asks_is_told_that_the_call_is_near_then_that_it_is_their_turn_and_nobody_else_is(line: Line) -> None:
    assert await line.ask(8) == {"sms": True, "why": None}
    assert await line.ask(8) == {"sms": True, "why": None}
    assert await line.forward(60) == []
    said = await line.forward(200)  # 08:14:20: six hundred seconds to go, less what the rate has earned
    assert [who for who, _ in said] == [8]
    assert said[0][1].startswith("测*，9号预计08:2")
    for _ in range(5):
        assert await line.forward(100) == []
    (told,) = await line.forward(100)
    assert told == (8, "测*，轮到您了（9号）。请在08:28前打开取号的网页，进去登记；过时要重新排队。")
    ticket = await line.house.get("/ticket", bearer=line.tickets[8])
    assert ticket["state"] == "ready" and ticket["claim_before"][11:16] == "08:28"


async def test_in_english_and_not_any_more_for_who_takes_it_back(line: Line) -> None:
    await line.ask(3, lang="en")
    await line.ask(4)
    assert await line.ask(4, sms=False) == {"sms": False, "why": None}
    said = [each for _ in range(5) for each in await line.forward(100)]
    assert [who for who, _ in said] == [3]
    assert said[0][1].startswith(
        "测*: it is your turn, number 4. Open the page where you took your number and come in bef"
    )


async def test_who_has_less_than_half_of_the_lead_to_wait_hears_of_the_call_alone(line: Line) -> None:
    await line.ask(2)
    said = [each for _ in range(4) for each in await line.forward(100)]
    assert [text[:7] for _, text in said] == ["测*，轮到您了"]


async def test_who_misses_the_call_is_told_once_and_how_to_join_again(line: Line) -> None:
    await line.ask(1)
    said = [each for _ in range(8) for each in await line.forward(100)]
    assert [who for who, _ in said] == [1, 1]
    assert said[1][1] == "测*，2号已过时，没有进入登记，不算爽约。12:00前打开取号的网页可重新取号，排在队尾。"


async def test_who_comes_in_or_gives_up_hears_no_more(line: Line) -> None:
    await line.ask(1)
    await line.ask(2)
    assert (await line.house.call("DELETE", "/ticket", bearer=line.tickets[2])).status_code == 204
    assert [who for who, _ in await line.forward(100)] == [1]
    await line.house.claim(line.tickets[1])
    assert [each for _ in range(10) for each in await line.forward(100)] == []


async def test_who_is_not_called_before_the_window_closes_is_told_so(line: Line) -> None:
    await line.ask(9)
    await line.house.call("PATCH", f"/openings/{TIANHE}", bearer="operator-token-of-the-tests", json={"paused": True})
    assert await line.forward(3000) == []
    await line.house.at("12:00:00")
    assert [(who, text[:12]) for who, text in await line.forward(1)] == [(9, "测*，今天这一场已结束，")]
    assert await line.forward(60) == []


async def test_who_asks_in_the_draw_is_told_by_the_number_that_it_gives(store_url: str) -> None:
    async with open_house(store_url, city=city()) as house:
        await enrol(house.store, [person(i) for i in range(10)])
        await house.store.open_outbox([district.code for district in house.services.city.districts])
        await house.at("08:00:30")
        line = Line(house)
        for i in range(10):
            line.tickets.append((await house.join(person(i)))["ticket"])
            await line.ask(i)
        assert await line.forward(0) == []
        said = [each for _ in range(22) for each in await line.forward(100)]
        turns = [who for who, text in said if "轮到您了" in text]
        numbers = [(await house.get("/ticket", bearer=ticket))["number"] for ticket in line.tickets]
        assert turns == sorted(range(10), key=lambda i: numbers[i])
        assert len(said) <= 3 * 10 and len(set(said)) == len(said)


# Each once, whatever dies


async def test_two_workers_at_once_owe_each_message_once(line: Line) -> None:
    services = line.house.services
    other = wire(test_settings(), services.city, line.house.store, line.house.clock)
    await other.room.tick()
    for i in range(1, 10):
        await line.ask(i)
    owed = 0
    for _ in range(24):
        await line.house.forward(50)
        await other.room.tick()
        owed += sum(await asyncio.gather(*(room.tell_due() for room in (services.room, other.room) * 2)))
        await services.sender.send_messages(line.phones, "test")
    assert owed == len(line.phones.messages) == len(set(line.phones.messages))
    turns = [phone for phone, text in line.phones.messages if "轮到您了" in text]
    assert turns == [person(i).phone for i in range(1, 10)]


@pytest.mark.parametrize("step", ["owe_alert", "write_pointers", "settle_alerts"])
async def test_a_worker_that_dies_at_any_step_costs_no_message_and_repeats_none(
    line: Line, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await line.ask(1)
    await line.house.forward(100)

    async def die(*_: Any, **__: Any) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as broken:
        swap(broken, line.house.store, step, die)
        with pytest.raises(StoreUnavailable):
            await line.tell()
    await line.house.services.sender.send_messages(line.phones, "test")
    assert await line.forward(5) == [], "another worker has it in hand, for all that is known"
    await line.forward(11)
    await line.forward(20)
    assert [text[7:].partition("，轮")[0] for _, text in line.phones.messages] == ["测*"], line.phones.messages


async def test_a_message_that_comes_after_its_time_is_not_sent(line: Line) -> None:
    await line.ask(1)
    await line.house.forward(100)
    assert await line.house.services.room.tell_due() == 1
    await line.house.forward(300)
    await line.house.services.sender.send_messages(line.phones, "test")
    assert line.phones.messages == []


# Who may have it


async def test_no_more_are_told_than_the_city_pays_for(store_url: str) -> None:
    async with open_line(store_url, places_per_opening=2) as line:
        assert [(await line.ask(i))["why"] for i in (3, 4, 5)] == [None, None, "full"]
        assert (await line.ask(4, sms=False))["sms"] is False
        assert (await line.ask(5)) == {"sms": True, "why": None}


async def test_nobody_is_told_where_the_city_says_nothing_of_it(store_url: str) -> None:
    async with open_line(store_url, sms=False) as line:
        assert await line.ask(5) == {"sms": False, "why": "off"}
        assert (await line.house.get("/city"))["calls"]["sms"] is False


async def test_only_who_holds_the_place_may_ask_and_while_it_is_to_be_called(line: Line) -> None:
    assert await line.ask(0) == {"sms": False, "why": "called"}
    call, body = line.house.call, {"sms": True}
    refused(await call("POST", "/ticket/alerts", json=body), "unauthorized", 401)
    refused(await call("POST", "/ticket/alerts", bearer="x" * 40, json=body), "forged", 401)
    for wrong in ({}, {"sms": "yes"}, {"sms": 1}):
        refused(await call("POST", "/ticket/alerts", bearer=line.tickets[5], json=wrong), "invalid", 422)
    await call("DELETE", "/ticket", bearer=line.tickets[5])
    refused(await call("POST", "/ticket/alerts", bearer=line.tickets[5], json=body), "expired", 410)
    await line.house.at("12:00:00")
    refused(await call("POST", "/ticket/alerts", bearer=line.tickets[6], json=body), "ended", 410)


async def test_no_phone_and_no_paper_stands_in_a_key_or_beside_an_opening(line: Line) -> None:
    await line.ask(3)
    await line.forward(300)
    store: Any = line.house.store.client
    names = [key async for key in store.scan_iter()]
    assert [name for name in names if person(3).phone.encode() in name or person(3).id_number.encode() in name] == []
    held = await store.hgetall(f"alerts:{{{TIANHE}:2021-06-19}}")
    assert held == {b"3": line.house.resident(person(3)) + b"zh"}


# Until when


class Slow(Phones):
    """A gateway that has no connection for so many seconds of the city's time, and takes what it is given then."""

    def __init__(self, house: House, until_ms: int) -> None:
        super().__init__()
        self._house, self._until_ms = house, until_ms

    async def submit(self, phone: str, text: str) -> list[str]:
        if self._house.clock.at_ms < self._until_ms:
            raise NotHandedOver
        return await super().submit(phone, text)


async def _is_called_through_a_slow_gateway(line: Line, seconds: int) -> tuple[int, str | None, str]:
    """Seconds from the call to its end, what the message says, and the state at that end of five minutes."""
    await line.ask(1)
    await line.house.forward(50)
    line.phones = Slow(line.house, line.house.clock.at_ms + 50_000 + seconds * 1000)
    await line.house.forward(50)
    called_ms = line.house.clock.at_ms
    for _ in range(seconds // 10 + 2):
        await line.tell()
        await line.house.forward(10)
    await line.tell()
    said = [text.partition("请在")[2][:5] for _, text in line.phones.messages if "轮到您了" in text]
    before = (await line.house.get("/ticket", bearer=line.tickets[1]))["claim_before"]
    lasts_ms = round(datetime.fromisoformat(before).timestamp() * 1000) - called_ms
    await line.house.forward((called_ms + 299_000 - line.house.clock.at_ms) / 1000)
    state = (await line.house.get("/ticket", bearer=line.tickets[1]))["state"]
    assert said == [] or before[11:16] == said[0], "the message says what holds"
    return lasts_ms // 1000, said[0] if said else None, state


@pytest.mark.parametrize(
    ("share", "seconds", "least", "most"),
    [(1.0, 0, 300, 310), (1.0, 60, 360, 372), (1.0, 180, 420, 420), (0.0, 60, 300, 300)],
)
async def test_the_claim_time_counts_from_the_message_for_the_citys_share_and_is_bounded(
    store_url: str, share: float, seconds: int, least: int, most: int
) -> None:
    async with open_line(store_url, share_from_message=share, message_within_seconds=120) as line:
        lasts_s, said, state = await _is_called_through_a_slow_gateway(line, seconds)
        assert least <= lasts_s <= most and said is not None and state == "ready"


async def test_a_place_whose_time_counts_from_its_message_is_missed_when_that_is_over_and_counted_once(
    store_url: str,
) -> None:
    async with open_line(store_url) as line:
        await _is_called_through_a_slow_gateway(line, 100)
        store: Any = line.house.store.client
        key = f"opening:{{{TIANHE}:2021-06-19}}"

        async def counts() -> tuple[int, int]:
            missed, missed_to = await store.hmget(key, "missed", "missed_to")
            return int(missed), int(missed_to)

        await line.house.forward(2)
        assert await counts() == (1, 2), "the first one is; theirs is over, but for who has time of their own"
        assert (await line.house.get("/ticket", bearer=line.tickets[1]))["state"] == "ready"
        await line.house.forward(100)
        await line.house.look()
        missed, missed_to = await counts()
        assert missed == missed_to >= 2, "each number up to there has been missed, and is counted once"
        assert (await line.house.get("/ticket", bearer=line.tickets[1]))["state"] == "missed"


async def test_one_tap_gives_more_time_once(line: Line) -> None:
    call = line.house.call
    told = refused(await call("POST", "/ticket/more-time", bearer=line.tickets[5]), "not-your-turn", 425)
    assert told["ahead"] == 4
    before = (await line.house.get("/ticket", bearer=line.tickets[0]))["claim_before"]
    first, again = [(await call("POST", "/ticket/more-time", bearer=line.tickets[0])).json() for _ in range(2)]
    assert first["extended"] and not again["extended"]
    assert first["claim_before"] == again["claim_before"]
    gained = datetime.fromisoformat(first["claim_before"]) - datetime.fromisoformat(before)
    assert gained.total_seconds() == 300
    await line.forward(590)
    assert (await line.house.get("/ticket", bearer=line.tickets[0]))["claim_before"] == first["claim_before"]
    await line.house.claim(line.tickets[0])
    refused(await call("POST", "/ticket/more-time", bearer=line.tickets[0]), "used", 409)
    refused(await call("POST", "/ticket/more-time", bearer=line.tickets[1]), "expired", 410)


async def test_more_time_is_never_more_than_the_cap_lets_in(store_url: str) -> None:
    policy = msgspec.structs.replace(load_city().policy, rate_per_second=1.0, max_active=2)
    async with open_house(store_url, city=msgspec.structs.replace(load_city(), policy=policy)) as house:
        await enrol(house.store, [person(i) for i in range(6)])
        await house.at("08:10:00")
        tickets = [(await house.join(person(i)))["ticket"] for i in range(6)]
        for _ in range(4):
            await house.forward(1)
        opening = house.services.room.opening(TIANHE)
        assert opening.serving == 2 and opening.active == 2
        assert (await house.call("POST", "/ticket/more-time", bearer=tickets[0])).json()["extended"]
        await house.forward(300)
        for _ in range(3):
            await house.forward(1)
            assert opening.active <= 2
        assert opening.serving == 3, "one turn was missed and one goes on"
        await house.forward(300)
        await house.forward(1)
        assert opening.serving == 5 and opening.active == 2


async def test_a_city_that_gives_no_more_time_says_until_when_it_is(store_url: str) -> None:
    async with open_line(store_url, more_time_seconds=0) as line:
        answer = await line.house.call("POST", "/ticket/more-time", bearer=line.tickets[0])
        assert answer.status_code == 200 and answer.json()["extended"] is False
