"""Asking the beacon's relays: one honest one is enough, and no other one is believed or waited for too long."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import pytest

from server.core.beacon import Beacon
from server.core.clock import Clock
from server.waiting_room.drawing import Heard
from server.waiting_room.relays import Relays
from tests.support.beacon import HASH, LIARS, RECORDED, Recorded, Relay, honest, says, serving


class At(Clock):
    """A clock that says when."""

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self.at_ms = now_ms

    def now_ms(self) -> int:
        """City time in milliseconds since the epoch."""
        return self.at_ms


def due_ms(number: int) -> int:
    return (1692803367 + 3 * (number - 1)) * 1000


async def ask(relays: list[Relay], number: int, *, deadline_s: float = 2.0) -> tuple[Heard, list[str]]:
    """What is heard, and the relays' addresses."""
    async with AsyncExitStack() as stack:
        addresses = [await stack.enter_async_context(serving(relay)) for relay in relays]
        beacon = Beacon(addresses, ask_seconds=0.5, deadline_seconds=deadline_s)
        return await Relays(beacon, At(due_ms(number))).ask(number), addresses


@pytest.mark.parametrize("it", RECORDED, ids=lambda it: str(it.number))
async def test_an_honest_relay_is_believed(it: Recorded) -> None:
    heard, _ = await ask([honest], it.number)
    assert heard == Heard(it.signature, "")


async def test_one_honest_relay_among_all_that_lie_hang_or_err_is_enough() -> None:
    for some in (list(LIARS.values())[:9], list(LIARS.values())[9:]):
        heard, _ = await ask([*some, honest], RECORDED[0].number, deadline_s=10)
        assert heard == Heard(RECORDED[0].signature, "")


async def test_where_all_of_them_lie_hang_or_err_time_is_over_and_each_ones_fault_is_told() -> None:
    names = list(LIARS)
    began = time.monotonic()
    for some in (names[:9], names[9:]):
        heard, addresses = await ask([LIARS[name] for name in some], RECORDED[0].number, deadline_s=1.5)
        assert heard.signature == ""
        assert heard.missing.startswith("round 657413 was not had within 1.5 s (")
        for address in addresses:
            assert address.removeprefix("http://") in heard.missing
        for word in ("html", "banana", "0x", "ß"):
            assert word not in heard.missing, "what a stranger sent is told to nobody"
    assert time.monotonic() - began < 30


async def test_a_relay_that_has_the_round_a_little_later_is_asked_again() -> None:
    asked = 0

    async def late(path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await (honest if asked > 2 else LIARS["too early"])(path, writer)

    heard, _ = await ask([late], 42, deadline_s=10)
    assert (heard, asked) == (Heard(RECORDED[1].signature, ""), 3)


async def test_nobody_is_asked_before_the_round_is_due() -> None:
    asked: list[str] = []

    async def counting(path: str, writer: asyncio.StreamWriter) -> None:
        asked.append(path)
        await honest(path, writer)

    async with serving(counting) as address:
        clock = At(due_ms(42) - 3000)
        asking = asyncio.create_task(Relays(Beacon([address]), clock).ask(42))
        await asyncio.sleep(0.7)
        assert not asked
        clock.at_ms = due_ms(42)
        assert (await asking).signature == RECORDED[1].signature and len(asked) == 1


async def test_a_relay_that_is_not_there_is_told_of() -> None:
    async with serving(honest) as address:
        pass
    heard = await Relays(Beacon([address], ask_seconds=0.5, deadline_seconds=1), At(due_ms(42))).ask(42)
    assert heard.signature == "" and address.removeprefix("http://") in heard.missing


async def test_a_round_that_is_far_away_by_the_citys_clock_is_waited_for_by_nobody() -> None:
    """As in a city whose clock stands before the beacon's first round, or was set back while somebody waited."""
    asked: list[str] = []

    async def counting(path: str, writer: asyncio.StreamWriter) -> None:
        asked.append(path)

    async with serving(counting) as address:
        relays = Relays(Beacon([address]), At(due_ms(1) - 10**10))
        heard = await asyncio.wait_for(relays.ask(1), 5)
        assert heard == Heard("", "round 1 is far away by the city's clock") and not asked
        clock = At(due_ms(42) - 1000)
        asking = asyncio.create_task(Relays(Beacon([address]), clock).ask(42))
        await asyncio.sleep(0.2)
        clock.at_ms -= 10**7
        assert "far away" in (await asyncio.wait_for(asking, 5)).missing and not asked


# As a relay of drand answers `/HASH/info`; the key is the one in `facts`, as npm drand-client 1.4.2 has it.
INFO = {
    "public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1f"
    "ec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
    "period": 3, "genesis_time": 1692803367, "hash": HASH, "schemeID": "bls-unchained-g1-rfc9380",
}  # fmt: skip


async def test_a_look_says_of_each_relay_whether_it_serves_the_chain() -> None:
    asked: list[str] = []

    async def good(path: str, writer: asyncio.StreamWriter) -> None:
        asked.append(path)
        await says("200 OK", json.dumps(INFO).encode())(path, writer)

    others = [says("200 OK", json.dumps(INFO | {name: it}).encode()) for name, it in
              (("hash", "0" * 64), ("public_key", "ab" * 96), ("period", 30), ("genesis_time", 1))]  # fmt: skip
    relays = [good, *others, LIARS["silent"], LIARS["a page"], LIARS["broken"], LIARS["endless"]]
    async with AsyncExitStack() as stack:
        addresses = [await stack.enter_async_context(serving(relay)) for relay in relays]
        found = await Relays(Beacon(addresses, ask_seconds=3.0), At(0)).look()
    assert list(found.values()) == [
        "", *["it serves another chain"] * 4, "no answer in 3 s", "an answer that is no beacon's", "HTTP 500",
        "an answer without end",
    ]  # fmt: skip
    assert asked == [f"/{HASH}/info"] and list(found) == [it.removeprefix("http://") for it in addresses]
