"""A run against an earlier one: each figure better, worse, or within noise.

The noise comes from the runs' own spread by seconds: each run is made up anew, hundreds of times, from stretches of
its own seconds drawn with replacement (a block bootstrap: seconds next to each other are alike, so they stay together).
How much the difference of the figures then varies is the noise that two runs of the same thing have by themselves. What
changed outside them, between the runs (another load on the machine), is not in it.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import msgspec

from loadtests.client.measure import Histogram
from loadtests.report.samples import FORMAT, UNITS, Durations, Ratio, RecordedRun, Sample, Single

RESAMPLES = 500
CONFIDENCE = 0.998
"""Of one figure: with some thirty of them, nineteen in twenty comparisons of the same thing call nothing a change."""
SHORTEST_BLOCK_SECONDS = 3
MOST_BLOCKS = 30
FEWEST_BLOCKS = 5
FEWEST_BEYOND = 5
"""A percentile with fewer durations beyond it is a matter of one or two of them, and is not compared."""
HDR_RESOLUTION = 0.01
"""Two significant digits: less than this share cannot be told apart."""
_SAME_QUESTION = ("residents", "minutes", "arrivals", "seed", "districts", "workers", "lines", "fault", "city", "host")

T = TypeVar("T")
Word = Literal["better", "worse", "within noise", "not compared"]


class AgainstError(Exception):
    """The earlier run cannot be read; the message is one line."""


@dataclass(frozen=True)
class Compared:
    """One figure in both runs; None where a run does not have it. `noise` is the difference that chance makes."""

    name: str
    unit: str
    before: float | None
    now: float | None
    noise: float | None
    word: Word


@dataclass(frozen=True)
class Comparison:
    """All figures, and what was not the same in both runs: then a difference may come from it."""

    began_at: str
    figures: Sequence[Compared]
    differences: Sequence[str]
    how: str = (
        f"noise: {CONFIDENCE:.1%} of the differences when each run is made up anew {RESAMPLES} times from its own "
        f"seconds, in stretches of {SHORTEST_BLOCK_SECONDS} s or more; what else changed between the runs is not in it"
    )

    def in_words(self) -> str:
        """Say how many figures are what."""
        words = Counter(figure.word for figure in self.figures)
        return ", ".join(f"{words[word]} {word}" for word in get_args(Word) if words[word])


def load_run(path: Path) -> RecordedRun:
    """Read the `--json` of an earlier run.

    Raises:
        AgainstError: it cannot be read, or is no such file.
    """
    try:
        run = msgspec.json.decode(path.read_bytes(), type=RecordedRun)
    except OSError as error:
        raise AgainstError(f"{path.name}: cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise AgainstError(f"{path.name}: not the --json of a rehearsal: {error}") from error
    if run.format != FORMAT:
        raise AgainstError(f"{path.name}: format {run.format}, expected {FORMAT}: rehearse it again with this version")
    for sample in run.samples:
        try:
            if isinstance(sample, Durations):
                if sample.unit not in UNITS:
                    raise ValueError(f"unknown unit {sample.unit!r}")
                for text in sample.seconds.values():
                    Histogram.decoded(text)
        except ValueError as error:
            raise AgainstError(f"{path.name}: {sample.name}: {error}") from error
    return run


def compare(before: RecordedRun, now: RecordedRun) -> Comparison:
    """Judge every figure that either run has."""
    earlier = {sample.name: sample for sample in before.samples}
    figures = [figure for sample in now.samples for figure in _compared(earlier.pop(sample.name, None), sample)]
    figures += [figure for sample in earlier.values() for figure in _compared(sample, None)]
    return Comparison(before.began_at, figures, [*_differences(before, now), *_another_machine(figures)])


def _another_machine(figures: Sequence[Compared]) -> Iterator[str]:
    """Return whether the machine was another in the two runs, by what is not the server's."""
    for figure in figures:
        if figure.name in ("CPU of others", "generator late p99") and figure.word in ("better", "worse"):
            yield f"{figure.name}: {figure.before:.3g} {figure.unit}, now {figure.now:.3g}: how busy the machine was"


def _differences(before: RecordedRun, now: RecordedRun) -> Iterator[str]:
    for name in _SAME_QUESTION:
        was, became = before.options.get(name), now.options.get(name)
        if was != became:
            yield f"{name}: {was}, now {became}"
    earlier, later = dict(before.host), dict(now.host)
    for name in earlier.keys() | later.keys():
        if earlier.get(name) != later.get(name):
            yield f"{name}: {earlier.get(name)}, now {later.get(name)}"


@dataclass(frozen=True)
class _Figure:
    """A figure of one run.

    Attributes:
        remade: what it may as well have been; empty where a run has it once, None where the run is too short to say.
        resolution: less than this cannot be told apart.
    """

    value: float
    remade: Sequence[float] | None
    resolution: float


def _compared(before: Sample | None, now: Sample | None) -> Iterator[Compared]:
    sample = now or before
    assert sample is not None  # noqa: S101
    # each run is remade by draws of its own: the same ones would make two runs vary together
    earlier, later = (
        dict(_figures(one, random.Random(seed))) if one is not None else {} for seed, one in enumerate((before, now))
    )
    for name in later or earlier:
        a, b = earlier.get(name), later.get(name)
        noise = _noise(a, b) if a and b else None
        word: Word = "not compared"
        if a and b and noise is not None:
            difference = b.value - a.value
            word = "within noise" if abs(difference) <= noise else "better" if difference < 0 else "worse"
        before_now = (a.value if a else None, b.value if b else None)
        yield Compared(name, sample.unit, *before_now, noise, word)


def _noise(a: _Figure, b: _Figure) -> float | None:
    """Half the width of what the difference may be by chance; None where a run is too short to say."""
    if a.remade is None or b.remade is None:
        return None
    difference = b.value - a.value
    off = sorted(abs(y - x - difference) for x, y in zip(a.remade, b.remade, strict=True))
    chance = off[int(CONFIDENCE * (len(off) - 1))] if off else 0.0
    return max(chance, a.resolution, b.resolution)


def _figures(sample: Sample, chance: random.Random) -> Iterator[tuple[str, _Figure]]:
    match sample:
        case Single():
            yield sample.name, _Figure(sample.value, (), sample.resolution)
        case Ratio():
            pairs = [pair for _, pair in sorted(sample.seconds.items())]
            whole = _sums(pairs)
            if whole[1]:
                remade = _remade(pairs, _sums, chance)
                again = None if remade is None else [a / b if b else 0.0 for a, b in remade]
                yield sample.name, _Figure(whole[0] / whole[1], again, 0.0)
        case Durations():
            size = UNITS[sample.unit]
            histograms = [Histogram.decoded(text) for _, text in sorted(sample.seconds.items())]
            together, others = Histogram.merged(histograms), _remade(histograms, Histogram.merged, chance)
            for percent in sample.percentiles:
                if together.total * (100 - percent) < 100 * FEWEST_BEYOND:
                    continue
                value = (together.percentile_us(percent) or 0) / size
                again = None if others is None else [(h.percentile_us(percent) or 0) / size for h in others]
                yield f"{sample.name} p{percent:g}", _Figure(value, again, HDR_RESOLUTION * value)


def _sums(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    listed = list(pairs)
    return sum(a for a, _ in listed), sum(b for _, b in listed)


def _remade(seconds: Sequence[T], merge: Callable[[Iterable[T]], T], chance: random.Random) -> list[T] | None:
    """Return the run made up anew from stretches of its own seconds, many times; None where there are too few of
    them."""
    length = max(SHORTEST_BLOCK_SECONDS, math.ceil(len(seconds) / MOST_BLOCKS))
    blocks = [merge(seconds[at : at + length]) for at in range(0, len(seconds), length)]
    if len(blocks) < FEWEST_BLOCKS:
        return None
    return [merge(chance.choices(blocks, k=len(blocks))) for _ in range(RESAMPLES)]
