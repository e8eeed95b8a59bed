"""What residents felt, by second: promises of waiting time kept, calls answered in order, time without service."""

from __future__ import annotations

from bisect import bisect_right, insort
from functools import lru_cache

from loadtests.audit.evidence import Evidence
from loadtests.client.answers import Call
from loadtests.client.measure import Histogram
from loadtests.resident.facts import NEVER


@lru_cache(maxsize=1)  # verdict, report and JSON ask for the same run's
def eta_errors(e: Evidence) -> dict[int, Histogram]:
    """Say how far the first promised waiting time was from the real one (early and late alike), by second of the call.

    Of those who were called; when a resident hears of it counts, for that is what they were promised.
    """
    observations = e.observations
    errors: dict[int, Histogram] = {}
    for i, promised_ms in enumerate(observations.promised_wait_ms):
        if promised_ms != NEVER and observations.ready_ms[i] != NEVER:
            error_ms = abs(observations.ready_ms[i] - observations.joined_ms[i] - promised_ms)
            errors.setdefault(observations.ready_ms[i] // 1000, Histogram()).add(error_ms * 1000)
    return errors


@lru_cache(maxsize=1)
def out_of_order(e: Evidence) -> dict[int, tuple[int, int]]:
    """Return (pairs out of order, pairs) of each second's claims with all earlier ones of the same opening.

    A pair is out of order where the higher number claimed first. Over the whole run the one sum by the other is the
    Kendall distance between the order of numbers and that of claims.
    """
    pairs: dict[int, tuple[int, int]] = {}
    for opening in e.openings:
        claims = sorted(
            (e.observations.claimed_ms[i], e.observations.number[i])
            for i in e.people(opening)
            if e.observations.claimed_ms[i] != NEVER and e.observations.number[i]
        )
        numbers: list[int] = []  # of earlier claims, sorted: nearly in order already, so each goes in near the end
        for claimed_ms, number in claims:
            wrong, total = pairs.get(claimed_ms // 1000, (0, 0))
            above = len(numbers) - bisect_right(numbers, number)
            pairs[claimed_ms // 1000] = (wrong + above, total + len(numbers))
            insort(numbers, number)
    return pairs


def asked(e: Evidence) -> dict[int, int]:
    """Return the requests by second. One without an answer is only an error, so there are never fewer than those."""
    requests, errors = e.meters.counts["requests"], e.meters.counts["errors"]
    return {s: max(requests.get(s, 0), errors.get(s, 0)) for s in sorted(requests.keys() | errors.keys())}


def troubled(e: Evidence) -> list[int]:
    """Return the seconds from the fault on, in its aftermath, with an error, or a join or poll slower than its
    objective."""
    if e.aftermath is None or e.fault_second is None:
        return []
    seconds = {second for second, count in e.meters.counts["errors"].items() if count}
    for call in (Call.JOIN, Call.POLL):
        limit_us = e.slo.p99_us(call)
        if limit_us is not None:
            seconds |= {s for s, h in e.meters.from_due[call].items() if (h.percentile_us(99) or 0) > limit_us}
    return sorted(s for s in seconds if s >= e.fault_second and s in e.aftermath and s not in e.marked)


def recovery_seconds(e: Evidence) -> int:
    """Return the seconds from the end of the fault to the last trouble; 0 where there was none after it."""
    trouble, over = troubled(e), e.fault_over_second
    return max(trouble[-1] + 1 - over, 0) if trouble and over is not None else 0


def served_after(e: Evidence, second: int) -> bool:
    """Return whether any join or poll that was due after this second got an answer."""
    return any(due > second for call in (Call.JOIN, Call.POLL) for due in e.meters.from_due[call])
