"""Pointers of the outbox: whose events owe a message says so here, and a sender looks there."""

from collections.abc import Sequence

from server.core.keys import key, resident_tag
from server.store.connection import FeatureStore


class Pointers(FeatureStore):
    """What is owed stands with the resident, written by the event itself; a pointer only says where to look."""

    async def write_pointers(self, places: Sequence[tuple[str, bytes]]) -> int:
        """Let the outbox know of those among these (district, resident key) who are owed a message; how many."""
        if not places:
            return 0
        owed = await self._connection.plain([("EXISTS", key("owed", resident_tag(resident))) for _, resident in places])
        found = [place for place, is_owed in zip(places, owed, strict=True) if is_owed]
        commands = [("XADD", key("outbox", district), "*", "resident", resident) for district, resident in found]
        if commands:
            await self._connection.plain(commands)
        return len(found)
