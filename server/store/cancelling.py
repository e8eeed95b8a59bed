"""Python before 3.12 may lose a cancellation on its way through a client: it is raised all the same."""

import asyncio


class Cancellable:
    """Around a call of the client: raises CancelledError where that has swallowed a cancellation.

    It sends by way of `asyncio.wait_for`, which before Python 3.12 drops a cancellation that comes with the answer;
    whoever works until cancelled would go on for ever.
    """

    __slots__ = ("_asked_to_stop", "_task")

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._asked_to_stop = self._task.cancelling() if self._task else 0

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._task and self._task.cancelling() > self._asked_to_stop:
            raise asyncio.CancelledError
