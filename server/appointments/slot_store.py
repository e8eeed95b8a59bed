"""A district's slots of one date in the store: capacity, who has which, closures. Tag: `district:date`."""

from collections.abc import Mapping, Sequence

import msgspec

from server.core.errors import UnknownStatus
from server.core.keys import key
from server.records.fields import Arg, fields_of, items_of
from server.records.slot import (
    CLOSE_SITE,
    SETTLE,
    TAKE,
    VACATE,
    CloseSiteStatus,
    Closure,
    NumberOrigin,
    OpenSlotChange,
    RosterEntry,
    SitePeriod,
    Slot,
    SlotCount,
    TakeStatus,
)
from server.store.connection import FeatureStore

_RESIDENT_BYTES = 16


_closure = msgspec.json.Decoder(Closure)


class SlotStore(FeatureStore):
    """Each method with a script's name runs it; the others only read or write."""

    async def take(self, wanted: Sequence[tuple[str, RosterEntry]]) -> list[tuple[TakeStatus, int] | UnknownStatus]:
        """Take slots for registrations, each (tag of the day, slot); for each (status, when that was noted, in ms)."""
        calls = [
            (tag, (*self._connection.clock(), slot.no, slot.resident, slot.site, slot.period, slot.product))
            for tag, slot in wanted
        ]
        return self._connection.read_each(
            await self._connection.run_each("take", calls), lambda a: (self._connection.read(TAKE, a[0]), int(a[1]))
        )

    async def vacate(self, tag: str, no: str, since_ms: int = 0) -> bool:
        """Free a registration's slot; False where it had none, or its note is another one than that of `since_ms`."""
        return self._connection.read(VACATE, await self._connection.run("vacate", tag, no, since_ms))

    async def close_site(
        self, tag: str, actor: str, site: str, period: str, reason: str
    ) -> tuple[CloseSiteStatus, list[tuple[str, bytes]]]:
        """(status, those to send back to be allotted: number and resident key)."""
        status, *rest = await self._connection.run(
            "close_site", tag, *self._connection.clock(), actor, site, period, reason
        )
        return self._connection.read(CLOSE_SITE, status), [
            (no.decode(), r) for no, r in zip(rest[::2], rest[1::2], strict=True)
        ]

    async def roster(self, tag: str) -> list[RosterEntry]:
        """Everyone who has a slot of the day."""
        (answer,) = await self._connection.plain([("HGETALL", key("roster", tag))])
        return [RosterEntry.unpack(no.decode(), line) for no, line in items_of(answer)]

    async def ever_on_roster(self, tag: str, no: str) -> RosterEntry | None:
        """The slot that a registration has on the day, or had until it was freed."""
        held, had = await self._connection.plain([("HGET", key(kind, tag), no) for kind in ("roster", "vacated")])
        line = held or had
        return RosterEntry.unpack(no, line) if line else None

    async def are_on_rosters(self, wanted: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether each (tag of the day, number) has a slot of the day."""
        return [
            bool(n) for n in await self._connection.plain([("HEXISTS", key("roster", tag), no) for tag, no in wanted])
        ]

    async def used(self, tags: Sequence[str]) -> list[dict[Slot, SlotCount]]:
        """The slots of each day, and how they are used."""
        kinds = ("slots", "taken")
        answers = await self._connection.plain([("HGETALL", key(kind, tag)) for tag in tags for kind in kinds])
        found = []
        for slots, taken in zip(answers[::2], answers[1::2], strict=True):
            capacity, gone = fields_of(slots), fields_of(taken)
            found.append(
                {
                    Slot.unpack(slot): SlotCount(int(capacity.get(slot, 0)), int(gone.get(slot, 0)))
                    for slot in capacity.keys() | gone
                }
            )
        return found

    async def closure(self, tag: str, site: str, period: str) -> Closure | None:
        """The closure of a site in a period of the day, None where it is open."""
        (text,) = await self._connection.plain([("HGET", key("closures", tag), SitePeriod(site, period).pack())])
        return _closure.decode(text) if text else None

    async def closures(self, tags: Sequence[str]) -> list[dict[SitePeriod, Closure]]:
        """The closures of each day."""
        answers = await self._connection.plain([("HGETALL", key("closures", tag)) for tag in tags])
        return [
            {SitePeriod.unpack(place): _closure.decode(text) for place, text in fields_of(answer).items()}
            for answer in answers
        ]

    async def unsettle(self, tag: str, no: str, resident: bytes) -> int:
        """Note before a registration is closed that its slot is to be freed, so that a crash between is found; when."""
        return int(await self._connection.run("unsettle", tag, *self._connection.clock(), no, resident))

    async def settle(self, settled: Sequence[tuple[str, str, int]]) -> None:
        """Slot and registration are of one mind, for each (tag of the day, number, when that was noted as open)."""
        for answer in await self._connection.run_each(
            "settle", [(tag, (no, since_ms)) for tag, no, since_ms in settled]
        ):
            self._connection.read(SETTLE, answer)

    async def open_changes(self, tags: Sequence[str]) -> list[list[OpenSlotChange]]:
        """The slots of each day that are being given or freed, or were when somebody crashed."""
        answers = await self._connection.plain([("HGETALL", key("unsettled", tag)) for tag in tags])
        return [[OpenSlotChange.unpack(no.decode(), it) for no, it in items_of(answer)] for answer in answers]

    async def keep_capacity(self, tag: str, slots: Mapping[Slot, int]) -> None:
        """Write capacities of a day."""
        flat: list[Arg] = [x for slot, capacity in slots.items() for x in (slot.pack(), capacity)]
        await self._connection.plain([("HSET", key("slots", tag), *flat)])

    async def keep_sites(self, district: str, sites: Mapping[str, bytes]) -> None:
        """Write sites (code -> JSON) of a district."""
        flat: list[Arg] = [x for site in sites.items() for x in site]
        await self._connection.plain([("HSET", key("sites", district), *flat)])

    async def sites(self, districts: Sequence[str]) -> list[dict[str, str]]:
        """Sites (code -> JSON) of each district."""
        answers = await self._connection.plain([("HGETALL", key("sites", district)) for district in districts])
        return [fields_of(answer) for answer in answers]

    async def holder(self, tag: str, entry: int, district: str, no: str) -> bytes | None:
        """The resident key behind a registration number: who was barred under it, or who claimed its entry."""
        claim, barred = await self._connection.plain(
            [("HGET", key("claims", tag), entry), ("HGET", key("bars", district), no)],
        )
        if barred:  # a claim may be another's, where a roll-back has had the entry given twice
            return bytes(barred)
        return bytes(claim[:_RESIDENT_BYTES]) if claim else None

    async def named(self, numbers: Sequence[NumberOrigin]) -> list[set[bytes]]:
        """The resident keys that each number leads to beside the rosters: who claimed its entry, who waits under it."""
        commands: list[tuple[Arg, ...]] = []
        for it in numbers:
            commands.append(("HGET", key("claims", it.opening), it.entry))
            commands.append(("HGET", key("pending", it.district), it.no))
        found = iter(await self._connection.plain(commands))
        return [{bytes(it[:_RESIDENT_BYTES]) for it in pair if it} for pair in zip(found, found, strict=True)]

    async def spare(self, tag: str) -> int:
        """An entry of an opening that nobody is given."""
        return int(await self._connection.run("spare", tag))

    async def bars(self, districts: Sequence[str]) -> list[dict[str, bytes]]:
        """Who is barred in each district: registration number -> resident key."""
        answers = await self._connection.plain([("HGETALL", key("bars", district)) for district in districts])
        return [{no.decode(): bytes(resident) for no, resident in items_of(answer)} for answer in answers]

    async def note_bar(self, district: str, no: str, resident: bytes) -> None:
        """Keep who is barred under which number, for the operator."""
        await self._connection.plain([("HSET", key("bars", district), no, resident)])

    async def forget_bar(self, district: str, no: str) -> None:
        """The bar is lifted."""
        await self._connection.plain([("HDEL", key("bars", district), no)])
