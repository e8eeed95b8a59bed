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
        """The run's time."""

    def cpu(self) -> dict[str, dict[int, float]]:
        """Percent of one core, by who and second."""


class LoadShape(Protocol):
    """How a run goes.

    Attributes:
        everyone: all arrivals are filed at its beginning.
    """

    everyone: bool

    @property
    def found(self) -> RampResult | None:
        """What a ramp found; None where it is none."""

    def over(self, run: RunView) -> bool:
        """Whether the run is over; asked a few times a second, and does what is next."""

    def expected(self, crowd: Crowd) -> int:
        """How many residents were to come."""

    def judged_by(self, slo: Slo) -> Slo:
        """What the whole run must hold."""

    def words(self) -> str:
        """Where it is, for the progress line."""


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
