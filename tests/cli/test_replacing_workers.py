"""A deploy never ends the last worker that answers: an old one goes when the new one is ready, and not before."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.serving import REPO, environment, until

Server = subprocess.Popen[str]


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def serving(port: int, folder: Path) -> Iterator[Server]:
    """Two workers that are ready where there is a file of that name."""
    arguments = [sys.executable, "-m", "tests.support.slow_start", str(port), str(folder)]
    with subprocess.Popen(arguments, cwd=REPO, env=environment(), stdout=subprocess.PIPE, text=True) as server:
        try:
            until(lambda: answers(port) is not None, "it answers")
            yield server
        finally:
            server.terminate()
            server.wait(30)


def answers(port: int) -> int | None:
    """The process of the worker that answers."""
    try:
        return int(httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=20).text)
    except httpx.TransportError:
        return None


def workers(server: Server) -> set[int]:
    """The processes of those that live."""
    found = set()
    for child in psutil.Process(server.pid).children():
        with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def both_workers(server: Server) -> set[int]:
    until(lambda: len(workers(server)) == 2, "two workers")
    return workers(server)


def test_the_old_worker_stays_where_the_new_one_does_not_get_ready_and_goes_where_it_does(
    port: int, tmp_path: Path
) -> None:
    (tmp_path / "ready").touch()
    with serving(port, tmp_path) as server:
        assert server.stdout is not None
        before = both_workers(server)
        (tmp_path / "ready").unlink()
        server.send_signal(signal.SIGHUP)
        assert server.stdout.readline() == "stays\n"
        assert workers(server) == before
        (tmp_path / "broken").touch()
        server.send_signal(signal.SIGHUP)
        assert server.stdout.readline() == "stays\n"
        assert workers(server) == before and answers(port) in before
        (tmp_path / "broken").unlink()
        (tmp_path / "ready").touch()
        server.send_signal(signal.SIGHUP)

        def replaced() -> bool:
            assert answers(port) is not None, "there is always one that answers"
            return before.isdisjoint(workers(server)) and len(workers(server)) == 2

        until(replaced, "both are others")


def test_a_worker_that_cannot_be_started_again_does_not_end_the_one_that_answers(port: int, tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    with serving(port, tmp_path) as server:
        both, answered = both_workers(server), set[int | None]()

        def both_have_answered() -> bool:
            answered.add(answers(port))
            return both <= answered

        # one that dies while the other is still starting is no worker that another stands in for
        until(both_have_answered, "both are up")
        first, second = (psutil.Process(pid) for pid in both)
        (tmp_path / "broken").touch()
        first.kill()
        tried: set[int] = set()

        def tried_thrice() -> bool:
            tried.update(workers(server) - {first.pid, second.pid})
            return len(tried) >= 3

        until(tried_thrice, "it is tried again and again")
        assert server.poll() is None and answers(port) == second.pid
        (tmp_path / "broken").unlink()
        until(lambda: len(workers(server) - {first.pid}) == 2, "it is back")


def test_the_server_ends_where_none_of_its_workers_can_start(port: int, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    arguments = [sys.executable, "-m", "tests.support.slow_start", str(port), str(tmp_path)]
    ended = subprocess.run(arguments, cwd=REPO, env=environment(), capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1


def test_sigterm_is_heard_while_a_new_worker_is_waited_for(port: int, tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    with serving(port, tmp_path) as server:
        before = both_workers(server)
        (tmp_path / "ready").unlink()
        server.send_signal(signal.SIGHUP)
        until(lambda: len(workers(server)) == 3, "the new one is there")
        left = [psutil.Process(pid) for pid in workers(server)]
        server.terminate()
        assert server.wait(30) == 0
        _, alive = psutil.wait_procs(left, 10)
        assert not [it for it in alive if it.status() != psutil.STATUS_ZOMBIE], before
