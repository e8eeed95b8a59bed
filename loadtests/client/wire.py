"""One keep-alive HTTP/1.1 connection on gevent for whoever waits for its answer: the watch, and what is asked before a
run. The crowd's connections, of which thousands are open, are in `client/channel.py`. TLS is in `client/wire_tls.py`.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import NamedTuple

from gevent import socket as gevent_socket
from gevent.hub import get_hub
from gevent.monkey import get_original

from loadtests.client.http import Answer, Broken, read_answer

__all__ = ["Address", "Answer", "Broken", "Connection", "Stuck"]

# gevent's patches, where Locust has made them, would put its own class here
_PlainSocket: type[socket.socket] = get_original("socket", "socket")
_READ = 1
_CHUNK = 65_536
_IDLE_SECONDS = 1.0


class Address(NamedTuple):
    """Where a server listens, and whether by TLS."""

    host: str
    port: int
    tls: bool = False

    @property
    def authority(self) -> str:
        """Return it as the Host header has it."""
        return f"{self.host}:{self.port}"


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
        while (answer := read_answer(data)) is None:
            more = self._receive()
            if not more:
                raise Broken("closed inside the answer")
            data += more
        self._used, self._heard_at = True, monotonic()
        if answer.closes:
            self.close()
        return answer

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
