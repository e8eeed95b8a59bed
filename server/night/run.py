"""The night: the day is closed, the slots are allotted in an order that anyone can check, and everybody is told.

Six steps, each for all districts before the next one begins. What a step has brought is noted in the district's
night; until then it may be done again, and whatever it had done already it finds done. So a night that was killed is
run again, by anyone, and comes to the same result: the list, the slots and the rules are frozen before anything is
given, and the seed has been committed to since the morning.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

import structlog

from server.appointments.appointments import Appointments
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import SetupError, StoreUnavailable
from server.core.keys import day_tag
from server.fairness.allotment import allot
from server.night.giving import Means
from server.night.inputs import Tonight
from server.night.lease import Lease
from server.night.listed import Listed
from server.night.lottery import Lottery
from server.night.outcome import NightOutcome, outcome_of, outcomes_of
from server.night.published import Published
from server.night.steps import STEPS, Steps, Watcher
from server.night.store import NightStore
from server.night.waiting_list import WaitingList
from server.records.night import NightRecord
from server.store.connection import Connection

log = structlog.get_logger()

T = TypeVar("T")

_RETRY_SECONDS: Final = 1.0
"""A store that is away is waited for, not given up at three in the morning."""


class Night:
    """Runs nights.

    Args:
        city: districts, hours, policy.
        connection: where everything is.
        clock: city time.
        appointments: gives slots, counts what was missed.
        published: writes the result files.
        lottery: what the lots are drawn from.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        appointments: Appointments,
        published: Published,
        lottery: Lottery,
    ) -> None:
        self._city = city
        self._connection = connection
        self._night_store = NightStore(connection)
        self._clock = clock
        self._published = published
        self._means = Means(city, connection, clock, appointments, published, lottery)
        self._list = WaitingList(city, connection, appointments)
        self._tonight = Tonight(city, connection)

    def now(self) -> datetime:
        """City time."""
        return from_ms(self._clock.now_ms(), self._city.tz)

    async def due(self) -> date:
        """The date of the night that is on, or was the last, by the store's clock."""
        now_ms, _ = await self._night_store.passes_alive(self._tags(date.min)[0])
        self._clock.follow(now_ms)
        return self._city.latest_night(self.now())

    async def is_done(self, day: date) -> bool:
        """Whether a night has come to its end in every district."""
        return all(night.is_done("tell") for night in await self._night_store.nights(self._tags(day)))

    async def run(self, day: date, watcher: Watcher | None = None, patience_s: float = 900.0) -> list[NightOutcome]:
        """Run a night, or the rest of it; what it brought, by district. Once more changes nothing.

        Args:
            day: its date, that of the day before the small hours.
            watcher: told how it goes.
            patience_s: for how long to wait for a store that is away.

        Raises:
            SetupError: the day is not over yet, the next night has begun, or the result cannot be written.
            Superseded: another process runs the night.
            StoreUnavailable: the store was away for too long; run it again.
        """
        if not self._published.has_folder:
            raise SetupError("there is no folder for the results: give one, every server has to see it")
        watcher, patience = watcher or Watcher(), _Patience(patience_s)
        if await patience.with_store(partial(self.is_done, day)):
            return outcomes_of(await self._nights(day))
        await patience.with_store(partial(self._check, day))
        async with self._leased(patience) as lease:
            for late in await patience.with_store(partial(self._left_behind, day)):
                log.warning("an earlier night is brought to its end, without giving more", date=late.isoformat())
                await self._take(Steps(self._means, late, lease, Watcher(), too_late=True), patience)
            steps = Steps(self._means, day, lease, watcher)
            await self._take(steps, patience)
            return steps.so_far()

    async def _take(self, steps: Steps, patience: "_Patience") -> None:
        """All that are not done yet."""
        for step in STEPS:
            for district in self._city.districts:
                steps.lease.check()
                await patience.with_store(partial(steps.take, step, district))
            steps.watcher.done(step, steps.so_far())

    async def foresee(self, day: date) -> list[NightOutcome]:
        """What the rest of a night would bring if it were run now; changes nothing.

        Raises:
            SetupError: as `run`.
            StoreUnavailable: the store did not answer.
        """
        await self._check(day)
        found, nights = [], await self._nights(day)
        for district in self._city.districts:
            kept = nights[district.code]
            outcome = outcome_of(district.code, kept)
            if not kept.is_done("close"):
                async for _, lines in self._tonight.closing(district, day):
                    new = [line for line in lines if not line.known]
                    outcome.missed += len(new)
                    outcome.charged += sum(line.charge for line in new)
                    outcome.barred += await self._tonight.would_be_barred([line.slot for line in new if line.charge])
            rules = self._tonight.rules(district, day)
            if not kept.is_done("freeze"):
                people = Listed(rules.periods)
                async for page in self._list.foreseen(district, day):
                    people.add(page)
                offered, outcome.over = await self._tonight.offered(rules)
                key = secrets.token_bytes(32)  # nobody knows yet what the lots will be
                night = await asyncio.to_thread(allot, rules, offered, people.people, key)
                outcome.registrations, outcome.counts = len(people.people), night.counts()
                outcome.offered = sum(free for _, free in offered)
            found.append(outcome)
        return found

    async def _check(self, day: date) -> None:
        due = await self.due()
        begins, ends = self._city.night_begins(day), self._city.night_ends(day)
        if day > due:
            raise SetupError(f"the day of {day} is not over: its night begins at {begins:%Y-%m-%d %H:%M}")
        if self.now() >= ends:
            following = self._city.night_begins(max(due, day + timedelta(days=1)))
            raise SetupError(
                f"it is too late for the night of {day}: what it would give could not be cancelled in time any more; "
                f"the night of {following:%Y-%m-%d}, from {following:%H:%M} on, takes everybody over"
            )

    async def _left_behind(self, day: date) -> list[date]:
        """Earlier nights that were frozen, perhaps gave something, and did not come to their end in time."""
        frozen = {through.frozen for through in await self._night_store.through(self._codes())}
        days = sorted(each for each in frozen if each is not None and each < day)
        return [each for each in days if not await self.is_done(each)]

    @asynccontextmanager
    async def _leased(self, patience: "_Patience") -> AsyncIterator[Lease]:
        lease = Lease(self._connection, self._city.tz)
        await patience.with_store(lease.__aenter__)
        try:
            yield lease
        finally:
            await lease.__aexit__(None, None, None)

    def _codes(self) -> list[str]:
        return [district.code for district in self._city.districts]

    def _tags(self, day: date) -> list[str]:
        return [day_tag(district.code, day) for district in self._city.districts]

    async def _nights(self, day: date) -> dict[str, NightRecord]:
        return dict(zip(self._codes(), await self._night_store.whole_nights(self._tags(day)), strict=True))


class _Patience:
    """Waits for a store that is away, but not for ever."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def with_store(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something that may be done again from its beginning.

        Raises:
            StoreUnavailable: the store was away for too long.
        """
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while True:
            try:
                return await work()
            except StoreUnavailable:
                deadline = loop.time() + self._seconds if deadline is None else deadline
                if loop.time() >= deadline:
                    raise
                log.warning("the night waits for the store")
                await asyncio.sleep(_RETRY_SECONDS)
