"""Configurations of the proxies that stand in front: templates with what differs between machines left open."""

from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from server.core.errors import SetupError

FrontName = Literal["nginx", "haproxy", "varnish"]
NAMES: tuple[FrontName, ...] = get_args(FrontName)
_FILES = {"nginx": "nginx.conf.in", "haproxy": "haproxy.cfg.in", "varnish": "varnish.vcl.in"}
# With its own to the workers and those of the cache a connection takes two files, and some.
_FILES_A_CONNECTION = 2


class Front(NamedTuple):
    """What a front is to do.

    Attributes:
        listen: HOST:PORT that residents come to.
        workers: addresses (http://HOST:PORT) of the servers behind it.
        folder: for its cache and its process's file.
        certificate: a PEM file with the chain and the key; None: it speaks plain HTTP.
        per_address: connections that one address may have; 0: as many as it likes.
        connections: that it holds in all.
    """

    listen: str
    workers: tuple[str, ...]
    folder: Path
    certificate: Path | None = None
    per_address: int = 0
    connections: int = 8192


def configuration(name: FrontName, front: Front) -> str:
    """The text of its configuration file.

    Raises:
        SetupError: it cannot do what it is asked to.
    """
    if name == "varnish" and front.certificate is not None:
        raise SetupError("varnish speaks no TLS: put nginx, HAProxy or hitch before it, and leave out --certificate")
    text = files(__package__).joinpath(_FILES[name]).read_text(encoding="utf-8")
    for place, value in {**_shared(front), **_PARTS[name](front)}.items():
        text = text.replace(f"@{place}@", value)
    return text.replace("\n\n\n", "\n\n")


def _shared(front: Front) -> dict[str, str]:
    return {
        "LISTEN": front.listen,
        "FOLDER": str(front.folder),
        "CONNECTIONS": str(front.connections),
        "FILES": str(front.connections * _FILES_A_CONNECTION),
        "SCHEME": "https" if front.certificate or front.listen.endswith(":443") else "http",
    }


def _nginx(front: Front) -> dict[str, str]:
    tls = [
        f"    ssl_certificate {front.certificate};",
        f"    ssl_certificate_key {front.certificate};",
        "    ssl_protocols TLSv1.2 TLSv1.3;",
        "    ssl_session_cache shared:tls:64m;",
        "    ssl_session_timeout 1h;",
    ]
    if len(front.workers) == 1:
        servers = [f"    server {_host_port(front.workers[0])} max_fails=0;"] * 2
    else:
        servers = [f"    server {_host_port(url)} max_fails=3 fail_timeout=2s;" for url in front.workers]
    limit = f"    limit_conn per_address {front.per_address};" if front.per_address else ""
    return {
        "LISTEN_TLS": " ssl http2" if front.certificate else "",
        "CERTIFICATE": "\n".join(tls) if front.certificate else "",
        "WORKERS": "\n".join(servers),
        "PER_ADDRESS": limit,
    }


def _haproxy(front: Front) -> dict[str, str]:
    servers = [f"  server worker{n} {_host_port(url)} check inter 2s" for n, url in enumerate(front.workers, 1)]
    limit = [
        "  stick-table type ip size 200k expire 1m store conn_cur",
        "  tcp-request connection track-sc0 src",
        f"  tcp-request connection reject if {{ sc0_conn_cur gt {front.per_address} }}",
    ]
    return {
        "LISTEN_TLS": f" ssl crt {front.certificate} alpn h2,http/1.1" if front.certificate else "",
        "WORKERS": "\n".join(servers),
        "PER_ADDRESS": "\n".join(limit) if front.per_address else "",
    }


def _varnish(front: Front) -> dict[str, str]:
    backends = []
    for n, url in enumerate(front.workers, 1):
        host, _, port = _host_port(url).rpartition(":")
        lines = [f'.host = "{host}";', f'.port = "{port}";', ".connect_timeout = 2s;", ".first_byte_timeout = 30s;"]
        backends.append("\n  ".join([f"backend worker{n} {{", *lines]) + "\n}\n")
    if len(front.workers) == 1:
        return {"WORKERS": backends[0]}
    added = "\n".join(f"  workers.add_backend(worker{n});" for n in range(1, len(front.workers) + 1))
    director = f"sub vcl_init {{\n  new workers = directors.round_robin();\n{added}\n}}\n"
    chosen = "sub vcl_recv {\n  set req.backend_hint = workers.backend();\n}\n"
    return {"WORKERS": "\n".join(["import directors;\n", *backends, director, chosen])}


_PARTS = {"nginx": _nginx, "haproxy": _haproxy, "varnish": _varnish}


def _host_port(url: str) -> str:
    """Raises SetupError: it is no address of a server behind."""
    try:
        at = urlsplit(url)
        found = at.port
    except ValueError:
        found = None
    if found is None or at.scheme != "http" or not at.hostname or at.path not in ("", "/"):
        raise SetupError(f"--to: expected the address of a server, like http://127.0.0.1:8000, and not {url!r}")
    return at.netloc
