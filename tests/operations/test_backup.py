"""Backups: the whole store of one moment, sealed, and put back into any empty store without a number given twice."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.cluster import RedisCluster

from server.core.errors import SetupError
from server.core.settings import Settings
from server.operations.backup.making import Made, make_backup
from server.operations.backup.restoring import Restored, restore_backup
from server.store.setup import open_store
from tests.support.serving import BAIYUN, TIANHE, House, enrol, keep_sites, open_house, person, run_cli, test_settings
from tests.support.valkey import standalone_server

TAG, BESIDE = f"{TIANHE}:2021-06-19", f"{BAIYUN}:2021-06-19"  # the two that are open at half past eight


def given(in_tianhe: int) -> dict[str, int]:
    """So many places, and none in the other one."""
    return {TAG: in_tianhe, BESIDE: 0}


def settings_of(url: str, **changes: Any) -> Settings:
    return msgspec.structs.replace(test_settings(**changes), redis_url=url)


@pytest.fixture
async def house(store_url: str) -> AsyncIterator[House]:
    """Half past eight on 19 June 2021; residents 0 to 5 of Tianhe are eligible."""
    async with open_house(store_url) as it:
        await enrol(it.store, [person(i) for i in range(6)])
        await keep_sites(it.store)
        await it.at("08:30:00")
        with Redis.from_url(store_url) as client:
            set_clock(client, it.instant("08:30:00").timestamp())
        await (await open_store(settings_of(store_url))).close()
        yield it


def set_clock(client: Any, city_s: float) -> None:
    """It is so late in the city, by the clock that its store keeps."""
    seconds, microseconds = client.time()
    client.set("clock:{clock}", int(city_s * 1000) - int(seconds) * 1000 - int(microseconds) // 1000)


@pytest.fixture
def empty_url() -> Iterator[str]:
    """A new store."""
    with standalone_server() as url:
        yield url


async def backed_up(url: str, path: Path, **changes: Any) -> Made:
    settings = settings_of(url, **changes)
    connection = await open_store(settings)
    try:
        return await make_backup(settings, connection, path)
    finally:
        await connection.close()


async def restored(url: str, path: Path, *, places: dict[str, int] | None = None, **changes: Any) -> Restored:
    settings = settings_of(url, **changes)
    connection = await open_store(settings)
    try:
        return await restore_backup(settings, connection, path, places or {})
    finally:
        await connection.close()


def content(client: Any) -> dict[bytes, tuple[Any, int]]:
    """Every key's value, and when it ends; a dump would tell the order of a hash's fields, too."""
    read: dict[str, Callable[[bytes], Any]] = {
        "string": client.get, "hash": client.hgetall, "list": lambda name: client.lrange(name, 0, -1),
        "set": client.smembers, "zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        "stream": client.xrange,
    }  # fmt: skip
    return {name: (read[client.type(name).decode()](name), client.pexpiretime(name)) for name in client.scan_iter()}


async def test_what_is_put_back_is_what_was_there_to_the_last_key(
    house: House, store_url: str, empty_url: str, tmp_path: Path
) -> None:
    done = await house.registered(person(0))
    await house.services.registrations.settled()
    with Redis.from_url(store_url) as client:
        before = content(client)
    made = await backed_up(store_url, tmp_path / "b")
    assert (made.keys, made.nodes) == (len(before), 1)
    file = (tmp_path / "b").read_bytes()
    assert person(0).phone.encode() not in file and done["registration_no"].encode() not in file
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    await restored(empty_url, tmp_path / "b", places=given(1))
    with Redis.from_url(empty_url) as client:
        after = content(client)
    # counted up by --given alone, which says here what is so already
    assert {name: value for name, value in after.items() if not name.startswith(b"opening:")} == {
        name: value for name, value in before.items() if not name.startswith(b"opening:")
    }
    async with open_house(empty_url) as there:
        await there.at("08:30:00")
        found = await there.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])
        assert found["state"] == "proposed"


async def test_a_cluster_takes_what_one_server_had_and_gives_it_back(
    house: House, store_url: str, cluster_url: str, empty_url: str, tmp_path: Path
) -> None:
    done = await house.registered(person(0))
    await house.services.registrations.settled()
    await backed_up(store_url, tmp_path / "one")
    with RedisCluster.from_url(cluster_url) as client:
        assert (await restored(cluster_url, tmp_path / "one", places=given(1))).keys > 10
        here = content(client)
    made = await backed_up(cluster_url, tmp_path / "three")
    assert (made.nodes, made.keys) == (3, len(here))
    await restored(empty_url, tmp_path / "three", places=given(1))
    async with open_house(empty_url) as there:
        await there.at("08:30:00")
        found = await there.get(f"/registrations/{done['registration_no']}", bearer=done["receipt"])
        assert found["state"] == "proposed"


async def test_it_is_of_one_moment_however_much_is_written_meanwhile(
    house: House, store_url: str, empty_url: str, tmp_path: Path
) -> None:
    stop = threading.Event()

    def write() -> None:
        with Redis.from_url(store_url) as client:
            while not stop.is_set():
                client.eval("redis.call('INCR', 'a:{x}') redis.call('INCR', 'z:{x}')", 0)

    writer = asyncio.create_task(asyncio.to_thread(write))
    try:
        await asyncio.sleep(0.05)
        await backed_up(store_url, tmp_path / "b")
    finally:
        stop.set()
        await writer
    await restored(empty_url, tmp_path / "b", places=given(0))
    with Redis.from_url(empty_url) as client, Redis.from_url(store_url) as now:
        first, last, later = client.get("a:{x}"), client.get("z:{x}"), now.get("a:{x}")
    assert first == last and int(first or 0) > 0 and int(later or 0) >= int(first or 0)


async def test_no_number_is_given_twice(house: House, store_url: str, empty_url: str, tmp_path: Path) -> None:
    for i in range(2):
        await house.join(person(i))
    await backed_up(store_url, tmp_path / "b")
    late = await house.join(person(2))  # nobody in the backup knows of them
    with pytest.raises(SetupError, match=rf"{TAG}.*--given {TAG}=N"):
        await restored(empty_url, tmp_path / "b")
    with Redis.from_url(empty_url) as client:
        assert not list(client.scan_iter("opening:*")), "nothing was changed"
    done = await restored(empty_url, tmp_path / "b", places=given(3))
    assert dict(done.forgotten) == {TAG: 1, BESIDE: 0}
    async with open_house(empty_url) as there:
        await there.at("08:31:00")
        taken = {late["entry"]} | {(await there.join(person(i)))["entry"] for i in (0, 1)}
        assert (await there.join(person(3)))["entry"] not in taken


async def test_an_opening_that_is_over_needs_no_number(
    house: House, store_url: str, empty_url: str, tmp_path: Path
) -> None:
    await house.join(person(0))
    await backed_up(store_url, tmp_path / "b")
    with Redis.from_url(empty_url) as client:  # restored the next day: by the city's clock, which the store keeps
        set_clock(client, house.instant("09:00:00").timestamp() + 86_400)
    assert (await restored(empty_url, tmp_path / "b")).forgotten == []


@pytest.mark.parametrize("cut", [-1, -20, 300, 60, 10, 0])
async def test_one_that_was_cut_short_is_refused(
    cut: int, house: House, store_url: str, empty_url: str, tmp_path: Path
) -> None:
    await backed_up(store_url, tmp_path / "b")
    whole = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(whole[:cut])
    await _is_refused(empty_url, tmp_path / "b")


async def test_one_octet_that_is_another_is_refused(
    house: House, store_url: str, empty_url: str, tmp_path: Path
) -> None:
    await backed_up(store_url, tmp_path / "b")
    whole = (tmp_path / "b").read_bytes()
    for place in (3, 30, 120, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        await _is_refused(empty_url, tmp_path / "b")


async def _is_refused(url: str, path: Path, **changes: Any) -> None:
    with pytest.raises(SetupError):
        await restored(url, path, places=given(9), **changes)
    with Redis.from_url(url) as client:
        assert {name.partition(b":")[0] for name in client.scan_iter()} <= {b"format", b"pepper", b"clock"}


async def test_another_secret_another_pepper_and_a_store_in_use_are_refused(
    house: House, store_url: str, empty_url: str, tmp_path: Path
) -> None:
    await backed_up(store_url, tmp_path / "b")
    await _is_refused(empty_url, tmp_path / "b", secrets=(b"x" * 32,))
    with Redis.from_url(empty_url) as client:
        client.flushall()
    await _is_refused(empty_url, tmp_path / "b", pepper=b"q" * 32)
    with pytest.raises(SetupError, match="not empty"):
        await restored(store_url, tmp_path / "b", places=given(9))


async def test_after_a_rotation_an_earlier_secret_opens_it(
    house: House, store_url: str, empty_url: str, tmp_path: Path
) -> None:
    await backed_up(store_url, tmp_path / "b")
    assert (await restored(empty_url, tmp_path / "b", places=given(0), secrets=(b"n" * 32, b"s" * 32))).keys > 0


async def test_what_could_not_be_written_leaves_the_one_of_before(house: House, store_url: str, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"of yesterday")
    settings = settings_of(store_url)
    connection = await open_store(settings)
    with Redis.from_url(store_url) as client:
        client.execute_command("ACL", "SETUSER", "some", "on", ">pw", "~*", "+@all", "-psync")
        try:
            without = msgspec.structs.replace(settings, redis_url=store_url.replace("unix://", "unix://some:pw@"))
            with pytest.raises(SetupError, match="jiaohao-backup"):
                await make_backup(without, connection, tmp_path / "b")
        finally:
            client.execute_command("ACL", "DELUSER", "some")
            await connection.close()
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"of yesterday"


def test_the_commands_say_what_they_have_done(store_url: str, empty_url: str, tmp_path: Path) -> None:
    env = {"JIAOHAO_SECRET": "ab" * 32}
    made = run_cli("backup", str(tmp_path / "b"), "--redis-url", store_url, **env)
    assert made.returncode == 0 and "read again and loaded" in made.stdout, made.stderr
    back = run_cli("restore", str(tmp_path / "b"), "--redis-url", empty_url, **env)
    assert back.returncode == 0 and "are in the store" in back.stdout, back.stderr
    nothing = run_cli("restore", str(tmp_path / "nothing"), "--redis-url", empty_url, **env)
    assert nothing.returncode == 1 and "No such file" in nothing.stderr
