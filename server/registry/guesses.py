"""Who tries names, phones and codes that are not theirs: the limit on that, its pace, and what the operator sees."""

import asyncio
from collections import Counter
from time import monotonic

import structlog

from server.core.city import City
from server.core.errors import StoreUnavailable
from server.core.metrics import GuessedCall, Metrics
from server.records.first_dose import Limit, Locked
from server.registry.store import RegistryStore
from server.store.connection import Connection

log = structlog.get_logger()

_SHORT_MS = 600_000
_LONG_MS = 86_400_000
# Held back at the same time, as what is held back takes memory; a flood is answered at once.
_MOST_HELD = 64
# Of the time for which a refusal is held back: what is told to who has mistyped for the first time.
_TOLD_SHARE = 0.25
_LOG_SECONDS = 60.0


class Guesses:
    """Counts them in this worker, and tells the store and the metrics.

    Args:
        city: how many are borne.
        connection: adds up what all workers have seen.
        metrics: of this machine.
    """

    def __init__(self, city: City, connection: Connection, metrics: Metrics) -> None:
        policy = city.policy
        self.limit = Limit(_SHORT_MS, policy.wrong_papers_in_ten_minutes, _LONG_MS, policy.wrong_papers_in_a_day)
        self._registry_store = RegistryStore(connection)
        self._metrics = metrics
        self._wrong: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._locked: dict[str, list[Locked]] = {}
        self._quiet_until: dict[str, float] = {}
        self._held = 0
        self._held_seconds = policy.wrong_papers_held_seconds

    def note(self, call: GuessedCall, district: str, resident: bytes, verdict: int) -> None:
        """Papers did not match, or were not looked at (see `Compared.verdict`)."""
        locks = verdict < -1
        self._metrics.guessed(call, refused=verdict > 0, locks=locks)
        (self._refused if verdict > 0 else self._wrong)[district] += 1
        if locks:
            self._locked.setdefault(district, []).append(Locked(resident, -1 - verdict))

    def note_wrong_code(self) -> None:
        """A one-time code was wrong, which has a limit of its own."""
        self._metrics.guessed("code", refused=False, locks=False)

    async def hold(self, *, is_refused: bool) -> None:
        """Hold back the answer to wrong papers, whatever is wrong with them.

        A program on a few connections gets nowhere by that, and takes nothing from those who join beside it.

        Args:
            is_refused: they were not looked at, or are a one-time code; else a resident may just have mistyped.
        """
        if self._held >= _MOST_HELD:
            return
        self._held += 1
        try:
            await asyncio.sleep(self._held_seconds * (1 if is_refused else _TOLD_SHARE))
        finally:
            self._held -= 1

    async def flush(self) -> None:
        """Tell the store what has been counted; and the log where somebody is locked out, once a minute, without names.

        Raises:
            StoreUnavailable: it is kept for the next time.
        """
        for district in self._wrong.keys() | self._refused.keys():
            wrong, refused = self._wrong.pop(district, 0), self._refused.pop(district, 0)
            locked = self._locked.pop(district, [])
            try:
                now_locked = await self._registry_store.note_guesses(district, wrong, refused, locked)
            except StoreUnavailable:
                self._wrong[district] += wrong
                self._refused[district] += refused
                self._locked[district] = locked + self._locked.get(district, [])
                raise
            if (locked or refused) and monotonic() >= self._quiet_until.get(district, 0.0):
                self._quiet_until[district] = monotonic() + _LOG_SECONDS
                log.warning("papers guessed", district=district, wrong=wrong, refused=refused, locked=now_locked)
