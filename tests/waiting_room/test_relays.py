"""Asking the beacon's relays: one honest one is enough, and no other one is believed or waited for too long."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from server.core.beacon import Beacon
from server.core.clock import Clock
from server.waiting_room.drawing import Heard
from server.waiting_room.relays import Relays
from tests.support.beacon import LIARS, RECORDED, Recorded, Relay, honest, serving


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
