"""A file that only the secrets open, and that cannot be cut short or changed unseen.

A line that says what it is, a line of JSON that anybody may read, then pieces: length (4 bytes), AES-256-GCM of so many
bytes. A piece's nonce is its number; bound in are both lines and whether it is the last one, so pieces cannot be
exchanged, left out or joined with another file's. The key is made of a secret and the file's own salt.
"""

import hmac
import io
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.core.errors import SetupError
from server.core.keys import fingerprint

_WHAT: Final = b"jiaohao backup 1\n"
_PURPOSE: Final = b"jiaohao backup"
_PIECE_BYTES: Final = 1 << 20
_LENGTH: Final = struct.Struct(">I")
_MORE, _LAST = b"\0", b"\1"


class Header(msgspec.Struct, frozen=True):
    """What anybody may read of a backup.

    Attributes:
        created_ms: city time of the moment that it shows.
        version: of the software that made it.
        format: in which the store is written.
        nodes: that had data.
        key_id: of the secret that opens it.
        salt: of its key, in hex.
    """

    created_ms: int
    version: str
    format: int
    nodes: int
    key_id: int
    salt: str


class SealedWriter:
    """Writes one; it is there once all of it is on disk, and before that there is nothing.

    Args:
        path: where.
        header: its second line.
        secret: the one of its `key_id`.
    """

    def __init__(self, path: Path, header: Header, secret: bytes) -> None:
        self._path, self._temporary = path, path.with_name(f".{path.name}.new")
        lines = _WHAT + msgspec.json.encode(header) + b"\n"
        self._bound, self._cipher = lines, _cipher(secret, header)
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._file.write(lines)
        self._kept, self._count = b"", 0

    def write(self, data: bytes) -> None:
        """Add so much."""
        self._kept += data
        while len(self._kept) > _PIECE_BYTES:
            self._put(self._kept[:_PIECE_BYTES], _MORE)
            self._kept = self._kept[_PIECE_BYTES:]

    def _put(self, piece: bytes, mark: bytes) -> None:
        sealed = self._cipher.encrypt(_nonce(self._count), piece, self._bound + mark)
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)
        self._count += 1

    def __enter__(self) -> "SealedWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._put(self._kept, _LAST)
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)


def read_header(path: Path) -> Header:
    """What anybody may read of it.

    Raises:
        SetupError: it is no backup.
    """
    with _opened(path) as file:
        return _header(path, file)[0]


def read_sealed(path: Path, secrets: Sequence[bytes]) -> Iterator[bytes]:
    """What is in it, piece by piece; nothing of it is to be trusted before the end has come.

    Raises:
        SetupError: it is no backup, needs a secret that is not here, is damaged, or was cut short.
    """
    with _opened(path) as file:
        header, bound = _header(path, file)
        secret = next((each for each in secrets if fingerprint(each) == header.key_id), None)
        if secret is None:
            raise SetupError(f"{path} was made under another JIAOHAO_SECRET: give that one, or as an earlier one")
        cipher, count, is_last = _cipher(secret, header), 0, False
        while not is_last:
            head = file.read(_LENGTH.size)
            size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
            sealed = file.read(size) if 16 <= size <= _PIECE_BYTES + 16 else b""
            if not sealed or len(sealed) != size:
                raise SetupError(f"{path} was cut short or is damaged after {count} MiB: take another copy of it")
            is_last = not file.peek(1)
            try:
                yield cipher.decrypt(_nonce(count), sealed, bound + (_LAST if is_last else _MORE))
            except InvalidTag:
                raise SetupError(
                    f"{path} was cut short or is damaged at {count} MiB: take another copy of it"
                ) from None
            count += 1


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}") from None


def _header(path: Path, file: io.BufferedReader) -> tuple[Header, bytes]:
    what, line = file.readline(64), file.readline(4096)
    try:
        if what != _WHAT:
            raise ValueError
        return msgspec.json.decode(line, type=Header), what + line
    except (ValueError, msgspec.MsgspecError):
        raise SetupError(f"{path} is no backup of jiaohao's, or one of a newer version") from None


def _cipher(secret: bytes, header: Header) -> AESGCM:
    return AESGCM(hmac.digest(secret, _PURPOSE + bytes.fromhex(header.salt), "sha256"))


def _nonce(count: int) -> bytes:
    return count.to_bytes(12, "big")
