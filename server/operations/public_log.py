"""The city's public log: what everybody may hold it to, in an order that nobody can change afterwards.

Openings and their draws, what operators and managers have changed and why, the nights' lists and results: each is
appended once, by whichever worker sees it first, and a signed head (`server.fairness.checkpoint`) stands for all that
is in it. Whoever has kept a head can show that the log of today still begins with what it was then.

The log is derived: the authority of each fact stays where it is. A store that was set back loses entries, which are
appended again, perhaps in another order; a head that somebody has kept then tells of it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta, tzinfo
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from server.core.city import City
from server.core.clock import from_ms
from server.core.errors import Refusal, StoreUnavailable
from server.core.keys import day_tag, opening_tag
from server.fairness.checkpoint import Notary, SignedHead
from server.fairness.merkle import HASH_BYTES, Proof, Tree, leaf_hash
from server.night.store import NightStore
from server.operations.log_store import Change, LogStore
from server.records.night import NightRecord
from server.store.connection import Connection
from server.waiting_room.opening import Opening
from server.waiting_room.room import WaitingRoom

log = structlog.get_logger()

MOST_ENTRIES: Final = 1000
"""So many entries one answer holds at most."""
_PAUSE_SECONDS: Final = 5.0
# Managers close sites so many days ahead; days that are not today's are looked at less often.
_AHEAD_DAYS: Final = 30
_ROUNDS_BETWEEN: Final = 12


class Fact(NamedTuple):
    """What an entry is of, the same for whoever sees it, and its text."""

    of: str
    text: bytes


class PublicLog:
    """Follows the log, appends to it, signs its head and proves what is in it.

    Args:
        city: its districts and its log's name.
        connection: where the entries are.
        room: today's openings.
        seed: 32 bytes from which the heads are signed; stays the same for good.
    """

    def __init__(self, city: City, connection: Connection, room: WaitingRoom, seed: bytes) -> None:
        self._city = city
        self._room = room
        self._log_store = LogStore(connection)
        self._night_store = NightStore(connection)
        self._notary = Notary(city.log_name, seed)
        self._hashes = bytearray()
        self._tree = Tree(b"")
        self._head = self._notary.sign(0, self._tree.root())
        self._told: dict[str, str] = {}  # audit tag -> id of the last line that has been appended
        self._known: set[str] = set()  # what has been appended, of today's openings and nights

    @property
    def verifier_key(self) -> str:
        """What heads are checked by."""
        return self._notary.verifier_key

    @property
    def size(self) -> int:
        """How many entries this worker knows."""
        return self._tree.leaves

    def head(self) -> SignedHead:
        """The signed head of what this worker knows."""
        return self._head

    async def growth(self, first: int, second: int) -> list[str]:
        """The proof that the log with `second` entries begins with the one with `first`.

        Raises:
            Refusal: `not-found`: it has, or had, not so many.
            StoreUnavailable: the store does not say.
        """
        tree = await self._tree_of(second)
        if not 0 < first <= second:
            raise Refusal("not-found")
        return tree.prove_growth(first)

    async def inclusion(self, index: int, size: int) -> Proof:
        """The proof that the entry with this index is in the log of this size.

        Raises:
            Refusal: `not-found`: there is no such entry, or the log is not so long.
            StoreUnavailable: the store does not say.
        """
        tree = await self._tree_of(size)
        if not index < size:
            raise Refusal("not-found")
        return tree.prove(index)

    async def entries(self, start: int, count: int) -> list[bytes]:
        """So many entries from this index on (`MOST_ENTRIES` at most), or as many as there are.

        Raises:
            StoreUnavailable: the store does not say.
        """
        return await self._log_store.entries(start, min(count, MOST_ENTRIES))

    async def _tree_of(self, size: int) -> Tree:
        if size > self.size:  # another worker, whose head somebody has, may have heard of more
            await self._follow()
        if size > self.size:
            raise Refusal("not-found")
        return self._tree if size == self.size else Tree(bytes(self._hashes[: size * HASH_BYTES]))

    # Following and appending

    async def run(self) -> None:
        """Append what is new and follow what others append, until cancelled."""
        rounds = 0
        while True:
            try:
                await self.look(ahead=rounds % _ROUNDS_BETWEEN == 0)
                rounds += 1
            except StoreUnavailable:
                pass  # the next look finishes it
            except Exception:
                log.exception("following the public log failed")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look(self, *, ahead: bool = True) -> None:
        """Append what is not in the log yet, and learn what is.

        Args:
            ahead: look at the days to come as well, for sites that are closed then.

        Raises:
            StoreUnavailable: the store is away; the next look finishes it.
        """
        today = self._room.now().date()
        await self._append_changes(today, ahead=ahead)
        openings = self._room.openings()
        new = [fact for opening in openings for fact in _of_opening(opening) if fact.of not in self._known]
        new += [fact async for fact in self._of_nights(today) if fact.of not in self._known]
        if new:
            await self._log_store.append(new)
            self._known.update(fact.of for fact in new)
        await self._follow()

    async def _of_nights(self, today: date) -> AsyncIterator[Fact]:
        for day in (today - timedelta(days=1), today):
            tags = [day_tag(district.code, day) for district in self._city.districts]
            for district, night in zip(self._city.districts, await self._night_store.nights(tags), strict=True):
                for fact in _of_night(district.code, day, night, self._city.tz):
                    yield fact

    async def _append_changes(self, today: date, *, ahead: bool) -> None:
        days = [today + timedelta(days=n) for n in range(_AHEAD_DAYS if ahead else 1)]
        tags = {day_tag(district.code, day) for district in self._city.districts for day in days}
        tags |= {opening_tag(it.district.code, it.day, it.window) for it in self._room.openings()}
        asked = [(tag, self._told.get(tag, "-")) for tag in sorted(tags)]
        for (tag, _), changes in zip(asked, await self._log_store.changes(asked, MOST_ENTRIES), strict=True):
            if changes:
                await self._log_store.append([self._of_change(tag, change) for change in changes])
                self._told[tag] = changes[-1].id

    def _of_change(self, tag: str, change: Change) -> Fact:
        at = from_ms(int(change.fields["at_ms"]), self._city.tz).isoformat(timespec="milliseconds")
        told = {name: value for name, value in change.fields.items() if name not in ("at_ms", "actor")}
        district, day, *_ = tag.split(":")
        fields = {"district": district, "date": day, "at": at, "who": change.fields.get("actor", ""), "changed": told}
        return _fact(f"change:{tag}:{change.id}", "change", fields)

    async def _follow(self) -> None:
        before = self.size
        while found := await self._log_store.entries(len(self._hashes) // HASH_BYTES, MOST_ENTRIES):
            for entry in found:
                self._hashes += leaf_hash(entry)
        if len(self._hashes) // HASH_BYTES != before:
            self._tree = Tree(bytes(self._hashes))
            self._head = self._notary.sign(self.size, self._tree.root())  # once, as every receipt carries it


def _fact(of: str, what: str, fields: dict[str, Any]) -> Fact:
    return Fact(of, msgspec.json.encode({"what": what, **fields}))


def _of_opening(opening: Opening) -> Iterator[Fact]:
    """Before it opens, what its draw is bound to; once the draw is settled, what it came to."""
    it, tag = opening.drawing, opening.tag
    if it.commitment is None:
        return
    which = {"district": opening.district.code, "date": opening.day.isoformat(), "window": opening.window}
    bound = it.bound(opening.draw_ms)
    promise: dict[str, Any] = {"commitment": it.commitment}
    if it.version > 1:
        promise |= {"version": it.version, "beacon": bound and {"chain": bound.chain.name, "round": bound.round}}
    # a timetable that is changed before anybody has joined changes the round: then that is promised anew
    yield _fact(f"opening:{tag}" + (f":{bound.chain.name}:{bound.round}" if bound else ""), "opening", which | promise)
    if it.root is not None:
        at = from_ms(it.root_ms or 0, opening.tz).isoformat(timespec="milliseconds")
        yield _fact(f"root:{tag}", "root", which | {"entries": it.drawn, "root": it.root, "at": at})
    if it.settled:
        drawn: dict[str, Any] = {"entries": it.drawn, "seed": it.seed.hex()}
        if it.version > 1:
            drawn |= {"version": it.version, "root": it.root, "beacon": None, "key": it.key}
        if bound:
            drawn["beacon"] = {
                "chain": bound.chain.name, "round": bound.round, "randomness": bound.randomness,
                "signature": bound.signature, "missing": bound.missing,
            }  # fmt: skip
        yield _fact(f"draw:{tag}", "draw", which | drawn)


def _of_night(district: str, day: date, night: NightRecord, tz: tzinfo) -> Iterator[Fact]:
    """Before the night, what its ties are bound to; then the list as it was frozen; then the result."""
    if night.promise is None:
        return
    which = {"district": district, "date": day.isoformat()}
    tag = day_tag(district, day)
    yield _fact(f"night:{tag}", "night", which | {"commitment": night.promise})
    if night.list_root:
        frozen: dict[str, Any] = {"registrations": night.registrations, "list_root": night.list_root}
        if night.version:
            round_ = {"chain": night.beacon, "round": night.round} if night.beacon else None
            at = from_ms(night.frozen_ms or 0, tz).isoformat(timespec="milliseconds")
            frozen |= {"version": night.version, "at": at, "beacon": round_}
        yield _fact(f"frozen:{tag}", "frozen", which | frozen)
    if night.root:
        result: dict[str, Any] = {"root": night.root, "seed": night.seed}
        if night.beacon:
            result["beacon"] = {
                "chain": night.beacon, "round": night.round, "signature": night.signature, "missing": night.no_beacon,
            }  # fmt: skip
        yield _fact(f"result:{tag}", "result", which | result)
