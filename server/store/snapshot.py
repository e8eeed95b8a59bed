"""A node's data as it was at one moment: what a replica is sent when it begins, and nothing that comes after.

Copying key after key would give a store that never was; the node forks for this, and goes on serving.
"""

import socket
import ssl
from collections.abc import Iterator
from typing import Final

from server.core.errors import SetupError, StoreUnavailable
from server.store.address import Address

_PIECE_BYTES: Final = 1 << 20
# A large store writes its data to its disk before it sends them; meanwhile it sends empty lines.
_QUIET_SECONDS: Final = 120.0
_LONGEST_LINE: Final = 4096


class Snapshot:
    """One node's; read it once.

    Args:
        address: how to get in.
        host: which node; None for a socket.

    Attributes:
        length: in bytes.

    Raises:
        SetupError: we may not.
        StoreUnavailable: the node went away.
    """

    def __init__(self, address: Address, host: tuple[str, int] | None) -> None:
        try:
            self._socket = _connected(address, host)
        except OSError:
            raise StoreUnavailable from None
        self._came = b""
        try:
            self.length = self._begin(address)
        except (OSError, ValueError):
            self._socket.close()
            raise StoreUnavailable from None
        except BaseException:
            self._socket.close()
            raise

    def _begin(self, address: Address) -> int:
        if address.password is not None:
            self._ask("AUTH", *([address.username] if address.username else []), address.password)
        self._ask("REPLCONF", "rdb-only", "1")
        self._send("PSYNC", "?", "-1")
        while not (line := self._line()).startswith(b"$"):
            if line.startswith(b"-"):
                raise _refused(line)
        return int(line[1:])

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, in Valkey's own format (RDB)."""
        left = self.length
        with self._socket:
            while left:
                piece, self._came = self._came[:left], self._came[left:]
                try:
                    piece = piece or self._socket.recv(min(left, _PIECE_BYTES))
                except OSError:
                    piece = b""
                if not piece:
                    raise StoreUnavailable
                left -= len(piece)
                yield piece

    def _ask(self, *words: str) -> None:
        self._send(*words)
        if not (line := self._line()).startswith(b"+"):
            raise _refused(line)

    def _send(self, *words: str) -> None:
        packed = [f"*{len(words)}\r\n".encode()]
        for word in (word.encode() for word in words):
            packed.append(b"$%d\r\n%b\r\n" % (len(word), word))
        self._socket.sendall(b"".join(packed))

    def _line(self) -> bytes:
        """The next line that says something."""
        while True:
            line, found, rest = self._came.partition(b"\n")
            if found:
                self._came = rest
                if line := line.rstrip(b"\r"):
                    return line
                continue
            if len(self._came) > _LONGEST_LINE:
                raise ValueError("no line")
            more = self._socket.recv(_PIECE_BYTES)
            if not more:
                raise OSError("gone")
            self._came += more


def _refused(line: bytes) -> SetupError:
    word = line[1:].split(b" ")[0].decode(errors="replace")
    return SetupError(f"the store does not give its data to this user ({word}): see jiaohao-backup in `doctor --acl`")


def _connected(address: Address, host: tuple[str, int] | None) -> socket.socket:
    if host is None:
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(_QUIET_SECONDS)
        plain.connect(address.path)
        return plain
    found = socket.create_connection(host, timeout=_QUIET_SECONDS)
    if not address.tls:
        return found
    trust = ssl.create_default_context(cafile=address.options.get("ssl_ca_certs"))
    trust.check_hostname = address.options.get("ssl_check_hostname", True)
    if certificate := address.options.get("ssl_certfile"):
        trust.load_cert_chain(certificate, address.options.get("ssl_keyfile"))
    return trust.wrap_socket(found, server_hostname=host[0])
