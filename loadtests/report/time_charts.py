"""A run over time: its rates, queues, latencies, CPU and memory, as cards with a chart each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from loadtests.audit.evidence import Evidence
from loadtests.client.answers import Call
from loadtests.client.measure import Histogram
from loadtests.report.charts import Series, line_chart
from loadtests.report.markup import card


def time_charts(e: Evidence) -> Iterable[str]:
    """Return one card after the other."""
    counts = e.meters.counts
    marks = [(float(e.fault_second), e.fault or "fault")] if e.fault_second is not None else []
    marks += [(g.draw_seconds + g.opens_us / 1e6, "draw closes") for g in e.openings[:1]]

    requests = [second for second in counts["requests"] if second <= e.end_second]
    span = (float(min([*requests, -5])), float(e.end_second))

    def over_time(series: Sequence[Series], unit: str, *, log: bool = False, limit: float | None = None) -> str:
        return line_chart(
            series, unit=unit, log=log, limit=limit, marks=marks, seconds=span, shaded=(*e.marked, *e.machine.taken)
        )

    rates = [Series("arrivals", _counted(counts["arrivals"]))]
    for call, word in (
        (Call.JOIN, "joins"),
        (Call.OPENING, "public looks"),
        (Call.POLL, "polls"),
        (Call.CLAIM, "claims"),
        (Call.REGISTER, "registrations"),
    ):
        by_second = {second: h.total for second, h in e.meters.from_due[call].items()}
        rates.append(Series(word, _counted(by_second)))
    yield card(
        "Arrivals and requests",
        "per second, by when they were due",
        over_time(rates, "per second"),
    )
    yield card(
        "The line", "all openings together, as anyone sees it at GET /openings",
        over_time([Series(name, _looked(e, name)) for name in ("issued", "waiting", "serving")], "places"),
    )  # fmt: skip
    for call, word in (
        (Call.JOIN, "Joining"),
        (Call.OPENING, "Looking"),
        (Call.POLL, "Polling"),
        (Call.CLAIM, "Claiming"),
        (Call.REGISTER, "Registering"),
    ):
        limit_us = e.slo.p99_us(call)
        yield card(
            f"{word}: latency",
            "from the moment the resident was due" + (", p99 objective dashed" if limit_us else ""),
            over_time(_latency(e.meters.from_due[call]), "ms", log=True, limit=limit_us / 1000 if limit_us else None),
        )
    yield from _connections(e, over_time)
    around = [
        Series(word, _counted({second: h.total for second, h in e.meters.from_due[call].items()}))
        for call, word in (
            (Call.ELIGIBILITY, "eligibility"),
            (Call.SITES, "sites"),
            (Call.CHANGE, "changes"),
            (Call.CANCEL, "cancellations"),
            (Call.ACCESS_CODE, "codes"),
        )
        if e.meters.from_due[call]
    ]
    yield card(
        "Around the registration", "per second, by when they were due; QR images follow the registrations one by one",
        over_time(around, "per second"),
    )  # fmt: skip
    cpu = [Series(who, sorted(values.items())) for who, values in e.seen.cpu.items()]
    yield card("CPU", "percent of one core; others: what else the machine did, or its host took", over_time(cpu, "%"))
    memory = [Series(who, sorted(values.items())) for who, values in e.seen.memory_mb.items()]
    yield card("Memory", "resident set", over_time(memory, "MB"))
    late = [
        (float(second), (h.percentile_us(99) or 0) / 1000) for second, h in sorted(e.meters.lateness.items()) if h.total
    ]
    yield card(
        "The generator itself", "how late it was, with a line free, in sending what was due; its limit dashed",
        over_time([Series("p99", late)], "ms", log=True, limit=e.slo.generator.late_p99_ms),
    )  # fmt: skip
    trouble = [
        Series(name, _counted(counts[name]))
        for name in ("errors", "retries", "reconnects", "lines busy")
        if counts[name]
    ]
    if trouble:
        yield card("Errors and retries", "per second; lines busy: every connection was waiting for the server",
                   over_time(trouble, "per second"))  # fmt: skip


def _connections(e: Evidence, over_time: Callable[..., str]) -> Iterable[str]:
    counts, set_up = e.meters.counts, e.meters.set_up
    if counts["connections open"]:
        yield card("Connections", "of the crowd, open at the end of each second",
                   over_time([Series("open", _counted(counts["connections open"]))], "open"))  # fmt: skip
    series = [("opened", {second: h.total for second, h in set_up["connect"].items()})]
    series += [(name, counts[f"connections {name}"]) for name in ("let go", "ended", "expired", "reused")]
    changes = [Series(name, _counted(by_second)) for name, by_second in series if by_second]
    if changes:
        yield card(
            "Connections: changes",
            "per second; by the server: let go with an answer, ended while idle; by the browser: expired",
            over_time(changes, "per second"),
        )
    for how, word in (("connect", "Connecting"), ("handshake", "TLS handshakes")):
        if set_up[how]:
            slo = e.slo.connections
            limit = getattr(slo, f"{how}_p99_ms") if slo is not None else None
            yield card(
                f"{word}: latency",
                "from the moment the first request on it was due" + (", p99 objective dashed" if limit else ""),
                over_time(_latency(set_up[how]), "ms", log=True, limit=limit),
            )


def _counted(by_second: dict[int, int]) -> list[tuple[float, float]]:
    if not by_second:
        return []
    return [(float(second), float(by_second.get(second, 0))) for second in range(min(by_second), max(by_second) + 1)]


def _looked(e: Evidence, name: str) -> list[tuple[float, float]]:
    points: dict[int, dict[str, int]] = {}
    for opening in e.openings:
        for look in e.looks(opening):
            points.setdefault(look.seen_ms // 1000, {})[opening.district] = getattr(look, name)
    latest: dict[str, int] = {}
    line = []
    for second in sorted(points):
        latest |= points[second]
        line.append((float(second), float(sum(latest.values()))))
    return line


def _latency(by_second: Mapping[int, Histogram]) -> list[Series]:
    if not by_second:
        return []
    # enough of them in each point for a percentile to mean something
    step = max(1, (max(by_second) - min(by_second)) // 150)
    windows: dict[int, list[Histogram]] = {}
    for second, histogram in by_second.items():
        windows.setdefault(second // step * step, []).append(histogram)
    merged = {second: Histogram.merged(parts) for second, parts in sorted(windows.items())}
    return [
        Series(f"p{p}", [(float(second), (h.percentile_us(p) or 0) / 1000) for second, h in merged.items()])
        for p in (50, 95, 99)
    ]
