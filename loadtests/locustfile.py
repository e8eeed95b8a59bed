"""The rehearsal as a plain Locust run, against a server that holds the crowd:

    python -m loadtests.crowd DIR --residents 600000
    jiaohao import registry DIR/registry.csv && jiaohao import sites DIR/sites.csv
    jiaohao up --no-demo --clock 2021-06-19T07:59:30+08:00
    locust -f loadtests/locustfile.py --headless -H http://127.0.0.1:8000 --residents 600000 --minutes 10

Users are lines, not residents (see `loadtests.lines`); the shape below sets their number and the end of the run.
The audit runs at the end, and the exit code is its verdict.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from locust import LoadTestShape, events
from locust.env import Environment
from rich.console import Console

from loadtests.lines import Line
from loadtests.options import CannotRehearse, Options, crowd_of
from loadtests.slo import SHIPPED_SLO
from loadtests.stage import Stage
from loadtests.traits import DEFAULT_CROWD
from loadtests.verdict import conclude

__all__ = ["Line", "Opening"]

_stages: dict[Environment, Stage | None] = {}  # None: could not begin, or is over
_console = Console(highlight=False)


def _options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("jiaohao")
    group.add_argument("--residents", type=int, default=600_000)
    group.add_argument("--minutes", type=float, default=10.0)
    group.add_argument("--crowd", default=DEFAULT_CROWD, help="name of a crowd (loadtests/crowds), or its file")
    group.add_argument("--arrivals", default="", help="see loadtests/arrivals.py; default: the crowd's")
    group.add_argument("--districts", default="", help="codes with commas; default: the crowd's")
    group.add_argument("--crowd-seed", type=int, default=1)
    group.add_argument("--lines", type=int, default=400, help="connections; sets the number of users")
    group.add_argument("--redis-url", default="", help="the store, for the audit")
    group.add_argument("--slo", default=str(SHIPPED_SLO), help="what must hold; see loadtests/slo.toml")
    group.add_argument("--report", default="rehearsal.html")
    group.add_argument("--figures", default="", help="where to write the figures as JSON")  # --json is Locust's
    group.add_argument("--junit", default="", help="where to write the verdict as JUnit XML")
    group.add_argument("--against", default="", help="the figures of an earlier run")


def _chosen(environment: Environment) -> Options:
    o: Any = environment.parsed_options
    return Options(
        residents=o.residents, minutes=o.minutes, crowd=o.crowd, arrivals=o.arrivals or None,
        host=environment.host, seed=o.crowd_seed, districts=tuple(filter(None, o.districts.split(","))) or None,
        lines=o.lines, redis_url=o.redis_url or None, report=o.report,
        slo=o.slo, json=o.figures or None, junit=o.junit or None, against=o.against or None,
    )  # fmt: skip


def _begin(environment: Environment, **_: Any) -> None:
    options = _chosen(environment)
    try:
        problem = options.problem()
        if problem is not None:
            raise CannotRehearse(problem)
        fire = environment.events.request.fire
        stage = Stage(options, crowd_of(options), options.host or "", fire, options.redis_url, dict)
    except (CannotRehearse, ValueError) as reason:
        _console.print(f"[red]cannot rehearse:[/red] {reason}", soft_wrap=True)
        environment.process_exit_code = 2
        _stages[environment] = None
        if environment.runner is not None:
            environment.runner.quit()
        return
    _stages[environment] = stage
    Line.switchboard = stage.switchboard
    stage.begin()


def _end(environment: Environment, **_: Any) -> None:
    stage = _stages.get(environment)
    _stages[environment] = None
    if stage is None:
        return
    stage.end()
    told = stage.curve.describe(), stage.pace.describe()
    passed = conclude(stage.evidence(), stage.options, *told, _console)
    environment.process_exit_code = 0 if passed else 1


class Opening(LoadTestShape):
    """As many users as lines, until the run is over."""

    use_common_options = False

    def tick(self) -> tuple[int, float] | None:
        """Locust asks once a second."""
        assert self.runner is not None  # noqa: S101
        if self.runner.environment not in _stages:
            return 1, 1  # Locust says that the test starts after the first answer
        stage = _stages[self.runner.environment]
        if stage is None:
            return None
        if stage.seconds_left() <= 0:
            stage.end()  # while the lines are still there to hear the last answers
            return None
        return stage.options.lines, stage.options.lines


for _event, _listener in (
    (events.init_command_line_parser, _options),
    (events.test_start, _begin),
    (events.test_stop, _end),
):
    _event.add_listener(_listener)  # type: ignore[no-untyped-call]
