"""Processes that a fault harms."""

from __future__ import annotations

import os
from contextlib import suppress

from loadtests.faults.fault import FaultError


def first_of(pids: list[int], what: str) -> int:
    """Return the first of these processes.

    Raises:
        FaultError: there is none.
    """
    if not pids:
        raise FaultError(f"found no {what} of ours")
    return pids[0]


def send_signal(pid: int, number: int) -> bool:
    """Return whether there was somebody to send it to."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
