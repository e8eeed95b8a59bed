"""Faults of the machine: each does what it says to a real server, ends, and leaves nothing behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError

from loadtests.audit.evidence import RECOVERY_SECONDS
from loadtests.audit.promises import audit
from loadtests.cli.rehearsal import run
from loadtests.client.answers import Call
from loadtests.faults.catalogue import FAULTS
from loadtests.faults.fault import Fault, FaultError
from loadtests.faults.of_the_store import FullDisk, KillStore, SlowDisk, StopStore
from loadtests.faults.of_the_workers import KillWorker, RollingRestart
from loadtests.faults.schedule import FaultRun
from loadtests.run.options import CannotRehearse, Options, crowd_of
from loadtests.run.own_server import OwnServer
from tests.support.honest_opening import World
from tests.support.judged_opening import lines, slow, world_with_slo
from tests.support.serving import REPO, until

pytestmark = pytest.mark.long

SHORT = str(REPO / "loadtests" / "cities" / "short.toml")
ROOT_ON_LINUX = sys.platform == "linux" and os.geteuid() == 0


@contextmanager
def own_server(fault: str, workers: int = 1) -> Iterator[tuple[OwnServer, str]]:
    """A rehearsal's server for a few residents, made ready for a fault; with its address."""
    options = Options(residents=5, city=SHORT, workers=workers, fault=fault, report=None)
    server = OwnServer(options, crowd_of(options), lambda text: None)
    try:
        yield server, server.start()
    finally:
        server.stop()
    assert not server.folder.exists()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[OwnServer, str]]:
    """A server that each test leaves as it found it: serving."""
    with own_server("stop-store") as found:
        yield found


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def stopped(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_killed_worker_is_replaced(served: tuple[OwnServer, str]) -> None:
    server, url = served
    (worker,) = server.workers()
    assert str(worker) in KillWorker().inject(server)
    until(lambda: gone(worker), "the worker is gone")
    until(lambda: len(server.workers()) == 1 and ready(url), "another one serves")
    assert server.workers() != [worker]


def test_a_killed_store_is_started_again(served: tuple[OwnServer, str]) -> None:
    server, url = served
    (store,) = server.stores()
    assert str(store) in KillStore().inject(server)
    until(lambda: server.stores() not in ([], [store]) and ready(url), "another one serves")


def test_a_stopped_store_goes_on_when_it_is_healed(served: tuple[OwnServer, str]) -> None:
    server, url = served
    (store,) = server.stores()
    fault = StopStore()
    assert fault.heal(server) == ""
    fault.inject(server)
    try:
        until(lambda: stopped(store), "the store stands still")
        assert not fault.over(server, 4.9)
        assert fault.over(server, 5.0)
    finally:
        assert fault.heal(server)
    until(lambda: not stopped(store) and ready(url), "it goes on")
    assert server.stores() == [store]
    assert fault.heal(server) == ""


def test_a_slow_disk_holds_the_store_up_again_and_again(served: tuple[OwnServer, str]) -> None:
    server, url = served
    (store,) = server.stores()
    fault = SlowDisk()
    fault.inject(server)
    try:
        for _ in range(3):
            until(lambda: stopped(store), "the store syncs")
            until(lambda: not stopped(store), "the store serves")
        assert ready(url)  # slow, but there
    finally:
        assert fault.heal(server)
    assert not stopped(store)
    assert fault.heal(server) == ""


def test_a_deploy_replaces_every_worker_and_loses_no_request(served: tuple[OwnServer, str]) -> None:
    server, url = served
    (before,) = server.workers()
    fault = RollingRestart()
    fault.inject(server)
    assert not fault.over(server, 0)

    def asked() -> bool:
        assert httpx.get(f"{url}/api/v1/city", timeout=10, trust_env=False).status_code == 200
        return fault.over(server, 0)

    until(asked, "the worker is another")
    assert fault.heal(server)
    assert gone(before)
    assert len(server.workers()) == 1


def test_a_killed_primary_is_succeeded_by_its_replica() -> None:
    with own_server("kill-primary") as (server, url):
        cluster = server.cluster
        assert cluster is not None
        nodes, primary = cluster.pids(), cluster.primary_of(server.opening_key)
        assert len(nodes) == 9
        fault = FAULTS["kill-primary"]()
        assert str(primary) in fault.inject(server)
        until(lambda: cluster.pids() == [pid for pid in nodes if pid != primary], "the primary is gone")
        until(lambda: cluster.primary_of(server.opening_key) != primary, "its replica decides")
        assert cluster.primary_of(server.opening_key) in nodes
        until(lambda: ready(url), "the workers have found it")
        assert fault.heal(server)
        assert fault.heal(server) == ""
        nodes += cluster.pids()
        assert len(cluster.pids()) == 9
        successor = cluster.primary_of(server.opening_key)
        until(lambda: cluster.replicas_of(successor) == 2, "the old one follows the new one")
    assert all(gone(pid) for pid in nodes)


def test_each_worker_has_an_address_of_its_own_where_the_fault_is_of_the_network() -> None:
    """The one that is cut off says quickly that it is not ready; the others serve."""
    with own_server("partition-worker", workers=2) as (server, url):
        until(lambda: len(server.worker_addresses()) == 2, "both have asked the store")
        cluster = server.cluster
        assert cluster is not None and cluster.network is not None
        fault = FAULTS["partition-worker"]()
        assert server.worker_addresses()[0] in fault.inject(server)
        until(lambda: not ready(url), "one of them answers that it is not")
        until(lambda: ready(url), "the other that it is")
        assert fault.heal(server)
        until(lambda: all(ready(url) for _ in range(20)), "both are again")


def test_one_workers_clock_is_wrong_and_the_citys_is_right() -> None:
    with own_server("skew-clock") as (server, url):

        def seconds_off() -> float:
            """City time as this worker tells it, from that of the store."""
            told = datetime.fromisoformat(httpx.get(f"{url}/api/v1/city", trust_env=False).json()["now"]).timestamp()
            with Redis.from_url(server.redis_url) as client:
                seconds, _ = client.time()
                return told - float(seconds) - int(client.get("clock:{clock}") or 0) / 1000

        (worker,) = server.workers()
        assert int((server.folder / "skewed-pid").read_text()) == worker
        assert abs(seconds_off()) < 60
        assert "180 s behind" in FAULTS["skew-clock"]().inject(server)
        assert (server.folder / "skew-seconds").read_text() == "-180"
        assert abs(seconds_off()) < 60


def test_the_clock_of_the_first_worker_is_off_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "skew-seconds").write_text("180")
    script = tmp_path / "script.py"
    script.write_text(
        "import loadtests.faults.skewed_clock, multiprocessing, time\n"
        "def off(_=None): return round(time.time() - time.clock_gettime(time.CLOCK_REALTIME))\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Pool(1) as first, multiprocessing.Pool(1) as second:\n"
        "        print(off(), first.apply(off), second.apply(off), first.apply(off))\n"
    )
    env = os.environ | {"JIAOHAO_REHEARSAL_SKEW": str(tmp_path), "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "180", "0", "180"]


def test_a_full_disk_loses_nothing_and_takes_nothing_until_there_is_room() -> None:
    if not ROOT_ON_LINUX:
        assert "cannot be done here" in str(FullDisk.problem(None))
        return
    with own_server("full-disk") as (server, url):
        fault = FAULTS["full-disk"]()
        file = server.data_dir / "file"

        def grows() -> bool:
            try:
                file.write_bytes(b"x" * 100_000)
            except OSError:
                return False
            return True

        assert grows()
        file.unlink()
        kept: list[str] = []

        def refused() -> bool:
            try:
                with Redis.from_url(server.redis_url) as client:
                    client.set(f"test:{len(kept)}", "x" * 100)
            except (RedisError, OSError):
                return True
            kept.append(f"test:{len(kept)}")
            return False

        fault.inject(server)
        assert not grows()
        file.unlink(missing_ok=True)
        until(refused, "the store takes no write")
        assert fault.heal(server)
        assert grows()
        until(lambda: ready(url) and not refused(), "it serves again")
        with Redis.from_url(server.redis_url) as client:
            assert client.exists(*kept) == len(kept) > 0
    assert str(server.data_dir) not in Path("/proc/mounts").read_text()


def test_a_server_ends_cleanly_in_the_middle_of_a_fault() -> None:
    with own_server("stop-store") as (server, _):
        assert server.fault is not None
        (store,) = server.stores()
        server.fault.inject(server)
    assert gone(store)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_refused_combination_is_one_clear_line(name: str) -> None:
    refused = [Options(fault=name, host="http://127.0.0.1:1")]
    if name not in ("kill-worker", "skew-clock", "rolling-restart", "rate-step"):
        refused.append(Options(fault=name, redis_url="redis://127.0.0.1:1"))
    for options in refused:
        with pytest.raises(CannotRehearse, match="--fault") as caught:
            run(options)
        assert "\n" not in str(caught.value)


def test_an_unknown_fault_is_told_which_there_are() -> None:
    with pytest.raises(CannotRehearse) as caught:
        run(Options(fault="kill-everything"))
    assert all(name in str(caught.value) for name in FAULTS)


def test_every_fault_says_the_question_it_answers() -> None:
    for fault in FAULTS.values():
        assert fault.__doc__ is not None and "?" in fault.__doc__.splitlines()[0]


class _Stub(Fault):
    """A fault that lasts three seconds and does nothing."""

    name = "stub"
    lasts_seconds = 3.0

    def inject(self, server: Any) -> str:
        return "begun"

    def heal(self, server: Any) -> str:
        return "ended"


def test_a_fault_is_injected_and_healed_in_its_time() -> None:
    class _Server:
        pass

    fault = FaultRun(_Server(), _Stub(), 10)  # type: ignore[arg-type]
    assert fault.step(9.9) == ""
    assert fault.nap_seconds(9.9) == pytest.approx(0.1)
    assert fault.step(10.2) == "stub: begun"
    assert fault.step(13.0) == ""
    assert fault.nap_seconds(13.0) == pytest.approx(0.2)
    assert (fault.second, fault.end_second) == (10, None)
    assert fault.step(13.3) == "stub: ended"
    assert (fault.second, fault.end_second) == (10, 13)
    assert fault.step(14.0) == ""


def test_a_process_that_is_not_there_is_one_line() -> None:
    class _Nobody:
        def workers(self) -> list[int]:
            return []

    with pytest.raises(FaultError, match="found no worker"):
        KillWorker().inject(_Nobody())  # type: ignore[arg-type]


def test_recovery_counts_from_the_end_of_what_lasts() -> None:
    world = world_with_slo()
    world.evidence.fault, world.evidence.fault_second, world.evidence.fault_end_second = "full-disk", 10, 18
    for second in range(10, 23):
        world.evidence.meters.error("JOIN: 503 store-unavailable", second * 1_000_000)
    line = lines(world)["recovery after a fault"]
    assert (line.figure, line.state, line.seconds[0], line.seconds[-1]) == (5, "held", 10, 22)
    assert world.evidence.forgiven == range(9, 18 + RECOVERY_SECONDS + 1)
    assert {check.name: check.ok for check in audit(world.evidence)}["recovered"]


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.forgiven])
def test_what_may_cost_nothing_is_forgiven_nothing(name: str) -> None:
    world = World()
    world.evidence.fault, world.evidence.fault_second, world.evidence.fault_end_second = name, 20, 22
    world.evidence.meters.answered(Call.POLL, 27_000_000, 27_000_000, 27_001_000)
    assert world.red() == set()
    world.evidence.meters.counts["reconnects"][25] = 50  # a connection that lay idle was closed
    assert world.red() == set()
    world.evidence.meters.error("POLL: ConnectionResetError", 25_000_000)
    assert world.red() == {"no errors"}


def test_slowness_breaks_its_line_where_nothing_is_forgiven() -> None:
    world = world_with_slo()
    slow(world, Call.JOIN, 25)
    assert lines(world)["p99 join"].state == "held"  # a killed store's
    world.evidence.fault, world.evidence.fault_end_second = "rolling-restart", 30
    assert lines(world)["p99 join"].state == "broken"
