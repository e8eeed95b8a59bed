"""What residents can do, how long they take, and where they queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from loadtests.answers import Call

SECOND_US = 1_000_000
LOOKS_SHARE = 0.05
"""Share of residents whose look at the city and the opening reaches the server: a cache of one second
(contract: `Cache-Control: public, max-age=1`) answers the others."""
LOOK_US = 20_000
"""How long before joining they look."""
REJOINS_SHARE = 0.7
"""Share of those who missed their call and join again at the back."""
REGRETS_SHARE = 0.25
"""Share of those who gave up and start again at the back."""


class Act(IntEnum):
    """Events of a resident; sixteen at most (`Agenda` keeps four bits)."""

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
    LOOK_UP = 12


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
}


@dataclass(frozen=True)
class Pace:
    """How long people take, in seconds (uniform between two bounds); short runs are lived faster."""

    think: tuple[float, float]
    fill_form: tuple[float, float]
    forget: tuple[float, float]
    patience: tuple[float, float]

    @classmethod
    def of(cls, run_seconds: float) -> Pace:
        """A pace that lets a run of `run_seconds` see whole journeys."""
        haste = min(1.0, run_seconds / 600)
        return cls(
            think=(1.0, max(2.0, 12 * haste)),
            fill_form=(max(1.0, 15 * haste), max(3.0, 90 * haste)),
            forget=(30 * haste, 360 * haste),
            patience=(5 * haste, 400 * haste),
        )

    def describe(self) -> str:
        """The pace in a sentence, for the report."""
        words = ("from call to claim", "for the form", "forgetting the page", "before giving up or refreshing")
        bounds = (self.think, self.fill_form, self.forget, self.patience)
        return ", ".join(f"{low:g}-{high:g} s {word}" for word, (low, high) in zip(words, bounds, strict=True))


@dataclass(frozen=True)
class Ground:
    """A district's opening as the run found it: `opens_at` in the city's time, `opens_us` in the run's."""

    district: str
    date: str
    opens_at: datetime
    opens_us: int
    draw_seconds: float
    commitment: str
    sites: tuple[str, ...]

    def run_us(self, moment: str) -> int:
        """A time of the contract (RFC 3339) on the run's clock."""
        return int((datetime.fromisoformat(moment) - self.opens_at).total_seconds() * SECOND_US) + self.opens_us
