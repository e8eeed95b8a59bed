"""A real `jiaohao up` over a day, a night and the next morning: nobody runs anything by hand."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import API, TIANHE, Up, person, quick_city, registry_csv, run_cli, until, up

DISTRICT_FILE = f"2021-06-19/{TIANHE}.jsonl"


def allotment(server: Up) -> Any:
    """What anybody is told of the night."""
    answer = server.call("GET", f"{API}/allotments/{TIANHE}/2021-06-19")
    return answer.json() if answer.status_code == 200 else {}


def texts(server: Up) -> list[str]:
    """Messages that have gone out."""
    file = server.data_dir / "sms.jsonl"
    return [json.loads(line)["text"] for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def one_registered(tmp_path: Path) -> tuple[Path, Path, Any]:
    """(data dir, city file, the registration of one resident, made on 19 June after the draw)."""
    data_dir, city = tmp_path / "data", quick_city(tmp_path)
    registry = registry_csv(tmp_path / "registry.csv", [person(0)])
    sites, capacity = tmp_path / "sites.csv", tmp_path / "capacity.csv"
    sites.write_text(f"site,name_zh,name_en,district,address\nT1,接种点一,Site One,{TIANHE},路1号\n", encoding="utf-8")
    capacity.write_text("site,date,period,product,capacity\nT1,2021-06-21,pm,inactivated,1\n", encoding="utf-8")
    options = ("--workers", "1", "--city", str(city), "--no-demo", "--clock", "2021-06-19T08:00:00+08:00")
    with up(data_dir, *options) as server:
        for what, file in (("registry", registry), ("sites", sites), ("capacity", capacity)):
            done = run_cli("import", what, str(file), "--data-dir", str(data_dir), "--city", str(city))
            assert done.returncode == 0, done.stderr
        pass_ = server.claim(server.join(person(0))["ticket"])
        registered = server.register(pass_)
        until(lambda: len(texts(server)) == 1, "the message that the registration is there")
        assert server.stop() == 0
    return data_dir, city, registered


def test_the_night_comes_by_itself_and_the_message_in_the_morning(one_registered: tuple[Path, Path, Any]) -> None:
    data_dir, city, registered = one_registered
    options = ("--workers", "1", "--city", str(city), "--no-demo", "--clock")
    with up(data_dir, *options, "2021-06-19T21:30:00+08:00") as server:
        told = until(lambda: allotment(server).get("root") and allotment(server), "the night has come")
        assert told["counts"]["allotted"] == 1
        held = run_cli(
            "verify", "allotment", str(data_dir / "results" / DISTRICT_FILE), "--commitment", told["commitment"],
            "--list-root", told["list_root"], "--root", told["root"],
        )  # fmt: skip
        assert (held.returncode, held.stdout[:4]) == (0, "yes:"), held.stderr
        assert len(texts(server)) == 1, "nobody is woken"
    with up(data_dir, *options, "2021-06-20T08:00:01+08:00") as server:
        where = f"{API}/registrations/{registered['registration_no']}"
        found = server.call("GET", where, bearer=registered["receipt"]).json()
        assert (found["state"], found["appointment"]["date"]) == ("booked", "2021-06-21")
        assert found["night"]["root"] == told["root"]
        assert found["night"]["proof"]["index"] == found["night"]["leaf"] == 1
        until(lambda: len(texts(server)) == 2, "the message with the appointment")
        assert "6月21日" in texts(server)[1]


def test_a_night_that_is_killed_is_run_again(one_registered: tuple[Path, Path, Any]) -> None:
    data_dir, city, _ = one_registered
    options = ("--workers", "1", "--city", str(city), "--no-demo", "--clock", "2021-06-19T20:09:58+08:00")
    with up(data_dir, *options) as server:

        def night() -> int | None:
            found = [child.pid for child in server.workers() if "night" in child.cmdline()]
            return found[0] if found else None

        os.kill(until(night, "a night runs"), signal.SIGKILL)
        until(lambda: allotment(server).get("root"), "it has been run again", seconds=60)
