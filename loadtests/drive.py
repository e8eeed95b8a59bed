"""The process that drives a rehearsal: `python -m loadtests.drive OPTIONS` (JSON), started by `rehearsal.run`."""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import logging
import signal
import sys
from typing import Any

import gevent
import msgspec
from locust.env import Environment
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from loadtests.faults import FaultError, FaultRun
from loadtests.lines import Line
from loadtests.options import CannotRehearse, Options, crowd_of
from loadtests.own_server import OwnServer
from loadtests.stage import Stage
from loadtests.verdict import conclude


class Stopped(BaseException):
    """SIGTERM or Ctrl-C."""


def drive(options: Options, console: Console) -> int:
    """Hold one rehearsal; 0 where every check is green, else 1.

    Raises:
        CannotRehearse: it could not begin.
    """
    crowd = crowd_of(options)
    server = (
        OwnServer(options, crowd, lambda text: console.print(f"[dim]{text}[/dim]")) if options.host is None else None
    )
    try:
        host = options.host or (server.start() if server else "")
        redis_url = server.redis_url if server else options.redis_url
        environment = Environment(user_classes=[Line], host=host)
        pids = server.pids if server else dict
        stage = Stage(options, crowd, host, environment.events.request.fire, redis_url, pids)
        Line.switchboard = stage.switchboard
        runner = environment.create_local_runner()
        runner.start(options.lines, spawn_rate=options.lines)
        stage.begin()
        with _progress(console) as progress:
            _play(stage, server, options, console, progress)
        console.print("[dim]the last answers, then the audit[/dim]")
        stage.end()
        runner.quit()
        evidence = stage.evidence()
    finally:
        if server is not None:
            server.stop()
    return 0 if conclude(evidence, options, stage.curve.describe(), stage.pace.describe(), console) else 1


def _play(stage: Stage, server: OwnServer | None, options: Options, console: Console, progress: Progress) -> None:
    """Wait out the run, with the fault in its time."""
    total = options.minutes * 60
    bar = progress.add_task("", total=total)
    fault = FaultRun(server, total * options.fault_at) if server is not None and server.fault is not None else None
    while (left := stage.seconds_left()) > 0:
        if server is not None and not server.running():
            raise CannotRehearse(f"jiaohao up ended in the middle: {server.last_words()}")
        if fault is not None and (done := fault.step(stage.clock.now_us() / 1e6)):
            stage.fault_second, stage.fault_end_second = fault.second, fault.end_second
            console.print(f"[yellow]{done}[/yellow]")
        progress.update(bar, completed=max(0.0, total - left), description=_line(stage))
        nap = fault.nap_seconds(stage.clock.now_us() / 1e6) if fault is not None else 0.5
        gevent.sleep(min(nap, max(left, 0.01)))


def _line(stage: Stage) -> str:
    second = stage.clock.now_us() // 1_000_000 - 1
    if second < 0:
        return f"opens in {-second} s"
    counts = stage.meters.counts
    looks = [looks[-1] for looks in stage.watch.seen.openings.values() if looks]
    return (
        f"{sum(counts['arrivals'].values()):,} arrived, {sum(look.waiting for look in looks):,} waiting, "
        f"{sum(look.serving for look in looks):,} called, {counts['requests'].get(second, 0):,} requests/s, "
        f"{sum(counts['errors'].values()):,} errors"
    )


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console,
        disable=not console.is_terminal, refresh_per_second=2,
    )  # fmt: skip


def main() -> int:
    """Entry of the process."""
    console = Console(stderr=False, highlight=False)
    logging.getLogger("locust").setLevel(logging.ERROR)  # it warns of many users; ours are lines
    this = gevent.getcurrent()

    def stop(*_: Any) -> None:
        this.throw(Stopped())

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop)
    try:
        return drive(msgspec.json.decode(sys.argv[1], type=Options), console)
    except (CannotRehearse, FaultError) as reason:
        console.print(f"[red]cannot rehearse:[/red] {reason}", soft_wrap=True)
        return 2
    except Stopped:
        console.print("[yellow]stopped[/yellow]")
        return 130


if __name__ == "__main__":
    sys.exit(main())
