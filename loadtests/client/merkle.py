"""RFC 6962's audit paths, written again from the RFC: what a ticket's proof is checked by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def draw_leaf(entry: int, blind: bytes) -> bytes:
    """Return the hash of an entry's leaf in a draw: the entry in 8 bytes, then its blind."""
    return hashlib.sha256(b"\0" + entry.to_bytes(8, "big") + blind).digest()


def root_by(leaf: bytes, index: int, leaves: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to from the hash of a leaf; None where it has another length than the tree."""
    node, rest = leaf, list(path)
    last = leaves - 1
    if not 0 <= index <= last:
        return None
    while last:
        if index % 2 or index < last:
            if not rest:
                return None
            beside = rest.pop(0)
            pair = beside + node if index % 2 else node + beside
            node = hashlib.sha256(b"\1" + pair).digest()
        index, last = index // 2, last // 2
    return None if rest else node
