"""A verdict on each line of the SLO file: held, broken, not measured, or inconclusive.

A line is judged by the seconds in which the server could show itself (`Evidence.judged`): not the warm-up, not those in
which the generator was the limit, not those that a fault is forgiven. Which of them were over the limit by themselves
is said too, whether the line held over all or not. A line that is over its limit while the machine was too busy, with
what is no part of the server, is inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from loadtests.audit.evidence import Check, Evidence
from loadtests.audit.slo import Interval
from loadtests.client.answers import Call
from loadtests.client.measure import Histogram
from loadtests.report.experience import asked, eta_errors, out_of_order, recovery_seconds, served_after, troubled
from loadtests.report.turns import LONG_MS, told_turns

_LONG_ENOUGH_SECONDS = 1200

State = Literal["held", "broken", "not measured", "inconclusive"]


@dataclass(frozen=True)
class Objective:
    """Verdict on one line.

    Attributes:
        figure: None where not measured.
        seconds: those, from the opening, in which the line was broken by itself.
        detail: of what the figure was made, or why there is none.
    """

    name: str
    state: State
    figure: float | None
    limit: float
    unit: str
    seconds: Sequence[int]
    detail: str


def judge(e: Evidence, checks: Sequence[Check]) -> list[Objective]:
    """Judge every line of the file, in its order.

    Args:
        checks: the audit's.
    """
    timed = (_if_proven(e, line) for line in _timed(e))
    return [*timed, *_of_the_audit(e, checks)]


def _if_proven(e: Evidence, line: Objective) -> Objective:
    """The line, or that nothing can be said of it: how quick a server is shows only on a machine free for it."""
    if line.state != "broken" or (why := e.machine.unproven(line.seconds or e.measured)) is None:
        return line
    return replace(line, state="inconclusive", detail=f"{line.detail}; {why}")


def _of_the_audit(e: Evidence, checks: Sequence[Check]) -> Iterator[Objective]:
    if e.slo.audit is None:
        return
    told: tuple[tuple[str, bool | None, int, State], ...] = (
        ("audit, red", False, e.slo.audit.red, "broken"),
        ("audit, not judged", None, e.slo.audit.unjudged, "inconclusive"),
    )
    for name, ok, limit, over in told:
        found = [check.name for check in checks if check.ok is ok]
        detail = ", ".join(found) or f"none of {len(checks)} checks"
        yield Objective(name, "held" if len(found) <= limit else over, len(found), limit, "checks", (), detail)


def _timed(e: Evidence) -> Iterator[Objective]:
    slo = e.slo
    for call in Call:
        limit_us = slo.p99_us(call)
        if limit_us is not None:
            name = f"p99 {call.name.lower()}"
            yield _percentile(name, 99, e.meters.from_due[call], limit_us / 1000, "ms", e.judged)
    if slo.errors is not None:
        yield _errors(e, slo.errors.share)
    if slo.connections is not None:
        for how, limit in (
            ("connect", slo.connections.connect_p99_ms),
            ("handshake", slo.connections.handshake_p99_ms),
        ):
            if limit is not None:
                yield _percentile(f"p99 {how}", 99, e.meters.set_up[how], limit, "ms", e.judged)
    if slo.lateness is not None:  # the generator's own: so its marked seconds count here
        inside = e.measured.__contains__
        yield _percentile("generator late, p99", 99, e.meters.lateness, slo.lateness.p99_ms, "ms", inside)
    if slo.eta is not None:
        errors = eta_errors(e)
        for name, percent, limit in (
            ("ETA error, median", 50, slo.eta.median_error_seconds),
            ("ETA error, p90", 90, slo.eta.p90_error_seconds),
        ):
            if limit is not None:
                yield _percentile(name, percent, errors, limit, "s", e.judged)
    if slo.interval is not None:
        yield from _interval(e, slo.interval)
    if slo.fairness is not None:
        yield _fairness(e, slo.fairness.kendall)
    if slo.recovery is not None:
        yield _recovery(e, slo.recovery.of.get(e.fault or "", slo.recovery.seconds))
    if slo.memory is not None:
        yield _memory(e, slo.memory.workers_mb_an_hour)


def _percentile(
    name: str, percent: float, by_second: Mapping[int, Histogram], limit: float, unit: str,
    inside: Callable[[int], bool],
) -> Objective:  # fmt: skip
    """Return a percentile of durations; `limit` in `unit`, ms or s."""
    us = {"ms": 1e3, "s": 1e6}[unit]
    judged = {second: histogram for second, histogram in by_second.items() if inside(second)}
    whole = Histogram.merged(judged.values())
    figure_us = whole.percentile_us(percent)
    if figure_us is None:
        why = "none in a second that could be judged" if by_second else "none was seen"
        return Objective(name, "not measured", None, limit, unit, (), why)
    over = sorted(second for second, h in judged.items() if (h.percentile_us(percent) or 0) / us > limit)
    # of so few it is no percentile: said, and judged all the same, for the promise was to each of them
    few = ", the longest of so few" if whole.total * (100 - percent) < 100 else ""
    detail = f"of {whole.total} in {len(judged)} s{few}"
    return Objective(name, _state(figure_us / us <= limit), figure_us / us, limit, unit, over, detail)


def _errors(e: Evidence, limit: float) -> Objective:
    errors, requests = e.meters.counts["errors"], asked(e)
    name, unit = "errors", "of requests"
    judged = [second for second, n in requests.items() if n and e.judged(second)]
    total, wrong = sum(requests[second] for second in judged), sum(errors.get(second, 0) for second in judged)
    if not total:
        return Objective(name, "not measured", None, limit, unit, (), "no request in a second that could be judged")
    over = sorted(second for second in judged if errors.get(second, 0) / requests[second] > limit)
    return Objective(name, _state(wrong / total <= limit), wrong / total, limit, unit, over, f"{wrong} of {total}")


def _interval(e: Evidence, limits: Interval) -> Iterator[Objective]:
    """Judge whether the times told were right, and no wider than they need be: either alone is easy."""
    told = [it for it in told_turns(e) if e.judged(it.called_ms // 1000)]
    kept = sum(it.is_kept for it in told)
    early = sum(it.called_ms < it.from_ms for it in told)
    widths = [it.width_ms / it.wait_ms for it in told if it.wait_ms >= LONG_MS]
    for name, unit, limit, many, of in (
        ("interval, kept", "of promises", limits.kept_share, len(told), "promises"),
        (
            "interval, median width",
            "of the wait",
            limits.width_share,
            len(widths),
            f"waited {LONG_MS // 1000} s or more",
        ),
    ):
        if limit is None:
            continue
        if many < max(limits.fewest, 1):
            why = f"{many} {of}, {limits.fewest} are enough"
            yield Objective(name, "not measured", None, limit, unit, (), why)
        elif unit == "of promises":
            figure, detail = kept / many, f"{kept} of {many}; {early} called early, {many - kept - early} late"
            yield Objective(name, _state(figure >= limit), figure, limit, unit, (), detail)
        else:
            figure = median(widths)
            yield Objective(name, _state(figure <= limit), figure, limit, unit, (), f"of {many} that {of}")


def _fairness(e: Evidence, limit: float) -> Objective:
    name, unit = "fairness", "of pairs"
    # of all claims: order is the server's doing, however busy the generator was
    pairs = out_of_order(e)
    wrong, total = sum(w for w, _ in pairs.values()), sum(n for _, n in pairs.values())
    if not total:
        return Objective(name, "not measured", None, limit, unit, (), "fewer than two claims")
    over = sorted(second for second, (w, n) in pairs.items() if n and w / n > limit)
    return Objective(
        name, _state(wrong / total <= limit), wrong / total, limit, unit, over, f"{wrong} of {total} out of order"
    )


def _recovery(e: Evidence, limit: float) -> Objective:
    name, unit = "recovery after a fault", "s"
    if e.fault is None:
        return Objective(name, "not measured", None, limit, unit, (), "no fault was asked for")
    over = e.fault_over_second
    if e.fault_second is None or over is None or e.aftermath is None:
        return Objective(name, "not measured", None, limit, unit, (), f"{e.fault}: was not injected")
    when = f"{e.fault} at {e.fault_second} s" + (f", until {over} s" if over > e.fault_second else "")
    seconds = troubled(e)
    last = seconds[-1] if seconds else e.fault_second - 1
    took = float(recovery_seconds(e))
    if not served_after(e, last) or last == e.aftermath[-1]:
        return Objective(name, "broken", took, limit, unit, seconds, f"{when}: had not recovered")
    return Objective(name, _state(took <= limit), took, limit, unit, seconds, f"{when}, trouble in {len(seconds)} s")


def _memory(e: Evidence, limit: float) -> Objective:
    """Growth from the second quarter of the run, when all is warm, to the last: medians of both, so no spike counts."""
    name, unit = "workers' memory, growth", "MB/h"
    length = len(e.measured)
    held = e.seen.memory_mb.get("workers", {})
    early, late = (
        [held[s] for s in e.measured[length * k // 4 : length * (k + 1) // 4] if held.get(s)] for k in (1, 3)
    )
    if length < _LONG_ENOUGH_SECONDS or not early or not late or e.fault is not None:
        why = "a fault starts workers anew" if e.fault is not None else f"needs {_LONG_ENOUGH_SECONDS // 60} minutes"
        return Objective(name, "not measured", None, limit, unit, (), why if held else "workers were not watched")
    before, after = median(early), median(late)
    figure = (after - before) * 3600 / (length / 2)
    return Objective(name, _state(figure <= limit), figure, limit, unit, (), f"{before:.0f}, then {after:.0f} MB")


def _state(held: bool) -> State:
    return "held" if held else "broken"


def in_words(seconds: Iterable[int]) -> str:
    """Say which seconds, as stretches: "seconds 3-5, 9", "second 9"; empty for none."""
    ordered = sorted(seconds)
    stretches: list[list[int]] = []
    for second in ordered:
        if stretches and second == stretches[-1][1] + 1:
            stretches[-1][1] = second
        else:
            stretches.append([second, second])
    words = [str(first) if first == last else f"{first}-{last}" for first, last in stretches]
    more = f" and {len(words) - 12} more" if len(words) > 12 else ""
    name = "second" if len(ordered) == 1 else "seconds"
    return f"{name} {', '.join(words[:12])}{more}" if words else ""
