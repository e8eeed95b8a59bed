"""What a plan is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UTILISATION = 0.6
"""Of a core, at the peak. In a queue with random arrivals one waits ρ ÷ (1 − ρ) services: 1.5 at 60 %, 4 at 80 %, 9 at
90 %; and of three machines at 60 % one may fail, and the other two are at 90 % and still answer."""


class PlanError(Exception):
    """The question cannot be answered; the message is one line."""


@dataclass(frozen=True)
class PlanRequest:
    """The question.

    Attributes:
        residents: who come in a day, to all cities; None where `joins_per_second` says it.
        joins_per_second: the peak of all openings that open together, of all cities.
        door: share who are there at the opening.
        minutes: in which the others come; None = the window.
        utilisation: of a core, at the peak.
        cities: so many equal set-ups share the crowd, each with workers and a store of its own.
        openings: in place of the city's districts so many equal ones, in the first one's window.
        rate_per_second: of calls, in place of the city's; `enough`: so many that everyone is called in the window, and
            as many active as that takes.
        told: share who have themselves called by SMS, where the city file lets them.
        cache: one in front carries the public answer, so that no more than `CACHED_PER_SECOND` of a district reach a
            worker.
    """

    residents: float | None
    joins_per_second: float | None = None
    door: float = 0.13
    minutes: float | None = None
    utilisation: float = UTILISATION
    cities: int = 1
    openings: int | None = None
    rate_per_second: float | Literal["enough"] | None = None
    cache: bool = False
    told: float = 0.6

    def check(self) -> None:
        """Raises PlanError: what cannot be."""
        if (self.residents is None) == (self.joins_per_second is None):
            raise PlanError("expected --residents or --joins-per-second")
        if self.residents is not None and not 1 <= self.residents <= 1e11:
            raise PlanError("--residents: expected at least 1")
        if self.joins_per_second is not None and not 0 < self.joins_per_second <= 1e9:
            raise PlanError("--joins-per-second: expected more than 0")
        if not 0 <= self.door <= 1:
            raise PlanError("--door: expected a share, from 0 to 1")
        if not 0 <= self.told <= 1:
            raise PlanError("--told: expected a share, from 0 to 1")
        if self.minutes is not None and not 0 < self.minutes <= 1440:
            raise PlanError("--minutes: expected more than 0, and at most a day")
        if not 0 < self.utilisation < 1:
            raise PlanError("--utilisation: expected a share between 0 and 1")
        if self.openings is not None and not 1 <= self.openings <= 10_000:
            raise PlanError("--openings: expected 1 to 10,000")
        if not 1 <= self.cities <= 1_000_000:
            raise PlanError("--cities: expected at least 1")
        if isinstance(self.rate_per_second, float) and not 0 < self.rate_per_second <= 1_000_000:
            raise PlanError("--rate: expected calls a second, up to 1,000,000, or enough")
