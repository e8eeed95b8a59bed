"""What residents can do, and the call of the contract that each act is."""

from __future__ import annotations

from enum import IntEnum

from loadtests.client.answers import Call

SECOND_US = 1_000_000
LOOK_US = 20_000
"""How long before joining those look who look at the city first."""


class Act(IntEnum):
    """Events of a resident; 32 at most (`Agenda` keeps five bits)."""

    LOOK = 0
    LOOK_CLOSER = 1
    JOIN = 2
    REFRESH = 3
    OTHER_DEVICE = 4
    POLL = 5
    LEAVE = 6
    JUMP = 7  # asks for a pass without being called
    CLAIM = 8
    CLAIM_AGAIN = 9
    REGISTER = 10
    REGISTER_AGAIN = 11
    LOOK_UP = 12  # after the run, a sample
    CHECK = 13  # may I register at all? before the opening
    SITES = 14  # what the form lists
    SHOW_QR = 15  # the image on the receipt
    OPEN_AGAIN = 16  # finds the registration again, to change or to cancel it
    CHANGE = 17
    CANCEL = 18
    ASK_CODE = 19  # has lost the receipt, or never had one
    SHOW_CODE = 20  # types some code: the SMS is not read here
    CALENDAR = 21  # after the run, a sample: there is no appointment before the night
    WATCH = 22  # looks at the public answer: how far the calls have come
    ASK_ALERTS = 23  # wants to be called by SMS
    MORE_TIME = 24  # has been called, and needs more time


CALL_OF = {
    Act.LOOK: Call.CITY,
    Act.LOOK_CLOSER: Call.OPENING,
    Act.JOIN: Call.JOIN,
    Act.REFRESH: Call.JOIN,
    Act.OTHER_DEVICE: Call.JOIN,
    Act.POLL: Call.POLL,
    Act.LEAVE: Call.LEAVE,
    Act.JUMP: Call.CLAIM,
    Act.CLAIM: Call.CLAIM,
    Act.CLAIM_AGAIN: Call.CLAIM,
    Act.REGISTER: Call.REGISTER,
    Act.REGISTER_AGAIN: Call.REGISTER,
    Act.LOOK_UP: Call.LOOK_UP,
    Act.CHECK: Call.ELIGIBILITY,
    Act.SITES: Call.SITES,
    Act.SHOW_QR: Call.QR,
    Act.OPEN_AGAIN: Call.LOOK_UP,
    Act.CHANGE: Call.CHANGE,
    Act.CANCEL: Call.CANCEL,
    Act.ASK_CODE: Call.ACCESS_CODE,
    Act.SHOW_CODE: Call.ACCESS_TOKEN,
    Act.CALENDAR: Call.CALENDAR,
    Act.WATCH: Call.OPENING,
    Act.ASK_ALERTS: Call.ALERTS,
    Act.MORE_TIME: Call.MORE_TIME,
}
