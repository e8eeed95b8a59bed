"""The waiting room's part of the store: the scripts of an opening, its places, calls and passes."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from server.core.errors import UnknownStatus
from server.core.keys import key
from server.fairness.draw import BLIND_BYTES
from server.records.fields import Arg, fields_of
from server.records.opening import (
    ADJUST,
    BIND_DRAW,
    CLAIM,
    CLAIM_OUTCOME,
    CLOSE_DRAW,
    FIX_DRAW,
    JOIN,
    JOIN_WITHOUT_PLACE,
    LEAVE,
    PREPARE,
    REJOIN,
    RELEASE,
    STANDING,
    STANDING_OF_PLACE,
    Advance,
    BindDrawStatus,
    Claimed,
    CloseDrawStatus,
    FixDrawStatus,
    Joined,
    JoinStatus,
    LeaveStatus,
    NoPlace,
    OpeningRecord,
    OpeningStatus,
    Place,
    RejoinStatus,
    ReleaseStatus,
    Stood,
    Told,
)
from server.records.promise import CALIBRATE, CalibrateStatus, Calibration
from server.records.statuses import Statuses
from server.store.connection import FeatureStore

S = TypeVar("S")

_MOST_STEPS = 32
MOST_LEFT = 5000
"""So many entries given up one `advance` tells at most."""
_NOTHING = Told()


class OpeningStore(FeatureStore):
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
        beacon: str,
        commitment: str,
        sealed: str,
        night_commitment: str,
        night_sealed: str,
    ) -> bool:
        """Create the opening or let it follow the timetable; False once somebody has joined."""
        times = (opens_ms, draw_ms, closes_ms, claim_ms, pass_ms, grace_ms)
        seeds = (commitment, sealed, night_commitment, night_sealed)
        status = await self._connection.run("prepare", tag, *times, poll_budget, rate, max_active, beacon, *seeds)
        return self._connection.read(PREPARE, status) == "prepared"

    async def join(
        self, tag: str, residents: Sequence[bytes], most: int = 0, issued: int = 0, blinds: bytes = b""
    ) -> list[Joined | UnknownStatus]:
        """A place for each resident key, or the one they have; none for who has given up `most` (0 = no such bound).

        `issued`: so many have been given, as the caller was told. `blinds`: of their entries, 16 bytes each, kept while
        the draw is open; none where it is of the first version.
        """
        args = (*self._connection.clock(), b"".join(residents), most, issued, blinds)
        answer, *rest = await self._connection.run("join", tag, *args)
        status = self._connection.read(JOIN, answer)
        if status == "absent":
            return [Joined(status, None, None, False)] * len(residents)
        drawn, serving = rest[0] if rest[0] >= 0 else None, rest[1]
        if min(rest[2:]) >= 0:  # as nearly always
            return [Joined(status, drawn, it >> 1, bool(it & 1), serving) for it in rest[2:]]

        def place(it: int) -> Joined:
            if it >= 0:
                return Joined(status, drawn, it >> 1, bool(it & 1), serving)
            return Joined(self._no_place(status, it), drawn, None, False, serving)

        return self._connection.read_each(rest[2:], place)

    def _no_place(self, status: JoinStatus, answer: int) -> NoPlace:
        """Why a resident has been given no place."""
        why = self._connection.read(JOIN_WITHOUT_PLACE, answer)
        if why != "none":
            return why
        if status == "ok":  # an opening that is on gives one, or says why not
            raise self._connection.unknown("join", answer)
        return status

    async def rejoin(self, tag: str, place: Place, most: int = 0, issued: int = 0) -> tuple[RejoinStatus, int]:
        """(status, entry): a place at the back for one whose earlier place is spent, or the one that the store has
        forgotten; `most` and `issued` as for `join`."""
        args = (*self._connection.clock(), place.resident, place.entry, place.number, most, issued)
        answer = await self._connection.run("rejoin", tag, *args)
        return self._connection.read(REJOIN, answer[0]), answer[1]

    async def bind_draw(self, tag: str, drawn: int, root: str) -> tuple[BindDrawStatus, str]:
        """(status, the root that holds): make the root (hex) over the entries of a draw public."""
        args = (*self._connection.clock(), drawn, root)
        status, holds = await self._connection.run("bind_draw", tag, *args)
        return self._connection.read(BIND_DRAW, status), holds.decode()

    async def fix_draw(
        self, tag: str, root: str, *, signature: str, no_beacon: str, seed: bytes, draw_key: bytes
    ) -> FixDrawStatus:
        """Fix the key of a draw with this root, reveal its seed; the status."""
        args = (*self._connection.clock(), root, signature, no_beacon, seed.hex(), draw_key.hex())
        return self._connection.read(FIX_DRAW, await self._connection.run("fix_draw", tag, *args))

    async def close_draw(
        self, tag: str, numbers: Sequence[int] = (), after: int = 0
    ) -> tuple[CloseDrawStatus, int, int, list[int]]:
        """(status, N, after how many of those who left, entries whose numbers are asked for); `numbers` and `after`
        answer an earlier call."""
        args = (*self._connection.clock(), after, *numbers)
        status, drawn, asked_after, *entries = await self._connection.run("close_draw", tag, *args)
        return self._connection.read(CLOSE_DRAW, status), drawn, asked_after, [int(e) for e in entries]

    async def promises(self, tag: str) -> Calibration:
        """What was told of the wait in an opening, and how it turned out."""
        (stored,) = await self._connection.plain([("GET", key("promises", tag))])
        return Calibration.unpack(stored)

    async def calibrate(self, tag: str, before: str, promise: str, kept: str) -> CalibrateStatus:
        """Make a promise public that follows another one, and keep what the next one follows from; the status."""
        return self._connection.read(CALIBRATE, await self._connection.run("calibrate", tag, before, promise, kept))

    async def bound(self, tag: str) -> tuple[str | None, int]:
        """(root, N) of an opening's draw; no root where it is not bound, or its leaves are not kept any more."""
        (root, drawn), is_there = await self._connection.plain(
            [("HMGET", key("opening", tag), "root", "drawn"), ("EXISTS", key("leaves", tag))]
        )
        entries = int(drawn or 0)
        return (root.decode() if root and (is_there or not entries) else None), entries

    async def leaves(self, tag: str, start: int, count: int) -> bytes:
        """The blinds of so many entries of the draw from this one on, 16 bytes each, or as many as there are."""
        (found,) = await self._connection.plain(
            [("GETRANGE", key("leaves", tag), start * BLIND_BYTES, (start + count) * BLIND_BYTES - 1)]
        )
        return bytes(found)

    async def advance(
        self, wanted: Sequence[tuple[str, int]], told: Mapping[str, Told] = MappingProxyType({})
    ) -> list[Advance]:
        """Advance each (tag, left_seen) and tell how it stands, all in one round trip; `told`: what was told before, by
        tag."""
        calls = [
            (tag, (*self._connection.clock(), left_seen, _MOST_STEPS, MOST_LEFT, *told.get(tag, _NOTHING)))
            for tag, left_seen in wanted
        ]
        return [_advance(*answer) for answer in await self._connection.run_each("advance", calls)]

    async def issued(self, tag: str) -> int | None:
        """How many places an opening has given, as the store knows; None where it has not been prepared."""
        ((count,),) = await self._connection.plain([("HMGET", key("opening", tag), "issued")])
        return None if count is None else int(count)

    async def standing(self, tag: str, places: Sequence[Place]) -> list[Stood | UnknownStatus]:
        """(standing, until_ms) of each place."""
        flat = [x for place in places for x in place]
        answer = await self._connection.run("standing", tag, *self._connection.clock(), *flat)
        return self._pairs(answer, len(places), STANDING, STANDING_OF_PLACE)

    async def claim(self, tag: str, places: Sequence[Place]) -> tuple[list[Claimed | UnknownStatus], int]:
        """(outcome, until_ms) of each ticket; and how many places of the opening are claimed."""
        flat = [x for place in places for x in place]
        status, *rest = await self._connection.run("claim", tag, *self._connection.clock(), *flat)
        return self._pairs([status, *rest[1:]], len(places), CLAIM, CLAIM_OUTCOME), rest[0] if rest else 0

    async def release(self, tag: str, places: Sequence[Place]) -> list[ReleaseStatus | UnknownStatus]:
        """Free the passes of those who have registered; what came of each. `number` 0: not known."""
        answers = await self._connection.run("release", tag, *(x for place in places for x in place))
        return self._connection.read_each(answers, partial(self._connection.read, RELEASE))

    async def leave(self, tag: str, place: Place) -> LeaveStatus:
        """Give a place up; the status."""
        answer = await self._connection.run(
            "leave", tag, *self._connection.clock(), place.resident, place.entry, place.number
        )
        return self._connection.read(LEAVE, answer)

    async def adjust(self, tag: str, actor: str, hold_ms: int, changes: Mapping[str, Arg]) -> bool:
        """The operator's changes; False where the opening has not been prepared."""
        flat = [x for change in changes.items() for x in change]
        answer = await self._connection.run("adjust", tag, *self._connection.clock(), actor, hold_ms, *flat)
        return self._connection.read(ADJUST, answer) == "adjusted"

    def _pairs(
        self, answer: list[Any], count: int, whole: Statuses[OpeningStatus], each: Statuses[S]
    ) -> list[tuple[S | Literal["absent"], int] | UnknownStatus]:
        """(what, until_ms) of each of so many places, of an answer that begins with the opening's status."""
        status, *rest = answer
        if self._connection.read(whole, status) == "absent":
            return [("absent", 0)] * count

        def pair(it: tuple[Any, int]) -> tuple[S | Literal["absent"], int]:
            return self._connection.read(each, it[0]), it[1]

        return self._connection.read_each(zip(rest[::2], rest[1::2], strict=True), pair)


def _advance(now_ms: int, alive: int, fields: Any, left: list[bytes]) -> Advance:
    opening = OpeningRecord.unpack(fields_of(fields)) if fields else None
    return Advance(now_ms, alive, opening, [int(entry) for entry in left])
