"""What is no longer needed is deleted: openings that are long over, and residents whose registration is.

Works on all keys of the store, in no order and beside a running service; killed at any point, it is run again.
"""

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, time, tzinfo
from typing import Any, Final, NamedTuple

import msgspec

from server.core.clock import at, to_ms
from server.core.keys import key
from server.store import Store
from server.store.residents import pack, unpack

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


class _Registration(NamedTuple):
    tag: str
    no: bytes
    state: bytes
    closed_ms: bytes
    stop: bytes
    record: bytes


def resident_of(tag: str) -> bytes:
    """The 16-byte resident key that a tag of `keys.resident_tag` stands for."""
    return urlsafe_b64decode(tag + "==")


async def walk(store: Store, progress: Callable[[int], Any]) -> AsyncIterator[list[tuple[str, str]]]:
    """(kind, tag) of every key, some hundred at a time; one that is there all the while is met at least once.

    Args:
        store: whose keys.
        progress: told how many keys have been met.

    Raises:
        StoreUnavailable: it did not answer.
    """
    met, batch = 0, []
    async for names in store.walk_keys():
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
    store: Store,
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
        store: where.
        before: the first day that stays.
        tz: the city's.
        registry: also delete the registry lines of everybody without a registration (the campaign is over).
        dry_run: count only.
        progress: told how many keys have been looked at.

    Raises:
        StoreUnavailable: what has been deleted so far is deleted; run it again.
    """
    work = _Purge(store, to_ms(at(before, time.min, tz)), registry=registry, dry_run=dry_run)
    openings: set[str] = set()
    async for keys in walk(store, progress):
        old = [(kind, tag) for kind, tag in keys if kind in OPENING_KINDS and _date_of(tag) < before]
        openings.update(tag for _, tag in old)
        if not dry_run:
            await store.plain([("UNLINK", key(kind, tag)) for kind, tag in old])
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

    def __init__(self, store: Store, before_ms: int, *, registry: bool, dry_run: bool) -> None:
        self._store = store
        self._before_ms = before_ms
        self._registry = registry
        self._dry_run = dry_run
        self.done = Purged()

    async def forget(self, tags: Sequence[str]) -> None:
        """Delete the registrations of those residents whose latest one was closed long ago."""
        forgettable: list[tuple[_Registration, bytes]] = []
        for found in await _registrations(self._store, tags):
            if found.state not in _CLOSED or int(found.closed_ms or self._before_ms) >= self._before_ms:
                continue
            if found.stop == b"barred":
                self.done.barred += 1
                continue
            forgettable.append((found, b"" if self._registry else _without_contact(found.record)))
        answers = [True] * len(forgettable)
        if not self._dry_run:
            answers = await self._store.forget(
                [(found.tag, found.no, found.closed_ms, found.record, kept) for found, kept in forgettable]
            )
        for (found, kept), forgotten in zip(forgettable, answers, strict=True):
            self.done.residents += forgotten
            self.done.lines += forgotten if found.record and not kept else 0

    async def drop(self, tags: Sequence[str]) -> None:
        """Delete the registry lines of those residents who have no registration."""
        if self._dry_run:
            registered = await self._store.plain([("EXISTS", key("registration", tag)) for tag in tags])
            self.done.lines += registered.count(0)
        else:
            self.done.lines += await self._store.drop_record(tags)


async def _registrations(store: Store, tags: Sequence[str]) -> list[_Registration]:
    commands: list[tuple[Any, ...]] = []
    for tag in tags:
        commands.append(("HMGET", key("registration", tag), "no", "state", "closed_ms"))
        commands.append(("GET", key("stop", tag)))
        commands.append(("GET", key("registry", tag)))
    answers = await store.plain(commands)
    found = zip(tags, answers[::3], answers[1::3], answers[2::3], strict=True)
    return [
        _Registration(tag, no or b"", state or b"", closed_ms or b"", stop or b"", record or b"")
        for tag, (no, state, closed_ms), stop, record in found
    ]


def _without_contact(stored: bytes) -> bytes:
    """A registry line as it stays: no name and phone; nothing where it was only typed on joining (no first dose)."""
    if not stored:
        return b""
    record = unpack(stored)
    return pack(msgspec.structs.replace(record, contact=b"")) if record.day else b""
