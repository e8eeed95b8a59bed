"""How the load of a run comes: all of the crowd by its curve, or what else follows the same protocol (`ramp.py`)."""

from __future__ import annotations

from typing import Protocol

from loadtests.audit.slo import Slo
from loadtests.capacity.ramp_steps import RampResult
from loadtests.crowd.crowd import Crowd
from loadtests.run.generators import GeneratorPool
from loadtests.run.setting import Setting


class RunView(Protocol):
    """The run, as its load shape sees it.

    Attributes:
        end_us: when it must end.
    """

    crowd: Crowd
    setting: Setting
    pool: GeneratorPool
    end_us: int

    def now_us(self) -> int:
        """Return the run's time."""

    def cpu(self) -> dict[str, dict[int, float]]:
        """Return percent of one core, by who and second."""


class LoadShape(Protocol):
    """A load shape says when residents come and when the run is over.

    Attributes:
        everyone: all arrivals are filed at its beginning.
    """

    everyone: bool

    @property
    def found(self) -> RampResult | None:
        """Say what a ramp found; None where it is none."""

    def over(self, run: RunView) -> bool:
        """Do what is next, a few times a second; return whether the run is over."""

    def expected(self, crowd: Crowd) -> int:
        """Say how many residents were to come."""

    def judged_by(self, slo: Slo) -> Slo:
        """Say what the whole run must hold."""

    def words(self) -> str:
        """Say where the run is, for the progress line."""


class WholeCrowd:
    """The whole crowd comes, each when the curve says so."""

    everyone = True
    found: RampResult | None = None

    def over(self, run: RunView) -> bool:
        return run.now_us() >= run.end_us

    def expected(self, crowd: Crowd) -> int:
        return crowd.residents

    def judged_by(self, slo: Slo) -> Slo:
        return slo

    def words(self) -> str:
        return ""
