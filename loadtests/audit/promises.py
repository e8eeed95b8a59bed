"""The audit: the contract's guarantees, each checked by name against what residents were told.

A check that cannot be judged says so and is not green. Every check can fail: `tests/loadtests/test_audit.py`
breaks the truth for each.
"""

from __future__ import annotations

from loadtests.audit import (
    beacons,
    bots,
    call_messages,
    calls,
    changes,
    histories,
    places,
    proofs,
    registrations,
    service,
)
from loadtests.audit.evidence import Check, Evidence

PROMISES = (
    places.draw_committed,
    places.places_dense,
    places.places_as_told,
    places.one_place,
    places.draw_order,
    calls.called_in_turn,
    calls.calls_kept,
    calls.rate_kept,
    calls.passes_capped,
    registrations.registrations_kept,
    registrations.registrations_single,
    registrations.same_answer,
    changes.cancellations_kept,
    changes.wishes_kept,
    changes.one_open_registration,
    changes.registrations_add_up,
    calls.counts_add_up,
    places.eligibility,
    registrations.receipts,
    changes.codes_alike,
    histories.linearizable,
    histories.told_in_turn,
)


def audit(evidence: Evidence) -> list[Check]:
    """Judge everything that a run has shown.

    Returns:
        The promises first (contract "Guarantees"), those of the night where one was held, then what bots were told,
        where there are any, then how it felt (errors, latency, the generator).
    """
    promises = [check(evidence) for check in PROMISES]
    promises += [*proofs.proofs_lead_to_the_root(evidence), *beacons.draws_bound(evidence), *evidence.night]
    asleep = evidence.crowd.profile.asleep
    if asleep.share and asleep.asks_for_sms:
        promises.append(call_messages.called_by_sms(evidence))
    return promises + bots.bots(evidence) + service.service(evidence)
