"""The numbers by which the lines of a night with reserves are called.

A line of such a night says of which reserves somebody is a member, and anyone may read it. So it does not have the
registration's number, which neighbours, relatives and clerks see on receipts and rosters: it has another one, made of
that number and a *blind*, 16 bytes that the server's key gives for this night alone. Who holds the receipt is told the
blind, and can check that the line is theirs; nobody else can tell whose it is, or that two nights' lines are of one
person. The list is frozen, ordered and drawn by these numbers, so that everything in the file can be checked as ever.
"""

import hashlib
import hmac
from array import array
from collections.abc import Iterable
from itertools import islice
from typing import Final

from server.core.encryption import blocks_under

TRIES: Final = 4
"""Of a million numbers two are alike once in two thousand nights: then the next blind is taken, for all of them."""

_BLIND_BYTES: Final = 16
_DIGITS: Final = 10**15
_HEAD_BYTES: Final = 8
_CHUNK: Final = 8192


def line_number(blind: bytes, no: str) -> str:
    """The number of the line of a registration, 15 digits."""
    return f"{_shortened(blind, no.encode()):015d}"


def _shortened(blind: bytes, no: bytes) -> int:
    return int.from_bytes(hashlib.sha256(blind + no).digest()[:_HEAD_BYTES], "big") % _DIGITS


class LineNumbers:
    """Makes them.

    Args:
        secret: 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def blind(self, tag: str, attempt: int, no: str) -> bytes:
        """Of a registration in the night `tag`, DISTRICT:DATE."""
        return blocks_under(self._key(tag, attempt), no.encode().rjust(_BLIND_BYTES))

    def _key(self, tag: str, attempt: int) -> bytes:
        return hmac.digest(self._secret, f"jiaohao line of a result {tag} {attempt}".encode(), "sha256")

    def blind_of_line(self, tag: str, no: str, line_no: str) -> bytes | None:
        """What makes this line's number of this registration's; None where nothing does."""
        blinds = (self.blind(tag, attempt, no) for attempt in range(TRIES))
        return next((blind for blind in blinds if line_number(blind, no) == line_no), None)

    def numbers(self, tag: str, numbers: Iterable[int], attempt: int) -> "array[int]":
        """The line's number of each registration's."""
        import numpy as np  # here, as no worker of the web needs its 16 MB

        key, remaining, found = self._key(tag, attempt), iter(numbers), array("Q")
        sha256, width = hashlib.sha256, _BLIND_BYTES
        while some := [b" %015d" % no for no in islice(remaining, _CHUNK)]:
            blinds = blocks_under(key, b"".join(some))
            each = zip(range(0, len(blinds), width), some, strict=True)
            digests = b"".join([sha256(blinds[at : at + width] + no[1:]).digest() for at, no in each])
            heads = np.frombuffer(digests, ">u8")[::4] % np.uint64(_DIGITS)
            found.frombytes(heads.astype(np.uint64).tobytes())
        return found
