"""Messages reach the phones through an SMSC that misbehaves, and its receipts stand on the registrations."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from server.messages.smpp import SmppGateway, SmppSettings
from server.messages.smpp_gateway import smpp_gateway
from tests.support.post import Post, open_post
from tests.support.serving import person
from tests.support.smsc import PASSWORD, Line, Orders, Smsc, need_smsc, smsc


class Rig:
    """Senders and an SMSC that misbehaves."""

    def __init__(self, post: Post, config: SmppSettings) -> None:
        self.post = post
        self.config = config

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[SmppGateway]:
        """A sender at work, as `jiaohao notify --gateway smpp`."""
        async with smpp_gateway(self.config, self.post.sender.receipts) as gateway:
            task = asyncio.create_task(self.post.sender.run(gateway, "test"))
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
    monkeypatch.setattr("server.messages.message_sender._FIRST_BACKOFF_MS", 100)
    monkeypatch.setattr("server.messages.message_sender._NOT_HANDED_OVER_MS", 50)
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
