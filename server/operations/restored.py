"""A store that was restored from a backup is told what had been promised since, as people outside remember it."""

from collections.abc import Sequence

from server.core.errors import SetupError
from server.records.opening import Told
from server.store.connection import Connection
from server.waiting_room.store import OpeningStore


async def raise_given(
    connection: Connection, given: Sequence[tuple[str, int]], *, dry_run: bool = False
) -> list[tuple[str, int]]:
    """Let openings give no place again that had been given before; said once more it changes nothing.

    What lies between is a gap, as after a failover: nobody gets it but who shows a ticket of it (`lua/README.md`).

    Args:
        connection: where.
        given: tag of an opening, and how many places had been given in it.
        dry_run: change nothing.

    Returns:
        Of each opening how many places the store had forgotten.

    Raises:
        SetupError: no such opening.
        StoreUnavailable: the store did not answer.
    """
    openings, found = OpeningStore(connection), []
    for tag, count in given:
        issued = await openings.issued(tag)
        if issued is None:
            raise SetupError(f"{tag}: there is no such opening in this store")
        found.append((tag, max(0, count - issued)))
        if not dry_run and count > issued:
            await openings.advance([(tag, 0)], {tag: Told(issued=count)})
    return found
