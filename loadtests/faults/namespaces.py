"""A network of real namespaces, for root on Linux: packets are dropped by the kernel, and no connection hears of it.

Those that are to be late, or lost by chance, make a way round by a wire of ours (`wire.py`), and TCP is the kernel's.

The process that makes it is the router between them, in a namespace of its own (`python -m loadtests.nemesis` puts
itself into one, with `--namespaces`); each party has one, with one address, and all that it says passes the router,
whose rules drop it by pair and direction. Nothing is left behind: a namespace ends with the process that holds it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from loadtests.faults.fault import FaultError
from loadtests.faults.network import Network
from loadtests.faults.relay import CLEAR, Order, Way

_ROUTER = "10.77.0.1"
_WIRE, _WIRED = "wire", "77"  # the device, and the table of routes that leads to it
_HELD_SECONDS = "7200"  # should nobody be left to end it
_SETTINGS = Path("/proc/sys/net/ipv4")


def problem() -> str | None:
    """Say why this cannot be had here, in one line; None where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces take root on Linux"
    return None


class Namespaces(Network):
    """Parties in namespaces of their own, at 10.77.0.*."""

    def __init__(self) -> None:
        super().__init__()
        self._net = "10.77.0"
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self._rules: dict[tuple[str, str], tuple[str, ...]] = {}

    def start(self) -> None:
        """Be the router.

        Raises:
            FaultError: this is not possible here.
        """
        _ip("link", "set", "lo", "up")
        (_SETTINGS / "ip_forward").write_text("1")

    def stop(self) -> None:
        """End all namespaces."""
        for holder in self._holders.values():
            holder.kill()
            holder.wait()
        self._holders.clear()
        super().stop()

    def told(self, i: int) -> str:
        """Return where others are told that a node is: where it is."""
        return self.node(i)

    def lead(self, i: int, *ports: int) -> None:
        """Make a node's namespace; it is reached at every port."""
        self.prefix(self.node(i))

    def prefix(self, address: str) -> tuple[str, ...]:
        """Return what a command begins with that is to run where this address is."""
        if address not in self._holders:
            self._holders[address] = holder = subprocess.Popen(["unshare", "--net", "sleep", _HELD_SECONDS])  # noqa: S607
            self._connect(address, holder.pid)
        return "nsenter", f"--target={self._holders[address].pid}", "--net"

    def change(self, way: Way, senders: Iterable[str], receivers: Iterable[str]) -> None:
        """Let this be the way from each of these to each of those."""
        receivers = tuple(receivers)
        for pair in [(sender, receiver) for sender in senders for receiver in receivers if sender != receiver]:
            self._ways[pair] = way
            if way.cut:
                self._rule(pair, "blackhole")
            else:
                self._rule(pair, *(() if way == CLEAR else ("iif", _line(pair[0]), "lookup", _WIRED)))
        wired = [(*pair, way) for pair, way in self._ways.items() if not way.cut and way != CLEAR]
        if wired and self._relay is None:
            self._start_wire()
        if self._relay is not None:
            self._order(Order(ways=wired))

    def heal(self) -> bool:
        """Let everything pass; returns whether something did not."""
        harmed = bool(self._rules)
        for pair in tuple(self._rules):
            self._rule(pair)
        self._ways.clear()
        return harmed

    def _rule(self, pair: tuple[str, str], *words: str) -> None:
        """Let this be the rule for what is sent so, in place of the one before; none: as everything."""
        sent, before = ("from", pair[0], "to", pair[1]), self._rules.pop(pair, ())
        if words != before:
            if words:
                _ip("rule", "add", *sent, *words)
            if before:
                _ip("rule", "del", *sent, *before)
        if words:
            self._rules[pair] = words

    def _start_wire(self) -> None:
        """Have what is told to go there pass our wire."""
        self._launch("loadtests.faults.wire", _WIRE)
        self._heard()
        for device in ("all", _WIRE):  # what comes back from it has come from elsewhere
            (_SETTINGS / "conf" / device / "rp_filter").write_text("0")
        _ip("link", "set", _WIRE, "up")
        _ip("route", "add", "default", "dev", _WIRE, "table", _WIRED)

    def _connect(self, address: str, pid: int) -> None:
        """Give the namespace of this process a line to the router."""
        here, there = _line(address), ("nsenter", f"--target={pid}", "--net")
        _in_its_own(pid)
        _ip("link", "add", here, "type", "veth", "peer", "name", "out", "netns", str(pid))
        _ip("addr", "add", f"{_ROUTER}/32", "dev", here)
        _ip("link", "set", here, "up")
        for words in (
            f"addr add {address}/32 dev out", "link set out up", "link set lo up", f"route add {_ROUTER} dev out",
            f"route add default via {_ROUTER}",
        ):  # fmt: skip
            _run(*there, "ip", *words.split())
        _ip("route", "add", address, "dev", here)


def _line(address: str) -> str:
    """Return the name of the router's end of the line to this address."""
    return f"jh{address.rpartition('.')[2]}"


def _in_its_own(pid: int) -> None:
    """Wait until `unshare` has made it."""
    deadline = time.monotonic() + 10
    while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        if time.monotonic() > deadline:
            raise FaultError("no namespace was made")
        time.sleep(0.01)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise FaultError(f"{' '.join(command)}: {' '.join(done.stderr.split())}")
