"""How far workers add up: the Universal Scalability Law (Gunther), fitted to the highest rates that held.

    X(N) = rate × N / (1 + contention × (N − 1) + coherence × N × (N − 1))

`rate` is what one worker carries, `contention` (σ) what they wait for each other, `coherence` (κ) what they tell each
other. N ÷ X(N) is linear in 1/rate, σ/rate and κ/rate, so the best fit of the relative errors is one of linear least
squares, where nothing may be less than 0.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

REMADE = 500
CONFIDENCE = 0.9


class UslError(ValueError):
    """These points say nothing; the message is one line."""


@dataclass(frozen=True)
class Point:
    """What so many workers carried: `held` kept the objectives, `broke` (a higher rate) did not.

    The truth is between the two, and this is how uncertain the point is; None where no rate broke.
    """

    workers: int
    held: float
    broke: float | None = None


@dataclass(frozen=True)
class Law:
    """One curve."""

    rate: float
    contention: float
    coherence: float

    def at(self, workers: float) -> float:
        """Say what so many workers carry."""
        return self.rate * workers / self._slowed(workers)

    def share(self, workers: float) -> float:
        """Say what is left of a worker's rate among so many, 1 for one."""
        return 1 / self._slowed(workers)

    @property
    def most_workers(self) -> float:
        """Return from how many on another worker makes it slower; infinite where none does."""
        if self.coherence == 0:
            return math.inf
        return math.sqrt(max(0.0, 1 - self.contention) / self.coherence)

    @property
    def ceiling(self) -> float:
        """Say what any number of them carries at most, in workers by themselves; infinite where there is no end."""
        if self.coherence > 0:
            most = max(1.0, self.most_workers)
            return most * self.share(most)
        return 1 / self.contention if self.contention > 0 else math.inf

    def _slowed(self, workers: float) -> float:
        return 1 + self.contention * (workers - 1) + self.coherence * workers * (workers - 1)


@dataclass(frozen=True)
class Fit:
    """The law of some points, and how sure it is.

    Attributes:
        law: the best fit.
        remade: laws of the points as they may as well have been, for intervals.
        fixed: what was assumed because the points cannot say it; empty where they say all.
        largest: so many workers were measured; beyond it is extrapolation.
    """

    law: Law
    remade: tuple[Law, ...]
    fixed: str
    largest: int

    def interval(self, workers: int) -> tuple[float, float]:
        """Return (from, to): where 90 % of the remade laws say so many workers are; of the law alone where there are
        none."""
        return _middle([law.at(workers) for law in self.remade] or [self.law.at(workers)])

    def contention_interval(self) -> tuple[float, float]:
        """Of σ."""
        return _middle([law.contention for law in self.remade] or [self.law.contention])

    def coherence_interval(self) -> tuple[float, float]:
        """Of κ."""
        return _middle([law.coherence for law in self.remade] or [self.law.coherence])


def fit(points: Sequence[Point], seed: int = 1) -> Fit:
    """Fit as much of the law as the points can say.

    One number of workers: linear, σ = κ = 0, which is an assumption. Two: σ, with κ = 0. Three or more: both. The
    intervals come from fits to points remade `REMADE` times: each anywhere between the rate that held and the one that
    broke, and, where there are more points than unknowns, with the scatter around the law besides. They are fitted with
    the same unknowns, so what is `fixed` is in no interval.

    Raises:
        UslError: no points, or rates that cannot be.
    """
    if not points:
        raise UslError("expected at least one measured rate")
    for point in points:
        if point.workers < 1:
            raise UslError(f"workers: expected at least 1, got {point.workers}")
        if not (math.isfinite(point.held) and point.held > 0):
            raise UslError(f"{point.workers} workers: expected a rate above 0 that held, got {point.held:g}")
        if point.broke is not None and not (math.isfinite(point.broke) and point.broke > point.held):
            raise UslError(
                f"{point.workers} workers: expected a rate above {point.held:g} to break, got {point.broke:g}"
            )
    numbers = [point.workers for point in points]
    unknowns = min(3, len(set(numbers)))
    middles = [_middle_of(point) for point in points]
    law = _least_squares(numbers, middles, unknowns)
    chance = random.Random(seed)
    scatter = _scatter(law, numbers, middles, unknowns)
    remade = []
    if scatter > 0 or any(point.broke is not None for point in points):
        for _ in range(REMADE):
            rates = [_somewhere(point, chance) * math.exp(chance.gauss(0, scatter)) for point in points]
            remade.append(_least_squares(numbers, rates, unknowns))
    fixed = {
        1: "linear (σ = κ = 0) is assumed: one number of workers was measured",
        2: "κ = 0 is assumed: two numbers of workers were measured",
        3: "",
    }[unknowns]
    if unknowns > 1 and 1 not in numbers:
        fixed = f"{fixed}; " if fixed else ""
        fixed += f"what one worker carries is extrapolated from {min(numbers)} and more"
    return Fit(law, tuple(remade), fixed, max(numbers))


def _middle_of(point: Point) -> float:
    return point.held if point.broke is None else (point.held + point.broke) / 2


def _somewhere(point: Point, chance: random.Random) -> float:
    return point.held if point.broke is None else chance.uniform(point.held, point.broke)


def _scatter(law: Law, numbers: Sequence[int], rates: Sequence[float], unknowns: int) -> float:
    """Standard deviation of the rates around the law, as a share; 0 where there are no more points than unknowns."""
    spare = len(rates) - unknowns
    if spare <= 0:
        return 0.0
    off = math.sqrt(sum((rate / law.at(n) - 1) ** 2 for n, rate in zip(numbers, rates, strict=True)) / spare)
    return off if off > 1e-6 else 0.0  # below it is the arithmetic's


def _least_squares(numbers: Sequence[int], rates: Sequence[float], unknowns: int) -> Law:
    """Return the law with the least squares of relative errors, σ and κ not below 0.

    With three unknowns of which two have a bound there are four ways to be at the bounds; the best that is allowed is
    the answer, as the problem is convex.
    """
    best: tuple[float, Law] | None = None
    free = range(1, unknowns)
    for count in range(unknowns):
        for kept in combinations(free, count):
            # each row is one point, divided by N ÷ rate, so that the error is a share
            rows = [[_term(k, n) * rate / n for k in (0, *kept)] for n, rate in zip(numbers, rates, strict=True)]
            solved = _solve(rows)
            if solved is None or solved[0] <= 0 or any(value < 0 for value in solved[1:]):
                continue
            error = sum((sum(a * b for a, b in zip(row, solved, strict=True)) - 1) ** 2 for row in rows)
            shares = dict(zip(kept, solved[1:], strict=True))
            law = Law(1 / solved[0], shares.get(1, 0.0) / solved[0], shares.get(2, 0.0) / solved[0])
            if best is None or error < best[0] - 1e-15:
                best = error, law
    assert best is not None  # noqa: S101  (with σ = κ = 0 there always is one)
    return best[1]


def _term(k: int, n: int) -> float:
    return (1.0, n - 1.0, n * (n - 1.0))[k]


def _solve(rows: Sequence[Sequence[float]]) -> list[float] | None:
    """Least squares of rows · x = 1 by the normal equations; None where they say nothing."""
    size = len(rows[0])
    matrix = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)] + [sum(row[i] for row in rows)] for i in range(size)
    ]
    for at in range(size):
        pivot = max(range(at, size), key=lambda i: abs(matrix[i][at]))
        if abs(matrix[pivot][at]) < 1e-12 * abs(matrix[0][0] or 1.0):
            return None
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        for i in range(size):
            if i != at:
                factor = matrix[i][at] / matrix[at][at]
                matrix[i] = [a - factor * b for a, b in zip(matrix[i], matrix[at], strict=True)]
    return [matrix[i][size] / matrix[i][i] for i in range(size)]


def _middle(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    out = (1 - CONFIDENCE) / 2
    return ordered[int(out * (len(ordered) - 1))], ordered[math.ceil((1 - out) * (len(ordered) - 1))]
