"""Joining: a resident gets a place in an opening, once."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import TypeVar

import msgspec

from server.core.clock import Clock
from server.core.errors import Invalid, PapersRefused, StoreUnavailable
from server.records.first_dose import Compared, FirstDoseRecord
from server.records.opening import Joined, Place
from server.registry.guesses import Guesses
from server.registry.registry import Applicant, Registry, Try
from server.store.coalescer import Coalescer
from server.store.connection import Connection
from server.waiting_room.draws import Draws
from server.waiting_room.opening import Opening
from server.waiting_room.openings import Openings
from server.waiting_room.store import OpeningStore
from server.waiting_room.tickets import Tickets

Answer = TypeVar("Answer")


class TicketIssued(msgspec.Struct):
    """What a resident is told on joining (contract, `POST /openings/{district}/tickets`)."""

    ticket: str
    entry: int
    number: int | None
    serving: int
    ahead: int | None
    eta_seconds: int | None
    poll_after_seconds: float
    state: str
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None


class Joining:
    """Gives places.

    Args:
        connection: where places are.
        clock: city time.
        registry: who is who.
        openings: those of today, and their lines.
        tickets: what proves a place.
        guesses: at what pace wrong papers are answered.
        draws: which of them this worker can bring to their end.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        registry: Registry,
        openings: Openings,
        tickets: Tickets,
        guesses: Guesses,
        draws: Draws,
    ) -> None:
        self._opening_store = OpeningStore(connection)
        self._clock = clock
        self._registry = registry
        self._openings = openings
        self._lines = openings.lines
        self._tickets = tickets
        self._guesses = guesses
        self._draws = draws
        self._looks: Coalescer[tuple[Try, str, date], Compared] = Coalescer(self._compare, max_batch=256)

    async def join(self, code: str, applicant: Applicant) -> tuple[TicketIssued, bool]:
        """Give a resident a place; (what to tell them, whether it is new).

        Order of the refusals: the opening, the papers, the person, the place. Where so many wrong names or phones were
        tried on a person that no papers are looked at, a code that was sent to the registry's phone opens the door.

        Raises:
            Refusal: any of the contract's codes for joining.
        """
        opening = self._openings.opening(code)
        now_ms = self._clock.now_ms()
        # A paused opening still knows its residents: they get their place again from the script.
        if not opening.opens_ms <= now_ms < opening.closes_ms:
            raise self._openings.refusal(opening, now_ms)
        # the day has just begun, or the store has not answered yet; or this worker could not bring the draw to its end
        if not opening.prepared or not self._draws.can_open(opening):
            raise StoreUnavailable
        one = await self._registry.whose(applicant)
        resident = one.resident
        if applicant.code:
            joined = await self._with_code(one, self._lines[opening.tag].joins.submit)
        else:
            try:  # as `_at_pace`: this is everyone's way
                joined = await self._lines[opening.tag].joins.submit(one)
            except PapersRefused as refusal:
                await self._guesses.hold(is_refused=refusal.code == "too-many-requests")
                raise
        entry, fresh = joined.entry, joined.fresh
        if entry is None:
            raise self._openings.no_place(opening, joined.status) if joined.status != "ok" else StoreUnavailable
        if not fresh and joined.drawn is not None:
            entry, fresh = await self._place_again(opening, joined.drawn, joined.serving, entry, resident)
        return self._tell_place(opening, resident, entry, joined, now_ms), fresh

    async def check(self, code: str, applicant: Applicant) -> tuple[date, FirstDoseRecord | None]:
        """Whether somebody may register at today's opening, or at the next one when that is over; takes no place.

        Returns:
            The opening's day, and what the registry says of them.

        Raises:
            Refusal: as `join`, but for an opening that has not begun.
        """
        opening = self._openings.opening(code)
        now_ms = self._clock.now_ms()
        if opening.state(now_ms) in ("maintenance", "unassigned"):
            raise self._openings.refusal(opening, now_ms)
        day = opening.day if now_ms < opening.closes_ms else opening.day + timedelta(days=1)
        one = await self._registry.whose(applicant)

        async def look(who: Try) -> FirstDoseRecord | None:
            known = await self._looks.submit((who, code, day))
            self._registry.admit(known, code, day)
            return known.first_dose

        if applicant.code:
            return day, await self._with_code(one, look)
        return day, await self._at_pace(look(one))

    async def _compare(self, batch: list[tuple[Try, str, date]]) -> list[Compared]:
        found: dict[int, Compared] = {}
        for code, day in dict.fromkeys((code, day) for _, code, day in batch):
            which = [i for i, (_, *where) in enumerate(batch) if where == [code, day]]
            found |= zip(
                which, await self._registry.compare([batch[i][0] for i in which], code, day, "eligibility"), strict=True
            )
        return [found[i] for i in range(len(batch))]

    async def _at_pace(self, work: Awaitable[Answer]) -> Answer:
        """What comes of it; a refusal that a guesser learns from, at the pace of all of these."""
        try:
            return await work
        except PapersRefused as refusal:
            await self._guesses.hold(is_refused=refusal.code == "too-many-requests")
            raise

    async def _with_code(self, one: Try, work: Callable[[Try], Awaitable[Answer]]) -> Answer:
        """What comes of it for somebody who shows a one-time code; a wrong one matters where the door is shut only."""
        is_proven = await self._registry.has_proved(one.resident, one.applicant)
        try:
            return await self._at_pace(work(Try(one.resident, one.applicant, is_proven)))
        except PapersRefused as refusal:
            if refusal.code != "too-many-requests" or is_proven:
                raise
            self._guesses.note_wrong_code()
            raise Invalid(("code", "wrong-code")) from None

    async def _place_again(
        self, opening: Opening, drawn: int, serving: int, entry: int, resident: bytes
    ) -> tuple[int, bool]:
        """The place a resident has; where that one is spent (missed, or its pass has lapsed), a new one at the back."""
        number = opening.drawing.number_among(drawn, entry)
        if number is None or number > serving:
            return entry, False
        status, place = await self._opening_store.rejoin(
            opening.tag, Place(entry, number, resident), opening.places_per_person, opening.floors.told.issued
        )
        if status == "rejoined" or status == "kept":
            return place, status == "rejoined"
        raise self._openings.no_place(opening, status)

    def _tell_place(self, opening: Opening, resident: bytes, entry: int, joined: Joined, now_ms: int) -> TicketIssued:
        ticket = self._tickets.issue(opening, entry, resident)
        number = None if joined.drawn is None else opening.drawing.number_among(joined.drawn, entry)
        if number is None:
            after = opening.poll_after_draw_s(entry, now_ms)
            return TicketIssued(ticket, entry, None, joined.serving, None, None, round(after, 1), "drawing")
        if number <= joined.serving:  # called meanwhile: the first poll says until when to claim
            return TicketIssued(ticket, entry, number, joined.serving, 0, 0, 1.0, "ready")
        ahead = opening.ahead(number, joined.serving)
        eta, low, high = opening.outlook(ahead, self._clock.now_ms())
        after = round(opening.poll_after_s(ahead), 1)
        return TicketIssued(ticket, entry, number, joined.serving, ahead, eta, after, "waiting", low, high)
