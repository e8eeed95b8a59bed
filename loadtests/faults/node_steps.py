"""What is asked of a cluster's nodes one by one: who follows whom, and to take over."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from loadtests.faults.fault import Cluster, FaultError

_PATIENCE_SECONDS = 30


def replicas_of(cluster: Cluster, pid: int) -> list[int]:
    """Return the processes that follow this node."""
    with cluster.asking(pid) as client:
        own = client.execute_command("CLUSTER", "MYID").decode()
    found = []
    for other in cluster.pids():
        with cluster.asking(other) as client:
            view = client.execute_command("CLUSTER NODES")
        if any("myself" in it["flags"] and it["master_id"] == own for it in view.values()):
            found.append(other)
    return found


def replica_of(cluster: Cluster, pid: int) -> int:
    """Return a process that follows this node.

    Raises:
        LookupError: none does.
    """
    for found in replicas_of(cluster, pid):
        return found
    raise LookupError("nobody follows it")


def hand_over(cluster: Cluster, successor: int) -> None:
    """Have this replica take over in order, and wait until it has.

    Raises:
        FaultError: it has not.
    """
    with cluster.asking(successor) as client:
        client.execute_command("CLUSTER", "FAILOVER")
        await_that(lambda: client.info("replication")["role"] == "master", "the replica has taken over")
    await_that(lambda: successor in cluster.primaries(), "the others know that it has")


def serves(client: Any, slot: int) -> bool:
    """Return whether this node says that the slot is its own."""
    view = client.execute_command("CLUSTER NODES")
    mine = next(it["slots"] for it in view.values() if "myself" in it["flags"])
    return any(int(part[0]) <= slot <= int(part[-1]) for part in mine)


def await_that(done: Callable[[], bool], what: str) -> None:
    """Wait until this is so.

    Raises:
        FaultError: it is not.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(RedisError, OSError):
            if done():
                return
        time.sleep(0.02)
    raise FaultError(f"not in {_PATIENCE_SECONDS} s: {what}")
