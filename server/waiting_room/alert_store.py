"""Who is to be told of the call of their place, and what is due: the part of the store beside an opening."""

from collections.abc import Sequence
from functools import partial

from server.core.errors import BrokenRecord, UnknownStatus
from server.core.keys import key, resident_tag
from server.records.alert import (
    ASK_ALERTS,
    MORE_TIME,
    OWE_ALERT,
    START_CLAIM,
    AlertedStanding,
    AskStatus,
    DueAlert,
    DueAlerts,
    MoreTimeOutcome,
    OweStatus,
)
from server.records.opening import Place
from server.records.statuses import known
from server.store.connection import FeatureStore


class AlertStore(FeatureStore):
    """Each method with the name of a script runs it."""

    async def ask_alerts(self, tag: str, place: Place, lang: str, most: int) -> AskStatus:
        """The holder of a place (`number` 0: not known yet) is to be told of its call; empty `lang`: not any more."""
        args = (*self._connection.clock(), place.resident, place.entry, place.number, lang, most)
        return self._connection.read(ASK_ALERTS, await self._connection.run("ask_alerts", tag, *args))

    async def number_alerts(self, tag: str, numbers: Sequence[tuple[int, int]]) -> int:
        """The numbers of entries, as (entry, number); how many were not known."""
        return int(await self._connection.run("number_alerts", tag, *(x for pair in numbers for x in pair)))

    async def due_alerts(self, tag: str, near: int, far: int, most: int) -> DueAlerts:
        """What is due now: of those called within the lead, up to `far`, `near` and those before hear of their call
        alone."""
        args = (*self._connection.clock(), near, far, most)
        now_ms, unnumbered, *flat = await self._connection.run("due_alerts", tag, *args)
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        read = self._connection.decode_each(pairs, lambda pair: DueAlert.unpack(*pair))
        # What cannot be read is logged and counted there; the others are told all the same.
        due = [it for it in read if not isinstance(it, BrokenRecord)]
        return DueAlerts(now_ms, [int(entry) for entry in unnumbered], due)

    async def owe_alert(self, alerts: Sequence[tuple[bytes, str, str, str]]) -> list[OweStatus]:
        """Each (resident key, kind, place, what it says) is owed, once whoever says so."""
        calls = [
            (resident_tag(resident), (*self._connection.clock(), kind, place, about))
            for resident, kind, place, about in alerts
        ]
        answers = await self._connection.run_each("owe_alert", calls)
        return known(self._connection.read_each(answers, partial(self._connection.read, OWE_ALERT)))

    async def start_claim(
        self, places: Sequence[tuple[str, Place, int]]
    ) -> list[tuple[AlertedStanding, int] | UnknownStatus]:
        """(standing, until_ms) of each (tag, place, latest): its claim time counts from now on, or from `latest` where
        that is over; from its call where that is 0."""
        calls = [
            (tag, (*self._connection.clock(), place.resident, place.entry, place.number, latest))
            for tag, place, latest in places
        ]
        return self._connection.read_each(
            await self._connection.run_each("start_claim", calls),
            lambda answer: (self._connection.read(START_CLAIM, answer[0]), int(answer[1])),
        )

    async def more_time(self, tag: str, place: Place, more_ms: int) -> tuple[MoreTimeOutcome, int]:
        """(outcome, until_ms): more time for a called place, once."""
        args = (*self._connection.clock(), place.resident, place.entry, place.number, more_ms)
        outcome, until_ms = await self._connection.run("more_time", tag, *args)
        return self._connection.read(MORE_TIME, outcome), int(until_ms)

    async def settle_alerts(self, tag: str, whats: Sequence[str]) -> None:
        """These are owed: no worker has them in hand any more."""
        if whats:
            await self._connection.plain([("ZREM", key("telling", tag), *whats)])
