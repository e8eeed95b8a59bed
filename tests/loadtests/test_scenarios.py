"""Scenarios by name: each answers a question, has settings of its own, and can be overridden."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loadtests import scenarios
from loadtests.cli import rehearsal
from loadtests.cli.checks import problem_of
from loadtests.cli.rehearse import command
from loadtests.faults.catalogue import FAULTS
from loadtests.run.options import Options

NAMED = [
    "bots", "day", "faults", "handover", "opening", "ramp", "rolling-restart", "soak", "stampede",
]  # fmt: skip


def test_these_are_the_scenarios() -> None:
    assert scenarios.names() == NAMED


@pytest.mark.parametrize("name", NAMED)
def test_each_asks_a_question_and_can_be_held(name: str) -> None:
    scenario = scenarios.load(name)
    assert scenario.question.endswith("?")
    for options in scenario.runs({}):
        assert problem_of(options) is None
        assert options.scenario == name
        if options.city is not None:
            assert Path(options.city).is_file()


def test_what_is_given_goes_before_the_settings() -> None:
    options = scenarios.load("stampede").options({"residents": 7, "lines": 3})
    assert (options.crowd, options.residents, options.lines) == ("stampede", 7, 3)


def test_faults_are_one_run_each_with_files_of_their_own(tmp_path: Path) -> None:
    given = {"report": str(tmp_path / "r.html"), "json": str(tmp_path / "r.json")}
    runs = scenarios.load("faults").runs(given)
    assert tuple(run.fault for run in runs) == tuple(FAULTS)
    assert len({run.report for run in runs}) == len({run.json for run in runs}) == len(FAULTS)
    assert runs[0].report == str(tmp_path / f"r-{runs[0].fault}.html")
    (only,) = scenarios.load("faults").runs(given | {"fault": "kill-store"})
    assert only.fault == "kill-store"


def test_help_lists_them_with_their_questions() -> None:
    told = CliRunner().invoke(command, ["--help"], terminal_width=400).output
    for name in NAMED:
        assert name in told
        assert scenarios.load(name).question in " ".join(told.split())


def test_help_lists_the_faults_too() -> None:
    told = " ".join(CliRunner().invoke(command, ["--help"], terminal_width=400).output.split())
    for name, fault in FAULTS.items():
        assert f"{name} What " in told or f"{name} Can " in told, fault.__doc__


def test_an_unknown_scenario_is_told_with_those_there_are() -> None:
    result = CliRunner().invoke(command, ["openning"])
    assert result.exit_code == 2
    assert "no scenario 'openning'; there are bots, day," in result.output


@pytest.mark.parametrize(("codes", "worst"), [([0, 0], 0), ([0, 1], 1), ([2, 0], 2), ([1, 2], 2)])
def test_several_runs_end_as_the_worst_of_them(
    codes: list[int], worst: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = list(codes)
    monkeypatch.setattr(rehearsal, "run", lambda options: left.pop(0))
    assert rehearsal.run_all([Options(), Options()]) == worst
    assert not left
    assert capsys.readouterr().out


def test_a_stop_ends_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(options: Options) -> int:
        asked.append(options)
        return rehearsal.STOPPED

    monkeypatch.setattr(rehearsal, "run", run)
    assert rehearsal.run_all([Options(), Options()]) == rehearsal.STOPPED
    assert len(asked) == 1


def test_none_is_begun_where_one_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "run", lambda options: pytest.fail("begun"))
    with pytest.raises(rehearsal.CannotRehearse, match="--residents: expected at least 1"):
        rehearsal.run_all([Options(), Options(residents=0)])
