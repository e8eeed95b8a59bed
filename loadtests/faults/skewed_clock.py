"""One worker with a wrong wall clock: imported at the start of the interpreter, in a rehearsal with `skew-clock` only.

The first worker to ask for the time is the one; how far it is off stands in a file that the rehearsal rewrites.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

_folder = Path(os.environ["JIAOHAO_REHEARSAL_SKEW"])
_true_time = time.time
_chosen: dict[int, bool] = {}  # by process: a worker may be forked from one that has answered already


def _skewed_time() -> float:
    if not _is_the_one():
        return _true_time()
    return _true_time() + int((_folder / "skew-seconds").read_text())


def _is_the_one() -> bool:
    if multiprocessing.parent_process() is None:  # the command itself, not a worker of it
        return False
    pid = os.getpid()
    if pid not in _chosen:
        try:
            with (_folder / "skewed-pid").open("x") as file:
                file.write(str(pid))
            _chosen[pid] = True
        except FileExistsError:
            _chosen[pid] = False
    return _chosen[pid]


time.time = _skewed_time
