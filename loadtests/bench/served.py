"""A real `jiaohao serve` with one worker for the benches that look at its connections."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import psutil

from loadtests.run.ports import free_ports

_READY_SECONDS = 60
_PLAIN = {"JIAOHAO_REPLICAS": "0"}  # one store, and earlier checkouts know no other word for it
_AFTER_THE_DRAW = "2021-06-19T08:02:10+08:00"


class Served(NamedTuple):
    """A server: its port, the process of its worker, and that of its store."""

    port: int
    worker: psutil.Process
    store: psutil.Process


@contextlib.contextmanager
def served(
    env: dict[str, str], store: psutil.Process, code: Path | None, core: int | None, clock: str = _AFTER_THE_DRAW
) -> Iterator[Served]:
    """Serve with one worker.

    Args:
        env: of the server, from `stage`.
        store: its store.
        code: the folder of another checkout, to compare with; None is this one.
        core: the one that the server is kept on.
        clock: the city's time at the start.
    """
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "server.cli", "serve", "--port", str(port), "--workers", "1"]
    command += ["--redis-url", env["JIAOHAO_REDIS_URL"], "--reset-clock", "--clock", clock]
    here = Path(__file__).parents[2]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=code or here, env=os.environ | env | _PLAIN, stdout=said, stderr=said)
        try:
            if core is not None:
                psutil.Process(process.pid).cpu_affinity([core])
            _await_ready(process, said)
            yield Served(port, _worker_of(process.pid), store)
        finally:
            process.terminate()
            process.wait(20)


def _await_ready(process: subprocess.Popen[bytes], said: IO[str]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        said.seek(0)
        if "ready: " in said.read():
            return
        time.sleep(0.05)
    said.seek(0)
    raise RuntimeError(f"the server is not ready: {said.read()[-500:]}")


def _worker_of(pid: int) -> psutil.Process:
    """Return the worker on the public listener: the first that was started."""
    found = [each for each in psutil.Process(pid).children() if any("spawn_main" in word for word in each.cmdline())]
    return min(found, key=lambda each: each.create_time())
