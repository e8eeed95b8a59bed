"""An HTTP/1.1 answer, taken from the bytes that have come so far.

Not for general use: bodies by Content-Length or chunked, and none where the head names neither.
"""

from __future__ import annotations

from typing import NamedTuple


class Broken(Exception):
    """The connection failed before an answer was complete.

    `kept` says that it was a kept-alive connection that ended before one byte of the answer came: any client
    then connects again and repeats the request.
    """

    def __init__(self, reason: str, *, kept: bool = False) -> None:
        super().__init__(reason)
        self.kept = kept


class Answer(NamedTuple):
    """An HTTP answer; `head` is in lower case."""

    status: int
    head: bytes
    body: bytes

    @property
    def size(self) -> int:
        """Return the bytes it took, head included; the lengths between its chunks, where it came in chunks, left
        out."""
        return len(self.head) + 2 + len(self.body)

    @property
    def closes(self) -> bool:
        """Return whether the server ends the connection with it."""
        return b"\r\nconnection: close\r\n" in self.head

    def seconds(self, header: bytes) -> float | None:
        """Return a header in seconds, such as Retry-After; None where it is absent or no number."""
        at = self.head.find(b"\r\n" + header + b":")
        if at < 0:
            return None
        value = self.head[at + len(header) + 3 : self.head.find(b"\r\n", at + 2)]
        try:
            return float(value)
        except ValueError:
            return None


def read_answer(data: bytes) -> Answer | None:
    """Return the answer that these bytes begin with, None while it is not whole.

    Raises:
        Broken: they are not HTTP.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[: end + 2].lower()
    try:
        status = int(head[9:12])
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            needed = end + 4 + int(head[at + 17 : head.find(b"\r\n", at + 2)])
            return Answer(status, head, data[end + 4 : needed]) if len(data) >= needed else None
        if b"\r\ntransfer-encoding: chunked\r\n" not in head:
            return Answer(status, head, b"")
        body = _chunks(data, end + 4)
    except ValueError:
        raise Broken("not HTTP") from None
    return None if body is None else Answer(status, head, body)


def _chunks(data: bytes, at: int) -> bytes | None:
    """Return the body whose chunks begin at `at`; None while it is not whole."""
    parts: list[bytes] = []
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(data[at:end].split(b";")[0], 16)
        if len(data) < end + 2 + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
