"""A relay between parties that speak TCP with each other: it cuts, delays and loses by pair, each way by itself.

A party is known by the address that its connections come from, and is listened for at another one, to which it has told
everybody to come. Nothing is reset by a cut: what is under way waits for its end, as in a network that loses packets.

As a process of its own (`python -m loadtests.faults.relay`) it is told what to do by lines of JSON (`Order`), each of
which it answers with an empty one; it ends with its stdin. `loadtests.faults.network` is the other end.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from loadtests.faults.lossy import Flow

Destination: TypeAlias = tuple[str, int] | str
"""(host, port), or the path of a socket."""

_HELD_BYTES = 1 << 20  # more than this under way in one direction, and its sender is not read any more


class Way(msgspec.Struct, frozen=True):
    """What becomes of what one party sends to another.

    Attributes:
        cut: nothing arrives before the cut ends.
        delay_seconds: how long everything is under way.
        loss: share of the packets that are lost. TCP sends one again, and what is behind it waits: that is what is done
            here (`lossy.py`), as only the kernel could really lose it.
    """

    cut: bool = False
    delay_seconds: float = 0.0
    loss: float = 0.0


CLEAR = Way()


class Order(msgspec.Struct):
    """What a relay's process is told: where to listen and for whom, or which ways are other than clear from now on."""

    listen: tuple[str, int] | None = None
    to: tuple[str, int] | None = None
    ways: list[tuple[str, str, Way]] | None = None


class Relay:
    """Leads connections to their destination, and each octet by the way that is in force between the two parties.

    Args:
        ways: by (sender, receiver), those that are other than clear.
    """

    def __init__(self, ways: Mapping[tuple[str, str], Way] | None = None) -> None:
        self._ways = dict(ways or {})
        self._lanes: set[_Lane] = set()
        self._servers: list[asyncio.Server] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def listen(
        self, at: tuple[str, int], to: Callable[[], Destination], tls: ssl.SSLContext | None = None
    ) -> int:
        """Listen there (port 0: any free one) for who is, at that time, at `to`; returns the port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _End(accepted=lambda end: self._meet(end, to())), *at, ssl=tls)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def set_ways(self, ways: Mapping[tuple[str, str], Way]) -> None:
        """From now on these are other than clear, and no more."""
        self._ways = dict(ways)
        self._changed.set()
        self._changed = asyncio.Event()
        for lane in tuple(self._lanes):
            lane.flow()

    def way(self, sender: str, receiver: str) -> Way:
        """Return what becomes of what is sent so."""
        return self._ways.get((sender, receiver), CLEAR)

    async def close(self) -> None:
        """End it, with all that is under way."""
        for server in self._servers:
            server.close()
        for task in tuple(self._opening):
            task.cancel()
        for lane in tuple(self._lanes):
            lane.end()
            lane.source.finish()

    def _meet(self, end: _End, to: Destination) -> None:
        task = asyncio.create_task(self._open(end, to))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, theirs: _End, to: Destination) -> None:
        """Connect the two, once both may hear each other."""
        sender, receiver = theirs.party, to if isinstance(to, str) else to[0]
        loop = asyncio.get_running_loop()
        try:
            while self.way(sender, receiver).cut or self.way(receiver, sender).cut:
                await self._changed.wait()
            if isinstance(to, str):
                _, ours = await loop.create_unix_connection(_End, to)
            else:
                _, ours = await loop.create_connection(_End, *to)
        except (OSError, asyncio.CancelledError):
            theirs.finish()
            return
        there_now, back_now = (lambda: self.way(sender, receiver)), (lambda: self.way(receiver, sender))
        there = _Lane(there_now, back_now, ours, theirs, self._lanes)
        back = _Lane(back_now, there_now, theirs, ours, self._lanes)
        there.lossy.other, back.lossy.other = back.lossy, there.lossy
        ours.leads_to(back)
        theirs.leads_to(there)


class _End(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self, accepted: Callable[[_End], None] | None = None) -> None:
        self._accepted = accepted
        self._lane: _Lane | None = None
        self._gone = False
        self._early = bytearray()  # said before it was known to whom
        self.feeds: _Lane | None = None
        self.party = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        if (sock := transport.get_extra_info("socket")) is not None and sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.party = transport.get_extra_info("peername")[0]
        if self._accepted is not None:
            self._accepted(self)

    def leads_to(self, lane: _Lane) -> None:
        """Send what comes from here by this lane."""
        self._lane = lane
        if self._early:
            lane.send(bytes(self._early))
            self._early.clear()
        if self._gone:
            lane.send(None)

    def data_received(self, data: bytes) -> None:
        if self._lane is None:
            self._early += data
        else:
            self._lane.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        if self._lane is not None:
            self._lane.send(None)
        if self.feeds is not None:
            self.feeds.end()

    def pause_writing(self) -> None:
        if self.feeds is not None:
            self.feeds.source.pause()

    def resume_writing(self) -> None:
        if self.feeds is not None:
            self.feeds.source.go_on()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def finish(self) -> None:
        self._transport.close()

    def pause(self) -> None:
        if not self._gone:
            self._transport.pause_reading()

    def go_on(self) -> None:
        if not self._gone:
            self._transport.resume_reading()


class _Lane:
    """One direction of a connection: what is under way in it, in order."""

    def __init__(
        self, way: Callable[[], Way], back: Callable[[], Way], target: _End, source: _End, lanes: set[_Lane]
    ) -> None:
        self._way = way
        self.lossy = Flow(way, back, self._found_its_way)
        self._target = target
        self.source = source
        self._lanes = lanes
        self._under_way: deque[tuple[float, bytes | None]] = deque()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        target.feeds = self
        lanes.add(self)

    def send(self, data: bytes | None) -> None:
        """Take these octets, or with None the connection's end, on their way."""
        way = self._way()
        if not self._under_way and not self.lossy.is_busy and way == CLEAR:
            self._arrive(data)
            return
        self._held += len(data or b"")
        if self._held > _HELD_BYTES:
            self.source.pause()
        if self.lossy.is_busy or (way.loss and not self._under_way):
            self.lossy.send(data)
            return
        due = self._loop.time() + way.delay_seconds
        if self._under_way:
            due = max(due, self._under_way[-1][0])
        self._under_way.append((due, data))
        self.flow()

    def flow(self) -> None:
        """Let arrive what is due, unless it is cut."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._way().cut:
            return
        now = self._loop.time()
        while self._under_way and self._under_way[0][0] <= now:
            self._found_its_way(self._under_way.popleft()[1])
        if self._under_way:
            self._timer = self._loop.call_at(self._under_way[0][0], self.flow)

    def _found_its_way(self, data: bytes | None) -> None:
        full = self._held > _HELD_BYTES
        self._held -= len(data or b"")
        if full and self._held <= _HELD_BYTES:
            self.source.go_on()
        self._arrive(data)

    def _arrive(self, data: bytes | None) -> None:
        if data is None:
            self._target.finish()
            self.end()
        else:
            self._target.write(data)

    def end(self) -> None:
        """Nothing arrives any more: the receiver has gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._under_way.clear()
        self.lossy.end()
        self._lanes.discard(self)


async def _serve() -> None:
    relay, loop = Relay(), asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = msgspec.json.decode(line, type=Order)
        if order.listen is not None and order.to is not None:
            await relay.listen(order.listen, lambda to=order.to: to)  # type: ignore[misc]
        if order.ways is not None:
            relay.set_ways({(sender, receiver): way for sender, receiver, way in order.ways})
        sys.stdout.write("\n")
        sys.stdout.flush()
    await relay.close()


if __name__ == "__main__":
    asyncio.run(_serve())
