"""Load, at the edge: whom a worker lets go with the answer, how many connections it holds, and what it says when full.

Row L1 of the table of cases: 500 new visitors a second fill a worker with connections on which nothing is asked. Here a
worker that holds 160 of them.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from server.core.settings import from_environment
from server.web.connections import Connections, OpenFiles
from tests.support.front import connect, status_of
from tests.support.serving import API, TIANHE, House, Up, person, refused, test_settings, until, up

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
CITY = f"GET {API}/city HTTP/1.1\r\nHost: x\r\n\r\n".encode()
SLOW_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
HELD = 160


# Let go with the answer


@pytest.mark.parametrize(
    ("seconds", "headers", "ends"),
    [
        (300.0, {}, True),
        (5.1, {}, True),
        (5.0, {}, False),
        (None, {}, False),
        (300.0, {"x-forwarded-for": "203.0.113.9"}, False),
        (300.0, {"via": "1.1 cache"}, False),
        (300.0, {"forwarded": "for=203.0.113.9"}, False),
        (300.0, {"user-agent": "via"}, True),
    ],
)
def test_who_comes_back_later_than_five_seconds_is_let_go_unless_a_proxy_asks(
    seconds: float | None, headers: dict[str, str], ends: bool
) -> None:
    connections = Connections(100, keep_seconds=5.0)
    assert connections.lets_go(seconds, headers) is ends
    assert connections.let_go == ends
    assert not Connections(100, 5.0, lets_go=False).lets_go(seconds, headers)


async def test_the_crowds_answers_end_connections_where_the_wait_is_long(house: House) -> None:
    proxied = {"x-forwarded-for": "203.0.113.9"}
    early = await house.try_join(person(1))
    refused(early, "maintenance", 503)
    assert early.headers["connection"] == "close"
    assert "connection" not in (await house.try_join(person(1), headers=proxied)).headers
    await house.at("08:00:10")
    joined = await house.try_join(person(1))
    # of a draw of two minutes
    assert joined.json()["poll_after_seconds"] > 60 and joined.headers["connection"] == "close"
    ticket = joined.json()["ticket"]
    assert (await house.call("GET", "/ticket", bearer=ticket)).headers["connection"] == "close"
    assert "connection" not in (await house.call("GET", "/ticket", bearer=ticket, headers=proxied)).headers
    # A refusal that says nothing of coming again keeps it, and so does what a page asks for
    assert "connection" not in (await house.call("GET", "/ticket", bearer="no")).headers
    assert "connection" not in (await house.call("GET", "/city")).headers
    opening = await house.call("GET", f"/openings/{TIANHE}")
    assert "connection" not in opening.headers, "a page that is loaded goes on to join"
    known = {"if-none-match": opening.headers["etag"]}
    waits = await house.call("GET", f"/openings/{TIANHE}", headers=known)
    assert (waits.status_code, waits.headers["connection"]) == (304, "close")
    assert "connection" not in (await house.call("GET", f"/openings/{TIANHE}", headers=known | proxied)).headers
    assert "connection" not in (await house.call("GET", f"/openings/{TIANHE}")).headers
    await house.at("08:02:30")
    await house.forward(1)
    called = await house.call("GET", "/ticket", bearer=ticket)
    assert called.json()["poll_after_seconds"] <= 5 and "connection" not in called.headers


async def test_refusals_of_every_other_call_end_connections_too(house: House) -> None:
    await house.at("21:00:00")
    closed = await house.call("POST", f"/openings/{TIANHE}/eligibility", json=person(1).papers())
    assert refused(closed, "maintenance", 503) and closed.headers["connection"] == "close"


# How many, and what is said beyond


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A real `jiaohao up` with one worker that holds few connections, each for two idle seconds."""
    folder = tmp_path_factory.mktemp("served")
    options = ("--workers", "1", "--clock", "2021-06-19T08:30:00+08:00")
    with up(
        folder / "data", *options,
        JIAOHAO_CONNECTIONS=str(HELD), JIAOHAO_HEAD_SECONDS="2", JIAOHAO_BODY_SECONDS="2",
    ) as server:  # fmt: skip
        yield server


def metric(server: Up, name: str) -> float:
    """The value of a metric without labels."""
    found = re.search(rf"^jiaohao_{name} (\S+)$", server.answered("GET", "/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def emptied(server: Up) -> float:
    """What an earlier test has opened is gone; requests refused so far."""
    until(lambda: metric(server, "connections_open") < 0.7 * HELD, "others are gone")
    return metric(server, "connections_refused_total")


def asked(server: Up, request: bytes) -> bytes:
    """What a new connection is answered, as soon as anything comes."""
    with connect(server.url) as s:
        s.sendall(request)
        return s.recv(65_536)


def test_an_idle_herd_keeps_nobody_out(served: Up) -> None:
    """Near the limit every answer ends its connection, so the rest stays free."""
    before, not_kept = emptied(served), 0
    with ExitStack() as stack:
        for n in range(2 * HELD):
            if n % 8 == 0:  # it looks ten times a second, and they are few
                time.sleep(0.05)
            s = stack.enter_context(connect(served.url))
            s.sendall(HEALTH)
            answer = s.recv(4096)
            assert status_of(answer) == 200
            not_kept += b"connection: close" in answer.lower()
        assert not_kept
        assert served.call("GET", f"{API}/city").status_code == 200
        assert metric(served, "connections_open") <= HELD
    assert metric(served, "connections_refused_total") == before
    assert metric(served, "connections_limit") == HELD


def test_connections_on_which_nothing_comes_keep_nobody_out(served: Up) -> None:
    emptied(served)
    with ExitStack() as stack:
        for _ in range(2 * HELD):
            stack.enter_context(connect(served.url))
        assert status_of(asked(served, CITY)) == 200


@pytest.mark.parametrize(
    "beginning",
    [
        SLOW_HEAD,
        f"POST {API}/openings/{TIANHE}/tickets HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode(),
    ],
    ids=["heads", "bodies"],
)
def test_a_full_worker_says_so_at_once_and_is_itself_again_when_what_filled_it_is_over(
    served: Up, beginning: bytes
) -> None:
    before = emptied(served)
    with ExitStack() as stack:
        for _ in range(HELD + 16):
            stack.enter_context(connect(served.url)).sendall(beginning)

        def turned_away() -> bytes | None:
            answer = asked(served, CITY)
            return answer if status_of(answer) == 503 else None

        answer: bytes = until(turned_away, "it is full")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b'"code":"overloaded"' in body and b"connection: close" in head.lower()
        assert 3 <= int(re.findall(rb"(?i)retry-after: ([0-9]+)", head)[0]) <= 7
        answer = asked(served, HEALTH)
        assert status_of(answer) == 200 and b"connection: close" in answer, "it is alive all the same"
        # Nobody closes anything: their time is over
        until(lambda: status_of(asked(served, CITY)) == 200, "it has room again")
    until(lambda: metric(served, "connections_refused_total") > before, "it is counted")


# Open files


def test_open_files_are_counted(tmp_path: Path) -> None:
    files = OpenFiles()
    before = files.count()
    with ExitStack() as stack:
        for n in range(7):
            stack.enter_context((tmp_path / str(n)).open("w"))
        assert files.count() == before + 7
    files.close()


_ALLOWED = """
import resource, sys
from server.core.errors import SetupError
from server.core.open_files import allow_files, files_needed
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))
try:
    held = allow_files(8192)
    print(held, resource.getrlimit(resource.RLIMIT_NOFILE)[0], files_needed(held))
except SetupError as error:
    print(error)
"""


def allowed(hard: int) -> str:
    """What is allowed under a hard limit on open files, which is of a process of its own."""
    done = subprocess.run([sys.executable, "-c", _ALLOWED, str(hard)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_as_many_files_are_allowed_as_the_machine_allows_and_no_more_connections_held_than_fit() -> None:
    held, soft, needed = map(int, allowed(12_000).split())
    assert (held, soft) == (8192, 12_000) and 8192 < needed <= 12_000
    held, soft, needed = map(int, allowed(2000).split())
    assert soft == 2000 and 1000 < held < needed <= 2000
    assert "500 open files are allowed" in allowed(500) and "LimitNOFILE" in allowed(500)


def test_the_settings_reach_the_workers_and_nonsense_is_refused() -> None:
    env = test_settings(redis_url="unix:///x", connections=100, keep_seconds=2.5, lets_go=False).environment()
    again = from_environment(env)
    assert (again.connections, again.keep_seconds, again.lets_go) == (100, 2.5, False)
    for name, value in (("CONNECTIONS", "5"), ("CONNECTIONS", "many"), ("KEEP_SECONDS", "-1"), ("LET_GO", "never")):
        with pytest.raises(Exception, match=f"JIAOHAO_{name}: expected"):
            from_environment(env | {f"JIAOHAO_{name}": value})
