"""Walks over all keys of the store, in no order and beside a running service."""

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from server.store.connection import Connection
from server.store.nodes import Nodes

_KEYS_A_STEP: Final = 500


def resident_of(tag: str) -> bytes:
    """The 16-byte resident key that a tag of `keys.resident_tag` stands for."""
    return urlsafe_b64decode(tag + "==")


async def count_keys(connection: Connection) -> int:
    """How many keys a walk is to meet.

    Raises:
        StoreUnavailable: a node is away, or does not let us count.
    """
    return await Nodes(connection).count_keys()


async def walk(connection: Connection, progress: Callable[[int], Any]) -> AsyncIterator[list[tuple[str, str]]]:
    """(kind, tag) of every key, some hundred at a time; one that is there all the while is met at least once.

    Args:
        connection: whose keys.
        progress: told how many keys have been met.

    Raises:
        StoreUnavailable: it did not answer.
    """
    met, batch = 0, []
    async for names in Nodes(connection).walk_keys():
        for name in names:
            met += 1
            kind, brace, tag = name.decode().partition(":{")
            if brace:
                batch.append((kind, tag[:-1]))
            if len(batch) == _KEYS_A_STEP:
                yield batch
                progress(met)
                batch = []
    yield batch
    progress(met)
