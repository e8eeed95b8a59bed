"""The figures of a plan, what gives way first, and what is to be said besides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from loadtests.capacity.demand import percentile
from loadtests.capacity.load import CACHED_PER_SECOND, LOADS, MESSAGES_A_CALL, POLLS_OF_A_CALL, Load
from loadtests.capacity.moments import Moment

LATE_SECONDS = 0.25
"""The longest that a call to the store may take at the peak, of the second that an answer has (slo.toml)."""
IP_BYTES = 80
"""Of TCP/IP headers, of a request as of an answer: a packet with it, and one that acknowledges it."""
SMS_SHARE = 0.3
"""Assumption, as in the night that was measured: of those who wait, so many are given a slot a night and told so."""

_MOST_A_PLACE = 3
"""Messages about its call of a place at most: near, called, and that it was in vain."""

Mark = Literal["measured", "extrapolated"]
_ADDS = frozenset(
    ("joins/s", "public looks/s", "looks at workers/s", "polls/s", "claims/s", "registrations/s", "worker cores, busy",
     "workers", "store cores, busy", "store shards", "store memory, GB", "network in, Mbit/s", "network out, Mbit/s",
     "new connections/s", "connections held", "TLS, cores of a proxy", "SMS/s by day", "SMS/s of calls",
     "not called that day")
)  # fmt: skip


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
        return replace(self, value=self.value * cities, words=number(self.value * cities), mark="extrapolated")


@dataclass(frozen=True)
class Limit:
    """Something that does not grow by itself: the crowd may be so many times this one until it gives way."""

    name: str
    factor: float
    cure: str


def figures(load: Load) -> list[Figure]:
    """Of one city."""
    return [*_rates(load), *_machines(load), *_waits(load), *_messages(load)]


def _rates(load: Load) -> Iterator[Figure]:
    hows = {
        "join": f"residents at the door ÷ draw_seconds + the first of the others, × {load.joins_each:.3g}",
        "opening": f"{CACHED_PER_SECOND:g} of a district: a new one a second, fetched twice at worst by the cache"
        if load.asked.cache
        else "all of them, and the page's own: no cache in front (--cache)",
        "poll": f"{load.plain:g} of those who wait are old clients (the crowd's plain_share); at their pace",
        "claim": "rate_per_second of the openings that call at once (or max_active ÷ the seconds one is active)",
        "register": "as many as claim",
    }
    yield _public_looks(load)
    names = {
        "join": "joins",
        "opening": "looks at workers",
        "poll": "polls",
        "claim": "claims",
        "register": "registrations",
    }
    for call, name in names.items():
        most = max(it.calls[call] for it in load.moments)
        yield Figure(f"{name}/s", most, number(most), _mark(most <= load.known.per_second(call)), hows[call])


def _public_looks(load: Load) -> Figure:
    most = max(
        sum(load.public_looks(it) for it in load.queues if it.district.name in at.districts) for at in load.moments
    )
    how = f"waiting ÷ poll_floor_seconds, at most {load.known.sizes.polls.of_budget:g} × look_budget_per_second each"
    return Figure("public looks/s", most, number(most), _mark(most <= load.known.per_second("opening")), how)


def _machines(load: Load) -> Iterator[Figure]:
    known, workers, peak = load.known, load.workers, load.peak
    law = known.law
    added = f"by the law of σ {law.law.contention:.3g}, κ {law.law.coherence:.2g}" if law else "linear is assumed"
    yield Figure(
        "workers", workers, number(workers), _mark(workers <= known.most_workers),
        f"Σ calls/s × CPU = {peak.worker_cores:.3g} cores at {clock(peak.at_s)} ({peak.phase}) ÷ "
        f"{load.asked.utilisation:.0%} of a core each, less the looks at the openings; {added}",
    )  # fmt: skip
    yield Figure(
        "worker cores, busy", peak.worker_cores, number(peak.worker_cores), _mark(workers <= known.most_workers),
        "Σ calls/s × CPU a call at few connections" + _corrected(load, "workers"),
    )  # fmt: skip
    cores = max(load.store_cores(it) for it in load.moments)
    shards = max(1, math.ceil(cores / load.asked.utilisation - 1e-9))
    yield Figure(
        "store cores, busy", cores, number(cores), _mark(shards == 1 and workers <= known.most_workers),
        "Σ calls/s × CPU a call + looks of the workers" + _corrected(load, "store"),
    )  # fmt: skip
    yield Figure(
        "store shards", shards, number(shards), _mark(shards == 1 and workers <= known.most_workers),
        f"busy store cores ÷ {load.asked.utilisation:.0%}; one core each, and an opening is on one of them",
    )  # fmt: skip
    sizes = known.sizes
    memory = load.residents * (sizes.store_bytes.place + sizes.store_bytes.after_night)
    yield Figure(
        "store memory, GB", memory / 1e9, number(memory / 1e9),
        _mark(load.residents <= sizes.night.registrations),
        f"residents × ({sizes.store_bytes.place:g} a place + {sizes.store_bytes.after_night:g} a registration "
        "after its night); have twice that, for the copy when the append-only file is written anew",
    )  # fmt: skip
    carried = _mark(all(it.calls[call] <= known.per_second(call) for it in load.moments for call in LOADS))
    for name, direction in (("in", "bytes_in"), ("out", "bytes_out")):
        most = max(_mbits(load, it, direction) for it in load.moments)
        yield Figure(
            f"network {name}, Mbit/s", most, number(most), carried,
            "Σ calls/s × (bytes of HTTP + TCP/IP)"
            + (f"; a browser's request is taken as {load.crowd.request_bytes} bytes" if name == "in" else "")
            + "; without TLS and the page itself",
        )  # fmt: skip


def _corrected(load: Load, part: Literal["workers", "store"]) -> str:
    factor = load.known.corrections[part]
    return f", × {factor:.2f} as the ramps' CPU says" if load.known.ramps else ""


def _mbits(load: Load, at: Moment, direction: str) -> float:
    total = 0.0
    for call, rate in at.calls.items():
        size = getattr(load.known.costs.calls[call], direction)
        if direction == "bytes_in":
            size = max(size, load.crowd.request_bytes)
        total += rate * (size + IP_BYTES)
    return total * 8 / 1e6


def _waits(load: Load) -> Iterator[Figure]:
    samples = [sample for it in load.queues for sample in it.samples]
    measured = _mark(max(it.residents for it in load.queues) <= load.known.sizes.largest.residents)
    how = "joining to call: the draw's numbers by lot, then in order, at rate_per_second from the draw's end"
    for name, share in (("median", 0.5), ("p90", 0.9), ("longest", 1.0)):
        seconds = percentile(samples, share) if samples else math.inf
        yield Figure(f"wait, {name}", seconds, duration(seconds), measured, how)
    tickets = load.tickets_each()
    yield Figure(
        "tickets a place", tickets, number(tickets), measured,
        f"GET /ticket: {POLLS_OF_A_CALL:g} of who is called, and of old clients each time that they look",
    )  # fmt: skip
    missed = sum(max(0.0, it.residents - it.called) for it in load.queues)
    missed = 0.0 if missed < 0.5 else missed
    yield Figure(
        "not called that day", missed, number(missed), measured,
        "residents − those called when their window closes; they come again on another day",
    )  # fmt: skip


def _messages(load: Load) -> Iterator[Figure]:
    cap, known = load.timetable.sms_per_second, load.known
    wanted = max(it.calls["register"] for it in load.moments)
    yield Figure(
        "SMS/s by day", wanted, number(wanted), "extrapolated",
        f"one a registration; sms.per_second allows {cap:,}; no provider's line has been measured",
    )  # fmt: skip
    yield Figure(
        "SMS/s of calls", load.call_messages, number(load.call_messages), "extrapolated",
        f"{MESSAGES_A_CALL} a call of who has asked for it (--told {load.asked.told:g}, calls.places_per_opening); "
        f"{_MOST_A_PLACE * load.places_told:,.0f} in a day at most",
    )  # fmt: skip
    registered = sum(it.called for it in load.queues)
    count = registered * SMS_SHARE
    hours = (load.timetable.sms_ends_s - load.timetable.sms_begins_s) % 86_400 or 86_400
    yield Figure(
        "SMS of the night, minutes", count / cap / 60, number(count / cap / 60), "extrapolated",
        f"{SMS_SHARE:.0%} of the registrations are given a slot (assumption) ÷ sms.per_second ({cap:,}), from "
        f"{clock(load.timetable.sms_begins_s)}; {hours / 3600:.0f} hours are allowed",
    )  # fmt: skip
    night = registered / known.sizes.night.registrations * known.sizes.night.seconds
    yield Figure(
        "night, minutes", night / 60, number(night / 60),
        _mark(registered <= known.sizes.night.registrations),
        f"registrations × {known.sizes.night.seconds / known.sizes.night.registrations * 1e6:.0f} µs, one process",
    )  # fmt: skip


def limits(load: Load, figures: Sequence[Figure]) -> Iterator[Limit]:
    """Say what gives way as the crowd grows with this set-up; workers grow with it."""
    by_name, shard = {it.name: it for it in figures}, load.shard
    it = min(load.queues, key=lambda q: q.calls_per_second / q.needed_rate)
    which = "max_active" if it.held_back else "rate_per_second"
    if load.asked.rate_per_second != "enough":
        yield Limit(
            f"calls ({which} of {it.district.name})",
            it.calls_per_second / it.needed_rate,
            f"everyone is called in the window at {math.ceil(it.needed_rate):,} calls a second, with max_active "
            f"{math.ceil(it.needed_rate * load.active_seconds):,}",
        )
    yield Limit(
        f"store shard of one opening ({shard.district})",
        load.asked.utilisation / shard.least if shard.least else math.inf,
        f"an opening takes {shard.most_joins:,.0f} joins a second at most; split the district",
    )
    hours = (load.timetable.sms_ends_s - load.timetable.sms_begins_s) % 86_400 or 86_400
    minutes = by_name["SMS of the night, minutes"].value
    yield Limit("SMS of the night", hours / 60 / minutes if minutes else math.inf, "a higher sms.per_second")
    wanted = by_name["SMS/s by day"].value + by_name["SMS/s of calls"].value
    yield Limit("SMS by day", load.timetable.sms_per_second / wanted, "a higher sms.per_second")
    night = by_name["night, minutes"].value * 60
    yield Limit(
        "the night", load.timetable.night_seconds / night if night else math.inf, "several cities, a night each"
    )
    law = load.known.law
    if law is not None and not math.isinf(law.law.ceiling):
        most = law.law.ceiling * load.asked.utilisation
        yield Limit("workers on one store", most / by_name["worker cores, busy"].value, "more cities (--cities)")


def notes(load: Load) -> Iterator[str]:
    """Say what a reader has to know besides, a sentence each."""
    law, shard = load.known.law, load.shard
    if law is None:
        yield "no ramp says how workers add up: a straight line is assumed (σ = κ = 0)"
    elif law.fixed:
        yield f"scalability law: {law.fixed}"
    for ramp in load.known.ramps:
        if ramp not in load.known.telling:
            yield (
                f"scalability law: the ramp of {ramp.workers} workers was limited by the {ramp.ramp.limit}, so it "
                "does not say how workers add up, and is left out of it"
            )
    if shard.most_joins <= 0:
        yield (
            "the workers' looks at an opening alone fill the shard that holds it, as each looks four times a "
            "second: split the crowd over several cities (--cities), each with workers and a store of its own"
        )
    elif shard.least > load.asked.utilisation:
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
    for it in load.queues:
        if it.held_back:
            yield (
                f"{it.district.name}: max_active {it.district.max_active:,} ÷ {load.active_seconds:.0f} s active "
                f"each lets {it.calls_per_second:,.0f} a second through, less than rate_per_second"
            )


def _mark(measured: bool) -> Mark:
    return "measured" if measured else "extrapolated"


def number(value: float) -> str:
    """With as many digits as it is worth."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def clock(seconds: float) -> str:
    """Return the seconds of the day as HH:MM."""
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
