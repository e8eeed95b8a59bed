"""How residents behave, and what they do once they are registered."""

from __future__ import annotations

from enum import IntEnum


class Behaviour(IntEnum):
    """What a resident does that a tidy one would not."""

    ORDINARY = 0
    REFRESHES = 1  # joins again while waiting: the same place
    SECOND_DEVICE = 2  # joins from two devices at once: one place
    GIVES_UP = 3
    COMES_BACK_LATE = 4  # forgets the page; may find the call missed, and joins again
    NEVER_CLAIMS = 5
    IMPATIENT = 6  # asks for a pass before being called: refused
    REPEATS = 7  # sends the claim and the registration twice: the same answers
    LEAVES_FORM = 8  # claims, never registers: the pass must expire
    TYPES_SLOPPILY = 9  # full-width digits, spaces, lower-case x: the same number
    MISTYPES_NAME = 10  # refused once, then right
    TOO_SOON = 11  # wrong day: the first dose is too recent
    WRONG_DISTRICT = 12
    NO_FIRST_DOSE = 13  # not in the registry
    COMPLETE = 14  # one-dose product


class Afterthought(IntEnum):
    """What a resident does once they are registered; most do nothing."""

    NONE = 0
    CHANGES = 1  # wishes for something else, while nothing has been allotted
    CANCELS = 2
    RETURNS = 3  # cancels, and then registers again, at the back
    LOSES_RECEIPT = 4  # asks for a code by SMS


INELIGIBLE = {
    Behaviour.TOO_SOON: "too-soon",
    Behaviour.WRONG_DISTRICT: "wrong-district",
    Behaviour.NO_FIRST_DOSE: "no-first-dose",
    Behaviour.COMPLETE: "complete",
}
"""The `reason` of `not-eligible` that each must be told (announcement A1-A4)."""
