"""A waiting room written by hand in nginx, Lua and the store, with our answers to joins and polls."""

import base64
import contextlib
import hashlib
import hmac
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import psutil
from redis import Redis

from loadtests.bench.drive import request
from loadtests.bench.http import DISTRICT, papers
from loadtests.run.ports import free_ports
from server.store.address import read_address

_TICKET_KEY, _PEPPER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
_ABSENT = "{} is not there: apt-get install nginx libnginx-mod-http-lua lua-cjson (Debian's names)"
_CONF = """
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
{user}
worker_processes 1;
{affinity}
worker_rlimit_nofile 20000;
daemon off;
pid {run}/nginx.pid;
error_log {run}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_timeout 600;
  keepalive_requests 100000000;
  client_body_buffer_size 16k;
  client_body_temp_path {run}/body; proxy_temp_path {run}/proxy; fastcgi_temp_path {run}/fastcgi;
  uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;
  lua_package_path "{run}/?.lua;;";
  lua_shared_dict view 1m;
  lua_socket_log_errors off;
  init_by_lua_block {{ require "room" }}
  init_worker_by_lua_block {{ require("room").start() }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location = /api/v1/ticket {{ content_by_lua_block {{ require("room").poll() }} }}
    location ~ ^/api/v1/openings/(\\d+)/tickets$ {{ content_by_lua_block {{ require("room").join(ngx.var[1]) }} }}
  }}
}}
"""


@contextlib.contextmanager
def room(store_url: str, core: int | None) -> Iterator[tuple[int, list[psutil.Process]]]:
    """Return the room on this store: (port, its processes).

    Raises:
        click.ClickException: nginx or its Lua module is not installed, or does not start.
    """
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        raise click.ClickException(_ABSENT.format("nginx"))
    said = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr
    modules = re.search(r"--modules-path=(\S+)", said)
    if not modules or not all(Path(modules[1], name).exists() for name in _MODULES):
        raise click.ClickException(_ABSENT.format("nginx's Lua module"))
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="jiaohao-peer-") as folder:
        run = Path(folder)
        places = {"TICKET_KEY": _TICKET_KEY, "PEPPER": _PEPPER, "STORE": f"unix:{read_address(store_url).path}"}
        for name in ("room.lua", "resp.lua"):
            text = Path(__file__).with_name(name).read_text()
            (run / name).write_text(re.sub("@([A-Z_]+)@", lambda it: places[it[1]], text))
        user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else ""
        affinity = "" if core is None else f"worker_cpu_affinity {1 << core:b};"
        conf = run / "nginx.conf"
        conf.write_text(_CONF.format(modules=modules[1], user=user, affinity=affinity, run=run, port=port))
        process = subprocess.Popen([nginx, "-p", folder, "-c", str(conf), "-e", str(run / "error.log")])
        try:
            main = _started(process, run)
            yield port, [main, *main.children(recursive=True)]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _started(process: "subprocess.Popen[bytes]", run: Path) -> psutil.Process:
    """Wait until it has a worker that has loaded its script."""
    deadline = time.monotonic() + 20
    main = psutil.Process(process.pid)
    while process.poll() is None and time.monotonic() < deadline:
        if (run / "nginx.pid").exists() and main.children():
            time.sleep(0.5)
            return main
        time.sleep(0.05)
    raise click.ClickException(f"nginx does not start: {(run / 'error.log').read_text()[-500:]}")


def fill(store_url: str, count: int) -> None:
    """Write the registry lines of so many made-up residents, as this room reads them."""
    with Redis.from_url(store_url) as client:
        for start in range(0, count, 2000):
            lines: dict[str | bytes, bytes] = {}
            for i in range(start, min(start + 2000, count)):
                number, name, phone = papers(i)
                resident = _hmac(_PEPPER, f"resident_id:{number}".encode())[:16]
                line = _hmac(_PEPPER, resident + f"{phone}:{name}".encode())[:12]
                lines[b"peer:r:" + resident] = line
            client.mset(lines)


def poll_request(entry: int) -> bytes:
    """Return a poll of the place with this entry."""
    text = f"{DISTRICT}.2021-06-19.{entry}.{_url64(entry.to_bytes(16, 'big'))}.{int(time.time()) + 86_400}"
    return request("GET", "/api/v1/ticket", bearer=f"{text}.{_url64(_hmac(_TICKET_KEY, text.encode()))}")


def _hmac(key: str, message: bytes) -> bytes:
    return hmac.digest(key.encode(), message, hashlib.sha1)


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
