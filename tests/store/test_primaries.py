"""The primary is found wherever it is, and left once it is none any more: by Sentinels, by name, among several."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis import Redis

from server.core.errors import SetupError, StoreUnavailable
from server.store.connecting import connect, open_client
from server.store.connection import Connection
from tests.support.relay import Name, listening
from tests.support.stores import Store
from tests.support.valkey import standalone_server, watched_servers

CODE = "440106"


async def soon(work: Callable[[], Awaitable[None]]) -> None:
    """Do it, again and again while the store is away."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await work()
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_sentinels_say_where_the_primary_is_and_where_it_is_after_its_death() -> None:
    """Both with passwords; the first Sentinel that is named is away."""
    with watched_servers() as watched:
        store = Store(await connect(watched.url))
        try:
            await store.note_call(CODE, "1", b"r" * 16)
            await store.ping()
            watched.kill_primary()
            with pytest.raises(StoreUnavailable):
                await store.ping()
            await soon(lambda: store.note_call(CODE, "2", b"r" * 16))
            assert sorted((await store.to_call([CODE]))[0]) == ["1", "2"]
            await store.ping()
        finally:
            await store.close()
        again = Store(await connect(watched.url))  # as a worker that is started now
        try:
            await again.ping()
        finally:
            await again.close()


async def test_the_replica_that_has_become_the_primary_is_not_waited_for() -> None:
    """Nor the dead one, once the Sentinels agree that it is."""
    with watched_servers() as watched:
        opened = await open_client(watched.url)
        connection = Connection(opened.client, watchers=opened.watchers)

        async def write() -> None:
            await connection.plain([("SET", "written:{here}", 1)])

        try:
            await write()
            watched.kill_primary()
            await soon(write)
        finally:
            await connection.close()


async def test_what_is_wrong_with_sentinels_is_one_line() -> None:
    with watched_servers() as watched:
        for url, says in (
            (watched.url.replace("/city", "/town"), "/town knows of a primary of that name"),
            (watched.url.partition("?")[0], "?sentinel_password="),
            (watched.url.replace("p%40ss", "other"), "does not let in the password"),
            ("redis+sentinel://127.0.0.1:1/city", "no Sentinel at redis+sentinel://127.0.0.1:1/city"),
        ):
            with pytest.raises(SetupError) as caught:
                await connect(url)
            said = str(caught.value)
            assert says in said and len(said.splitlines()) == 1
            assert "word" not in said.replace("password", "")
        sentinel = watched.url.partition("/city")[0].rpartition(",")[2]
        with pytest.raises(SetupError, match="is a Sentinel: redis\\+sentinel://"):
            await connect(f"redis://:other%2Fword@{sentinel}")


async def test_behind_a_name_that_moves_no_connection_stays_with_the_server_that_was_the_primary() -> None:
    """Neither one that writes, which is told, nor one that only reads, which is not."""
    with standalone_server() as one, standalone_server() as two:
        name = Name(one)
        async with listening(name) as port:
            store = Store(await connect(f"redis://127.0.0.1:{port}"))

            async def told() -> list[str]:
                return list((await store.to_call([CODE]))[0])

            with Redis.from_url(one) as old, Redis.from_url(two) as new:
                try:
                    await asyncio.gather(*(store.ping() for _ in range(20)))  # so many connections are kept
                    old.hset("to_call:{440106}", "old", b"r" * 16)
                    new.hset("to_call:{440106}", "new", b"r" * 16)
                    assert await told() == ["old"]
                    old.replicaof("127.0.0.1", 1)
                    with pytest.raises(StoreUnavailable):
                        await store.ping()  # the name has not moved yet: nothing there can be written to
                    name.lead_to(two)
                    await store.ping()
                    assert await asyncio.gather(*(told() for _ in range(20))) == [["new"]] * 20
                finally:
                    await store.close()
