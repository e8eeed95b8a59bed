"""Checks of what residents were told as one history: guarantees 1 to 4, by their calls alone.

They need no store. What another check says of one fact, these may say as well, of how it looked to who was told.
"""

from __future__ import annotations

from dataclasses import replace

from loadtests.audit.evidence import Check, Evidence, verdict
from loadtests.history.residents import fault_of
from loadtests.history.search import TooManyOrders

_NAME, _PROMISE = "linearizable", "1, 4: what each resident was told is explained by one order of their calls"


def linearizable(e: Evidence) -> Check:
    """The calls of each resident, with when each was sent and answered, fit the contract in some order."""
    history = e.observations.history
    if not len(history):
        return Check(_NAME, _PROMISE, None, "nobody's calls were written down")
    rules = [
        replace(each, calls=opening.call_times())
        for each, opening in zip(e.history_rules, e.opening_histories, strict=True)
    ]
    faults: list[str] = []
    people = given_up = wrong = 0
    for calls in history.by_resident(e.crowd.residents):
        people += 1
        try:
            fault = fault_of(calls, rules[e.crowd.home(calls[0].who)])
        except TooManyOrders:
            given_up += 1
            continue
        if fault is not None:
            wrong += 1
            faults += [fault] if wrong == 1 else []
    if wrong:
        return Check(_NAME, _PROMISE, False, f"{wrong} of {people} residents, e.g. {faults[0]}")
    if given_up:
        return Check(_NAME, _PROMISE, None, f"{given_up} of {people} residents' calls have too many orders to be tried")
    return Check(_NAME, _PROMISE, True, f"{len(history)} calls of {people} residents, each explained by one order")


def told_in_turn(e: Evidence) -> Check:
    """Together, they were told dense places, and of calls that only go on."""
    faults, places = [], 0
    for opening, told in zip(e.openings, e.opening_histories, strict=True):
        if told.shared:
            entry, one, other = told.shared[0]
            faults.append(f"{opening.district}: entry {entry} was told to residents {one} and {other}")
        if told.same_number:
            number, one, other = told.same_number[0]
            faults.append(f"{opening.district}: number {number} was told of entries {one} and {other}")
        if gaps := told.gaps():
            faults.append(f"{opening.district}: {len(gaps)} entries that nobody was told, e.g. {gaps[0]}")
        if (back := told.backward()) is not None:
            at_ms, least, reached = back
            faults.append(
                f"{opening.district}: the calls had come to {reached}, and who asked about {at_ms / 1000:.1f} s was "
                f"told {least}"
            )
        places += told.places
    return verdict(
        "told in turn", "2: places dense and calls in order, by all that residents were told", faults,
        f"{places} places, no gap and none told twice; the calls only went on",
    )  # fmt: skip
