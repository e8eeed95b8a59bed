"""Signed heads of a log: how many entries it has and their Merkle root, in C2SP's checkpoint and signed-note formats.

Any tool that knows these formats reads them; the signature is Ed25519.
"""

import base64
import binascii
import hashlib
import re
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_DASH: Final = "\u2014"
_BODY = re.compile(r"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")
# Control characters may not stand in a note: other tools call one with them malformed.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class NotSigned(Exception):
    """This is no head that the key has signed; the text says what is wrong with it."""


class Checkpoint(NamedTuple):
    """The head of a log: whose log it is, how many entries it has, and their root (hex)."""

    origin: str
    size: int
    root: str

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(bytes.fromhex(self.root)).decode()}\n"


class SignedHead(NamedTuple):
    """A head and the note that its log's key has signed."""

    size: int
    root: str
    note: str


class Verifier:
    """Checks the heads of one log.

    Args:
        key: as `Notary.verifier_key` gives it: name, id and public key.

    Raises:
        ValueError: it is no such key.
    """

    def __init__(self, key: str) -> None:
        try:
            name, key_id, encoded = key.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
            self._public = Ed25519PublicKey.from_public_bytes(raw.removeprefix(_ED25519))
        except (ValueError, binascii.Error):
            raise ValueError("expected NAME+ID+KEY, as GET /log/key gives it") from None
        if raw[:1] != _ED25519 or _key_id(name, raw).hex() != key_id:
            raise ValueError("the key is not the one that its id is of")
        self._name, self._id = name, _key_id(name, raw)

    def read(self, note: str) -> Checkpoint:
        """The head that a note says, its signature checked.

        Raises:
            NotSigned: it is no note, not about a log's head, or not signed with this key.
        """
        text, separator, signatures = note.rpartition("\n\n")
        found = _BODY.fullmatch(text + "\n")
        if not separator or found is None or _CONTROL.search(note):
            raise NotSigned("it is no signed head of a log")
        for line in signatures.splitlines():
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.rpartition(" ")
            try:
                raw = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                continue
            if dash != _DASH or name != self._name or raw[:_ID_BYTES] != self._id:
                continue
            try:
                self._public.verify(raw[_ID_BYTES:], f"{text}\n".encode())
            except InvalidSignature:
                raise NotSigned("its signature is not the key's") from None
            return Checkpoint(found["origin"], int(found["size"]), base64.b64decode(found["root"]).hex())
        raise NotSigned(f"{self._name} has not signed it")


class Notary:
    """Signs the heads of one log.

    Args:
        origin: whose log: a name without spaces and plus signs.
        seed: 32 bytes, secret.
    """

    def __init__(self, origin: str, seed: bytes) -> None:
        if not origin or re.search(r"[\s+]", origin):
            raise ValueError("a log's name has no spaces and no plus signs")
        self.origin = origin
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = _ED25519 + self._private.public_key().public_bytes_raw()

    @property
    def verifier_key(self) -> str:
        """What others check its heads by: NAME+ID+KEY."""
        encoded = base64.b64encode(self._public).decode()
        return f"{self.origin}+{_key_id(self.origin, self._public).hex()}+{encoded}"

    def sign(self, size: int, root: str) -> SignedHead:
        """The signed head of the log with so many entries and this root (hex)."""
        text = Checkpoint(self.origin, size, root).text
        signature = _key_id(self.origin, self._public) + self._private.sign(text.encode())
        return SignedHead(size, root, f"{text}\n{_DASH} {self.origin} {base64.b64encode(signature).decode()}\n")


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:_ID_BYTES]
