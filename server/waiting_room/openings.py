"""Today's openings: following the store, keeping it to the city file, and why one is not open."""

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never

import structlog

from server.core.city import City
from server.core.clock import Clock, from_ms, to_ms
from server.core.districts import District
from server.core.errors import Refusal, StoreUnavailable
from server.core.tokens import Token
from server.records.opening import NoPlace
from server.registry.registry import Registry
from server.store.connection import Connection
from server.waiting_room.batches import Batches
from server.waiting_room.draws import Draws
from server.waiting_room.figures import figures_of
from server.waiting_room.opening import Opening
from server.waiting_room.store import MOST_LEFT, OpeningStore

log = structlog.get_logger()

_TICK_SECONDS = 0.25
_IDLE_TICKS = 20
_LOOKS_AT_ONCE = 20
# A worker that has not heard from the store for so long no longer speaks for it.
STALE_MS = 15_000


class Openings:
    """Every district's openings of today, as this worker sees them.

    A district has one opening for each of its windows, and at any time one of
    them is its current one: the one that is on, else the next of today, else
    the last. `today` is by district code, `lines` by the opening's tag, and they
    stay the same two dictionaries: the hot calls hold on to them.

    Args:
        city: districts, windows, policy.
        connection: where the truth is.
        clock: city time.
        registry: who may have a place; for the lines.
        draws: begins draws and brings them to their end.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, registry: Registry, draws: Draws) -> None:
        self._city = city
        self._connection = connection
        self._opening_store = OpeningStore(connection)
        self._clock = clock
        self._registry = registry
        self._draws = draws
        self.today: dict[str, tuple[Opening, ...]] = {}
        self.lines: dict[str, Batches] = {}

    # Following the store

    async def run(self) -> None:
        """Keep the openings moving and this worker's view of them fresh, until cancelled."""
        try:
            await self._keep_moving()
        finally:
            self._draws.stop()

    async def _keep_moving(self) -> None:
        for count in itertools.count(1):  # whoever starts this has had a first look at everything
            try:
                await self.tick(everything=count % _IDLE_TICKS == 0)
            except StoreUnavailable:
                await asyncio.sleep(secrets.randbelow(500) / 1000)
            except Exception:
                log.exception("tick failed")
            await asyncio.sleep(_TICK_SECONDS)

    async def tick(self, *, everything: bool = True) -> None:
        """One look at the store: advance the openings of now and, with `everything`, see how the others stand."""
        self._turn_to_today()
        now_ms = self._clock.now_ms()
        wanted = [o for o in self.of_today() if everything or o.is_on(now_ms)]
        if not wanted:
            return
        await self._look(wanted)
        for opening in wanted:
            await self._draws.follow(opening)
        again = [o for o in wanted if await self._mend(o)]
        if again:
            await self._look(again)
        for opening in wanted:
            await self._promise(opening)

    def _turn_to_today(self) -> None:
        today = self.now().date()
        for district in self._city.districts:
            before = self.today.get(district.code, ())
            if before and before[0].day == today:
                continue
            count = max(1, len(self._city.openings_of(district, today)))
            openings = tuple(Opening(self._city, district, today, n) for n in range(1, count + 1))
            self.today[district.code] = openings
            for opening in before:
                self.lines.pop(opening.tag)
                self._draws.forget(opening.tag)
            for opening in openings:
                self.lines[opening.tag] = Batches(self._connection, self._clock, self._registry, self._draws, opening)

    async def catch_up(self, opening: Opening) -> None:
        """Look at one opening between two ticks, and do what it needs."""
        await self._look([opening])
        await self._mend(opening)

    async def _look(self, openings: Sequence[Opening]) -> None:
        for _ in range(_LOOKS_AT_ONCE):
            told = {o.tag: o.floors.told for o in openings}
            news = await self._opening_store.advance([(o.tag, o.left_seen) for o in openings], told)
            for opening, report in zip(openings, news, strict=True):
                opening.follow(report)
            self._clock.follow(news[-1].now_ms)
            # More have left than one look tells, as a worker finds that has just started.
            openings = [o for o, it in zip(openings, news, strict=True) if len(it.left) == MOST_LEFT]
            if not openings:
                return

    async def _promise(self, opening: Opening) -> None:
        """Work out anew what is told of the wait, where that is due and no other worker has done so."""
        due_ms = opening.promises_at_ms
        if due_ms is None or not due_ms <= opening.seen_ms < opening.closes_ms:
            return
        before = opening.promise_text
        promise, kept = opening.promises_anew(await self._opening_store.promises(opening.tag))
        if before == opening.promise_text:
            await self._opening_store.calibrate(opening.tag, before, promise.pack(), kept.pack())

    async def _mend(self, opening: Opening) -> bool:
        """Prepare an opening that is not in the store, or bring its draw further; whether anything was done."""
        if not opening.follows_the_city_file:
            promised, sealed = self._draws.begin(opening.tag)
            night_promised, night_sealed = self._draws.begin_night(opening) if opening.window == 1 else ("", "")
            policy, district = self._city.policy, opening.district
            await self._opening_store.prepare(
                opening.tag,
                opens_ms=opening.opens_ms,
                draw_ms=opening.draw_ms,
                closes_ms=opening.closes_ms,
                claim_ms=policy.claim_seconds * 1000,
                pass_ms=policy.pass_seconds * 1000,
                grace_ms=policy.grace_seconds * 1000,
                # as soon as those who poll and those who look at the public answer have all looked after the draw
                poll_budget=min(policy.poll_budget_per_second, policy.look_budget_per_second),
                rate=policy.rate_per_second if district.rate_per_second is None else district.rate_per_second,
                max_active=policy.max_active if district.max_active is None else district.max_active,
                beacon=self._city.beacon_chain,
                commitment=promised,
                sealed=sealed,
                night_commitment=night_promised,
                night_sealed=night_sealed,
            )
            return True
        return self._draws.can_open(opening) and await self._draws.settle(opening)

    # Anyone

    def now(self) -> datetime:
        """City time, to the second."""
        return from_ms(self._clock.now_ms(), self._city.tz)

    def opening(self, code: str) -> Opening:
        """The current one of a district's openings of today.

        Raises:
            Refusal: `not-found`.
        """
        try:
            openings = self.today[code]
        except KeyError:
            raise Refusal("not-found") from None
        return openings[0] if len(openings) == 1 else self._current(openings)

    def of(self, token: Token) -> Opening | None:
        """The opening of today that a ticket or a pass was given in."""
        openings = self.today.get(token.district)
        if openings is None or token.day != openings[0].day or token.window > len(openings):
            return None
        return openings[token.window - 1]

    def assigned(self) -> list[Opening]:
        """The current opening of each district that has one today."""
        return [self._current(openings) for openings in self.today.values() if openings[0].assigned]

    def figures(self) -> list[tuple[str, dict[str, float]]]:
        """(district, what the metrics show of it) of each."""
        now_ms = self._clock.now_ms()
        return [(opening.district.code, figures_of(opening, now_ms)) for opening in self.assigned()]

    def at_the_store(self) -> dict[str, int]:
        """How many wait for the store, or for company on the way to it, by call."""
        lines = self.lines.values()
        return {
            "join": sum(line.joins.load for line in lines),
            "claim": sum(line.claims.load for line in lines),
            "poll": sum(line.standings.load for line in lines),
        }

    def of_today(self) -> list[Opening]:
        """All openings of today, those of one district one after the other."""
        return [opening for openings in self.today.values() for opening in openings if opening.assigned]

    def _current(self, openings: Sequence[Opening]) -> Opening:
        now_ms = self._clock.now_ms()
        return next((opening for opening in openings if now_ms < opening.closes_ms), openings[-1])

    def next_opens_at(self, district: District) -> datetime | None:
        """When the district's next opening begins."""
        times = self._city.next_opening(district, self.now())
        return times[0] if times else None

    def fresh(self) -> bool:
        """Whether this worker has lately heard from the store, and can bring today's draws to their end."""
        openings = self.of_today()
        seen = [opening.seen_ms for opening in openings]
        return bool(seen) and self._clock.now_ms() - max(seen) < STALE_MS and not self.unreadable()

    def unreadable(self) -> list[str]:
        """The tags of today's openings whose sealed seed this worker cannot open."""
        return [it.tag for it in self.of_today() if it.prepared and not self._draws.can_open(it)]

    # Why not

    def refusal(self, opening: Opening, now_ms: int) -> Refusal:
        """Why nobody can join this opening now."""
        state = opening.state(now_ms)
        if state == "unassigned":
            return Refusal("not-open", retry_after_seconds=86_400, opens_at=None)
        if state == "maintenance":
            opens_at = self.next_opens_at(opening.district)
            wait_s = -(-(to_ms(opens_at) - now_ms) // 1000) if opens_at else 86_400
            return Refusal("maintenance", retry_after_seconds=max(1, wait_s), opens_at=opens_at)
        if now_ms < opening.opens_ms:
            return self.not_open(opening, now_ms)
        return self.ended(opening)

    def not_open(self, opening: Opening, now_ms: int) -> Refusal:
        """It has not begun, and when it will."""
        wait_s = max(1, -(-(opening.opens_ms - now_ms) // 1000))
        return Refusal("not-open", retry_after_seconds=wait_s, opens_at=from_ms(opening.opens_ms, self._city.tz))

    def ended(self, opening: Opening) -> Refusal:
        """It is over, and when the next one begins."""
        return Refusal("ended", next_opens_at=self.next_opens_at(opening.district))

    def no_more_places(self, opening: Opening, *, whole: bool) -> Refusal:
        """It is on, and has no place for them: it has given all (`whole`), or they have given up too many."""
        next_at = self.next_opens_at(opening.district)
        if whole:
            return Refusal("ended", reason="full", next_opens_at=next_at)
        wait_s = -(-(to_ms(next_at) - self._clock.now_ms()) // 1000) if next_at else 86_400
        return Refusal("too-many-requests", retry_after_seconds=max(1, wait_s), reason="places", next_opens_at=next_at)

    def no_place(self, opening: Opening, status: NoPlace) -> Refusal:
        """Why the store has given no place."""
        match status:
            case "absent" | "held":
                return StoreUnavailable()
            case "early":
                return self.not_open(opening, self._clock.now_ms())
            case "ended":
                return self.ended(opening)
            case "spent" | "full":
                return self.no_more_places(opening, whole=status == "full")
            case "paused":
                wait_s = 30 + secrets.randbelow(30)  # so that they do not all come back at once
                return Refusal("paused", retry_after_seconds=wait_s, message=opening.message or None)
            case _:
                assert_never(status)

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
        if not await self._opening_store.adjust(opening.tag, actor, opening.overtaken_ms(), values):
            raise StoreUnavailable
        await self._look([opening])
        log.info("opening adjusted", district=code, actor=actor, **changes)
        return opening
