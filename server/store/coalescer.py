"""Shares store calls among requests that wait at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from server.errors import Overloaded

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Coalescer(Generic[Item, Answer]):
    """Gathers items while earlier calls are on their way, then sends them in one.

    An idle coalescer sends at the end of the loop's current turn, so a lone
    request waits for nobody; under load the batch grows by itself to what
    arrived during one round trip. Every member gets its own answer or error.

    Args:
        call: takes a batch, returns one answer (or an exception for that member) per item, in order.
            If it raises, each member of the batch gets that error. It must bound its own time.
        max_batch: items in one call at most.
        max_waiting: items waiting or under way at most; one more is refused at once.
        max_calls: calls under way at the same time.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        max_batch: int = 512,
        max_waiting: int = 8192,
        max_calls: int = 2,
    ) -> None:
        self._call = call
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._max_calls = max_calls
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._under_way = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._scheduled = False

    @property
    def load(self) -> int:
        """Items waiting or under way."""
        return len(self._waiting) + self._under_way

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Have the item done with the next batch.

        Raises:
            Overloaded: too much is waiting already.
        """
        if self.load >= self._max_waiting:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, future))
        if not self._scheduled and len(self._calls) < self._max_calls:
            self._scheduled = True
            loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._calls) < self._max_calls:
            batch = self._waiting[: self._max_batch]
            del self._waiting[: self._max_batch]
            self._under_way += len(batch)
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._calls.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if self._waiting and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._call([item for item, _ in batch])
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(batch)} items, but {len(answers)} answers")
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    if isinstance(error, asyncio.CancelledError):
                        future.cancel()
                    else:
                        future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():  # its request went away
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        finally:
            self._under_way -= len(batch)
