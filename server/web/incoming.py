"""A request's body as it comes: the whole of it or nothing, and not for ever."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol, TypeVar

from server.core.errors import Refusal
from server.web.bridge import Exchange, Gone, RequestHeaders

T = TypeVar("T")

# Beyond the seconds that every body has, one more for so much that has come.
_OCTETS_A_SECOND = 16_384


class ComingBody(Protocol):
    """A request's body that is on its way: what granian gives for the whole of it, which is like an asyncio.Future."""

    def add_done_callback(self, callback: Any, *, context: Any) -> None:
        """Have the event loop call this once it has come, or been ended."""

    def cancel(self) -> bool:
        """Wait for it no longer."""

    def result(self) -> bytes:
        """The body, once it has come."""


class Patience:
    """How long a worker waits for request bodies, and the one timer that ends the waiting for all of them.

    A timer for each body would cost a join more than reading its papers does.

    Args:
        seconds: what a body may take; one second more for each 16 KiB of it that has come.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[asyncio.Task[object], float] = {}
        self._expected: dict[ComingBody, float] = {}
        self._over: set[asyncio.Task[object]] = set()

    async def watch(self) -> None:
        """End what has taken too long, until cancelled."""
        while True:
            await asyncio.sleep(self._seconds / 4)
            now = time.monotonic()
            for body in [body for body, due in list(self._expected.items()) if due <= now]:
                body.cancel()  # `come` says why
            for task in [task for task, due in self._due.items() if due <= now]:
                del self._due[task]
                self._over.add(task)
                task.cancel()

    def due(self, since: float, octets: int = 0) -> float:
        """Until when to wait for the rest of a body that began at `since` and of which so much has come."""
        return since + self._seconds + octets / _OCTETS_A_SECOND

    def expect(self, body: ComingBody) -> None:
        """Have a body ended that takes too long; in any thread, and until it is forgotten."""
        self._expected[body] = self.due(time.monotonic())

    def forget(self, body: ComingBody) -> None:
        """It has come, or been ended."""
        self._expected.pop(body, None)

    async def wait(self, coming: Awaitable[T], due: float) -> T:
        """What comes, until `due` by the monotonic clock.

        Raises:
            Refusal: `malformed`: it has not come.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._due[task] = due
        try:
            return await coming
        except asyncio.CancelledError:
            if task in self._over and task.uncancel() == 0:
                raise Refusal("malformed", reason="too-slow") from None
            raise  # somebody else means us
        finally:
            self._due.pop(task, None)
            self._over.discard(task)


async def come(body: ComingBody) -> bytes:
    """A body that was expected, now that it has come or been ended.

    Raises:
        Refusal: `malformed`: it has broken off, or took too long.
    """
    try:
        return body.result()
    except asyncio.CancelledError:
        raise Refusal("malformed", reason="too-slow") from None
    except Gone:
        raise broken_off() from None


class Incoming:
    """The pieces of a body, which end only where the body does.

    Args:
        headers: of the request.
        exchange: gives the pieces.
        patience: ends what takes too long.
    """

    def __init__(self, headers: RequestHeaders, exchange: Exchange, patience: Patience) -> None:
        self._announced = headers.get("content-length", "")
        self._patience = patience
        self._since = time.monotonic()
        self._pieces: AsyncIterator[bytes] = aiter(exchange)
        self._octets = 0
        self._empty = 0

    def __aiter__(self) -> "Incoming":
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            StopAsyncIteration: that was all of it.
            Refusal: `malformed`: it has broken off, or takes too long.
        """
        try:
            due = self._patience.due(self._since, self._octets)
            while not (piece := await self._patience.wait(anext(self._pieces), due)):
                self._empty += 1
        except StopAsyncIteration:
            if self._is_whole():
                raise
            raise broken_off() from None
        except Gone:
            raise broken_off() from None
        self._octets += len(piece)
        return piece

    def _is_whole(self) -> bool:
        """Granian ends a body that broke off like any other, but for an empty piece before the one at every end.

        Trailer fields give such a piece too; nobody sends them, and they would be lost.
        """
        return self._empty <= 1 and self._announced in ("", str(self._octets))


def broken_off() -> Refusal:
    """A body of which only a part has come."""
    return Refusal("malformed", reason="broken-off")
