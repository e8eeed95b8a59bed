"""All faults, by the name that `--fault` gives them."""

from __future__ import annotations

from loadtests.faults.fault import Fault
from loadtests.faults.of_the_cluster import ClusterFault, Failover, KillPrimary, Reshard, ReshardClassic, Upgrade
from loadtests.faults.of_the_network import (
    DarkHost,
    LaggingReplica,
    Lossy,
    OneWay,
    OneWayIn,
    Partition,
    PartitionReplica,
    PartitionWorker,
)
from loadtests.faults.of_the_operator import RateStep
from loadtests.faults.of_the_store import FullDisk, KillStore, SlowDisk, StopStore
from loadtests.faults.of_the_workers import KillWorker, RollingRestart, SkewClock
from loadtests.faults.skewed_store import SkewStores

CLUSTER_FAULTS: dict[str, type[ClusterFault]] = {
    fault.name: fault
    for fault in (
        KillPrimary,
        Failover,
        Upgrade,
        Reshard,
        ReshardClassic,
        SkewStores,
        Partition,
        PartitionReplica,
        PartitionWorker,
        DarkHost,
        OneWay,
        OneWayIn,
        LaggingReplica,
        Lossy,
    )
}
"""Those that harm a cluster alone, whoever is served by it."""
_OF_THE_MACHINE: tuple[type[Fault], ...] = (
    KillWorker,
    KillStore,
    StopStore,
    FullDisk,
    SlowDisk,
    SkewClock,
    RollingRestart,
    RateStep,
)
FAULTS: dict[str, type[Fault]] = {fault.name: fault for fault in _OF_THE_MACHINE} | {**CLUSTER_FAULTS}
