"""Faults of the machine, injected into a rehearsal's own server; each answers one question an SRE would ask.

A fault has an end: at once for a kill, after some seconds for what lasts. Recovery counts from there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import psutil

if TYPE_CHECKING:
    from loadtests.run.options import Options
    from loadtests.run.own_server import OwnServer


class FaultError(Exception):
    """A fault cannot be injected here; the message is one line."""


class Fault(ABC):
    """One fault, used once: `prepare`, `inject`, and when it is `over`, `heal`.

    Attributes:
        name: of `--fault NAME`.
        lasts_seconds: from `inject` to its end; 0 where it has done all it does at once.
        forgiven: whether it may cost residents an error and a retry; where not, an error is one like any other.
        needs_cluster: whether the own server must run on a cluster.
    """

    name: ClassVar[str]
    lasts_seconds: ClassVar[float] = 0.0
    forgiven: ClassVar[bool] = True
    needs_cluster: ClassVar[bool] = False

    @classmethod
    def problem(cls, options: Options) -> str | None:
        """Why it does not go with these options, or on this machine, in one line; None where it does."""
        return None

    def prepare(self, server: OwnServer) -> None:
        """Make ready what it needs, before anything of the server is started."""
        return None

    @abstractmethod
    def inject(self, server: OwnServer) -> str:
        """Do it; says what was done.

        Raises:
            FaultError: it cannot be done.
        """

    def over(self, server: OwnServer, elapsed_seconds: float) -> bool:
        """Whether it has come to its end, so long after `inject`."""
        return elapsed_seconds >= self.lasts_seconds

    def heal(self, server: OwnServer) -> str:
        """End it, where it does not end by itself; says what was done. Again, or before `inject`, does nothing."""
        return ""

    def clean_up(self, server: OwnServer) -> None:
        """Take away what `prepare` made, once the server has ended."""
        return None


class _OfTheStore(Fault):
    """A fault of the embedded store."""

    @classmethod
    def problem(cls, options: Options) -> str | None:
        """The store at `--redis-url` is somebody's."""
        if options.redis_url is not None:
            return f"--fault {cls.name}: the store at --redis-url is not ours; leave it away, and there is one that is"
        return None


class KillWorker(Fault):
    """What do residents feel when one worker dies (`kill -9`)? Another is started; the rest serve meanwhile."""

    name = "kill-worker"

    def inject(self, server: OwnServer) -> str:
        """Kill the first worker."""
        pid = _one(server.workers(), "worker")
        os.kill(pid, signal.SIGKILL)
        return f"killed worker {pid}"


class KillStore(_OfTheStore):
    """What is lost when the store dies (`kill -9`)? Nothing that was acknowledged; it is started again by itself."""

    name = "kill-store"

    def inject(self, server: OwnServer) -> str:
        """Kill the embedded store."""
        pid = _one(server.stores(), "store")
        os.kill(pid, signal.SIGKILL)
        return f"killed the store, process {pid}"


class StopStore(_OfTheStore):
    """What if the store hangs for five seconds (a paused machine, a snapshot of the disk)? SIGSTOP, then SIGCONT.

    Connections stay, nothing answers: who waits longest is told to come again, and nothing is done twice.
    """

    name = "stop-store"
    lasts_seconds = 5.0

    def __init__(self) -> None:
        self._stopped: int | None = None

    def inject(self, server: OwnServer) -> str:
        """Stop the embedded store."""
        pid = _one(server.stores(), "store")
        os.kill(pid, signal.SIGSTOP)
        self._stopped = pid
        return f"stopped the store, process {pid}, for {self.lasts_seconds:g} s"

    def heal(self, server: OwnServer) -> str:
        """Let it go on."""
        pid, self._stopped = self._stopped, None
        return "the store goes on" if pid is not None and _signal(pid, signal.SIGCONT) else ""


class SlowDisk(_OfTheStore):
    """What if each fsync takes 150 ms (a disk that is failing, or shared with a backup)?

    Emulated: with `appendfsync always` the store writes and syncs its log in the one thread that serves, so while the
    disk is slow it answers nobody. SIGSTOP for 150 ms and SIGCONT for 10 ms, in turn, does the same to it; the
    10 ms let it take what has come, answer, and meet its next fsync.
    """

    name = "slow-disk"
    lasts_seconds = 8.0
    _SYNC_SECONDS = 0.15
    _BETWEEN_SECONDS = 0.01

    def __init__(self) -> None:
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def inject(self, server: OwnServer) -> str:
        """Begin to stop the store again and again."""
        pid = _one(server.stores(), "store")
        self._thread = threading.Thread(target=self._pulse, args=(pid,), name="slow disk", daemon=True)
        self._thread.start()
        return f"each fsync of the store, process {pid}, takes {self._SYNC_SECONDS * 1000:g} ms"

    def heal(self, server: OwnServer) -> str:
        """Let the store go on."""
        if self._thread is None:
            return ""
        self._end.set()
        self._thread.join()
        self._thread = None
        return "the disk is fast again"

    def _pulse(self, pid: int) -> None:
        try:
            while not self._end.is_set() and _signal(pid, signal.SIGSTOP):
                self._end.wait(self._SYNC_SECONDS)
                _signal(pid, signal.SIGCONT)
                self._end.wait(self._BETWEEN_SECONDS)
        finally:
            _signal(pid, signal.SIGCONT)


class FullDisk(_OfTheStore):
    """What if the store's disk is full for eight seconds? Clear 503s, nothing acknowledged lost, and it comes back.

    The own server's data is on a tmpfs of its own, shrunk to what is in it, and later given its size again. Mounting
    takes root on Linux; elsewhere the fault is refused. An fsync there costs nothing: latencies of this run are not
    those of a disk.
    """

    name = "full-disk"
    lasts_seconds = 8.0
    _SIZE = "4g"

    def __init__(self) -> None:
        self._full = False

    @classmethod
    def problem(cls, options: Options) -> str | None:
        """Only root on Linux may mount."""
        if sys.platform != "linux" or os.geteuid() != 0:
            return f"--fault {cls.name}: cannot be done here: it mounts a small disk, which takes root on Linux"
        return super().problem(options)

    def prepare(self, server: OwnServer) -> None:
        """Mount the disk."""
        server.data_dir.mkdir(mode=0o700)
        self._mount(server, f"size={self._SIZE},mode=700")

    def inject(self, server: OwnServer) -> str:
        """Shrink the disk to what is in it."""
        for _ in range(50):  # the store may write between the look and the mount, which is then refused
            disk = os.statvfs(server.data_dir)
            used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            try:
                self._mount(server, f"remount,size={used}")
            except FaultError:
                continue
            self._full = True
            return f"the store's disk is full at {used / 1e6:.0f} MB, for {self.lasts_seconds:g} s"
        raise FaultError("the disk could not be filled: it grew at each try")

    def heal(self, server: OwnServer) -> str:
        """Make room."""
        if not self._full:
            return ""
        self._full = False
        self._mount(server, f"remount,size={self._SIZE}")
        return "the disk has room again"

    def clean_up(self, server: OwnServer) -> None:
        """Unmount the disk."""
        # lazily: whoever still ends on it must not keep it
        subprocess.run(["umount", "--lazy", str(server.data_dir)], check=False, capture_output=True)  # noqa: S607

    def _mount(self, server: OwnServer, how: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(server.data_dir)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise FaultError(f"cannot mount a disk: {' '.join(done.stderr.split())}")


class KillPrimary(_OfTheStore):
    """What if the primary that holds the opening dies (`kill -9`)? Its replica takes over, and nothing is lost.

    The own server runs on a cluster of three primaries, each with a replica (`run/own_cluster.py`), and answers only
    what a replica has as well (`JIAOHAO_REPLICAS=1`). So with its only replica promoted, that third of the store takes
    no writes until somebody starts the dead node again, here after eight seconds. The election itself takes
    `cluster-node-timeout`, 2 s here, and about one more.
    """

    name = "kill-primary"
    lasts_seconds = 8.0
    needs_cluster = True

    def inject(self, server: OwnServer) -> str:
        """Kill the primary of the first district's opening."""
        if server.cluster is None:
            raise FaultError("the server is not on a cluster of ours")
        pid = server.cluster.primary_of(server.opening_key)
        os.kill(pid, signal.SIGKILL)
        return f"killed the opening's primary, process {pid}"

    def heal(self, server: OwnServer) -> str:
        """Start it again: it becomes its successor's replica."""
        started = server.cluster.restart_dead() if server.cluster is not None else []
        return f"started it again, process {started[0]}" if started else ""


class SkewClock(Fault):
    """What if one worker's wall clock is wrong? City time is the store's: nobody may notice. No error is forgiven.

    One worker starts three minutes ahead, and in the middle of the run its clock falls to three minutes behind. It is
    `time.time()` of that process that is off (`loadtests.faults.skewed_clock`); the machine's clock is left alone.
    """

    name = "skew-clock"
    forgiven = False
    _SKEW_SECONDS = 180

    def prepare(self, server: OwnServer) -> None:
        """Have one worker start ahead of time."""
        server.folder.joinpath("sitecustomize.py").write_text("import loadtests.faults.skewed_clock\n")
        self._set(server, self._SKEW_SECONDS)
        server.environment |= {"JIAOHAO_REHEARSAL_SKEW": str(server.folder)}
        path = (str(server.folder), server.home, os.environ.get("PYTHONPATH"))
        server.environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))

    def inject(self, server: OwnServer) -> str:
        """Set that worker's clock back."""
        try:
            pid = int((server.folder / "skewed-pid").read_text())
        except (OSError, ValueError):
            raise FaultError("no worker has asked for the time") from None
        self._set(server, -self._SKEW_SECONDS)
        ahead, behind = f"{self._SKEW_SECONDS} s ahead", f"{self._SKEW_SECONDS} s behind"
        return f"worker {pid}'s clock, {ahead} from its start, is now {behind}"

    def _set(self, server: OwnServer, seconds: int) -> None:
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

    def inject(self, server: OwnServer) -> str:
        """Ask for new workers."""
        self._before = [psutil.Process(pid) for pid in server.workers()]
        os.kill(_one([server.pid] if server.pid else [], "server"), signal.SIGHUP)
        return f"replacing {len(self._before)} workers one by one"

    def over(self, server: OwnServer, elapsed_seconds: float) -> bool:
        """Whether all workers are new ones."""
        return not any(process.is_running() for process in self._before)

    def heal(self, server: OwnServer) -> str:
        """Nothing to do; say so."""
        before, self._before = self._before, []
        return "all workers are new" if before else ""


class FaultRun:
    """A server's fault in its time.

    Args:
        at_second: when to inject it.

    Attributes:
        second, end_second: when it was injected, and when it ended; None before.
    """

    def __init__(self, server: OwnServer, at_second: float) -> None:
        assert server.fault is not None  # noqa: S101 (for the type checker)
        self._server, self._fault, self._at = server, server.fault, at_second
        self._injected_at = 0.0
        self.second: int | None = None
        self.end_second: int | None = None

    def step(self, now_seconds: float) -> str:
        """Do what is due, by the run's clock; says what was done, or nothing."""
        said = []
        if self.second is None and now_seconds >= self._at:
            self.second, self._injected_at = int(now_seconds), now_seconds
            said.append(self._fault.inject(self._server))
        if self.second is not None and self.end_second is None:
            if self._fault.over(self._server, now_seconds - self._injected_at):
                said.append(self._fault.heal(self._server))
                self.end_second = int(now_seconds)
        words = "; ".join(filter(None, said))
        return f"{self._fault.name}: {words}" if words or said else ""

    def nap_seconds(self, now_seconds: float) -> float:
        """For how long nothing is due; at most half a second."""
        due = self._at if self.second is None else self._injected_at + self._fault.lasts_seconds
        return min(max(due - now_seconds, 0.01), 0.5) if self.end_second is None else 0.5


FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (KillWorker, KillStore, StopStore, KillPrimary, FullDisk, SlowDisk, SkewClock, RollingRestart)
}


def _one(pids: list[int], what: str) -> int:
    if not pids:
        raise FaultError(f"found no {what} of ours")
    return pids[0]


def _signal(pid: int, number: int) -> bool:
    """Whether there was somebody to send it to."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
