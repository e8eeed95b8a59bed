"""Claiming: a called ticket becomes a pass, or its place is given up; and what becomes of the pass."""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import structlog

from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import Refusal, StoreUnavailable
from server.core.tokens import Forged, Signer, Token, TokenKind
from server.records.opening import Place
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.waiting_room.giving_back import GivingBack
from server.waiting_room.opening import Opening
from server.waiting_room.openings import Openings
from server.waiting_room.store import OpeningStore
from server.waiting_room.tickets import Tickets

log = structlog.get_logger()


class Claiming:
    """Gives passes, reads them and frees them.

    Args:
        city: time zone.
        connection: where places are.
        clock: city time.
        signer: signs passes.
        openings: those of today, and their lines.
        tickets: reads them.
        giving_back: of places that the store has forgotten.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        signer: Signer,
        openings: Openings,
        tickets: Tickets,
        giving_back: GivingBack,
    ) -> None:
        self._city = city
        self._opening_store = OpeningStore(connection)
        self._registry_store = RegistryStore(connection)
        self._clock = clock
        self._signer = signer
        self._openings = openings
        self._lines = openings.lines
        self._tickets = tickets
        self._giving_back = giving_back

    async def claim(self, text: str | bytes) -> tuple[str, datetime, bool]:
        """Turn a called ticket into a pass; (pass, expiry, whether it is new).

        Raises:
            Refusal: `not-your-turn`, `expired` (missed, lapsed or left), `used`, `ended`, ...
        """
        token, opening = self._tickets.read(text)
        now_ms = self._clock.now_ms()
        number = opening.number(token.entry)
        if number is None:
            if now_ms >= opening.closes_ms:
                raise self._openings.ended(opening)
            raise not_your_turn(None, opening.poll_after_draw_s(token.entry, now_ms))
        # The store may be a tick ahead of this worker, not more: who is far from their turn costs no store call.
        ahead = opening.ahead(number, opening.serving)
        if ahead > 2 * opening.rate + 10 and now_ms < opening.closes_ms:
            raise not_your_turn(ahead, opening.poll_after_s(ahead))
        place = Place(token.entry, number, token.resident)
        outcome, until_ms = await self._lines[opening.tag].claims.submit(place)
        if outcome == "lost":
            kept = await self._giving_back.give_back(opening, token)
            if kept.entry != token.entry:
                raise Refusal("expired", state="missed")  # who joins again has that place
            outcome, until_ms = await self._lines[opening.tag].claims.submit(place)
        match outcome:
            case "fresh" | "claimed":
                return *self._pass(token, until_ms), outcome == "fresh"
            case "waiting" | "ready":
                ahead = opening.ahead(number, opening.serving)
                raise not_your_turn(ahead, opening.poll_after_s(ahead))
            case "used":
                raise Refusal("used")
            case "ended":
                raise self._openings.ended(opening)
            case "absent" | "lost" | "held":
                raise StoreUnavailable
            case "left":
                raise Refusal("expired", state="left")
            case "missed" | "lapsed":
                raise Refusal("expired", state="missed")
            case _:
                assert_never(outcome)

    def _pass(self, ticket: Token, until_ms: int) -> tuple[str, datetime]:
        """The pass of a claimed place, and its expiry."""
        claim = Token(
            ticket.district, ticket.day, ticket.entry, ticket.resident, until_ms // 1000, window=ticket.window
        )
        return self._signer.sign(TokenKind.PASS, claim), from_ms(until_ms, self._city.tz)

    async def leave(self, text: str | bytes) -> None:
        """Give a place up; again changes nothing.

        Raises:
            Refusal: `used` once the place has been claimed.
        """
        token, opening = self._tickets.read(text)
        for _ in range(3):
            place = Place(token.entry, opening.number(token.entry) or 0, token.resident)
            status = await self._opening_store.leave(opening.tag, place)
            match status:
                case "unsettled" | "unnumbered":  # the draw has closed under this worker's eyes
                    await self._openings.catch_up(opening)
                case "used":
                    raise Refusal("used")
                case "absent":
                    raise StoreUnavailable
                case "left":
                    opening.left.add(token.entry)
                    await self._registry_store.unenrol(token.resident)
                    return
                case "gone":
                    return
                case _:
                    assert_never(status)
        raise StoreUnavailable

    def read_pass(self, text: str | bytes) -> tuple[Token, Opening | None]:
        """A pass, and the opening of today that it is of; the expiry is for the store's clock to judge.

        Raises:
            Refusal: `forged`.
        """
        try:
            token = self._signer.read(TokenKind.PASS, text)
        except Forged:
            raise Refusal("forged") from None
        return token, self._openings.of(token)

    async def release(self, tokens: Sequence[Token]) -> None:
        """Free passes that have done their work; if the store is away, they lapse by themselves."""
        ours: dict[str, list[Place]] = {}
        for token in tokens:
            opening = self._openings.of(token)
            if opening is not None:
                place = Place(token.entry, opening.number(token.entry) or 0, token.resident)
                ours.setdefault(opening.tag, []).append(place)
        for tag, places in ours.items():
            with contextlib.suppress(Refusal):
                statuses = await self._opening_store.release(tag, places)
                for place, status in zip(places, statuses, strict=True):
                    if status == "other":  # if both register, the night gives one of them another number
                        log.error("entry of two residents", opening=tag, entry=place.entry)


def not_your_turn(ahead: int | None, poll_after_s: float) -> Refusal:
    """Their number has not been called yet."""
    seconds = max(1, round(poll_after_s))
    return Refusal("not-your-turn", retry_after_seconds=seconds, ahead=ahead, poll_after_seconds=seconds)
