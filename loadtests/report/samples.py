"""A run's figures as samples by second: what `--json` keeps so that `--against` can compare, with the runs' own spread.

Of every figure less is better. Only seconds that say something about the server are in it (`Evidence.judged`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from loadtests.audit.evidence import Evidence
from loadtests.client.measure import Histogram
from loadtests.report.experience import asked, eta_errors, out_of_order, recovery_seconds
from loadtests.report.residents import missed, waits_ms, ways_ms
from loadtests.report.turns import told_turns
from loadtests.resident.facts import NEVER, Fact

OTHERS = "others"
FORMAT = 1
"""Of the file; another number is not compared."""
MOST_RESIDENTS = 200_000
"""In the histograms of what they felt."""
UNITS = {"ms": 1e3, "s": 1e6, "s waited": 1e3, "requests": 1.0, "kB": 1e3}
"""What a histogram counted as one, in each unit: microseconds; milliseconds for waits, which are longer than the five
minutes in microseconds that it holds; requests; bytes."""


class Durations(msgspec.Struct, tag="durations", tag_field="kind"):
    """Durations, or what else a histogram holds, to be read at some percentiles.

    Attributes:
        unit: of the figures, one of `UNITS`.
        seconds: by second from the opening, an HDR histogram (V2, compressed, base64).
    """

    name: str
    unit: str
    percentiles: tuple[float, ...]
    seconds: dict[int, str]


class Ratio(msgspec.Struct, tag="ratio", tag_field="kind"):
    """One sum by another: by second from the opening, what goes into each."""

    name: str
    unit: str
    seconds: dict[int, tuple[float, float]]


class Single(msgspec.Struct, tag="single", tag_field="kind"):
    """A figure that a run has once, so without a spread; `resolution` is how finely it was seen."""

    name: str
    unit: str
    value: float
    resolution: float


Sample = Durations | Ratio | Single


class RecordedRun(msgspec.Struct):
    """What a later run needs of this one's `--json`.

    Attributes:
        options: settings, as `Options`.
        host: the machine, by name.
    """

    format: int
    began_at: str
    options: dict[str, Any]
    host: list[tuple[str, str]]
    samples: list[Sample]


def samples_of(e: Evidence, red: int) -> list[Sample]:
    """Return all figures of a run that can be compared.

    Args:
        red: how many checks of the audit were not green.
    """
    return list(_samples(e, red))


def _samples(e: Evidence, red: int) -> Iterator[Sample]:
    for call, by_second in e.meters.from_due.items():
        if seconds := _encoded(e, by_second):
            yield Durations(call.name.lower(), "ms", (50, 99), seconds)
    for how, by_second in e.meters.set_up.items():
        if seconds := _encoded(e, by_second):
            yield Durations(how, "ms", (50, 99), seconds)
    if seconds := _encoded(e, eta_errors(e)):
        yield Durations("ETA error", "s", (50, 90), seconds)
    if seconds := _encoded(e, e.meters.lateness):
        yield Durations("generator late", "ms", (99,), seconds)
    yield from _turns(e)
    yield from _residents(e)
    requests, errors = asked(e), e.meters.counts["errors"]
    judged = [second for second, count in requests.items() if count and e.judged(second)]
    yield Ratio("errors", "of requests", {s: (float(errors.get(s, 0)), float(requests[s])) for s in judged})
    for who, percents in e.seen.cpu.items():
        if who == OTHERS:  # not for our requests
            yield Ratio("CPU of others", "cores", {s: (percents[s] / 100, 1.0) for s in judged if s in percents})
            continue
        spent = {s: (percents[s] / 100, requests[s] / 1000) for s in judged if s in percents}
        if any(cpu for cpu, _ in spent.values()):
            yield Ratio(f"CPU of {who}", "s a thousand requests", spent)
    pairs = {second: (float(wrong), float(total)) for second, (wrong, total) in sorted(out_of_order(e).items())}
    if any(total for _, total in pairs.values()):
        yield Ratio("out of order", "of pairs", pairs)
    if e.fault_second is not None:
        yield Single("recovery after a fault", "s", float(recovery_seconds(e)), 1.0)
    yield Single("checks not green", "checks", float(red), 0.0)


def _turns(e: Evidence) -> Iterator[Sample]:
    """Say how many intervals were broken, and how wide they were, by the second in which each was told."""
    broken: dict[int, tuple[float, float]] = {}
    wide: dict[int, tuple[float, float]] = {}
    for it in told_turns(e):
        second = it.told_ms // 1000
        if not e.judged(second):
            continue
        for sums, part, whole in ((broken, not it.is_kept, 1), (wide, it.width_ms, it.wait_ms)):
            before = sums.get(second, (0.0, 0.0))
            sums[second] = before[0] + part, before[1] + whole
    if broken:
        yield Ratio("interval broken", "of promises", broken)
        yield Ratio("interval, width", "of waits", wide)


def _residents(e: Evidence) -> Iterator[Sample]:
    """Say what residents felt, by the second in which each was told the place, or came where there is none.

    Of millions every so many-th goes into a histogram: the noise of that is in the spread of the seconds.
    """
    observations, every = e.observations, -(-e.observations.residents // MOST_RESIDENTS)
    second = [ms // 1000 for ms in map(max, observations.joined_ms, observations.came_ms)]  # NEVER is the least of all
    asking = [i for i, requests in enumerate(observations.requests) if requests]
    traffic = ((i, observations.bytes_up[i] + observations.bytes_down[i]) for i in asking)
    for name, unit, values in (
        ("wait for the call", "s waited", waits_ms(e)),
        ("door to registration", "s waited", ways_ms(e)),
        ("requests a resident", "requests", ((i, observations.requests[i]) for i in asking)),
        ("bytes a resident", "kB", traffic),
    ):
        by_second: dict[int, Histogram] = {}
        for i, value in values:
            if not i % every:
                by_second.setdefault(second[i], Histogram()).add(value)
        if seconds := _encoded(e, by_second):
            yield Durations(name, unit, (50, 95), seconds)
    luckless = missed(e)
    called = [i for i in range(observations.residents) if observations.ready_ms[i] != NEVER or i in luckless]
    again = int(Fact.ASKED_TWICE)
    for name, of, counted in (
        ("asked twice", "of residents", ((i, bool(observations.facts[i] & again)) for i in asking)),
        ("missed a call", "of called", ((i, i in luckless) for i in called)),
    ):
        sums: dict[int, tuple[float, float]] = {}
        for i, wrong in counted:
            if e.judged(second[i]):
                before = sums.get(second[i], (0.0, 0.0))
                sums[second[i]] = before[0] + wrong, before[1] + 1
        if sums:
            yield Ratio(name, of, sums)


def _encoded(e: Evidence, by_second: Mapping[int, Histogram]) -> dict[int, str]:
    return {second: histogram.encoded() for second, histogram in sorted(by_second.items()) if e.judged(second)}
