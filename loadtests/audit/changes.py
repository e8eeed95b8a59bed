"""Checks of what happens to a registration: changes, cancellations, and that they add up; guarantees 1, 4 and 8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from loadtests.audit.evidence import Check, Evidence, unjudged, verdict
from loadtests.audit.registrations import CLOSED, lost_registrations
from loadtests.audit.truth import RegistrationTruth, Truth
from loadtests.resident.facts import Fact

OPEN = ("proposed", "booked")
STATES = (*OPEN, "fulfilled", "cancelled", "noshow")
"""The words of guarantee 8."""
_OF_THE_OPENING = 10**8
"""A registration number without its last eight digits: day and district, the same for a whole opening."""


def cancellations_kept(e: Evidence) -> Check:
    """Every cancellation that was acknowledged is in the store, and that registration is open nowhere."""
    name, promise = "cancellations kept", "4: an acknowledged cancellation is never lost"
    if e.truth is None:
        return unjudged(name, promise)
    latest, past = _by_number(e.truth)
    stopped = {why for why in e.truth.stops.values() if why.startswith("open ")}
    cancelled = [
        e.observations.registration_no[i]
        for i in range(e.observations.residents)
        if e.observations.has(i, Fact.CANCELLED)
    ]
    cancelled += [closed.no for closed in e.observations.closed.values()]
    still_open, still_stops, lost = [], [], []
    for no in cancelled:
        if no in latest and latest[no].state != "cancelled":
            still_open.append(no)
        elif no not in latest and no not in past:
            lost.append(no)
        elif no in past and _last_state(past[no], no) != "cancelled":
            still_open.append(no)
        elif f"open {no:015d}" in stopped:
            still_stops.append(no)
    faults = [
        f"{len(numbers)} {what}, e.g. {numbers[0]:015d}"
        for numbers, what in (
            (still_open, "cancelled registrations are not cancelled in the store"),
            (still_stops, "cancelled registrations still stand in their residents' way"),
            (lost, "cancelled registrations are not in the store at all"),
        )
        if numbers
    ]
    joined = e.observations.closed
    again = sum(1 for i in joined if e.observations.has(i, Fact.REGISTERED))
    detail = f"{len(cancelled)} acknowledged, open nowhere; {len(joined)} joined again, {again} registered again"
    return verdict(name, promise, faults, detail)


def wishes_kept(e: Evidence) -> Check:
    """The store holds the wishes that were told, changed ones as changed: the night allots by them."""
    name, promise = "wishes kept", "4: what was wished for, and what was changed, is what the night finds"
    if e.truth is None:
        return unjudged(name, promise)
    latest, _ = _by_number(e.truth)
    wrong, total, changed = [], 0, 0
    for opening in e.openings:
        for i in e.people(opening):
            found = latest.get(e.observations.registration_no[i]) if e.observations.has(i, Fact.REGISTERED) else None
            if found is None:  # another check's business
                continue
            total += 1
            changed += e.observations.has(i, Fact.CHANGED)
            if found.wishes not in [e.crowd.wishes(i, opening.sites, turn) for turn in e.observations.wish_turns(i)]:
                wrong.append(found.no)
    faults = [f"{len(wrong)} registrations hold other wishes than told, e.g. {wrong[0]:015d}"] if wrong else []
    return verdict(name, promise, faults, f"{total} as told, {changed} of them changed")


def one_open_registration(e: Evidence) -> Check:
    """Nobody has two open registrations, and every open one keeps its resident from joining for another."""
    name, promise = "one open registration", "1: one open registration in the city"
    if e.truth is None:
        return unjudged(name, promise)
    faults, numbers = [], {r.resident: r for r in e.truth.registrations}
    unguarded = [
        r.no for r in e.truth.registrations if r.state in OPEN and e.truth.stops.get(r.resident) != f"open {r.no:015d}"
    ]
    if unguarded:
        faults.append(f"{len(unguarded)} open registrations that would not stop another, e.g. {unguarded[0]:015d}")
    astray = []
    for resident, why in e.truth.stops.items():
        held = numbers.get(resident)
        if why.startswith("open ") and (held is None or why != f"open {held.no:015d}"):
            astray.append(why)
    if astray:
        faults.append(f"{len(astray)} residents stopped by what is not their latest registration, e.g. {astray[0]}")
    twice = [no for r in e.truth.registrations for no in {r.no, *r.past} if _opened(r, no) > 1]
    if twice:
        faults.append(f"{len(twice)} registrations opened again after they were closed, e.g. {twice[0]:015d}")
    people = list(_persons_under_two_keys(e))
    if people:
        faults.append(f"{len(people)} people with registrations under two keys, e.g. resident {people[0]}")
    open_now = sum(1 for r in e.truth.registrations if r.state in OPEN)
    return verdict(name, promise, faults, f"{open_now} open, each one its resident's only one")


def registrations_add_up(e: Evidence) -> Check:
    """registered = proposed + booked + fulfilled + cancelled + noshow: the opening's books against the residents'."""
    name, promise = "registrations add up", "8: registered = proposed + booked + fulfilled + cancelled + noshow"
    if e.truth is None:
        return unjudged(name, promise)
    faults: list[str] = []
    states: Counter[str] = Counter()
    numbers: set[int] = set()
    for r in e.truth.registrations:
        if all((r.district, r.date) != (opening.district, opening.date) for opening in e.openings):
            continue
        past = [no for no in r.past if no // _OF_THE_OPENING == r.no // _OF_THE_OPENING]
        for no, state in [(r.no, r.state), *((no, _last_state(r, no)) for no in past)]:
            states[state] += 1
            numbers.add(no)
            if no != r.no and state not in CLOSED:
                faults.append(f"{no:015d}: replaced by {r.no:015d}, and not closed but {state or 'nothing'}")
    if unknown := {state: n for state, n in states.items() if state not in STATES}:
        faults.append(f"{sum(unknown.values())} in no state of the contract: {', '.join(map(repr, unknown))}")
    if sum(states.values()) != len(numbers):
        faults.append(f"{sum(states.values()) - len(numbers)} numbers counted twice")
    faults += _passes_without_registration(e, numbers)
    return verdict(
        name, promise, faults, f"{len(numbers)} = {' + '.join(f'{states[state]} {state}' for state in STATES)}"
    )


def codes_alike(e: Evidence) -> Check:
    """Who asks for a code is told the same, registered or not: the answer says nothing about anybody."""
    total, example = e.contradictions("code answered another way")
    asked = sum(e.meters.counts["codes asked"].values())
    strangers = sum(1 for i in e.observations.codes_asked if not e.observations.registered_ever(i))
    return verdict(
        "codes alike", "access codes: the same answer for known and unknown people",
        [f"{total}{example}"] if total else [], f"{asked} asked, {strangers} of them strangers; all told the same",
    )  # fmt: skip


def _passes_without_registration(e: Evidence, numbers: set[int]) -> list[str]:
    """Passes that the opening has as used up and nobody has a registration for: one of theirs is not counted.

    The other way round proves nothing: a process killed just after a registration leaves its pass to lapse.
    """
    by_district = {opening.district: truth for opening, truth in e.openings_with_truth()}
    used = {
        (district, entry)
        for district, truth in by_district.items()
        for entry, (_, expiry_ms) in truth.claims.items()
        if expiry_ms == 0
    }
    of_whom = {(r.district, r.entry) for r in e.truth.registrations} if e.truth else set()
    for closed in e.observations.closed.values():
        if closed.no in numbers:
            of_whom.add((e.openings[e.crowd.home(closed.resident)].district, closed.entry))
    for i in lost_registrations(e):  # "registrations kept" says so
        of_whom.add((e.openings[e.crowd.home(i)].district, e.observations.entry[i]))
    missing = sorted(used - of_whom)
    return [f"{len(missing)} passes used up without a registration, e.g. entry {missing[0]}"] if missing else []


def _by_number(truth: Truth) -> tuple[dict[int, RegistrationTruth], dict[int, RegistrationTruth]]:
    """Latest registrations by number; and for each earlier number the latest one of its resident."""
    return {r.no: r for r in truth.registrations}, {no: r for r in truth.registrations for no in r.past}


def _last_state(r: RegistrationTruth, no: int) -> str:
    """Say what the history says last of a number."""
    return next((state for told, state in reversed(r.history) if told == no), "")


def _opened(r: RegistrationTruth, no: int) -> int:
    """Say how often a number was open, by its history: once when registered, and again where it left a closed state."""
    states = ["proposed", *(state for told, state in r.history if told == no)]
    return 1 + sum(1 for before, after in pairwise(states) if before in CLOSED and after in OPEN)


def _persons_under_two_keys(e: Evidence) -> Iterator[int]:
    for opening, truth in e.openings_with_truth():
        for i in e.people(opening):
            earlier = e.observations.closed.get(i)
            if earlier is None or not e.observations.has(i, Fact.REGISTERED):
                continue
            keys = {
                truth.claims[entry][0] for entry in (earlier.entry, e.observations.entry[i]) if entry in truth.claims
            }
            if len(keys) > 1:
                yield i
