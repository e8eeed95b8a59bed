"""A ramp finds what a server carries: here a scripted one, whose capacity is known."""

from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.audit.slo import Errors, Slo
from loadtests.capacity.ramp_steps import RampResult
from loadtests.client.answers import Call
from loadtests.client.measure import Meters, Progress
from loadtests.resident.run_opening import RunOpening
from loadtests.run.generators import ArrivalBatch
from loadtests.run.options import Options
from loadtests.run.ramp import RampShape

SECOND_US = 1_000_000
SLO = Slo(p99_ms={"join": 1000.0, "poll": 1000.0}, errors=Errors(0.001))


class Scripted:
    """A server that carries `capacity` residents a second and answers late beyond that; its clock is moved by hand."""

    def __init__(self, capacity: float, residents: int = 10**9, minutes: float = 600, rate: float = 100) -> None:
        self.capacity, self.now = capacity, 0
        self.measured, self.filed = Meters(), 0
        self.glitches: set[int] = set()  # steps that something else made slow
        self.errors_a_second, self.late_us, self.unanswered = 0, 0, 0.0
        self.cpu: dict[str, dict[int, float]] = {}
        opening: Any = SimpleNamespace(opens_us=0, draw_seconds=5.0)
        assert RunOpening.__dataclass_fields__.keys() >= vars(opening).keys()
        self.run: Any = SimpleNamespace(
            now_us=lambda: self.now,
            end_us=int(minutes * 60 * SECOND_US),
            pool=self,
            crowd=SimpleNamespace(residents=residents),
            setting=SimpleNamespace(openings=(opening,)),
            cpu=lambda: self.cpu,
        )
        self.ramp = RampShape(Options(ramp=True, rate=rate, workers=2), SLO)
        self.steps: list[ArrivalBatch] = []

    def arrive(self, stretch: ArrivalBatch) -> None:
        assert stretch.first == self.filed, "nobody comes twice, and nobody is left out"
        self.filed = stretch.last
        self.steps.append(stretch)
        seconds = (stretch.until_us - stretch.from_us) / SECOND_US
        rate = (stretch.last - stretch.first) / seconds
        slow = rate > self.capacity or len(self.steps) - 1 in self.glitches
        first, last = stretch.from_us // SECOND_US, stretch.until_us // SECOND_US
        for second in range(first, last):
            for _ in range(round(rate * (1 - self.unanswered))):
                due_us = second * SECOND_US
                self.measured.answered(Call.JOIN, due_us, due_us, due_us + (3_000_000 if slow else 9_000))
            self.measured.late(self.late_us, second * SECOND_US)
            for _ in range(self.errors_a_second):
                self.measured.error("POLL: 500", second * SECOND_US)
            self.cpu.setdefault("workers", {})[second] = 100 * min(2.0, 2 * rate / self.capacity)
            self.cpu.setdefault("generator", {})[second] = 10.0

    def progress(self) -> Progress:
        return Progress()

    def meters(self) -> Meters:
        return self.measured

    def play(self) -> RampResult:
        while not self.ramp.over(self.run):
            self.now += SECOND_US // 2
            assert self.now < 24 * 3600 * SECOND_US
        return self.ramp.found


@pytest.mark.parametrize("capacity", [30.0, 99.0, 130.0, 700.0])
def test_the_highest_rate_that_holds_is_found_and_the_lowest_that_does_not(capacity: float) -> None:
    found = Scripted(capacity).play()
    assert found.holds is not None and found.breaks is not None
    assert found.holds <= capacity < found.breaks
    assert found.breaks / found.holds <= 1.1
    assert all(step.held == (step.rate <= capacity) for step in found.steps)
    assert found.limit == "workers"


def test_the_first_step_waits_for_the_draw_and_only_settled_seconds_are_judged() -> None:
    server = Scripted(130)
    first = server.play().steps[0]
    assert server.steps[0].from_us >= 5 * SECOND_US
    assert first.from_second * SECOND_US >= server.steps[0].from_us + 5 * SECOND_US
    assert first.to_second * SECOND_US <= server.steps[0].until_us
    assert first.requests == {"join": 100 * (first.to_second - first.from_second)}
    assert first.p99_ms["join"] == pytest.approx(9.0, rel=0.01)


def test_a_step_that_something_else_made_slow_is_tried_again() -> None:
    server = Scripted(400)
    server.glitches = {1}
    found = server.play()
    assert [step.held for step in found.steps[:3]] == [True, False, True]
    assert found.steps[1].rate == found.steps[2].rate == 150
    assert found.holds is not None and found.holds > 350


def test_a_step_that_breaks_says_why() -> None:
    assert "p99 join 3" in Scripted(50).play().steps[0].why
    server = Scripted(10**6)
    server.errors_a_second = 5
    assert "errors" in server.play().steps[0].why
    server = Scripted(10**6)
    server.unanswered = 0.5
    assert "joins were answered in time" in server.play().steps[0].why
    server = Scripted(10**6)
    server.late_us = 900_000
    assert "the generator was late" in server.play().steps[0].why


@pytest.mark.parametrize(
    ("cpu", "limit"),
    [
        ({"generator": 95.0, "workers": 190.0}, "generator"),
        ({"generator 2": 95.0, "workers": 190.0}, "generator"),
        ({"generator": 20.0, "store": 96.0}, "store"),
        ({"generator": 20.0, "store": 10.0, "workers": 185.0}, "workers"),
        ({"generator": 20.0, "store": 10.0, "workers": 100.0}, "unknown"),
        ({"generator": 80.0, "store": 80.0, "workers": 30.0, "others": 5.0}, "machine"),
        ({"generator": 30.0, "store": 20.0, "workers": 60.0, "others": 80.0}, "others"),
    ],
)
def test_whose_limit_it_was(cpu: dict[str, float], limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    server = Scripted(50)

    class Busy(dict[int, float]):
        def __init__(self, percent: float) -> None:
            self.percent = percent

        def get(self, second: int, default: Any = None) -> Any:
            return self.percent

    server.cpu = {who: Busy(percent) for who, percent in cpu.items()}
    assert server.play().limit == limit


def test_it_ends_with_its_residents_and_with_its_minutes() -> None:
    found = Scripted(10**6, residents=10_000).play()
    assert found.holds is not None and found.breaks is None
    server = Scripted(10**6, minutes=2)
    server.play()
    assert server.steps[-1].until_us <= 120 * SECOND_US
    assert server.ramp.expected(server.run.crowd) == server.filed
    assert Scripted(1, rate=1.5).play().holds is None  # gives up below one resident a second
