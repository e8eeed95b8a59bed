"""The scripts of an opening: places, calls, passes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from server.store.caller import Caller, fields_of
from server.store.connecting import Arg

_MOST_STEPS = 32
MOST_LEFT = 5000
"""So many entries given up one `advance` tells at most."""

# What `join` answers where it gives no place though the opening is on.
_WITHOUT_PLACE = {-2: "spent", -3: "full"}


class Joined(NamedTuple):
    """Answer of `join` to one resident; `entry` is None where none was given (`status` says why)."""

    status: str
    drawn: int | None
    entry: int | None
    fresh: bool
    serving: int = 0


class Advance(NamedTuple):
    """How an opening stands: its fields, and the entries given up that the caller did not know."""

    now_ms: int
    passes_alive: int
    fields: dict[str, str]
    left: list[int]


class Place(NamedTuple):
    """A place whose number is known."""

    entry: int
    number: int
    resident: bytes


class OpeningStore(Caller):
    """Each method runs the script of its name on the keys of one opening."""

    async def prepare(
        self,
        tag: str,
        *,
        opens_ms: int,
        draw_ms: int,
        closes_ms: int,
        claim_ms: int,
        pass_ms: int,
        grace_ms: int,
        poll_budget: float,
        rate: float,
        max_active: int,
        seed: bytes,
        night_seed: bytes,
    ) -> bool:
        """Create the opening or let it follow the timetable; False once somebody has joined."""
        times = (opens_ms, draw_ms, closes_ms, claim_ms, pass_ms, grace_ms)
        status = await self._run("prepare", tag, *times, poll_budget, rate, max_active, seed.hex(), night_seed.hex())
        return bool(status == b"prepared")

    async def join(self, tag: str, residents: Sequence[bytes], most: int = 0) -> list[Joined]:
        """A place for each resident key, or the one they have; none for who has given up `most` (0 = no such bound)."""
        status, *rest = await self._run("join", tag, *self._clock(), b"".join(residents), most)
        status = status.decode()
        if status == "absent":
            return [Joined(status, None, None, False)] * len(residents)
        drawn, serving = rest[0] if rest[0] >= 0 else None, rest[1]
        return [
            Joined(status, drawn, answer >> 1, bool(answer & 1), serving)
            if answer >= 0
            else Joined(_WITHOUT_PLACE.get(answer, status), drawn, None, False, serving)
            for answer in rest[2:]
        ]

    async def rejoin(self, tag: str, place: Place, most: int = 0) -> tuple[str, int]:
        """(status, entry): a place at the back for one whose earlier place is spent; `most` as for `join`."""
        answer = await self._run("rejoin", tag, *self._clock(), place.resident, place.entry, place.number, most)
        return answer[0].decode(), answer[1]

    async def close_draw(self, tag: str, numbers: Sequence[int] = ()) -> tuple[str, int, list[int]]:
        """(status, N, entries whose numbers are asked for)."""
        status, drawn, *entries = await self._run("close_draw", tag, *self._clock(), *numbers)
        return status.decode(), drawn, [int(e) for e in entries]

    async def advance(self, wanted: Sequence[tuple[str, int]]) -> list[Advance]:
        """Advance each (tag, left_seen) and tell how it stands, all in one round trip."""
        calls = [(tag, (*self._clock(), left_seen, _MOST_STEPS, MOST_LEFT)) for tag, left_seen in wanted]
        return [_advance(*answer) for answer in await self._run_each("advance", calls)]

    async def standing(self, tag: str, places: Sequence[Place]) -> list[tuple[str, int]]:
        """(standing, until_ms) of each place."""
        flat = [x for p in places for x in (p.entry, p.number)]
        return _pairs(await self._run("standing", tag, *self._clock(), *flat), len(places))

    async def claim(self, tag: str, places: Sequence[Place]) -> list[tuple[str, int]]:
        """(outcome, until_ms) of each ticket."""
        flat = [x for p in places for x in p]
        return _pairs(await self._run("claim", tag, *self._clock(), *flat), len(places))

    async def release(self, tag: str, entries: Sequence[int]) -> int:
        """Free the passes of those who have registered; how many were not free yet."""
        return int(await self._run("release", tag, *entries))

    async def leave(self, tag: str, place: Place) -> str:
        """Give a place up; the status."""
        answer = await self._run("leave", tag, *self._clock(), place.resident, place.entry, place.number)
        return str(answer.decode())

    async def adjust(self, tag: str, actor: str, hold_ms: int, changes: Mapping[str, Arg]) -> bool:
        """The operator's changes; False where the opening has not been prepared."""
        flat = [x for change in changes.items() for x in change]
        return bool(await self._run("adjust", tag, *self._clock(), actor, hold_ms, *flat) == b"adjusted")


def _pairs(answer: list[Any], count: int) -> list[tuple[str, int]]:
    status, *rest = answer
    if status == b"absent":
        return [("absent", 0)] * count
    return [(outcome.decode(), until) for outcome, until in zip(rest[::2], rest[1::2], strict=True)]


def _advance(now_ms: int, alive: int, fields: Any, left: list[bytes]) -> Advance:
    return Advance(now_ms, alive, fields_of(fields), [int(entry) for entry in left])
