"""A way that loses packets: by a model of TCP behind the relay, and by the kernel's own between namespaces."""

import asyncio
import os
import subprocess
import sys

import pytest

from loadtests.faults.lossy import Flow
from loadtests.faults.namespaces import problem
from loadtests.faults.relay import CLEAR, Way
from tests.support.serving import REPO


class Line:
    """A connection of which one side speaks."""

    def __init__(self, way: Way) -> None:
        self.way, self.arrived = way, bytearray()
        self.ended = asyncio.Event()
        self.there = Flow(lambda: self.way, lambda: self.way, self._arrive)
        self.back = Flow(lambda: self.way, lambda: self.way, lambda _: None)
        self.there.other, self.back.other = self.back, self.there

    def _arrive(self, data: bytes | None) -> None:
        if data is None:
            self.ended.set()
        else:
            self.arrived += data


async def test_all_arrives_in_order_whatever_is_lost() -> None:
    sent = b"".join(n.to_bytes(4, "big") for n in range(5000))
    line = Line(Way(delay_seconds=0.001, loss=0.3))
    for at in range(0, len(sent), 100):
        line.there.send(sent[at : at + 100])
        if at % 1000 == 0:
            await asyncio.sleep(0.002)
    line.there.send(None)
    async with asyncio.timeout(120):
        await line.ended.wait()
    assert line.arrived == sent


async def test_nothing_arrives_before_a_cut_ends_and_all_of_it_then() -> None:
    line = Line(Way(cut=True))
    line.there.send(b"late")
    await asyncio.sleep(0.3)
    assert line.arrived == b""
    assert line.there.is_busy
    line.way = CLEAR
    line.there.send(None)
    async with asyncio.timeout(30):
        await line.ended.wait()
    assert line.arrived == b"late"


async def test_the_other_side_is_told_with_what_it_says_itself() -> None:
    line = Line(CLEAR)
    line.there.send(b"a question")
    await asyncio.sleep(0.01)
    assert line.there.is_busy, "an acknowledgement waits for something to go with"
    line.back.send(b"an answer")
    await asyncio.sleep(0.01)
    assert not line.there.is_busy


_ECHO = """
import socket
with socket.create_server(("{address}", 5000)) as server:
    print("listening", flush=True)
    theirs, _ = server.accept()
    while said := theirs.recv(100):
        theirs.sendall(said)
"""
_ASK = """
import socket
with socket.create_connection(("{address}", 5000)) as ours:
    for n in range(20):
        ours.sendall(b"%3d" % n)
        assert ours.recv(100) == b"%3d" % n
rows = [row.split() for row in open("/proc/net/snmp") if row.startswith("Tcp:")]
print(dict(zip(*rows))["RetransSegs"])
"""
_BETWEEN = f"""
import subprocess, sys
from loadtests.faults.namespaces import Namespaces
from loadtests.faults.relay import Way
network = Namespaces()
network.start()
try:
    a, b = network.node(0), network.node(1)
    def run(where, text):
        command = [*network.prefix(where), sys.executable, "-c", text.format(address=b)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    echo = run(b, {_ECHO!r})
    assert echo.stdout.readline()
    network.change(Way(delay_seconds=0.01, loss=0.25), [a, b], [a, b])
    said, _ = run(a, {_ASK!r}).communicate(timeout=120)
    echo.wait(30)
    assert network.heal() and not network.heal()
    print(said)
finally:
    network.stop()
"""


def test_between_namespaces_packets_are_really_lost_and_tcp_sends_them_again() -> None:
    if (why_not := problem()) is not None:
        pytest.skip(why_not)
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", _BETWEEN], cwd=REPO, env=os.environ | {"PYTHONPATH": str(REPO)},  # noqa: S607
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
