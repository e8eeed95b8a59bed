"""A run in figures: what the report shows and what `--json` writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import msgspec

from loadtests.audit.evidence import Check, Evidence
from loadtests.capacity.ramp_steps import RampResult
from loadtests.client.answers import Call
from loadtests.client.measure import Histogram
from loadtests.report.against import Comparison, compare
from loadtests.report.assumptions import assumptions_of
from loadtests.report.connections import ConnectionsView, connections_view
from loadtests.report.host import describe_host
from loadtests.report.objectives import Objective, judge
from loadtests.report.residents import ResidentsView, residents_view
from loadtests.report.samples import FORMAT, RecordedRun, Sample, samples_of
from loadtests.resident.facts import Fact
from loadtests.run.options import Options

Verdict = Literal["green", "red", "inconclusive"]

_PERCENTILES = (50.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True)
class Summary:
    """What a report says besides its pictures.

    Attributes:
        verdict: green where every check is, and every SLO is held or was not there to measure; red where a check or an
            SLO is; inconclusive where none is red and something could not be judged.
        limited: the generator was the limit, so the latencies are not the server's.
        too_busy: why this machine could not show what the server does; None where it could.
        marked: seconds in which the generator was the limit, or others took the CPU, and why.
        latency_ms: percentiles from due time by call, of the seconds that are judged.
        apart_ms: the same of the others: before the opening, the warm-up, marked, forgiven, after the end.
        on_wire_ms: from sending, from the opening on.
        peak_requests_per_second: of any second.
        cpu_percent: by who: p50, p95 and the most by second, of one core.
        settings: all options, in words.
        ramp: of a run in steps, what it found.
        samples: the figures by second, for a later run to compare with.
        against: how the figures compare with the earlier run's, where one was given.
    """

    began_at: str
    verdict: Verdict
    limited: bool
    too_busy: str | None
    marked: Mapping[int, str]
    objectives: Sequence[Objective]
    checks: Sequence[Check]
    totals: dict[str, int]
    latency_ms: dict[str, dict[str, float]]
    apart_ms: dict[str, dict[str, float]]
    on_wire_ms: dict[str, dict[str, float]]
    residents_view: ResidentsView
    connections: ConnectionsView
    ramp: RampResult | None
    answers: list[tuple[str, int, str, int]]
    bots: list[tuple[str, int, str, int]]
    errors: list[str]
    peak_requests_per_second: int
    cpu_percent: dict[str, dict[str, float]]
    assumptions: list[tuple[str, str]]
    settings: list[tuple[str, str]]
    host: list[tuple[str, str]]
    options: Options
    samples: Sequence[Sample]
    against: Comparison | None = None

    @property
    def passed(self) -> bool:
        """Return whether the verdict is green."""
        return self.verdict == "green"

    @property
    def inconclusive(self) -> list[str]:
        """Say what could not be judged, and why; first what explains most of it."""
        found = {check.name: check.detail for check in self.checks if check.ok is None}
        found |= {line.name: line.detail for line in self.objectives if line.state == "inconclusive"}
        if self.too_busy is None:
            return [f"{name}: {detail}" for name, detail in found.items()]
        explained = [name for name, detail in found.items() if self.too_busy in detail]
        others = [f"{name}: {detail}" for name, detail in found.items() if name not in explained]
        return [f"{self.too_busy}: {', '.join(explained)}", *others]

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON-encodable values; `samples.Run` says what of it a later run reads."""
        plain: dict[str, Any] = {"format": FORMAT, **vars(self), "passed": self.passed}
        del plain["settings"]  # `options` has them as they are
        plain["residents_view"] = asdict(self.residents_view)
        plain["connections"] = asdict(self.connections)
        for name in ("objectives", "checks"):
            plain[name] = [vars(one) for one in plain[name]]
        plain["against"] = asdict(self.against) if self.against is not None else None
        return plain


def summarise(
    e: Evidence, checks: Sequence[Check], options: Options, curve: str, pace: str, earlier: RecordedRun | None = None
) -> Summary:
    """Put a run in figures.

    Args:
        earlier: a run to compare with.
    """
    observations = e.observations
    if options.redis_url is not None:  # the store's password is nobody's who reads a report
        options = msgspec.structs.replace(options, redis_url=re.sub(r"//.*@", "//", options.redis_url))
    objectives = judge(e, checks)
    samples, host = samples_of(e, sum(1 for check in checks if not check.ok)), describe_host()
    began_at = e.began.astimezone().isoformat(timespec="seconds")
    this = RecordedRun(FORMAT, began_at, msgspec.json.decode(msgspec.json.encode(options)), host, samples)
    facts = {
        fact: sum(1 for i in range(observations.residents) if observations.facts[i] & fact)
        for fact in (Fact.JOINED, Fact.READY, Fact.CLAIMED, Fact.REGISTERED, Fact.LEFT, Fact.MISSED, Fact.REFUSED)
    }
    # who cancelled and is in the queue again was registered too
    facts[Fact.REGISTERED] = sum(1 for i in range(observations.residents) if observations.registered_ever(i))
    totals = {"residents": e.crowd.residents, "requests": sum(e.meters.counts["requests"].values())}
    totals |= {str(fact.name).lower(): count for fact, count in facts.items()}
    totals |= {
        name: sum(e.meters.counts[name].values())
        for name in (
            "retries",
            "reconnects",
            "errors",
            "bot requests",
            "pressed early",
            "eligibility told",
            "changes",
            "cancellations",
            "codes asked",
        )
    }
    totals["registered again"] = sum(1 for i in observations.closed if observations.has(i, Fact.REGISTERED))
    return Summary(
        began_at=began_at,
        verdict=_verdict(checks, objectives),
        limited=any(check.name == "generator" and not check.ok for check in checks),
        too_busy=e.machine.too_busy,
        marked=dict(sorted(_joined(e.marked, e.machine.taken).items())),
        objectives=objectives,
        checks=checks,
        totals=totals,
        latency_ms=_percentiles((call, e.meters.whole(call, e.judged)) for call in Call),
        apart_ms=_percentiles((call, e.meters.whole(call, lambda s: not e.judged(s))) for call in Call),
        on_wire_ms=_percentiles(e.meters.on_wire.items()),
        residents_view=residents_view(e),
        connections=connections_view(e),
        ramp=e.ramp,
        answers=sorted((call.name.lower(), status, code, n) for (call, status, code), n in e.meters.answers.items()),
        bots=sorted((*observations, n) for observations, n in e.meters.bots.items()),
        errors=e.meters.errors,
        peak_requests_per_second=max(e.meters.counts["requests"].values(), default=0),
        cpu_percent={
            who: _of([percent for second, percent in values.items() if second in e.measured])
            for who, values in e.seen.cpu.items()
        },
        assumptions=assumptions_of(e.crowd, options, curve, pace),
        settings=[(name, _in_words(value)) for name, value in msgspec.structs.asdict(options).items()],
        host=host,
        options=options,
        samples=samples,
        against=compare(earlier, this) if earlier is not None else None,
    )


def _verdict(checks: Sequence[Check], objectives: Sequence[Objective]) -> Verdict:
    if any(check.ok is False for check in checks) or any(line.state == "broken" for line in objectives):
        return "red"
    if any(check.ok is None for check in checks) or any(line.state == "inconclusive" for line in objectives):
        return "inconclusive"
    return "green"


def _joined(one: Mapping[int, str], other: Mapping[int, str]) -> dict[int, str]:
    return {s: "; ".join(filter(None, (one.get(s), other.get(s)))) for s in one.keys() | other.keys()}


def _percentiles(measured: Iterable[tuple[Call, Histogram]]) -> dict[str, dict[str, float]]:
    table = {}
    for call, whole in sorted(measured):
        if whole.total:
            row = {f"p{p:g}": (whole.percentile_us(p) or 0) / 1000 for p in _PERCENTILES}
            table[call.name.lower()] = {"count": float(whole.total), **row}
    return table


def _of(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles of a few values by second."""
    ordered = sorted(values) or [0.0]
    return {f"p{p}": round(ordered[min(int(len(ordered) * p / 100), len(ordered) - 1)], 1) for p in (50, 95, 100)}


def _in_words(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else "-" if value is None else str(value)
