"""Takes entries of the outbox: what is new, and what a sender that died has left."""

import random
from collections.abc import Sequence

from server.core.city import City
from server.core.clock import Clock
from server.core.keys import Pepper
from server.messages.receipt_store import ReceiptStore
from server.messages.rendering import Renderer
from server.messages.store import OutboxStore
from server.records.message import OutboxEntry, Stream
from server.store.coalescer import Coalescer
from server.store.connection import Connection

# A sender has nothing in hand for longer than this and a few calls of the store (5 s each) ...
HOLD_SECONDS = 20.0
# ... so whoever has had something for this long is dead, and another takes it up.
_IDLE_MS: dict[Stream, int] = {"codes": 30_000, "outbox": 60_000}


class OutboxReader:
    """What the senders of one-time codes and of messages have in common.

    Args:
        city: words and limits, the cap of all senders together.
        connection: where messages are owed.
        clock: city time.
        pepper: keyed hashes of phones.
        renderer: puts messages into words.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, pepper: Pepper, renderer: Renderer) -> None:
        self._city = city
        self._outbox = OutboxStore(connection)
        self._receipt_store = ReceiptStore(connection)
        self._clock = clock
        self._pepper = pepper
        self._renderer = renderer
        self._acknowledge: Coalescer[OutboxEntry, None] = Coalescer(self._outbox.acknowledge)

    async def _read(self, districts: Sequence[str], consumer: str, room: int, stream: Stream) -> list[OutboxEntry]:
        """About so many entries: from each district alike at first, then from those that have more."""
        found: list[OutboxEntry] = []
        left = random.sample(districts, len(districts))
        while left and len(found) < room:
            share = -(-(room - len(found)) // len(left))
            more = await self._outbox.next_entries(left, consumer, share, _IDLE_MS[stream], stream)
            found += more
            counts = [sum(entry.district == district for entry in more) for district in left]
            left = [district for district, count in zip(left, counts, strict=True) if count >= share]
        return found
