"""A connection of the crowd's, of which a generator holds thousands: it waits for nobody, and no greenlet waits for it.

Everything happens in callbacks of gevent's loop, so nothing here may block. Who holds channels (`ChannelHolder`) is
told what became of each request and of the connection.
"""

from __future__ import annotations

import socket
from errno import EINPROGRESS
from os import strerror
from typing import Any, Protocol

from gevent.monkey import get_original

from loadtests.client.http import Answer, Broken, read_answer

# gevent's patches, where Locust has made them, would put its own class here
PlainSocket: type[socket.socket] = get_original("socket", "socket")
_READ, _WRITE = 1, 2
_CHUNK = 65_536
_REQUEST_TIMEOUT = 408
_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)


class Target:
    """Where channels lead to: a server's address, looked up once, on gevent's loop.

    Args:
        loop: of gevent's hub.
        family, address: as of `socket.getaddrinfo`.
        server_name: as its certificate has it.
    """

    def __init__(self, loop: Any, family: int, address: tuple[Any, ...], server_name: str) -> None:
        self.loop, self.family, self.address, self.server_name = loop, family, address, server_name


class ChannelError(OSError):
    """What failed is the connection, and the message says how."""


class ChannelHolder(Protocol):
    """Who is told what becomes of a channel. None of this may wait for anything."""

    def connected(self, channel: Channel) -> None:
        """The server's machine has taken the connection."""

    def secured(self, channel: Channel, *, resumed: bool) -> None:
        """TLS is agreed on."""

    def answered(self, channel: Channel, answer: Answer) -> None:
        """The request has got its answer; `channel.is_open` says whether the connection is still there."""

    def broke(self, channel: Channel, broken: Broken) -> None:
        """The request will get no answer on this channel, which is closed."""

    def ended(self, channel: Channel) -> None:
        """The server has closed the channel while nothing was asked of it: its right, and no failure."""


class Channel:
    """One connection, opened by its first request, on which one request at a time is answered.

    Attributes:
        owner: whose it is, as its holder numbers them.
        needed_us: when its first request was due, from which connecting counts.
        idle_since_us: when the last answer was heard.
        next_idle: another idle channel of the same owner.
        is_open: it is being opened, or is open.
        is_waiting: an answer is on its way.
    """

    __slots__ = (
        "_data",
        "_holder",
        "_io",
        "_kept",
        "_ready",
        "_request",
        "_socket",
        "_source",
        "_target",
        "idle_since_us",
        "is_open",
        "is_waiting",
        "needed_us",
        "next_idle",
        "owner",
    )  # fmt: skip

    def __init__(
        self, target: Target, holder: ChannelHolder, owner: int, needed_us: int, source: str | None = None
    ) -> None:
        self._target, self._holder, self._source = target, holder, source
        self.owner, self.needed_us, self.idle_since_us = owner, needed_us, needed_us
        self.next_idle: Channel | None = None
        self.is_open = self.is_waiting = self._ready = self._kept = False
        self._request = self._data = b""
        self._socket: Any = None
        self._io: Any = None

    def ask(self, request: bytes) -> None:
        """Send a whole request, and open the connection first where it is not."""
        self.is_waiting, self._request = True, request
        self._kept = self.is_open  # from an earlier request, or opened ahead: it may be ended just now
        try:
            if self._ready:
                self._transmit(request)
            elif not self.is_open:
                self._open()
        except OSError as failure:
            self._break(_reason(failure), kept=self._kept)

    def connect(self) -> None:
        """Open the connection though there is nothing to ask yet."""
        try:
            self._open()
        except OSError as failure:
            self._break(_reason(failure), kept=False)

    def close(self) -> None:
        """End the connection, as a browser does; nothing is told of it."""
        self._close()

    def give_up(self, reason: str) -> None:
        """End a connection that does not answer; its holder is told that it broke."""
        self._break(reason, kept=False)

    def _open(self) -> None:
        target = self._target
        self._socket = PlainSocket(target.family, socket.SOCK_STREAM)
        self.is_open = True
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._source is not None:
            bind_to(self._socket, self._source)
        error = self._socket.connect_ex(target.address)
        if error not in (0, EINPROGRESS):
            raise OSError(error, strerror(error))
        # where the machine itself is the server the connection is there already
        if not self._begin(is_there=False):
            self._io = target.loop.io(self._socket.fileno(), _WRITE)
            self._io.start(self._writable)

    def _begin(self, *, is_there: bool) -> bool:
        """Send the first bytes; return whether they could be sent, which says that the connection is there."""
        first = self._first_bytes()
        if not first and not is_there:
            return False
        try:
            self._put(first)
        except BlockingIOError:
            return False
        self._io = self._target.loop.io(self._socket.fileno(), _READ)
        self._io.start(self._readable)
        self._connected()
        return True

    def _first_bytes(self) -> bytes:
        return self._request

    def _connected(self) -> None:
        self._ready = True
        self._holder.connected(self)

    def _writable(self) -> None:
        self._io.close()
        self._io = None
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            if error:
                raise OSError(error, strerror(error))
            self._begin(is_there=True)
        except OSError as failure:
            self._break(_reason(failure), kept=False)

    def _readable(self) -> None:
        try:
            data = self._receive()
        except BlockingIOError:
            return
        except OSError as failure:
            self._break(_reason(failure), kept=self._kept and not self._data)
            return
        if data and self.is_waiting:
            self._take(self._data + data if self._data else data)
        elif self._data:
            self._break("closed inside the answer", kept=False)
        else:  # what is said unasked is a goodbye as well
            self._break("closed before the answer", kept=self._kept)

    def _take(self, data: bytes) -> None:
        try:
            answer = read_answer(data)
        except Broken as broken:
            self._break(str(broken), kept=False)
            return
        if answer is None:
            self._data = data
            return
        self._data = b""
        if answer.status == _REQUEST_TIMEOUT and self._kept:
            # said before our request was there, to a connection that had been silent too long: browsers repeat it
            self._break("408 before the request was there", kept=True)
            return
        self.is_waiting = False
        if answer.closes:
            self._close()
        try:
            self._holder.answered(self, answer)
        except BaseException:  # the loop stops listening to what failed: nothing would be heard on it any more
            self._close()
            raise

    def _break(self, reason: str, *, kept: bool) -> None:
        waiting, self.is_waiting = self.is_waiting, False
        self._close()
        if waiting:
            self._holder.broke(self, Broken(reason, kept=kept))
        else:
            self._holder.ended(self)

    def _close(self) -> None:
        if self.is_open:
            self.is_open = self._ready = False
            self._data = b""
            if self._io is not None:
                self._io.close()
            self._socket.close()

    def _transmit(self, data: bytes) -> None:
        self._put(data)

    def _put(self, data: bytes) -> None:
        # a request is far smaller than the socket's buffer, so it goes out whole or the connection is gone
        if data and self._socket.send(data) != len(data):
            raise ChannelError("request not taken whole")

    def _receive(self) -> bytes:
        """Return what has come, nothing at the connection's end.

        Raises:
            BlockingIOError: nothing for us has come.
            OSError: the connection failed.
        """
        data: bytes = self._socket.recv(_CHUNK)
        return data


def bind_to(line: socket.socket, source: str) -> None:
    """Let a socket come from an address; its port is chosen at connect, by the whole pair of addresses, so that each
    address has all ports.

    Raises:
        OSError: the address is not the machine's.
    """
    line.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    line.bind((source, 0))


def _reason(failure: OSError) -> str:
    return str(failure) if isinstance(failure, ChannelError) else type(failure).__name__
