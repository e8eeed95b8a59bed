"""The residents' view: how long they waited, what was promised, who came first, what they sent, and who had no luck.

Every figure of a resident is a percentile over residents, and says in a line what it is of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from loadtests.audit.evidence import Evidence, claim_ms
from loadtests.client.answers import Call
from loadtests.crowd.behaviour import INELIGIBLE, Behaviour
from loadtests.report.experience import out_of_order
from loadtests.report.turns import LONG_MS, told_turns
from loadtests.resident.facts import NEVER, Fact
from loadtests.resident.sleeping import is_asleep

PERCENTILES = (5, 50, 90, 95, 99, 100)
MOST_BANDS = 16
FEWEST_IN_BAND = 100
"""Of fewer, the 5th percentile is a matter of a few."""
_UNSEEN = ("missed", "unaware")


@dataclass(frozen=True)
class Distribution:
    """Percentiles over `count` residents, in `unit`: p5, p50, p90, p95, p99, p100. `meaning`: of what and of whom."""

    name: str
    unit: str
    count: int
    percentiles: dict[str, float]
    meaning: str


@dataclass(frozen=True)
class Share:
    """`part` of `whole` residents, by reason where there are several."""

    name: str
    part: int
    whole: int
    meaning: str
    reasons: dict[str, int]


@dataclass(frozen=True)
class Band:
    """Residents next to each other in one figure (`x`, its median among them), and the spread of another one."""

    x: float
    count: int
    p5: float
    p50: float
    p95: float


@dataclass(frozen=True)
class Order:
    """Pairs of claims of one opening, the later one in the seconds from `second` on.

    `wrong` ones are out of order: the higher number claimed first.
    """

    second: int
    wrong: int
    pairs: int


@dataclass(frozen=True)
class ResidentsView:
    """What residents felt, in figures.

    Attributes:
        promised: real wait for the call in s, by the wait that was promised.
        looks: how often residents looked until they were told of the call, at the public answer or their ticket, by how
            long that took in s.
        a_place: requests for each place that was told: `tickets` (`GET /ticket`) and `looks` (`GET /openings/…`).
        totals: requests, bytes up and bytes down of all residents.
    """

    spreads: Sequence[Distribution]
    shares: Sequence[Share]
    fairness_by_minute: Sequence[Order]
    promised: Sequence[Band]
    looks: Sequence[Band]
    a_place: dict[str, float]
    totals: dict[str, int]


def waits_ms(e: Evidence) -> Iterator[tuple[int, int]]:
    """Return (resident, milliseconds from joining to being told of the call) of everyone who was told."""
    observations = e.observations
    for i, ready_ms in enumerate(observations.ready_ms):
        if ready_ms != NEVER:
            yield i, max(ready_ms - observations.joined_ms[i], 0)


def ways_ms(e: Evidence) -> Iterator[tuple[int, int]]:
    """Return (resident, milliseconds from coming to being told of the registration) of everyone who holds one."""
    observations = e.observations
    for i, registered_ms in enumerate(observations.registered_ms):
        if registered_ms != NEVER and observations.came_ms[i] != NEVER:
            yield i, max(registered_ms - observations.came_ms[i], 0)


def missed(e: Evidence) -> set[int]:
    """Return the residents who missed a call: were told so, or learned it from getting a new place."""
    observations = e.observations
    return set(_who(e, Fact.MISSED)) | {spent.resident for spent in observations.spent if spent.how in _UNSEEN}


def _who(e: Evidence, fact: Fact) -> list[int]:
    """Return the residents of whom any of these facts holds."""
    bits = int(fact)  # a flag takes ten times as long as a number
    return [i for i, facts in enumerate(e.observations.facts) if facts & bits]


def residents_view(e: Evidence) -> ResidentsView:
    """Put what residents felt in figures."""
    observations = e.observations
    asking = [i for i, requests in enumerate(observations.requests) if requests]
    kept = [
        (i, observations.promised_wait_ms[i], wait_ms)
        for i, wait_ms in waits_ms(e)
        if observations.promised_wait_ms[i] != NEVER
    ]
    spreads = [
        _spread("wait for the call", "s", (ms for _, ms in waits_ms(e)), 1000,
                "from the join's answer to being told of the call, of everyone who was called; of their latest place"),
        _spread("door to registration", "s", (ms for _, ms in ways_ms(e)), 1000,
                "from the opening (who was at the door) or the first join due (who came later) to the registration's "
                "answer, of everyone who holds one; filling in the form and second tries included"),
        _spread("ETA error", "s", (abs(wait - promised) for _, promised, wait in kept), 1000,
                "how far the first waiting time promised for a place was from the real one, early and late alike"),
        _spread("called late", "s", (max(wait - promised, 0) for _, promised, wait in kept), 1000,
                "how much later than first promised the call came; 0 for who was called early or in time"),
        _spread("interval, width", "s", (told.width_ms for told in told_turns(e)), 1000,
                "how far the ends of the interval were apart that was told for the turn"),
        _spread("interval, width of the wait", "%", (1000 * told.width_ms // told.wait_ms for told in told_turns(e)
                                                      if told.wait_ms >= LONG_MS), 10,
                f"the same, of the wait from being told to the call, where that was {LONG_MS // 1000} s or more"),
        _spread("looks until the call", "looks", (observations.looks[i] for i, _ in waits_ms(e)), 1,
                "at the public answer, which a cache may give, until the ticket told of the call"),
        _spread("tickets asked until the call", "tickets", (observations.polls[i] for i, _ in waits_ms(e)), 1,
                "answered polls of the place until the one that told of the call; joining again is none"),
        _spread("requests", "requests", (observations.requests[i] for i in asking), 1,
                "of any kind, by each resident who sent any; the page's own files are not in it"),
        _spread("bytes up", "B", (observations.bytes_up[i] for i in asking), 1,
                "HTTP requests with their heads, as this generator sends them: a browser's heads are longer; no TLS"),
        _spread("bytes down", "B", (observations.bytes_down[i] for i in asking), 1,
                "HTTP answers with their heads; without the page's own files, TLS and TCP"),
    ]  # fmt: skip
    return ResidentsView(
        [spread for spread in spreads if spread is not None],
        _shares(e, asking),
        in_steps(out_of_order(e), 60),
        bands(((promised, wait) for _, promised, wait in kept), 1000, 1000),
        bands(((wait, observations.polls[i] + observations.looks[i]) for i, wait in waits_ms(e)), 1000, 1),
        _a_place(e),
        {name: sum(getattr(observations, name)) for name in ("requests", "bytes_up", "bytes_down")},
    )


def _a_place(e: Evidence) -> dict[str, float]:
    places = sum(1 for entry in e.observations.entry if entry >= 0) + len(e.observations.spent)
    asked = {"tickets": Call.POLL, "looks": Call.OPENING}
    return {name: e.meters.whole(call).total / places if places else 0.0 for name, call in asked.items()}


def _shares(e: Evidence, asking: Sequence[int]) -> list[Share]:
    tried, refused, luckless = _who(e, Fact.JOIN_SENT), _who(e, Fact.REFUSED), missed(e)
    called = luckless.union(_who(e, Fact.READY | Fact.CLAIMED))
    reasons = Counter(INELIGIBLE.get(e.crowd.behaviour(i), "though eligible") for i in refused)
    return [
        Share("asked twice", len(_who(e, Fact.ASKED_TWICE)), len(asking),
              "sent something again because no answer came, or a 429 or 5xx; not for a mistake or haste of their own "
              "(a mistyped name, 425), nor what browsers repeat by themselves where a kept connection has ended", {}),
        Share("refused", len(refused), len(tried), "not eligible, of everyone who asked for a place", dict(reasons)),
        *_kept(e),
        Share("missed a call", len(luckless), len(called), "let a call run out at least once, of everyone called", {}),
        *_asleep(e, luckless),
        Share("it had ended", len(_who(e, Fact.ENDED)), len(tried), "told so when joining, or while waiting", {}),
    ]  # fmt: skip


def _asleep(e: Evidence, luckless: Collection[int]) -> Iterator[Share]:
    """Return how many of those whose phone slept missed a call; whose time is not over yet says nothing.

    Who does not look is told nothing either: that they were called, and that their time is over, is known from outside.
    """
    habits, observations = e.crowd.profile.asleep, e.observations
    if not habits.share:
        return
    over = came = 0
    for opening in e.openings:
        numbers, allowed_ms, home = e.numbers[opening.district], claim_ms(e, opening), e.openings.index(opening)
        for i in e.people(opening):
            if not is_asleep(e.crowd, i) or e.crowd.behaviour(i) is Behaviour.NEVER_CLAIMS:  # no message brings those
                continue
            called_ms = NEVER
            if numbers is not None and observations.entry[i] >= 0:
                called_ms = observations.turns_seen.called_ms(home, numbers.number(observations.entry[i]))
            is_over = called_ms != NEVER and called_ms + allowed_ms < e.end_second * 1000
            has_come = observations.has(i, Fact.CLAIMED)
            if i in luckless or (is_over and not has_come and not observations.has(i, Fact.LEFT)):
                over += 1
            elif has_come:
                came += 1
    how = "called by SMS" if habits.asks_for_sms else "who look by chance"
    meaning = f"of those with the page closed and the phone asleep, {how}: called, and come in or too late; "
    meaning += "but for those who never come in"
    yield Share("asleep, missed a call", over, over + came, meaning, {})


def _kept(e: Evidence) -> Iterator[Share]:
    """Return how many were called when they were promised, where anybody was promised anything."""
    for name, first, meaning in (
        ("interval kept", False, "called between the times that they were told first, or first after the operator had "
         "last changed the rate, of everyone called"),
        ("interval kept, first of all", True, "called between the times that they were told first of all, whatever the "
         "operator changed later"),
    ):  # fmt: skip
        told = told_turns(e, first=first)
        early, late = sum(it.called_ms < it.from_ms for it in told), sum(it.called_ms > it.to_ms for it in told)
        if told:
            reasons = {"called early": early, "called late": late}
            yield Share(name, len(told) - early - late, len(told), meaning, reasons)


def in_steps(pairs: dict[int, tuple[int, int]], seconds: int) -> list[Order]:
    """Return (pairs out of order, pairs) by second, put together by so many seconds."""
    steps: dict[int, tuple[int, int]] = {}
    for second, (wrong, total) in pairs.items():
        step = second // seconds * seconds
        before = steps.get(step, (0, 0))
        steps[step] = before[0] + wrong, before[1] + total
    return [Order(step, *sums) for step, sums in sorted(steps.items())]


def _spread(name: str, unit: str, values: Iterable[int], size: int, meaning: str) -> Distribution | None:
    """Return the percentiles of values of which `size` make a `unit`; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    figures = {f"p{percent}": percentile(ordered, percent) / size for percent in PERCENTILES}
    return Distribution(name, unit, len(ordered), figures, meaning)


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the least of these that `percent` of them do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]


def bands(pairs: Iterable[tuple[int, int]], x_size: int, y_size: int) -> list[Band]:
    """Bands of (x, y), both not negative, of about as many each; of which `size` make a unit. Equal x stay together."""
    # one number a pair: of millions, pairs would take more memory than all statements
    ordered = sorted(x << 32 | y for x, y in pairs)
    many = max(FEWEST_IN_BAND, -(-len(ordered) // MOST_BANDS))
    found, at = [], 0
    while at < len(ordered):
        end = min(at + many, len(ordered))
        while end < len(ordered) and ordered[end] >> 32 == ordered[end - 1] >> 32:
            end += 1
        if len(ordered) - end < FEWEST_IN_BAND:
            end = len(ordered)
        xs = [pair >> 32 for pair in ordered[at:end]]
        ys = sorted(pair & 0xFFFFFFFF for pair in ordered[at:end])
        low, mid, high = (percentile(ys, percent) / y_size for percent in (5, 50, 95))
        found.append(Band(percentile(xs, 50) / x_size, len(ys), low, mid, high))
        at = end
    return found
