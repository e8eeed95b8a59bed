"""A proxy in front of a rehearsal's own server: nginx, HAProxy or Varnish, configured by `jiaohao front`."""

from __future__ import annotations

import ipaddress
import os
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loadtests.run.city_file import HOME
from loadtests.run.options import CannotRehearse
from loadtests.run.ports import free_ports

_READY_SECONDS = 30
_MOST_CONNECTIONS = 16_384
_FILES_BESIDE = 500


class _Kind(NamedTuple):
    """How a proxy is started: its program, whether it speaks TLS, and its arguments."""

    program: str
    tls: bool
    arguments: Callable[[Path, Path, str], list[str]]


_KINDS = {
    "nginx": _Kind(
        "nginx", True, lambda file, folder, _: ["-c", str(file), "-e", str(folder / "start.log"), "-g", "daemon off;"]
    ),
    "haproxy": _Kind("haproxy", True, lambda file, _, __: ["-db", "-f", str(file)]),
    "varnish": _Kind(
        "varnishd",
        False,
        lambda file, folder, listen: [
            *("-F", "-f", str(file), "-a", listen, "-n", str(folder / "work"), "-s", "malloc,64m", "-j", "none"),
            *("-p", "timeout_idle=5"),
        ],
    ),
}
FRONTS = tuple(_KINDS)
TLS_FRONTS = tuple(name for name, kind in _KINDS.items() if kind.tls)


def problem_of_front(name: str) -> str | None:
    """Say why this one cannot be started here, in one line; None when it can."""
    if name not in _KINDS:
        return f"--front: expected one of {', '.join(FRONTS)}"
    if _program(name) is None:
        return f"--front {name}: there is no {_KINDS[name].program} here (Debian: apt-get install {name})"
    return None


class Front:
    """A proxy in a temporary folder, by TLS with a certificate of its own where it speaks it.

    Args:
        name: which one.
        environment: of `jiaohao front`.

    Attributes:
        certificate: what whoever comes by TLS has to trust; None where it is plain.
    """

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name, self._kind, self._environment = name, _KINDS[name], environment
        self._folder = Path(tempfile.mkdtemp(prefix="jiaohao-front-"))
        self._folder.chmod(0o755)  # nginx's workers are nobody, and its cache is in there
        self._process: subprocess.Popen[bytes] | None = None
        self.certificate: Path | None = None

    def start(self, upstream: str) -> str:
        """Start it in front of a server. Returns its address.

        Raises:
            CannotRehearse: it did not start; its own last words are in the message.
        """
        listen = f"127.0.0.1:{free_ports(1)[0]}"
        configure = ["--to", upstream, "--listen", listen, "--folder", str(self._folder), "--per-address", "0"]
        configure += ["--connections", str(_connections())]
        if self._kind.tls:
            self.certificate = self._folder / "front.pem"
            self.certificate.write_bytes(self_signed())
            configure += ["--certificate", str(self.certificate)]
        made = subprocess.run(
            [sys.executable, "-m", "server.cli", "front", self._name, *configure],
            cwd=HOME, env=dict(self._environment), capture_output=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise CannotRehearse(f"jiaohao front {self._name} failed: {made.stderr.decode(errors='replace').strip()}")
        file = self._folder / "front.conf"
        file.write_bytes(made.stdout)
        program = _program(self._name)
        if program is None:
            raise CannotRehearse(problem_of_front(self._name) or self._name)
        with (self._folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                [program, *self._kind.arguments(file, self._folder, listen)],
                stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        url = f"{'https' if self._kind.tls else 'http'}://{listen}"
        self._await_ready(url)
        if self.certificate is not None:
            os.environ["SSL_CERT_FILE"] = str(self.certificate)  # of us and of the generators that we start
        return url

    def pids(self) -> list[int]:
        """Return its processes."""
        if self._process is None or self._process.poll() is not None:
            return []
        try:
            family = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.Error:
            return []
        return [self._process.pid, *(child.pid for child in family)]

    def stop(self) -> None:
        """End it, and remove its folder."""
        if self.certificate is not None and os.environ.get("SSL_CERT_FILE") == str(self.certificate):
            del os.environ["SSL_CERT_FILE"]
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _await_ready(self, url: str) -> None:
        trust = ssl.create_default_context(cafile=self.certificate) if self.certificate else None
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=trust)] if trust else [])
        )
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                with opener.open(f"{url}/healthz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        said = (self._folder / "said").read_text(errors="replace").strip().splitlines()
        raise CannotRehearse(f"--front {self._name} did not start: {' | '.join(said[-3:]) or 'it said nothing'}")


def self_signed() -> bytes:
    """Return a certificate of localhost and 127.0.0.1 for a few days, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
    )


def _connections() -> int:
    """Return how many it can hold by this machine's open files, of which a connection takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(64, min(_MOST_CONNECTIONS, (hard - _FILES_BESIDE) // 2))


def _program(name: str) -> str | None:
    program = _KINDS[name].program
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
