"""The draw's permutation, written again from the contract alone: residents and audit trust no code of the server."""

from __future__ import annotations

import hashlib
import hmac


def commitment(seed: bytes) -> str:
    """Say what must have been public before the opening: hex SHA-256 of the seed."""
    return hashlib.sha256(seed).hexdigest()


def bound_key(what: str, seed: bytes, tag: str, root: str, signature: str = "") -> bytes:
    """Say what a draw's or a night's key is in the second version: what binds the seed, the list and the beacon.

    Args:
        what: draw or night.
        seed: that was committed to.
        tag: DISTRICT:DATE, of an opening with :WINDOW from the day's second on.
        root: of the list, hex.
        signature: of the beacon's round, hex; nothing where there was none.
    """
    randomness = hashlib.sha256(bytes.fromhex(signature)).digest() if signature else b""
    message = f"jiaohao {what} 2\n{tag}\n".encode() + bytes.fromhex(root) + randomness
    return hmac.new(seed, message, hashlib.sha256).digest()


class Numbers:
    """Numbers of all entries of one opening: the rounds are tabulated, so a whole city is quick to check.

    Args:
        key: of the draw; in its first version that is the seed.
        drawn: N.
    """

    def __init__(self, key: bytes, drawn: int) -> None:
        self.drawn = drawn
        self._width = 1
        while 1 << (2 * self._width) < drawn:
            self._width += 1
        self._mask = (1 << self._width) - 1
        # F(r, v) has only 8 * 2^w values: far fewer than the entries that share them
        self._rounds = [
            [
                int.from_bytes(hmac.digest(key, bytes([r]) + v.to_bytes(8, "big"), "sha256")[:8], "big") & self._mask
                for v in range(1 << self._width)
            ]
            for r in range(8)
        ]

    def number(self, entry: int) -> int:
        """Return the number of `entry`, counted from 0: within the draw the seed's order, after it the order of
        joining."""
        if entry >= self.drawn:
            return entry + 1
        width, mask, x = self._width, self._mask, entry
        while True:
            left, right = x >> width, x & mask
            for values in self._rounds:
                left, right = right, left ^ values[right]
            x = left << width | right
            if x < self.drawn:
                return 1 + x
