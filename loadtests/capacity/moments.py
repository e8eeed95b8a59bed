"""What a plan finds of a city's day: the peaks of its load, and what the busiest opening asks of its shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """A time of the day at which the load has a peak: the districts in their draw, and those that are being called."""

    at_s: int
    phase: str
    districts: tuple[str, ...]
    calls: Mapping[str, float]
    worker_cores: float
    workers: int
    openings: int

    public_looks: float = 0.0
    """At openings, a second, wherever they are answered."""

    @property
    def connections_per_second(self) -> float:
        """New ones: whoever comes, looks, is called, or has filled in the form has let the one before go.

        What follows at once goes over the same one: the poll of who is called and the claim, the receipt and its image.
        """
        calls = self.calls
        alone = ("join", "poll", "claim", "register", "look_up")
        return self.public_looks + sum(calls[call] for call in alone)


@dataclass(frozen=True)
class Shard:
    """What the busiest opening asks of the one shard that holds it.

    Attributes:
        district: whose.
        least: share of the core with calls in the largest batches.
        busy: with batches as they come; 1 where they grow by themselves, as a core has no more.
        call_seconds: what a call to the store takes then.
        most_joins: a second, of this opening, that its shard takes.
    """

    district: str
    least: float
    busy: float
    call_seconds: float
    most_joins: float
