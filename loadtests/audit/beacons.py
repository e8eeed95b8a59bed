"""Checks of what draws and nights were bound to beside their seeds, where a city names a beacon."""

from __future__ import annotations

from collections.abc import Iterable

from loadtests.audit.evidence import Check, Evidence, verdict
from loadtests.client.answers import BeaconRound
from loadtests.client.beacon import Unverifiable, fault_of

_PROMISE = "2: the order follows from a round that was named before, and that nobody had yet"


def draws_bound(e: Evidence) -> list[Check]:
    """Each draw kept to the round that was named before it, and has its signature or says for good why not."""
    looks = {opening.district: [look for look in e.looks(opening) if look.beacon] for opening in e.openings}
    if not any(looks.values()):
        return []
    faults, told = [], []
    try:
        for opening in e.openings:
            beacons = [look.beacon for look in looks[opening.district] if look.beacon]
            early = [it.beacon for it in looks[opening.district] if it.beacon and not it.seed]
            if len({(it.chain, it.round) for it in beacons}) != 1:
                faults.append(f"{opening.district}: the round that it is bound to changed")
                continue
            done = [it.beacon for it in looks[opening.district] if it.seed and it.beacon]
            if any(it.signature or it.missing for it in early):
                faults.append(f"{opening.district}: the round was told before the draw was done")
            if not done:
                return [Check("draw bound", _PROMISE, None, "the run ended before a draw was done")]
            if len(set(done)) > 1:
                faults.append(f"{opening.district}: what was told of the round changed")
            ended_ms = round((opening.opens_at.timestamp() + opening.draw_seconds) * 1000)
            faults += _faults(opening.district, done[-1], ended_ms, e.beacon)
            told.append(done[-1])
    except Unverifiable:
        return [Check("draw bound", _PROMISE, None, "this Python cannot check a beacon's signatures")]
    return [verdict("draw bound", _PROMISE, faults, in_words(told))]


def night_bound(district: str, frozen_ms: int, told: BeaconRound, expected: str | None = None) -> Check:
    """The night's lots are bound to the round that follows its frozen list, and that is the beacon's."""
    name = f"lots {district}"
    try:
        return verdict(name, _PROMISE, _faults(district, told, frozen_ms, expected), in_words([told]))
    except Unverifiable:
        return Check(name, _PROMISE, None, "this Python cannot check a beacon's signatures")


def _faults(district: str, told: BeaconRound, ended_ms: int, expected: str | None) -> list[str]:
    fault = fault_of(told, ended_ms)
    if fault is None and expected == "own" and told.missing:
        fault = f"its relay answers, and it went on without: {told.missing}"
    if fault is None and expected == "silent" and told.signature:
        fault = "no relay answers, and there is a signature"
    return [f"{district}: {fault}"] if fault else []


def in_words(told: Iterable[BeaconRound]) -> str:
    """Say what draws or nights were bound to."""
    rounds = [f"round {it.round}" + (f" is missing: {it.missing}" if it.missing else " verified") for it in told]
    return "; ".join(rounds)
