"""Holders of a place who close the page are told of its call: who asks for it, and what workers have owed to them.

Any worker may do it, at any time and several at once: what is due is given to one of them (`due_alerts`), each kind
is owed once a place (`owe_alert`), whoever died in between. What a message says is worked out when it is due; until
when a place may be claimed, once more when it goes out. No poll has any part in it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal, assert_never

import msgspec
import structlog

from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import Refusal, StoreUnavailable
from server.records.alert import DueAlert
from server.records.message import About
from server.records.opening import Place
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.waiting_room.alert_store import AlertStore
from server.waiting_room.claiming import not_your_turn
from server.waiting_room.opening import Opening
from server.waiting_room.openings import Openings
from server.waiting_room.tickets import Tickets

log = structlog.get_logger()

_PAUSE_SECONDS: Final = 0.5
_MOST_AT_ONCE: Final = 500
# Who has less than this share of the lead to wait hears of their call alone.
_NEAR_SHARE: Final = 0.5
_A_DAY_MS: Final = 86_400_000

Asked = Literal["asked", "withdrawn", "called", "full", "off"]


class Alerts:
    """Tells residents of their calls, by what they are owed in the outbox.

    Args:
        city: whether and when.
        connection: where places and messages are.
        clock: city time.
        openings: those of today.
        tickets: reads them.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, openings: Openings, tickets: Tickets) -> None:
        self._city, self._calls, self._policy = city, city.calls, city.policy
        self._store = AlertStore(connection)
        self._pointers = Pointers(connection)
        self._clock = clock
        self._openings = openings
        self._tickets = tickets

    async def ask(self, text: str | bytes, lang: str) -> Asked:
        """The holder of a ticket is to be told of its call in this language; empty: not any more.

        Returns:
            `called`: it has been their turn; `full`: as many are told as the city pays for; `off`: nobody is told.

        Raises:
            Refusal: `forged`, `expired` (another day's, or the place is not theirs any more), `ended`.
        """
        token, opening = self._tickets.read(text)
        if not self._calls.sms:
            return "off"
        place = Place(token.entry, opening.number(token.entry) or 0, token.resident)
        status = await self._store.ask_alerts(opening.tag, place, lang, self._calls.places_per_opening)
        match status:
            case "asked" | "withdrawn" | "called" | "full":
                return status
            case "other":
                raise Refusal("expired", state="missed")
            case "ended":
                raise self._openings.ended(opening)
            case "absent":
                raise StoreUnavailable
            case _:
                assert_never(status)

    async def more_time(self, text: str | bytes) -> tuple[datetime, bool]:
        """More time for the holder of a called ticket, once; (until when they may come in, whether it is more now).

        Raises:
            Refusal: as `claim`.
        """
        token, opening = self._tickets.read(text)
        number = opening.number(token.entry)
        if number is None:
            raise not_your_turn(None, opening.poll_after_draw_s(token.entry, self._clock.now_ms()))
        place = Place(token.entry, number, token.resident)
        outcome, until_ms = await self._store.more_time(opening.tag, place, self._calls.more_time_seconds * 1000)
        match outcome:
            case "extended" | "ready":
                return from_ms(until_ms, self._city.tz), outcome == "extended"
            case "waiting":
                ahead = opening.ahead(number, opening.serving)
                raise not_your_turn(ahead, opening.poll_after_s(ahead))
            case "claimed" | "used":
                raise Refusal("used")
            case "missed" | "lapsed" | "lost":
                raise Refusal("expired", state="missed")
            case "left":
                raise Refusal("expired", state="left")
            case "absent":
                raise StoreUnavailable
            case _:
                assert_never(outcome)

    async def run(self) -> None:
        """Have what is due owed, until cancelled."""
        while self._calls.sms:
            try:
                await self.tell_due()
            except StoreUnavailable:
                pass
            except Exception:  # what was in hand is given out again
                log.exception("telling of calls failed")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def tell_due(self) -> int:
        """Have what is due now owed; how many messages."""
        now_ms = self._clock.now_ms()
        return sum([await self._tell(it) for it in self._openings.of_today() if it.alerts and it.is_on(now_ms)])

    async def _tell(self, opening: Opening) -> int:
        lead_s = self._calls.lead_minutes * 60
        near, far = called_within(opening, lead_s * _NEAR_SHARE), called_within(opening, lead_s)
        told = 0
        while True:
            _, unnumbered, due = await self._store.due_alerts(opening.tag, near, far, _MOST_AT_ONCE)
            numbers = [(entry, number) for entry in unnumbered if (number := opening.number(entry))]
            if numbers:
                await self._store.number_alerts(opening.tag, numbers)
            told += await self._owe(opening, due)
            if len(due) < _MOST_AT_ONCE and len(numbers) < _MOST_AT_ONCE:
                return told

    async def _owe(self, opening: Opening, due: Sequence[DueAlert]) -> int:
        if not due:
            return 0
        encode = msgspec.json.Encoder().encode
        statuses = await self._store.owe_alert(
            [
                (it.resident, it.kind, f"{opening.tag}:{it.entry}", encode(self._about(opening, it)).decode())
                for it in due
            ]
        )
        # In this order: a crash leaves what is given out again, and nothing of it is owed twice.
        await self._pointers.write_pointers([(opening.district.code, it.resident) for it in due])
        await self._store.settle_alerts(opening.tag, [it.what for it in due])
        return statuses.count("owed")

    def _about(self, opening: Opening, it: DueAlert) -> About:
        about = About(opening=opening.tag, entry=it.entry, number=it.number, lang=it.lang, until_ms=it.until_ms)
        now_ms = self._clock.now_ms()
        match it.kind:
            case "near":
                _, low_s, high_s = opening.outlook(opening.ahead(it.number, opening.serving), now_ms)
                begins_ms, ends_ms = now_ms + round((low_s or 0) * 1000), now_ms + round((high_s or 0) * 1000)
                return msgspec.structs.replace(about, from_ms=begins_ms, until_ms=ends_ms)
            case "turn":
                if not self._calls.counts_from_message(opening.tag, it.entry):
                    return about
                policy = self._policy
                latest_ms = it.until_ms + (self._calls.message_within_seconds - policy.claim_seconds) * 1000
                return msgspec.structs.replace(about, latest_ms=latest_ms)
            case "missed":
                return msgspec.structs.replace(about, until_ms=opening.closes_ms)
            case "uncalled":
                return msgspec.structs.replace(about, until_ms=now_ms + _A_DAY_MS)
            case _:
                assert_never(it.kind)


def called_within(opening: Opening, seconds: float) -> int:
    """The highest number that is expected to be called within so many seconds."""
    return _last(opening.serving, opening.issued, lambda number: _wait_s(opening, number) <= seconds)


def _wait_s(opening: Opening, number: int) -> float:
    wait_s = opening.eta_s(opening.ahead(number, opening.serving))
    return float("inf") if wait_s is None else wait_s


def _last(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The last of the numbers after `low` up to `high` of which it holds, as of all before it; `low` where of none."""
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
