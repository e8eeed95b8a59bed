"""The rehearsal as a plain Locust run, against a server that holds the crowd:

    python -m loadtests.crowd DIR --residents 600000
    jiaohao import registry DIR/registry.csv && jiaohao import sites DIR/sites.csv
    jiaohao up --no-demo --clock 2021-06-19T07:59:30+08:00
    locust -f loadtests/locustfile.py --headless -H http://127.0.0.1:8000 --residents 600000 --minutes 10

Users are lines, not residents (see `loadtests.lines`); the shape below sets their number and the end of the run.
The audit runs at the end, and the exit code is its verdict.
"""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import gevent
from locust import LoadTestShape, events
from locust.env import Environment
from rich.console import Console

from loadtests.audit import audit
from loadtests.lines import Line
from loadtests.options import DEFAULT_ARRIVALS, DEFAULT_DISTRICTS, Options
from loadtests.report import render
from loadtests.stage import Stage, crowd_of
from loadtests.summary import summarise
from loadtests.verdict import show

__all__ = ["Line", "Opening"]

_stages: dict[Environment, Stage] = {}


def _options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("jiaohao")
    group.add_argument("--residents", type=int, default=600_000)
    group.add_argument("--minutes", type=float, default=10.0)
    group.add_argument("--arrivals", default=DEFAULT_ARRIVALS, help="see loadtests/arrivals.py")
    group.add_argument("--districts", default=",".join(DEFAULT_DISTRICTS))
    group.add_argument("--crowd-seed", type=int, default=1)
    group.add_argument("--lines", type=int, default=400, help="connections; sets the number of users")
    group.add_argument("--redis-url", default="", help="the store, for the audit")
    group.add_argument("--report", default="rehearsal.html")


def _chosen(environment: Environment) -> Options:
    o: Any = environment.parsed_options
    return Options(
        residents=o.residents, minutes=o.minutes, arrivals=o.arrivals, host=environment.host, seed=o.crowd_seed,
        districts=tuple(o.districts.split(",")), lines=o.lines, redis_url=o.redis_url or None, report=o.report,
    )  # fmt: skip


def _begin(environment: Environment, **_: Any) -> None:
    options = _chosen(environment)
    assert environment.host  # noqa: S101  (locust has asked for it)
    stage = Stage(
        options, crowd_of(options), environment.host, environment.events.request.fire, options.redis_url, dict
    )
    _stages[environment] = stage
    Line.switchboard = stage.switchboard
    stage.begin()


def _end(environment: Environment, **_: Any) -> None:
    stage = _stages.pop(environment, None)
    if stage is None:
        return
    options = stage.options
    stage.end()
    evidence = stage.evidence()
    summary = summarise(evidence, audit(evidence), options, stage.curve.describe(), stage.pace.describe())
    if options.report is not None:
        Path(options.report).write_text(render(evidence, summary), encoding="utf-8")
    show(summary, Console(highlight=False), options)
    environment.process_exit_code = 0 if summary.passed else 1


class Opening(LoadTestShape):
    """As many users as lines, until the run is over."""

    use_common_options = False

    def tick(self) -> tuple[int, float] | None:
        """Locust asks once a second."""
        assert self.runner is not None  # noqa: S101
        stage = _stages.get(self.runner.environment)
        if stage is None:
            with contextlib.suppress(gevent.Timeout):
                gevent.sleep(0)
            return 1, 1
        lines = stage.options.lines
        return (lines, lines) if stage.seconds_left() > 0 else None


for _event, _listener in (
    (events.init_command_line_parser, _options),
    (events.test_start, _begin),
    (events.test_stop, _end),
):
    _event.add_listener(_listener)  # type: ignore[no-untyped-call]
