"""The scripts of a night: who may run it, what a district's night has brought, who waits for a slot.

Tags: `night` for the lease, `district:date` for a district's night, `district` for what goes on from night to night.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from server.core.keys import key
from server.store.caller import Caller, fields_of, items_of
from server.store.connecting import Arg
from server.store.statuses import ENTER_NIGHT, FREEZE, LEASE, NOTE_NIGHT, FreezeStatus

_LEASE = "night"
_RESIDENT_BYTES: Final = 16
_PAGE: Final = 1000


class Lease(NamedTuple):
    """Who runs the night; `is_mine`: the one who asked does."""

    is_mine: bool
    token: int
    holder: str
    since_ms: int
    expires_ms: int


class Claim(NamedTuple):
    """A place that has been claimed, and by whom: they may have registered."""

    entry: int
    resident: bytes


class NightStore(Caller):
    """Each method with a script's name runs it; the others only read or write."""

    async def lease(self, holder: str, token: int, lives_ms: int, dead: int = 0) -> Lease:
        """Take (`token` 0), renew or give back (`lives_ms` 0) the right to run the night.

        Args:
            holder: who asks, in words for an operator.
            token: what was given before, 0 = nothing yet.
            lives_ms: for how long.
            dead: the token of a holder that is known to be dead.
        """
        args = (*self._clock(), holder, token, lives_ms, dead)
        status, token, by, since_ms, expires_ms = await self._run("lease", _LEASE, *args)
        return Lease(self.read(LEASE, status) == "held", int(token), by.decode(), int(since_ms), int(expires_ms))

    async def leased(self) -> Lease | None:
        """Who runs the night, or did last (then `expires_ms` is over); None before anybody has. Takes nothing."""
        (answer,) = await self._plain([("HGETALL", key("lease", _LEASE))])
        kept = fields_of(answer)
        if not kept:
            return None
        return Lease(False, int(kept["token"]), kept["holder"], int(kept["since_ms"]), int(kept["expires_ms"]))

    async def enter_night(self, tag: str, token: int, seed: bytes) -> dict[str, str] | None:
        """Begin or go on with a district's night: its fields, or None where somebody holds a later lease."""
        status, *fields = await self._run("enter_night", tag, token, seed.hex())
        return fields_of(fields) if self.read(ENTER_NIGHT, status) == "entered" else None

    async def note_night(self, tag: str, token: int, fields: Mapping[str, Arg]) -> bool:
        """What a step has brought; False where somebody holds a later lease."""
        flat = [x for field in fields.items() for x in field]
        return self.read(NOTE_NIGHT, await self._run("note_night", tag, token, *flat))

    async def freeze(self, tag: str, token: int, part: int, data: bytes, lives_ms: int) -> FreezeStatus:
        """Keep a part of the list of those who wait; the status."""
        return self.read(FREEZE, await self._run("freeze", tag, token, part, data, lives_ms))

    async def nights(self, tags: Sequence[str], *names: str) -> list[dict[str, str]]:
        """The fields of each district's night, or those with these names; empty where there is none.

        The seed is among them, published or not.
        """
        if not names:
            return [fields_of(answer) for answer in await self._plain([("HGETALL", key("night", tag)) for tag in tags])]
        answers = await self._plain([("HMGET", key("night", tag), *names) for tag in tags])
        return [
            {name: value.decode() for name, value in zip(names, answer, strict=True) if value is not None}
            for answer in answers
        ]

    async def frozen(self, tag: str, part: int) -> bytes | None:
        """A part of the frozen list."""
        (data,) = await self._plain([("HGET", key("frozen", tag), part)])
        return bytes(data) if data is not None else None

    # From night to night

    async def through(self, districts: Sequence[str]) -> list[dict[str, str]]:
        """For each district, up to which date what has been done: `closed`, `gathered`, `frozen`."""
        return [fields_of(a) for a in await self._plain([("HGETALL", key("through", d)) for d in districts])]

    async def note_through(self, district: str, what: str, day: str) -> None:
        """Something has been done up to this date."""
        await self._plain([("HSET", key("through", district), what, day)])

    async def passes_alive(self, tag: str) -> tuple[int, int]:
        """(what time it is in ms, how many may still register in an opening)."""
        now_ms, alive = await self._run("passes_alive", tag, *self._clock())
        return int(now_ms), int(alive)

    async def commit_nights(self, seeds: Mapping[str, bytes]) -> None:
        """Fix the seeds of nights to come, by their tags, where there are none yet."""
        await self._plain([("HSETNX", key("night", tag), "seed", seed.hex()) for tag, seed in seeds.items()])

    async def claims(self, tag: str) -> AsyncIterator[list[Claim]]:
        """Who has claimed a place in an opening, a page at a time; somebody may come twice."""
        async for page in self._pages("claims", tag):
            yield [Claim(int(entry), bytes(claim[:_RESIDENT_BYTES])) for entry, claim in page]

    async def claimed_in(self, tags: Sequence[str]) -> set[str]:
        """Those of these openings in which somebody has claimed a place."""
        found = await self._plain([("EXISTS", key("claims", tag), key("passes", tag)) for tag in tags])
        return {tag for tag, is_there in zip(tags, found, strict=True) if is_there}

    async def pending(self, district: str) -> AsyncIterator[list[tuple[str, bytes]]]:
        """Those who wait for a slot, as far as is known: (number, resident key), a page at a time, perhaps twice."""
        async for page in self._pages("pending", district):
            yield [(no.decode(), bytes(resident)) for no, resident in page]

    async def keep_pending(self, district: str, waiting: Sequence[tuple[str, bytes]]) -> None:
        """They wait for a slot."""
        if waiting:
            await self._plain([("HSET", key("pending", district), *(x for each in waiting for x in each))])

    async def drop_pending(self, district: str, numbers: Sequence[str]) -> None:
        """They wait no longer."""
        if numbers:
            await self._plain([("HDEL", key("pending", district), *numbers)])

    async def count_pending(self, districts: Sequence[str]) -> list[int]:
        """How many wait in each district, as of its last night and with what was sent back since."""
        return [int(n) for n in await self._plain([("HLEN", key("pending", district)) for district in districts])]

    async def _pages(self, kind: str, tag: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        cursor: Any = 0
        while True:
            ((cursor, page),) = await self._plain([("HSCAN", key(kind, tag), cursor, "COUNT", _PAGE)])
            yield list(items_of(page))
            if int(cursor) == 0:
                return
