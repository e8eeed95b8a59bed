"""When a run's fault is injected, and when it is healed."""

from __future__ import annotations

from loadtests.faults.fault import Fault, FaultTarget


class FaultRun:
    """This injects a server's fault when it is due, and heals it.

    Args:
        fault: the server was made ready for it.
        at_second: when to inject it.

    Attributes:
        second, end_second: when it was injected, and when it ended; None before.
    """

    def __init__(self, server: FaultTarget, fault: Fault, at_second: float) -> None:
        self._server, self._fault, self._at = server, fault, at_second
        self._injected_at = 0.0
        self.second: int | None = None
        self.end_second: int | None = None

    def step(self, now_seconds: float) -> str:
        """Do what is due, by the run's clock; says what was done, or nothing."""
        said = []
        if self.second is None and now_seconds >= self._at:
            self.second, self._injected_at = int(now_seconds), now_seconds
            said.append(self._fault.inject(self._server))
        if self.second is not None and self.end_second is None:
            if self._fault.over(self._server, now_seconds - self._injected_at):
                said.append(self._fault.heal(self._server))
                self.end_second = int(now_seconds)
        words = "; ".join(filter(None, said))
        return f"{self._fault.name}: {words}" if words or said else ""

    def nap_seconds(self, now_seconds: float) -> float:
        """Say for how long nothing is due; at most half a second."""
        due = self._at if self.second is None else self._injected_at + self._fault.lasts_seconds
        return min(max(due - now_seconds, 0.01), 0.5) if self.end_second is None else 0.5
