#!/usr/bin/env bash
# granian 2.8.9, RSGI: a body that breaks off looks whole to whoever reads it piece by piece.
#
# A client announces 200 octets, sends 100 and hangs up, as phones in a lift do. `async for piece in protocol` then gives
# the 100, and ends as it does for a whole body: no exception, and an answer can be sent. The one trace is an empty piece
# more at the end. `await protocol()`, which reads all at once, does raise. So an application that reads in pieces must
# count them against Content-Length itself, and for chunked bodies there is nothing to count against.
#
# Seen with granian 2.8.9 on Python 3.11, HTTP/1. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check granian==2.8.9
cat >"$work/app.py" <<'PY'
heard = []


async def app(scope, protocol):
    if scope.method == "POST":
        try:
            if scope.path.endswith("/in-pieces"):
                told = [len(piece) async for piece in protocol]
            else:
                told = len(await protocol())
        except Exception as error:
            told = type(error).__name__
        heard.append(f"{scope.path}: {told}")
    protocol.response_str(200, [("content-type", "text/plain")], "\n".join(heard))
PY
cat >"$work/drive.py" <<'PY'
import socket
import subprocess
import sys
import time

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]


def connected() -> socket.socket:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("granian did not start")


def heard() -> str:
    with connected() as asked:
        asked.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: asked.recv(4096), b""))
    return answer.partition(b"\r\n\r\n")[2].decode()


command = [sys.executable, "-m", "granian", "--interface", "rsgi", "--host", "127.0.0.1", "--port", str(port)]
server = subprocess.Popen([*command, "--http", "1", "--log-level", "error", "app:app"])
try:
    count = 0
    for how in (b"in-pieces", b"at-once"):
        for name, announced in ((b"whole", 100), (b"cut-short", 200)):
            with connected() as client:
                head = b"POST /%b/%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (name, how, announced)
                client.sendall(head + b"x" * 100)
                time.sleep(0.2)
                client.shutdown(socket.SHUT_WR)
                count += 1
                while heard().count("\n") + 1 < count:
                    time.sleep(0.1)
    print(heard())
finally:
    server.terminate()
    server.wait()
PY
(cd "$work" && timeout 60 venv/bin/python drive.py) | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
/whole/in-pieces: [100, 0]
/cut-short/in-pieces: [100, 0, 0]
/whole/at-once: 100
/cut-short/at-once: RSGIProtocolClosed
SEEN
echo "as described"
