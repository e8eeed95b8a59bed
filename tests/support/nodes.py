"""What is done to the nodes of a cluster of our own."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from redis import Redis

from loadtests.run.own_cluster import OwnCluster
from tests.support.serving import until


@contextmanager
def standing_still(*pids: int) -> Iterator[None]:
    """These nodes neither hear nor say anything, as if they were cut off."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in pids:
            until(lambda it=pid: psutil.Process(it).status() == psutil.STATUS_STOPPED, "it stands still")  # type: ignore[misc]
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def move_slot(cluster: OwnCluster, name: str, source: int, target: int) -> None:
    """Give the slot of this key to another node, as operators do."""
    with Redis(port=cluster.port_of(source)) as old, Redis(port=cluster.port_of(target)) as new:
        clients: tuple[Any, Any] = (old, new)
        slot = clients[0].execute_command("CLUSTER", "KEYSLOT", name)
        ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
        clients[1].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        clients[0].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        keys = clients[0].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        clients[0].execute_command("MIGRATE", "127.0.0.1", cluster.port_of(target), "", 0, 5000, "KEYS", *keys)
        for client in reversed(clients):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
