"""The Merkle tree over a draw's entries, made while they come and kept in a hundredth of its size."""

from typing import Final

from server.fairness.draw import BLIND_BYTES, leaf_hashes
from server.fairness.merkle import HASH_BYTES, Proof, Tree, root_of

BLOCK: Final = 64
"""So many entries are kept as one hash; a power of two, so that it is a node of the tree."""
_BLOCK_BYTES: Final = BLOCK * HASH_BYTES


class DrawTree:
    """Grows by blinds, in the order of the entries; what is proved is proved with the blinds of its block at hand."""

    def __init__(self) -> None:
        self.entries = 0
        self._blocks = bytearray()  # the root of each full block
        self._last = bytearray()  # the hashes of the leaves after them
        self._above: Tree | None = None

    def grow(self, blinds: bytes) -> None:
        """The next entries have these blinds.

        Raises:
            ValueError: one is cut off.
        """
        self._above = None
        self._last += leaf_hashes(blinds, self.entries)
        self.entries += len(blinds) // BLIND_BYTES
        full = len(self._last) - len(self._last) % _BLOCK_BYTES
        for at in range(0, full, _BLOCK_BYTES):
            self._blocks += bytes.fromhex(root_of(self._last[at : at + _BLOCK_BYTES]))
        del self._last[:full]

    def root(self) -> str:
        """Hex."""
        return self._tree_above().root()

    def prove(self, entry: int, blinds: bytes) -> Proof:
        """That an entry is in the draw.

        Args:
            entry: which.
            blinds: those of the block that it is in, from entry `entry // BLOCK * BLOCK` on.

        Raises:
            IndexError: there is no such entry.
        """
        block, within = divmod(entry, BLOCK)
        below = Tree(leaf_hashes(blinds, block * BLOCK)).prove(within)
        above = self._tree_above().prove(block)
        return Proof(entry, self.entries, [*below.hashes, *above.hashes])

    def _tree_above(self) -> Tree:
        """From the level on that the blocks are."""
        if self._above is None:
            last = bytes.fromhex(root_of(self._last)) if self._last else b""
            self._above = Tree(bytes(self._blocks) + last)
        return self._above
