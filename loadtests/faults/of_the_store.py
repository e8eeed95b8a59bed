"""Faults of the store and its disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from loadtests.faults.fault import Fault, FaultError, FaultTarget
from loadtests.faults.processes import first_of, send_signal


class StoreFault(Fault):
    """A fault of the embedded store."""

    @classmethod
    def problem(cls, redis_url: str | None) -> str | None:
        """The store at `--redis-url` is somebody's."""
        if redis_url is not None:
            return f"--fault {cls.name}: the store at --redis-url is not ours; leave it away, and there is one that is"
        return None


class KillStore(StoreFault):
    """What is lost when the store dies (`kill -9`)? Nothing that was acknowledged; it is started again by itself."""

    name = "kill-store"

    def inject(self, server: FaultTarget) -> str:
        """Kill the embedded store."""
        pid = first_of(server.stores(), "store")
        os.kill(pid, signal.SIGKILL)
        return f"killed the store, process {pid}"


class StopStore(StoreFault):
    """What if the store hangs for five seconds (a paused machine, a snapshot of the disk)? SIGSTOP, then SIGCONT.

    Connections stay, nothing answers: who waits longest is told to come again, and nothing is done twice.
    """

    name = "stop-store"
    lasts_seconds = 5.0

    def __init__(self) -> None:
        self._stopped: int | None = None

    def inject(self, server: FaultTarget) -> str:
        """Stop the embedded store."""
        pid = first_of(server.stores(), "store")
        os.kill(pid, signal.SIGSTOP)
        self._stopped = pid
        return f"stopped the store, process {pid}, for {self.lasts_seconds:g} s"

    def heal(self, server: FaultTarget) -> str:
        """Let it go on."""
        pid, self._stopped = self._stopped, None
        return "the store goes on" if pid is not None and send_signal(pid, signal.SIGCONT) else ""


class SlowDisk(StoreFault):
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

    def inject(self, server: FaultTarget) -> str:
        """Begin to stop the store again and again."""
        pid = first_of(server.stores(), "store")
        self._thread = threading.Thread(target=self._pulse, args=(pid,), name="slow disk", daemon=True)
        self._thread.start()
        return f"each fsync of the store, process {pid}, takes {self._SYNC_SECONDS * 1000:g} ms"

    def heal(self, server: FaultTarget) -> str:
        """Let the store go on."""
        if self._thread is None:
            return ""
        self._end.set()
        self._thread.join()
        self._thread = None
        return "the disk is fast again"

    def _pulse(self, pid: int) -> None:
        try:
            while not self._end.is_set() and send_signal(pid, signal.SIGSTOP):
                self._end.wait(self._SYNC_SECONDS)
                send_signal(pid, signal.SIGCONT)
                self._end.wait(self._BETWEEN_SECONDS)
        finally:
            send_signal(pid, signal.SIGCONT)


class FullDisk(StoreFault):
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
    def problem(cls, redis_url: str | None) -> str | None:
        """Only root on Linux may mount."""
        if sys.platform != "linux" or os.geteuid() != 0:
            return f"--fault {cls.name}: cannot be done here: it mounts a small disk, which takes root on Linux"
        return super().problem(redis_url)

    def prepare(self, server: FaultTarget) -> None:
        """Mount the disk."""
        server.data_dir.mkdir(mode=0o700)
        self._mount(server, f"size={self._SIZE},mode=700")

    def inject(self, server: FaultTarget) -> str:
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

    def heal(self, server: FaultTarget) -> str:
        """Make room."""
        if not self._full:
            return ""
        self._full = False
        self._mount(server, f"remount,size={self._SIZE}")
        return "the disk has room again"

    def clean_up(self, server: FaultTarget) -> None:
        """Unmount the disk."""
        # lazily: whoever still ends on it must not keep it
        subprocess.run(["umount", "--lazy", str(server.data_dir)], check=False, capture_output=True)  # noqa: S607

    def _mount(self, server: FaultTarget, how: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(server.data_dir)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise FaultError(f"cannot mount a disk: {' '.join(done.stderr.split())}")
