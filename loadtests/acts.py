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
SITES_SHARE = 0.02
"""Share of those at the form whose look at the district's sites reaches the server. The list is the same for the
whole district and may be kept for a minute (`Cache-Control: public, max-age=60`): a cache in front asks once a minute,
so this errs on the side of too many. The others have it from the cache, and cost nothing."""
CHECKS_SHARE = 0.02
"""Share of those at the door who ask in the last seconds whether they may register at all. The page offers it from the
evening before, so most have done so long ago. Whatever they hear, they come: the join is judged anew."""
STRANGERS_ASK_SHARE = 0.5
"""Share of those who are in no registry and, once refused, ask for a code by SMS all the same."""


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
    """How long people take, in seconds (uniform between two bounds); short runs are lived faster."""

    think: tuple[float, float]
    fill_form: tuple[float, float]
    forget: tuple[float, float]
    patience: tuple[float, float]
    reconsider: tuple[float, float]

    @classmethod
    def of(cls, run_seconds: float) -> Pace:
        """A pace that lets a run of `run_seconds` see whole journeys."""
        haste = min(1.0, run_seconds / 600)
        return cls(
            think=(1.0, max(2.0, 12 * haste)),
            fill_form=(max(1.0, 15 * haste), max(3.0, 90 * haste)),
            forget=(30 * haste, 360 * haste),
            patience=(5 * haste, 400 * haste),
            reconsider=(1.0, max(3.0, 180 * haste)),
        )

    def describe(self) -> str:
        """The pace in a sentence, for the report."""
        words = (
            "from call to claim", "for the form", "forgetting the page", "before giving up or refreshing",
            "from registering to second thoughts",
        )  # fmt: skip
        bounds = (self.think, self.fill_form, self.forget, self.patience, self.reconsider)
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
