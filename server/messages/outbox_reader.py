"""Takes entries of the outbox: what is new, and what a sender that died has left."""

import random
from collections.abc import Sequence

from server.messages.store import OutboxStore
from server.records.message import Owed, Stream
from server.store.connection import Connection

# A sender has nothing in hand for longer than this and a few calls of the store (5 s each) ...
HOLD_SECONDS = 20.0
# ... so whoever has had something for this long is dead, and another takes it up.
_IDLE_MS: dict[Stream, int] = {"codes": 30_000, "outbox": 60_000}


async def read_outbox(
    connection: Connection, districts: Sequence[str], consumer: str, room: int, stream: Stream
) -> list[Owed]:
    """About so many entries: from each district alike at first, then from those that have more."""
    found: list[Owed] = []
    left = random.sample(districts, len(districts))
    while left and len(found) < room:
        share = -(-(room - len(found)) // len(left))
        more = await OutboxStore(connection).next_owed(left, consumer, share, _IDLE_MS[stream], stream)
        found += more
        counts = [sum(owed.district == district for owed in more) for district in left]
        left = [district for district, count in zip(left, counts, strict=True) if count >= share]
    return found
