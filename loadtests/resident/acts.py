"""What residents can do, how long they take, and where they queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

import msgspec

from loadtests.client.answers import Call
from loadtests.crowd.traits import Range, Traits

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
}


@dataclass(frozen=True)
class Pace:
    """How long people take, in seconds (uniform between two bounds); short runs are lived faster, by `haste`."""

    think: Range
    fill_form: Range
    forget: Range
    give_up: Range
    refresh: Range
    reconsider: Range
    haste: float = 1.0

    @classmethod
    def of(cls, run_seconds: float, traits: Traits) -> Pace:
        """A pace that lets a run of `run_seconds` see whole journeys: in ten minutes that of the crowd's file."""
        haste = min(1.0, run_seconds / 600)

        def hurried(stated: Range, shortest: Range = (0.0, 0.0)) -> Range:
            low, high = (
                max(min(least, seconds), seconds * haste) for seconds, least in zip(stated, shortest, strict=True)
            )
            return low, high

        pace, impatience = traits.pace, traits.impatience
        return cls(
            think=hurried(pace.think, (1.0, 2.0)),
            fill_form=hurried(pace.fill_form, (1.0, 3.0)),
            forget=hurried(pace.forget),
            give_up=hurried(impatience.gives_up_after),
            refresh=hurried(impatience.refreshes_every),
            reconsider=hurried(pace.reconsider, (1.0, 3.0)),
            haste=haste,
        )

    def describe(self) -> str:
        """The pace in a sentence, for the report."""
        words = (
            "from call to claim", "for the form", "forgetting the page", "before giving up",
            "before refreshing", "from registering to second thoughts",
        )  # fmt: skip
        bounds = (self.think, self.fill_form, self.forget, self.give_up, self.refresh, self.reconsider)
        return ", ".join(f"{low:g}-{high:g} s {word}" for word, (low, high) in zip(words, bounds, strict=True))


@dataclass(frozen=True)
class Ground:
    """A district's opening as the run found it: `opens_at` in the city's time; `opens_us`, `closes_us` in the run's."""

    district: str
    date: str
    opens_at: datetime
    opens_us: int
    draw_seconds: float
    commitment: str
    sites: tuple[str, ...]
    closes_us: int = 4 * 3600 * SECOND_US

    def run_us(self, moment: str) -> int:
        """A time of the contract (RFC 3339) on the run's clock."""
        return int((datetime.fromisoformat(moment) - self.opens_at).total_seconds() * SECOND_US) + self.opens_us


class Stretch(msgspec.Struct):
    """Residents `first` up to `last` (exclusive) who arrive between two moments of the run, at random times."""

    first: int
    last: int
    from_us: int
    until_us: int
