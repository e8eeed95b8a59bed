"""Asks again and again whether the replicas have by now what was written: once for all calls of a primary that wait.

It is told by any write behind theirs that they have. And as something is written each time, no stream between the nodes
is ever silent meanwhile: TCP notices by what comes behind a packet that it was lost, and else by time-outs alone, which
double. On a network that loses every fifth packet that is most of what a write waits for.
"""

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisClusterException, RedisError

# So long a call waits for its replicas, beyond the first WAIT; a call as a whole may take five seconds.
HOLD_SECONDS = 3.0
_EACH_SECONDS = 0.05
_AT_ONCE = 20


class Behind(Exception):
    """The replicas do not have what was written."""


class Again:
    """Asks for one primary."""

    def __init__(self) -> None:
        self._ask: Callable[[], Awaitable[str]] | None = None
        self._waiting: dict[asyncio.Future[None], tuple[float, str]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._why = "not asked"

    async def until_there(self, ask: Callable[[], Awaitable[str]], history: str) -> None:
        """Wait until the replicas have all that this primary has by now.

        Args:
            ask: writes, and waits for the replicas; returns the name of the primary's history.
            history: its name, another one once a node has been a replica in between; "" where it is not known.

        Raises:
            Behind: they have not in time.
        """
        loop, self._ask = asyncio.get_running_loop(), ask
        there = loop.create_future()
        self._waiting[there] = loop.time(), history
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_on())
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                await there
        except TimeoutError:
            raise Behind(self._why) from None
        finally:
            self._waiting.pop(there, None)

    def close(self) -> None:
        """Ask no more."""
        for task in (self._asking, *self._under_way):
            if task is not None:
                task.cancel()

    async def _ask_on(self) -> None:
        try:
            while self._waiting:
                if len(self._under_way) < _AT_ONCE:
                    task = asyncio.create_task(self._once())
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
                await asyncio.sleep(_EACH_SECONDS)
        finally:
            self._asking = None

    async def _once(self) -> None:
        assert self._ask is not None  # noqa: S101
        began = asyncio.get_running_loop().time()
        try:
            history = await self._ask()
        except (Behind, RedisError, RedisClusterException, OSError, TimeoutError) as why:
            self._why = str(why) or type(why).__name__
            return
        for there, (since, its) in self._waiting.items():
            if since <= began and its in ("", history) and not there.done():
                there.set_result(None)
