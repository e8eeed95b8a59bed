"""The public log's part of the store: the entries, and what the operators' changes were."""

from collections.abc import Sequence
from typing import NamedTuple

from server.core.keys import key
from server.store.connection import FeatureStore

_LOG = "log"


class Change(NamedTuple):
    """A line of an audit stream: its id, and its fields as they were written."""

    id: str
    fields: dict[str, str]


class LogStore(FeatureStore):
    """Each method with a script's name runs it; the others only read."""

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> list[int]:
        """The index of each entry (what it is of, its text); one that is there already keeps the one it has."""
        flat = [part for entry in entries for part in entry]
        return [int(index) for index in await self._connection.run("append", _LOG, *flat)]

    async def entries(self, start: int, count: int) -> list[bytes]:
        """So many entries from this index on, or as many as there are."""
        (found,) = await self._connection.plain([("LRANGE", key("log", _LOG), start, start + count - 1)])
        return list(found)

    async def changes(self, tags: Sequence[tuple[str, str]], most: int) -> list[list[Change]]:
        """The audit stream of each tag after an id (`-` from the beginning), so many lines at most."""
        commands = [
            ("XRANGE", key("audit", tag), after if after == "-" else f"({after}", "+", "COUNT", most)
            for tag, after in tags
        ]
        answers = await self._connection.plain(commands)
        return [[_change(*line) for line in answer] for answer in answers]


def _change(name: bytes, flat: Sequence[bytes] | dict[bytes, bytes]) -> Change:
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    return Change(name.decode(), {field.decode(): value.decode() for field, value in pairs})
