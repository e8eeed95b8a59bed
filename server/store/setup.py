"""A store that fits this set-up: opened by this one function for the server and for every command beside it."""

import asyncio
import contextlib

from redis.exceptions import NoPermissionError

from server.core.clock import Clock
from server.core.errors import SetupError, StoreUnavailable
from server.core.keys import Pepper
from server.core.settings import Settings
from server.store.agreed import Agreement
from server.store.connecting import connect
from server.store.connection import Connection

_CLOCK_SECONDS = 2.0


async def open_store(settings: Settings) -> Connection:
    """The store of these settings, by the city's clock that is kept in it.

    Raises:
        SetupError: nothing answers; or this user may not do what is needed; or it was filled under another pepper:
            nobody in it could be found.
        StoreUnavailable: it answers, and cannot be read just now.
    """
    connection = Connection(await connect(settings.redis_url), settings.offset_ms, settings.replicas)
    try:
        if not await Agreement(connection).agree_on_pepper(Pepper(settings.pepper).mark):
            raise SetupError(
                "this store was filled under another JIAOHAO_SECRET: give that one (or, after a rotation, the oldest "
                "as JIAOHAO_PEPPER), else nobody in it can be found"
            )
        await Agreement(connection).follow_offset()
    except StoreUnavailable as error:
        await connection.close()
        if isinstance(error.__cause__, NoPermissionError):
            raise SetupError(
                "the store lets this user in, but not do what is needed: see `jiaohao doctor --acl`"
            ) from None
        raise
    except BaseException:
        await connection.close()
        raise
    return connection


async def keep_time(connection: Connection, clock: Clock) -> None:
    """Go by the city's clock that is kept in the store, also when somebody sets it anew; until cancelled."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            await follow_city(connection, clock)
        await asyncio.sleep(_CLOCK_SECONDS)


async def follow_city(connection: Connection, clock: Clock) -> None:
    """Take over the city's clock from the store, if it is another one now.

    Raises:
        StoreUnavailable: the store does not say.
    """
    before = clock.offset_ms
    clock.offset_ms = await Agreement(connection).follow_offset()
    if clock.offset_ms != before:
        clock.follow(await Agreement(connection).city_ms())


async def city_clock(connection: Connection) -> Clock:
    """The city's clock as the store has it: its TIME and the offset kept there, whatever this machine's clock says.

    Raises:
        StoreUnavailable: the store does not say.
    """
    clock = Clock(await Agreement(connection).follow_offset())
    clock.follow(await Agreement(connection).city_ms())
    return clock
