"""What a run asks of those that generate its load."""

from __future__ import annotations

from typing import Protocol

import msgspec

from loadtests.client.measure import Meters, Progress
from loadtests.resident.observations import Observations


class ArrivalBatch(msgspec.Struct):
    """Residents `first` up to `last` (exclusive) who arrive between two moments of the run, at random times."""

    first: int
    last: int
    from_us: int
    until_us: int


class GeneratorPool(Protocol):
    """A pool has all generators of a run, and this is what the run asks of it.

    Attributes:
        alone: there is one, and it is this process.
        clock_doubt_ms: at the end: how far their clocks may be from this process's.
    """

    alone: bool
    clock_doubt_ms: int

    def begin(self, *, everyone: bool) -> None:
        """Start the generators; file every arrival first, or none."""

    def arrive(self, batch: ArrivalBatch) -> None:
        """File the arrivals of a batch."""

    def progress(self) -> Progress:
        """Say how far it is."""

    def meters(self) -> Meters:
        """Say what has been measured so far."""

    def end(self) -> None:
        """Stop the crowd and hear the last answers; a second call does nothing."""

    def observed(self) -> tuple[Observations, Meters, int]:
        """At the end: everything told, everything measured, and how many events were left unserved."""

    def cpu(self) -> dict[str, tuple[str, dict[int, float]]]:
        """Return, by generator and as of the last `meters`, its machine and percent of one core by second; not of
        this process."""
