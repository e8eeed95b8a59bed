"""What can be said against a rehearsal's options before anything of it is begun."""

from __future__ import annotations

import os
from pathlib import Path

from loadtests.audit.slo import SloError, load_slo
from loadtests.crowd.arrivals import CurveError, parse_arrivals
from loadtests.crowd.crowd_file import CrowdError, load_profile
from loadtests.faults.catalogue import FAULTS
from loadtests.report.against import AgainstError, load_run
from loadtests.run.front import TLS_FRONTS, problem_of_front
from loadtests.run.options import Options
from loadtests.run.own_beacon import problem_of_beacon


def problem_of(options: Options, *, faults_by_hand: bool = False) -> str | None:
    """Say what is wrong with these options, in one line; None when nothing is.

    Args:
        faults_by_hand: whoever runs it injects the fault, so that the server need not be our own.
    """
    if options.residents < 1:
        return "--residents: expected at least 1"
    if options.minutes <= 0:
        return "--minutes: expected more than 0"
    if not 0 < options.come_for <= 1:
        return "--come-for: expected a share between 0 and 1"
    if options.rate <= 0:
        return "--rate: expected more than 0"
    if options.processes < 1 or options.lines < options.processes:
        return "--processes: expected at least 1, and no more than --lines"
    if options.tls and not ((options.host or "").startswith("https://") or options.front in TLS_FRONTS):
        return (
            "--tls: jiaohao up speaks no TLS, what is in front of it does: take "
            f"{' or '.join(f'--front {name}' for name in TLS_FRONTS)}, or --host https://HOST:PORT"
        )
    if options.fault is not None and options.fault not in FAULTS:
        return f"--fault: expected one of {', '.join(FAULTS)}"
    if options.fault is not None and options.host is not None and not faults_by_hand:
        return "--fault harms processes: only those of a server of our own, so not together with --host"
    if (
        options.fault is not None
        and not faults_by_hand
        and (why_not := FAULTS[options.fault].problem(options.redis_url)) is not None
    ):
        return why_not
    if options.night and (options.host is not None or options.redis_url is not None):
        return "--night puts the store's clock forward: only that of a server of our own, with its embedded store"
    if options.beacon is not None and options.host is not None:
        return "--beacon is named in the city file of a server of our own, so not together with --host"
    if options.beacon is not None and (why_not := problem_of_beacon()) is not None:
        return why_not
    if options.asleep and options.messages and options.host is not None:
        return "--asleep: the SMS of --host cannot be read here, so take --no-messages"
    if options.front is not None and options.host is not None:
        return "--front stands before a server of our own, so not together with --host"
    if options.front is not None and (why_not := problem_of_front(options.front)) is not None:
        return why_not
    if not 0 < options.fault_at < 1:
        return "--fault-at: expected a share between 0 and 1"
    if not 0 <= options.warm_up_seconds < options.minutes * 60:
        return "--warm-up: expected less than the run"
    if options.districts is not None and not options.districts:
        return "--district: expected at least one"
    try:
        load_profile(options.crowd)
        parse_arrivals(options.arrivals or "")
    except CrowdError as error:
        return f"--crowd: {error}"
    except CurveError as error:
        return f"--{error}"
    if options.host is not None and not options.host.startswith(("http://", "https://")):
        return "--host: expected http://HOST:PORT or https://HOST:PORT"
    for option, name in (("report", options.report), ("json", options.json), ("junit", options.junit)):
        if name is not None and not _can_be_written(Path(name)):
            return f"--{option}: {name} cannot be written"
    try:
        load_slo(Path(options.slo))
    except SloError as error:
        return f"--slo: {error}"
    try:
        if options.against is not None:
            load_run(Path(options.against))
    except AgainstError as error:
        return f"--against: {error}"
    return None


def _can_be_written(path: Path) -> bool:
    """Return whether a file can be put here, its folders made where they are missing: asked before a run, not after
    it."""
    if path.exists():
        return path.is_file() and os.access(path, os.W_OK)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return folder.is_dir() and os.access(folder, os.W_OK)
