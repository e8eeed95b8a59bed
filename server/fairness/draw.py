"""The draw: a permutation of the entries that anyone can compute once its key is public (contract.md).

In its first version the key is the seed, which somebody with access to the store may have known beforehand. In the
second one it is made when nobody can choose an entry any more: of the seed, of the root over all entries, and of a
beacon's randomness that did not exist yet when the root was made public.
"""

import hashlib
import hmac
from typing import Final

from server.fairness.merkle import leaf_hash

ROUNDS: Final = 8
SEED_BYTES: Final = 32
BLIND_BYTES: Final = 16
_ENTRY_BYTES: Final = 8


def commitment(seed: bytes) -> str:
    """The hex SHA-256 of the seed, public before the opening."""
    return hashlib.sha256(seed).hexdigest()


def leaf_of(entry: int, blind: bytes) -> bytes:
    """The leaf of an entry in the tree whose root binds the draw: which it is, and a blind that hides whose."""
    return entry.to_bytes(_ENTRY_BYTES, "big") + blind


def leaf_hashes(blinds: bytes, first: int = 0) -> bytes:
    """The hashes of entries from `first` on whose blinds these are, one after the other; for `merkle.root_of`, `Tree`.

    Raises:
        ValueError: a blind is cut off.
    """
    if len(blinds) % BLIND_BYTES:
        raise ValueError(f"expected blinds of {BLIND_BYTES} bytes each, got {len(blinds)} bytes")
    count = len(blinds) // BLIND_BYTES
    each = (blinds[at : at + BLIND_BYTES] for at in range(0, len(blinds), BLIND_BYTES))
    return b"".join([leaf_hash(leaf_of(*it)) for it in zip(range(first, first + count), each, strict=True)])


def draw_key(seed: bytes, tag: str, root: str, randomness: bytes = b"") -> bytes:
    """The key of a draw of the second version.

    Args:
        seed: what was committed to.
        tag: of the opening, DISTRICT:DATE, with :WINDOW from the day's second on.
        root: over all entries of the draw, hex.
        randomness: of the beacon; nothing where there was none.
    """
    return _bound_key(b"jiaohao draw 2\n", seed, tag, root, randomness)


def night_key(seed: bytes, tag: str, list_root: str, randomness: bytes = b"") -> bytes:
    """The key of a night's ties in the second version; `tag` is DISTRICT:DATE, `list_root` that of its list, hex."""
    return _bound_key(b"jiaohao night 2\n", seed, tag, list_root, randomness)


def _bound_key(what: bytes, seed: bytes, tag: str, root: str, randomness: bytes) -> bytes:
    check_seed(seed)
    return hmac.digest(seed, what + f"{tag}\n".encode() + bytes.fromhex(root) + randomness, "sha256")


class _Round(dict[int, int]):
    """F(r, v) of one round r, worked out at the first look-up of each v and kept.

    There are only 2^w values of v (about the square root of the entries), so after a few thousand numbers
    no HMAC is left to compute, and a cycle walk just above a power of 4 costs look-ups. At most 8 * 2^w
    values are kept: 16,384 for four million entries.
    """

    def __init__(self, seed: bytes, number: int, mask: int) -> None:
        super().__init__()
        self._seed = seed
        self._prefix = bytes([number])
        self._mask = mask

    def __missing__(self, value: int) -> int:
        digest = hmac.digest(self._seed, self._prefix + value.to_bytes(8, "big"), "sha256")
        result = self[value] = int.from_bytes(digest[:8], "big") & self._mask
        return result


def check_seed(seed: bytes) -> None:
    """Refuse a seed of another length.

    Raises:
        ValueError: it is not of `SEED_BYTES`.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"expected a seed of {SEED_BYTES} bytes, got {len(seed)}")


class Draw:
    """The numbers of one opening, once its draw has closed. Make one and keep it: it gets faster with use.

    Args:
        seed: 32 bytes: the seed, or from the second version on the draw's key (`draw_key`).
        entries: N, how many joined while the draw was open; 0 and 1 work.

    Raises:
        ValueError: a seed of another length, or negative entries.
    """

    __slots__ = ("_half_bits", "_mask", "_rounds", "entries")

    def __init__(self, seed: bytes, entries: int) -> None:
        check_seed(seed)
        if entries < 0:
            raise ValueError(f"expected entries >= 0, got {entries}")
        self.entries = entries
        # The smallest w >= 1 with 2^(2w) >= N.
        self._half_bits = max(1, ((entries - 1).bit_length() + 1) // 2) if entries else 1
        self._mask = (1 << self._half_bits) - 1
        self._rounds = tuple(_Round(seed, number, self._mask) for number in range(ROUNDS))

    def number(self, entry: int) -> int:
        """The number (from 1) of an entry (from 0); an entry after the draw keeps its place, entry + 1.

        Raises:
            ValueError: a negative entry.
        """
        if entry >= self.entries:
            return entry + 1
        if entry < 0:
            raise ValueError(f"expected an entry >= 0, got {entry}")
        half_bits, mask, rounds, entries = self._half_bits, self._mask, self._rounds, self.entries
        x = entry
        while True:
            left, right = x >> half_bits, x & mask
            for values in rounds:
                left, right = right, left ^ values[right]
            x = left << half_bits | right
            if x < entries:  # else walk on: the network permutes 2^(2w) >= N values
                return x + 1
