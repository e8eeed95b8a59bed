"""Proxies that others wrote, with their defaults, in front of a server of ours; and raw requests."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.serving import until


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def command_of(name: str, package: str = "nginx haproxy varnish") -> str:
    """The command of a proxy, or of another of Debian's packages; where it is not installed, the test is skipped (never
    in CI)."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"no {name} here (Debian: apt-get install {package})")
    return found


# As the README has it.
_CACHE = (
    "proxy_cache openings; proxy_cache_key $host$uri; proxy_cache_lock on; proxy_cache_use_stale updating; "
    "proxy_pass {upstream};"
)


@contextmanager
def nginx(upstream: str, folder: Path, *, caches_openings: bool = False) -> Iterator[str]:
    """The address of an nginx that passes everything on and is told nothing else, but for its cache where asked for."""
    port = free_port()
    file = folder / "nginx.conf"
    scratch = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    store, places = "", f"location / {{ proxy_pass {upstream}; }}"
    if caches_openings:
        store = f"proxy_cache_path {folder}/cache keys_zone=openings:1m inactive=10s;"
        places += f" location /api/v1/openings/ {{ {_CACHE.format(upstream=upstream)} }}"
    file.write_text(
        f"pid {folder}/nginx.pid; error_log {folder}/nginx.log; daemon off; master_process off;\n"
        f"events {{}}\nhttp {{ access_log off; {scratch} {store}\n"
        f"server {{ listen 127.0.0.1:{port}; {places} }} }}\n"
    )
    with _running([command_of("nginx"), "-p", str(folder), "-c", str(file), "-e", str(folder / "nginx.log")]):
        yield _answering(f"http://127.0.0.1:{port}")


@contextmanager
def varnish(upstream: str, folder: Path) -> Iterator[str]:
    """The address of a Varnish with its built-in rules."""
    port, at = free_port(), urlsplit(upstream).netloc
    options = ["-F", "-a", f"127.0.0.1:{port}", "-b", at, "-n", str(folder), "-s", "malloc,16m", "-j", "none"]
    with _running([command_of("varnishd"), *options]):
        yield _answering(f"http://127.0.0.1:{port}")


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _answering(url: str) -> str:
    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/healthz", trust_env=False, timeout=5).status_code == 200
        return False

    until(answers, f"{url} answers")
    return url


def connect(url: str, patience_s: float = 30.0) -> socket.socket:
    """A connection to a server; what it does not answer in so long is an error."""
    at = urlsplit(url)
    assert at.hostname and at.port
    s = socket.create_connection((at.hostname, at.port), timeout=patience_s)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def answer_of(s: socket.socket) -> bytes:
    """All that comes until the other side closes, "" where it only resets."""
    got = b""
    with suppress(ConnectionResetError):
        while piece := s.recv(65_536):
            got += piece
    return got


def status_of(answer: bytes) -> int:
    """The last status of an answer: a 100 may come before it."""
    heads = [head for head in answer.split(b"\r\n\r\n") if head.startswith(b"HTTP/1.1 ")]
    return int(heads[-1].split()[1]) if heads else 0
