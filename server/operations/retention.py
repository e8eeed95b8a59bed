"""What is no longer needed is deleted: openings that are long over, and residents whose registration is.

Works on all keys of the store, in no order and beside a running service; killed at any point, it is run again.
"""

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, time, tzinfo
from typing import Any, Final

import msgspec

from server.core.clock import at, to_ms
from server.operations.store import Latest, OperationStore
from server.records.first_dose import pack, unpack
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.nodes import Nodes

_KEYS_A_STEP: Final = 500
_CLOSED: Final = frozenset({b"cancelled", b"fulfilled", b"noshow"})

OPENING_KINDS: Final = frozenset(
    {"places", "done", "calls", "passes", "left", "leavers", "claims", "roster", "vacated", "unsettled", "frozen"}
)
"""What goes with an old opening. `opening`, `night`, `audit` and a day's slots stay: nobody is named there."""


class Purged(msgspec.Struct):
    """What a purge deleted, or would delete.

    `openings` that held something; `residents` with their registrations; registry `lines`. The `barred` stay.
    """

    openings: int = 0
    residents: int = 0
    barred: int = 0
    lines: int = 0


def resident_of(tag: str) -> bytes:
    """The 16-byte resident key that a tag of `keys.resident_tag` stands for."""
    return urlsafe_b64decode(tag + "==")


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


async def purge(
    connection: Connection,
    before: date,
    tz: tzinfo,
    *,
    registry: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], Any] = lambda _: None,
) -> Purged:
    """Delete what was over before a day began in the city.

    An opening of an earlier date loses its `OPENING_KINDS`. A resident whose latest registration was closed earlier
    loses all registrations, the history and the count of no-shows, and their registry line keeps no name and phone;
    but not who is barred. The registry line itself says who is eligible and stays, unless nobody imported it.

    Args:
        connection: where.
        before: the first day that stays.
        tz: the city's.
        registry: also delete the registry lines of everybody without a registration (the campaign is over).
        dry_run: count only.
        progress: told how many keys have been looked at.

    Raises:
        StoreUnavailable: what has been deleted so far is deleted; run it again.
    """
    work = _Purge(connection, to_ms(at(before, time.min, tz)), registry=registry, dry_run=dry_run)
    openings: set[str] = set()
    async for keys in walk(connection, progress):
        old = [(kind, tag) for kind, tag in keys if kind in OPENING_KINDS and _date_of(tag) < before]
        openings.update(tag for _, tag in old)
        if not dry_run:
            await OperationStore(connection).unlink(old)
        await work.forget([tag for kind, tag in keys if kind == "registration"])
        if registry:
            await work.drop([tag for kind, tag in keys if kind == "registry"])
    work.done.openings = len(openings)
    return work.done


def _date_of(tag: str) -> date:
    """The date in a tag `district:date` or `district:date:window`; the last of all days where there is none."""
    try:
        return date.fromisoformat(tag.partition(":")[2].partition(":")[0])
    except ValueError:
        return date.max


class _Purge:
    """The part of a purge that concerns residents; counts in `done`."""

    def __init__(self, connection: Connection, before_ms: int, *, registry: bool, dry_run: bool) -> None:
        self._operation_store = OperationStore(connection)
        self._registry_store = RegistryStore(connection)
        self._before_ms = before_ms
        self._registry = registry
        self._dry_run = dry_run
        self.done = Purged()

    async def forget(self, tags: Sequence[str]) -> None:
        """Delete the registrations of those residents whose latest one was closed long ago."""
        forgettable: list[tuple[Latest, bytes]] = []
        for found in await self._operation_store.latest(tags):
            if found.state not in _CLOSED or int(found.closed_ms or self._before_ms) >= self._before_ms:
                continue
            if found.stop == b"barred":
                self.done.barred += 1
                continue
            forgettable.append((found, b"" if self._registry else _without_contact(found.record)))
        answers = [True] * len(forgettable)
        if not self._dry_run:
            answers = await self._operation_store.forget(
                [(found.tag, found.no, found.closed_ms, found.record, kept) for found, kept in forgettable]
            )
        for (found, kept), forgotten in zip(forgettable, answers, strict=True):
            self.done.residents += forgotten
            self.done.lines += forgotten if found.record and not kept else 0

    async def drop(self, tags: Sequence[str]) -> None:
        """Delete the registry lines of those residents who have no registration."""
        if self._dry_run:
            self.done.lines += (await self._operation_store.are_registered(tags)).count(False)
        else:
            self.done.lines += await self._registry_store.drop_record(tags)


def _without_contact(stored: bytes) -> bytes:
    """A registry line as it stays: no name and phone; nothing where it was only typed on joining (no first dose)."""
    if not stored:
        return b""
    record = unpack(stored)
    return pack(msgspec.structs.replace(record, contact=b"")) if record.day else b""
