"""One keep-alive HTTP/1.1 connection on gevent, with next to no cost of its own.

The generator shares two cores with the server it measures. On these, a request and its answer cost it 10 µs
this way, 62 µs through geventhttpclient's `HTTPClient`; and an answer is the contract's, so little parsing
is needed. Not for general use: no redirects, bodies by Content-Length or chunked. TLS is in `client/wire_tls.py`.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import NamedTuple

from gevent import socket as gevent_socket
from gevent.hub import get_hub
from gevent.monkey import get_original

# gevent's patches, where Locust has made them, would put its own class here
_PlainSocket: type[socket.socket] = get_original("socket", "socket")
_READ = 1
_CHUNK = 65_536
_IDLE_SECONDS = 1.0


class Broken(Exception):
    """The connection failed before an answer was complete.

    `kept` says that it was a kept-alive connection that ended before one byte of the answer came: any client
    then connects again and repeats the request.
    """

    def __init__(self, reason: str, *, kept: bool = False) -> None:
        super().__init__(reason)
        self.kept = kept


class Address(NamedTuple):
    """Where a server listens, and whether by TLS."""

    host: str
    port: int
    tls: bool = False

    @property
    def authority(self) -> str:
        """Return it as the Host header has it."""
        return f"{self.host}:{self.port}"


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


class Stuck(Exception):
    """Thrown into a line whose answer does not come."""


class Connection:
    """A connection that opens itself when first used, and again after it broke."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._hub = get_hub()
        self._socket: socket.socket | None = None
        self._used = False
        self._heard_at = 0.0

    def exchange(self, request: bytes) -> Answer:
        """Send a whole request and wait for its answer.

        Raises:
            Broken: refused, reset, closed early, or not HTTP.
        """
        try:
            if self._used and monotonic() - self._heard_at > _IDLE_SECONDS and self._was_closed():
                self.close()
            if self._socket is None:
                self._open()
            return self._exchange(request)
        except Broken:
            self.close()
            raise
        except OSError as failure:
            kept = self._used
            self.close()
            raise Broken(type(failure).__name__, kept=kept) from None
        except Stuck:
            self.close()
            raise Broken("timeout") from None
        except BaseException:  # killed in the middle: the answer must not reach the next request
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next exchange opens a new one."""
        if self._socket is not None:
            self._watcher.close()
            self._socket.close()
            self._socket = None
            self._used = False

    def _open(self) -> None:
        # gevent's connect does not block the other lines; then the plain socket under it serves, with our watcher
        with gevent_socket.create_connection(self._address, timeout=10) as opened:
            self._socket = _PlainSocket(fileno=opened.detach())
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watcher = self._hub.loop.io(self._socket.fileno(), _READ)
        self._used = False

    def _was_closed(self) -> bool:
        """Return whether the server has ended the connection while nothing was asked of it: its right, and no
        failure."""
        assert self._socket is not None  # noqa: S101 (for the type checker)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def _exchange(self, request: bytes) -> Answer:
        self._send(request)
        data = self._receive()
        if not data:
            raise Broken("closed before the answer", kept=self._used)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = data[: end + 2].lower()
        try:
            status = int(head[9:12])
            at = head.find(b"\r\ncontent-length:")
            if at >= 0:
                needed = end + 4 + int(head[at + 17 : head.find(b"\r\n", at + 2)])
                while len(data) < needed:
                    data += self._more()
                body = data[end + 4 : needed]
            elif b"\r\ntransfer-encoding: chunked\r\n" in head:
                body = self._chunks(data[end + 4 :])
            else:
                body = b""
        except ValueError:
            raise Broken("not HTTP") from None
        self._used, self._heard_at = True, monotonic()
        if b"\r\nconnection: close\r\n" in head:
            self.close()
        return Answer(status, head, body)

    def _send(self, data: bytes) -> None:
        assert self._socket is not None  # noqa: S101 (for the type checker)
        # a request is far smaller than the socket's buffer, so it goes out whole or the connection is gone
        if self._socket.send(data) != len(data):
            raise Broken("request not taken whole")

    def _receive(self) -> bytes:
        assert self._socket is not None  # noqa: S101
        while True:
            self._hub.wait(self._watcher)
            try:
                return self._socket.recv(_CHUNK)
            except BlockingIOError:
                continue

    def _more(self) -> bytes:
        data = self._receive()
        if not data:
            raise Broken("closed inside the answer")
        return data

    def _chunks(self, data: bytes) -> bytes:
        body = b""
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data += self._more()
            size = int(data[:end].split(b";")[0], 16)
            while len(data) < end + 2 + size + 2:
                data += self._more()
            if size == 0:
                return body
            body += data[end + 2 : end + 2 + size]
            data = data[end + 2 + size + 2 :]
