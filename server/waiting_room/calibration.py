"""The wait as a promise: an interval that holds nine times in ten, learned from the turns that have ended.

Conformal prediction: of each turn that ends, how long it took is compared with what was expected when it was told. The
quantiles of the latest of these shares, with the correction for how few they are, make the interval (Vovk and others;
Angelopoulos and Bates, 2023). How much they may miss is adapted after each turn, so that the share of promises kept
comes back to nine in ten whatever changes (Gibbs and Candès, 2021). No store and no clock: `promised` is a function of
how the opening stands and of what was kept the last time, so that any worker may be the one that works it out.

A change of the operator's is no surprise of the line: expected and real waits are counted in the calls that the rate
has allowed meanwhile, so that a turn that was told before the change still says how well it was foreseen.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import ceil, exp, floor, log, log1p, sqrt
from typing import Final, NamedTuple

from server.records.promise import Calibration, Promise, Told

MISSES: Final = 0.1
"""So many promises in ten, said as a share, may be broken."""
STEP_S: Final = 0.5
"""A call may be so much later than the rate allows: workers look a few times a second."""
PRIOR_TURNS: Final = 20
"""What is taken for granted counts as so many turns, one less with each that has ended."""
PRIOR_SPREADS: Final = (0.7, 1.5)
"""By so many of its scales an expected wait is taken to be off at most, either way, where nothing has been seen: where
the rate decides, and where `max_active` does."""

# The scale of a wait is how far off it may well be: it makes short and long waits comparable. Seconds, and shares of
# the wait, of what the cap adds (how long people take inside is a guess before some have), and of those who give up.
_SCALE_S, _SCALE_OF_WAIT, _SCALE_OF_CAP, _SCALE_OF_LEAVING = 0.25, 0.005, 0.2, 0.25
# So often the promise is worked out anew, by whichever worker is the first.
PROMISE_MS: Final = 1000

_LEARNS: Final = 0.02  # by so much the share that may be missed moves for each promise kept or broken
_LEAST, _MOST = 0.02, 0.3
_WINDOW = 40
_NARROWEST = 0.06  # scales, either way: what comes next is never quite as what came before
_MOST_TOLD = 48
_LEAST_SCALE = 0.01  # calls: at a call a minute, what is kept of a scale is rounded to nothing
_FURTHEST = 8.0  # scales off, as one that is further says nothing more
_OTHER_TURN = 0.1  # of a turn's length, as a difference of logarithms
_AT_FIRST = 24
_FORGETS_S = 900.0
_UNSEEN_S = 2000.0  # so many seconds of waiting in which nobody gave up are taken for granted
_PARTS = (0.5, 0.25, 0.125, 0.75)


class Standing(NamedTuple):
    """How an opening stands when a promise is worked out; `left`: so many gave up before they were called;
    `steps`: (time in ms, highest number called) as they were seen of late, ascending."""

    now_ms: int
    is_calling: bool
    rate: float
    max_active: int
    paused: bool
    issued: int
    serving: int
    waiting: int
    left: int
    turn_ms: float
    steps: Sequence[tuple[int, int]] = ()


class Wait(NamedTuple):
    """An expected wait in seconds, and the shortest that the rate allows: the same where no cap decides."""

    expected_s: float
    soonest_s: float
    rate: float


class Outlook(NamedTuple):
    """What is told of a wait, in seconds; None while nobody is called."""

    eta_seconds: int | None
    low_seconds: float | None
    high_seconds: float | None


NO_OUTLOOK: Final = Outlook(None, None, None)


@cache
def prior() -> Promise:
    """What is promised before anything was seen."""
    rate, cap = (_ends([], MISSES, spread) for spread in PRIOR_SPREADS)
    return Promise(at_ms=0, ends=(rate, cap), leaving_most=0.1 / _UNSEEN_S)


def interval(promise: Promise, wait: Wait) -> tuple[float, float]:
    """(from, to) in seconds: between these the call comes, nine times in ten.

    Its end is never sooner than rate and cap allow with those in line now. Its beginning is sooner than the rate allows
    by those alone who may well give up until then.
    """
    expected_s, scale_s = _foreseen(promise.leaving, wait)
    low, high = promise.ends[is_capped(wait)]
    low_s = max(expected_s + low * scale_s, _fewer(wait.soonest_s, promise.leaving_most))
    high_s = max(expected_s + high * scale_s, wait.expected_s + STEP_S)
    return min(low_s, high_s), high_s


def is_capped(wait: Wait) -> bool:
    """Whether the cap and not the rate decides; what was seen of the one says nothing of the other."""
    return wait.expected_s > wait.soonest_s


def _foreseen(leaving: float, wait: Wait) -> tuple[float, float]:
    """A wait as those who give up will shorten it, and its scale."""
    wait_s, soonest_s, rate = wait
    scale_s = (
        _SCALE_S
        + _SCALE_OF_WAIT * wait_s
        + _SCALE_OF_CAP * (wait_s - soonest_s)
        + _SCALE_OF_LEAVING * leaving * wait_s**2
        + wait_s * sqrt(leaving / 2 / rate)  # chance: so many more or fewer give up
    )
    return _fewer(wait_s, leaving), scale_s


def _fewer(wait_s: float, leaving: float) -> float:
    """What is left of a wait where such a share of those ahead gives up each second."""
    return log1p(leaving * wait_s) / leaving if leaving > 0 else wait_s


def promised(kept: Calibration, it: Standing, wait_of: Callable[[int], Wait | None]) -> tuple[Promise, Calibration]:
    """The promise of this moment, and what is kept for the next one.

    Args:
        kept: the last time; it is taken over.
        it: how the opening stands.
        wait_of: the wait of a number; None where nobody is called.
    """
    now = _follow(kept, it)
    rate, cap = map(_ends, kept.scores, kept.alpha, PRIOR_SPREADS)
    exposure_s = kept.exposure + _UNSEEN_S
    leaving, leaving_most = kept.leaves / exposure_s, (2 * kept.leaves + 4 * (kept.leaves + 0.01) ** 0.5) / exposure_s
    promise = Promise(
        at_ms=now,
        ends=(rate, cap),
        leaving=float(f"{leaving:.4g}"),
        leaving_most=float(f"{leaving_most:.4g}"),
        turn_ms=round(it.turn_ms),
    )
    if it.is_calling and it.issued > it.serving and it.rate > 0 and not it.paused:
        _note(kept, it, promise, wait_of)
    return promise, kept


def _follow(kept: Calibration, it: Standing) -> int:
    """Take over how the opening stands: what was earned, who gave up, whose turn has come."""
    now_ms = max(it.now_ms, kept.at_ms + 1)
    past_s = (now_ms - kept.at_ms) / 1000 if kept.at_ms else 0.0
    if not kept.at_ms:  # who gave up before this has been waiting for nobody knows how long
        kept.left = it.left
    earned_before = kept.earned
    kept.earned = round(kept.earned + kept.flow * past_s, 2)
    fades = exp(-past_s / _FORGETS_S)
    kept.leaves = round(kept.leaves * fades + max(0, it.left - kept.left), 2)
    kept.exposure = round(kept.exposure * fades + kept.waiting * past_s, 1)
    if it.max_active != kept.max_active:
        kept.told = []  # told of another cap
    if it.turn_ms and kept.turn_ms and abs(log(it.turn_ms / kept.turn_ms)) > _OTHER_TURN:
        kept.told = [told for told in kept.told if not told.is_capped]  # the others were told of another pace
        kept.scores[1], kept.turn_ms = [], 0.0
    kept.turn_ms = kept.turn_ms or it.turn_ms
    waiting: list[Told] = []
    for told in kept.told:
        if told.number > it.serving:
            waiting.append(told)
            continue
        called_ms = next((ms for ms, serving in it.steps if serving >= told.number), now_ms)
        since_s = min(max(called_ms - kept.at_ms, 0) / 1000, past_s)
        took = earned_before + kept.flow * since_s - told.earned
        kind, scores = int(told.is_capped), kept.scores[told.is_capped]
        is_broken = not told.low <= took <= told.high
        kept.alpha[kind] = round(min(max(kept.alpha[kind] + _LEARNS * (MISSES - is_broken), _LEAST), _MOST), 5)
        score = (took - told.expected) / max(told.scale, _LEAST_SCALE)
        scores.append(round(min(max(score, -_FURTHEST), _FURTHEST), 4))
        del scores[:-_WINDOW]
    kept.told = waiting
    kept.at_ms, kept.flow = now_ms, 0.0 if it.paused else it.rate
    kept.waiting, kept.left, kept.serving, kept.max_active = it.waiting, it.left, it.serving, it.max_active
    return now_ms


def _ends(scores: list[float], alpha: float, spread: float) -> tuple[float, float]:
    """The quantiles of the latest scores, and of what is taken for granted while they are few."""
    granted = max(0, PRIOR_TURNS - len(scores))
    step = 2 * spread / (PRIOR_TURNS - 1)
    # the outermost first, for these go last
    ends = [sign * (spread - i * step) for i in range(PRIOR_TURNS // 2) for sign in (-1, 1)]
    ordered = sorted([*scores, *ends[:granted]])
    count = len(ordered)
    first, last = floor((count + 1) * alpha / 2), ceil((count + 1) * (1 - alpha / 2))
    # Of so few, none is far enough out: as far again as the outermost is from the middle.
    middle = ordered[count // 2]
    low = ordered[first - 1] if first >= 1 else 2 * ordered[0] - middle
    high = ordered[last - 1] if last <= count else 2 * ordered[-1] - middle
    return round(min(low, -_NARROWEST), 4), round(max(high, _NARROWEST), 4)


def _note(kept: Calibration, it: Standing, promise: Promise, wait_of: Callable[[int], Wait | None]) -> None:
    """Keep what some are told now, to compare it with their turn: at first all over the line, then whoever comes last,
    and one within the line who looks again."""
    if kept.told and it.now_ms - kept.noted_ms < kept.due * 1000:
        return
    line = it.issued - it.serving
    if not kept.told:
        numbers = {it.serving + 1 + (line - 1) * i // _AT_FIRST for i in range(1, _AT_FIRST + 1)}
    else:
        numbers = {it.issued, it.serving + ceil(line * _PARTS[kept.noted % len(_PARTS)])}
    kept.noted, kept.noted_ms = kept.noted + 1, it.now_ms
    for number in sorted(numbers):
        wait = wait_of(number)
        if wait is None:
            return
        low_s, high_s = interval(promise, wait)
        expected, scale, low, high = (
            round(it.rate * seconds, 2) for seconds in (*_foreseen(promise.leaving, wait), low_s, high_s)
        )
        kept.told.append(Told(number, kept.earned, expected, scale, low, high, is_capped(wait)))
    if len(kept.told) > _MOST_TOLD:
        kept.told = kept.told[::2]
        kept.due *= 2
    elif kept.due > 1 and len(kept.told) < _MOST_TOLD // 3:
        kept.due /= 2
