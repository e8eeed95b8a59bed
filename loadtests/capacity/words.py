"""A plan in words: for a terminal, and as the table of the README; and a prediction against what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadtests.capacity.calibration import PARTS, MeasuredRamp, check, each_resident, predict
from loadtests.capacity.costs import LEVELS, Costs
from loadtests.capacity.figures import clock, duration
from loadtests.capacity.known import Known
from loadtests.capacity.plan import Plan
from loadtests.capacity.plan_request import PlanError

_DAGGER = "†"
_NOTHING_US = 2.0
"""Less than this is the noise of the background that was taken off."""
_CALLS = {
    "ready": "poll, once called", "look_up": "look-up", "qr": "QR image", "opening": "GET opening", "city": "GET city",
    "register": "registration",
}  # fmt: skip
_ROWS = (
    "joins/s", "public looks/s", "looks at workers/s", "polls/s", "tickets a place", "claims/s", "registrations/s",
    "worker cores, busy", "workers", "store cores, busy", "store shards", "store memory, GB", "network in, Mbit/s",
    "network out, Mbit/s", "new connections/s", "connections held", "TLS, cores of a proxy", "SMS/s by day",
    "SMS/s of calls", "SMS of the night, minutes", "wait, median", "wait, p90", "wait, longest", "not called that day",
    "night, minutes",
)  # fmt: skip


def page(plan: Plan) -> Iterator[str]:
    """Lines for a terminal."""
    yield f"{plan.city}: {plan.residents:,.0f} residents, {plan.asked.door:.0%} of them at the door (assumption)"
    if plan.asked.cities > 1:
        yield "openings, waits and limits are of one city; rates and machines of all together"
    yield ""
    yield "opens  closes  district        residents   joins/s  calls/s  longest queue  median · p90 · longest wait"
    shown: dict[tuple[object, ...], int] = {}
    for it in plan.queues:
        waits = " · ".join(duration(wait) for wait in it.waits_s) if it.waits_s else "nobody is called"
        row = (it.district.opens_s, it.residents, it.joins_per_second, it.calls_per_second)
        shown[row] = shown.get(row, 0) + 1
        if shown[row] > 1:
            continue
        yield (
            f"{clock(it.district.opens_s)}  {clock(it.district.closes_s)}   {it.district.name:<14} "
            f"{it.residents:>10,.0f}  {it.joins_per_second:>8,.0f}  {it.calls_per_second:>7,.0f}  "
            f"{it.longest_queue:>13,.0f}  {waits}"
        )
    if more := sum(count - 1 for count in shown.values()):
        yield f"       and {more:,} more like these"
    yield ""
    width = max(len(it.name) for it in plan.figures)
    values = max(len(it.words) for it in plan.figures)
    for it_ in plan.figures:
        yield f"{it_.name:<{width}}  {it_.words:>{values}}  {it_.mark:<12}  {it_.how}"
    yield ""
    yield "what gives way first, as the crowd grows with this set-up (workers grow with it):"
    for limit in plan.limits:
        over = "  <- already too small" if limit.factor < 1 else ""
        yield f"  at {limit.factor:8,.1f} × {limit.name}: {limit.cure}{over}"
    for note in plan.notes:
        yield f"note: {note}"


def table(plans: Sequence[tuple[str, str, Plan | PlanError]], known: Known) -> Iterator[str]:
    """Return the README's table, as Markdown.

    Args:
        plans: (name of the column, the command that gives it, plan, or why there is none).
    """
    yield "| | " + " | ".join(name for name, _, _ in plans) + " |"
    yield "|---|" + "---|" * len(plans)
    yield "| residents a day | " + " | ".join(_residents(plan) for _, _, plan in plans) + " |"
    for row in _ROWS:
        yield f"| {row} | " + " | ".join(_cell(plan, row) for _, _, plan in plans) + " |"
    firsts = (_first(plan) for _, _, plan in plans)
    yield "| gives way first, besides workers | " + " | ".join(firsts) + " |"
    yield ""
    yield f"{_DAGGER} extrapolated. " + " ".join(f"{name}: `{command}`." for name, command, _ in plans)
    yield ""
    yield from _costs(known.costs)
    law = known.law
    yield ""
    if law is None:
        yield "No ramp says yet how workers add up: a straight line is assumed."
    else:
        few, many = law.contention_interval()
        yield (
            f"Scalability law from ramps of {', '.join(str(ramp.workers) for ramp in known.telling)} worker(s): "
            f"{law.law.rate:,.0f} residents/s a worker, σ {law.law.contention:.3f} (90 %: {few:.3f}-{many:.3f}), "
            f"κ {law.law.coherence:.4f}" + (f"; {law.fixed}." if law.fixed else ".")
        )
    whose: dict[str, list[str]] = {}
    for name, _, plan in plans:
        for note in (str(plan),) if isinstance(plan, PlanError) else plan.notes:
            if not note.startswith(("no ramp", "scalability law: κ", "scalability law: linear")):
                whose.setdefault(note, []).append(name)
    for note, names in whose.items():
        yield ""
        yield f"{', '.join(names)}: {note}."


def _costs(costs: Costs) -> Iterator[str]:
    """Return the CPU seconds a thousand calls, as Markdown."""
    few, many = (costs.connections[level] for level in LEVELS)
    columns = "worker | store | of it in the opening | bytes in · out"
    yield f"| CPU seconds a thousand, at {few} · {many} connections | {columns} |"
    yield "|---|---|---|---|---|"
    for name, call in costs.calls.items():
        worker, store = (
            " · ".join(
                f"{by[level].median / 1e3:.3f} ({by[level].least / 1e3:.3f}-{by[level].most / 1e3:.3f})"
                for level in LEVELS
            )
            for by in (call.worker_us, call.store_us)
        )
        bound = " · ".join(f"{call.opening_us[level] / 1e3:.4f}" for level in LEVELS)
        sizes = f"{call.bytes_in:,} · {call.bytes_out:,}"
        asks = call.store_us["low"].median > _NOTHING_US
        opening = bound if any(call.opening_us.values()) else "-"
        yield f"| {_CALLS.get(name, name)} | {worker} | {store if asks else '-'} | {opening} | {sizes} |"
    idle = costs.background
    yield ""
    yield (
        f"{costs.host['cpu']}, {costs.measured_at[:10]}, `{costs.command}`; "
        f"median (least-most) of {costs.rounds} rounds. A worker with {idle.openings} openings and nothing to do takes "
        f"{idle.worker_us / 1e4:.2f} % of a core and {idle.store_us / 1e4:.2f} % of the store's."
    )


def _residents(plan: Plan | PlanError) -> str:
    return "-" if isinstance(plan, PlanError) else _round(plan.residents)


def _first(plan: Plan | PlanError) -> str:
    if isinstance(plan, PlanError):
        return "workers on one store"
    return f"{plan.limits[0].name}, at {plan.limits[0].factor:,.1f} ×"


def _cell(plan: Plan | PlanError, row: str) -> str:
    if isinstance(plan, PlanError):
        return "-"
    figure = plan.figure(row)
    return figure.words + (_DAGGER if figure.mark == "extrapolated" else "")


def _round(number: float) -> str:
    return f"{number / 1e6:,.2f} M" if number >= 1e6 else f"{number:,.0f}"


def foretold(earlier: MeasuredRamp, later: MeasuredRamp) -> Iterator[str]:
    """Say what a ramp says of another number of workers, and how far off that was."""
    said = predict(earlier, later.workers)
    measured = later.point()
    bounds = ", ".join(f"{name} {rate:,.0f}" for name, rate in said.bounds.items())
    yield f"said from {earlier.workers}: {said.workers} workers hold {said.rate:,.0f}/s, limit {said.limit} ({bounds})"
    broke = f", broke at {measured.broke:,.0f}" if measured.broke is not None else ", nothing broke"
    limit = f", limit {later.ramp.limit}" if later.ramp.limit else ""
    yield f"measured: held {measured.held:,.0f}{broke}{limit}"
    yield f"error: {said.rate / measured.held - 1:+.1%} against the rate that held" + (
        f", {said.rate / measured.broke - 1:+.1%} against the one that broke" if measured.broke is not None else ""
    )
    for part in PARTS:
        one, other = each_resident(earlier, part) * 1000, each_resident(later, part) * 1000
        error = f", error {one / other - 1:+.1%}" if other else ""
        yield f"CPU of {part} a thousand residents: said {one:,.3f} s, measured {other:,.3f} s{error}"


def checked(known: Known) -> Iterator[str]:
    """Return the bench's costs against each ramp's CPU."""
    for ramp in known.ramps:
        for part in PARTS:
            steps = [it for it in check(known.costs, ramp) if it.part == part]
            words = ", ".join(f"{it.rate:,.0f}/s {it.error:+.0%}" for it in steps)
            yield f"costs of single calls against the ramp of {ramp.workers} workers, CPU of {part}: {words}"
