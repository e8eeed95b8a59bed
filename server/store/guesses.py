"""Papers compared with the registry's where nobody can guess them, and the operator's view of who tries."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio.cluster import RedisCluster

from server.core.keys import key, resident_tag
from server.store.caller import Caller, items_of
from server.store.connecting import Arg
from server.store.residents import FirstDoseRecord, record_decoder


class Limit(NamedTuple):
    """How many wrong names and phones may be tried on a person in a span of time, and in a longer one."""

    short_ms: int
    short_most: int
    long_ms: int
    long_most: int


class Compared(NamedTuple):
    """What the store knows of a person (see `Resident`), and whether the papers are theirs.

    `verdict`: 0 = they match, or there is nothing to match; > 0: not looked at, ms to wait; < 0: wrong, and by that one
    nothing more is looked at for -1 - `verdict` ms; None: an answer that was not understood.
    """

    first_dose: FirstDoseRecord | None
    stop: str | None
    verdict: int | None

    @property
    def is_reachable(self) -> bool:
        """Whether we have their name and phone."""
        return self.first_dose is not None and self.first_dose.contact != b""


class Locked(NamedTuple):
    """Somebody on whom so much was guessed that no papers are looked at for a time."""

    resident: bytes
    for_ms: int


class Guessed(NamedTuple):
    """In a district, in ten minutes: papers that were `wrong`, or `refused` unseen; people who are `locked` out now."""

    wrong: int
    refused: int
    locked: int


class GuessStore(Caller):
    """The scripts of the limit on wrong papers."""

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
        args: tuple[Arg, ...] = (*self._clock(), *limit, int(is_proven), int(is_free))
        tags = [resident_tag(resident) for resident, _ in people]
        if isinstance(self._client, RedisCluster):
            calls: list[tuple[list[str], tuple[Arg, ...]]] = [
                ([tag], (*args, matches)) for tag, (_, matches) in zip(tags, people, strict=True)
            ]
        else:
            calls = [(tags, (*args, *(matches for _, matches in people)))] if people else []
        answers = await self._run_each("check_papers", calls, waits=False)
        flat = answers[0] if len(answers) == 1 else [it for answer in answers for it in answer]
        decode = record_decoder.decode
        return [
            Compared(decode(record) if record else None, stop.decode() if stop else None, self._verdict(verdict))
            for record, stop, verdict in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]

    def _verdict(self, answer: Any) -> int | None:
        """As `Compared` has it; nothing but no word at all is a match."""
        if answer is None:
            return 0
        if not isinstance(answer, int) or answer == 0:
            self.unknown("check_papers", answer)
            return None
        return answer

    async def note_guesses(self, district: str, wrong: int, refused: int, locked: Sequence[Locked]) -> int:
        """Add to what the operator sees of a district; how many are locked out there now."""
        people = [it for each in locked for it in each]
        return int(await self._run("note_guesses", district, *self._clock(), wrong, refused, *people))

    async def guessed(self, districts: Sequence[str], now_ms: int) -> list[Guessed]:
        """How it stands with wrong papers in each district."""
        commands: list[tuple[Arg, ...]] = []
        for district in districts:
            commands.append(("HGETALL", key("wrong", district)))
            commands.append(("ZCOUNT", key("locked", district), f"({now_ms}", "+inf"))
        answers = await self._plain(commands)
        return [_guessed(answers[i], answers[i + 1], now_ms // 60_000) for i in range(0, len(answers), 2)]

    async def was_guessed_at(self, resident: bytes) -> bool:
        """Whether wrong papers have been tried on a person of late."""
        (found,) = await self._plain([("EXISTS", key("guesses", resident_tag(resident)))])
        return bool(found)


def _guessed(minutes: object, locked: int, this_minute: int) -> Guessed:
    totals = {b"wrong": 0, b"refused": 0}
    for name, count in items_of(minutes):
        minute, _, what = name.partition(b":")
        if 0 <= this_minute - int(minute) <= 10:
            totals[what] += int(count)
    return Guessed(totals[b"wrong"], totals[b"refused"], int(locked))
