"""The clock of a run."""

from __future__ import annotations

import time


class RunClock:
    """Microseconds from the opening, by the machine's monotonic clock."""

    def __init__(self, opens_in_seconds: float) -> None:
        self._origin = time.monotonic() + opens_in_seconds

    def now_us(self) -> int:
        return int((time.monotonic() - self._origin) * 1e6)

    def put_forward(self, us: int) -> None:
        """Set it so many microseconds later."""
        self._origin -= us / 1e6
