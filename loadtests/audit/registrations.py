"""Checks of registrations and receipts: guarantees 1 and 4."""

from __future__ import annotations

from collections import Counter

from loadtests.audit.evidence import Check, Evidence, unjudged, verdict
from loadtests.resident.facts import Fact

RECEIPTS_SAMPLE = 300
CLOSED = ("cancelled", "fulfilled", "noshow")
"""States of a registration that nothing is allotted to any more."""


def lost_registrations(e: Evidence) -> set[int]:
    """Return the residents whose acknowledged registration is not in the store; nobody where it could not be
    reached."""
    if e.truth is None:
        return set()
    kept = {registration.no for registration in e.truth.registrations}
    return {
        i
        for i in range(e.observations.residents)
        if e.observations.has(i, Fact.REGISTERED) and e.observations.registration_no[i] not in kept
    }


def registrations_kept(e: Evidence) -> Check:
    """Every registration that was acknowledged is in the store, under its person and place."""
    name, promise = "registrations kept", "4: an acknowledged registration is never lost"
    if e.truth is None:
        return unjudged(name, promise)
    by_no = {registration.no: registration for registration in e.truth.registrations}
    gone, other, closed, total = [], [], [], 0
    for opening, truth in e.openings_with_truth():
        for i in e.people(opening):
            if not e.observations.has(i, Fact.REGISTERED):
                continue
            total += 1
            found = by_no.get(e.observations.registration_no[i])
            if found is None:
                gone.append(e.observations.registration_no[i])
                continue
            claim = truth.claims.get(found.entry)
            if (
                (found.district, found.date) != (opening.district, opening.date)
                or claim is None
                or claim[0] != found.resident
            ):
                other.append(found.no)
            elif found.state in CLOSED and not e.observations.has(i, Fact.CANCEL_SENT):
                closed.append(found.no)
    faults = [f"{len(gone)} acknowledged registrations lost, e.g. {gone[0]:015d}"] if gone else []
    if other:
        faults.append(f"{len(other)} registrations under another place or person, e.g. {other[0]:015d}")
    if closed:
        faults.append(f"{len(closed)} registrations closed that nobody asked to close, e.g. {closed[0]:015d}")
    return verdict(name, promise, faults, f"{total} acknowledged, all in the store")


def registrations_single(e: Evidence) -> Check:
    """No registration is there twice, and none that nobody asked for."""
    name, promise = "registrations single", "1: one open registration in the city"
    if e.truth is None:
        return unjudged(name, promise)
    registrations = [r for r in e.truth.registrations if any(r.district == g.district for g in e.openings)]
    faults = []
    for what, keys in (
        ("numbers", [r.no for r in registrations]),
        ("residents", [r.resident for r in registrations]),
        ("places", [(r.district, r.date, r.entry) for r in registrations]),
    ):
        if len(set(keys)) < len(keys):
            faults.append(f"{len(keys) - len(set(keys))} {what} with two registrations")
    told = Counter(
        e.observations.registration_no[i]
        for i in range(e.observations.residents)
        if e.observations.has(i, Fact.REGISTERED)
    )
    told.update(closed.no for closed in e.observations.closed.values())
    if told and told.most_common(1)[0][1] > 1:
        faults.append(f"number {told.most_common(1)[0][0]:015d} was told to two residents")
    unheard = sum(
        1
        for i in range(e.observations.residents)
        if e.observations.has(i, Fact.REGISTER_SENT) and not e.observations.has(i, Fact.REGISTERED)
    )
    untold = len({r.no for r in registrations} - told.keys())
    if untold > unheard:
        faults.append(f"{untold} registrations that nobody was told of, {unheard} requests unanswered")
    return verdict(name, promise, faults, f"{len(registrations)} registrations, none twice ({untold} answers unheard)")


def same_answer(e: Evidence) -> Check:
    """A claim or registration sent again gets the same answer."""
    total, example = e.contradictions("pass changed", "registration changed", "no receipt")
    return verdict(
        "same answer again", "1: a retry, a redelivery change nothing", [f"{total}{example}"] if total else [],
        "every repeated claim and registration got the same answer",
    )  # fmt: skip


def receipts(e: Evidence) -> Check:
    """A sample of receipts opens its registrations after the run."""
    total, example = e.contradictions(
        "receipt opens another registration", "registration not as told", "code opens another registration",
        "appointment before the night",
    )  # fmt: skip
    opened = sum(e.meters.counts["receipts opened"].values())
    # who heard of it after the run was over may have come too late for the sample
    over_ms = e.end_second * 1000
    registered = sum(
        1
        for i in range(e.observations.residents)
        if e.observations.has(i, Fact.REGISTERED) and e.observations.registered_ms[i] < over_ms
    )
    # a registration that is lost has no receipt that could open it: "registrations kept" says so
    asked = min(registered, RECEIPTS_SAMPLE) - len(lost_registrations(e) & e.observations.not_found)
    faults = [f"{total}{example}"] if total else []
    if opened < asked:
        faults.append(f"{opened} of {asked} receipts opened their registration")
    return verdict("receipts", "4: a registration is found again by its receipt", faults, f"{opened} receipts tried")
