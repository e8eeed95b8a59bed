"""Programs that abuse connections, not calls: slow heads, slow bodies, idle herds, floods (`crowd.profile.Bots`).

What a server may be expected to do: end what dawdles or says nothing within a time (the crowd file's `borne_seconds`),
whatever its number; and serve residents all the while, whose own lines say whether it did. A flood asks for nothing, so
nothing is promised to it.

By TLS a slow head or body is a slow handshake: its first bytes are what dawdles.
"""

from __future__ import annotations

import random
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import gevent

from loadtests.client.channel import PlainSocket, Target, bind_to
from loadtests.client.channel_tls import crowd_context
from loadtests.client.http import Broken, read_answer
from loadtests.crowd.profile import CONNECTION_KINDS, Bots
from loadtests.resident.acts import SECOND_US
from loadtests.resident.bots import fleet_size
from loadtests.resident.journey import Journey
from loadtests.run.clock import RunClock
from loadtests.run.sources import source_of, sources_to

MOST = 2000
"""Connections of all such bots of a generator together."""
_TICK_SECONDS = 0.25
_BYTES = 4000


@dataclass(eq=False)
class _Held:
    """A bot's connection: since when it is open, and what it says, a byte at a time after what it says at once."""

    bots: Bots
    number: int
    says: bytes
    at_once: int
    line: Any = None
    opened_us: int = 0
    next_us: int = 0
    said: int = 0
    heard: bytes = field(default=b"")
    borne: bool = False


class ConnectionBots:
    """All bots of a generator that abuse connections.

    Args:
        target: the server.
        authority: as a Host header has it.
        tls: it speaks TLS.
    """

    def __init__(self, journey: Journey, clock: RunClock, target: Target, authority: str, *, tls: bool) -> None:
        self._journey, self._clock, self._target, self._tls = journey, clock, target, tls
        self._many = sources_to(str(target.address[0])) > 1
        self._held: list[_Held] = []
        crowd = journey.crowd
        for bots in crowd.profile.bots:
            if bots.kind in CONNECTION_KINDS:
                count = fleet_size(bots, crowd.residents) * bots.connections
                mine = range(journey.share.index, count, journey.share.of)
                at_once, slowly = self._words(bots, authority)
                self._held += [_Held(bots, k, at_once + slowly, len(at_once)) for k in mine]
        self._held = self._held[:MOST]
        self._greenlet: Any = None

    def __len__(self) -> int:
        return len(self._held)

    def begin(self) -> None:
        """Let them in, each at a moment of the first beat."""
        chance, now_us = random.Random(self._journey.crowd.seed), self._clock.now_us()
        opens_us = max(self._journey.openings[0].opens_us, now_us)
        for held in self._held:
            held.next_us = opens_us + int(chance.random() * held.bots.every_seconds * SECOND_US)
        if self._held:
            self._greenlet = gevent.spawn(self._go_round)

    def end(self) -> None:
        """Send them away."""
        if self._greenlet is not None:
            self._greenlet.kill()
        for held in self._held:
            self._hang_up(held)

    def _go_round(self) -> None:
        while True:
            for k, held in enumerate(self._held):
                self._look(held, self._clock.now_us())
                if k % 100 == 99:
                    gevent.sleep(0)
            gevent.sleep(_TICK_SECONDS)

    def _look(self, held: _Held, now_us: int) -> None:
        if held.line is not None and held.bots.kind != "connection-flood":
            self._listen(held, now_us)
        if now_us < held.next_us:
            return
        held.next_us = now_us + int(held.bots.every_seconds * SECOND_US)
        if held.bots.kind == "connection-flood":
            self._hang_up(held)
        if held.line is None:
            self._open(held, now_us)
        else:
            self._say(held, now_us)

    def _open(self, held: _Held, now_us: int) -> None:
        held.line = line = PlainSocket(self._target.family, socket.SOCK_STREAM)
        held.opened_us, held.said, held.heard, held.borne = now_us, 0, b"", False
        line.setblocking(False)
        self._journey.meters.count("bot connections", now_us)
        try:
            if self._many:
                bind_to(line, source_of(self._journey.crowd.residents + held.number << 1))
            line.connect_ex(self._target.address)
        except OSError:
            self._hang_up(held)

    def _say(self, held: _Held, now_us: int) -> None:
        """Say one byte more, where there is something to say."""
        try:
            if held.said < len(held.says):
                held.said += held.line.send(held.says[held.said : max(held.at_once, held.said + 1)])
        except BlockingIOError:
            pass
        except OSError:
            self._ended(held, now_us)

    def _listen(self, held: _Held, now_us: int) -> None:
        try:
            data = held.line.recv(65_536)
        except BlockingIOError:
            limit_s, borne_s = held.bots.borne_seconds, (now_us - held.opened_us) / SECOND_US
            if limit_s is not None and borne_s > limit_s and not held.borne:
                held.borne = True
                self._journey.observations.contradict(
                    f"{held.bots.kind} borne", self._journey.crowd.residents, f"not ended after {borne_s:.0f} s"
                )
            return
        except OSError:
            data = b""
        held.heard += data
        if not data:
            self._ended(held, now_us)

    def _ended(self, held: _Held, now_us: int) -> None:
        """The server has ended the connection, with an answer or without one."""
        status = 0
        try:
            answer = read_answer(held.heard) if not self._tls else None
            status = answer.status if answer is not None else 0
        except Broken:
            pass
        self._journey.meters.bots[(held.bots.kind, status, "" if status else "closed")] += 1
        self._hang_up(held)

    def _hang_up(self, held: _Held) -> None:
        if held.line is not None:
            held.line.close()
            held.line = None

    def _words(self, bots: Bots, authority: str) -> tuple[bytes, bytes]:
        """Return what a bot says at once, and what a byte at a time."""
        if bots.kind not in ("slow-head", "slow-body"):
            return b"", b""
        if self._tls:
            return b"", _client_hello(self._target.server_name)
        district = self._journey.crowd.districts[0]
        head = f"POST /api/v1/openings/{district}/eligibility HTTP/1.1\r\nHost: {authority}\r\n"
        if bots.kind == "slow-head":
            return b"", f"{head}X-Nothing: {'x' * _BYTES}".encode()
        head += f"Content-Type: application/json\r\nContent-Length: {2 * _BYTES}\r\n\r\n"
        return head.encode(), b" " * _BYTES


def _client_hello(server_name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = crowd_context().wrap_bio(incoming, outgoing, server_hostname=server_name)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()
