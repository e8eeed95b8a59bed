"""`jiaohao notify` and `jiaohao outbox`: what they say, and what a sender leaves behind that is killed or stopped."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.messages.gateways import FileGateway
from server.records.message import DeadLetter
from tests.support.city_files import load_text, loud_city
from tests.support.post import Phones, Post, open_post, read
from tests.support.serving import REPO, TIANHE, Jiaohao, environment, person, until
from tests.support.stores import Store
from tests.support.valkey import standalone_server


@pytest.fixture
def secrets(jiaohao: Jiaohao, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a machine that sends; after `jiaohao`, which clears it."""
    monkeypatch.setenv("JIAOHAO_REDIS_URL", store_url)
    monkeypatch.setenv("JIAOHAO_SECRET", (b"s" * 32).hex())
    monkeypatch.setenv("JIAOHAO_PEPPER", (b"p" * 32).hex())


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
    async def begin(post: Post) -> str:
        await post.register([person(0), person(1)])
        for i in (0, 1):
            await post.book(i)
        assert await post.store.count_entries([TIANHE]) == 4
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
        [sys.executable, "-m", "server.cli", "notify", *arguments],
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
