"""A network on loopback addresses, of which every party has one of its own: a relay leads all that they say.

Nobody needs to be root. What it cannot show: packets that the kernel loses, and a connection that is refused, for
whoever is cut off is still answered by the relay's kernel, and hears nothing more.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from loadtests.faults.relay import CLEAR, Order, Way

_HOME = str(Path(__file__).resolve().parents[2])
_NODES, _TOLD, _HOSTS = 10, 110, 210  # where each kind of address begins in the network
_KEPT_FOR_A_KIND = 40

CUT = Way(cut=True)


class Network:
    """Addresses 127.x.y.*, and the relay between them."""

    def __init__(self) -> None:
        number = os.getpid() * 7 + next(_made)
        self._net = f"127.{64 + number // 256 % 128}.{number % 256}"
        self._relay: subprocess.Popen[bytes] | None = None
        self._ways: dict[tuple[str, str], Way] = {}

    def start(self) -> None:
        """Start the relay."""
        self._launch("loadtests.faults.relay")

    def stop(self) -> None:
        """End the relay, and every connection with it."""
        if self._relay is not None:
            self._relay.kill()
            self._relay.wait()
            for pipe in (self._relay.stdin, self._relay.stdout):
                if pipe is not None:
                    pipe.close()
            self._relay = None

    @property
    def net(self) -> str:
        """Return what all addresses begin with."""
        return f"{self._net}."

    def node(self, i: int) -> str:
        """Return where a node is."""
        return self._address(_NODES, i)

    def told(self, i: int) -> str:
        """Return where others are told that it is: by way of the relay."""
        return self._address(_TOLD, i)

    def host(self, i: int) -> str:
        """Return where a serving host's calls come from."""
        return self._address(_HOSTS, i)

    def lead(self, i: int, *ports: int) -> None:
        """Listen for a node, on these of its ports."""
        for port in ports:
            self._order(Order(listen=(self.told(i), port), to=(self.node(i), port)))

    def prefix(self, address: str) -> tuple[str, ...]:
        """Return what a command begins with that is to run where this address is: nothing, all are on loopback."""
        return ()

    def cut(self, some: Iterable[str], others: Iterable[str]) -> None:
        """Let nothing pass between these and those, either way."""
        some, others = tuple(some), tuple(others)
        self.change(CUT, some, others)
        self.change(CUT, others, some)

    def change(self, way: Way, senders: Iterable[str], receivers: Iterable[str]) -> None:
        """Let this be the way from each of these to each of those."""
        receivers = tuple(receivers)
        for sender in senders:
            self._ways |= {(sender, receiver): way for receiver in receivers if receiver != sender}
        self._tell()

    def heal(self) -> bool:
        """Let everything pass; returns whether something did not."""
        harmed = any(way != CLEAR for way in self._ways.values())
        self._ways.clear()
        if self._relay is not None:
            self._tell()
        return harmed

    def _launch(self, module: str, *words: str) -> None:
        """Start what is told the ways."""
        path = os.pathsep.join(filter(None, (_HOME, os.environ.get("PYTHONPATH"))))
        self._relay = subprocess.Popen(
            [sys.executable, "-m", module, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip

    def _tell(self) -> None:
        self._order(Order(ways=[(*pair, way) for pair, way in self._ways.items()]))

    def _order(self, order: Order) -> None:
        assert self._relay is not None and self._relay.stdin is not None  # noqa: S101
        self._relay.stdin.write(msgspec.json.encode(order) + b"\n")
        self._relay.stdin.flush()
        self._heard()

    def _heard(self) -> None:
        """Wait until it has done what it was told."""
        if self._relay is None or self._relay.stdout is None or not self._relay.stdout.readline():
            raise OSError("the relay has ended")

    def _address(self, first: int, i: int) -> str:
        if i >= _KEPT_FOR_A_KIND:
            raise ValueError("so many addresses are not kept")
        return f"{self._net}.{first + i}"


_made = itertools.count()


def own_addresses(network: Network, folder: Path, host: int | None = None) -> dict[str, str]:
    """Return the environment in which each Python process has an address of its own; with a `host`, all have that."""
    kept = folder / "addresses"
    kept.mkdir(exist_ok=True)
    (kept / "free").write_text(" ".join(network.host(i) for i in range(_KEPT_FOR_A_KIND)))
    (folder / "sitecustomize.py").write_text("import loadtests.faults.own_address\n")
    path = os.pathsep.join(filter(None, (str(folder), _HOME, os.environ.get("PYTHONPATH"))))
    environment = {"JIAOHAO_REHEARSAL_ADDRESSES": str(kept), "JIAOHAO_REHEARSAL_NET": network.net, "PYTHONPATH": path}
    return environment | ({"JIAOHAO_REHEARSAL_HOST": network.host(host)} if host is not None else {})
