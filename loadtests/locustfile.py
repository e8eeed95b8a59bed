"""A rehearsal as a plain Locust run, against a server that holds the crowd:

    python -m loadtests.crowd DIR --residents 600000
    jiaohao import registry DIR/registry.csv && jiaohao import sites DIR/sites.csv
    jiaohao up --no-demo --clock 2021-06-19T07:59:30+08:00
    locust -f loadtests/locustfile.py --headless -H http://127.0.0.1:8000 --scenario opening

With the web UI (without --headless), --csv, --processes N, or --master and --worker as ever: workers share the crowd
without overlap, and the master audits what all of them were told. A master listens on all addresses unless it is told
--master-bind-host 127.0.0.1. Users are no residents (see `generator/dispatcher.py`): of shared connections there is one
for each, else one does for a generator; the shape below sets their number and the end of the run. The audit runs at the
end, and the exit code is its verdict. A fault (--fault) is yours to make here, at the moment that the terminal says:
recovery is judged from there.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from locust import LoadTestShape, events
from locust.env import Environment
from locust.runners import WorkerRunner
from rich.console import Console

from loadtests import scenarios
from loadtests.cli.checks import problem_of
from loadtests.generator.locust_user import ConnectionUser
from loadtests.generator.pool import pool_of
from loadtests.generator.worker import GeneratorWorker
from loadtests.report.verdict import conclude
from loadtests.run.options import CannotRehearse, Options, crowd_of
from loadtests.run.run import Run
from loadtests.run.setting import find_setting

__all__ = ["ConnectionUser", "RehearsalShape"]

_runs: dict[Environment, Run | None] = {}  # None: could not begin, or is over
_console = Console(highlight=False)


def _options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("jiaohao")
    group.add_argument(
        "--scenario", default=scenarios.DEFAULT_SCENARIO, choices=scenarios.names(), help="which question to ask"
    )
    group.add_argument("--residents", type=int, help="default of all these: the scenario's")
    group.add_argument("--minutes", type=float)
    group.add_argument("--crowd", help="name of a crowd (loadtests/crowds), or its file")
    group.add_argument("--arrivals", help="see loadtests/crowd/arrivals.py")
    group.add_argument("--districts", help="codes with commas")
    group.add_argument("--crowd-seed", dest="seed", type=int)
    group.add_argument("--rate", type=float, help="of a ramp's first step: residents a second")
    group.add_argument("--fault", help="which one you inject when told to, for the recovery's line")
    group.add_argument("--fault-at", type=float, help="when, as a share of the minutes")
    group.add_argument(
        "--connections", choices=("own", "shared"), help="one each, kept as browsers do, or a few for all"
    )
    group.add_argument("--lines", type=int, help="how many shared connections; sets the number of users")
    group.add_argument("--redis-url", help="the store, for the audit")
    group.add_argument("--slo", help="what must hold; see loadtests/slo.toml")
    group.add_argument("--report", help="default: rehearsal.html")
    group.add_argument("--figures", help="where to write the figures as JSON")  # --json is Locust's
    group.add_argument("--junit", help="where to write the verdict as JUnit XML")
    group.add_argument("--against", help="the figures of an earlier run")


_GIVEN = (
    "residents", "minutes", "crowd", "arrivals", "seed", "rate", "fault", "fault_at", "connections", "lines",
    "redis_url", "slo", "report", "junit", "against",
)  # fmt: skip


def _chosen(environment: Environment) -> Options:
    o: Any = environment.parsed_options
    given = {name: getattr(o, name) for name in _GIVEN}
    given |= {"host": environment.host, "json": o.figures, "districts": tuple((o.districts or "").split(","))}
    given = {name: value for name, value in given.items() if value not in (None, "", ("",))}
    return scenarios.load(o.scenario).options(given)


def _ready(environment: Environment, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        GeneratorWorker(environment.runner)


def _begin(environment: Environment, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):  # waits for the master's word
        return
    try:
        options = _chosen(environment)
        problem = problem_of(options, faults_by_hand=True)
        if problem is not None:
            raise CannotRehearse(problem)
        crowd = crowd_of(options)
        setting = find_setting(options.host or "", crowd.districts)
        pool = pool_of(options, crowd, setting, environment)
        run = Run(options, crowd, setting, pool, options.redis_url, dict)
        run.begin()
    except (CannotRehearse, ValueError) as reason:
        _fail(environment, str(reason))
        return
    _runs[environment] = run


def _fail(environment: Environment, reason: str) -> None:
    _console.print(f"[red]cannot rehearse:[/red] {reason}", soft_wrap=True)
    environment.process_exit_code = 2
    _runs[environment] = None
    if environment.runner is not None:
        environment.runner.quit()


def _end(environment: Environment, **_: Any) -> None:
    run = _runs.pop(environment, None)
    if run is None or isinstance(environment.runner, WorkerRunner):
        return
    try:
        run.end()
        code = conclude(run.evidence(), run.options, *run.in_words(), _console)
    except CannotRehearse as reason:
        _console.print(f"[red]not heard out:[/red] {reason}", soft_wrap=True)
        environment.process_exit_code = 2
        return
    environment.process_exit_code = code


class RehearsalShape(LoadTestShape):
    """As many users as the run needs, until it is over."""

    use_common_options = False

    def tick(self) -> tuple[int, float] | None:
        """Locust asks once a second."""
        assert self.runner is not None  # noqa: S101
        environment = self.runner.environment
        if environment not in _runs:
            return 1, 1  # Locust says that the test starts after the first answer
        run = _runs[environment]
        if run is None:
            return None
        try:
            if run.over():
                run.end()  # while the lines are still there to hear the last answers
                return None
            self._tell_fault(run)
            run.pool.progress()
        except CannotRehearse as reason:
            _fail(environment, str(reason))
            return None
        return run.options.users, run.options.users

    def _tell_fault(self, run: Run) -> None:
        options = run.options
        if options.fault is None or run.fault_second is not None:
            return
        if run.seconds_left() <= options.minutes * 60 * (1 - options.fault_at):
            run.fault_second = run.now_us() // 1_000_000
            _console.print(f"[yellow]now: {options.fault}[/yellow]")


for _event, _listener in (
    (events.init_command_line_parser, _options),
    (events.init, _ready),
    (events.test_start, _begin),
    (events.test_stop, _end),
):
    _event.add_listener(_listener)  # type: ignore[no-untyped-call]
