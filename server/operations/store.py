"""The operators' part of the store: what purges delete, who was called, and what the last imports brought."""

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from server.core.keys import key, resident_tag
from server.records.fields import Arg
from server.records.history import HistoryEvent, decode_event
from server.records.registration_changes import CALLED, FORGET, Change
from server.records.slot import Slot
from server.store.connection import FeatureStore


class Purgeable(NamedTuple):
    """Of a resident's latest registration, with their stop and registry line, what a purge looks at; empty: none."""

    tag: str
    no: bytes
    state: bytes
    closed_ms: bytes
    stop: bytes
    record: bytes


class Waits(NamedTuple):
    """Of a resident's latest registration what a repair looks at; empty: none. `day`: of its opening, YYYY-MM-DD."""

    tag: str
    no: str
    state: str
    district: str
    day: str
    entry: str

    @property
    def date(self) -> date:
        """The opening's day."""
        return date.fromisoformat(self.day)


class OperationStore(FeatureStore):
    """Each method with the name of a script runs it; the others only read or write."""

    async def forget(self, found: Sequence[tuple[str, bytes, bytes, bytes, bytes]]) -> list[bool]:
        """Delete closed registrations, for each (tag, no, closed_ms, registry line, what stays of it); False where
        something has changed."""
        answers = await self._connection.run_each("forget", [(tag, args) for tag, *args in found])
        return [self._connection.read(FORGET, answer) for answer in answers]

    async def latest(self, tags: Sequence[str]) -> list[Purgeable]:
        """What a purge looks at, of each resident's tag."""
        commands: list[tuple[Arg, ...]] = []
        for tag in tags:
            commands.append(("HMGET", key("registration", tag), "no", "state", "closed_ms"))
            commands.append(("GET", key("stop", tag)))
            commands.append(("GET", key("registry", tag)))
        answers = await self._connection.plain(commands)
        found = zip(tags, answers[::3], answers[1::3], answers[2::3], strict=True)
        return [
            Purgeable(tag, no or b"", state or b"", closed_ms or b"", stop or b"", record or b"")
            for tag, (no, state, closed_ms), stop, record in found
        ]

    async def waits(self, tags: Sequence[str]) -> list[Waits]:
        """What a repair looks at, of each resident's tag."""
        fields = ("no", "state", "district", "date", "entry")
        answers = await self._connection.plain([("HMGET", key("registration", tag), *fields) for tag in tags])
        return [Waits(tag, *((it or b"").decode() for it in answer)) for tag, answer in zip(tags, answers, strict=True)]

    async def are_listed(self, wanted: Sequence[tuple[Waits, tuple[str, str] | None]]) -> list[bool]:
        """Whether the next night sees each of these that wait: among those who do since before, or by the tags of the
        day's list and of the opening, where it looks there."""
        commands: list[tuple[Arg, ...]] = []
        for it, ways in wanted:
            commands.append(("HGET", key("pending", it.district), it.no))
            if ways:
                commands.append(("GET", key("registered", ways[0])))
                commands.append(("HGET", key("claims", ways[1]), it.entry))
        answers = iter(await self._connection.plain(commands))
        found = []
        for it, ways in wanted:
            resident = urlsafe_b64decode(it.tag + "==")
            is_seen = next(answers) is not None  # if it is another resident, that is a number that two have
            if ways:
                listed, claim = next(answers) or b"", next(answers) or b""
                is_seen |= resident + f"{it.no}\n".encode() in listed or claim.startswith(resident)
            found.append(is_seen)
        return found

    async def are_registered(self, tags: Sequence[str]) -> list[bool]:
        """Whether each of these residents' tags has a registration."""
        return [bool(n) for n in await self._connection.plain([("EXISTS", key("registration", tag)) for tag in tags])]

    async def latest_of_histories(self, tags: Sequence[str]) -> list[HistoryEvent | None]:
        """The latest line in the history of each of these residents' tags; None of those who have a registration."""
        commands: list[tuple[Arg, ...]] = []
        for tag in tags:
            commands += [("EXISTS", key("registration", tag)), ("LINDEX", key("history", tag), -1)]
        answers = await self._connection.plain(commands)
        return [
            None if registered or line is None else decode_event(line)
            for registered, line in zip(answers[::2], answers[1::2], strict=True)
        ]

    async def unlink(self, names: Sequence[tuple[str, str]]) -> None:
        """Delete these keys, each (kind, tag)."""
        await self._connection.plain([("UNLINK", key(kind, tag)) for kind, tag in names])

    async def stored_lines(self, tags: Sequence[str]) -> list[bytes | None]:
        """The packed registry line of each of these residents' tags."""
        return list(await self._connection.plain([("GET", key("registry", tag)) for tag in tags]))

    async def sealed_seeds(self, names: Sequence[tuple[str, str]]) -> list[str | None]:
        """The sealed seed of each of these openings or nights, each (kind, tag); None where there is none."""
        found = await self._connection.plain([("HGET", key(kind, tag), "sealed") for kind, tag in names])
        return [each.decode() if each else None for each in found]

    async def keep_sealed(self, sealed: Sequence[tuple[str, str, str]]) -> None:
        """Keep these seeds sealed so, each (kind, tag, sealed); one that was revealed since nobody reads any more."""
        await self._connection.plain([("HSET", key(kind, tag), "sealed", text) for kind, tag, text in sealed])

    async def count_pointers(self, districts: Sequence[str]) -> int:
        """How many pointers are in these districts' outboxes."""
        return sum(await self._connection.plain([("XLEN", key("outbox", district)) for district in districts]))

    async def called(self, change: Change, why: str) -> bool:
        """An operator has called a resident; False where that is not their latest registration."""
        args = (*self._connection.clock(), change.no, change.actor, why)
        return self._connection.read(CALLED, await self._connection.run("called", resident_tag(change.resident), *args))

    async def last_import(self, what: str) -> bytes | None:
        """What was noted of the last import of this kind of file."""
        (noted,) = await self._connection.plain([("GET", key("imports", what))])
        return bytes(noted) if noted is not None else None

    async def note_import(self, what: str, facts: bytes) -> None:
        """An import of this kind of file has come to its end."""
        await self._connection.plain([("SET", key("imports", what), facts)])

    async def remove_capacity(self, tag: str, slots: Sequence[Slot]) -> None:
        """These slots of a day are not offered any more; what has been given stays given."""
        if slots:
            await self._connection.plain([("HDEL", key("slots", tag), *(slot.pack() for slot in slots))])
