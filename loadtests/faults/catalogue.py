"""All faults, by the name that `--fault` gives them."""

from __future__ import annotations

from loadtests.faults.fault import Fault
from loadtests.faults.of_the_store import FullDisk, KillPrimary, KillStore, SlowDisk, StopStore
from loadtests.faults.of_the_workers import KillWorker, RollingRestart, SkewClock

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (KillWorker, KillStore, StopStore, KillPrimary, FullDisk, SlowDisk, SkewClock, RollingRestart)
}
