"""What takes messages to residents: any gateway, and one that writes them into a file."""

import asyncio
import os
from pathlib import Path
from typing import Protocol

import msgspec


class Gateway(Protocol):
    """Takes messages; what it has taken will be delivered, or a receipt says why not."""

    @property
    def ready(self) -> int:
        """How many messages at once it can take; 0: none for now, so it is given none."""

    async def submit(self, phone: str, text: str) -> list[str]:
        """Hand a message over; what receipts will call it, nothing where there are none.

        Messages to one phone go out in the order of the calls.

        Raises:
            NotHandedOver: nobody has had it; give it again.
            OSError: it was not taken; give it again.
            MessageRefused: it never will be.
        """


class FileGateway:
    """Writes each message as a line of JSON, for a set-up without an SMS provider.

    Args:
        path: the file, made with mode 600: phone numbers and codes are in it.
    """

    ready = 1000

    def __init__(self, path: Path) -> None:
        self.path = path
        self._in_order = asyncio.Lock()
        self._lines: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None

    async def submit(self, phone: str, text: str) -> list[str]:
        """Append a line; what comes while one is written goes with the next, in one write."""
        self._lines.append(msgspec.json.encode({"phone": phone, "text": text}) + b"\n")
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(self._writing)
        return []

    async def _write(self) -> None:
        async with self._in_order:
            lines, self._lines, self._writing = b"".join(self._lines), [], None
            await asyncio.to_thread(self._append, lines)

    def _append(self, lines: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.write(descriptor, lines) != len(lines):
                raise OSError("not written in full: is the disk full?")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
