"""The load of a city's day: its queues, the calls a second at each peak, and the workers and shards that it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from loadtests.capacity.demand import Arrivals, PlannedDistrict, Queue, Timetable, needed_rate, queue
from loadtests.capacity.known import Known
from loadtests.capacity.moments import Moment, Shard
from loadtests.capacity.plan_request import PlanError, PlanRequest
from loadtests.crowd.profile import CrowdProfile

LINGER_SECONDS = 0.005
"""How long a worker gathers calls for the store before it sends them (server/waiting_room/batches.py)."""
_SHARE_OF_WAIT = 0.6
POLLS_OF_A_CALL = 1.2
"""Assumption: polls of somebody who has been called, until they claim."""
MESSAGES_A_CALL = 2
"""SMS about a call that is not missed, where it was asked for: it is near, and it is your turn."""
CACHED_PER_SECOND = 2.0
"""Public answers of a district that reach a worker through a cache: a new one a second, fetched twice at worst."""
LOADS = ("join", "poll", "ready", "claim", "register", "look_up", "qr", "opening", "city")


class Load:
    """Of a city's day, as asked.

    Attributes:
        joins_each: joins of a resident, with refreshes and second devices.
        active_seconds: how long one who is called counts towards `max_active`, on average.
        residents: of one city.
        queues: of its openings.
        moments: the peaks: each opening's draw, and the calls after it.
        workers: that carry each of them.
        shard: the busiest opening's.

    Raises:
        PlanError: no number of workers carries it.
    """

    def __init__(self, timetable: Timetable, asked: PlanRequest, known: Known, crowd: CrowdProfile) -> None:
        self.timetable, self.asked, self.known, self.crowd = timetable, asked, known, crowd
        habits, reactions = crowd.habits, crowd.reactions
        self.joins_each = 1 + (
            habits.refreshes * crowd.impatience.refreshes
            + habits.second_device
            + habits.never_claims * reactions.rejoins
            + habits.gives_up * reactions.regrets
        )
        self.looks = reactions.looks
        self.plain = crowd.plain_share
        thoughts = crowd.afterthoughts
        self.look_ups = thoughts.changes + thoughts.cancels + thoughts.returns
        self.active_seconds = (
            sum(crowd.pace.think) / 2
            + sum(crowd.pace.fill_form) / 2
            + habits.never_claims * timetable.claim_seconds
            + habits.leaves_form * timetable.pass_seconds
        )
        self.districts = timetable.districts
        if asked.openings is not None:
            first = timetable.districts[0]
            self.districts = tuple(
                replace(first, code=str(n), name=f"opening {n}", population=1) for n in range(1, asked.openings + 1)
            )
        self.residents = asked.residents / asked.cities if asked.residents else 1.0  # of one city
        if asked.joins_per_second is not None:  # as many as it takes
            self.residents *= (
                asked.joins_per_second
                / asked.cities
                / max(
                    sum(q.joins_per_second for q in group) * self.joins_each for group in self._groups(self._queues())
                )
            )
        self.queues = self._queues()
        self.moments = self._moments()
        self.workers = max(it.workers for it in self.moments)
        self.shard = self._shard()

    @property
    def peak(self) -> Moment:
        """Return the moment at which the workers have most to do."""
        return max(self.moments, key=lambda it: it.worker_cores)

    def store_cores(self, at: Moment) -> float:
        """Busy at a moment: with what any shard may do, and with each opening on its own."""
        spread = sum(rate * self.known.spread_us(call) for call, rate in at.calls.items()) / 1e6
        busy = 0.0
        for it in self.queues:
            if it.district.name in at.districts:
                drawing = at.phase == "draw" and it.district.opens_s == at.at_s
                busy += self._of_opening(it, self._drawing(it) if drawing else self._calling(it), self.workers).busy
        return spread + busy

    def _queues(self) -> tuple[Queue, ...]:
        people = [it.population for it in self.districts]
        if not sum(people):
            people = [1] * len(people)
        known: dict[tuple[PlannedDistrict, float], Queue] = {}  # equal openings go alike
        found = []
        for district, share in zip(self.districts, people, strict=True):
            mine = self.residents * share / sum(people)
            like = replace(district, code="", name=""), mine
            if like not in known:
                known[like] = self._queue(district, mine)
            found.append(
                replace(known[like], district=replace(known[like].district, code=district.code, name=district.name))
            )
        return tuple(found)

    def _queue(self, district: PlannedDistrict, residents: float) -> Queue:
        minutes = self.asked.minutes or (district.closes_s - district.opens_s) / 60
        arrivals = Arrivals(self.asked.door, minutes)
        wanted = self.asked.rate_per_second
        draw_seconds = self.timetable.draw_seconds
        if wanted == "enough":
            wanted = max(1.0, needed_rate(district, residents, arrivals, draw_seconds))
            district = replace(district, max_active=math.ceil(wanted * self.active_seconds) + 1)
        if wanted is not None:
            district = replace(district, rate_per_second=float(wanted))
        return queue(district, residents, arrivals, draw_seconds, self.active_seconds)

    @staticmethod
    def _groups(queues: Sequence[Queue]) -> list[list[Queue]]:
        """Group them by the time of opening."""
        times = sorted({it.district.opens_s for it in queues})
        return [[it for it in queues if it.district.opens_s == time] for time in times]

    def _drawing(self, it: Queue) -> dict[str, float]:
        """Calls a second of an opening in the first second of its draw."""
        looks = it.joins_per_second * self.looks
        return {"join": it.joins_per_second * self.joins_each, "opening": self._reaching(looks), "city": looks}

    def public_looks(self, it: Queue) -> float:
        """Return the looks a second at an opening's public answer when the most wait, wherever they are answered."""
        return (1 - self.plain) * self._asking(it, self.timetable.look_budget_per_second)

    def looks_each(self, wait_s: float) -> float:
        """Return how often somebody looks who waits so long: each time after a share of what is left.

        The rule is the page's, and the server's for old clients (`poll_after_s` in `server/waiting_room/opening.py`);
        unstretched, as a budget makes it fewer.
        """
        near_s, far_s = (
            seconds / _SHARE_OF_WAIT
            for seconds in (self.timetable.poll_floor_seconds, self.timetable.poll_ceiling_seconds)
        )
        near = min(wait_s, near_s) / self.timetable.poll_floor_seconds
        middle = math.log(max(min(wait_s, far_s), near_s) / near_s) / -math.log(1 - _SHARE_OF_WAIT)
        return 1 + near + middle + max(0.0, wait_s - far_s) / self.timetable.poll_ceiling_seconds

    def tickets_each(self) -> float:
        """Return `GET /ticket` a place: of those called, and of old clients while they wait."""
        places = sum(it.residents for it in self.queues)
        called = sum(it.called for it in self.queues)
        plain = sum(it.residents * self.looks_each(it.waits_s[0]) for it in self.queues if it.waits_s)
        return (called * POLLS_OF_A_CALL + self.plain * plain) / places

    def _asking(self, it: Queue, budget_per_second: float) -> float:
        """Return how many of those who wait ask a second, if all ask the same: the server stretches their pace so that
        they keep to the budget."""
        budget = budget_per_second * self.known.sizes.polls.of_budget
        return min(it.longest_queue / self.timetable.poll_floor_seconds, budget)

    def _reaching(self, looks: float) -> float:
        """Return the looks a second at a district's public answer that reach a worker."""
        return min(looks, CACHED_PER_SECOND) if self.asked.cache else looks

    def _calling(self, it: Queue) -> dict[str, float]:
        """Calls a second of an opening when its draw has closed and the most wait."""
        pace, looks = it.calls_per_second, it.later * self.looks
        return {
            "join": it.later * self.joins_each,
            "poll": self.plain * self._asking(it, self.timetable.poll_budget_per_second),
            "ready": pace * POLLS_OF_A_CALL,
            "claim": pace,
            "register": pace,
            "qr": pace,
            "look_up": pace * self.look_ups,
            "opening": self._reaching(looks + self.public_looks(it)),
            "city": looks,
        }

    def _moments(self) -> tuple[Moment, ...]:
        """Return each opening's draw, and the calls after it, with whatever else is open at that time."""
        found = []
        for group in self._groups(self.queues):
            at = group[0].district.opens_s
            others = [it for it in self.queues if it.district.opens_s < at <= it.district.closes_s]
            # who closes now still has those with a pass: for the grace they register, and nobody waits or is called
            open_ = [it for it in others if it.district.closes_s > at]
            closing = [it for it in others if it.district.closes_s == at]
            rest = [self._calling(it) for it in open_] + [{"register": it.calls_at_close} for it in closing]
            for phase, mine in (
                ("draw", [self._drawing(it) for it in group]),
                ("calls", [self._calling(it) for it in group]),
            ):
                calls = {call: sum(load.get(call, 0.0) for load in (*mine, *rest)) for call in LOADS}
                cores = sum(rate * self.known.worker_us(call) for call, rate in calls.items()) / 1e6
                openings = len(group) + len(open_)
                found.append(
                    Moment(
                        at,
                        phase,
                        tuple(it.district.name for it in (*group, *open_)),
                        calls,
                        cores,
                        self._workers(cores, openings),
                        openings,
                        sum(map(self.public_looks, open_ if phase == "draw" else [*group, *open_])),
                    )
                )
        return tuple(found)

    @property
    def places_told(self) -> float:
        """Return how many places are told of their call by SMS in a day."""
        return sum(min(self.asked.told * it.residents, self.timetable.places_told) for it in self.queues)

    @property
    def call_messages(self) -> float:
        """Return how many messages about calls go out in the busiest second."""
        share = self.places_told / sum(it.residents for it in self.queues)
        return max(it.calls["claim"] for it in self.moments) * MESSAGES_A_CALL * share

    def _workers(self, cores: float, openings: int) -> int:
        """Return the fewest that carry this, each at the utilisation, less what they look at and what they lose to
        each other.

        Raises:
            PlanError: no number of them does.
        """
        idle = self.known.costs.background
        each = self.asked.utilisation - idle.worker_us / 1e6 * openings / idle.openings
        if each <= 0:
            raise PlanError(
                f"a worker that follows {openings} openings has no CPU left: more cities, or fewer openings"
            )
        law = self.known.law.law if self.known.law else None
        workers = max(1, math.ceil(cores / each))
        if law is not None and cores / each > 0.99 * law.ceiling:
            raise PlanError(
                f"no number of workers on one store carries it: by the scalability law (σ = {law.contention:.2g}, "
                f"κ = {law.coherence:.2g}) all together are worth {law.ceiling:,.1f}; it takes {cores / each:,.1f}: "
                "more cities (--cities)"
            )
        while law is not None and workers * each * law.share(workers) < cores:
            # what it takes if no more were lost than among so many: never more than it does take
            workers = max(workers + 1, math.ceil(cores / each / law.share(workers)))
        return workers

    def _shard(self) -> Shard:
        """Return the busiest opening's share of the one shard that holds it, in whichever phase it is busier."""
        return max(
            (
                self._of_opening(it, load, self.workers)
                for it in self.queues
                for load in (self._drawing(it), self._calling(it))
            ),
            key=lambda shard: (shard.least, shard.busy),
        )

    def _of_opening(self, it: Queue, load: Mapping[str, float], workers: int) -> Shard:
        idle = self.known.costs.background
        looks = workers * idle.store_us / idle.openings / 1e6
        least, batches, dear = looks, 0.0, 0.0
        for call in ("join", "ready", "claim", "register"):
            rate, (each, batch) = load.get(call, 0.0), self.known.in_opening_us(call)
            least += rate * each / 1e6
            # as small as lingering makes them: a worker sends one batch of a kind at a time
            batches += min(rate, workers / LINGER_SECONDS) * batch / 1e6
            dear += workers * batch / 1e6 if rate else 0.0
        each, _ = self.known.in_opening_us("join")
        left = self.asked.utilisation - looks
        most = 0.0 if left <= 0 else left / each * 1e6 if each else math.inf
        if least + batches < self.asked.utilisation:
            return Shard(it.district.name, least, least + batches, 0.0, most)
        # The store is busy, so its calls take longer, and meanwhile their successors gather: batches grow until the
        # work fits. Each worker has one of each kind under way; all of these take `dear` of what is left of the core.
        left = 1 - least
        return Shard(it.district.name, least, 1.0, dear / left if left > 0 else math.inf, most)
