"""Faults of the server's workers, and a deploy, which is none."""

from __future__ import annotations

import os
import signal

import psutil

from loadtests.faults.fault import Fault, FaultError, FaultTarget
from loadtests.faults.processes import first_of


class KillWorker(Fault):
    """What do residents feel when one worker dies (`kill -9`)? Another is started; the rest serve meanwhile."""

    name = "kill-worker"

    def inject(self, server: FaultTarget) -> str:
        """Kill the first worker."""
        pid = first_of(server.workers(), "worker")
        os.kill(pid, signal.SIGKILL)
        return f"killed worker {pid}"


class SkewClock(Fault):
    """What if one worker's wall clock is wrong? City time is the store's: nobody may notice. No error is forgiven.

    One worker starts three minutes ahead, and in the middle of the run its clock falls to three minutes behind. It is
    `time.time()` of that process that is off (`loadtests.faults.skewed_clock`); the machine's clock is left alone.
    """

    name = "skew-clock"
    forgiven = False
    _SKEW_SECONDS = 180

    def prepare(self, server: FaultTarget) -> None:
        """Have one worker start ahead of time."""
        server.folder.joinpath("sitecustomize.py").write_text("import loadtests.faults.skewed_clock\n")
        self._set(server, self._SKEW_SECONDS)
        server.environment |= {"JIAOHAO_REHEARSAL_SKEW": str(server.folder)}
        path = (str(server.folder), server.home, os.environ.get("PYTHONPATH"))
        server.environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))

    def inject(self, server: FaultTarget) -> str:
        """Set that worker's clock back."""
        try:
            pid = int((server.folder / "skewed-pid").read_text())
        except (OSError, ValueError):
            raise FaultError("no worker has asked for the time") from None
        self._set(server, -self._SKEW_SECONDS)
        ahead, behind = f"{self._SKEW_SECONDS} s ahead", f"{self._SKEW_SECONDS} s behind"
        return f"worker {pid}'s clock, {ahead} from its start, is now {behind}"

    def _set(self, server: FaultTarget, seconds: int) -> None:
        new = server.folder / "skew-seconds.new"
        new.write_text(str(seconds))
        new.replace(server.folder / "skew-seconds")


class RollingRestart(Fault):
    """What does a deploy at the peak cost? Nothing: SIGHUP replaces the workers one by one, and no error is forgiven.

    Connections that lie idle are closed by a worker that leaves; whoever uses one at that very moment connects again,
    as every client does. Over when no worker of before is left.
    """

    name = "rolling-restart"
    forgiven = False

    def __init__(self) -> None:
        self._before: list[psutil.Process] = []

    def inject(self, server: FaultTarget) -> str:
        """Ask for new workers."""
        self._before = [psutil.Process(pid) for pid in server.workers()]
        os.kill(first_of([server.pid] if server.pid else [], "server"), signal.SIGHUP)
        return f"replacing {len(self._before)} workers one by one"

    def over(self, server: FaultTarget, elapsed_seconds: float) -> bool:
        """Return whether all workers are new ones."""
        return not any(process.is_running() for process in self._before)

    def heal(self, server: FaultTarget) -> str:
        """Nothing to do; say so."""
        before, self._before = self._before, []
        return "all workers are new" if before else ""
