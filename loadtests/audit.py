"""The audit: the contract's guarantees, each checked by name against what residents were told.

A check that cannot be judged says so and is not green. Every check can fail: `tests/test_loadtests_audit.py`
breaks the truth for each.
"""

from __future__ import annotations

from loadtests import audit_afterwards, audit_bots, audit_calls, audit_places, audit_registrations, audit_service
from loadtests.evidence import Check, Evidence

PROMISES = (
    audit_places.draw_committed,
    audit_places.places_dense,
    audit_places.places_as_told,
    audit_places.one_place,
    audit_places.draw_order,
    audit_calls.called_in_turn,
    audit_calls.calls_kept,
    audit_calls.rate_kept,
    audit_calls.passes_capped,
    audit_registrations.registrations_kept,
    audit_registrations.registrations_single,
    audit_registrations.same_answer,
    audit_afterwards.cancellations_kept,
    audit_afterwards.wishes_kept,
    audit_afterwards.one_open_registration,
    audit_afterwards.registrations_add_up,
    audit_calls.counts_add_up,
    audit_places.eligibility,
    audit_registrations.receipts,
    audit_afterwards.codes_alike,
)


def audit(evidence: Evidence) -> list[Check]:
    """Judge everything.

    Returns:
        The promises first (contract "Guarantees"), those of the night where one was held, then what bots were told,
        where there are any, then how it felt (errors, latency, the generator).
    """
    promises = [*(check(evidence) for check in PROMISES), *evidence.night]
    return promises + audit_bots.bots(evidence) + audit_service.service(evidence)
