"""The scripts of a district's slots of one date: capacity, who has which, closures. Tag: `district:date`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from server.core.errors import UnknownStatus
from server.core.keys import day_tag as day_tag
from server.core.keys import key
from server.store.caller import Caller, fields_of, items_of
from server.store.connecting import Arg
from server.store.statuses import CLOSE_SITE, SETTLE, TAKE, VACATE, CloseSiteStatus, TakeStatus

_RESIDENT_BYTES = 16


class Taken(NamedTuple):
    """A line of a day's roster: who has which slot."""

    no: str
    resident: bytes
    site: str
    period: str
    product: str


class Unsettled(NamedTuple):
    """A registration whose slot may have to be freed, and since when."""

    no: str
    resident: bytes
    since_ms: int


class Closure(msgspec.Struct, array_like=True, frozen=True):
    """Why a site does not vaccinate in a period."""

    at_ms: int
    actor: str
    reason: str


_closure = msgspec.json.Decoder(Closure)


class SlotStore(Caller):
    """Each method with a script's name runs it; the others only read or write."""

    async def take(self, wanted: Sequence[tuple[str, Taken]]) -> list[tuple[TakeStatus, int] | UnknownStatus]:
        """Take slots for registrations, each (tag of the day, slot); for each (status, when that was noted, in ms)."""
        calls = [
            (tag, (*self._clock(), slot.no, slot.resident, slot.site, slot.period, slot.product))
            for tag, slot in wanted
        ]
        return self.read_each(await self._run_each("take", calls), lambda a: (self.read(TAKE, a[0]), int(a[1])))

    async def vacate(self, tag: str, no: str, since_ms: int = 0) -> bool:
        """Free a registration's slot; False where it had none, or its note is another one than that of `since_ms`."""
        return self.read(VACATE, await self._run("vacate", tag, no, since_ms))

    async def close_site(
        self, tag: str, actor: str, site: str, period: str, reason: str
    ) -> tuple[CloseSiteStatus, list[tuple[str, bytes]]]:
        """(status, those to send back to be allotted: number and resident key)."""
        status, *rest = await self._run("close_site", tag, *self._clock(), actor, site, period, reason)
        return self.read(CLOSE_SITE, status), [(no.decode(), r) for no, r in zip(rest[::2], rest[1::2], strict=True)]

    async def roster(self, tag: str) -> list[Taken]:
        """Everyone who has a slot of the day."""
        (answer,) = await self._plain([("HGETALL", key("roster", tag))])
        return [_taken(no, line) for no, line in items_of(answer)]

    async def on_roster(self, tag: str, no: str) -> Taken | None:
        """The slot that a registration has on the day."""
        (line,) = await self._plain([("HGET", key("roster", tag), no)])
        return _taken(no.encode(), line) if line else None

    async def ever_on_roster(self, tag: str, no: str) -> Taken | None:
        """The slot that a registration has on the day, or had until it was freed."""
        held, had = await self._plain([("HGET", key(kind, tag), no) for kind in ("roster", "vacated")])
        line = held or had
        return _taken(no.encode(), line) if line else None

    async def are_on_rosters(self, wanted: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether each (tag of the day, number) has a slot of the day."""
        return [bool(n) for n in await self._plain([("HEXISTS", key("roster", tag), no) for tag, no in wanted])]

    async def used(self, tags: Sequence[str]) -> list[dict[tuple[str, str, str], tuple[int, int]]]:
        """(site, period, product) -> (capacity, taken), of each day."""
        kinds = ("slots", "taken")
        answers = await self._plain([("HGETALL", key(kind, tag)) for tag in tags for kind in kinds])
        found = []
        for slots, taken in zip(answers[::2], answers[1::2], strict=True):
            capacity, gone = fields_of(slots), fields_of(taken)
            found.append(
                {_slot(slot): (int(capacity.get(slot, 0)), int(gone.get(slot, 0))) for slot in capacity.keys() | gone}
            )
        return found

    async def closure(self, tag: str, site: str, period: str) -> Closure | None:
        """The closure of a site in a period of the day, None where it is open."""
        (text,) = await self._plain([("HGET", key("closures", tag), f"{site}|{period}")])
        return _closure.decode(text) if text else None

    async def closures(self, tags: Sequence[str]) -> list[dict[tuple[str, str], Closure]]:
        """(site, period) -> closure, of each day."""
        answers = await self._plain([("HGETALL", key("closures", tag)) for tag in tags])
        return [
            {_place(place): _closure.decode(text) for place, text in fields_of(answer).items()} for answer in answers
        ]

    async def unsettle(self, tag: str, no: str, resident: bytes) -> int:
        """Note before a registration is closed that its slot is to be freed, so that a crash between is found; when."""
        return int(await self._run("unsettle", tag, *self._clock(), no, resident))

    async def settle(self, settled: Sequence[tuple[str, str, int]]) -> None:
        """Slot and registration are of one mind, for each (tag of the day, number, when that was noted as open)."""
        for answer in await self._run_each("settle", [(tag, (no, since_ms)) for tag, no, since_ms in settled]):
            self.read(SETTLE, answer)

    async def unsettled(self, tags: Sequence[str]) -> list[list[Unsettled]]:
        """The slots of each day that are being given or freed, or were when somebody crashed."""
        answers = await self._plain([("HGETALL", key("unsettled", tag)) for tag in tags])
        found = []
        for answer in answers:
            found.append(
                [Unsettled(no.decode(), it[:_RESIDENT_BYTES], int(it[_RESIDENT_BYTES:])) for no, it in items_of(answer)]
            )
        return found

    async def keep_capacity(self, tag: str, slots: Mapping[str, int]) -> None:
        """Write capacities of a day: `site|period|product` -> how many."""
        flat: list[Arg] = [x for slot in slots.items() for x in slot]
        await self._plain([("HSET", key("slots", tag), *flat)])

    async def keep_sites(self, district: str, sites: Mapping[str, bytes]) -> None:
        """Write sites (code -> JSON) of a district."""
        flat: list[Arg] = [x for site in sites.items() for x in site]
        await self._plain([("HSET", key("sites", district), *flat)])

    async def sites(self, districts: Sequence[str]) -> list[dict[str, str]]:
        """Sites (code -> JSON) of each district."""
        answers = await self._plain([("HGETALL", key("sites", district)) for district in districts])
        return [fields_of(answer) for answer in answers]

    async def holder(self, tag: str, entry: int, district: str, no: str) -> bytes | None:
        """The resident key behind a registration number: who claimed its entry, or who was barred under it."""
        claim, barred = await self._plain(
            [("HGET", key("claims", tag), entry), ("HGET", key("bars", district), no)],
        )
        if claim:
            return bytes(claim[:_RESIDENT_BYTES])
        return bytes(barred) if barred else None

    async def bars(self, districts: Sequence[str]) -> list[dict[str, bytes]]:
        """Who is barred in each district: registration number -> resident key."""
        answers = await self._plain([("HGETALL", key("bars", district)) for district in districts])
        return [{no.decode(): bytes(resident) for no, resident in items_of(answer)} for answer in answers]

    async def note_bar(self, district: str, no: str, resident: bytes) -> None:
        """Keep who is barred under which number, for the operator."""
        await self._plain([("HSET", key("bars", district), no, resident)])

    async def forget_bar(self, district: str, no: str) -> None:
        """The bar is lifted."""
        await self._plain([("HDEL", key("bars", district), no)])


def holds_slot(kept: Mapping[str, str], no: str, day: str) -> bool:
    """Whether a registration's fields say that it is this one, with an appointment on this day (YYYY-MM-DD)."""
    return kept.get("no") == no and kept.get("day") == day and kept["state"] != "cancelled"


def _taken(no: bytes, line: bytes) -> Taken:
    site, period, product = line[_RESIDENT_BYTES:].decode().split("|")
    return Taken(no.decode(), line[:_RESIDENT_BYTES], site, period, product)


def _slot(slot: str) -> tuple[str, str, str]:
    site, period, product = slot.split("|")
    return site, period, product


def _place(place: str) -> tuple[str, str]:
    site, _, period = place.rpartition("|")
    return site, period
