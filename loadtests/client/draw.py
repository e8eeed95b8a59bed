"""The draw's permutation, written again from the contract alone: residents and audit trust no code of the server."""

from __future__ import annotations

import hashlib
import hmac


def commitment(seed: bytes) -> str:
    """Say what must have been public before the opening: hex SHA-256 of the seed."""
    return hashlib.sha256(seed).hexdigest()


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
