"""How the opening went: errors, recovery; and whether the generator itself was the limit."""

from __future__ import annotations

from loadtests.audit.evidence import Check, Evidence
from loadtests.client.answers import Call
from loadtests.client.measure import Histogram

_NO_ERRORS, _NO_ERRORS_PROMISE = "no errors", "every request gets the contract's answer"


def service(e: Evidence) -> list[Check]:
    """Return the checks of the service itself."""
    checks = [no_errors(e), everyone_served(e)]
    if e.fault is not None:
        checks.append(recovered(e))
    return [*checks, generator(e)]


def no_errors(e: Evidence) -> Check:
    """No answer is one that should not have been; around a fault a retry is forgiven."""
    forgiven = e.forgiven or range(0)
    errors = e.meters.counts["errors"]
    outside = sum(count for second, count in errors.items() if second not in forgiven)
    inside = sum(errors.values()) - outside
    total, example = e.contradictions("no Retry-After")
    faults = [f"{total} refusals without Retry-After{example}"] if total else []
    aftermath = e.aftermath or range(0)  # a deploy may close a connection, and no more
    reconnects = sum(n for second, n in e.meters.counts["reconnects"].items() if second not in aftermath)
    requests = sum(e.meters.counts["requests"].values())
    # a server may end an idle connection at the very moment it is used: of many that it ends, a few
    ended = sum(sum(e.meters.counts[series].values()) for series in ("connections ended", "connections let go"))
    if reconnects > max(5, requests // 100_000) + ended // 50:
        faults.append(f"{reconnects} requests lost with their connection")
    pushed = {s: n for s, n in e.meters.counts["pushed back"].items() if n and s not in forgiven}
    why = e.machine.unproven(pushed) if pushed else None
    if outside:
        faults.append(f"{outside} errors, e.g. {e.meters.errors[0]}")
    if len(faults) == 1 and outside and outside == sum(pushed.values()) and why is not None:
        return Check(_NO_ERRORS, _NO_ERRORS_PROMISE, None, f"{faults[0]}: all of them pushed back or late, and {why}")
    inside += sum(e.meters.counts["reconnects"].values()) - reconnects
    detail = f"{requests} requests, no error" + (f" but {inside} retries around the fault" if inside else "")
    return Check(_NO_ERRORS, _NO_ERRORS_PROMISE, not faults, "; ".join(faults) or detail)


def everyone_served(e: Evidence) -> Check:
    """Every resident arrived, and at the end hardly anyone was due and unserved."""
    arrivals = sum(e.meters.counts["arrivals"].values())
    expected = e.crowd.residents if e.expected is None else e.expected
    missing = expected - arrivals
    allowed = max(20, expected // 1000)
    ok = missing <= allowed and e.unserved <= allowed
    detail = f"{arrivals} of {expected} residents arrived; {e.unserved} events overdue at the end"
    why = None if ok else e.machine.unproven(e.measured)
    return Check(
        "everyone served", "the crowd that was stated is the crowd that came", ok if why is None else None,
        detail if why is None else f"{detail}; {why}",
    )  # fmt: skip


def recovered(e: Evidence) -> Check:
    """After the fault, requests succeed again by themselves."""
    name, promise = "recovered", "what happens to a machine costs residents a retry"
    if e.fault_second is None or e.fault_over_second is None:
        return Check(name, promise, False, f"{e.fault}: was not injected")
    errors = e.meters.counts["errors"]
    after = [s for s, count in errors.items() if count and s >= e.fault_second]
    over = e.fault_over_second
    last = max(after, default=e.fault_second)
    good = [second for call in (Call.JOIN, Call.POLL) for second in e.meters.from_due[call] if second > over + 1]
    ok = bool(good) and e.aftermath is not None and last in e.aftermath
    lasted = f", until {over} s" if over > e.fault_second else ""
    detail = f"{e.fault} at {e.fault_second} s{lasted}; "
    detail += f"last error {max(last - over, 0)} s after it" if after else "no error after it"
    why = None if ok else e.machine.unproven(after)
    return Check(name, promise, ok if why is None else None, detail if why is None else f"{detail}; {why}")


def generator(e: Evidence) -> Check:
    """Return whether the figures are the server's: the generator was the limit in few seconds, or in none.

    Where it was in many, they are neither good nor bad: not judged.
    """
    late = Histogram.merged(e.meters.lateness.values()).percentile_us(99) or 0
    cpu = sorted(percent for percents in e.generators.values() for second, percent in percents.items() if second >= 0)
    busiest = cpu[int(len(cpu) * 0.99)] if cpu else 0.0
    marked = [second for second in e.marked if second in e.measured]
    limited = len(marked) > e.slo.generator.marked_share * len(e.measured)
    middle = cpu[len(cpu) // 2] if cpu else 0.0
    detail = (
        f"the limit in {len(marked)} of {len(e.measured)} s; late by p99 {late / 1000:.1f} ms, "
        f"CPU p50 {middle:.0f} %, p99 {busiest:.0f} % of a core"
    )
    busy = sum(1 for count in e.meters.counts["lines busy"].values() if count)
    if busy:
        detail += f"; in {busy} s every line was waiting for the server"
    if limited:
        requests = e.meters.counts["requests"]
        detail += f": THE GENERATOR WAS THE LIMIT, at {max(requests.values(), default=0)} requests/s"
    return Check("generator", "the figures are the server's, not the generator's", None if limited else True, detail)
