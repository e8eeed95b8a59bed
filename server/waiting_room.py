"""The waiting room: places, polls, claims. Knows the rules and nothing of HTTP."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import structlog

from server.city import City, District
from server.clock import Clock, from_ms, to_ms
from server.errors import Refusal, StoreUnavailable
from server.opening import Opening
from server.registry import Applicant, Registry
from server.store import Coalescer, Store
from server.store.store import Joined, Place
from server.tokens import Forged, Kind, Signer, Token

log = structlog.get_logger()

_TICK_SECONDS = 0.25
_IDLE_TICKS = 20
_LINGER_SECONDS = 0.005
# A worker that has not heard from the store for so long no longer speaks for it.
_STALE_MS = 15_000


class TicketStatus(msgspec.Struct):
    """What a resident is told at each poll (contract, `GET /ticket`)."""

    state: str
    number: int | None
    serving: int
    ahead: int | None
    eta_seconds: int | None
    poll_after_seconds: float
    claim_before: str | None = None
    ticket: str | msgspec.UnsetType = msgspec.UNSET


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


class WaitingRoom:
    """Every district's opening of today, behind one store.

    Args:
        city: districts, windows, policy.
        store: where the truth is.
        clock: city time.
        signer: signs tickets and passes.
        registry: who is who, and who may register.
    """

    def __init__(self, city: City, store: Store, clock: Clock, signer: Signer, registry: Registry) -> None:
        self._city = city
        self._store = store
        self._clock = clock
        self._signer = signer
        self._registry = registry
        self._openings: dict[str, Opening] = {}
        self._lines: dict[str, _Line] = {}
        self._ticks = 0

    # Following the store

    async def run(self) -> None:
        """Keep the openings moving and this worker's view of them fresh, until cancelled."""
        while True:
            try:
                await self.tick()
            except StoreUnavailable:
                await asyncio.sleep(secrets.randbelow(500) / 1000)
            except Exception:
                log.exception("tick failed")
            await asyncio.sleep(_TICK_SECONDS)

    async def tick(self) -> None:
        """One look at the store: advance the openings of now, and now and then see how the others stand."""
        self._turn_to_today()
        everything = self._ticks % _IDLE_TICKS == 0
        self._ticks += 1
        now_ms = self._clock.now_ms()
        wanted = [o for o in self._openings.values() if o.assigned and (everything or o.is_on(now_ms))]
        if not wanted:
            return
        await self._look(wanted)
        again = [o for o in wanted if await self._mend(o)]
        if again:
            await self._look(again)

    async def _look(self, openings: Sequence[Opening]) -> None:
        news = await self._store.advance([(o.tag, o.left_seen) for o in openings])
        for opening, report in zip(openings, news, strict=True):
            opening.follow(report)
        self._clock.follow(news[-1].now_ms)

    async def _mend(self, opening: Opening) -> bool:
        """Prepare an opening that is not in the store, or settle its draw; whether anything was done."""
        if not opening.follows_the_city_file:
            policy, district = self._city.policy, opening.district
            await self._store.prepare(
                opening.tag,
                opens_ms=opening.opens_ms,
                draw_ms=opening.draw_ms,
                closes_ms=opening.closes_ms,
                claim_ms=policy.claim_seconds * 1000,
                pass_ms=policy.pass_seconds * 1000,
                grace_ms=policy.grace_seconds * 1000,
                poll_budget=policy.poll_budget_per_second,
                rate=policy.rate_per_second if district.rate_per_second is None else district.rate_per_second,
                max_active=policy.max_active if district.max_active is None else district.max_active,
                seed=secrets.token_bytes(32),
            )
            return True
        if opening.drawn is not None and not opening.settled:
            await self._settle(opening)
            return True
        return False

    async def _settle(self, opening: Opening) -> None:
        """Tell the store the numbers of those who left during the draw; the first call may begin then."""
        _, drawn, leavers = await self._store.close_draw(opening.tag)
        if leavers:
            numbers = [opening.number_among(drawn, entry) for entry in leavers]
            await self._store.close_draw(opening.tag, numbers)

    def _turn_to_today(self) -> None:
        today = self.now().date()
        for district in self._city.districts:
            opening = self._openings.get(district.code)
            if opening is None or opening.day != today:
                self._openings[district.code] = opening = Opening(self._city, district, today)
                self._lines[district.code] = _Line(self._store, opening.tag, partial(self._admit_and_join, opening))

    # Anyone

    def now(self) -> datetime:
        """City time, to the second."""
        return from_ms(self._clock.now_ms(), self._city.tz)

    def opening(self, code: str) -> Opening:
        """Today's opening of a district.

        Raises:
            Refusal: `not-found`.
        """
        try:
            return self._openings[code]
        except KeyError:
            raise Refusal("not-found") from None

    def openings(self) -> list[Opening]:
        """Today's openings that have a window."""
        return [opening for opening in self._openings.values() if opening.assigned]

    def next_opens_at(self, district: District) -> datetime | None:
        """When the district's next opening begins."""
        times = self._city.next_opening(district, self.now())
        return times[0] if times else None

    def fresh(self) -> bool:
        """Whether this worker has lately heard from the store."""
        seen = [o.seen_ms for o in self._openings.values() if o.assigned]
        return bool(seen) and self._clock.now_ms() - max(seen) < _STALE_MS

    # Joining

    async def join(self, code: str, applicant: Applicant) -> tuple[TicketIssued, bool]:
        """Give a resident a place; (what to tell them, whether it is new).

        Order of the refusals: the opening, the papers, the person, the place.

        Raises:
            Refusal: any of the contract's codes for joining.
        """
        opening = self.opening(code)
        now_ms = self._clock.now_ms()
        # A paused opening still knows its residents: they get their place again from the script.
        if not opening.opens_ms <= now_ms < opening.closes_ms:
            raise self._refusal(opening, now_ms)
        if not opening.prepared:  # the day has just begun, or the store has not answered yet
            raise StoreUnavailable
        resident = self._registry.identify(applicant)
        joined = await self._lines[code].joins.submit((resident, applicant))
        entry, fresh = joined.entry, joined.fresh
        if entry is None:
            raise self._refused_join(opening, joined)
        if not fresh and joined.drawn is not None:
            entry, fresh = await self._place_again(opening, joined, resident)
        return self._tell_place(opening, resident, entry, joined, now_ms), fresh

    async def _admit_and_join(self, opening: Opening, batch: list[tuple[bytes, Applicant]]) -> list[Joined | Exception]:
        """Look everyone up in one call, then give places to those who may have one in a second."""
        known = await self._store.residents([resident for resident, _ in batch])
        answers: list[Joined | Exception | None] = []
        admitted = []
        for (resident, applicant), what in zip(batch, known, strict=True):
            try:
                self._registry.admit(resident, what, applicant, opening.district.code, opening.day)
            except Refusal as refusal:
                answers.append(refusal)
            else:
                answers.append(None)
                admitted.append(resident)
        joined = iter(await self._store.join(opening.tag, admitted) if admitted else ())
        return [next(joined) if answer is None else answer for answer in answers]

    async def _place_again(self, opening: Opening, joined: Joined, resident: bytes) -> tuple[int, bool]:
        """The place a resident has; where that one is spent (missed, or its pass has lapsed), a new one at the back."""
        entry = joined.entry
        assert entry is not None and joined.drawn is not None  # noqa: S101
        number = opening.number_among(joined.drawn, entry)
        if number > joined.serving:
            return entry, False
        status, place = await self._store.rejoin(opening.tag, Place(entry, number, resident))
        if place < 0:
            raise self._refused_join(opening, Joined(status, joined.drawn, None, False, joined.serving))
        return place, status == "rejoined"

    def _tell_place(self, opening: Opening, resident: bytes, entry: int, joined: Joined, now_ms: int) -> TicketIssued:
        ticket = self._signer.sign(Kind.TICKET, self._ticket(opening, entry, resident))
        if joined.drawn is None:
            after = opening.poll_after_draw_s(entry, now_ms)
            return TicketIssued(ticket, entry, None, joined.serving, None, None, round(after, 1), "drawing")
        number = opening.number_among(joined.drawn, entry)
        if number <= joined.serving:  # called meanwhile: the first poll says until when to claim
            return TicketIssued(ticket, entry, number, joined.serving, 0, 0, 1.0, "ready")
        ahead = number - joined.serving - 1
        after = opening.poll_after_s(ahead)
        return TicketIssued(
            ticket, entry, number, joined.serving, ahead, _whole(opening.eta_s(ahead)), round(after, 1), "waiting"
        )

    def _ticket(self, opening: Opening, entry: int, resident: bytes) -> Token:
        return Token(opening.district.code, opening.day, entry, resident, opening.tickets_expire_s)

    def _refused_join(self, opening: Opening, joined: Joined) -> Refusal:
        if joined.status == "absent":
            return StoreUnavailable()
        now_ms = self._clock.now_ms()
        if joined.status == "early":
            return self._not_open(opening.opens_ms, now_ms)
        if joined.status == "ended":
            return self._ended(opening)
        return Refusal("paused", retry_after_seconds=_spread(30), message=opening.message or None)

    def _refusal(self, opening: Opening, now_ms: int) -> Refusal:
        """Why nobody can join this opening now."""
        state = opening.state(now_ms)
        if state == "unassigned":
            return Refusal("not-open", retry_after_seconds=86_400, opens_at=None)
        if state == "maintenance":
            opens_at = self.next_opens_at(opening.district)
            wait_s = -(-(to_ms(opens_at) - now_ms) // 1000) if opens_at else 86_400
            return Refusal("maintenance", retry_after_seconds=max(1, wait_s), opens_at=opens_at)
        if now_ms < opening.opens_ms:
            return self._not_open(opening.opens_ms, now_ms)
        return self._ended(opening)

    def _not_open(self, opens_ms: int, now_ms: int) -> Refusal:
        wait_s = max(1, -(-(opens_ms - now_ms) // 1000))
        return Refusal("not-open", retry_after_seconds=wait_s, opens_at=from_ms(opens_ms, self._city.tz))

    def _ended(self, opening: Opening) -> Refusal:
        return Refusal("ended", next_opens_at=self.next_opens_at(opening.district))

    # Polling

    def read_ticket(self, text: str | bytes) -> tuple[Token, Opening]:
        """A ticket and the opening it is for.

        Raises:
            Refusal: `forged`, or `expired` when it is another day's.
        """
        try:
            token = self._signer.read(Kind.TICKET, text)
        except Forged:
            raise Refusal("forged") from None
        opening = self._openings.get(token.district)
        if opening is None or token.day != opening.day:
            raise Refusal("expired")
        return token, opening

    def poll(self, text: str | bytes) -> TicketStatus | None:
        """How a ticket stands, from this worker's memory; None for one that has been called: ask `poll_called`.

        Raises:
            Refusal: `forged`, `expired`, `store-unavailable` (the memory is too old to speak).
        """
        token, opening = self.read_ticket(text)
        now_ms = self._clock.now_ms()
        if now_ms - opening.seen_ms > _STALE_MS:
            raise StoreUnavailable
        entry, serving = token.entry, opening.serving
        number = opening.number(entry)
        if entry in opening.left:
            status = TicketStatus("left", number, serving, None, None, 3600.0)
        elif number is not None and number <= serving:
            return None
        elif now_ms >= opening.closes_ms:
            status = TicketStatus("ended", number, serving, None, None, 3600.0)
        elif number is None:
            after = opening.poll_after_draw_s(entry, now_ms)
            status = TicketStatus("drawing", None, serving, None, None, round(after, 1))
        else:
            ahead = number - serving - 1
            after = opening.poll_after_s(ahead)
            status = TicketStatus("waiting", number, serving, ahead, _whole(opening.eta_s(ahead)), round(after, 1))
        if token.stale_key:
            status.ticket = self._signer.sign(Kind.TICKET, token)
        return status

    async def poll_called(self, text: str | bytes) -> TicketStatus:
        """How a ticket stands whose number has been called; shares a store call with others."""
        token, opening = self.read_ticket(text)
        place = self._place(token, opening)
        standing, until_ms = await self._lines[token.district].standings.submit(place)
        state = _STATE_OF_STANDING.get(standing)
        if state is None:  # this worker's view is ahead of a store that was set back: wait for the next tick
            raise StoreUnavailable
        status = TicketStatus(state, place.number, opening.serving, 0, 0, 3600.0)
        if state == "waiting":
            status.poll_after_seconds = 1.0
        elif state == "ready":
            status.poll_after_seconds = float(self._city.policy.poll_floor_seconds)
            status.claim_before = from_ms(until_ms, self._city.tz).isoformat()
        if token.stale_key:
            status.ticket = self._signer.sign(Kind.TICKET, token)
        return status

    def _place(self, token: Token, opening: Opening) -> Place:
        number = opening.number(token.entry)
        assert number is not None  # noqa: S101  (callers have looked)
        return Place(token.entry, number, token.resident)

    # Claiming and leaving

    async def claim(self, text: str | bytes) -> tuple[str, datetime, bool]:
        """Turn a called ticket into a pass; (pass, expiry, whether it is new).

        Raises:
            Refusal: `not-your-turn`, `expired` (missed, lapsed or left), `used`, `ended`, ...
        """
        token, opening = self.read_ticket(text)
        now_ms = self._clock.now_ms()
        number = opening.number(token.entry)
        if number is None:
            if now_ms >= opening.closes_ms:
                raise self._ended(opening)
            raise _not_your_turn(None, opening.poll_after_draw_s(token.entry, now_ms))
        # The store may be a tick ahead of this worker, not more: who is far from their turn costs no store call.
        if number > opening.serving + 2 * opening.rate + 10 and now_ms < opening.closes_ms:
            ahead = number - opening.serving - 1
            raise _not_your_turn(ahead, opening.poll_after_s(ahead))
        place = Place(token.entry, number, token.resident)
        outcome, until_ms = await self._lines[token.district].claims.submit(place)
        if outcome in ("fresh", "claimed"):
            expires_at = from_ms(until_ms, self._city.tz)
            claim = Token(token.district, token.day, token.entry, token.resident, until_ms // 1000)
            return self._signer.sign(Kind.PASS, claim), expires_at, outcome == "fresh"
        if outcome in ("waiting", "ready"):
            ahead = max(0, number - opening.serving - 1)
            raise _not_your_turn(ahead, opening.poll_after_s(ahead))
        if outcome == "used":
            raise Refusal("used")
        if outcome == "ended":
            raise self._ended(opening)
        if outcome == "absent":
            raise StoreUnavailable
        raise Refusal("expired", state="left" if outcome == "left" else "missed")

    async def leave(self, text: str | bytes) -> None:
        """Give a place up; again changes nothing.

        Raises:
            Refusal: `used` once the place has been claimed.
        """
        token, opening = self.read_ticket(text)
        for _ in range(3):
            place = Place(token.entry, opening.number(token.entry) or 0, token.resident)
            status = await self._store.leave(opening.tag, place)
            if status in ("unsettled", "unnumbered"):  # the draw has closed under this worker's eyes
                await self._look([opening])
                await self._mend(opening)
                continue
            if status == "used":
                raise Refusal("used")
            if status == "absent":
                raise StoreUnavailable
            if status == "left":
                opening.left.add(token.entry)
            return
        raise StoreUnavailable

    # Passes

    def read_pass(self, text: str | bytes) -> tuple[Token, Opening | None]:
        """A pass, and today's opening of its district; the expiry is for the store's clock to judge.

        Raises:
            Refusal: `forged`.
        """
        try:
            token = self._signer.read(Kind.PASS, text)
        except Forged:
            raise Refusal("forged") from None
        return token, self._openings.get(token.district)

    async def release(self, token: Token) -> None:
        """Free a pass that has done its work; if the store is away, it lapses by itself."""
        line = self._lines.get(token.district)
        if line is not None and line.tag.endswith(token.day.isoformat()):
            with contextlib.suppress(Refusal):
                await line.releases.submit(token.entry)

    # The operator

    async def adjust(self, code: str, actor: str, changes: dict[str, Any]) -> Opening:
        """Change a running opening; `changes` holds rate, max_active, paused or message.

        Raises:
            Refusal: `not-found`, `store-unavailable`.
        """
        opening = self.opening(code)
        if not opening.assigned:
            raise Refusal("not-found")
        if not opening.prepared:
            await self._mend(opening)
        values = {k: int(v) if isinstance(v, bool) else v for k, v in changes.items()}
        if not await self._store.adjust(opening.tag, actor, opening.overtaken_ms(), values):
            raise StoreUnavailable
        await self._look([opening])
        log.info("opening adjusted", district=code, actor=actor, **changes)
        return opening


class _Line:
    """The shared store calls of one opening."""

    def __init__(
        self,
        store: Store,
        tag: str,
        join: Callable[[list[tuple[bytes, Applicant]]], Awaitable[list[Joined | Exception]]],
    ) -> None:
        self.tag = tag
        self.joins: Coalescer[tuple[bytes, Applicant], Joined] = Coalescer(join, linger_s=_LINGER_SECONDS)
        self.claims: Coalescer[Place, tuple[str, int]] = Coalescer(
            lambda batch: store.claim(tag, batch), linger_s=_LINGER_SECONDS
        )
        self.standings: Coalescer[Place, tuple[str, int]] = Coalescer(
            lambda batch: store.standing(tag, batch), linger_s=_LINGER_SECONDS
        )
        self.releases: Coalescer[int, bool] = Coalescer(self._release, linger_s=0.1)
        self._store = store

    async def _release(self, entries: list[int]) -> list[bool]:
        await self._store.release(self.tag, entries)
        return [True] * len(entries)


_STATE_OF_STANDING = {
    "waiting": "waiting",
    "ready": "ready",
    "claimed": "claimed",
    "used": "claimed",
    "missed": "missed",
    "lapsed": "missed",
    "left": "left",
}


def _not_your_turn(ahead: int | None, poll_after_s: float) -> Refusal:
    seconds = max(1, round(poll_after_s))
    return Refusal("not-your-turn", retry_after_seconds=seconds, ahead=ahead, poll_after_seconds=seconds)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _spread(seconds: int) -> int:
    return seconds + secrets.randbelow(seconds)
