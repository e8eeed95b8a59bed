"""What it costs to prove the history of a whole opening: a made-up one, honest, with the habits of a real crowd."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import click

from loadtests.audit.evidence import Check, Evidence
from loadtests.audit.histories import linearizable, told_in_turn
from loadtests.audit.seen import Seen
from loadtests.client.measure import Meters
from loadtests.crowd.crowd import Crowd
from loadtests.history.record import RECORD_BYTES, UNTOLD, Flag, Kind, Outcome, Told, place_value
from loadtests.resident.observations import Observations
from loadtests.resident.run_opening import RunOpening

_DRAW_MS, _CLAIM_MS, _PASS_MS = 120_000, 120_000, 300_000
_RESIDENTS_A_CALL = 3750
"""A second: 160 calls of 600,000."""
_ENDS_MS = 600_000
# As in the opening of 600,000 in ten minutes (README, *A real crowd*): 2.1 M calls.
_LOOKS, _TICKETS_ASKED, _CALLS_MISSED, _REGISTER = 1.74, 0.21, 0.01, 0.85
_UNHEARD, _TWICE = 0.0005, 0.0005


@click.command()
@click.option("--residents", default=600_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def histories(residents: int, seed: int) -> None:
    """CPU and memory of checking every resident's history after an opening."""
    began_s, resting_mb = time.process_time(), _peak_mb()
    observations = Observations(residents)
    for who in range(residents):
        for call in _calls(who, residents, random.Random(f"{seed} {who}")):
            observations.history.add(who, *call)
    made_s, made_mb, calls = time.process_time() - began_s, _peak_mb(), len(observations.history)
    click.echo(
        f"{calls:,} calls of {residents:,} residents made up in {made_s:.0f} s of CPU; {RECORD_BYTES} bytes each: "
        f"{calls * RECORD_BYTES / 1e6:.0f} MB (the process {resting_mb:.0f}, then {made_mb:.0f} MB at the most)"
    )
    crowd = Crowd(residents, ("440106",), date(2021, 6, 19), seed)
    opening = RunOpening("440106", "2021-06-19", datetime(2021, 6, 19, 8, tzinfo=UTC), 0, _DRAW_MS / 1000, "", ())
    evidence = Evidence(crowd, (opening,), observations, Meters(), Seen(), None, _ENDS_MS // 1000)
    whole_s = 0.0
    for check in (told_in_turn, linearizable):
        began_s = time.process_time()
        found: Check = check(evidence)
        took_s = time.process_time() - began_s
        whole_s += took_s
        click.echo(f"{found.name}: {took_s:.1f} s of CPU, {took_s / calls * 1e6:.1f} µs a call; {found.detail}")
        if not found.ok:
            raise click.ClickException("an honest history is not explained")
    click.echo(f"both: {whole_s:.1f} s of one core (goal: 60 s of 600,000), {_peak_mb() - made_mb:.0f} MB beside it")


def _calls(who: int, residents: int, chance: random.Random) -> Iterator[tuple[int, ...]]:
    """Return one resident's calls after the first field, in the order of their answers."""
    rate = residents / _RESIDENTS_A_CALL
    number, join_ms = who + 1, who * (_ENDS_MS - 60_000) // residents
    called_ms = _DRAW_MS + int(number * 1000 / rate)
    flags = Flag.SENT_TWICE if chance.random() < _TWICE else 0
    drawing = join_ms + 90 < _DRAW_MS
    told, shown = (Told.DRAWING, 0) if drawing else (Told.WAITING, number)
    if chance.random() < _UNHEARD:
        yield join_ms - 3000, (1 << 31) - 1, Kind.JOIN, Outcome.UNKNOWN, 0, flags
    yield join_ms, join_ms + 90, Kind.JOIN, Outcome.FIRST, told, flags, who, place_value(shown, _serving(join_ms, rate))
    until_ms = min(called_ms, _ENDS_MS)
    for _ in range(int(_LOOKS) + (chance.random() < _LOOKS % 1)):
        at_ms = chance.randint(join_ms + 100, max(until_ms, join_ms + 100))
        shown = number if at_ms > _DRAW_MS else 0
        yield (
            at_ms,
            at_ms + 20,
            Kind.LOOK,
            Outcome.DONE,
            0,
            0,
            who,
            place_value(shown, _serving(at_ms, rate)),
            at_ms - 900,
        )
    if called_ms > _ENDS_MS:
        return
    value = place_value(number, _serving(called_ms + 900, rate))
    yield (
        called_ms + 900, called_ms + 940, Kind.POLL, Outcome.DONE, Told.READY, 0, who, value, called_ms + _CLAIM_MS
    )  # fmt: skip
    if chance.random() < _CALLS_MISSED:
        return
    at_ms = called_ms + chance.randint(2000, 20_000)
    yield at_ms, at_ms + 30, Kind.CLAIM, Outcome.FIRST, 0, 0, who, 0, at_ms + _PASS_MS, 0, number
    if chance.random() < _REGISTER:
        at_ms += chance.randint(20_000, 90_000)
        no = 10**14 + who
        yield at_ms, at_ms + 50, Kind.REGISTER, Outcome.FIRST, Told.PROPOSED, 0, who, no, UNTOLD, number, number


def _serving(ms: int, rate: float) -> int:
    return max(0, int((ms - _DRAW_MS) * rate / 1000))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
