"""A ramp's `--json`, read for the capacity model: how many arrivals a second held, and what CPU they took."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from loadtests.capacity.costs import Costs, Level
from loadtests.capacity.ramp_steps import RampResult, RampStep
from loadtests.capacity.usl import Point

Part = Literal["workers", "store"]
PARTS: tuple[Part, ...] = ("workers", "store")
_ALL = (*PARTS, "generator", "others")


class RampError(Exception):
    """A ramp cannot be used; the message is one line."""


class RampOptions(msgspec.Struct, frozen=True):
    """What of the run's options matters here."""

    workers: int | None = None


class MeasuredRamp(msgspec.Struct, frozen=True):
    """A ramp; what else its file holds is not read."""

    ramp: RampResult
    options: RampOptions
    host: Any = None
    began_at: str = ""

    @property
    def workers(self) -> int:
        """Of the server."""
        return self.options.workers or 1

    @property
    def cores(self) -> int | None:
        """Of the machine, where the file says it."""
        words = dict(self.host) if isinstance(self.host, dict | list) else {}
        told = re.search(r"(\d+) cores", str(words.get("CPU", "")))
        return int(told[1]) if told else None

    def held(self) -> list[RampStep]:
        """Return the steps that held, by rate."""
        return sorted((step for step in self.ramp.steps if step.held), key=lambda step: step.rate)

    def point(self) -> Point:
        """Return the point for the scalability law."""
        assert self.ramp.holds is not None  # noqa: S101  (`load_ramp` has looked)
        return Point(self.workers, self.ramp.holds, self.ramp.breaks)


def load_ramp(data: bytes, name: str) -> MeasuredRamp:
    """Read the `--json` of `jiaohao rehearse ramp`.

    Args:
        data: the file.
        name: of the file, for the message.

    Raises:
        RampError: it is no such file, or nothing held in it.
    """
    try:
        ramp = msgspec.json.decode(data, type=MeasuredRamp)
    except msgspec.DecodeError as error:
        raise RampError(f"{name}: not the --json of a ramp: {error}") from None
    if ramp.options.workers is None or ramp.options.workers < 1:
        raise RampError(f"{name}: options.workers: expected how many workers the server had")
    holds, breaks = ramp.ramp.holds, ramp.ramp.breaks
    if holds is None or not holds > 0 or not ramp.held():
        raise RampError(f"{name}: ramp.holds: no rate held, so there is nothing to plan with")
    if breaks is not None and not breaks > holds:
        raise RampError(f"{name}: ramp.breaks: expected more than ramp.holds ({holds:g}), got {breaks:g}")
    for index, step in enumerate(ramp.ramp.steps):
        where = f"{name}: ramp.steps[{index}]"
        if not (step.rate > 0 and step.seconds > 0):
            raise RampError(f"{where}: expected a rate above 0 and a to_second after the from_second")
        if any(not step.cpu_seconds.get(part, -1) >= 0 for part in PARTS):
            raise RampError(f"{where}.cpu_seconds: expected workers and store")
    return ramp


@dataclass(frozen=True)
class Checked:
    """CPU seconds of a step as the single calls' costs say it, and as it was."""

    rate: float
    part: Part
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Return the share by which the prediction is over (or, negative, under) what was measured."""
        return self.predicted / self.measured - 1 if self.measured else 0.0


def check(costs: Costs, ramp: MeasuredRamp, level: Level = "low") -> list[Checked]:
    """Return the bench's costs against the CPU of each step that held: Σ calls × cost, and the background.

    Each claim is taken to have one poll before it that told its resident of the call (`ready`), which asks the store.
    Calls that the bench has not measured are left out, so a prediction may be low by them.
    """
    found = []
    for step in ramp.held():
        asked: dict[str, float] = dict(step.requests)
        ready = min(asked.get("claim", 0.0), asked.get("poll", 0.0))
        asked |= {"poll": asked.get("poll", 0.0) - ready, "ready": ready}
        known = [(costs.calls[call], count) for call, count in asked.items() if call in costs.calls]
        idle = ramp.workers * step.seconds / costs.background.openings  # of one opening
        worker = sum(cost.worker_us[level].median * count for cost, count in known) + idle * costs.background.worker_us
        store = sum(cost.store_us[level].median * count for cost, count in known) + idle * costs.background.store_us
        found.append(Checked(step.rate, "workers", worker / 1e6, step.cpu_seconds["workers"]))
        found.append(Checked(step.rate, "store", store / 1e6, step.cpu_seconds["store"]))
    return found


def correction(costs: Costs, ramps: Sequence[MeasuredRamp], part: Part, level: Level = "low") -> float | None:
    """Say by what the bench's costs must be multiplied to give the ramps' CPU; None where the ramps do not say.

    In a ramp all calls grow together, so it cannot tell the calls apart; it says the one factor for all of them. The
    steps' median, of the upper half of the rates: CPU of a few requests is mostly background.
    """
    factors = []
    for ramp in ramps:
        steps = [one for one in check(costs, ramp, level) if one.part == part and one.predicted > 0]
        factors += [one.measured / one.predicted for one in steps[len(steps) // 2 :]]
    return statistics.median(factors) if factors and min(factors) > 0 else None


def each_resident(ramp: MeasuredRamp, part: str) -> float:
    """Return the CPU seconds that a resident took of a part, at the highest rate that held.

    There a resident is cheapest: what comes together shares a turn of the loop, a call of the store and its fsync. A
    line through the steps would take what is wasted at low rates for the cost of being there.

    Args:
        part: workers, store, generator or others.
    """
    step = ramp.held()[-1]
    return step.cpu_seconds.get(part, 0.0) / step.seconds / step.rate


@dataclass(frozen=True)
class Predicted:
    """What so many workers will hold, said from a ramp with fewer.

    Attributes:
        rate: residents a second.
        limit: workers, store or machine.
        bounds: the rate that each of them would allow.
    """

    workers: int
    rate: float
    limit: str
    bounds: dict[str, float]


def predict(ramp: MeasuredRamp, workers: int) -> Predicted:
    """Say from one ramp what another number of workers will hold.

    Workers add up in a straight line (one number of workers cannot say how they do not), until the store's core or the
    machine's cores are as busy as the workers' were at the highest rate that held.
    """
    holds = ramp.point().held
    busy = min(1.0, each_resident(ramp, "workers") * ramp.held()[-1].rate / ramp.workers)
    bounds = {"workers": holds * workers / ramp.workers}
    if store := each_resident(ramp, "store"):
        bounds["store"] = busy / store
    if ramp.cores is not None:
        bounds["machine"] = ramp.cores * busy / sum(each_resident(ramp, part) for part in _ALL)
    limit = min(bounds, key=lambda name: bounds[name])
    return Predicted(workers, bounds[limit], limit, bounds)
