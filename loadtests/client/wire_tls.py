"""The same connection by TLS, through OpenSSL's memory buffers: the socket under it stays the plain one."""

from __future__ import annotations

import ssl
from functools import cache

from loadtests.client.wire import Address, Broken, Connection

_CHUNK = 65_536


def connection_to(address: Address) -> Connection:
    """Return a connection of the kind that the address asks for."""
    return TlsConnection(address.host, address.port) if address.tls else Connection(address.host, address.port)


@cache
def context() -> ssl.SSLContext:
    """Certificates are checked by what the system knows; SSL_CERT_FILE names others, as for every OpenSSL client."""
    return ssl.create_default_context()


class TlsConnection(Connection):
    """A connection by TLS, whose certificate is checked."""

    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _tls: ssl.SSLObject

    def _open(self) -> None:
        super()._open()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context().wrap_bio(self._incoming, self._outgoing, server_hostname=self._address[0])
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush()
                    self._hear("closed in the handshake")
        except ssl.SSLCertVerificationError as error:
            raise Broken(f"its certificate is not trusted: {error.verify_message} (SSL_CERT_FILE?)") from None
        except ssl.SSLError as error:
            raise Broken(f"no TLS: {error.reason}") from None
        self._flush()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            super()._send(data)

    def _hear(self, otherwise: str) -> None:
        data = super()._receive()
        if not data:
            raise Broken(otherwise)
        self._incoming.write(data)

    def _send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def _receive(self) -> bytes:
        while True:
            try:
                return self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                data = super()._receive()
                if not data:
                    return b""
                self._incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""

    def _was_closed(self) -> bool:
        """As of the plain one; what may lie there unasked is a session's tickets, which end nothing."""
        assert self._socket is not None  # noqa: S101 (for the type checker)
        try:
            while data := self._socket.recv(_CHUNK):
                self._incoming.write(data)
        except BlockingIOError:
            pass
        except OSError:
            return True
        else:
            return True
        try:
            self._tls.read(1)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            pass
        return True
