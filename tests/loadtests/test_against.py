"""Two runs compared: what changed is said, and what two runs of the same thing differ by is called noise."""

from pathlib import Path

import msgspec
import pytest

from loadtests.audit.promises import audit
from loadtests.cli.checks import problem_of
from loadtests.client.measure import Histogram
from loadtests.crowd.arrivals import parse_curve
from loadtests.report.against import AgainstError, Compared, compare, load_run
from loadtests.report.page import render
from loadtests.report.samples import FORMAT, Durations, Ratio, RecordedRun, Sample, Single
from loadtests.report.summary import summarise
from loadtests.resident.pace import Pace
from loadtests.run.options import Options
from tests.support.judged_opening import world_with_slo


def run(*samples: Sample, **options: object) -> RecordedRun:
    return RecordedRun(FORMAT, "2026-01-01T08:00:00+08:00", dict(options), [("CPU", "the same")], list(samples))


def durations(*ms_by_second: int) -> Durations:
    """Second by second, ten requests that took this long."""
    seconds = {}
    for second, ms in enumerate(ms_by_second):
        histogram = Histogram()
        for _ in range(10):
            histogram.add(ms * 1000)
        seconds[second] = histogram.encoded()
    return Durations("join", "ms", (50, 99), seconds)


def figures(before: RecordedRun, now: RecordedRun) -> dict[str, Compared]:
    return {figure.name: figure for figure in compare(before, now).figures}


STEADY = tuple(10 + second % 3 for second in range(60))
"""Every second is like the next but for 2 ms: no stretch of it is better than another."""
UNEVEN = tuple(10 if second % 20 < 10 else 30 for second in range(60))
"""Half of it 10 ms, half of it 30 ms, ten seconds at a time: the median is a matter of luck."""


def test_steady_runs_tell_a_small_difference() -> None:
    slower = tuple(ms + 4 for ms in STEADY)
    worse, better = figures(run(durations(*STEADY)), run(durations(*slower))), figures(
        run(durations(*slower)), run(durations(*STEADY))
    )  # fmt: skip
    assert [worse[name].word for name in ("join p50", "join p99")] == ["worse", "worse"]
    assert [better[name].word for name in ("join p50", "join p99")] == ["better", "better"]
    figure = worse["join p50"]
    assert figure.before == pytest.approx(11, rel=0.01)
    assert figure.now == pytest.approx(15, rel=0.01)
    assert figure.noise is not None
    assert figure.noise < 2.1


def test_an_uneven_run_hides_the_same_difference_in_its_noise() -> None:
    figure = figures(run(durations(*UNEVEN)), run(durations(*(ms + 4 for ms in UNEVEN))))["join p50"]
    assert figure.word == "within noise"
    assert figure.noise is not None
    assert figure.noise > 10


def test_the_same_run_twice_is_within_noise_and_always_so() -> None:
    one = run(durations(*UNEVEN), Single("checks not green", "checks", 0, 0), Ratio("errors", "", {0: (0, 9)}))
    found = figures(one, one)
    assert {found[name].word for name in ("join p50", "join p99", "checks not green")} == {"within noise"}
    assert found["errors"].word == "not compared"  # one second is no spread
    assert figures(one, one) == found  # the noise is drawn by a fixed seed


def test_less_than_a_bucket_of_the_histogram_is_no_difference() -> None:
    one, other = (run(durations(*[ms] * 60)) for ms in (1000, 1004))
    figure = figures(one, other)["join p99"]
    assert figure.word == "within noise"
    assert figure.noise == pytest.approx(10, rel=0.02)  # 1 %


def test_shares_are_compared_by_their_sums() -> None:
    before = run(Ratio("errors", "of requests", {second: (1 + second % 2, 100) for second in range(60)}))
    now = run(Ratio("errors", "of requests", {second: (3 + second % 2, 100) for second in range(60)}))
    figure = figures(before, now)["errors"]
    assert figure.word == "worse"
    assert figure.before == pytest.approx(0.015)
    assert figure.now == pytest.approx(0.035)


def test_figures_without_a_spread_are_judged_by_how_finely_they_were_seen() -> None:
    before = run(Single("recovery", "s", 4, 1), Single("checks not green", "checks", 0, 0))
    now = run(Single("recovery", "s", 5, 1), Single("checks not green", "checks", 1, 0))
    found = figures(before, now)
    assert (found["recovery"].word, found["checks not green"].word) == ("within noise", "worse")


def test_a_run_too_short_for_a_spread_is_not_compared() -> None:
    figure = figures(run(durations(*STEADY[:12])), run(durations(*STEADY)))["join p50"]
    assert (figure.word, figure.noise) == ("not compared", None)
    assert figure.before is not None


def test_what_only_one_run_has_is_shown_and_not_judged() -> None:
    alone = Single("recovery", "s", 4, 1)
    assert figures(run(alone), run())["recovery"] == Compared("recovery", "s", 4, None, None, "not compared")
    assert figures(run(), run(alone))["recovery"] == Compared("recovery", "s", None, 4, None, "not compared")


def test_another_question_is_said() -> None:
    before, now = run(residents=2000, report="a"), run(residents=6000, report="b")
    now.host = [("CPU", "another")]
    assert list(compare(before, now).differences) == ["residents: 2000, now 6000", "CPU: the same, now another"]


def test_a_machine_that_was_busier_is_said() -> None:
    def others(cores: float) -> RecordedRun:
        return run(Ratio("CPU of others", "cores", {second: (cores + second * 7 % 13 / 10, 1) for second in range(60)}))

    assert list(compare(others(0.1), others(0.15)).differences) == []
    assert list(compare(others(0.1), others(2.1)).differences) == [
        "CPU of others: 0.687 cores, now 2.69: how busy the machine was"
    ]


def test_a_percentile_of_few_is_not_compared() -> None:
    short = run(durations(*STEADY[:30]))
    assert figures(short, short).keys() == {"join p50"}  # of 300 only three are beyond the p99


def test_a_real_summary_travels_through_its_json_into_the_next_report(tmp_path: Path) -> None:
    first = world_with_slo()
    curve, pace = parse_curve("door:0.333", 60, 10).describe(), Pace.of(60, first.crowd.profile).describe()
    first.evidence.seen.cpu["workers"] = dict.fromkeys(range(60), 50.0)
    summary = summarise(first.evidence, audit(first.evidence), Options(residents=90), curve, pace)
    path = tmp_path / "run.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary.plain())))
    second = world_with_slo()
    second.evidence.seen.cpu["workers"] = dict.fromkeys(range(60), 80.0)
    summary = summarise(second.evidence, audit(second.evidence), Options(residents=91), curve, pace, load_run(path))
    assert summary.against is not None
    words = {figure.name: figure.word for figure in summary.against.figures}
    assert words["CPU of workers"] == "worse"
    assert words["join p50"] == words["errors"] == words["recovery after a fault"] == "within noise"
    page = render(second.evidence, summary)
    assert "Against the run of" in page
    assert "Not the same in both runs: residents: 90, now 91" in page
    assert '<td class="no">worse</td><td><b>CPU of workers</b>' in page
    assert "stretches of 3 s or more" in page
    plain = msgspec.json.decode(msgspec.json.encode(summary.plain()))
    assert plain["against"]["figures"][0].keys() == {"name", "unit", "before", "now", "noise", "word"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[]", "not the --json of a rehearsal: "),
        (b"{", "not the --json of a rehearsal: "),
        (b"{}", "not the --json of a rehearsal: Object missing required field `format`"),
        (b'{"format":0,"began_at":"","options":{},"host":[],"samples":[]}', "format 0, expected 1: "),
        (
            b'{"format":1,"began_at":"","options":{},"host":[],"samples":'
            b'[{"kind":"durations","name":"join","unit":"ms","percentiles":[50],"seconds":{"1":"x"}}]}',
            "join: no HDR histogram",
        ),
    ],
)
def test_a_file_that_is_no_run_is_said_in_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(AgainstError) as refused:
        load_run(path)
    assert str(refused.value).startswith(f"run.json: {complaint}")
    assert "\n" not in str(refused.value)
    assert problem_of(Options(against=str(path))) == f"--against: {refused.value}"
