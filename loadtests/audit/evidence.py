"""What an audit judges: what residents were told, what was seen from outside, and the store's truth."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from loadtests.audit.machine import MachineLoad
from loadtests.audit.seen import OpeningSeen, Seen, StoreSeen
from loadtests.audit.slo import Slo
from loadtests.audit.truth import OpeningTruth, Truth
from loadtests.capacity.ramp_steps import RampResult
from loadtests.client.draw import Numbers
from loadtests.client.measure import Meters
from loadtests.crowd.crowd import Crowd
from loadtests.faults.catalogue import FAULTS
from loadtests.history.opening import OpeningHistory, of_openings
from loadtests.history.state import Rules
from loadtests.resident.facts import Fact, ObservedPass, SpentPlace
from loadtests.resident.observations import Observations
from loadtests.resident.run_opening import RunOpening

CLOCK_SLACK_MS = 2000
"""Doubt about when something seen once a second happened."""
_EVER_MS = 10**9
RECOVERY_SECONDS = 30
"""How long after a fault errors are forgiven: a restart costs residents a retry, nothing else."""


@dataclass(frozen=True)
class Check:
    """A check is one verdict on one promise.

    `ok` is None where it could not be judged, which the detail explains: the run is inconclusive.
    """

    name: str
    promise: str
    ok: bool | None
    detail: str


@dataclass(eq=False)
class Evidence:
    """The evidence is everything that an audit of one run may look at.

    Attributes:
        truth: None where the store cannot be reached: what needs it is then not judged.
        fault_second: when the fault was injected, in seconds from the opening; None without a fault.
        end_second: when the run ended.
        unserved: events that were due when the run ended, and had not been sent.
        warm_up_seconds: how long after the opening what is seen is kept apart; what is before it always is.
        expected: how many residents were to come; None: the whole crowd.
        ramp: what a ramp found.
        clock_doubt_ms: how far the clocks of those who were told may be from that of who watched.
        night: checks of the night, where one was held after the run (`run/night.py`).
        fault_end_second: when what lasts was over; None where it was at once.
        beacon: what is known of the relays that the city names (`run/options.py`); None where nothing is.
        began: on the wall clock, with the first arrivals.
        cores: of the machine on which the CPU was watched.
    """

    crowd: Crowd
    openings: tuple[RunOpening, ...]
    observations: Observations
    meters: Meters
    seen: Seen
    truth: Truth | None
    end_second: int
    slo: Slo = field(default_factory=Slo)
    fault: str | None = None
    fault_second: int | None = None
    unserved: int = 0
    warm_up_seconds: int = 0
    expected: int | None = None
    ramp: RampResult | None = None
    clock_doubt_ms: int = 0
    night: Sequence[Check] = ()
    fault_end_second: int | None = None
    beacon: str | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)

    @cached_property
    def history_rules(self) -> list[Rules]:
        """Return what each opening's histories are held to, but for when its numbers were called."""
        troubled = (0, -1)
        if self.machine.too_busy is not None:  # a worker that has no CPU does not hear how far the calls have come
            troubled = -_EVER_MS, _EVER_MS
        elif self.aftermath is not None:
            troubled = self.aftermath.start * 1000, self.aftermath.stop * 1000
        twice = self.fault is not None
        return [
            Rules(troubled=troubled, claim_ms=claim_ms(self, it), closes_ms=it.closes_us // 1000, may_repeat=twice)
            for it in self.openings
        ]

    @cached_property
    def opening_histories(self) -> list[OpeningHistory]:
        """Return what all residents' calls say of each opening."""
        history = self.observations.history
        homes = bytes(self.crowd.home(i) for i in range(self.crowd.residents))
        return of_openings(history, homes, self.history_rules, self.clock_doubt_ms)

    @property
    def measured(self) -> range:
        """Return the seconds that are judged: from the opening, or the end of the warm-up, to the end of the run."""
        return range(self.warm_up_seconds, self.end_second)

    @cached_property
    def marked(self) -> dict[int, str]:
        """Return the seconds in which the generator was the limit, and why: they prove nothing about the server."""
        why: dict[int, str] = {}
        limits = self.slo.generator
        for second, histogram in self.meters.lateness.items():
            late_us = histogram.percentile_us(99) or 0
            if late_us > limits.late_p99_ms * 1000:
                # what was sent this late was due this long before: it stood still all the while
                for stood in range(second - late_us // 1_000_000, second + 1):
                    why[stood] = f"late by {late_us / 1000:.0f} ms (p99)"
        for who, percents in self.generators.items():
            for second, percent in percents.items():
                if percent > limits.cpu_percent:
                    for busy in (second - 1, second):  # the look was some time in it, and the one before a second ago
                        why[busy] = "; ".join(filter(None, (why.get(busy), f"CPU of the {who} {percent:.0f} %")))
        return dict(sorted(why.items()))

    @property
    def generators(self) -> dict[str, dict[int, float]]:
        """Return the CPU of each generator, in percent of one core, by second."""
        return {who: percents for who, percents in self.seen.cpu.items() if who.startswith("generator")}

    @cached_property
    def machine(self) -> MachineLoad:
        """Say what this machine could show of the server."""
        return MachineLoad(self.seen.cpu, self.slo.machine, self.cores, self.measured)

    def judged(self, second: int) -> bool:
        """Return whether a second says something about the server.

        It is measured, not the generator's, not forgiven to a fault. What others took from it is left out as well, but
        not where that is most of the run: then all of it is judged, as what holds beside them holds without them too.
        """
        return (
            second in self.measured
            and second not in self.marked
            and (self.machine.too_busy is not None or second not in self.machine.taken)
            and (self.forgiven is None or second not in self.forgiven)
        )

    @property
    def fault_over_second(self) -> int | None:
        """Say from when on the service has nothing but itself to recover from; None without a fault."""
        if self.fault_second is None:
            return None
        return max(self.fault_second, self.fault_end_second or 0)

    @property
    def aftermath(self) -> range | None:
        """Return seconds around the fault in which trouble is its doing; None without a fault."""
        if self.fault_second is None or self.fault_over_second is None:
            return None
        return range(self.fault_second - 1, self.fault_over_second + RECOVERY_SECONDS + 1)

    @property
    def forgiven(self) -> range | None:
        """Return those of them in which errors and slowness are forgiven: all, or none where the fault may cost
        nothing."""
        fault = FAULTS.get(self.fault or "")
        return self.aftermath if fault is None or fault.forgiven else None

    @cached_property
    def by_opening(self) -> list[list[int]]:
        """Return the residents who were told a place, by the opening they queue at."""
        groups: list[list[int]] = [[] for _ in self.openings]
        for i in range(self.observations.residents):
            if self.observations.facts[i] & Fact.JOINED:
                groups[self.crowd.home(i)].append(i)
        return groups

    def people(self, opening: RunOpening) -> list[int]:
        """Return the residents who were told a place at this opening."""
        return self.by_opening[self.openings.index(opening)]

    @cached_property
    def _spent_by_opening(self) -> list[list[SpentPlace]]:
        groups: list[list[SpentPlace]] = [[] for _ in self.openings]
        for spent in self.observations.spent:
            groups[self.crowd.home(spent.resident)].append(spent)
        return groups

    def spent(self, opening: RunOpening) -> list[SpentPlace]:
        """Return the places of this opening that their holders were told, and that are no longer theirs."""
        return self._spent_by_opening[self.openings.index(opening)]

    def openings_with_truth(self) -> Iterator[tuple[RunOpening, OpeningTruth]]:
        """Return each opening with its truth; nothing where the store could not be reached."""
        if self.truth is not None:
            for opening in self.openings:
                yield opening, self.truth.openings[opening.district]

    def looks(self, opening: RunOpening) -> list[OpeningSeen]:
        return self.seen.openings.get(opening.district, [])

    def counters(self, opening: RunOpening) -> list[StoreSeen]:
        return [seen for seen in self.seen.store.get(opening.district, []) if seen.fields]

    @cached_property
    def numbers(self) -> dict[str, Numbers | None]:
        """Return the draw of each opening as a resident would compute it: revealed seed, N; None before it is done."""
        found: dict[str, Numbers | None] = {}
        for opening in self.openings:
            done = [look for look in self.looks(opening) if look.seed and look.entries is not None]
            last = done[-1] if done else None
            found[opening.district] = (
                Numbers(bytes.fromhex(last.key or last.seed), last.entries)
                if last and last.seed and last.entries is not None
                else None
            )
        return found

    def numbered(self, opening: RunOpening) -> Iterator[tuple[int, int, int]]:
        """Return (resident, entry, number) of every number anyone was told at this opening, spent places too."""
        observations = self.observations
        for i in self.people(opening):
            if observations.number[i]:
                yield i, observations.entry[i], observations.number[i]
        for spent in self.spent(opening):
            if spent.number:
                yield spent.resident, spent.entry, spent.number

    def contradictions(self, *kinds: str) -> tuple[int, str]:
        """Say how often residents were told something of these kinds, and an example in words."""
        total = sum(self.observations.contradictions[kind] for kind in kinds)
        found = [
            f"{kind}: {self.observations.examples[kind][0]}" for kind in kinds if self.observations.contradictions[kind]
        ]
        return total, ("; " + "; ".join(found) if found else "")


class GrowingValue:
    """A value that only grows, as it was seen: what it was at most by a time, and from when it was reached."""

    def __init__(self, seen: list[tuple[int, int, int]]) -> None:
        """Args: seen: (asked_ms, answered_ms, value) in order of time."""
        self._asked = [asked for asked, _, _ in seen]
        self._values = [value for _, _, value in seen]

    def __len__(self) -> int:
        return len(self._asked)

    def at_most_at(self, ms: int) -> int | None:
        """Say what it can have been at most at `ms`: the first value asked for after it."""
        at = bisect_left(self._asked, ms)
        return self._values[at] if at < len(self._values) else None

    def not_before(self, value: int) -> int | None:
        """Return a time at which `value` had surely not been reached; None where it was never seen lower."""
        at = bisect_left(self._values, value)
        return self._asked[at - 1] if at else None

    @property
    def last(self) -> int:
        return self._values[-1] if self._values else 0

    def backward(self) -> int:
        """Say how often it fell."""
        return sum(1 for a, b in zip(self._values, self._values[1:], strict=False) if b < a)


def verdict(name: str, promise: str, faults: list[str], detail: str) -> Check:
    """Red with the first faults, or green with the detail."""
    return Check(name, promise, not faults, "; ".join(faults[:4]) if faults else detail)


def unjudged(name: str, promise: str) -> Check:
    """Return a check that the store's truth is missing for."""
    return Check(name, promise, None, "needs the store: give --redis-url")


def serving_steps(e: Evidence, opening: RunOpening) -> GrowingValue:
    """Say how far the calls had come: by the store where it was watched, else by what everyone can see."""
    store = [(s.sent_ms, s.seen_ms, int(s.fields["serving"])) for s in e.counters(opening)]
    return GrowingValue(store or [(look.sent_ms, look.seen_ms, look.serving) for look in e.looks(opening)])


def claim_ms(e: Evidence, opening: RunOpening) -> int:
    """Say how long a call may be claimed; 0 where the store was not watched."""
    seen = e.counters(opening)
    return int(seen[-1].fields["claim_ms"]) if seen else 0


def passes_told(e: Evidence, opening: RunOpening) -> list[ObservedPass]:
    """Return every pass of this opening that its holder was told of."""
    earlier = [p for p in e.observations.spent_passes if e.openings[e.crowd.home(p.resident)] is opening]
    return e.observations.last_passes(e.people(opening)) + earlier
