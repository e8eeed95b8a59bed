"""Starts an SMSC that somebody else wrote (npm's `smpp`, under Node), and reads what it got."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

_SCRIPT = Path(__file__).with_name("smsc.js")
PASSWORD = "s3cret"


class Orders(msgspec.Struct, kw_only=True):
    """How it is to behave; numbers of messages are those since it was started."""

    journal: str
    port: int = 0
    password: str = PASSWORD
    receipts: bool = True
    receipts_by: str = "deliver_sm"  # or data_sm
    refuse_binds: dict[str, int] = {}  # by role: with which status
    tls: tuple[str, str] | None = None  # files of key and certificate
    statuses: dict[str, int] = {}  # by phone as sent: never take it
    throttle_every: int = 0
    most_per_second: int = 0  # throttle what is more
    late_every: int = 0
    late_ms: int = 0
    twice_every: int = 0
    swallow_every: int = 0  # take and never answer
    cut_at: list[int] = []  # take, then drop all connections
    kill_at: int = 0  # take, then kill -9 itself
    deaf: bool = False  # does not answer enquire_link


class Line(msgspec.Struct, kw_only=True):
    """Of its journal: a message it got (`to`; `taken` is the id, else `status` says why not), or what else it did."""

    to: str = ""
    ton: int = 0
    npi: int = 0
    esm_class: int = 0
    data_coding: int = 0
    registered: int = 0
    octets: str = ""
    text: str = ""
    udh: list[str] = []
    unanswered: int = 0
    taken: str = ""
    status: int = 0
    receipted: str = ""
    bound: str = ""
    version: int = 0
    role: str = ""
    enquired: bool = False
    unbound: bool = False


def need_smsc() -> None:
    """Skip the test where Node or its package is missing."""
    try:
        found = subprocess.run(["node", "-e", "require('smpp')"], capture_output=True, check=False)  # noqa: S607
    except FileNotFoundError:
        pytest.skip("Node is not installed (Debian's package nodejs), so there is no SMSC to test against")
    if found.returncode:
        pytest.skip("no SMSC: `npm install --prefix DIR smpp@0.5.1`, then set NODE_PATH=DIR/node_modules")


class Smsc:
    """A running one.

    Args:
        orders: how it is to behave; its port is filled in.
    """

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self._process = subprocess.Popen(
            ["node", str(_SCRIPT)],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(orders) + b"\n")
        self._process.stdin.flush()
        ready = self._process.stdout.readline().split()
        assert ready[:1] == [b"ready"], "the SMSC has not started"
        orders.port = int(ready[1])

    def died(self) -> int:
        """Wait until it has ended by itself; its return code."""
        return self._process.wait(30)

    def stop(self) -> None:
        """End it, if it has not ended yet."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def journal(self) -> list[Line]:
        """What happened to it, in order, with all that went before on the same journal."""
        decoder = msgspec.json.Decoder(Line)
        return [decoder.decode(line) for line in Path(self.orders.journal).read_bytes().splitlines()]

    def got(self) -> list[Line]:
        """The messages it was sent."""
        return [line for line in self.journal() if line.to]

    def taken(self) -> list[Line]:
        """The messages it took."""
        return [line for line in self.got() if line.taken]


@contextmanager
def smsc(orders: Orders) -> Iterator[Smsc]:
    """An SMSC, ended with the block."""
    running = Smsc(orders)
    try:
        yield running
    finally:
        running.stop()
