"""Where residents queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from loadtests.resident.acts import SECOND_US


@dataclass(frozen=True)
class RunOpening:
    """A district's opening as the run found it: `opens_at` in the city's time; `opens_us`, `closes_us` in the run's;
    `consent`: the version of the text that who registers must agree to, empty where none is asked for."""

    district: str
    date: str
    opens_at: datetime
    opens_us: int
    draw_seconds: float
    commitment: str
    sites: tuple[str, ...]
    closes_us: int = 4 * 3600 * SECOND_US
    consent: str = ""

    def run_us(self, moment: str) -> int:
        """Return a time of the contract (RFC 3339) on the run's clock."""
        return int((datetime.fromisoformat(moment) - self.opens_at).total_seconds() * SECOND_US) + self.opens_us
