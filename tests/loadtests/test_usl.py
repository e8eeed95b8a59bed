"""The law of how workers add up: known curves are found again, few points claim little, nonsense is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.capacity.usl import Point, UslError, fit


def carried(workers: int, rate: float, contention: float, coherence: float) -> float:
    """Gunther's law, written out: the textbook's form."""
    return rate * workers / (1 + contention * (workers - 1) + coherence * workers * (workers - 1))


@given(
    rate=st.floats(10, 1e5),
    contention=st.floats(0, 0.3),
    coherence=st.floats(0, 0.02),
    counts=st.lists(st.integers(1, 24), min_size=3, max_size=8, unique=True),
)
def test_what_was_put_in_is_found_again(rate: float, contention: float, coherence: float, counts: list[int]) -> None:
    points = [Point(n, carried(n, rate, contention, coherence)) for n in {1, *counts}]
    found = fit(points)
    assert found.law.rate == pytest.approx(rate, rel=1e-3)
    assert found.law.contention == pytest.approx(contention, abs=2e-3)
    assert found.law.coherence == pytest.approx(coherence, abs=2e-4)
    assert found.fixed == ""
    assert found.law.at(30) == pytest.approx(carried(30, rate, contention, coherence), rel=0.02)


def test_a_hand_made_curve() -> None:
    # rate 1000, σ 0.1, κ 0: 2 workers 2000 / 1.1, 4 workers 4000 / 1.3
    found = fit([Point(1, 1000.0), Point(2, 2000 / 1.1), Point(4, 4000 / 1.3)])
    assert found.law.contention == pytest.approx(0.1)
    assert found.law.coherence == pytest.approx(0, abs=1e-9)
    assert found.law.at(11) == pytest.approx(11_000 / 2)
    assert found.law.share(11) == pytest.approx(1 / 2)


def test_one_point_says_that_linear_is_assumed() -> None:
    found = fit([Point(1, 800.0, 900.0)])
    assert "linear" in found.fixed and "assumed" in found.fixed
    assert found.law.at(4) == pytest.approx(4 * 850)
    low, high = found.interval(1)
    assert 800 <= low < 815 and 885 < high <= 900


def test_two_points_say_that_kappa_is_assumed() -> None:
    # 2 ÷ (1 + σ) = 1.6 gives σ = 0.25
    found = fit([Point(1, 1000.0), Point(2, 1600.0)])
    assert "κ = 0 is assumed" in found.fixed
    assert found.law.contention == pytest.approx(0.25)
    assert found.law.coherence == 0
    assert found.law.most_workers == math.inf
    assert found.largest == 2


def test_one_number_of_workers_measured_twice_is_still_linear() -> None:
    found = fit([Point(2, 1000.0), Point(2, 1200.0)])
    assert "linear" in found.fixed
    assert found.law.rate == pytest.approx(1 / ((1 / 500 * 500**2 + 1 / 600 * 600**2) / (500**2 + 600**2)), rel=1e-6)
    assert found.interval(2)[0] < 1000 < 1200 < found.interval(2)[1]


def test_workers_that_do_better_than_linear_are_taken_as_linear() -> None:
    found = fit([Point(1, 1000.0), Point(2, 2300.0), Point(4, 5000.0)])
    assert found.law.contention == found.law.coherence == 0


def test_more_workers_can_make_it_slower() -> None:
    # σ 0, κ 0.01: the peak is at √(1 / 0.01) = 10
    found = fit([Point(n, carried(n, 500.0, 0.0, 0.01)) for n in (1, 4, 8, 16)])
    assert found.law.most_workers == pytest.approx(10, rel=1e-3)


def test_the_interval_holds_what_is_between_held_and_broke() -> None:
    points = [Point(n, 0.9 * carried(n, 1000, 0.05, 0.001), 1.1 * carried(n, 1000, 0.05, 0.001)) for n in (1, 2, 4, 8)]
    found = fit(points)
    for n in (1, 2, 4, 8):
        low, high = found.interval(n)
        assert 0.85 * carried(n, 1000, 0.05, 0.001) < low < carried(n, 1000, 0.05, 0.001) < high
    assert found.contention_interval()[0] <= 0.05 <= found.contention_interval()[1]
    assert found.coherence_interval()[0] <= 0.001 <= found.coherence_interval()[1]
    assert fit(points) == found  # the same points, the same answer


def test_beyond_what_was_measured_it_is_less_sure() -> None:
    found = fit([Point(1, 950.0, 1050.0), Point(2, 1800.0, 2000.0), Point(3, 2500.0, 2800.0)])
    near, far = found.interval(3), found.interval(24)
    assert (near[1] - near[0]) / found.law.at(3) < (far[1] - far[0]) / found.law.at(24)


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ([], "at least one"),
        ([Point(0, 10.0)], "at least 1"),
        ([Point(1, 0.0)], "above 0"),
        ([Point(1, -5.0)], "above 0"),
        ([Point(1, math.nan)], "above 0"),
        ([Point(1, math.inf)], "above 0"),
        ([Point(1, 10.0, 9.0)], "to break"),
        ([Point(1, 10.0, math.nan)], "to break"),
    ],
)
def test_nonsense_is_refused(points: list[Point], what: str) -> None:
    with pytest.raises(UslError, match=what):
        fit(points)
