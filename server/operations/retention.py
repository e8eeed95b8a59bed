"""What is no longer needed is deleted: openings that are long over, and residents whose registration is.

Works on all keys of the store, in no order and beside a running service; killed at any point, it is run again.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final

import msgspec

from server.core.city import City
from server.core.clock import at, to_ms
from server.core.errors import SetupError
from server.operations.store import OperationStore, Purgeable
from server.operations.walking import walk
from server.records.first_dose import pack, unpack
from server.registry.store import RegistryStore
from server.store.connection import Connection

_CLOSED: Final = frozenset({b"cancelled", b"fulfilled", b"noshow"})

OPENING_KINDS: Final = frozenset(
    {"places", "done", "calls", "passes", "left", "leavers", "claims", "roster", "vacated", "unsettled", "frozen"}
    | {"registered", "shown", "leaves", "promises", "alerts", "soon", "turns", "overdue", "telling", "starts", "longer"}
    | {"acts", "lookers", "helped", "lane"}
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


def first_day_that_stays(city: City, now: datetime, asked: date | None) -> date:
    """The day before which everything that is over goes: as asked, or by the city file's `policy.retention_days`.

    Raises:
        ValueError: it is later than today.
    """
    before = asked or now.date() - timedelta(days=city.policy.retention_days)
    if before > now.date():
        raise ValueError(f"expected a day not after today, {now.date()}")
    return before


def refuse_by_day(city: City, now: datetime) -> None:
    """Nothing is deleted while residents can log in: who is in line just then would lose name and phone.

    Raises:
        SetupError: they can; it says until when.
    """
    if city.is_open_hours(now):
        raise SetupError(
            f"residents can log in until {city.open_hours.closes:%H:%M}; run it at night, or with --by-day "
            "when nobody is in line"
        )


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
        openings.update(tag for kind, tag in old if kind != "registered")  # of the city's day, in many parts
        if not dry_run:
            await OperationStore(connection).unlink(old)
        await work.forget([tag for kind, tag in keys if kind == "registration"])
        await work.forget_histories([tag for kind, tag in keys if kind == "history"])
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
        forgettable: list[tuple[Purgeable, bytes]] = []
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

    async def forget_histories(self, tags: Sequence[str]) -> None:
        """Delete what helpers did long ago for those who have not registered after all."""
        latest = await self._operation_store.latest_of_histories(tags)
        old = [tag for tag, it in zip(tags, latest, strict=True) if it is not None and it.at_ms < self._before_ms]
        if not self._dry_run:
            await self._operation_store.unlink([("history", tag) for tag in old])

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
