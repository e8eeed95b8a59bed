"""The outbox in the store: for each district a stream of one-time codes, and one of pointers to who is owed a message.

What is owed stands with the resident (`owe` in `lua/prelude.lua`), written by the event itself. A pointer only says
where to look, so one too many does no harm, and one that is lost is put there again by whoever finishes the event's
work.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from server.core.errors import BrokenRecord, NotUnderstood, StoreUnavailable, UnknownStatus
from server.core.keys import key, resident_tag
from server.records.fields import Arg, items_of
from server.records.message import (
    ADMIT,
    DEFER,
    NEXT_MESSAGE,
    SETTLE_MESSAGE,
    SHELVE_MESSAGE,
    UNSHELVE_MESSAGE,
    AdmitVerdict,
    Backlog,
    Caps,
    DeadLetter,
    Next,
    OutboxEntry,
    Pointer,
    SendOutcome,
    Stream,
    decode_message,
    pack_letter,
    unpack_letter,
)
from server.store.connection import FeatureStore

_STREAMS: tuple[Stream, Stream] = ("codes", "outbox")
_GROUP = "gateway"


class OutboxStore(FeatureStore):
    """What is written stays until it is acknowledged."""

    async def enqueue_code(self, district: str, fields: Mapping[str, Arg]) -> None:
        """Put a one-time code into a district's stream of codes."""
        await self._connection.plain(
            [("XADD", key("codes", district), "*", *(x for field in fields.items() for x in field))]
        )

    async def open_outbox(self, districts: Sequence[str]) -> None:
        """Make the groups of consumers where there are none."""
        for district in districts:
            for stream in _STREAMS:
                (answer,) = await self._connection.pipeline(
                    [("XGROUP", "CREATE", key(stream, district), _GROUP, "0", "MKSTREAM")],
                )
                if isinstance(answer, Exception) and "BUSYGROUP" not in str(answer):
                    raise StoreUnavailable from answer

    async def next_entries(
        self, districts: Sequence[str], consumer: str, most: int, idle_ms: int, stream: Stream = "codes"
    ) -> list[OutboxEntry]:
        """Entries for this consumer: those that another took `idle_ms` ago and did not finish, and new ones."""
        commands: list[tuple[Arg, ...]] = []
        for district in districts:
            name = key(stream, district)
            commands.append(("XAUTOCLAIM", name, _GROUP, consumer, idle_ms, "0", "COUNT", most))
            commands.append(("XREADGROUP", "GROUP", _GROUP, consumer, "COUNT", most, "STREAMS", name, ">"))
        answers = await self._connection.plain(commands)
        found = []
        for district, claimed, fresh in zip(districts, answers[::2], answers[1::2], strict=True):
            entries = [entry for entry in claimed[1] if entry[1]]  # one that was deleted meanwhile has no fields
            for _, more in _streams(fresh):
                entries += more
            found += [OutboxEntry(district, entry[0].decode(), _bytes_of(entry[1]), stream) for entry in entries]
        return found

    async def acknowledge(self, entries: Sequence[OutboxEntry]) -> list[None]:
        """These entries have done their work, and are taken away."""
        commands: list[tuple[Arg, ...]] = []
        for entry in entries:
            stream = key(entry.stream, entry.district)
            commands += [("XACK", stream, _GROUP, entry.id), ("XDEL", stream, entry.id)]
        await self._connection.plain(commands)
        return [None] * len(entries)

    async def defer(self, pointer: Pointer, due_ms: int, tries: int) -> None:
        """Look at a pointer again later."""
        answer = await self._connection.run(
            "defer", pointer.entry.district, pointer.entry.id, due_ms, pointer.member(tries)
        )
        self._connection.read(DEFER, answer)

    async def pace(self, many: int, per_second: int) -> int:
        """Let messages go at the pace of all senders together: in how many ms."""
        return int(await self._connection.run("pace", "gateway", many, per_second))

    async def bring(self, districts: Sequence[str], most: int) -> int:
        """Pointers that are due again go back into the outbox; how many."""
        return sum(
            await self._connection.run_each(
                "bring", [(district, (*self._connection.clock(), most)) for district in districts]
            )
        )

    async def backlogs(self, districts: Sequence[str]) -> list[Backlog]:
        """Each district's messages by state."""
        commands: list[tuple[Arg, ...]] = []
        for district in districts:
            commands += [("XLEN", key(stream, district)) for stream in _STREAMS]
            commands += [("ZCARD", key("later", district)), ("HLEN", key("dead", district))]
            commands += [("XRANGE", key(stream, district), "-", "+", "COUNT", 1) for stream in _STREAMS]
        answers = iter(await self._connection.plain(commands))
        found = []
        for _ in districts:
            codes, waiting, later, dead, first_code, first = (next(answers) for _ in range(6))
            oldest = [int(entry[0].split(b"-")[0]) for entries in (first_code, first) for entry in entries]
            found.append(Backlog(codes, waiting, later, dead, min(oldest, default=None)))
        return found

    async def next_message(self, pointers: Sequence[Pointer]) -> list[Next | NotUnderstood]:
        """What each pointer leads to."""
        calls = [(resident_tag(pointer.resident), (*self._connection.clock(), pointer.name)) for pointer in pointers]
        answers = await self._connection.run_each("next_message", calls)
        statuses = self._connection.read_each(answers, lambda a: self._connection.read(NEXT_MESSAGE, a[0]))
        messages = self._connection.decode_each(answers, lambda a: decode_message(a[2]) if a[2] else None)
        found: list[Next | NotUnderstood] = []
        for (_, seq, _, due_ms), status, message in zip(answers, statuses, messages, strict=True):
            if isinstance(status, UnknownStatus):
                found.append(status)
            elif isinstance(message, BrokenRecord):
                found.append(message)
            else:
                found.append(Next(status, int(seq), message, int(due_ms)))
        return found

    async def settle_message(
        self, settled: Sequence[tuple[Pointer, int, SendOutcome] | tuple[Pointer, int, SendOutcome, str]]
    ) -> list[bool | UnknownStatus]:
        """These messages, by their numbers, are owed no longer; False where one was not in its pointer's hand.

        `unsent` has a reason beside it, which stands on the registration.
        """
        calls = [
            (resident_tag(pointer.resident), (*self._connection.clock(), seq, pointer.name, outcome, *(why or ("",))))
            for pointer, seq, outcome, *why in settled
        ]
        return self._connection.read_each(
            await self._connection.run_each("settle_message", calls), partial(self._connection.read, SETTLE_MESSAGE)
        )

    async def admit(
        self, wanted: Sequence[tuple[str, str, bool, Caps]]
    ) -> list[tuple[AdmitVerdict, int] | UnknownStatus]:
        """For each (tag of a phone, kind, whether it only confirms, its caps): whether one more may go, and is counted.

        `later` comes with in how many ms.
        """
        calls = [(tag, (*self._connection.clock(), kind, int(confirms), *caps)) for tag, kind, confirms, caps in wanted]
        return self._connection.read_each(
            await self._connection.run_each("admit", calls), lambda a: (self._connection.read(ADMIT, a[0]), int(a[1]))
        )

    async def shelve_message(self, pointer: Pointer, seq: int) -> bool:
        """Lay a message aside; False where it was not in this pointer's hand."""
        args = (*self._connection.clock(), seq, pointer.name)
        return self._connection.read(
            SHELVE_MESSAGE, await self._connection.run("shelve_message", resident_tag(pointer.resident), *args)
        )

    async def keep_dead_letter(self, district: str, name: str, letter: DeadLetter) -> None:
        """Keep a dead letter under the name of its pointer."""
        await self._connection.plain([("HSET", key("dead", district), name, pack_letter(letter))])

    async def dead(self, districts: Sequence[str]) -> list[dict[str, DeadLetter]]:
        """Each district's dead letters, by the name of their pointer."""
        answers = await self._connection.plain([("HGETALL", key("dead", district)) for district in districts])
        return [
            {name.decode(): self._connection.decode(text, unpack_letter) for name, text in items_of(answer)}
            for answer in answers
        ]

    async def unshelve_message(self, resident: bytes, seq: int) -> bool:
        """Take a message off the shelf; False where it was not on it."""
        return self._connection.read(
            UNSHELVE_MESSAGE, await self._connection.run("unshelve_message", resident_tag(resident), seq)
        )

    async def forget_dead_letter(self, district: str, name: str) -> None:
        """Forget a dead letter."""
        await self._connection.plain([("HDEL", key("dead", district), name)])

    async def note_call(self, district: str, no: str, resident: bytes) -> None:
        """Somebody has not been reached by SMS."""
        await self._connection.plain([("HSET", key("to_call", district), no, resident)])

    async def to_call(self, districts: Sequence[str]) -> list[dict[str, bytes]]:
        """Each district's list: registration number -> resident key."""
        answers = await self._connection.plain([("HGETALL", key("to_call", district)) for district in districts])
        return [{no.decode(): resident for no, resident in items_of(answer)} for answer in answers]

    async def forget_call(self, district: str, *numbers: str) -> None:
        """They have been called, or it is over."""
        await self._connection.plain([("HDEL", key("to_call", district), *numbers)])


def _streams(answer: Any) -> list[tuple[Any, list[Any]]]:
    """XREADGROUP's answer: nothing, a list of (stream, entries), or a map from stream to a list of its entries.

    Which one depends on the protocol that the store's address asks for, and on whether the client takes it apart.
    """
    if not answer:
        return []
    if not isinstance(answer, dict):
        return list(answer)
    return [(name, entries if _is_entry(entries[0]) else entries[0]) for name, entries in answer.items() if entries]


def _is_entry(it: Any) -> bool:
    return len(it) == 2 and isinstance(it[0], bytes)


def _bytes_of(answer: Any) -> dict[str, bytes]:
    return {name.decode(): value for name, value in items_of(answer)}
