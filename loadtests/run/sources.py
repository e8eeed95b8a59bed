"""The addresses that the crowd's connections come from: on loopback thousands, so that limits by address are real."""

from __future__ import annotations

import socket
from functools import cache
from ipaddress import ip_address

_SOURCES = 4000
_A_NETWORK = 250


def source_of(owner: int) -> str:
    """Return the loopback address of an owner of connections: a device has one, and few share it."""
    number = (owner >> 1) % _SOURCES
    return f"127.0.{1 + number // _A_NETWORK}.{1 + number % _A_NETWORK}"


@cache
def sources_to(address: str) -> int:
    """Say from how many addresses connections to this one come: thousands on loopback, where the system has them."""
    try:
        found = ip_address("127.0.0.1" if address == "localhost" else address)
    except ValueError:  # a name, of a machine elsewhere
        return 1
    if found.version != 4 or not found.is_loopback:
        return 1
    with socket.socket() as probe:
        try:
            probe.bind((source_of(_SOURCES - 1 << 1), 0))
        except OSError:  # some systems have 127.0.0.1 only
            return 1
    return _SOURCES
