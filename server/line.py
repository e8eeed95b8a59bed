"""The shared store calls of one opening: those who wait at the same moment travel together."""

from server.clock import Clock
from server.errors import Refusal
from server.opening import Opening
from server.registry import Applicant, Registry
from server.store import Coalescer, Store
from server.store.store import Joined, Place, Resident

_LINGER_SECONDS = 0.005


class Line:
    """The joins, looks and claims of one opening that are waiting for the store.

    Args:
        store: where they go.
        clock: city time.
        registry: who may have a place.
        opening: whose line.
    """

    def __init__(self, store: Store, clock: Clock, registry: Registry, opening: Opening) -> None:
        tag = opening.tag
        self.opening = opening
        self.joins: Coalescer[tuple[bytes, Applicant], Joined] = Coalescer(
            self._admit_and_join, linger_s=_LINGER_SECONDS
        )
        self.claims: Coalescer[Place, tuple[str, int]] = Coalescer(
            lambda batch: store.claim(tag, batch), linger_s=_LINGER_SECONDS
        )
        self.standings: Coalescer[Place, tuple[str, int]] = Coalescer(
            lambda batch: store.standing(tag, batch), linger_s=_LINGER_SECONDS
        )
        self._store = store
        self._registry = registry
        self._clock = clock

    async def _admit_and_join(self, batch: list[tuple[bytes, Applicant]]) -> list[Joined | Exception]:
        """Look everyone up in one call, then give places to those who may have one in a second.

        Of whom we have no name and phone, as of all who come for a first dose, they are kept before the answer is
        given; where two give themselves out for one, the second gets no ticket.
        """
        opening = self.opening
        known = await self._registry.look_up([resident for resident, _ in batch])
        answers: dict[int, Joined | Exception] = {}
        for i, ((resident, applicant), what) in enumerate(zip(batch, known, strict=True)):
            try:
                self._registry.admit(resident, what, applicant, opening.district.code, opening.day)
            except Refusal as refusal:
                answers[i] = refusal
        admitted = [i for i in range(len(batch)) if i not in answers]
        if admitted:
            joined = await self._store.join(opening.tag, [batch[i][0] for i in admitted])
            answers |= zip(admitted, joined, strict=True)
            unreached = [
                i
                for i, place in zip(admitted, joined, strict=True)
                if place.entry is not None and not known[i].is_reachable
            ]
            answers |= await self._keep_contacts(unreached, batch, known)
        return [answers[i] for i in range(len(batch))]

    async def _keep_contacts(
        self, unreached: list[int], batch: list[tuple[bytes, Applicant]], known: list[Resident]
    ) -> dict[int, Refusal]:
        """Keep the names and phones that we have not got; refusals of those whose are not the ones that hold."""
        if not unreached:
            return {}
        lives_ms = max(1, self.opening.tickets_expire_s * 1000 - self._clock.now_ms())
        people = [(*batch[i], known[i]) for i in unreached]
        held = await self._registry.enrol(people, self.opening.district.code, lives_ms)
        return {i: Refusal("identity-mismatch") for i, is_theirs in zip(unreached, held, strict=True) if not is_theirs}
