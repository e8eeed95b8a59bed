"""What residents felt, against a few of them counted by hand."""

from io import StringIO

import pytest
from rich.console import Console

from loadtests.audit.promises import audit
from loadtests.report.against import compare
from loadtests.report.charts import band_chart
from loadtests.report.page import render
from loadtests.report.residents import (
    FEWEST_IN_BAND,
    Band,
    Order,
    ResidentsView,
    bands,
    in_steps,
    percentile,
    residents_view,
)
from loadtests.report.samples import FORMAT, Durations, Ratio, RecordedRun, samples_of
from loadtests.report.summary import Summary, summarise
from loadtests.report.verdict import show
from loadtests.resident.facts import NEVER, Fact, SpentPlace
from loadtests.resident.observations import Observations
from loadtests.resident.pace import Pace
from loadtests.run.options import Options
from tests.support.honest_opening import World


def neighbours(world: World) -> list[int]:
    """Residents of one opening."""
    return [i for i in range(world.crowd.residents) if world.crowd.home(i) == 0]


def five() -> World:
    """An opening of which five residents tell, and of whom the answers below are known; nobody else was there.

    0 at the door, joins at 2 s, promised 10 s, called after 12 s, registers at 20 s; 6 requests, 4 polls
    1 comes at 5 s, joins at 6 s, promised 10 s, called after 6 s, registers at 25 s; 9 requests, 3 polls, asked twice
    2 comes at 7 s, joins at 8 s, promised 3 s, called after 3 s and missed it; 3 requests, 1 poll
    3 comes at 9 s, joins at 9 s, promised nothing, missed a call and did not hear of it before the new place
    4 comes at 9 s, and is refused
    """
    world = World()
    observations = Observations(world.crowd.residents)
    world.evidence.observations = observations
    people = [
        # came, joined, promised wait, called, claimed, registered, number, requests, polls, bytes up, bytes down
        (0, 2000, 10_000, 14_000, 15_000, 20_000, 1, 6, 4, 600, 1200),
        (5000, 6000, 10_000, 12_000, 14_000, 25_000, 2, 9, 3, 900, 1800),
        (7000, 8000, 3000, 11_000, NEVER, NEVER, 3, 3, 1, 300, 600),
        (9000, 9000, NEVER, NEVER, NEVER, NEVER, 9, 2, 0, 250, 500),
        (9000, NEVER, NEVER, NEVER, NEVER, NEVER, 0, 1, 0, 100, 200),
    ]
    ids = neighbours(world)[:5]
    for i, person in zip(ids, people, strict=True):
        came, joined, promised, ready, claimed, registered, number, requests, polls, up, down = person
        observations.came_ms[i], observations.joined_ms[i], observations.promised_wait_ms[i] = came, joined, promised
        observations.ready_ms[i], observations.claimed_ms[i], observations.registered_ms[i] = ready, claimed, registered
        observations.number[i], observations.requests[i], observations.polls[i] = number, requests, polls
        observations.bytes_up[i], observations.bytes_down[i] = up, down
        observations.note(i, Fact.JOIN_SENT)
        for fact, at in ((Fact.JOINED, joined), (Fact.READY, ready), (Fact.CLAIMED, claimed)):
            if at != NEVER:
                observations.note(i, fact)
    observations.note(ids[1], Fact.ASKED_TWICE)
    observations.note(ids[2], Fact.MISSED)
    observations.spent.append(SpentPlace(ids[3], 4, 5, "unaware", 9000, 0))
    observations.note(ids[4], Fact.REFUSED)
    return world


@pytest.fixture
def view() -> ResidentsView:
    return residents_view(five().evidence)


def figures(view: ResidentsView, name: str) -> tuple[float, ...]:
    """How many, p5, p50, p90, most."""
    spread = next(spread for spread in view.spreads if spread.name == name)
    return (spread.count, *(spread.percentiles[p] for p in ("p5", "p50", "p90", "p100")))


def test_waits_count_from_the_place_and_ways_from_the_door(view: ResidentsView) -> None:
    assert figures(view, "wait for the call") == (3, 3.0, 6.0, 12.0, 12.0)
    assert figures(view, "door to registration") == (2, 20.0, 20.0, 20.0, 20.0)  # 20 - 0 and 25 - 5


def test_promises_are_held_against_the_real_wait(view: ResidentsView) -> None:
    assert figures(view, "ETA error") == (3, 0.0, 2.0, 4.0, 4.0)  # two late, four early, and right
    assert figures(view, "called late") == (3, 0.0, 0.0, 2.0, 2.0)


def test_what_each_resident_sent_and_got(view: ResidentsView) -> None:
    assert figures(view, "requests") == (5, 1.0, 3.0, 9.0, 9.0)
    assert figures(view, "bytes up") == (5, 100.0, 300.0, 900.0, 900.0)
    assert figures(view, "bytes down") == (5, 200.0, 600.0, 1800.0, 1800.0)
    assert figures(view, "tickets asked until the call") == (3, 1.0, 3.0, 4.0, 4.0)
    assert view.totals == {"requests": 21, "bytes_up": 2150, "bytes_down": 4300}


def test_who_had_no_luck(view: ResidentsView) -> None:
    shares = {share.name: (share.part, share.whole) for share in view.shares}
    assert shares == {"asked twice": (1, 5), "refused": (1, 5), "missed a call": (2, 4), "it had ended": (0, 5)}
    refused = next(share for share in view.shares if share.name == "refused")
    assert sum(refused.reasons.values()) == 1


def test_refusals_are_told_by_their_reason() -> None:
    world = World()
    shares = {share.name: share for share in residents_view(world.evidence).shares}
    refused = sum(1 for facts in world.observations.facts if facts & Fact.REFUSED)
    assert shares["refused"].part == sum(shares["refused"].reasons.values()) == refused > 0
    assert shares["refused"].reasons.keys() <= {"too-soon", "wrong-district", "no-first-dose", "complete"}
    eligible = next(i for i in range(90) if world.observations.facts[i] & Fact.JOINED)
    world.observations.note(eligible, Fact.REFUSED)
    again = {share.name: share for share in residents_view(world.evidence).shares}
    assert again["refused"].reasons["though eligible"] == 1


def test_fairness_by_minute_adds_up() -> None:
    pairs = {3: (1, 10), 59: (2, 20), 60: (0, 30), 200: (5, 40)}
    assert in_steps(pairs, 60) == [Order(0, 3, 30), Order(60, 0, 30), Order(180, 5, 40)]
    # number 2 claimed a second before number 1: the only pair is out of order
    assert residents_view(five().evidence).fairness_by_minute == [Order(0, 1, 1)]


@pytest.mark.parametrize(("percent", "value"), [(5, 1), (50, 2), (75, 3), (76, 4), (100, 4)])
def test_a_percentile_is_the_least_that_so_many_do_not_exceed(percent: int, value: int) -> None:
    assert percentile([1, 2, 3, 4], percent) == value


def test_bands_hold_as_many_each_and_keep_equals_together() -> None:
    assert FEWEST_IN_BAND == 100
    # 150 who were promised 0 s waited 0 to 149 ms; of 100 more, each 1 s longer, all waited 7 s
    pairs = [(0, wait) for wait in range(150)] + [(1000 * k, 7000) for k in range(1, 101)]
    assert bands(reversed(pairs), 1000, 1000) == [Band(0.0, 150, 0.007, 0.074, 0.142), Band(50.0, 100, 7.0, 7.0, 7.0)]
    # too few are left for a band of their own
    assert [band.count for band in bands(pairs[:249], 1, 1)] == [249]
    assert bands([], 1, 1) == []


def concluded(world: World) -> Summary:
    return summarise(world.evidence, audit(world.evidence), Options(residents=90), "even", Pace.__name__)


def test_the_report_and_the_verdict_show_it_with_its_definitions() -> None:
    world = five()
    summary = concluded(world)
    page, shown = render(world.evidence, summary), StringIO()
    show(summary, Console(file=shown, width=160), Options())
    for spread in summary.residents_view.spreads:
        assert spread.name in shown.getvalue()
        assert spread.meaning.replace("'", "&#x27;") in page
    assert "asked twice: 1 of 5" in shown.getvalue()
    assert page.index("What residents felt") < page.index("Over time")
    assert "<b>6 s</b><span>wait for the call, median</span>" in page
    assert "<b>20 %</b><span>asked twice</span>" in page
    assert "<b>100 %</b><span>of pairs out of order (Kendall)</span>" in page


def test_an_opening_nobody_came_to_has_a_report_too() -> None:
    world = World()
    world.evidence.observations = Observations(90)
    summary = concluded(world)
    assert summary.residents_view.spreads == []
    assert "nothing to show" in render(world.evidence, summary)


def test_long_waits_are_shown_in_minutes() -> None:
    world = five()
    i = neighbours(world)[0]
    world.observations.ready_ms[i] = world.observations.joined_ms[i] + 700_000
    page = render(world.evidence, concluded(world))
    assert "across: min promised" in page
    assert "across: s waited" in page


def test_a_chart_of_bands_bears_extremes() -> None:
    assert "nothing to show" in band_chart([], unit="s", x_label="s")
    flat = band_chart([(0.0, 0.0, 0.0, 0.0)], unit="s", x_label="s", equal="as promised")
    assert "<polygon" in flat
    assert "nan" not in flat
    assert "as promised" in flat


def test_runs_are_compared_by_what_residents_felt() -> None:
    world = five()
    observations = world.observations
    samples = {sample.name: sample for sample in samples_of(world.evidence, 0)}
    asked, lost = samples["asked twice"], samples["missed a call"]
    assert isinstance(asked, Ratio)
    assert isinstance(lost, Ratio)
    # by the second of the place, or of coming
    assert asked.seconds == {2: (0.0, 1.0), 6: (1.0, 1.0), 8: (0.0, 1.0), 9: (0.0, 2.0)}
    assert lost.seconds == {2: (0.0, 1.0), 6: (0.0, 1.0), 8: (1.0, 1.0), 9: (1.0, 1.0)}
    waits = samples["wait for the call"]
    assert isinstance(waits, Durations)
    assert sorted(waits.seconds) == [2, 6, 8]
    # many who waited ten minutes, longer than a histogram of microseconds holds, then twice as long
    others = sorted(set(range(90)) - set(neighbours(world)[:5]))
    for i in others:
        observations.joined_ms[i], observations.ready_ms[i] = 400 * i, 400 * i + 600_000
    before = run_of(world)
    for i in others:
        observations.ready_ms[i] += 600_000
    compared = {figure.name: figure for figure in compare(before, run_of(world)).figures}
    figure = compared["wait for the call p50"]
    assert figure.unit == "s waited"
    assert figure.before == pytest.approx(600, rel=0.01)
    assert figure.now == pytest.approx(1200, rel=0.01)
    assert figure.word == "worse"


def run_of(world: World) -> RecordedRun:
    return RecordedRun(FORMAT, "2026-01-01T08:00:00+08:00", {}, [], samples_of(world.evidence, 0))
