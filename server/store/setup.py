"""A store that fits this set-up: opened by this one function for the server and for every command beside it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple, TypeVar

from redis.exceptions import NoPermissionError

from server.core.clock import Clock, to_ms
from server.core.errors import SetupError, StoreUnavailable
from server.core.keys import Pepper
from server.core.settings import Settings
from server.store.agreed import FORMAT, Agreement
from server.store.connecting import open_client
from server.store.connection import Connection

T = TypeVar("T")

_CLOCK_SECONDS = 2.0
_PAUSE_SECONDS = 0.5
# Less than what two clocks of well kept machines may be apart.
_SAME_CLOCK_MS = 1_000


class ClockAgreed(NamedTuple):
    """The city's clock: its offset from the store's TIME, what time it is, and whether that is what was wanted."""

    offset_ms: int
    now_ms: int
    as_wanted: bool


async def open_store(settings: Settings) -> Connection:
    """The store of these settings, by the city's clock that is kept in it.

    Raises:
        SetupError: nothing answers; or this user may not do what is needed; or a newer version has written it; or it
            was filled under another pepper: nobody in it could be found.
        StoreUnavailable: it answers, and cannot be read just now.
    """
    opened = await open_client(settings.redis_url)
    connection = Connection(opened.client, settings.offset_ms, settings.replicas, opened.watchers)
    try:
        if (known := await Agreement(connection).agree_on_format()) > FORMAT:
            raise SetupError(
                f"this store is written by a newer version (format {known}; this one knows {FORMAT}): use that, "
                "or a backup of before it; an older one could take what it finds for something else"
            )
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


async def patiently(work: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """What `work` brings once the store answers: it may just be starting again, so a failure is no end for a while.

    Raises:
        SetupError, StoreUnavailable: as `work`, once that while is over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while True:
        try:
            return await work()
        except (SetupError, StoreUnavailable):
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


async def agree_on_clock(connection: Connection, starts: datetime | None, *, anew: bool) -> ClockAgreed:
    """The city's clock in this store: whoever comes first sets it, the others follow.

    Args:
        connection: the store; its calls go by that clock from now on.
        starts: the city's time now, as it is wanted; None: the store's own.
        anew: whatever the time is that the store has is given up for it.
    """
    store_ms = await Agreement(connection).time_ms()
    wanted_ms = to_ms(starts) - store_ms if starts is not None else 0
    offset_ms = await Agreement(connection).agree_on_offset(wanted_ms, anew=anew)
    return ClockAgreed(offset_ms, store_ms + offset_ms, abs(offset_ms - wanted_ms) <= _SAME_CLOCK_MS)


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
