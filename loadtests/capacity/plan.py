"""What a city needs: who opens when, peak rates, workers, store shards, memory, network, SMS, waits, and the night.

Each figure says how it comes about, and whether something like it has been measured or it is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from loadtests.capacity.demand import Arrivals, District, Queue, Timetable, needed_rate, percentile, queue
from loadtests.capacity.known import Known
from loadtests.traits import DEFAULT_CROWD, Traits, load_traits

UTILISATION = 0.6
"""Of a core, at the peak. In a queue with random arrivals one waits ρ ÷ (1 − ρ) services: 1.5 at 60 %, 4 at 80 %, 9 at
90 %; and of three machines at 60 % one may fail, and the other two are at 90 % and still answer."""
LINGER_SECONDS = 0.005
"""How long a worker gathers calls for the store before it sends them (server/line.py)."""
LATE_SECONDS = 0.25
"""The longest that a call to the store may take at the peak, of the second that an answer has (slo.toml)."""
IP_BYTES = 80
"""Of TCP/IP headers, of a request as of an answer: a packet with it, and one that acknowledges it."""
POLLS_OF_A_CALL = 1.2
"""Assumption: polls of somebody who has been called, until they claim."""
SMS_SHARE = 0.3
"""Assumption, as in the night that was measured: of those who wait, so many are given a slot a night and told so."""

Mark = Literal["measured", "extrapolated"]
_ADDS = frozenset(
    ("joins/s", "polls/s", "claims/s", "registrations/s", "worker cores, busy", "workers", "store cores, busy",
     "store shards", "store memory, GB", "network in, Mbit/s", "network out, Mbit/s", "SMS/s by day",
     "not called that day")
)  # fmt: skip
LOADS = ("join", "poll", "ready", "claim", "register", "look_up", "qr", "opening", "city")


class PlanError(Exception):
    """The question cannot be answered; the message is one line."""


@dataclass(frozen=True)
class Asked:
    """The question.

    Attributes:
        residents: who come in a day, to all cities; None where `joins_per_second` says it.
        joins_per_second: the peak of all openings that open together, of all cities.
        door: share who are there at the opening.
        minutes: in which the others come; None = the window.
        utilisation: of a core, at the peak.
        cities: so many equal set-ups share the crowd, each with workers and a store of its own.
        openings: in place of the city's districts so many equal ones, in the first one's window.
        rate_per_second: of calls, in place of the city's; `enough`: so many that everyone is called in the window, and
            as many active as that takes.
    """

    residents: float | None
    joins_per_second: float | None = None
    door: float = 0.13
    minutes: float | None = None
    utilisation: float = UTILISATION
    cities: int = 1
    openings: int | None = None
    rate_per_second: float | Literal["enough"] | None = None

    def check(self) -> None:
        """Raises PlanError: what cannot be."""
        if (self.residents is None) == (self.joins_per_second is None):
            raise PlanError("expected --residents or --joins-per-second")
        if self.residents is not None and not 1 <= self.residents <= 1e11:
            raise PlanError("--residents: expected at least 1")
        if self.joins_per_second is not None and not 0 < self.joins_per_second <= 1e9:
            raise PlanError("--joins-per-second: expected more than 0")
        if not 0 <= self.door <= 1:
            raise PlanError("--door: expected a share, from 0 to 1")
        if self.minutes is not None and not 0 < self.minutes <= 1440:
            raise PlanError("--minutes: expected more than 0, and at most a day")
        if not 0 < self.utilisation < 1:
            raise PlanError("--utilisation: expected a share between 0 and 1")
        if self.openings is not None and not 1 <= self.openings <= 10_000:
            raise PlanError("--openings: expected 1 to 10,000")
        if not 1 <= self.cities <= 1_000_000:
            raise PlanError("--cities: expected at least 1")
        if isinstance(self.rate_per_second, float) and not 0 < self.rate_per_second <= 1_000_000:
            raise PlanError("--rate: expected calls a second, up to 1,000,000, or enough")


@dataclass(frozen=True)
class Figure:
    """One line of a plan."""

    name: str
    value: float
    words: str
    mark: Mark
    how: str

    def times(self, cities: int) -> Figure:
        """Of so many cities together, where it is something that adds up."""
        if self.name not in _ADDS:
            return self
        return replace(self, value=self.value * cities, words=_number(self.value * cities), mark="extrapolated")


@dataclass(frozen=True)
class Limit:
    """Something that does not grow by itself: the crowd may be so many times this one until it gives way."""

    name: str
    factor: float
    cure: str


@dataclass(frozen=True)
class Moment:
    """A time of the day at which the load has a peak: the districts in their draw, and those that are being called."""

    at_s: int
    phase: str
    districts: tuple[str, ...]
    calls: Mapping[str, float]
    worker_cores: float
    workers: int
    openings: int


@dataclass(frozen=True)
class Shard:
    """What the busiest opening asks of the one shard that holds it.

    Attributes:
        district: whose.
        least: share of the core with calls in the largest batches.
        busy: with batches as they come; 1 where they grow by themselves, as a core has no more.
        call_seconds: what a call to the store takes then.
        most_joins: a second, of this opening, that its shard takes.
    """

    district: str
    least: float
    busy: float
    call_seconds: float
    most_joins: float


@dataclass(frozen=True)
class Plan:
    """The answer."""

    city: str
    asked: Asked
    residents: float
    queues: tuple[Queue, ...]
    moments: tuple[Moment, ...]
    shard: Shard
    figures: tuple[Figure, ...]
    limits: tuple[Limit, ...]
    notes: tuple[str, ...]

    def figure(self, name: str) -> Figure:
        """By its name."""
        return next(it for it in self.figures if it.name == name)

    def plain(self) -> dict[str, Any]:
        """As JSON-encodable values."""
        return {
            "city": self.city,
            "residents": self.residents,
            "assumed": {"door": self.asked.door, "minutes": self.asked.minutes, "utilisation": self.asked.utilisation},
            "openings": [
                {
                    "district": it.district.code, "name": it.district.name, "opens": clock(it.district.opens_s),
                    "closes": clock(it.district.closes_s), "residents": it.residents, "called": it.called,
                    "joins_per_second": it.joins_per_second, "calls_per_second": it.calls_per_second,
                    "needed_rate_per_second": it.needed_rate, "longest_queue": it.longest_queue, "waits_s": it.waits_s,
                }
                for it in self.queues
            ],
            "moments": [vars(it) for it in self.moments],
            "figures": [vars(it) | {"value": None if math.isinf(it.value) else it.value} for it in self.figures],
            "limits": [vars(it) | {"factor": None if math.isinf(it.factor) else it.factor} for it in self.limits],
            "notes": self.notes,
        }  # fmt: skip


def make(timetable: Timetable, asked: Asked, known: Known) -> Plan:
    """Answer for a city.

    Args:
        timetable: its districts with a window; all of them share the residents by population.

    Raises:
        PlanError: the question cannot be answered.
    """
    asked.check()
    if not timetable.districts:
        raise PlanError("no district has a window, so nothing opens")
    return _Planner(timetable, asked, known, load_traits(DEFAULT_CROWD)).plan()


class _Planner:
    def __init__(self, timetable: Timetable, asked: Asked, known: Known, crowd: Traits) -> None:
        self.timetable, self.asked, self.known, self.crowd = timetable, asked, known, crowd
        habits, whims = crowd.habits, crowd.whims
        self.joins_each = 1 + (
            habits.refreshes * crowd.impatience.refreshes
            + habits.second_device
            + habits.never_claims * whims.rejoins
            + habits.gives_up * whims.regrets
        )
        self.looks = whims.looks
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

    def _queues(self) -> tuple[Queue, ...]:
        people = [it.population for it in self.districts]
        if not sum(people):
            people = [1] * len(people)
        known: dict[tuple[District, float], Queue] = {}  # equal openings go alike
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

    def _queue(self, district: District, residents: float) -> Queue:
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
        """By the time of opening."""
        times = sorted({it.district.opens_s for it in queues})
        return [[it for it in queues if it.district.opens_s == time] for time in times]

    # The load

    def _drawing(self, it: Queue) -> dict[str, float]:
        """Calls a second of an opening in the first second of its draw."""
        looks = it.joins_per_second * self.looks
        return {"join": it.joins_per_second * self.joins_each, "opening": looks, "city": looks}

    def _calling(self, it: Queue) -> dict[str, float]:
        """Calls a second of an opening when its draw has closed and the most wait."""
        pace, looks = it.calls_per_second, it.later * self.looks
        budget = self.timetable.poll_budget_per_second * self.known.sizes.polls.of_budget
        return {
            "join": it.later * self.joins_each,
            "poll": min(it.longest_queue / self.timetable.poll_floor_seconds, budget),
            "ready": pace * POLLS_OF_A_CALL,
            "claim": pace,
            "register": pace,
            "qr": pace,
            "look_up": pace * self.look_ups,
            "opening": looks,
            "city": looks,
        }

    def _moments(self, queues: Sequence[Queue]) -> list[Moment]:
        """Each opening's draw, and the calls after it, with whatever else is open at that time."""
        found = []
        for group in self._groups(queues):
            at = group[0].district.opens_s
            others = [it for it in queues if it.district.opens_s < at <= it.district.closes_s]
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
                    )
                )
        return found

    def _workers(self, cores: float, openings: int) -> int:
        """The fewest that carry this, each at the utilisation, less what they look at and what they lose to each other.

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

    def _shard(self, queues: Sequence[Queue], workers: int) -> Shard:
        """The busiest opening's share of the one shard that holds it, in whichever phase it is busier."""
        return max(
            (self._of_opening(it, load, workers) for it in queues for load in (self._drawing(it), self._calling(it))),
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

    # The answer

    def plan(self) -> Plan:
        queues = self._queues()
        moments = self._moments(queues)
        peak = max(moments, key=lambda it: it.worker_cores)
        workers = max(it.workers for it in moments)
        shard = self._shard(queues, workers)
        figures = [
            *self._rates(moments),
            *self._machines(queues, moments, peak, workers),
            *self._waits(queues),
            *self._messages(queues, moments),
        ]
        limits = sorted(self._limits(queues, shard, figures), key=lambda it: it.factor)
        notes = tuple(self._notes(queues, shard))
        return Plan(
            self._name(),
            self.asked,
            self.residents * self.asked.cities,
            queues,
            tuple(moments),
            shard,
            tuple(it.times(self.asked.cities) if self.asked.cities > 1 else it for it in figures),
            tuple(limits),
            notes,
        )

    def _name(self) -> str:
        asked, name = self.asked, self.timetable.name
        if asked.openings is not None:
            name = f"{asked.openings:,} equal openings by {name}'s policy"
        return f"{asked.cities:,} cities, each {name}" if asked.cities > 1 else name

    def _rates(self, moments: Sequence[Moment]) -> Iterator[Figure]:
        hows = {
            "join": f"residents at the door ÷ draw_seconds + the first of the others, × {self.joins_each:.3g}",
            "poll": f"waiting ÷ poll_floor_seconds, at most {self.known.sizes.polls.of_budget:g} × an opening's budget",
            "claim": "rate_per_second of the openings that call at once (or max_active ÷ the seconds one is active)",
            "register": "as many as claim",
        }
        for call, name in (("join", "joins"), ("poll", "polls"), ("claim", "claims"), ("register", "registrations")):
            most = max(it.calls[call] for it in moments)
            yield Figure(f"{name}/s", most, _number(most), _mark(most <= self.known.per_second(call)), hows[call])

    def _machines(
        self, queues: Sequence[Queue], moments: Sequence[Moment], peak: Moment, workers: int
    ) -> Iterator[Figure]:
        known = self.known
        law = known.law
        added = f"by the law of σ {law.law.contention:.3g}, κ {law.law.coherence:.2g}" if law else "linear is assumed"
        yield Figure(
            "workers", workers, _number(workers), _mark(workers <= known.most_workers),
            f"Σ calls/s × CPU = {peak.worker_cores:.3g} cores at {clock(peak.at_s)} ({peak.phase}) ÷ "
            f"{self.asked.utilisation:.0%} of a core each, less the looks at the openings; {added}",
        )  # fmt: skip
        yield Figure(
            "worker cores, busy", peak.worker_cores, _number(peak.worker_cores), _mark(workers <= known.most_workers),
            "Σ calls/s × CPU a call at few connections" + self._corrected("workers"),
        )  # fmt: skip
        cores = max(self._store_cores(queues, it, workers) for it in moments)
        shards = max(1, math.ceil(cores / self.asked.utilisation - 1e-9))
        yield Figure(
            "store cores, busy", cores, _number(cores), _mark(shards == 1 and workers <= known.most_workers),
            "Σ calls/s × CPU a call + looks of the workers" + self._corrected("store"),
        )  # fmt: skip
        yield Figure(
            "store shards", shards, _number(shards), _mark(shards == 1 and workers <= known.most_workers),
            f"busy store cores ÷ {self.asked.utilisation:.0%}; one core each, and an opening is on one of them",
        )  # fmt: skip
        sizes = known.sizes
        memory = self.residents * (sizes.store_bytes.place + sizes.store_bytes.after_night)
        yield Figure(
            "store memory, GB", memory / 1e9, _number(memory / 1e9),
            _mark(self.residents <= sizes.night.registrations),
            f"residents × ({sizes.store_bytes.place:g} a place + {sizes.store_bytes.after_night:g} a registration "
            "after its night); have twice that, for the copy when the append-only file is written anew",
        )  # fmt: skip
        carried = _mark(all(it.calls[call] <= known.per_second(call) for it in moments for call in LOADS))
        for name, direction in (("in", "bytes_in"), ("out", "bytes_out")):
            most = max(self._mbits(it, direction) for it in moments)
            yield Figure(
                f"network {name}, Mbit/s", most, _number(most), carried,
                "Σ calls/s × (bytes of HTTP + TCP/IP)"
                + (f"; a browser's request is taken as {self.crowd.request_bytes} bytes" if name == "in" else "")
                + "; without TLS and the page itself",
            )  # fmt: skip

    def _corrected(self, part: Literal["workers", "store"]) -> str:
        factor = self.known.corrections[part]
        return f", × {factor:.2f} as the ramps' CPU says" if self.known.ramps else ""

    def _store_cores(self, queues: Sequence[Queue], at: Moment, workers: int) -> float:
        known = self.known
        spread = sum(rate * known.spread_us(call) for call, rate in at.calls.items()) / 1e6
        busy = 0.0
        for it in queues:
            if it.district.name in at.districts:
                drawing = at.phase == "draw" and it.district.opens_s == at.at_s
                load = self._drawing(it) if drawing else self._calling(it)
                busy += self._of_opening(it, load, workers).busy
        return spread + busy

    def _mbits(self, at: Moment, direction: str) -> float:
        total = 0.0
        for call, rate in at.calls.items():
            size = getattr(self.known.costs.calls[call], direction)
            if direction == "bytes_in":
                size = max(size, self.crowd.request_bytes)
            total += rate * (size + IP_BYTES)
        return total * 8 / 1e6

    def _waits(self, queues: Sequence[Queue]) -> Iterator[Figure]:
        samples = [sample for it in queues for sample in it.samples]
        measured = _mark(max(it.residents for it in queues) <= self.known.sizes.largest.residents)
        how = "joining to call: the draw's numbers by lot, then in order, at rate_per_second from the draw's end"
        for name, share in (("median", 0.5), ("p90", 0.9), ("longest", 1.0)):
            seconds = percentile(samples, share) if samples else math.inf
            yield Figure(f"wait, {name}", seconds, duration(seconds), measured, how)
        missed = sum(max(0.0, it.residents - it.called) for it in queues)
        missed = 0.0 if missed < 0.5 else missed
        yield Figure(
            "not called that day", missed, _number(missed), measured,
            "residents − those called when their window closes; they come again on another day",
        )  # fmt: skip

    def _messages(self, queues: Sequence[Queue], moments: Sequence[Moment]) -> Iterator[Figure]:
        cap, known = self.timetable.sms_per_second, self.known
        wanted = max(it.calls["register"] for it in moments)
        yield Figure(
            "SMS/s by day", wanted, _number(wanted), "extrapolated",
            f"one a registration; sms.per_second allows {cap:,}; no provider's line has been measured",
        )  # fmt: skip
        registered = sum(it.called for it in queues)
        count = registered * SMS_SHARE
        hours = (self.timetable.sms_ends_s - self.timetable.sms_begins_s) % 86_400 or 86_400
        yield Figure(
            "SMS of the night, minutes", count / cap / 60, _number(count / cap / 60), "extrapolated",
            f"{SMS_SHARE:.0%} of the registrations are given a slot (assumption) ÷ sms.per_second ({cap:,}), from "
            f"{clock(self.timetable.sms_begins_s)}; {hours / 3600:.0f} hours are allowed",
        )  # fmt: skip
        night = registered / known.sizes.night.registrations * known.sizes.night.seconds
        yield Figure(
            "night, minutes", night / 60, _number(night / 60),
            _mark(registered <= known.sizes.night.registrations),
            f"registrations × {known.sizes.night.seconds / known.sizes.night.registrations * 1e6:.0f} µs, one process",
        )  # fmt: skip

    def _limits(self, queues: Sequence[Queue], shard: Shard, figures: Sequence[Figure]) -> Iterator[Limit]:
        by_name = {it.name: it for it in figures}
        it = min(queues, key=lambda q: q.calls_per_second / q.needed_rate)
        which = "max_active" if it.held_back else "rate_per_second"
        if self.asked.rate_per_second != "enough":
            yield Limit(
                f"calls ({which} of {it.district.name})",
                it.calls_per_second / it.needed_rate,
                f"everyone is called in the window at {math.ceil(it.needed_rate):,} calls a second, with max_active "
                f"{math.ceil(it.needed_rate * self.active_seconds):,}",
            )
        yield Limit(
            f"store shard of one opening ({shard.district})",
            self.asked.utilisation / shard.least if shard.least else math.inf,
            f"an opening takes {shard.most_joins:,.0f} joins a second at most; split the district",
        )
        hours = (self.timetable.sms_ends_s - self.timetable.sms_begins_s) % 86_400 or 86_400
        minutes = by_name["SMS of the night, minutes"].value
        yield Limit("SMS of the night", hours / 60 / minutes if minutes else math.inf, "a higher sms.per_second")
        wanted = by_name["SMS/s by day"].value
        yield Limit("SMS by day", self.timetable.sms_per_second / wanted, "a higher sms.per_second")
        night = by_name["night, minutes"].value * 60
        yield Limit(
            "the night", self.timetable.night_seconds / night if night else math.inf, "several cities, a night each"
        )
        law = self.known.law
        if law is not None and not math.isinf(law.law.ceiling):
            most = law.law.ceiling * self.asked.utilisation
            yield Limit("workers on one store", most / by_name["worker cores, busy"].value, "more cities (--cities)")

    def _notes(self, queues: Sequence[Queue], shard: Shard) -> Iterator[str]:
        law = self.known.law
        if law is None:
            yield "no ramp says how workers add up: a straight line is assumed (σ = κ = 0)"
        elif law.fixed:
            yield f"scalability law: {law.fixed}"
        for ramp in self.known.ramps:
            if ramp not in self.known.telling:
                yield (
                    f"scalability law: the ramp of {ramp.workers} workers was limited by the {ramp.ramp.limit}, so it "
                    "does not say how workers add up, and is left out of it"
                )
        if shard.most_joins <= 0:
            yield (
                "the workers' looks at an opening alone fill the shard that holds it, as each looks four times a "
                "second: split the crowd over several cities (--cities), each with workers and a store of its own"
            )
        elif shard.least > self.asked.utilisation:
            yield (
                f"{shard.district}: one opening asks {shard.least:.2f} of a core and is bound to one shard, whatever "
                f"their number: split the district so that each part has at most {shard.most_joins:,.0f} joins a second"
            )
        elif shard.busy >= 1:
            late = " (more than the objective bears)" if shard.call_seconds > LATE_SECONDS else ""
            yield (
                f"{shard.district}: its shard is busy with the batches of all workers; they grow, and a call to the "
                f"store takes about {shard.call_seconds * 1000:,.0f} ms{late}: fewer, larger workers, or split it"
            )
        for it in queues:
            if it.held_back:
                yield (
                    f"{it.district.name}: max_active {it.district.max_active:,} ÷ {self.active_seconds:.0f} s active "
                    f"each lets {it.calls_per_second:,.0f} a second through, less than rate_per_second"
                )


def _mark(measured: bool) -> Mark:
    return "measured" if measured else "extrapolated"


def _number(number: float) -> str:
    """With as many digits as it is worth."""
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"


def clock(seconds: float) -> str:
    """Seconds of the day as HH:MM."""
    return f"{int(seconds) // 3600:02d}:{int(seconds) % 3600 // 60:02d}"


def duration(seconds: float) -> str:
    """In the two largest units."""
    if math.isinf(seconds):
        return "never"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
