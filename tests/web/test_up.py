"""A real `jiaohao up`: ready soon, ended cleanly, and no kill -9 costs anybody more than a retry."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from loadtests.run.own_cluster import OwnCluster
from tests.support import SUPPORT
from tests.support.serving import (
    API,
    HUANGPU,
    TIANHE,
    Up,
    operator_token,
    person,
    quick_city,
    refused,
    registry_csv,
    run_cli,
    until,
    up,
)

AT_EIGHT = ("--clock", "2021-06-19T08:00:00+08:00")


@pytest.fixture
def city(tmp_path: Path) -> Path:
    return quick_city(tmp_path)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return registry_csv(tmp_path / "registry.csv", (person(i) for i in range(40)))


@pytest.fixture
def server(tmp_path: Path, city: Path, registry: Path) -> Iterator[Up]:
    """Two workers at 08:00:00, with 40 residents of Tianhe."""
    with up(tmp_path / "data", "--workers", "2", "--city", str(city), "--no-demo", *AT_EIGHT) as it:
        enrol(it, registry)
        yield it


def enrol(server: Up, registry: Path) -> None:
    done = run_cli("import", "registry", str(registry), "--data-dir", str(server.data_dir))
    assert (done.returncode, done.stderr) == (0, "")


def is_down(server: Up) -> bool:
    try:
        httpx.get(server.url + "/healthz", timeout=2, trust_env=False)
    except httpx.TransportError:
        return True
    return False


def journey(server: Up, index: int) -> dict[str, Any]:
    """A resident from the door to the receipt."""
    place = server.join(person(index))
    return {**place, **server.register(server.claim(place["ticket"]))}


def still_there(server: Up, index: int, done: dict[str, Any]) -> None:
    found = server.answered("GET", f"{API}/registrations/{done['registration_no']}", bearer=done["receipt"]).json()
    del found["messages"]  # the word that it is there may have gone out meanwhile
    del found["log"]  # and the log have grown
    assert found == {k: done[k] for k in found}

    def told() -> str:
        return str(server.answered("GET", f"{API}/ticket", bearer=done["ticket"]).json()["state"])

    # A worker polls from memory, which may be a tick behind what another one did a moment ago.
    until(lambda: told() == "claimed", "every worker has seen the claim", seconds=5)
    refused(
        server.call("POST", f"{API}/openings/{TIANHE}/tickets", json=person(index).papers()), "already-registered", 409
    )


def test_the_whole_journey_and_a_clean_end(server: Up) -> None:
    assert server.said().splitlines()[-1] == f"ready: {server.url}"
    assert server.url.startswith("http://127.0.0.1:")
    opening = server.call("GET", f"{API}/openings/{TIANHE}").json()
    assert opening["now"] >= "2021-06-19T08:00:00+08:00"
    done = journey(server, 0)
    assert done["receipt_qr_svg_url"] == f"{API}/registrations/{done['registration_no']}/qr.svg"
    still_there(server, 0, done)
    counted = 'jiaohao_requests_total{call="join",code="joined"}'
    until(lambda: counted in server.call("GET", "/metrics").text, "the workers have handed over their metrics")
    assert server.call("GET", "/").status_code == 200
    changed = server.call(
        "PATCH", f"{API}/openings/{TIANHE}", bearer=operator_token(server.data_dir), json={"message": "你好"}
    )
    assert (changed.status_code, changed.json()["message"]) == (200, "你好")
    everyone = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    assert len(everyone) >= 4  # it, two workers, the store
    assert server.stop() == 0
    _, alive = psutil.wait_procs(everyone[1:], timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    assert is_down(server)
    assert "Traceback" not in server.logged()


def test_ctrl_c_ends_it_as_well(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--workers", "1") as server:
        assert "demo residents" in server.said()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) in (0, 130)
        assert "Traceback" not in server.logged()
        assert not (tmp_path / "data" / "store.url").exists()


def test_ten_megabytes_cost_a_400_and_no_connection_hangs(server: Up) -> None:
    def megabytes() -> Iterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    for content in (b"x" * 10_000_000, megabytes()):
        with suppress(httpx.TransportError):  # it may be cut off while it still sends
            answer = server.call("POST", f"{API}/openings/{TIANHE}/tickets", content=content)
            refused(answer, "malformed", 400)
    assert server.join(person(1))["entry"] == 0


def test_kill_9_of_the_store_keeps_everything_acknowledged(server: Up) -> None:
    done = {i: journey(server, i) for i in range(3)}
    waiting = server.join(person(3))
    before = server.store_pid()
    psutil.Process(before).kill()
    later = journey(server, 4)  # tried again until it works
    assert server.store_pid() != before
    for i, each in (done | {4: later}).items():
        still_there(server, i, each)
    assert server.join(person(3))["entry"] == waiting["entry"]
    assert server.process.poll() is None
    assert server.stop() == 0


def test_kill_9_of_a_worker_costs_a_retry(server: Up) -> None:
    done = journey(server, 0)
    before = {worker.pid for worker in server.workers()}
    assert len(before) == 2
    psutil.Process(min(before)).kill()
    until(lambda: len({w.pid for w in server.workers()} - {min(before)}) == 2, "another worker")
    still_there(server, 0, done)
    still_there(server, 1, journey(server, 1))
    assert server.stop() == 0


def test_kill_9_of_the_main_process_leaves_no_server_and_the_data(server: Up, tmp_path: Path, city: Path) -> None:
    done = journey(server, 0)
    waiting = server.join(person(1))
    workers = server.workers()
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    assert is_down(server)
    with up(tmp_path / "data", "--workers", "2", "--city", str(city), "--no-demo", *AT_EIGHT) as second:
        still_there(second, 0, done)
        assert second.join(person(1))["entry"] == waiting["entry"]
        assert second.answered("GET", f"{API}/ticket", bearer=waiting["ticket"]).json()["number"] is not None
        assert second.stop() == 0


def test_another_city_is_another_file(tmp_path: Path) -> None:
    small = SUPPORT / "cities" / "small.toml"
    text = small.read_text(encoding="utf-8").replace("draw_seconds = 60", "draw_seconds = 1")
    file = tmp_path / "seaside.toml"
    file.write_text(text.replace("rate_per_second = 0.5", "rate_per_second = 5"), encoding="utf-8")
    clock = "2022-03-28T09:30:00+01:00"  # the day after its clocks changed
    with up(tmp_path / "data", "--workers", "1", "--city", str(file), "--clock", clock) as server:
        city = server.call("GET", f"{API}/city").json()
        assert (city["timezone"], city["now"][-6:]) == ("Europe/Lisbon", "+01:00")
        assert {d["code"]: d["state"] for d in city["districts"]}["south"] == "unassigned"
        line = next(line for line in server.said().splitlines() if "North" in line)
        _, _, number, name, phone = line.split()
        papers = {"id_type": "resident_id", "id_number": number, "name": name, "phone": phone}
        path = f"{API}/openings/north/tickets"
        ticket = server.answered("POST", path, json=papers).json()["ticket"]
        site = server.call("GET", f"{API}/sites?district=north").json()["sites"][0]["site"]
        wishes = {"preferences": [{"site": site, "period": "am"}], "accept_any_site": False}
        pass_ = server.claim(ticket)
        done = server.answered("POST", f"{API}/registrations", bearer=pass_, json=wishes).json()
        assert done["registration_no"][5:7] == "01"
        assert done["registration_no"][:5] == "20328"
        refused(server.call("POST", f"{API}/openings/{HUANGPU}/tickets", json=papers), "not-found", 404)


def test_a_deploy_replaces_the_workers_without_a_gap_and_a_bad_one_changes_nothing(tmp_path: Path, city: Path) -> None:
    with up(tmp_path / "data", "--workers", "1", "--city", str(city), "--no-demo", *AT_EIGHT) as server:
        (before,) = server.workers()
        good = city.read_text(encoding="utf-8")
        before.send_signal(signal.SIGHUP)  # as where the terminal of all of them is closed
        city.write_text("timezone = 1\n", encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "the workers stay" in server.logged(), "the bad city file is told")
        assert "quick.toml" in server.logged().splitlines()[-1]
        assert before.is_running()
        city.write_text(good.replace("天河区", "新河区"), encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        names: set[str] = set()
        where = httpx.URL(server.url)

        def asked() -> bool:
            answer = server.call("GET", f"{API}/city")
            assert answer.status_code == 200
            names.update(d["name_zh"] for d in answer.json()["districts"] if d["code"] == TIANHE)
            return not before.is_running()

        until(lambda: asked() or len(names) > 1, "the worker of now answers too")
        # before that a slow machine may take longer than a silent connection is borne
        slow = [socket.create_connection((where.host, where.port), timeout=10) for _ in range(5)]
        until(asked, "the worker of before has left")
        assert asked()
        assert names == {"天河区", "新河区"}
        for line in slow:  # connected before the worker of before has left, asking after it
            with line:
                line.sendall(f"GET {API}/city HTTP/1.1\r\nHost: {where.host}\r\n\r\n".encode())
                assert line.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.stop() == 0
        assert "Traceback" not in server.logged()


def test_a_deploy_while_the_node_that_was_named_is_away_ends_no_worker_before_the_next_one_answers(
    tmp_path: Path, city: Path, registry: Path
) -> None:
    cluster = OwnCluster(tmp_path / "cluster")
    secrets: dict[str, Any] = {"JIAOHAO_SECRET": "5e" * 32, "JIAOHAO_OPERATOR_TOKEN": "operators-of-a-test"}
    options = ("--workers", "1", "--city", str(city), "--no-demo", *AT_EIGHT)
    try:
        cluster.start()
        store = ("--redis-url", cluster.url)
        done = run_cli("import", "registry", str(registry), *store, **secrets)
        assert done.returncode == 0, done.stderr
        with up(tmp_path / "data", *store, *options, **secrets) as it:
            (before,) = it.workers()
            os.kill(cluster.pids()[-1], signal.SIGKILL)  # the only one in the address
            until(lambda: it.call("GET", "/readyz").status_code == 200, "the others know that it is away")
            it.process.send_signal(signal.SIGHUP)

            def replaced() -> bool:
                assert it.call("GET", f"{API}/city").status_code == 200, "there is always one that answers"
                return not before.is_running()

            until(replaced, "another worker")
            assert it.join(person(0))["entry"] == 0
    finally:
        cluster.stop()
