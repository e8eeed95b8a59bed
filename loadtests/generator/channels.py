"""Channels to the server of a run, from as many addresses as residents have."""

from __future__ import annotations

import socket
from typing import Any

from gevent import socket as gevent_socket
from gevent.hub import get_hub

from loadtests.client.channel import Channel, ChannelHolder, Target
from loadtests.client.channel_tls import TlsChannel, TlsSessions
from loadtests.client.wire import Address
from loadtests.run.options import CannotRehearse
from loadtests.run.sources import source_of, sources_to


class ChannelFactory:
    """This makes the channels of a generator.

    Args:
        holder: told what becomes of each.
        own: each owner has an address, where there are many; else all come from the machine's.

    Raises:
        CannotRehearse: nobody knows the server's name.
    """

    def __init__(self, address: Address, holder: ChannelHolder, *, own: bool) -> None:
        try:
            found: list[Any] = gevent_socket.getaddrinfo(address.host, address.port, 0, socket.SOCK_STREAM)
        except OSError as error:
            raise CannotRehearse(f"--host: {address.host}: {error}") from None
        family, _, _, _, where = min(found, key=lambda it: it[0] != socket.AF_INET)
        self.target = Target(get_hub().loop, family, where, address.host)
        self._sources = sources_to(str(where[0])) if own else 1
        self._holder, self._sessions = holder, TlsSessions() if address.tls else None

    def make(self, owner: int, needed_us: int) -> Channel:
        """Return a channel of an owner, not yet open."""
        source = source_of(owner) if self._sources > 1 else None
        if self._sessions is None:
            return Channel(self.target, self._holder, owner, needed_us, source)
        return TlsChannel(self.target, self._holder, owner, needed_us, source, self._sessions)
