"""A Merkle tree as in RFC 6962: one hash that stands for a list, and short proofs that a leaf is in it.

A leaf's hash is SHA-256 of byte 0 and the leaf, a node's SHA-256 of byte 1 and its two children; where the count is no
power of two the left part is the largest one below it. The root of no leaves is SHA-256 of nothing.
"""

import hashlib
from typing import Annotated, BinaryIO, Final

import msgspec

HASH_BYTES: Final = 32
_COUNT_BYTES: Final = 8
_PAIRS_AT_ONCE: Final = 8192


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\0" + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a leaf is in a list: its index (from 0), how many leaves there are, the hashes on the way up (hex)."""

    index: Annotated[int, msgspec.Meta(ge=0)]
    leaves: Annotated[int, msgspec.Meta(ge=1)]
    hashes: list[str]


class Frontier:
    """The root of a list that grows, in a few hundred bytes however long it is."""

    def __init__(self) -> None:
        self.leaves = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """One more leaf."""
        self.append_hash(leaf_hash(leaf))

    def append_hash(self, node: bytes) -> None:
        """One more leaf, already hashed."""
        count = self.leaves
        while count & 1:
            node = _node_hash(self._peaks.pop(), node)
            count >>= 1
        self._peaks.append(node)
        self.leaves += 1

    def root(self) -> str:
        """The root of the leaves so far, hex."""
        if not self._peaks:
            return hashlib.sha256().hexdigest()
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = _node_hash(peak, node)
        return node.hex()


class Tree:
    """All hashes of a list, to prove any of its leaves; 64 bytes a leaf.

    Args:
        hashes: of the leaves (`leaf_hash`), 32 bytes each, one after the other.
    """

    def __init__(self, hashes: bytes | bytearray) -> None:
        self.leaves = len(hashes) // HASH_BYTES
        self._levels = [hashes]
        while len(self._levels[-1]) > HASH_BYTES:
            self._levels.append(_parents(self._levels[-1]))

    def root(self) -> str:
        """Hex."""
        return _root(self._levels[-1])

    def prove(self, index: int) -> Proof:
        """That the leaf with this index is in the list.

        Raises:
            IndexError: there is no such leaf.
        """
        nodes = [self._levels[level][at : at + HASH_BYTES] for level, at in _way_up(index, self.leaves)]
        return Proof(index, self.leaves, [node.hex() for node in nodes])

    def prove_growth(self, first: int) -> list[str]:
        """That the list began with what it was when it had `first` leaves (RFC 6962, 2.1.2): hashes, hex.

        Raises:
            IndexError: it never had so many, or none.
        """
        if not 0 < first <= self.leaves:
            raise IndexError(f"expected a size from 1 to {self.leaves}, got {first}")
        proof: list[bytes] = []
        start, end, is_known = 0, self.leaves, True
        while first < end:  # the part [start, end) begins with what is known and goes on with what has come
            middle = start + _largest_below(end - start)
            if first <= middle:
                proof.append(self._root_of(middle, end))
                end = middle
            else:
                proof.append(self._root_of(start, middle))
                start, is_known = middle, False
        if not is_known:
            proof.append(self._root_of(start, end))
        return [node.hex() for node in reversed(proof)]

    def _root_of(self, start: int, end: int) -> bytes:
        width = end - start
        if width & (width - 1) == 0 and start % width == 0:
            at = start // width * HASH_BYTES
            return bytes(self._levels[width.bit_length() - 1][at : at + HASH_BYTES])
        middle = start + _largest_below(width)
        return _node_hash(self._root_of(start, middle), self._root_of(middle, end))

    def save(self, out: BinaryIO) -> None:
        """Write it, for `prove_from`: the count in 8 bytes, then each level's hashes from the leaves up."""
        out.write(self.leaves.to_bytes(_COUNT_BYTES, "big"))
        for level in self._levels:
            out.write(level)


def prove_from(saved: BinaryIO, index: int) -> Proof:
    """A proof of a saved tree, reading a few dozen bytes of each level.

    Raises:
        IndexError: there is no such leaf.
        ValueError: the file is too short.
    """
    saved.seek(0)
    leaves = int.from_bytes(saved.read(_COUNT_BYTES), "big")
    begins, width = [_COUNT_BYTES], leaves
    while width > 1:
        begins.append(begins[-1] + width * HASH_BYTES)
        width = (width + 1) // 2
    hashes = []
    for level, at in _way_up(index, leaves):
        saved.seek(begins[level] + at)
        hashes.append(saved.read(HASH_BYTES).hex())
    if any(len(node) != 2 * HASH_BYTES for node in hashes):
        raise ValueError("the saved tree is cut off")
    return Proof(index, leaves, hashes)


def check(root: str, leaf: bytes, proof: Proof) -> bool:
    """Whether a leaf is in the list with this root (hex), at the place that the proof says."""
    index, width = proof.index, proof.leaves
    if not 0 <= index < width:
        return False
    try:
        path = [bytes.fromhex(node) for node in proof.hashes]
    except ValueError:
        return False
    node = leaf_hash(leaf)
    siblings = iter(path)
    while width > 1:
        if index ^ 1 < width:
            sibling = next(siblings, b"")
            if len(sibling) != HASH_BYTES:
                return False
            node = _node_hash(sibling, node) if index & 1 else _node_hash(node, sibling)
        index, width = index // 2, (width + 1) // 2
    return next(siblings, None) is None and node.hex() == root


def check_growth(first: int, first_root: str, second: int, second_root: str, proof: list[str]) -> bool:
    """Whether the list with the second root (hex) begins with the one with the first, of so many leaves each.

    The check of RFC 9162, 2.1.4.2.
    """
    if first == second:
        return first_root == second_root and not proof
    if not 0 < first < second or not proof:
        return False
    try:
        path = [bytes.fromhex(node) for node in proof]
        was, is_now = bytes.fromhex(first_root), bytes.fromhex(second_root)
    except ValueError:
        return False
    if any(len(node) != HASH_BYTES for node in path):
        return False
    if first & (first - 1) == 0:  # then it is a node of the second by itself
        path.insert(0, was)
    known, last = first - 1, second - 1
    while known & 1:
        known, last = known >> 1, last >> 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if known & 1 or known == last:
            old, new = _node_hash(node, old), _node_hash(node, new)
            while known and not known & 1:
                known, last = known >> 1, last >> 1
        else:
            new = _node_hash(new, node)
        known, last = known >> 1, last >> 1
    return last == 0 and old == was and new == is_now


def _largest_below(width: int) -> int:
    """The largest power of two below a width of two or more."""
    return 1 << (width - 1).bit_length() - 1


def _way_up(index: int, leaves: int) -> list[tuple[int, int]]:
    """(level, offset in bytes) of the siblings on the way from a leaf to the root."""
    if not 0 <= index < leaves:
        raise IndexError(f"expected a leaf from 0 to {leaves - 1}, got {index}")
    way, level, width = [], 0, leaves
    while width > 1:
        if index ^ 1 < width:  # the last node of an odd level goes up as it is
            way.append((level, (index ^ 1) * HASH_BYTES))
        index, width, level = index // 2, (width + 1) // 2, level + 1
    return way


def root_of(hashes: bytes | bytearray) -> str:
    """The root (hex) of a list whose leaves' hashes these are, 32 bytes each; as `Tree`, and keeps nothing."""
    while len(hashes) > HASH_BYTES:
        hashes = _parents(hashes)
    return _root(hashes)


def _root(top: bytes | bytearray) -> str:
    return top.hex() or hashlib.sha256().hexdigest()


def _parents(level: bytes | bytearray) -> bytearray:
    pair = 2 * HASH_BYTES
    pairs_end = len(level) - len(level) % pair
    sha256, parents = hashlib.sha256, bytearray()
    for begins in range(0, pairs_end, _PAIRS_AT_ONCE * pair):
        ends = min(pairs_end, begins + _PAIRS_AT_ONCE * pair)
        parents += b"".join([sha256(b"\1" + level[at : at + pair]).digest() for at in range(begins, ends, pair)])
    return parents + level[pairs_end:]  # an odd one goes up as it is
