"""What each resident asked and was told, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from loadtests.history.record import Kind


class Told(NamedTuple):
    """An answer that acknowledged something; times by the machine's monotonic clock."""

    call: Kind
    sent: float
    came: float
    value: str


@dataclass
class Seen:
    """What one resident was told.

    Attributes:
        told: each acknowledgement, in order.
        refused: answers that were none: what to, and what was said.
        entry, number: of the latest place.
        ticket, pass_, receipt, no: the latest ones; "" before.
        pass_until: when the pass ends, by the monotonic clock.
        wishes: of the last answer that acknowledged some.
        asked_wishes: of the last request, which may have been obeyed without an answer.
        cancel_asked, cancelled: whether it was asked for, and acknowledged.
        places: every entry they were told of.
        called: when they were told that their number is called, and the number.
        wrong: what they were told that cannot be.
    """

    who: int
    told: list[Told] = field(default_factory=list)
    refused: list[Told] = field(default_factory=list)
    entry: int | None = None
    number: int | None = None
    ticket: str = ""
    pass_: str = ""
    pass_until: float = 0.0
    registering_since: float | None = None
    receipt: str = ""
    no: str = ""
    wishes: str = ""
    asked_wishes: set[str] = field(default_factory=set)
    cancel_asked: bool = False
    cancelled: bool = False
    places: list[int] = field(default_factory=list)
    called: list[tuple[float, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def placed(self, entry: int, fresh: bool) -> None:
        """They were told of this place."""
        if entry not in self.places:
            if self.places and not fresh:
                self.wrong.append(f"entry {entry} told as theirs, after {self.places}")
            self.places.append(entry)
        self.entry = entry
