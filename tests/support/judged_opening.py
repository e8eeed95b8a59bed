"""The honest opening, judged by the shipped SLO file."""

import msgspec

from loadtests.audit.promises import audit
from loadtests.audit.slo import SHIPPED_SLO, Lateness, load_slo
from loadtests.client.answers import Call
from loadtests.crowd.arrivals import parse_curve
from loadtests.report.objectives import Objective, judge
from loadtests.report.summary import Summary, summarise
from loadtests.resident.pace import Pace
from loadtests.run.options import Options
from tests.support.honest_opening import END_S, World

_SHIPPED = load_slo(SHIPPED_SLO)
assert _SHIPPED.interval is not None
STRICT = msgspec.structs.replace(
    _SHIPPED,
    lateness=Lateness(p99_ms=200),
    memory=None,
    interval=msgspec.structs.replace(_SHIPPED.interval, fewest=3),
)
"""The shipped file, but for a lateness that is broken before it marks a second as the generator's, for what takes
longer than this opening, and for what more people than these have to be promised."""


def world_with_slo() -> World:
    """The honest opening with promises of the waiting time that were kept, judged by the shipped file."""
    world = World()
    world.evidence.slo = STRICT
    world.evidence.meters.counts["requests"] |= {second: 50 for second in range(END_S)}
    for call in Call:
        for second in range(END_S):
            world.evidence.meters.answered(call, second * 1_000_000, second * 1_000_000, second * 1_000_000 + 5000)
    for second in range(END_S):
        for how in ("connect", "handshake"):
            world.evidence.meters.connected(how, second * 1_000_000, second * 1_000_000 + 5000)
    for i in range(world.observations.residents):
        if world.observations.ready_ms[i] > 0:
            world.observations.promised_wait_ms[i] = (
                world.observations.ready_ms[i] - world.observations.joined_ms[i] + 2000
            )
    promise_turns(world, 1000)
    world.evidence.fault, world.evidence.fault_second = "kill-store", 20
    return world


def promise_turns(world: World, either_way_ms: int, late_ms: int = 0) -> None:
    """Everyone who was called was told so 25 s before: that it would be then, or so much later, give or take."""
    observations = world.observations
    observations.turns_seen.calls.clear()
    for number, i in sorted(
        (observations.number[i], i) for i in range(observations.residents) if observations.number[i]
    ):
        if (called_ms := observations.ready_ms[i]) > 0:
            observations.turns_seen.saw(world.crowd.home(i), number, called_ms)
            observations.told_turns.forget(i)
            middle_ms = called_ms + late_ms
            observations.told_turns.told(i, 0, middle_ms - either_way_ms, middle_ms + either_way_ms, called_ms - 25_000)


def lines(world: World) -> dict[str, Objective]:
    return {line.name: line for line in judge(world.evidence, audit(world.evidence))}


def concluded(world: World) -> Summary:
    curve, pace = parse_curve("door:0.333", 60, 10).describe(), Pace.of(60, world.crowd.profile).describe()
    return summarise(world.evidence, audit(world.evidence), Options(residents=90), curve, pace)


def slow(world: World, call: Call, second: int, seconds: float = 3.0, times: int = 5) -> None:
    for _ in range(times):
        at_us = second * 1_000_000
        world.evidence.meters.answered(call, at_us, at_us, at_us + int(seconds * 1_000_000))
