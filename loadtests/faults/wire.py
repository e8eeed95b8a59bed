"""A wire between namespaces that delays packets and really loses some: the kernel's own TCP makes of it what it can.

What is to be delayed or lost is routed into a TUN device of the router. This process reads it there, and writes it back
when it is due, or never. It is told which ways are other than clear by lines of JSON (`Order`), each of which it
answers with an empty one (an empty first line says that the device is there), and ends with its stdin.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import selectors
import struct
import sys
import time

import msgspec

from loadtests.faults.relay import CLEAR, Order, Way

_DEVICE = "/dev/net/tun"
_SET_INTERFACE, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_LARGEST = 65_536
_SENDER, _RECEIVER = slice(12, 16), slice(16, 20)  # of an IPv4 packet
_FOREVER = 3600.0


class Wire:
    """Holds packets back, and drops some.

    Args:
        device: descriptor of the TUN device.
    """

    def __init__(self, device: int) -> None:
        self._device = device
        self._ways: dict[tuple[bytes, bytes], Way] = {}
        self._under_way: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()

    def set_ways(self, ways: list[tuple[str, str, Way]]) -> None:
        """From now on these are other than clear, and no more."""
        self._ways = {(_packed(sender), _packed(receiver)): way for sender, receiver, way in ways}

    def take(self) -> None:
        """Take what has come."""
        while True:
            try:
                packet = os.read(self._device, _LARGEST)
            except BlockingIOError:
                return
            way = self._ways.get((packet[_SENDER], packet[_RECEIVER]), CLEAR)
            if not way.cut and random.random() >= way.loss:
                due = time.monotonic() + way.delay_seconds
                heapq.heappush(self._under_way, (due, next(self._order), packet))

    def deliver(self) -> float:
        """Write back what is due; returns in how many seconds more is."""
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            try:
                os.write(self._device, heapq.heappop(self._under_way)[2])
            except OSError:  # of a kind that the kernel does not route, which no party of ours sends
                continue
        return self._under_way[0][0] - now if self._under_way else _FOREVER


def _packed(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def _made(name: str) -> int:
    """Return the descriptor of a new device."""
    device = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    return device


def _answer() -> None:
    sys.stdout.write("\n")
    sys.stdout.flush()


def _serve(name: str) -> None:
    device, orders = _made(name), sys.stdin.fileno()
    wire, said = Wire(device), b""
    with selectors.DefaultSelector() as selector:
        selector.register(device, selectors.EVENT_READ, wire)
        selector.register(orders, selectors.EVENT_READ, None)
        _answer()
        while True:
            for key, _ in selector.select(wire.deliver()):
                if key.data is not None:
                    wire.take()
                    continue
                more = os.read(orders, _LARGEST)
                if not more:
                    return
                *lines, said = (said + more).split(b"\n")
                for line in lines:
                    wire.set_ways(msgspec.json.decode(line, type=Order).ways or [])
                    _answer()


if __name__ == "__main__":
    _serve(sys.argv[1])
