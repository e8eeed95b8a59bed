"""Messages to one phone one after the other, in the order they came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.core.errors import NotHandedOver


class _Line:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = self.failures = 0


class Lines:
    """A line for each phone that has messages on their way."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def turn(self, phone: str) -> AsyncIterator[None]:
        """Wait until all that came before are through.

        Raises:
            NotHandedOver: one before was not taken and may come again; this one must not overtake it.
        """
        line = self._lines.setdefault(phone, _Line())
        line.waiting += 1
        failures = line.failures
        try:
            async with line.lock:
                if line.failures != failures:
                    raise NotHandedOver("an earlier message to the same phone was not taken")
                yield
        except (OSError, asyncio.CancelledError):
            line.failures += 1
            raise
        finally:
            line.waiting -= 1
            if not line.waiting:
                del self._lines[phone]
