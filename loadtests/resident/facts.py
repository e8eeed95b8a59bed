"""What a resident can have done or been told, and the places, passes and registrations that lie behind them.

Times are milliseconds from the opening, `NEVER` where it has not happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

NEVER = -(1 << 31)


class Fact(IntFlag):
    """What a resident did or was told about the place they hold, as one number."""

    JOIN_SENT = 1
    JOINED = 2
    READY = 4  # told so
    CLAIM_SENT = 8
    CLAIMED = 16
    REGISTER_SENT = 32
    REGISTERED = 64
    LEAVE_SENT = 128
    LEFT = 256
    MISSED = 512  # told so
    REFUSED = 1024
    CORRECTED = 2048  # has made the typing mistake already
    ENDED = 4096
    JOIN_OPEN = 8192  # a join is on its way, or its answer never came
    CHANGE_SENT = 1 << 14  # other wishes
    CHANGED = 1 << 15
    CANCEL_SENT = 1 << 16
    CANCELLED = 1 << 17
    ASKED_TWICE = 1 << 18  # the same thing again: no answer had come, or the server had pushed back


OF_THE_PLACE = Fact.READY | Fact.CLAIM_SENT | Fact.CLAIMED | Fact.LEAVE_SENT | Fact.LEFT | Fact.MISSED
"""Facts that end with a place: forgotten when the resident gets a new one."""
OF_THE_REGISTRATION = (
    Fact.REGISTER_SENT | Fact.REGISTERED | Fact.CHANGE_SENT | Fact.CHANGED | Fact.CANCEL_SENT | Fact.CANCELLED
)
"""Facts that end with a registration: forgotten when the resident, who cancelled it, gets a new place."""


@dataclass(frozen=True)
class SpentPlace:
    """An earlier place of a resident who got a new one at `at_ms`.

    `how`: left | cancelled (its registration) | missed (was told so) | lapsed (pass unused) | unaware (was not told:
    the audit looks whether the number had been called and its time had run out).
    """

    resident: int
    entry: int
    number: int
    how: str
    at_ms: int
    facts: int


class RequestContext(NamedTuple):
    """What a request was about: the place (its entry) that the resident held when it was sent, and when that was."""

    entry: int
    sent_ms: int


@dataclass(frozen=True)
class ClosedRegistration:
    """A registration that its holder cancelled, before getting a new place; `entry` was its place."""

    resident: int
    entry: int
    no: int


@dataclass(frozen=True)
class ObservedPass:
    """A pass as its holder knows it, in milliseconds from the opening; `used_ms`: its registration was asked for."""

    resident: int
    entry: int
    claimed_ms: int
    expires_ms: int
    used_ms: int
