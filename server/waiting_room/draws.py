"""The openings' draws: their seeds, the blinds of their entries, what binds them, and their end.

When a draw is over, one step after the other is taken by whichever worker comes first, and any worker goes on where
another has died: the root over all entries is made public (`bind_draw`), the beacon's round is waited for, the key is
fixed and the seed revealed (`fix_draw`), and the store is told the numbers of those who have left (`close_draw`).
"""

import asyncio
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, assert_never

import structlog

from server.core.clock import Clock
from server.core.encryption import SeedCipher, Unreadable
from server.core.errors import Refusal
from server.core.keys import Pepper, night_seed_name
from server.fairness.beacon import randomness_of
from server.fairness.draw import BLIND_BYTES, SEED_BYTES, Draw, commitment, draw_key
from server.fairness.merkle import Proof
from server.store.connection import Connection
from server.waiting_room.drawing import Bound, Heard
from server.waiting_room.leaves import Leaves
from server.waiting_room.opening import Opening
from server.waiting_room.store import OpeningStore

if TYPE_CHECKING:
    from server.waiting_room.relays import Relays

log = structlog.get_logger()

_ROUNDS_AT_ONCE: Final = 400  # of numbers told to the store, some thousands each: as many as an opening can have left
_NO_RELAYS_MS: Final = 60_000
_NO_BEACON: Final = Heard("", "")


class Draws:
    """Begins draws, follows them, and brings them to their end.

    Args:
        connection: where they are.
        clock: city time.
        pepper: from which the blinds are.
        seeds: seals the seeds until they are revealed.
        relays: of the beacon, where the city names one.
    """

    def __init__(
        self, connection: Connection, clock: Clock, pepper: Pepper, seeds: SeedCipher, relays: "Relays | None" = None
    ) -> None:
        self._opening_store = OpeningStore(connection)
        self._clock = clock
        self._pepper = pepper
        self._seeds = seeds
        self._relays = relays
        self._leaves: dict[str, Leaves] = {}
        self._asked: dict[int, asyncio.Task[Heard]] = {}  # by round: most openings of a day have the same
        self._opened: dict[str, bool] = {}  # sealed seeds, and whether this worker can open them

    def begin(self, tag: str) -> tuple[str, str]:
        """(commitment, sealed seed) of a new draw."""
        seed = secrets.token_bytes(SEED_BYTES)
        return commitment(seed), self._seeds.seal(_of(tag), seed)

    def begin_night(self, opening: Opening) -> tuple[str, str]:
        """(commitment, sealed seed) of the night after an opening."""
        seed = secrets.token_bytes(SEED_BYTES)
        return commitment(seed), self._seeds.seal(night_seed_name(opening.district.code, opening.day), seed)

    def blinds(self, opening: Opening, residents: Iterable[bytes]) -> bytes:
        """The blinds of residents who join, one after the other; none where the draw is of the first version."""
        if opening.drawing.version == 1:
            return b""
        blind, tag = self._pepper.blind, opening.tag
        return b"".join([blind(tag, resident) for resident in residents])

    def can_open(self, opening: Opening) -> bool:
        """Whether this worker can bring the draw to its end: its sealed seed is one that our secrets open."""
        if opening.drawing.version == 1 or opening.drawing.key is not None:
            return True
        sealed = opening.drawing.sealed or ""
        if sealed not in self._opened:
            try:
                self._unseal(opening, sealed)
                self._opened[sealed] = True
            except Unreadable as error:
                log.error("sealed seed", opening=opening.tag, error=str(error))
                self._opened[sealed] = False
        return self._opened[sealed]

    async def follow(self, opening: Opening) -> None:
        """Take in the entries that have come, so that little is left to do when the draw is over."""
        it = opening.drawing
        if it.root is not None and opening.tag in self._leaves:
            self._leaves[opening.tag].release()
        elif it.version > 1 and it.root is None and opening.issued:
            await self._leaves_of(opening).follow(opening.issued if it.drawn is None else it.drawn)

    async def settle(self, opening: Opening) -> bool:
        """Take the steps of a draw's end that can be taken now; whether there was one."""
        it = opening.drawing
        if it.drawn is None or it.settled:
            return False
        if it.version == 1:
            await self._tell_leavers(opening.tag, Draw(it.seed, it.drawn))
            return True
        root = it.root or await self._bind(opening, it.drawn)
        if root is None:
            return True
        key = bytes.fromhex(it.key) if it.key else None
        if key is None:
            heard = self._heard(opening)
            if heard is None:
                return it.root is None
            key = await self._fix(opening, root, heard)
        if key is not None:
            await self._tell_leavers(opening.tag, Draw(key, it.drawn))
        return True

    async def prove(self, opening: Opening, entry: int, resident: bytes) -> tuple[bytes, str, Proof]:
        """(blind, root, proof) of an entry of a draw that is bound.

        Raises:
            Refusal: `not-found`: the entry is of no draw, or of none that is bound yet, or is another resident's.
        """
        it = opening.drawing
        if it.root is None or it.drawn is None or entry >= it.drawn:
            raise Refusal("not-found")
        blind, proof = await self._leaves_of(opening).prove(entry, it.drawn, it.root)
        if blind != self._pepper.blind(opening.tag, resident) and any(blind):
            raise Refusal("not-found")
        return blind, it.root, proof

    async def bound(self, tag: str) -> int:
        """How many entries the draw of an opening has, today's or an earlier one's, once its root is public.

        Raises:
            Refusal: `not-found`: there is none, or its leaves have been deleted since.
        """
        root, entries = await self._opening_store.bound(tag)
        if root is None:
            raise Refusal("not-found")
        return entries

    async def blinds_from(self, tag: str, start: int, count: int) -> bytes:
        """The blinds of so many entries of a draw that is bound, from this one on."""
        return (await self._opening_store.leaves(tag, start, count)).ljust(count * BLIND_BYTES, b"\0")

    def forget(self, tag: str) -> None:
        """That day is over."""
        self._leaves.pop(tag, None)
        self._asked = {number: task for number, task in self._asked.items() if not task.done()}

    def stop(self) -> None:
        """Ask nobody any more."""
        for task in self._asked.values():
            task.cancel()

    # Step by step

    async def _bind(self, opening: Opening, drawn: int) -> str | None:
        """The root that holds, once it is public; None where the store does not have this draw."""
        root = await self._leaves_of(opening).root(drawn)
        status, holds = await self._opening_store.bind_draw(opening.tag, drawn, root)
        match status:
            case "bound":
                return root
            case "kept":
                return holds
            case "early" | "absent":
                return None
            case _:
                assert_never(status)

    def _heard(self, opening: Opening) -> Heard | None:
        """What has come of asking for the beacon; None while nobody has answered and there is time."""
        bound = opening.drawing.bound(opening.draw_ms)
        if bound is None:
            return _NO_BEACON
        if self._relays is None:
            return self._without_relays(bound)
        task = self._asked.get(bound.round)
        if task is None:
            task = self._asked[bound.round] = asyncio.create_task(self._relays.ask(bound.round))
        return task.result() if task.done() else None

    def _without_relays(self, bound: Bound) -> Heard | None:
        """Another worker may know some; not for ever."""
        now_ms = self._clock.now_ms()
        if now_ms < bound.due_ms + _NO_RELAYS_MS and bound.chain.is_soon(bound.round, now_ms):
            return None
        return Heard("", f"round {bound.round} was asked of nobody: the city file names no relays any more")

    async def _fix(self, opening: Opening, root: str, heard: Heard) -> bytes | None:
        """The key, once it is fixed; None where another worker was first."""
        seed = self._unseal(opening, opening.drawing.sealed or "")
        randomness = randomness_of(heard.signature) if heard.signature else b""
        key = draw_key(seed, opening.tag, root, randomness)
        status = await self._opening_store.fix_draw(
            opening.tag, root, signature=heard.signature, no_beacon=heard.missing, seed=seed, draw_key=key
        )
        if status == "fixed":
            log.info("draw", opening=opening.tag, root=root, beacon=bool(heard.signature), missing=heard.missing)
        return key if status == "fixed" else None

    async def _tell_leavers(self, tag: str, numbers: Draw) -> None:
        """Tell the store the numbers of those who left; the first call may begin then."""
        told: list[int] = []
        after = 0
        for _ in range(_ROUNDS_AT_ONCE):
            status, _, after, entries = await self._opening_store.close_draw(tag, told, after)
            if status != "unsettled":
                return
            told = [numbers.number(entry) for entry in entries]

    def _unseal(self, opening: Opening, sealed: str) -> bytes:
        seed = self._seeds.unseal(_of(opening.tag), sealed)
        if commitment(seed) != opening.drawing.commitment:
            raise Unreadable(f"draw {opening.tag}: its sealed seed is not the one that was committed to")
        return seed

    def _leaves_of(self, opening: Opening) -> Leaves:
        if opening.tag not in self._leaves:
            self._leaves[opening.tag] = Leaves(self._opening_store, opening.tag)
        return self._leaves[opening.tag]


def _of(tag: str) -> str:
    return f"draw {tag}"
