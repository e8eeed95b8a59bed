"""Shares store calls among requests that wait at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from server.core.errors import Overloaded

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_Member: TypeAlias = tuple[Item, asyncio.Future[Answer], float]  # the float: when it came, in the loop's time


class Coalescer(Generic[Item, Answer]):
    """Gathers items while earlier calls are on their way, then sends them in one.

    A batch is what arrived while it lingered and, under load, during the round
    trip before it. Every member gets its own answer or error.

    Args:
        call: takes a batch, returns one answer (or an exception for that member) per item, in order.
            If it raises, each member of the batch gets that error. It must bound its own time.
        max_batch: items in one call at most.
        max_waiting: items waiting or under way at most; one more is refused at once.
        max_calls: calls under way at the same time.
        linger_s: how long the first of a batch waits for company; 0 = until the end of the loop's current turn. A few
            milliseconds, which nobody feels, spare most of the calls (and of the store's fsyncs) of a middling crowd.
        max_wait_s: an item that has waited so long when its call could begin is refused instead, so that a store
            which hangs keeps a resident for this and two calls' time at most, however many are waiting.
    """

    def __init__(
        self,
        call: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        max_batch: int = 512,
        max_waiting: int = 8192,
        max_calls: int = 1,
        linger_s: float = 0.0,
        max_wait_s: float = 5.0,
    ) -> None:
        self._call = call
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._max_calls = max_calls
        self._linger_s = linger_s
        self._max_wait_s = max_wait_s
        self._waiting: list[_Member[Item, Answer]] = []
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
        self._waiting.append((item, future, loop.time()))
        if not self._scheduled and len(self._calls) < self._max_calls:
            self._schedule(loop)
        return future

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = True
        if self._linger_s > 0 and len(self._waiting) < self._max_batch:
            loop.call_later(self._linger_s, self._send)
        else:
            loop.call_soon(self._send)

    def _send(self) -> None:
        self._scheduled = False
        loop = asyncio.get_running_loop()
        self._refuse_late(loop.time() - self._max_wait_s)
        while self._waiting and len(self._calls) < self._max_calls:
            batch = self._waiting[: self._max_batch]
            del self._waiting[: self._max_batch]
            self._under_way += len(batch)
            task = loop.create_task(self._run(batch))
            self._calls.add(task)
            task.add_done_callback(partial(self._done, batch))

    def _refuse_late(self, since: float) -> None:
        late = 0
        while late < len(self._waiting) and self._waiting[late][2] < since:
            _settle(self._waiting[late][1], Overloaded())
            late += 1
        del self._waiting[:late]

    def _done(self, batch: "list[_Member[Item, Answer]]", task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._under_way -= len(batch)
        if task.cancelled():  # perhaps before it began
            for _, future, _ in batch:
                future.cancel()
        if self._waiting and not self._scheduled:
            self._schedule(asyncio.get_running_loop())

    async def _run(self, batch: "list[_Member[Item, Answer]]") -> None:
        answers: Sequence[Answer | Exception]
        try:
            answers = await self._call([item for item, _, _ in batch])
            if len(answers) != len(batch):
                raise RuntimeError(f"{len(batch)} items, but {len(answers)} answers")
        except Exception as error:
            answers = [error] * len(batch)
        for (_, future, _), answer in zip(batch, answers, strict=True):
            _settle(future, answer)


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if future.done():  # its request went away
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
