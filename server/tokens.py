"""Tickets, passes and receipts: short signed strings that need no look-up.

A token is base64url of a fixed head, the district's code and a 128-bit
HMAC-SHA256 over both. The head names the key that signed it (for rotation),
the kind (a pass is no ticket), the opening and entry it is bound to, the
resident's key and the expiry.
"""

import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import date
from enum import IntEnum

import msgspec

from server.keys import fingerprint

_HEAD = struct.Struct(">BBHII16s")
_MAC_BYTES = 16
_DAY_ZERO = date(2020, 1, 1).toordinal()
_TO_STD = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_LONGEST = 96


class Kind(IntEnum):
    """What a token permits."""

    TICKET = 1
    PASS = 2
    RECEIPT = 3


class Token(msgspec.Struct, frozen=True, gc=False):
    """A checked token.

    `entry` gives the number once the draw is done; `resident` is the 16-byte
    resident key; `expires_s` counts from the epoch, in city time; `stale_key`:
    signed with an earlier secret, so a renewed token should be handed out.
    """

    district: str
    day: date
    entry: int
    resident: bytes
    expires_s: int
    stale_key: bool = False


class Forged(Exception):
    """The string is not a token of this kind that we signed."""


class _Hmac:
    """HMAC-SHA256 with its padded key states computed once: half the cost of `hmac.digest`."""

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in padded))

    def digest(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[:_MAC_BYTES]


def _encode(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=")


class Signer:
    """Signs with the first secret and accepts tokens of all of them.

    Args:
        secrets: 32-byte secrets, the current one first, then earlier ones still honoured.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._current = fingerprint(secrets[0])
        self._keys: dict[int, _Hmac] = {}
        for secret in secrets:
            self._keys.setdefault(fingerprint(secret), _Hmac(hmac.digest(secret, b"jiaohao token", "sha256")))

    def sign(self, kind: Kind, token: Token) -> str:
        """The token as a string for an `Authorization: Bearer` header."""
        raw = (
            _HEAD.pack(
                self._current,
                kind,
                token.day.toordinal() - _DAY_ZERO,
                token.entry,
                token.expires_s,
                token.resident,
            )
            + token.district.encode()
        )
        signed = raw + self._keys[self._current].digest(raw)
        return _encode(signed).decode()

    def read(self, kind: Kind, text: str | bytes) -> Token:
        """Check and open a token; its expiry is for the caller to judge.

        Raises:
            Forged: not base64url, not ours, changed, or of another kind.
        """
        data = text.encode("ascii", "replace") if isinstance(text, str) else text
        if len(data) > _LONGEST:
            raise Forged
        try:
            signed = binascii.a2b_base64(data.translate(_TO_STD) + b"=" * (-len(data) % 4), strict_mode=True)
        except binascii.Error:
            raise Forged from None
        if _encode(signed) != data:  # one token, one spelling
            raise Forged
        raw, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        key = self._keys.get(signed[0]) if len(raw) > _HEAD.size else None
        if key is None or not hmac.compare_digest(mac, key.digest(raw)):
            raise Forged
        kid, its_kind, day, entry, expires_s, resident = _HEAD.unpack_from(raw)
        if its_kind != kind:
            raise Forged
        return Token(
            raw[_HEAD.size :].decode(),
            date.fromordinal(day + _DAY_ZERO),
            entry,
            resident,
            expires_s,
            kid != self._current,
        )
