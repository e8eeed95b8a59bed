"""What a city needs: who opens when, peak rates, workers, store shards, memory, network, SMS, waits, and the night.

Each figure says how it comes about, and whether something like it has been measured or it is extrapolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from loadtests.capacity.connections import connection_figures
from loadtests.capacity.demand import Queue, Timetable
from loadtests.capacity.figures import Figure, Limit, clock, figures, limits, notes
from loadtests.capacity.known import Known
from loadtests.capacity.load import Load
from loadtests.capacity.moments import Moment, Shard
from loadtests.capacity.plan_request import PlanError, PlanRequest
from loadtests.crowd.crowd_file import DEFAULT_CROWD, load_profile


@dataclass(frozen=True)
class Plan:
    """The answer."""

    city: str
    asked: PlanRequest
    residents: float
    queues: tuple[Queue, ...]
    moments: tuple[Moment, ...]
    shard: Shard
    figures: tuple[Figure, ...]
    limits: tuple[Limit, ...]
    notes: tuple[str, ...]

    def figure(self, name: str) -> Figure:
        """Return the figure of this name."""
        return next(it for it in self.figures if it.name == name)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-encodable values."""
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


def make(timetable: Timetable, asked: PlanRequest, known: Known) -> Plan:
    """Answer for a city.

    Args:
        timetable: its districts with a window; all of them share the residents by population.

    Raises:
        PlanError: the question cannot be answered.
    """
    asked.check()
    if not timetable.districts:
        raise PlanError("no district has a window, so nothing opens")
    load = Load(timetable, asked, known, load_profile(DEFAULT_CROWD))
    found = [*figures(load), *connection_figures(load)]
    return Plan(
        _name(timetable, asked),
        asked,
        load.residents * asked.cities,
        load.queues,
        load.moments,
        load.shard,
        tuple(it.times(asked.cities) if asked.cities > 1 else it for it in found),
        tuple(sorted(limits(load, found), key=lambda it: it.factor)),
        tuple(notes(load)),
    )


def _name(timetable: Timetable, asked: PlanRequest) -> str:
    name = timetable.name
    if asked.openings is not None:
        name = f"{asked.openings:,} equal openings by {name}'s policy"
    return f"{asked.cities:,} cities, each {name}" if asked.cities > 1 else name
