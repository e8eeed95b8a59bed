"""Polling: how a ticket stands; from memory until its number is called."""

from typing import Literal, NamedTuple, TypeAlias, assert_never

import msgspec

from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import StoreUnavailable
from server.core.tokens import Signer, Token, TokenKind
from server.records.opening import Place
from server.waiting_room.giving_back import GivingBack
from server.waiting_room.opening import Opening
from server.waiting_room.openings import STALE_MS, Openings
from server.waiting_room.tickets import Tickets

Kept: TypeAlias = Literal["waiting", "ready", "claimed", "lapsed", "used", "missed", "left"]
"""How a place stands that is its holder's."""


class TicketStatus(msgspec.Struct):
    """What a resident is told at each poll (contract, `GET /ticket`)."""

    state: str
    number: int | None
    serving: int
    ahead: int | None
    eta_seconds: int | None
    poll_after_seconds: float
    claim_before: str | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None
    ticket: str | msgspec.UnsetType = msgspec.UNSET


class Called(NamedTuple):
    """A ticket whose number has been called, or whose place the store may have forgotten: how it stands is for the
    store to say."""

    token: Token
    opening: Opening
    number: int


class Polling:
    """Tells residents how their tickets stand.

    Args:
        city: time zone and policy.
        clock: city time.
        signer: renews tickets that an earlier secret has signed.
        openings: those of today, and their lines.
        tickets: reads them.
        giving_back: of places that the store has forgotten.
    """

    def __init__(
        self, city: City, clock: Clock, signer: Signer, openings: Openings, tickets: Tickets, giving_back: GivingBack
    ) -> None:
        self._city = city
        self._clock = clock
        self._signer = signer
        self._lines = openings.lines
        self._tickets = tickets
        self._giving_back = giving_back

    def poll(self, text: str | bytes) -> TicketStatus | Called:
        """How a ticket stands, from this worker's memory; one that has been called is for `poll_called`.

        It may be called beside the event loop: what it reads of an opening does not change meanwhile.

        Raises:
            Refusal: `forged`, `expired`, `store-unavailable` (the memory is too old to speak).
        """
        token, opening = self._tickets.read(text)
        with opening.following:
            status = self._from_memory(token, opening)
        if token.stale_key and isinstance(status, TicketStatus):
            status.ticket = self._signer.sign(TokenKind.TICKET, token)
        return status

    def _from_memory(self, token: Token, opening: Opening) -> TicketStatus | Called:
        now_ms = self._clock.now_ms()
        if now_ms - opening.seen_ms > STALE_MS:
            raise StoreUnavailable
        entry, serving = token.entry, opening.serving
        number = opening.number(entry)
        floors = opening.floors
        if (floors.gaps or entry >= floors.told.issued) and floors.is_unsure(entry) and now_ms < opening.closes_ms:
            return Called(token, opening, number or 0)
        if opening.left.any and entry in opening.left:
            return TicketStatus("left", number, serving, None, None, 3600.0)
        if number is not None and number <= serving:
            return Called(token, opening, number)
        if now_ms >= opening.closes_ms:
            return TicketStatus("ended", number, serving, None, None, 3600.0)
        if number is None:
            after = opening.poll_after_draw_s(entry, now_ms)
            return TicketStatus("drawing", None, serving, None, None, round(after, 1))
        ahead = opening.ahead(number, serving)
        eta, low, high = opening.outlook(ahead, now_ms)
        after = round(opening.poll_after_s(ahead), 1)
        return TicketStatus("waiting", number, serving, ahead, eta, after, None, low, high)

    async def poll_called(self, called: Called) -> TicketStatus:
        """How a ticket stands whose number has been called; shares a store call with others.

        Raises:
            Refusal: `store-unavailable`; where its place is lost and no other is given now, what a join would be told.
        """
        ticket, opening, _ = called
        status = None if opening.floors.is_unsure(ticket.entry) else await self._of_the_store(called)
        if status is None:
            kept = await self._giving_back.give_back(opening, ticket)
            with opening.following:
                found = self._from_memory(kept, opening)
            status = await self._of_the_store(found) if isinstance(found, Called) else found
            if status is None:  # lost again in this very moment
                raise StoreUnavailable
            if kept.entry != ticket.entry:
                status.ticket = self._signer.sign(TokenKind.TICKET, kept)
        if ticket.stale_key and status.ticket is msgspec.UNSET:
            status.ticket = self._signer.sign(TokenKind.TICKET, ticket)
        return status

    async def _of_the_store(self, called: Called) -> TicketStatus | None:
        """How the place of a called number stands; None where it is lost."""
        token, opening, number = called
        place = Place(token.entry, number, token.resident)
        standing, until_ms = await self._lines[opening.tag].standings.submit(place)
        if standing == "absent":  # this worker's view is ahead of a store that was set back: wait for the next tick
            raise StoreUnavailable
        if standing == "lost":
            return None
        if not number:  # the store has the place, and this worker is to learn its number with the next tick
            raise StoreUnavailable
        state = _state_of(standing)
        status = TicketStatus(state, number, opening.serving, 0, 0, 3600.0)
        if state == "waiting":
            status.poll_after_seconds = 1.0
        elif state == "ready":
            status.poll_after_seconds = float(self._city.policy.poll_floor_seconds)
            status.claim_before = from_ms(until_ms, self._city.tz).isoformat()
        return status


def _state_of(standing: Kept) -> Literal["waiting", "ready", "claimed", "missed", "left"]:
    """What a resident is told of it."""
    match standing:
        case "waiting" | "ready" | "claimed" | "missed" | "left":
            return standing
        case "used":
            return "claimed"
        case "lapsed":
            return "missed"
        case _:
            assert_never(standing)
