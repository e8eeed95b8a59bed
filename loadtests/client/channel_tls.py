"""The same connection by TLS 1.3, through OpenSSL's memory buffers; a browser's next connection resumes its session."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from contextlib import suppress
from functools import cache

from loadtests.client.channel import Channel, ChannelError, ChannelHolder, Target

_CHUNK = 65_536
_MOST_SESSIONS = 20_000
"""A session is some kilobytes, and a browser that has not come back for so long has none with the server either."""


@cache
def crowd_context() -> ssl.SSLContext:
    """Certificates are checked by what the system knows; SSL_CERT_FILE names others, as for every OpenSSL client."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsSessions:
    """The sessions by which browsers resume: the latest of each, of the latest browsers."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[int, ssl.SSLSession] = OrderedDict()

    def of(self, owner: int) -> ssl.SSLSession | None:
        """Return the session of this owner, who uses it once."""
        return self._sessions.pop(owner, None)

    def keep(self, owner: int, session: ssl.SSLSession | None) -> None:
        """Keep a session where it can be resumed."""
        if session is None or not session.has_ticket:
            return
        self._sessions[owner] = session
        if len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)


class TlsChannel(Channel):
    """A channel by TLS, whose certificate is checked."""

    __slots__ = ("_hello", "_incoming", "_outgoing", "_sessions", "_tls")

    def __init__(
        self, target: Target, holder: ChannelHolder, owner: int, needed_us: int, source: str | None,
        sessions: TlsSessions,
    ) -> None:  # fmt: skip
        super().__init__(target, holder, owner, needed_us, source)
        self._sessions, self._hello = sessions, b""

    def _first_bytes(self) -> bytes:
        if not self._hello:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            name, session = self._target.server_name, self._sessions.of(self.owner)
            self._tls = crowd_context().wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
            self._shake()
            self._hello = self._outgoing.read()
        return self._hello

    def _connected(self) -> None:
        self._holder.connected(self)

    def _shake(self) -> bool:
        """Go on with the handshake; return whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLCertVerificationError as error:
            raise ChannelError(f"its certificate is not trusted: {error.verify_message} (SSL_CERT_FILE?)") from None
        except ssl.SSLError as error:
            raise ChannelError(f"no TLS: {error.reason}") from None
        return True

    def _receive(self) -> bytes:
        data = super()._receive()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        if not self._ready:
            self._go_on(ended=not data)
        parts = []
        try:
            while part := self._tls.read(_CHUNK):
                parts.append(part)
        except ssl.SSLWantReadError:
            if not parts:
                raise BlockingIOError from None  # a session's tickets, which say nothing
        except ssl.SSLError:  # its end, with a goodbye or without one
            pass
        return b"".join(parts)

    def _go_on(self, *, ended: bool) -> None:
        if ended:
            raise ChannelError("closed in the handshake")
        done = self._shake()
        if done:
            self._ready = True
            self._holder.secured(self, resumed=bool(self._tls.session_reused))
            if self.is_waiting:
                self._tls.write(self._request)
        self._put(self._outgoing.read())
        if not done:
            raise BlockingIOError

    def _transmit(self, data: bytes) -> None:
        self._tls.write(data)
        self._put(self._outgoing.read())

    def _close(self) -> None:
        if self.is_open and self._ready:
            self._sessions.keep(self.owner, self._tls.session)
            self._say_goodbye()
        super()._close()

    def _say_goodbye(self) -> None:
        """Send the alert that ends TLS, as browsers do: without it OpenSSL takes the session for one not to resume."""
        with suppress(OSError):  # it hears nothing of ours any more
            self._tls.unwrap()
        with suppress(OSError):
            self._put(self._outgoing.read())
