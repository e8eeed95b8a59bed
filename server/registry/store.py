"""The registry's part of the store: who is known by which papers, and how much was guessed at them."""

from collections.abc import Sequence
from typing import Any

from server.core.errors import BrokenRecord
from server.core.keys import key, resident_tag
from server.records.fields import Arg, items_of
from server.records.first_dose import (
    Compared,
    FirstDoseRecord,
    GuessCounts,
    Limit,
    Locked,
    Resident,
    pack,
    unpack,
    unpack_any,
)
from server.records.registration_changes import DROP_RECORD, REPLACE_RECORD, TRY_CODE, UNENROL
from server.records.statuses import known
from server.store.connection import FeatureStore


class RegistryStore(FeatureStore):
    """Each method with the name of a script runs it; the others only read or write."""

    async def residents(self, residents: Sequence[bytes]) -> list[Resident]:
        """What is known of each resident key.

        Raises:
            BrokenRecord: of one of them it cannot be read.
        """
        return known(await self.read_residents(residents))

    async def read_residents(self, residents: Sequence[bytes]) -> list[Resident | BrokenRecord]:
        """The same, for who goes on with the others where one cannot be read."""
        wanted: list[tuple[bytes, bytes]] = []
        for resident in residents:
            tag = resident_tag(resident).encode()
            wanted.append((b"registry:{%b}" % tag, b"stop:{%b}" % tag))
        if self._connection.is_cluster:  # a person's two keys share a slot, two persons do not
            pairs = await self._connection.plain([("MGET", *pair) for pair in wanted])
        else:
            (flat,) = await self._connection.plain([("MGET", *(k for pair in wanted for k in pair))])
            pairs = list(zip(flat[::2], flat[1::2], strict=True))
        return self._connection.decode_each(
            pairs, lambda pair: Resident(unpack_any(pair[0]), pair[1].decode() if pair[1] else None)
        )

    async def records(self, residents: Sequence[bytes]) -> list[FirstDoseRecord | None]:
        """The registry's line of each resident.

        Raises:
            BrokenRecord: one of them cannot be read.
        """
        return known(await self.read_records(residents))

    async def read_records(self, residents: Sequence[bytes]) -> list[FirstDoseRecord | BrokenRecord | None]:
        """The same, for who goes on with the others where one cannot be read."""
        keys = [key("registry", resident_tag(resident)) for resident in residents]
        if not keys:
            return []
        if self._connection.is_cluster:
            found = await self._connection.plain([("GET", k) for k in keys])
        else:
            (found,) = await self._connection.plain([("MGET", *keys)])
        return self._connection.decode_each(found, unpack_any)

    async def keep_first_doses(self, records: Sequence[tuple[bytes, FirstDoseRecord]]) -> None:
        """Write registry lines; a later line of the same person replaces the earlier."""
        await self._connection.plain([("SET", key("registry", resident_tag(r)), pack(record)) for r, record in records])

    async def enrol(self, records: Sequence[tuple[bytes, FirstDoseRecord]], lives_ms: int) -> list[FirstDoseRecord]:
        """Keep what people without a registry line typed, for a time; the record that holds for each of them."""
        calls = [(resident_tag(r), (pack(record), lives_ms)) for r, record in records]
        return known(self._connection.decode_each(await self._connection.run_each("enrol", calls), unpack))

    async def unenrol(self, resident: bytes) -> bool:
        """Forget what somebody typed for a first dose, unless they have registered; False where there is nothing."""
        return self._connection.read(UNENROL, await self._connection.run("unenrol", resident_tag(resident)))

    async def replace_record(self, changes: Sequence[tuple[str, bytes, bytes]]) -> list[bool]:
        """Put packed registry lines in the place of those that were read, for each (tag, old, new); False where a
        line has changed since."""
        calls = [(tag, (old, new)) for tag, old, new in changes]
        return [
            self._connection.read(REPLACE_RECORD, answer)
            for answer in await self._connection.run_each("replace_record", calls)
        ]

    async def drop_record(self, tags: Sequence[str]) -> int:
        """Delete the registry lines of residents without a registration; how many."""
        answers = await self._connection.run_each("drop_record", [(tag, ()) for tag in tags])
        return sum(self._connection.read(DROP_RECORD, answer) for answer in answers)

    async def check_papers(
        self, people: Sequence[tuple[bytes, bytes]], limit: Limit, *, is_proven: bool, is_free: bool
    ) -> list[Compared]:
        """Compare and count, for each (resident key, hashes of name and phone), in this order.

        Nothing waits for the replicas: a failover may forget the wrong ones of a moment.

        Args:
            people: whom, with what they typed.
            limit: for each person.
            is_proven: whether they have shown a code that was sent to the registry's phone.
            is_free: whether those of whom nothing is known pass: first doses are given.
        """
        args: tuple[Arg, ...] = (*self._connection.clock(), *limit, int(is_proven), int(is_free))
        tags = [resident_tag(resident) for resident, _ in people]
        if self._connection.is_cluster:
            calls: list[tuple[list[str], tuple[Arg, ...]]] = [
                ([tag], (*args, matches)) for tag, (_, matches) in zip(tags, people, strict=True)
            ]
        else:
            calls = [(tags, (*args, *(matches for _, matches in people)))] if people else []
        answers = await self._connection.run_each("check_papers", calls, waits=False)
        flat = answers[0] if len(answers) == 1 else [it for answer in answers for it in answer]
        records = self._connection.decode_each(flat[::3], unpack_any)
        return [
            # Whose line cannot be read is not let in, nor is anybody else kept out.
            Compared(None, None, None)
            if isinstance(record, BrokenRecord)
            else Compared(record, stop.decode() if stop else None, self._verdict(verdict))
            for record, stop, verdict in zip(records, flat[1::3], flat[2::3], strict=True)
        ]

    def _verdict(self, answer: Any) -> int | None:
        """As `Compared` has it; nothing but no word at all is a match."""
        if answer is None:
            return 0
        if not isinstance(answer, int) or answer == 0:
            self._connection.unknown("check_papers", answer)
            return None
        return answer

    async def note_guesses(self, district: str, wrong: int, refused: int, locked: Sequence[Locked]) -> int:
        """Add to what the operator sees of a district; how many are locked out there now."""
        people = [it for each in locked for it in each]
        return int(
            await self._connection.run("note_guesses", district, *self._connection.clock(), wrong, refused, *people)
        )

    async def guessed(self, districts: Sequence[str], now_ms: int) -> list[GuessCounts]:
        """How it stands with wrong papers in each district."""
        commands: list[tuple[Arg, ...]] = []
        for district in districts:
            commands.append(("HGETALL", key("wrong", district)))
            commands.append(("ZCOUNT", key("locked", district), f"({now_ms}", "+inf"))
        answers = await self._connection.plain(commands)
        return [_guessed(answers[i], answers[i + 1], now_ms // 60_000) for i in range(0, len(answers), 2)]

    async def was_guessed_at(self, resident: bytes) -> bool:
        """Whether wrong papers have been tried on a person of late."""
        (found,) = await self._connection.plain([("EXISTS", key("guesses", resident_tag(resident)))])
        return bool(found)

    async def try_code(self, resident: bytes, digest: bytes, most: int, *, spend: bool, attempt: bytes = b"") -> bool:
        """Whether a one-time code is right; with `spend` a right one is gone, a wrong one counts in any case.

        The `attempt` that spent it (a keyed hash, empty = none) finds it right once more for a minute.
        """
        args = (*self._connection.clock(), digest, most, int(spend), attempt)
        return self._connection.read(TRY_CODE, await self._connection.run("try_code", resident_tag(resident), *args))


def _guessed(minutes: object, locked: int, this_minute: int) -> GuessCounts:
    totals = {b"wrong": 0, b"refused": 0}
    for name, count in items_of(minutes):
        minute, _, what = name.partition(b":")
        if 0 <= this_minute - int(minute) <= 10:
            totals[what] += int(count)
    return GuessCounts(totals[b"wrong"], totals[b"refused"], int(locked))
