"""A server of our own for a rehearsal: its store, files, imports, `jiaohao up`, and the end of all of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex

import psutil
from redis.exceptions import RedisError

from loadtests.audit.truth import connect, keys_in, opening_key
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.files import write_files
from loadtests.faults.catalogue import FAULTS
from loadtests.faults.fault import Fault, FaultError
from loadtests.faults.network import Network, own_addresses
from loadtests.run.city_file import HOME
from loadtests.run.front import Front
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.own_beacon import OwnBeacon
from loadtests.run.own_cluster import OwnCluster
from loadtests.run.watch import pids_in

_READY_SECONDS = 60
_READY = re.compile(r"ready: (http://\S+)")
_JIAOHAO = (sys.executable, "-m", "server.cli")


def check_store(options: Options) -> None:
    """Refuse a store that is in use: a rehearsal writes made-up residents and their registrations into it.

    Raises:
        CannotRehearse: `--redis-url` names one, and nobody has said that it is meant (`--used-store`); or none answers.
    """
    if options.redis_url is None or options.used_store:
        return
    where = options.redis_url.rpartition("@")[2]
    try:
        client = connect(options.redis_url)
        keys = keys_in(client)
        client.close()
    except (RedisError, OSError, ValueError) as error:
        raise CannotRehearse(f"--redis-url: no store answers at {where}: {error}") from None
    if keys:
        raise CannotRehearse(
            f"--redis-url: the store at {where} is in use ({keys:,} keys), and a rehearsal writes made-up residents "
            "into it; give an empty one, or --used-store where that is meant"
        )


class OwnServer:
    """`jiaohao up` in a temporary folder, with the crowd's registry and sites.

    Args:
        say: told what is being done, for a progress line.

    Attributes:
        home: the folder that the server's code is in.
        environment: of its commands.
        fault: the one that was asked for.
        url: of the workers; "" before they serve.
        city: its city file; None is the shipped one.
        cluster: its store, where the fault needs one; else the store is the embedded one, or that of `--redis-url`.
    """

    home = str(HOME)

    def __init__(self, options: Options, crowd: Crowd, say: Callable[[str], None]) -> None:
        self._options, self._crowd, self._say = options, crowd, say
        self.folder = Path(tempfile.mkdtemp(prefix="jiaohao-rehearsal-"))
        self.data_dir = self.folder / "data"
        self.environment = self._clean_environment()
        self.fault: Fault | None = FAULTS[options.fault]() if options.fault is not None else None
        self.cluster: OwnCluster | None = None
        self.city = Path(options.city) if options.city is not None else None
        self._beacon: OwnBeacon | None = None
        self._front = Front(options.front, self.environment) if options.front is not None else None
        self._up: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._log = self.folder / "up.log"
        self.url = ""

    @property
    def pid(self) -> int | None:
        """Return the process of `jiaohao up`."""
        return self._up.pid if self._up else None

    @property
    def redis_url(self) -> str:
        """Say where the audit finds the store."""
        if self.cluster is not None:
            return self.cluster.url
        return self._options.redis_url or (self.data_dir / "store.url").read_text().strip()

    @property
    def opening_key(self) -> str:
        """Key of the first district's opening in the store."""
        return opening_key(self._crowd.districts[0], self._options.opening[:10])

    def pids(self) -> dict[str, list[int]]:
        """Say who is who: `{"store": [pid, ...], "workers": [pid, ...]}`."""
        who = pids_in(self.data_dir, self.pid)()
        if self._front is not None:
            who["front"] = self._front.pids()
        return who if self.cluster is None else who | {"store": self.cluster.pids()}

    def workers(self) -> list[int]:
        """Return the processes of the workers, the first one first."""
        return self.pids()["workers"]

    def stores(self) -> list[int]:
        """Return the processes of the store that are ours."""
        if self.cluster is not None:
            return self.cluster.pids()
        family = {child.pid for child in psutil.Process(self.pid).children(recursive=True)} if self.pid else set()
        return [pid for pid in self.pids()["store"] if pid in family]

    def start(self) -> str:
        """Write the files, import them, serve. Returns the server's address, or that of what is in front of it.

        Raises:
            CannotRehearse: an import or the server failed; its own last words are in the message.
        """
        if self._options.beacon is not None:
            opens_at = datetime.fromisoformat(self._options.opening)
            self._beacon = OwnBeacon(opens_at, silent=self._options.beacon == "silent")
            self.city = self._beacon.city_file(self.city, self.folder / "city.toml")
        self._make_store()
        self._say(f"writing the papers of {self._crowd.residents:,} residents")
        registry, sites = write_files(self._crowd, self.folder)
        self._say("importing the registry")
        # A made-up crowd is no city: all in one district, say.
        self._run("import", "registry", str(registry), "--yes", *self._common())
        self._run("import", "sites", str(sites), "--yes", *self._common())
        registry.unlink()
        self._say("starting the server")
        clock = datetime.fromisoformat(self._options.opening) - timedelta(seconds=self._options.lead)
        command = ["up", "--no-demo", "--port", "0", "--reset-clock", "--clock", clock.isoformat(), *self._common()]
        if self._options.workers is not None:
            command += ["--workers", str(self._options.workers)]
        # its own session: a Ctrl-C at the terminal is for us, and we end it in order
        with self._log.open("w") as log:
            self._up = subprocess.Popen(
                [*_JIAOHAO, *command], cwd=HOME, env=self.environment, stdout=subprocess.PIPE, stderr=log,
                text=True, start_new_session=True,
            )  # fmt: skip
        found: list[str] = []
        self._reader = threading.Thread(target=self._read_output, args=(self._up, found), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if found:
                self.url = found[0]
                return self._front.start(found[0]) if self._front is not None else found[0]
            if self._up.poll() is not None:
                raise CannotRehearse(f"jiaohao up ended with {self._up.returncode}: {self.last_words()}")
            time.sleep(0.05)
        raise CannotRehearse(f"jiaohao up was not ready in {_READY_SECONDS} s: {self.last_words()}")

    def running(self) -> bool:
        """Return whether `jiaohao up` still runs."""
        return self._up is not None and self._up.poll() is None

    def last_words(self) -> str:
        """Return the end of the server's log, in one line."""
        try:
            lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            lines = []
        return " | ".join(lines[-3:]) or "it said nothing"

    def stop(self) -> None:
        """End the fault, what is in front, the server and its store, and remove the folder."""
        if self.fault is not None:
            self.fault.heal(self)
        if self._front is not None:
            self._front.stop()
        if self._up is not None and self._up.poll() is None:
            family = psutil.Process(self._up.pid).children(recursive=True)
            self._up.terminate()
            try:
                self._up.wait(20)
            except subprocess.TimeoutExpired:
                self._up.kill()
            for process in psutil.wait_procs(family, timeout=3)[1]:  # none is left unless it hung
                process.kill()
        if self._reader is not None:
            self._reader.join(5)
        self._end_orphaned_store()
        if self._beacon is not None:
            self._beacon.stop()
        if self.cluster is not None:
            self.cluster.stop()
            if self.cluster.network is not None:
                self.cluster.network.stop()
        if self.fault is not None:
            self.fault.clean_up(self)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_store(self) -> None:
        """What the fault needs; without one nothing, for `jiaohao up` brings its own."""
        if self.fault is None:
            return
        try:
            if self.fault.needs_cluster:
                self._say("starting a cluster of three primaries and their replicas")
                self.cluster = self._own_cluster()
                self.cluster.start()
                # outside `up` with its own store there is no default for secrets
                self.environment |= {"JIAOHAO_SECRET": token_hex(32), "JIAOHAO_OPERATOR_TOKEN": token_hex(16)}
            self.fault.prepare(self)
        except (FaultError, TimeoutError) as error:
            raise CannotRehearse(f"--fault {self.fault.name}: {error}") from None

    def _own_cluster(self) -> OwnCluster:
        """Two replicas each, and where the fault needs it a network in which each of our processes has its address."""
        network = None
        if self.fault is not None and self.fault.needs_network:
            network = Network()
            network.start()
            self.environment |= own_addresses(network, self.folder)
        return OwnCluster(self.folder / "cluster", replicas=2, network=network)

    def worker_addresses(self) -> list[str]:
        """Return where the workers' calls come from in the cluster's network, the first one first."""
        workers = {str(pid) for pid in self.workers()}
        files = sorted(self.folder.joinpath("addresses").glob("*.*.*.*"), key=lambda file: int(file.suffix[1:]))
        return [file.name for file in files if file.read_text() in workers]

    def _end_orphaned_store(self) -> None:
        """A store whose starter was killed runs on; in our folder it is ours."""
        for pid in pids_in(self.data_dir, None)()["store"]:
            try:
                store = psutil.Process(pid)
                if store.cwd() == str(self.data_dir.resolve()):
                    store.kill()
            except psutil.Error:
                pass

    def _common(self) -> list[str]:
        flags = ["--data-dir", str(self.data_dir)]
        if self.city is not None:
            flags += ["--city", str(self.city.resolve())]
        url = self.cluster.urls if self.cluster is not None else self._options.redis_url
        if url is not None:
            flags += ["--redis-url", url]
        return flags

    def _clean_environment(self) -> dict[str, str]:
        """Of its commands: a production store that happens to be set in this shell is none of ours."""
        if self._options.redis_url is not None:
            return dict(os.environ)
        return {name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")}

    def _run(self, *command: str) -> None:
        process = subprocess.Popen(
            [*_JIAOHAO, *command], cwd=HOME, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            said, complained = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGINT)  # it has a store of its own to end first
            process.wait(20)
            raise
        if process.returncode:
            words = " | ".join((complained.strip() or said.strip()).splitlines()[-3:])
            raise CannotRehearse(f"jiaohao {' '.join(command[:2])} failed: {words}")

    def _read_output(self, process: subprocess.Popen[str], found: list[str]) -> None:
        assert process.stdout is not None  # noqa: S101
        with process.stdout:
            for line in process.stdout:
                match = _READY.search(line)
                if match:
                    found.append(match[1])
