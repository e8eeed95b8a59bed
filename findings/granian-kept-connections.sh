#!/usr/bin/env bash
# granian 2.8.9: the time-out for reading a request's head also ends kept connections on which nothing is being sent.
#
# `--http1-header-read-timeout` is described as the time for a client to transmit its whole head. It runs from the end of the
# answer before, too: a kept connection that asks nothing for so long is closed, and there is no setting that tells the two
# apart. With a short one against slow heads, browsers lose the connections they kept, and find out with their next request;
# with a long one idle connections stay. Behind a proxy its idle time-out must be the shorter of the two.
#
# Seen with granian 2.8.9 on Python 3.11, HTTP/1. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check granian==2.8.9
cat >"$work/app.py" <<'PY'
async def app(scope, protocol):
    protocol.response_str(200, [("content-type", "text/plain")], "hello")
PY
cat >"$work/drive.py" <<'PY'
import socket
import subprocess
import sys
import time


def connected(port: int) -> socket.socket:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=3)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("granian did not start")


for timeout_ms in (1000, 20_000):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "rsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--http", "1", "--http1-header-read-timeout", str(timeout_ms), "--log-level", "error", "app:app"]
    server = subprocess.Popen(command)
    try:
        with connected(port) as kept:
            kept.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = kept.recv(4096).split(b"\r\n")[0].decode()
            try:
                after = "closed" if kept.recv(1) == b"" else "something more"
            except TimeoutError:
                after = "still open after 3 s"
            print(f"{timeout_ms} ms: {answer}; then, asked nothing: {after}")
    finally:
        server.terminate()
        server.wait()
PY
(cd "$work" && venv/bin/python drive.py) | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
1000 ms: HTTP/1.1 200 OK; then, asked nothing: closed
20000 ms: HTTP/1.1 200 OK; then, asked nothing: still open after 3 s
SEEN
echo "as described"
