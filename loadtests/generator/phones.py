"""The phones of those who sleep: what the server's gateway writes into its file wakes them."""

from __future__ import annotations

from pathlib import Path

import gevent
import msgspec

from loadtests.resident.sleeping import Sleeping
from loadtests.run.clock import RunClock

_LOOK_SECONDS = 0.2


class _Message(msgspec.Struct):
    phone: str


_decode = msgspec.json.Decoder(_Message).decode


class Phones:
    """This reads the file on, line by line, for as long as the run goes on.

    Args:
        file: where messages are written; it may not be there yet.
        sleeping: who is woken.
        clock: of the run.
    """

    def __init__(self, file: Path, sleeping: Sleeping, clock: RunClock) -> None:
        self._file, self._sleeping, self._clock = file, sleeping, clock
        self._read = 0
        self._rest = b""
        self._greenlet: gevent.Greenlet | None = None

    def begin(self) -> None:
        """Listen from now on."""
        self._greenlet = gevent.spawn(self._listen)

    def end(self) -> None:
        """Listen no more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def ring(self) -> int:
        """Wake those to whom something has been written since the last time; how many messages those were."""
        if not self._file.exists():
            return 0
        with self._file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._sleeping.rings(_decode(line).phone, self._clock.now_us())
        return len(lines)

    def _listen(self) -> None:
        while True:
            self.ring()
            gevent.sleep(_LOOK_SECONDS)
