"""Tickets, passes, receipts, staff and helper tokens: short signed strings that need no look-up.

A token is base64url of a head and the district's code, then 24 characters of
HMAC-SHA256 over that text, so that a token has one spelling only. The head
names the key that signed it (for rotation), the kind (a pass is no ticket), the
opening and entry it is bound to, the resident's key and the expiry.
"""

import binascii
import hmac
import struct
from collections.abc import Sequence
from datetime import date
from enum import IntEnum
from functools import lru_cache

import msgspec

from server.core.keys import Hmac, fingerprint

_HEAD = struct.Struct(">BBHII16s")
_ENTRY_BITS = 24  # of the entry's four bytes; the first one counts the windows of the day from 0
_ENTRY_MASK = (1 << _ENTRY_BITS) - 1
_MAC_BYTES = 18
_MAC_CHARS = 24
_DAY_ZERO = date(2020, 1, 1).toordinal()
_TO_STD = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_LONGEST = 192
_PADDING = (b"", b"===", b"==", b"=")


class TokenKind(IntEnum):
    """What a token permits."""

    TICKET = 1
    PASS = 2
    RECEIPT = 3
    STAFF = 4
    HELPER = 5


class Token(msgspec.Struct, frozen=True, gc=False):
    """A checked token.

    `entry` gives the number once the draw is done; `resident` is the 16-byte
    resident key; `expires_s` counts from the epoch, in city time; `stale_key`:
    signed with an earlier secret, so a renewed token should be handed out;
    `window`: of which of the district's openings of that day, from 1.
    """

    district: str
    day: date
    entry: int
    resident: bytes
    expires_s: int
    stale_key: bool = False
    window: int = 1


class Forged(Exception):
    """The string is not a token of this kind that we signed."""


class Signer:
    """Signs with the first secret and accepts tokens of all of them.

    Args:
        secrets: 32-byte secrets, the current one first, then earlier ones still honoured.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._current = fingerprint(secrets[0])
        self._keys: dict[int, Hmac] = {}
        for secret in secrets:
            self._keys.setdefault(fingerprint(secret), Hmac(secret, b"jiaohao token"))

    def sign(self, kind: TokenKind, token: Token) -> str:
        """The token as a string for an `Authorization: Bearer` header."""
        days = token.day.toordinal() - _DAY_ZERO
        place = token.entry | token.window - 1 << _ENTRY_BITS
        head = _HEAD.pack(self._current, kind, days, place, token.expires_s, token.resident)
        text = _encode(head + token.district.encode())
        return (text + _encode(self._keys[self._current].digest(text)[:_MAC_BYTES])).decode()

    def read(self, kind: TokenKind, text: str | bytes) -> Token:
        """Check and open a token; its expiry is for the caller to judge.

        Raises:
            Forged: not base64url, not ours, changed, or of another kind.
        """
        data = text.encode("ascii", "replace") if isinstance(text, str) else text
        signed, mac = data[:-_MAC_CHARS], data[-_MAC_CHARS:]
        if len(data) > _LONGEST:
            raise Forged
        try:
            raw = binascii.a2b_base64(signed.translate(_TO_STD) + _PADDING[len(signed) % 4])
        except binascii.Error:
            raise Forged from None
        key = self._keys.get(raw[0]) if len(raw) > _HEAD.size else None
        if key is None or not hmac.compare_digest(mac, _encode(key.digest(signed)[:_MAC_BYTES])):
            raise Forged
        kid, its_kind, days, place, expires_s, resident = _HEAD.unpack_from(raw)
        if its_kind != kind:
            raise Forged
        return Token(
            raw[_HEAD.size :].decode(), _date(days), place & _ENTRY_MASK, resident, expires_s, kid != self._current,
            (place >> _ENTRY_BITS) + 1,
        )  # fmt: skip


def _encode(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=")


@lru_cache(maxsize=64)
def _date(days: int) -> date:
    return date.fromordinal(days + _DAY_ZERO)
