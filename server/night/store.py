"""The night's part of the store: who may run it, what a district's night has brought, who waits for a slot.

Tags: `night` for the lease, `district:date` for a district's night, `district` for what goes on from night to night.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any, Final

from server.core.errors import UnknownStatus
from server.core.keys import beside_all, key, resident_tag
from server.records.fields import fields_of, items_of
from server.records.night import (
    COMMIT_NIGHT,
    ENTER_NIGHT,
    FREEZE,
    LEASE,
    NOTE_NIGHT,
    Claim,
    Done,
    FreezeStatus,
    LeaseHolder,
    NightRecord,
    Through,
)
from server.records.registration_changes import PASS_OVER, REMIND, PassedOver, PassOverStatus, RemindStatus
from server.store.connection import FeatureStore

_LEASE = "night"
_RESIDENT_BYTES: Final = 16
_PAGE: Final = 1000
_SMALL: Final = tuple(name for name in NightRecord.__struct_fields__ if name not in ("rules", "offered"))


class NightStore(FeatureStore):
    """Each method with a script's name runs it; the others only read or write."""

    async def lease(self, holder: str, token: int, lives_ms: int, dead: int = 0) -> LeaseHolder:
        """Take (`token` 0), renew or give back (`lives_ms` 0) the right to run the night.

        Args:
            holder: who asks, in words for an operator.
            token: what was given before, 0 = nothing yet.
            lives_ms: for how long.
            dead: the token of a holder that is known to be dead.
        """
        args = (*self._connection.clock(), holder, token, lives_ms, dead)
        status, token, by, since_ms, expires_ms = await self._connection.run("lease", _LEASE, *args)
        return LeaseHolder(
            self._connection.read(LEASE, status) == "held", int(token), by.decode(), int(since_ms), int(expires_ms)
        )

    async def leased(self) -> LeaseHolder | None:
        """Who runs the night, or did last (then `expires_ms` is over); None before anybody has. Takes nothing."""
        (answer,) = await self._connection.plain([("HGETALL", key("lease", _LEASE))])
        kept = fields_of(answer)
        if not kept:
            return None
        return LeaseHolder(False, int(kept["token"]), kept["holder"], int(kept["since_ms"]), int(kept["expires_ms"]))

    async def enter_night(self, tag: str, token: int, commitment: str, sealed: str) -> NightRecord | None:
        """Begin or go on with a district's night: how far it has come, or None where somebody holds a later lease.

        Args:
            tag: of the night.
            token: of the lease.
            commitment, sealed: of a seed, for a night that has none yet.
        """
        status, *fields = await self._connection.run("enter_night", tag, token, commitment, sealed)
        if self._connection.read(ENTER_NIGHT, status) != "entered":
            return None
        return NightRecord.unpack(fields_of(fields))

    async def note_night(self, tag: str, token: int, news: NightRecord) -> bool:
        """What a step has brought; False where somebody holds a later lease."""
        flat = [x for field in news.pack().items() for x in field]
        return self._connection.read(NOTE_NIGHT, await self._connection.run("note_night", tag, token, *flat))

    async def freeze(self, tag: str, token: int, part: int, data: bytes, lives_ms: int) -> FreezeStatus:
        """Keep a part of the list of those who wait; the status."""
        return self._connection.read(FREEZE, await self._connection.run("freeze", tag, token, part, data, lives_ms))

    async def nights(self, tags: Sequence[str]) -> list[NightRecord]:
        """How far each district's night has come: without its rules and slots, which in a large city are far too much
        to read for each who looks. A seed is there, published or not, of a night that an earlier version has begun."""
        answers = await self._connection.plain([("HMGET", key("night", tag), *_SMALL) for tag in tags])
        return [
            NightRecord.unpack(
                {name: value.decode() for name, value in zip(_SMALL, answer, strict=True) if value is not None}
            )
            for answer in answers
        ]

    async def whole_nights(self, tags: Sequence[str]) -> list[NightRecord]:
        """The same with the rules and the slots."""
        answers = await self._connection.plain([("HGETALL", key("night", tag)) for tag in tags])
        return [NightRecord.unpack(fields_of(answer)) for answer in answers]

    async def frozen(self, tag: str, part: int) -> bytes | None:
        """A part of the frozen list."""
        (data,) = await self._connection.plain([("HGET", key("frozen", tag), part)])
        return bytes(data) if data is not None else None

    # From night to night

    async def through(self, districts: Sequence[str]) -> list[Through]:
        """For each district, up to which date what has been done."""
        return [
            Through.unpack(fields_of(a))
            for a in await self._connection.plain([("HGETALL", key("through", d)) for d in districts])
        ]

    async def note_through(self, district: str, what: Done, day: date) -> None:
        """Something has been done up to this date."""
        await self._connection.plain([("HSET", key("through", district), what, day.isoformat())])

    async def passes_alive(self, tag: str) -> tuple[int, int]:
        """(what time it is in ms, how many may still register in an opening)."""
        now_ms, alive = await self._connection.run("passes_alive", tag, *self._connection.clock())
        return int(now_ms), int(alive)

    async def commit_night(self, tag: str, commitment: str, sealed: str) -> bool:
        """Fix the seed of a night to come; False where it has one already."""
        return self._connection.read(COMMIT_NIGHT, await self._connection.run("commit_night", tag, commitment, sealed))

    async def claims(self, tag: str) -> AsyncIterator[list[Claim]]:
        """Who has claimed a place in an opening, a page at a time; somebody may come twice."""
        async for page in self._pages("claims", tag):
            yield [Claim(int(entry), bytes(claim[:_RESIDENT_BYTES])) for entry, claim in page]

    async def registered(self, day: date) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(number, resident key) of everybody who has registered in the city's openings of a day, a page at a time."""
        names = [key("registered", tag) for tag in beside_all(day.isoformat())]
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            if self._connection.is_cluster:
                lists = await self._connection.plain([("GET", name) for name in page])
            else:
                (lists,) = await self._connection.plain([("MGET", *page)])
            yield [line for text in lists if text for line in _lines(text)]

    async def held(self, tags: Sequence[str]) -> set[str]:
        """Those of these openings that there have been."""
        kinds = ("opening", "claims", "passes")
        found = await self._connection.plain([("EXISTS", *(key(kind, tag) for kind in kinds)) for tag in tags])
        return {tag for tag, is_there in zip(tags, found, strict=True) if is_there}

    async def may_register_until(self, tag: str) -> int:
        """Until when a pass of an opening may live, in ms; 0 where the opening is not there any more."""
        ((closes, grace),) = await self._connection.plain([("HMGET", key("opening", tag), "closes_ms", "grace_ms")])
        return int(closes or 0) + int(grace or 0)

    async def pending(self, district: str) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Those who wait for a slot, as far as is known: (number, resident key), a page at a time, perhaps twice."""
        async for page in self._pages("pending", district):
            yield [(no.decode(), bytes(resident)) for no, resident in page]

    async def pass_over(self, passed: Sequence[PassedOver], every: int) -> list[PassOverStatus | UnknownStatus]:
        """A night had no slot for these; the status of each. After `every` nights in vain a message is owed."""
        calls = []
        for resident, no, night, leaf, why_not, reached, withdrawn, frozen_ms in passed:
            args = (*self._connection.clock(), no, night, leaf, why_not, reached, every, int(withdrawn), frozen_ms)
            calls.append((resident_tag(resident), args))
        return self._connection.read_each(
            await self._connection.run_each("pass_over", calls), partial(self._connection.read, PASS_OVER)
        )

    async def remind(
        self, expected: Sequence[tuple[str, bytes]], day: str, not_before_ms: int, booked_to_ms: int
    ) -> list[RemindStatus | UnknownStatus]:
        """Owe a reminder of their appointment on this day to each (number, resident key); the status of each.

        Who got it after `booked_to_ms` has just been told.
        """
        calls = [
            (resident_tag(resident), (*self._connection.clock(), no, day, not_before_ms, booked_to_ms))
            for no, resident in expected
        ]
        return self._connection.read_each(
            await self._connection.run_each("remind", calls), partial(self._connection.read, REMIND)
        )

    async def drop_pending(self, district: str, numbers: Sequence[str]) -> None:
        """They wait no longer."""
        if numbers:
            await self._connection.plain([("HDEL", key("pending", district), *numbers)])

    async def count_pending(self, districts: Sequence[str]) -> list[int]:
        """How many wait in each district, as of its last night and with what was sent back since."""
        return [
            int(n) for n in await self._connection.plain([("HLEN", key("pending", district)) for district in districts])
        ]

    async def _pages(self, kind: str, tag: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        cursor: Any = 0
        while True:
            ((cursor, page),) = await self._connection.plain([("HSCAN", key(kind, tag), cursor, "COUNT", _PAGE)])
            yield list(items_of(page))
            if int(cursor) == 0:
                return


def _lines(text: bytes) -> Iterator[tuple[str, bytes]]:
    """(number, resident key) of each line that `register` has appended; a resident key may have any byte in it."""
    at = 0
    while at < len(text):
        end = text.index(b"\n", at + _RESIDENT_BYTES)
        yield text[at + _RESIDENT_BYTES : end].decode(), text[at : at + _RESIDENT_BYTES]
        at = end + 1
