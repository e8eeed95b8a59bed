"""How much a set-up carries: raise the rate of arrivals until an SLO breaks, then close in on the highest that holds.

Residents come at random moments (an open workload) at one rate for a step; the seconds after it has settled are judged
by the SLO file's p99s and share of errors. A step that breaks is tried once more before it counts, for a machine may
have other work. Up by a half each time, then by the geometric mean of the highest rate that held and the lowest that
broke, until they are close.
"""

from __future__ import annotations

import math
import os

import msgspec

from loadtests.audit.slo import Slo
from loadtests.capacity.ramp_steps import RampResult, RampStep
from loadtests.client.answers import Call
from loadtests.client.measure import Histogram, Meters
from loadtests.crowd.crowd import Crowd
from loadtests.resident.acts import SECOND_US
from loadtests.run.generators import ArrivalBatch
from loadtests.run.load_shape import RunView
from loadtests.run.options import Options

_SETTLE_SECONDS = 8
_JUDGED_SECONDS = 15
_HEARD_SECONDS = 2
"""After a step, for its last answers."""
_RISE = 1.5
_CLOSE_ENOUGH = 1.1
_QUIET_SECONDS = 40
"""How long to wait, at most, until a step that broke has drained."""
_BUSY = 0.9
"""Share of a core from which on a process is taken for the limit."""
_OTHERS = 0.15
"""Share of the machine from which on other work, where it is full, is taken for the limit."""


class RampShape:
    """This load shape sends residents in steps, each at a higher rate, until one breaks an SLO; then it closes in."""

    everyone = False

    def __init__(self, options: Options, slo: Slo) -> None:
        self.found = RampResult([])
        self._slo, self._rate = slo, options.rate
        self._workers = options.workers or os.cpu_count() or 1
        self._came = 0
        self._step: RampStep | None = None
        self._ends_us = 0
        self._quiet_by_us: int | None = None
        self._again = False

    def over(self, run: RunView) -> bool:
        """Do what is next; return whether there is nothing left to do."""
        now_us = run.now_us()
        if self._quiet_by_us is not None:
            if run.pool.progress().requests_a_second > 0.02 * self._rate and now_us < self._quiet_by_us:
                return False
            self._quiet_by_us = None
        if self._step is None:
            first = run.setting.openings[0]
            drawn_us = first.opens_us + int((first.draw_seconds + 2) * SECOND_US)
            return not self._begin_step(run, max(now_us + SECOND_US, drawn_us))
        if now_us < self._ends_us + _HEARD_SECONDS * SECOND_US:
            return False
        self._judge(self._step, run)
        step, self._step = self._step, None
        if not step.held and not self._again:
            self._again, self._quiet_by_us = True, now_us + _QUIET_SECONDS * SECOND_US
            return False
        self._again = False
        return self._choose(step, now_us)

    def expected(self, crowd: Crowd) -> int:
        """Say how many residents were to come until now."""
        return self._came

    def judged_by(self, slo: Slo) -> Slo:
        """Steps that broke are no fault of the run: only the audit is judged over all of it."""
        return Slo(audit=slo.audit, generator=msgspec.structs.replace(slo.generator, marked_share=1.0))

    def words(self) -> str:
        """Say at which rate the ramp is, for the progress line."""
        return f"{self._step.rate:.0f} arrivals/s" if self._step else "draining"

    def _begin_step(self, run: RunView, from_us: int) -> bool:
        """File a step's arrivals; False where residents or minutes are used up."""
        seconds = _SETTLE_SECONDS + _JUDGED_SECONDS
        first, last = self._came, self._came + round(self._rate * seconds)
        ends_us = from_us + seconds * SECOND_US
        if last > run.crowd.residents or ends_us > run.end_us:
            return False
        run.pool.arrive(ArrivalBatch(first, last, from_us, ends_us))
        self._came, self._ends_us = last, ends_us
        judged_from = math.ceil(from_us / SECOND_US) + _SETTLE_SECONDS
        self._step = RampStep(self._rate, judged_from, ends_us // SECOND_US)
        return True

    def _choose(self, step: RampStep, now_us: int) -> bool:
        """Return the next rate; True where the search is over."""
        found = self.found
        if step.held:
            found.holds = max(found.holds or 0.0, step.rate)
        else:
            found.breaks = min(found.breaks or math.inf, step.rate)
            found.limit = self._limit(step)
            self._quiet_by_us = now_us + _QUIET_SECONDS * SECOND_US
        if found.breaks is None:
            self._rate = step.rate * _RISE
        elif found.holds is None:
            self._rate = step.rate / 2
            return self._rate < 1
        else:
            self._rate = math.sqrt(found.holds * found.breaks)
            return found.breaks / found.holds <= _CLOSE_ENOUGH
        return False

    def _judge(self, step: RampStep, run: RunView) -> None:
        meters, seconds = run.pool.meters(), range(step.from_second, step.to_second)
        broken = []
        for call in Call:
            whole = Histogram.merged(meters.from_due[call][s] for s in seconds if s in meters.from_due[call])
            p99_us, limit_us = whole.percentile_us(99), self._slo.p99_us(call)
            if p99_us is None:
                continue
            name = call.name.lower()
            step.requests[name], step.p99_ms[name] = whole.total, p99_us / 1000
            if limit_us is not None and p99_us > limit_us:
                broken.append(f"p99 {name} {p99_us / 1000:.0f} ms")
        due = step.rate * len(seconds)
        if step.requests.get("join", 0) < 0.95 * due - 5 * math.sqrt(due):  # filed at random moments
            broken.append(f"{step.requests.get('join', 0)} of {due:.0f} joins were answered in time")
        errors = sum(meters.counts["errors"].get(s, 0) for s in seconds)
        if self._slo.errors is not None and errors > self._slo.errors.share * max(sum(step.requests.values()), 1):
            broken.append(f"{errors} errors")
        for who, percents in run.cpu().items():
            step.cpu_seconds[who] = round(sum(percents.get(s, 0.0) for s in seconds) / 100, 2)
        late = _late_p99_ms(meters, seconds)
        if late > self._slo.generator.late_p99_ms:
            broken.append(f"the generator was late by {late:.0f} ms (p99)")
        step.held, step.why = not broken, "; ".join(broken)
        self.found.steps.append(step)

    def _limit(self, step: RampStep) -> str:
        """Say who was as busy as they can be while a step broke."""
        busy = {who: cpu / step.seconds for who, cpu in step.cpu_seconds.items()}
        if any(cores > _BUSY for who, cores in busy.items() if who.startswith("generator")):
            return "generator"
        if busy.get("store", 0.0) > _BUSY:
            return "store"
        if busy.get("workers", 0.0) > _BUSY * self._workers:
            return "workers"
        cores = os.cpu_count() or 1
        if sum(busy.values()) > _BUSY * cores:
            return "others" if busy.get("others", 0.0) > _OTHERS * cores else "machine"
        return "unknown"


def _late_p99_ms(meters: Meters, seconds: range) -> float:
    late = Histogram.merged(meters.lateness[s] for s in seconds if s in meters.lateness)
    return (late.percentile_us(99) or 0) / 1000
