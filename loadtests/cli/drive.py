"""The process that drives a rehearsal: `python -m loadtests.cli.drive OPTIONS` (JSON), started by `rehearsal.run`.

With several generators it is a Locust master, and starts its workers: `python -m loadtests.cli.drive --worker PORT`.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import msgspec
from locust.env import Environment
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from loadtests.faults.fault import FaultError
from loadtests.faults.schedule import FaultRun
from loadtests.generator.locust_user import ConnectionUser
from loadtests.generator.pool import pool_of
from loadtests.generator.worker import GeneratorWorker
from loadtests.report.verdict import conclude
from loadtests.run.holdable import holdable
from loadtests.run.night import NoNight, hold_night
from loadtests.run.options import CannotRehearse, Options, crowd_of
from loadtests.run.own_city import check_city
from loadtests.run.own_server import OwnServer, check_store
from loadtests.run.run import Run
from loadtests.run.setting import find_setting

_JOIN_SECONDS = 30


class Stopped(BaseException):
    """SIGTERM or Ctrl-C."""


def drive(options: Options, console: Console) -> int:
    """Hold one rehearsal; the exit code of its verdict.

    Raises:
        CannotRehearse: it could not begin.
    """
    crowd = crowd_of(options)
    if options.host is None:
        check_city(options, crowd)
        check_store(options)
    server = (
        OwnServer(options, crowd, lambda text: console.print(f"[dim]{text}[/dim]")) if options.host is None else None
    )
    try:
        host = options.host or (server.start() if server else "")
        redis_url = server.redis_url if server else options.redis_url
        pids = server.pids if server else dict
        environment = Environment(user_classes=[ConnectionUser], host=host)
        with _runner(environment, options) as runner:
            if server is not None:
                options = msgspec.structs.replace(options, sms_file=str(server.data_dir / "sms.jsonl"))
            setting = find_setting(host, crowd.districts)
            if options.connections == "own":
                can = holdable(setting.address.host, options.processes)
                console.print(f"[dim]this machine holds {can.in_words(options.processes)}[/dim]", soft_wrap=True)
            pool = pool_of(options, crowd, setting, environment)
            run = Run(options, crowd, setting, pool, redis_url, pids)
            runner.start(options.users, spawn_rate=options.users)
            run.begin()
            with _progress(console) as progress:
                _play(run, server, options, console, progress)
            console.print("[dim]the last answers, then the audit[/dim]")
            run.end()
            runner.quit()
        evidence = run.evidence()
        if options.night and server is not None:
            console.print("[dim]the night, and its messages[/dim]")
            evidence.night = hold_night(server.data_dir, setting.openings, server.city, beacon=options.beacon)
    finally:
        if server is not None:
            server.stop()
    return conclude(evidence, options, *run.in_words(), console)


@contextmanager
def _runner(environment: Environment, options: Options) -> Iterator[Any]:
    """Return a local runner, or a master with its workers in processes of their own."""
    if options.processes == 1:
        yield environment.create_local_runner()
        return
    runner = environment.create_master_runner("127.0.0.1", 0)
    command = [sys.executable, "-m", "loadtests.cli.drive", "--worker", str(runner.server.port)]
    workers = [subprocess.Popen(command) for _ in range(options.processes)]
    try:
        deadline = time.monotonic() + _JOIN_SECONDS
        while runner.worker_count < options.processes:
            if time.monotonic() > deadline:
                raise CannotRehearse(f"only {runner.worker_count} of {options.processes} load generators came")
            gevent.sleep(0.1)
        yield runner
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in workers:
            try:
                worker.wait(5)
            except subprocess.TimeoutExpired:
                worker.kill()


def work(port: int) -> int:
    """Be a generator among several, until the master says that it is over."""
    environment = Environment(user_classes=[ConnectionUser])
    runner = environment.create_worker_runner("127.0.0.1", port)
    GeneratorWorker(runner)
    runner.greenlet.join()
    return 0


def _play(run: Run, server: OwnServer | None, options: Options, console: Console, progress: Progress) -> None:
    """Wait out the run, with the fault in its time."""
    total = options.minutes * 60
    bar = progress.add_task("", total=total)
    fault = None
    if server is not None and server.fault is not None:
        fault = FaultRun(server, server.fault, total * options.fault_at)
    while not run.over():
        left, now_s = run.seconds_left(), run.now_us() / 1e6
        if server is not None and not server.running():
            raise CannotRehearse(f"jiaohao up ended in the middle: {server.last_words()}")
        if fault is not None and (done := fault.step(now_s)):
            run.fault_second, run.fault_end_second = fault.second, fault.end_second
            console.print(f"[yellow]{done}[/yellow]")
        progress.update(bar, completed=max(0.0, total - left), description=run.progress())
        nap = fault.nap_seconds(now_s) if fault is not None else 0.5
        gevent.sleep(min(nap, max(left, 0.01)))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console,
        disable=not console.is_terminal, refresh_per_second=2,
    )  # fmt: skip


def main() -> int:
    """Entry of the process."""
    console = Console(stderr=False, highlight=False)
    logging.getLogger("locust").setLevel(logging.ERROR)  # it warns of many users; ours are lines
    this, stopping = gevent.getcurrent(), False

    def stop(*_: Any) -> None:
        nonlocal stopping
        if not stopping:  # a second one would break off the tidying up
            stopping = True
            this.throw(Stopped())

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop)
    try:
        if sys.argv[1] == "--worker":
            return work(int(sys.argv[2]))
        return drive(msgspec.json.decode(sys.argv[1], type=Options), console)
    except (CannotRehearse, FaultError, NoNight) as reason:
        console.print(f"[red]cannot rehearse:[/red] {reason}", soft_wrap=True)
        return 2
    except Stopped:
        console.print("[yellow]stopped[/yellow]")
        return 130


if __name__ == "__main__":
    sys.exit(main())
