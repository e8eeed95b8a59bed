"""`jiaohao rehearse`: the rehearsal in a process of its own, for gevent patches whatever it finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from loadtests.cli.checks import problem_of
from loadtests.run.options import CannotRehearse, Options

_HOME = Path(__file__).resolve().parents[2]

STOPPED = 130

__all__ = ["CannotRehearse", "Options", "run", "run_all"]


def run_all(runs: Sequence[Options]) -> int:
    """Rehearse, one run after the other, however each ends.

    Returns:
        The worst of what they return; as `run`.

    Raises:
        CannotRehearse: the options of one contradict each other; then none is begun.
    """
    for options in runs:
        if (problem := problem_of(options)) is not None:
            raise CannotRehearse(problem)
    if len(runs) == 1:
        return run(runs[0])
    verdicts = []
    for number, options in enumerate(runs, 1):
        print(f"\n{options.scenario} {number} of {len(runs)}: {options.fault or ''}", flush=True)
        code = run(options)
        if code == STOPPED:
            return code
        verdicts.append((options.fault or str(number), code))
    print()
    words = {0: "every promise held", 1: "NOT EVERY PROMISE HELD", 2: "could not be held", 3: "inconclusive"}
    for name, code in verdicts:
        print(f"{name}: {words.get(code, f'ended with {code}')}")
    return max((code for _, code in verdicts), key=_gravity)


def _gravity(code: int) -> int:
    """Green, inconclusive, red, not held, and whatever else a process may end with."""
    return {0: 0, 3: 1, 1: 2}.get(code, 3)


def run(options: Options) -> int:
    """Rehearse.

    Returns:
        0 where the verdict is green, 1 red, 3 inconclusive, 2 where the rehearsal could not be held, 130 where it was
        stopped.

    Raises:
        CannotRehearse: the options contradict each other.
    """
    problem = problem_of(options)
    if problem is not None:
        raise CannotRehearse(problem)
    path = os.pathsep.join(filter(None, (str(_HOME), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "loadtests.cli.drive", msgspec.json.encode(options).decode()]
    child = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path})
    # the child ends its server in order; both signals are handed on, and then it is waited for
    before = {number: signal.signal(number, _hand_on(child)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hand_on(child: subprocess.Popen[bytes]) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, frame: FrameType | None) -> None:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)

    return handler
