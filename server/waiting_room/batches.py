"""The shared store calls of one opening: those who wait at the same moment travel together."""

from collections.abc import Iterable, Sequence

from server.core.clock import Clock
from server.core.errors import Refusal, UnknownStatus
from server.records.first_dose import Compared
from server.records.opening import Claimed, Joined, Place, Stood
from server.registry.registry import Registry, Try
from server.store.coalescer import Coalescer
from server.store.connection import Connection
from server.waiting_room.draws import Draws
from server.waiting_room.opening import Opening
from server.waiting_room.store import OpeningStore

_LINGER_SECONDS = 0.005


class Batches:
    """The joins, looks and claims of one opening that are waiting for the store.

    Args:
        connection: where they go.
        clock: city time.
        registry: who may have a place.
        draws: blinds the entries.
        opening: whose line.
    """

    def __init__(
        self, connection: Connection, clock: Clock, registry: Registry, draws: Draws, opening: Opening
    ) -> None:
        tag = opening.tag
        self.opening = opening
        self.joins: Coalescer[Try, Joined] = Coalescer(self._admit_and_join, max_calls=2, linger_s=_LINGER_SECONDS)
        self.claims: Coalescer[Place, Claimed] = Coalescer(self._claim, linger_s=_LINGER_SECONDS)
        self.standings: Coalescer[Place, Stood] = Coalescer(
            lambda batch: OpeningStore(connection).standing(tag, batch), linger_s=_LINGER_SECONDS
        )
        self._opening_store = OpeningStore(connection)
        self._registry = registry
        self._draws = draws
        self._clock = clock

    async def _admit_and_join(self, batch: list[Try]) -> list[Joined | Exception]:
        """Look everyone up, with their papers compared, in one call; then give places in a second one.

        Of whom we have no name and phone, as of all who come for a first dose, they are kept before the answer is
        given; where two give themselves out for one, the second gets no ticket.
        """
        opening = self.opening
        known = await self._registry.compare(batch, opening.district.code, opening.day, "join")
        answers: dict[int, Joined | Exception] = self._refusals(range(len(batch)), known)
        admitted = [i for i in range(len(batch)) if i not in answers]
        if admitted:
            wanted = [batch[i].resident for i in admitted]
            floors, blinds = opening.floors, self._draws.blinds(opening, wanted)
            joined = await self._opening_store.join(
                opening.tag, wanted, opening.places_per_person, floors.told.issued, blinds
            )
            floors.follow_joins(joined)
            answers |= zip(admitted, joined, strict=True)
            unreached = [
                i
                for i, place in zip(admitted, joined, strict=True)
                if isinstance(place, Joined) and place.entry is not None and not known[i].is_reachable
            ]
            answers |= await self._keep_contacts(unreached, batch, known)
        return [answers[i] for i in range(len(batch))]

    async def _claim(self, batch: list[Place]) -> list[Claimed | UnknownStatus]:
        outcomes, claimed = await self._opening_store.claim(self.opening.tag, batch)
        self.opening.floors.reach(claimed=claimed)
        return outcomes

    def _refusals(self, whose: Iterable[int], known: Sequence[Compared]) -> dict[int, Joined | Exception]:
        refusals: dict[int, Joined | Exception] = {}
        for i, what in zip(whose, known, strict=True):
            try:
                self._registry.admit(what, self.opening.district.code, self.opening.day)
            except Refusal as refusal:
                refusals[i] = refusal
        return refusals

    async def _keep_contacts(
        self, unreached: list[int], batch: list[Try], known: list[Compared]
    ) -> dict[int, Joined | Exception]:
        """Keep the names and phones that we have not got; refusals of those whose are not the ones that hold."""
        if not unreached:
            return {}
        lives_ms = max(1, self.opening.tickets_expire_s * 1000 - self._clock.now_ms())
        code = self.opening.district.code
        is_first = await self._registry.enrol([(batch[i], known[i]) for i in unreached], code, lives_ms)
        later = [i for i, first in zip(unreached, is_first, strict=True) if not first]
        # By now there is something to compare with, and to guess: as any other papers.
        held = await self._registry.compare([batch[i] for i in later], code, self.opening.day, "join")
        return self._refusals(later, held)
