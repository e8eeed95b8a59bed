"""What the storms are let loose on: a cluster in a network of its own, and two serving hosts on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from loadtests.audit.truth import opening_key
from loadtests.faults.network import Network, own_addresses
from loadtests.nemesis.papers import DAY, code, opens_at, write_city
from loadtests.run.city_file import HOME
from loadtests.run.own_cluster import OwnCluster

HOSTS = 2
_READY = re.compile(r"ready: http://(\S+):(\d+)")
_READY_SECONDS = 60
_LEAD_SECONDS = 6


class WorldError(Exception):
    """A command or a server failed; its own last words are in the message."""


class World:
    """A cluster of three primaries with two replicas each, and two hosts that serve, for so many districts.

    Args:
        rule: `JIAOHAO_REPLICAS` of both hosts.
        network: of namespaces, say; by default of loopback addresses behind a relay.
        cadence_seconds: from one district's opening to the next one's.
        server: the module that is run as `jiaohao`.

    Attributes:
        folder: of all its files.
        opening_key: of the district that is harmed.
        hosts: where both listen.
    """

    def __init__(
        self,
        districts: int,
        residents: int,
        cadence_seconds: float,
        rule: str = "all",
        node_timeout_ms: int = 1000,
        network: Network | None = None,
        server: str = "server.cli",
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="jiaohao-nemesis-"))
        self.network = network or Network()
        self.cluster = OwnCluster(self.folder / "cluster", 2, self.network, node_timeout_ms)
        self.cadence_seconds = cadence_seconds
        self.hosts: list[tuple[str, int]] = []
        self.opening_key = ""
        self._districts, self._residents = districts, residents
        self._module = server
        self._servers: list[subprocess.Popen[str]] = []
        self._opens_at = 0.0
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")}
        secrets = {"JIAOHAO_SECRET": token_hex(32), "JIAOHAO_OPERATOR_TOKEN": token_hex(16)}
        self._environment = clean | secrets | {"JIAOHAO_REPLICAS": rule, "JIAOHAO_OPERATIONS": "off"}

    def start(self) -> None:
        """Start the cluster, import the papers, start both hosts.

        Raises:
            WorldError: one of them failed.
        """
        self.network.start()
        self.cluster.start()
        write_city(self.folder, self._districts, self.cadence_seconds, self._residents)
        for what in ("registry", "sites", "capacity"):
            self.run("import", what, str(self.folder / f"{what}.csv"), "--yes")
        first = opens_at(0, self.cadence_seconds).timestamp()
        clock = first - _LEAD_SECONDS
        told = time.strftime("%Y-%m-%dT%H:%M:%S+08:00", time.gmtime(clock + 8 * 3600))
        for i in range(HOSTS):
            self._serve(i, ("--clock", told, "--reset-clock") if not i else ())
        with self.cluster.asking(self.cluster.primary_of("clock:{clock}")) as client:
            ahead_seconds = int(client.get("clock:{clock}") or 0) / 1000
        self._opens_at = time.monotonic() + first - (time.time() + ahead_seconds)

    def stop(self) -> None:
        """End all of it, and remove the folder."""
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        self.cluster.stop()
        self.network.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def worker_addresses(self) -> list[str]:
        """Return where the hosts' calls come from."""
        return [self.network.host(i) for i in range(HOSTS)]

    def harm(self, district: int) -> None:
        """From now on faults are for this district's opening."""
        self.opening_key = opening_key(code(district), DAY)

    def seconds_until(self, district: int) -> float:
        """Say in how many seconds a district opens."""
        return self._opens_at + round(district * self.cadence_seconds) - time.monotonic()

    def monotonic_at(self, city_time: datetime) -> float:
        """Return the machine's monotonic clock at a time of the city."""
        return self._opens_at + city_time.timestamp() - opens_at(0, 0).timestamp()

    def run(self, *command: str) -> str:
        """Run a command of `jiaohao` on this store, as whom nothing is cut off; what it said.

        Raises:
            WorldError: it failed.
        """
        arguments = [*command, "--city", str(self.folder / "city.toml"), "--redis-url", self.cluster.urls]
        done = subprocess.run(
            [sys.executable, "-m", self._module, *arguments], cwd=HOME, env=self._environment, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            words = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
            raise WorldError(f"jiaohao {' '.join(command[:2])} failed: {words}")
        return done.stdout

    def log(self, host: int) -> str:
        """Return what a host has said."""
        return (self.folder / f"host-{host}.log").read_text(errors="replace")

    def _serve(self, host: int, flags: tuple[str, ...]) -> None:
        place = self.folder / f"host-{host}"
        place.mkdir()
        environment = self._environment | own_addresses(self.network, place, host)
        prefix = self.network.prefix(self.network.host(host))
        where = ["--host", self.network.host(host)] if prefix else []
        command = ["serve", *where, "--port", "0", "--workers", "1", "--city", str(self.folder / "city.toml"), *flags]
        with (self.folder / f"host-{host}.log").open("w") as log:
            server = subprocess.Popen(
                [*prefix, sys.executable, "-m", self._module, *command, "--redis-url", self.cluster.urls], cwd=HOME,
                env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        self._servers.append(server)
        found: list[tuple[str, int]] = []
        threading.Thread(target=_read, args=(server, found), daemon=True).start()
        deadline = time.monotonic() + _READY_SECONDS
        while not found:
            if server.poll() is not None or time.monotonic() > deadline:
                raise WorldError(f"jiaohao serve did not start: {self.log(host)[-500:]}")
            time.sleep(0.05)
        self.hosts.append(found[0])


def _read(server: subprocess.Popen[str], found: list[tuple[str, int]]) -> None:
    assert server.stdout is not None  # noqa: S101
    with server.stdout:
        for line in server.stdout:
            if match := _READY.search(line):
                found.append((match[1], int(match[2])))
