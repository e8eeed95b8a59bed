"""The right to run the night: one holder at a time, and a later one is known from an earlier one that wakes up."""

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from datetime import tzinfo
from types import TracebackType
from typing import Self

import structlog

from server.core.clock import from_ms
from server.core.errors import SetupError, StoreUnavailable
from server.night.store import NightStore
from server.records.night import LeaseHolder
from server.store.connection import Connection

log = structlog.get_logger()

_LIVES_MS = 30_000
_RENEW_SECONDS = 5.0
_NAME_SPACE = "/proc/self/ns/pid"


class Superseded(SetupError):
    """Somebody else runs the night."""


class Lease:
    """Held from `async with` to its end, and renewed meanwhile.

    What was killed is found dead at once by another process of the same machine, else its lease runs out in half a
    minute. A process that was stopped and wakes up after that has a lower `token` than its successor, and the store
    takes nothing more from it.

    Args:
        connection: that keeps it.
        tz: for the times in messages.

    Raises:
        Superseded: on entering, somebody has it; who, and since when.
    """

    def __init__(self, connection: Connection, tz: tzinfo) -> None:
        self._night_store = NightStore(connection)
        self._tz = tz
        self._renewing: asyncio.Task[None] | None = None
        self._lost: LeaseHolder | None = None
        self.token = 0
        # A process may run one night after the other.
        self._me = f"{_holder(os.getpid())}, run {secrets.token_hex(4)}"

    async def __aenter__(self) -> Self:
        me = self._me
        held = await self._night_store.lease(me, 0, _LIVES_MS)
        if not held.is_mine and held.holder == me:  # the answer to an earlier try was lost
            held = await self._night_store.lease(me, held.token, _LIVES_MS)
        if not held.is_mine and _is_dead(held.holder):
            log.warning("the night's holder is dead, taking over", holder=held.holder)
            held = await self._night_store.lease(me, 0, _LIVES_MS, dead=held.token)
        if not held.is_mine:
            raise Superseded(self._by(held))
        self.token = held.token
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])  # one that is on its way would take the lease again
        with suppress(StoreUnavailable):  # then it runs out
            await self._night_store.lease(self._me, self.token, 0)

    def check(self) -> None:
        """Raises Superseded: another one has taken over."""
        if self._lost is not None:
            raise Superseded(self._by(self._lost))

    def lost(self) -> Superseded:
        """What to raise where the store says that there is a later token."""
        return Superseded("another one has taken over the night; look who, with `jiaohao night`")

    async def _renew(self) -> None:
        while self._lost is None:
            await asyncio.sleep(_RENEW_SECONDS)
            with suppress(StoreUnavailable):
                held = await self._night_store.lease(self._me, self.token, _LIVES_MS)
                self._lost = None if held.is_mine else held

    def _by(self, held: LeaseHolder) -> str:
        since, until = (f"{from_ms(ms, self._tz):%Y-%m-%d %H:%M:%S}" for ms in (held.since_ms, held.expires_ms))
        return f"the night is being run by {held.holder}, since {since}; unless renewed its lease ends at {until}"


def _holder(pid: int) -> str:
    """A process in words that this machine can read again; in containers a number alone says little."""
    name_space = ""
    with suppress(OSError):
        name_space = " in " + os.readlink(_NAME_SPACE)
    return f"process {pid} on {socket.gethostname()}{name_space}"


def _is_dead(holder: str) -> bool:
    """Whether a process of this machine does not exist any more; of another's nothing is known."""
    words = holder.split()
    if len(words) < 2 or not words[1].isdigit() or not holder.startswith(f"{_holder(int(words[1]))}, "):
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
