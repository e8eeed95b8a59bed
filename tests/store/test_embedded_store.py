"""The embedded store: what was acknowledged is there again, after a stop, a crash and an owner that was killed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError

from server.core.errors import SetupError
from server.store.embedded import EmbeddedStore, store_url
from tests.support.serving import REPO, end_store, until


def answer(url: str, key: str) -> bytes | None:
    with suppress(RedisError, OSError), Redis.from_url(url) as client:
        found: bytes | None = client.get(key)
        return found
    return None


def put(url: str, key: str, value: str) -> None:
    with Redis.from_url(url) as client:
        client.set(key, value)


def pid_of(folder: Path) -> int:
    return int((folder / "store.pid").read_text())


def test_every_write_is_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store, Redis.from_url(store.url) as client:
        told = client.config_get("*")
        wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "maxmemory": "0"}
        assert {name: told[name] for name in wanted} == wanted
        assert told["port"] == "0"  # nobody else on the machine's network can reach it
        client.set("kept", "this")
        log = b"".join(f.read_bytes() for f in (tmp_path / "appendonlydir").iterdir())
        assert b"kept" in log


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with EmbeddedStore(folder) as store:
        assert folder.stat().st_mode & 0o077 == 0
        socket = Path(store.url.removeprefix("unix://"))
        assert socket.stat().st_mode & 0o077 == 0
        assert (folder / "store.url").stat().st_mode & 0o077 == 0


def test_data_is_kept_between_runs_and_nothing_else_is(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        put(store.url, "a", "1")
        pid, socket = pid_of(tmp_path), Path(store.url.removeprefix("unix://"))
    assert not psutil.pid_exists(pid)
    assert not socket.parent.exists()
    assert not (tmp_path / "store.url").exists()
    with EmbeddedStore(tmp_path) as store:
        assert answer(store.url, "a") == b"1"


def test_kill_9_loses_nothing_and_it_is_started_again_by_itself(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        for round_ in range(2):
            put(store.url, f"key {round_}", "kept")
            pid = pid_of(tmp_path)
            os.kill(pid, signal.SIGKILL)
            for earlier in range(round_ + 1):
                until(lambda key=f"key {earlier}": answer(store.url, key) == b"kept", "it is back")  # type: ignore[misc]
            assert pid_of(tmp_path) != pid


def test_a_write_that_broke_off_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        put(store.url, "a", "1")
    increment = next((tmp_path / "appendonlydir").glob("*.incr.aof"))
    with increment.open("ab") as f:
        f.write(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$100\r\nhalf")
    with EmbeddedStore(tmp_path) as store:
        assert answer(store.url, "a") == b"1"
        assert answer(store.url, "b") is None


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        put(store.url, "a", "1")
        with pytest.raises(SetupError, match="in use by another jiaohao") as caught, EmbeddedStore(tmp_path):
            pass
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert answer(store.url, "a") == b"1"  # the first one is untouched
        assert (tmp_path / "store.url").read_text() == store.url


def test_an_orphans_data_is_taken_over(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, os, signal\n"
        "from server.store.embedded import EmbeddedStore\n"
        "with EmbeddedStore(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    owner = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=REPO, timeout=60, check=False)
    assert owner.returncode == -signal.SIGKILL
    orphan, url = pid_of(tmp_path), (tmp_path / "store.url").read_text()
    try:
        put(url, "a", "1")
        with EmbeddedStore(tmp_path) as store:
            assert store.url != url
            assert answer(store.url, "a") == b"1"
            assert answer(url, "a") is None
            assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE
    finally:
        end_store(tmp_path)


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        with pytest.raises(SetupError, match="--data-dir") as caught, EmbeddedStore(folder):
            pass
        assert "\n" not in str(caught.value)


def test_data_that_it_cannot_read_is_a_clear_error(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        put(store.url, "a", "1")
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense")
    with pytest.raises(SetupError, match="did not start") as caught, EmbeddedStore(tmp_path):
        pass
    assert str(tmp_path / "store.log") in str(caught.value)


def test_commands_use_the_store_that_runs_or_start_it_for_themselves(tmp_path: Path) -> None:
    with store_url("redis://elsewhere", tmp_path) as url:
        assert url == "redis://elsewhere"
    assert list(tmp_path.iterdir()) == []
    with EmbeddedStore(tmp_path) as store:
        with store_url(None, tmp_path) as url:
            assert url == store.url
        assert answer(store.url, "a") is None
        put(store.url, "a", "1")
    with store_url(None, tmp_path) as url:
        assert answer(url, "a") == b"1"
    assert answer(url, "a") is None
    (tmp_path / "store.url").write_text(url)  # what a power cut leaves
    with store_url(None, tmp_path) as again:
        assert answer(again, "a") == b"1"
