"""A network of real namespaces, for root on Linux: packets are dropped by the kernel, and no connection hears of it.

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
from loadtests.faults.relay import Way

_ROUTER = "10.77.0.1"
_HELD_SECONDS = "7200"  # should nobody be left to end it
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


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
        self._dropped: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Be the router.

        Raises:
            FaultError: this is not possible here.
        """
        _ip("link", "set", "lo", "up")
        _FORWARDING.write_text("1")

    def stop(self) -> None:
        """End all namespaces."""
        for holder in self._holders.values():
            holder.kill()
            holder.wait()
        self._holders.clear()

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
        """Drop what each of these sends to each of those, or let it pass.

        Raises:
            FaultError: it is to be delayed or lost by chance, which takes the relay.
        """
        if way.delay_seconds or way.loss:
            raise FaultError("between namespaces nothing is delayed: this kernel has no netem")
        receivers = tuple(receivers)
        pairs = {(sender, receiver) for sender in senders for receiver in receivers if sender != receiver}
        for pair in pairs - self._dropped if way.cut else pairs & self._dropped:
            self._rule("add" if way.cut else "del", pair)

    def heal(self) -> bool:
        """Let everything pass; returns whether something did not."""
        harmed = bool(self._dropped)
        for pair in tuple(self._dropped):
            self._rule("del", pair)
        return harmed

    def _rule(self, what: str, pair: tuple[str, str]) -> None:
        _ip("rule", what, "from", pair[0], "to", pair[1], "blackhole")
        if what == "add":
            self._dropped.add(pair)
        else:
            self._dropped.discard(pair)

    def _connect(self, address: str, pid: int) -> None:
        """Give the namespace of this process a line to the router."""
        here, there = f"jh{address.rpartition('.')[2]}", ("nsenter", f"--target={pid}", "--net")
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
