"""What stands in front as `jiaohao front` sets it up: nginx, HAProxy and Varnish, each in front of a real server."""

import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from loadtests.run.front import Front, self_signed
from server.cli.fronts import NAMES, FrontName, configuration
from server.cli.fronts import Front as Asked
from server.core.errors import SetupError
from tests.support.front import command_of
from tests.support.serving import API, TIANHE, Up, environment, person, registry_csv, run_cli, until, up

CALLS = 40


class Fronted(NamedTuple):
    """A server, and the address of what stands before it."""

    name: str
    server: Up
    url: str
    certificate: Path | None

    def client(self) -> httpx.Client:
        """Whoever comes to it."""
        trust = ssl.create_default_context(cafile=self.certificate) if self.certificate else True
        return httpx.Client(base_url=self.url, verify=trust, trust_env=False, timeout=30)

    def counted(self, name: str) -> float:
        """The sum of a metric of the worker."""
        text = self.server.answered("GET", "/metrics").text
        return sum(float(value) for value in re.findall(rf"^jiaohao_{name} (\S+)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A real `jiaohao up` in the middle of a window."""
    folder = tmp_path_factory.mktemp("served")
    file = registry_csv(folder / "registry.csv", [person(n) for n in range(20)])
    done = run_cli("import", "registry", str(file), "--yes", "--data-dir", str(folder / "data"))
    assert done.returncode == 0, done.stderr
    options = ("--workers", "1", "--no-demo", "--clock", "2021-06-19T08:00:20+08:00")
    with up(folder / "data", *options) as server:
        yield server


@pytest.fixture(scope="module", params=NAMES)
def fronted(request: pytest.FixtureRequest, served: Up) -> Iterator[Fronted]:
    """Each of them, as a rehearsal starts it."""
    command_of({"varnish": "varnishd"}.get(request.param, request.param))
    with ExitStack() as stack:
        front = Front(request.param, environment())
        stack.callback(front.stop)
        yield Fronted(request.param, served, front.start(served.url), front.certificate)


def test_the_public_does_not_come_to_what_is_for_monitoring(fronted: Fronted) -> None:
    with fronted.client() as client:
        assert [client.get(path).status_code for path in ("/metrics", "/metrics?x", "/healthz")] == [404, 404, 200]


def test_what_is_public_is_asked_of_a_worker_once_in_a_while_and_nothing_else_is_kept(fronted: Fronted) -> None:
    shown = r'requests_total{call="openings",code="[a-z]+"}'
    with fronted.client() as client:
        before = fronted.counted(shown)
        for n in range(CALLS):
            opening = client.get(f"{API}/openings/{TIANHE}{f'?{n}' if n % 2 else ''}")  # whatever is behind it
            assert opening.status_code == 200 and opening.json()["state"] == "draw"
        until(lambda: fronted.counted(shown) > before, "it is counted")
        assert fronted.counted(shown) - before <= CALLS / 2
        for who in (person(1), person(2), person(1)):
            place = client.post(f"{API}/openings/{TIANHE}/tickets", json=who.papers())
            assert place.status_code in (200, 201)
            poll = client.get(f"{API}/ticket", headers={"authorization": f"Bearer {place.json()['ticket']}"})
            assert poll.json()["state"] == "drawing" and poll.headers["cache-control"] == "no-store"
        assert client.get(f"{API}/ticket", headers={"authorization": "Bearer nobody"}).status_code == 401
        assert client.get(f"{API}/ticket").status_code == 401


def test_browsers_are_let_go_where_the_wait_is_long_and_its_own_connections_to_the_workers_are_not(
    fronted: Fronted,
) -> None:
    with fronted.client() as client:
        before = fronted.counted("connections_let_go_total")
        place = client.post(f"{API}/openings/{TIANHE}/tickets", json=person(3).papers())
        assert place.json()["poll_after_seconds"] > 5 and place.headers["connection"] == "close"
        poll = client.get(f"{API}/ticket", headers={"authorization": f"Bearer {place.json()['ticket']}"})
        assert poll.headers["connection"] == "close"
        opening = client.get(f"{API}/openings/{TIANHE}")
        assert opening.headers.get("connection") != "close", "a page that is loaded goes on to join"
        waits = client.get(f"{API}/openings/{TIANHE}", headers={"if-none-match": opening.headers["etag"]})
        if fronted.name != "nginx":  # which ends connections by path and by time alone
            assert waits.headers["connection"] == "close"
        for path in ("/", "/resident.js", f"{API}/city"):
            assert client.get(path).headers.get("connection") != "close", path
        assert fronted.counted("connections_let_go_total") == before


def test_forms_are_taken_by_the_name_that_the_browser_asked_for(fronted: Fronted) -> None:
    """It is passed on, and so is whether it was by TLS: without a form's key nothing else tells whose form it is."""
    form = {"lang": "en"}
    own = httpx.Headers({"origin": fronted.url, "x-forwarded-proto": "gopher", "x-forwarded-for": "203.0.113.9"})
    with fronted.client() as client:
        assert client.post("/plain/look", data=form, headers=own).status_code == 303
    with fronted.client() as client:
        assert client.post("/plain/look", data=form, headers={"origin": "https://evil.test"}).status_code == 403


CHECKS = {
    "nginx": lambda program, file: [program, "-t", "-q", "-c", file, "-e", "stderr"],
    "haproxy": lambda program, file: [program, "-c", "-f", file],
    "varnish": lambda program, file: [program, "-C", "-j", "none", "-f", file],
}


@pytest.mark.parametrize("name", NAMES)
def test_its_own_tool_finds_nothing_wrong_with_several_servers_and_a_limit(name: FrontName, tmp_path: Path) -> None:
    program = command_of({"varnish": "varnishd"}.get(name, name))
    certificate = tmp_path / "front.pem"
    certificate.write_bytes(self_signed())
    servers = ("http://10.0.0.1:8000", "http://10.0.0.2:8000")
    asked = Asked("127.0.0.1:18443", servers, tmp_path, certificate, 100)
    if name == "varnish":
        with pytest.raises(SetupError, match="no TLS"):
            configuration(name, asked)
        asked = asked._replace(certificate=None)
    file = tmp_path / "front.conf"
    text = configuration(name, asked)
    assert "@" not in text and "10.0.0.2" in text
    file.write_text(text)
    done = subprocess.run(CHECKS[name](program, str(file)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    file.write_text(text + "\nnonsense;\n")
    broken = subprocess.run(CHECKS[name](program, str(file)), capture_output=True, text=True, check=False)
    assert broken.returncode != 0, "the tool finds what is wrong"


def test_the_command_prints_it_and_refuses_what_is_no_server() -> None:
    done = run_cli("front", "haproxy", "--to", "http://10.0.0.7:8000", "--listen", "0.0.0.0:80")
    assert done.returncode == 0 and "server worker1 10.0.0.7:8000" in done.stdout
    for bad in ("https://10.0.0.7:8000", "10.0.0.7", "http://10.0.0.7", "http://10.0.0.7:8000/x"):
        done = run_cli("front", "nginx", "--to", bad)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "--to" in done.stderr
