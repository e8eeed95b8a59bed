"""The check of one resident's calls: in time, and in some order that the contract allows."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.history.progress import contradiction
from loadtests.history.record import CallRecord
from loadtests.history.search import unexplained
from loadtests.history.state import Rules
from loadtests.history.words import contradiction_in_words, counterexample


def fault_of(calls: Sequence[CallRecord], rules: Rules) -> str | None:
    """Return why the contract does not explain what a resident was told, in words; None where it does.

    Args:
        calls: all of theirs, in the order in which they were sent.

    Raises:
        TooManyOrders: it could not be found out.
    """
    found = contradiction(calls, rules)
    if found is not None:
        return contradiction_in_words(calls, found)
    why = unexplained(calls, rules)
    return None if why is None else counterexample(calls, why)
