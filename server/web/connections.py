"""The connections that a worker holds: how many are open, whom to let go with the answer, what is said where all are
taken.

A browser keeps its connection for a minute, and a resident is told to come back in five: with a connection for each of
them a worker would be full of those who wait for nothing. So who is told to come back later than a kept connection is
worth is let go with the answer, and what is held follows the calls of the next seconds, not the crowd.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

from server.core.errors import Refusal
from server.core.metrics import Metrics
from server.web.bridge import Exchange, RequestHeaders
from server.web.problems import Headers, render

CLOSE = ("connection", "close")

# From this share on every answer ends its connection, so that the rest is there for who comes next.
_NEAR = 0.75
_LOOK_SECONDS, _SELDOM_SECONDS = 0.1, 1.0
_IS_LINUX = sys.platform == "linux"
# An answer `overloaded` asks to come again in so many seconds, one after the other, so that not all come at once.
_AGAIN_SECONDS = (3, 4, 5, 6, 7)


class Connections:
    """Open connections of this worker, looked at ten times a second, and what follows from their number.

    Args:
        most: how many are held; beyond that requests are refused.
        keep_seconds: who is told to come back later than that is let go with the answer.
        lets_go: False where all who connect are proxies.
        counts: False where they are not counted with the crowd's.

    Attributes:
        is_near: every answer ends its connection.
        is_full: requests are refused as `overloaded`.
        let_go: connections ended with an answer, as their residents come back late; so far.
        refused: requests refused as `overloaded`, so far.
    """

    def __init__(self, most: int, keep_seconds: float, *, lets_go: bool = True, counts: bool = True) -> None:
        self.is_near = self.is_full = False
        self.let_go = self.refused = 0
        self._most = most
        self._keep_seconds = keep_seconds if lets_go else float("inf")
        self._counts = counts
        self._refusals: dict[str, list[tuple[int, Headers, bytes]]] = {}

    def lets_go(self, seconds: float | None, headers: RequestHeaders | Mapping[str, str]) -> bool:
        """Whether to end the connection with this answer, which says to come back in `seconds` (None: it says nothing).

        Args:
            headers: of the request.
        """
        if seconds is None or seconds <= self._keep_seconds:
            return False
        # Proxies make themselves known by these. Their connections are shared: each serves one resident after another.
        if headers.get("x-forwarded-for", "") or headers.get("via", "") or headers.get("forwarded", ""):
            return False
        self.let_go += 1
        return True

    def refuse(self, exchange: Exchange, lang: str) -> None:
        """Answer `overloaded` at once: nothing is looked at, and the connection is free for somebody else."""
        refusals = self._refusals.get(lang)
        if refusals is None:
            refusals = self._refusals[lang] = [_overloaded(seconds, lang) for seconds in _AGAIN_SECONDS]
        self.refused += 1
        exchange.response_bytes(*refusals[self.refused % len(refusals)])

    async def watch(self, metrics: Metrics) -> None:
        """Count the open ones, until cancelled, and hand over what there is to count.

        What is open beyond what this worker had open when it began counts as a connection: the store's are a few.
        """
        files = OpenFiles()
        before = files.count()
        try:
            while True:
                open_ = max(0, files.count() - before)
                self.is_near, self.is_full = open_ >= _NEAR * self._most, open_ >= self._most
                if self._counts:
                    metrics.connections(open_, self._most, self.let_go, self.refused)
                await asyncio.sleep(_SELDOM_SECONDS if files.is_costly else _LOOK_SECONDS)
        finally:
            self.is_near = self.is_full = False  # nobody looks any more
            files.close()


class OpenFiles:
    """How many files this process has open.

    Attributes:
        is_costly: the kernel (before Linux 6.2) does not say it: they are counted one by one, a millisecond a thousand.
    """

    def __init__(self) -> None:
        self._folder = os.open("/proc/self/fd" if _IS_LINUX else "/dev/fd", os.O_RDONLY)
        self.is_costly = not _IS_LINUX or os.fstat(self._folder).st_size == 0

    def count(self) -> int:
        """How many."""
        return len(os.listdir(self._folder)) if self.is_costly else os.fstat(self._folder).st_size

    def close(self) -> None:
        """Look no more."""
        os.close(self._folder)


class Ending:
    """A request's other half, whose answer ends the connection."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __call__(self) -> Any:
        return self._exchange()

    def __aiter__(self) -> Any:
        return aiter(self._exchange)

    def client_disconnect(self) -> Any:
        """As of the one within, and so are the others."""
        return self._exchange.client_disconnect()

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        self._exchange.response_bytes(status, _ended(headers), body)

    def response_stream(self, status: int, headers: Headers) -> Any:
        return self._exchange.response_stream(status, _ended(headers))


def _ended(headers: Headers) -> Headers:
    return headers if CLOSE in headers else [*headers, CLOSE]


def _overloaded(seconds: int, lang: str) -> tuple[int, Headers, bytes]:
    status, headers, body = render(Refusal("overloaded", retry_after_seconds=seconds), lang)
    return status, [*headers, CLOSE], body
