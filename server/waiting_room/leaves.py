"""The entries of one draw as they come: their blinds, and the tree over them."""

import asyncio
from typing import Final

from server.core.errors import StoreUnavailable
from server.fairness.draw import BLIND_BYTES, leaf_of
from server.fairness.draw_tree import BLOCK, DrawTree
from server.fairness.merkle import Proof, check
from server.waiting_room.store import OpeningStore

# So many are hashed at a time (some milliseconds): others wait for this worker.
_HASHED_AT_ONCE: Final = 2048
_COMPARED_AT_ONCE: Final = 65_536


class Leaves:
    """Follows the blinds in the store: keeps all that were read until the root is public, a hundredth of that after.

    Args:
        store: where they are.
        tag: of the opening.
    """

    def __init__(self, store: OpeningStore, tag: str) -> None:
        self._store = store
        self._tag = tag
        self._tree = DrawTree()
        self._blinds = bytearray()
        self._reading = asyncio.Lock()

    async def follow(self, entries: int) -> None:
        """Take in what has come of the first so many entries."""
        async with self._reading:
            await self._follow(entries)

    async def root(self, drawn: int) -> str:
        """The root (hex) over all entries of a draw that is over; an entry that was given without a blind has zeros.

        The store may have been set back since some of them were read, by a node that took over: they are compared.
        """
        async with self._reading:
            await self._follow(drawn)
            self._grow(bytes(max(0, drawn - self._tree.entries) * BLIND_BYTES))
            if not await self._is_as_in_the_store(drawn):
                await self._read_anew(drawn)
            return self._tree.root()

    async def prove(self, entry: int, drawn: int, root: str) -> tuple[bytes, Proof]:
        """(blind, proof) of an entry of a draw with this root.

        Raises:
            StoreUnavailable: what the store has is not under the root, or it does not say.
        """
        async with self._reading:
            if self._tree.entries != drawn or self._tree.root() != root:
                await self._read_anew(drawn)
        self.release()
        start = entry // BLOCK * BLOCK
        count = min(BLOCK, drawn - start)
        blinds = (await self._store.leaves(self._tag, start, count)).ljust(count * BLIND_BYTES, b"\0")
        blind = blinds[(entry - start) * BLIND_BYTES :][:BLIND_BYTES]
        proof = self._tree.prove(entry, blinds)
        if not check(root, leaf_of(entry, blind), proof):
            raise StoreUnavailable
        return blind, proof

    def release(self) -> None:
        """The root is public: the blinds need not be compared any more."""
        self._blinds.clear()

    async def _follow(self, entries: int) -> None:
        while (missing := entries - self._tree.entries) > 0:
            found = await self._store.leaves(self._tag, self._tree.entries, min(missing, _HASHED_AT_ONCE))
            if len(found) < BLIND_BYTES:
                return
            self._grow(found[: len(found) // BLIND_BYTES * BLIND_BYTES])

    async def _read_anew(self, drawn: int) -> None:
        self._tree, self._blinds = DrawTree(), bytearray()
        await self._follow(drawn)
        self._grow(bytes((drawn - self._tree.entries) * BLIND_BYTES))

    async def _is_as_in_the_store(self, drawn: int) -> bool:
        if self._tree.entries != drawn:
            return False
        for start in range(0, drawn, _COMPARED_AT_ONCE):
            count = min(_COMPARED_AT_ONCE, drawn - start)
            found = (await self._store.leaves(self._tag, start, count)).ljust(count * BLIND_BYTES, b"\0")
            if found != self._blinds[start * BLIND_BYTES : (start + count) * BLIND_BYTES]:
                return False
        return True

    def _grow(self, blinds: bytes) -> None:
        self._tree.grow(blinds)
        self._blinds += blinds
