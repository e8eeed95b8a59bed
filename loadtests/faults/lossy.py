"""What TCP makes of a way that loses packets, for a relay that cannot lose any: when each octet arrives at last.

A sender as Linux has it (RFC 6298, RFC 8985): what was sent after a packet and is acknowledged before it shows that it
was lost, and it is sent again at once; else it is after a time-out, doubled each time, and no more than one packet is
sent meanwhile. Acknowledgements are lost too, which makes round trips look longer, and the time-outs with them. What is
behind a lost packet waits for it. How near that is to the kernel's own is in `loadtests/README.md`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

_SEGMENT = 1448  # octets of a packet
_LEAST_SECONDS = 0.2  # of a time-out, beyond the round trip
_MOST_UNDER_WAY = 10
_MOST_DOUBLINGS = 8
_LATE_SECONDS = 0.04  # an acknowledgement waits so long for something that takes it along
_FEWEST, _SHRINKS = 2.0, 0.7  # of the packets under way, after a loss


class OneWay(Protocol):
    """What becomes of what is sent so."""

    @property
    def cut(self) -> bool:
        """Whether nothing arrives."""

    @property
    def delay_seconds(self) -> float:
        """How long everything is under way."""

    @property
    def loss(self) -> float:
        """Share of the packets that are lost."""


@dataclass
class _Packet:
    number: int
    data: bytes | None
    sent_at: float = 0.0
    times_sent: int = 0
    is_lost: bool = False


class _Acknowledged(NamedTuple):
    """All packets before `before`, and these."""

    before: int
    beyond: frozenset[int]


class _RoundTrips:
    """An estimate of how long they take, as Linux keeps it: soon longer, and slowly shorter."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._deviation, self._most, self._variance = 0.0, _LEAST_SECONDS, _LEAST_SECONDS

    def timeout_seconds(self) -> float:
        """Say after how long a packet is taken for lost."""
        return self.seconds + self._variance

    def saw(self, seconds: float) -> None:
        """One took so long."""
        difference = seconds - self.seconds
        self.seconds += difference / 8
        more = abs(difference) - self._deviation
        self._deviation += more / 32 if difference < 0 < more else more / 4
        self._most = max(self._most, 4 * self._deviation)
        self._variance = max(self._variance, self._most)

    def round_over(self) -> None:
        """All that was under way at one moment is there."""
        self._variance -= max(0.0, self._variance - self._most) / 4
        self._most = _LEAST_SECONDS


class Flow:
    """One direction of a connection.

    Args:
        there, back: the ways of its packets, and of what acknowledges them.
        arrive: told of what has arrived, in order; None: the end.
    """

    def __init__(
        self, there: Callable[[], OneWay], back: Callable[[], OneWay], arrive: Callable[[bytes | None], None]
    ) -> None:
        self._there, self._back, self._arrive = there, back, arrive
        self._loop = asyncio.get_running_loop()
        self.other: Flow | None = None
        self._numbers = itertools.count()
        self._unsent: deque[bytes | None] = deque()
        self._sent: dict[int, _Packet] = {}  # and not known to be there, the first first
        self._expected, self._early = 0, dict[int, bytes | None]()  # at the receiver
        self._trips = _RoundTrips()
        self._round_until = self._recovers_until = 0  # what is numbered below
        self._window, self._slow_from = float(_MOST_UNDER_WAY), float(_MOST_UNDER_WAY)
        self._doublings, self._has_probed = 0, False
        self._latest_there = 0.0  # when what is known to be there was sent
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None  # the receiver's acknowledgement

    @property
    def is_busy(self) -> bool:
        """Whether anything is not known to be there."""
        return bool(self._sent or self._unsent)

    def send(self, data: bytes | None) -> None:
        """Take these octets, or with None the connection's end, on their way."""
        self._unsent += [None] if data is None else [data[i : i + _SEGMENT] for i in range(0, len(data), _SEGMENT)]
        self._push()

    def end(self) -> None:
        """Nothing is sent any more."""
        for timer in (self._timer, self._late):
            if timer is not None:
                timer.cancel()
        self._timer = self._late = None
        self._unsent.clear()
        self._sent.clear()

    # the sender

    def _push(self) -> None:
        under_way = sum(not packet.is_lost for packet in self._sent.values())
        for packet in [it for it in self._sent.values() if it.is_lost]:
            if under_way >= int(self._window):
                return
            self._transmit(packet)
            under_way += 1
        while self._unsent and under_way < int(self._window):
            packet = _Packet(next(self._numbers), self._next_unsent())
            self._sent[packet.number] = packet
            self._transmit(packet)
            under_way += 1

    def _next_unsent(self) -> bytes | None:
        """Return what goes into one packet: small pieces that had to wait share one."""
        data = self._unsent.popleft()
        while data is not None and self._unsent and len(data) + len(self._unsent[0] or bytes(_SEGMENT)) <= _SEGMENT:
            data += self._unsent.popleft() or b""
        return data

    def _transmit(self, packet: _Packet) -> None:
        packet.sent_at, packet.is_lost = self._loop.time(), False
        packet.times_sent += 1
        known = self.other.acknowledged() if self.other is not None else None
        self._over(self._there(), self._received, packet.number, packet.data, known)
        if self._timer is None:
            self._set_timer()

    def _over(self, way: OneWay, then: Callable[..., None], *what: object) -> None:
        if not way.cut and random.random() >= way.loss:
            self._loop.call_later(way.delay_seconds, then, *what)

    @property
    def _recovers(self) -> bool:
        return next(iter(self._sent), self._recovers_until) < self._recovers_until

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._sent:
            return
        seconds = self._trips.timeout_seconds() * 2**self._doublings
        if not self._has_probed and not self._recovers:
            seconds = min(seconds, 2 * self._trips.seconds + (_LEAST_SECONDS if len(self._sent) == 1 else 0.01))
        self._timer = self._loop.call_later(seconds, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        if not self._has_probed and not self._recovers:
            self._has_probed = True
            self._transmit(next(reversed(self._sent.values())))
        else:
            self._doublings = min(self._doublings + 1, _MOST_DOUBLINGS)
            self._lose(self._sent.values())
            self._window = 1.0
            self._push()
        self._set_timer()

    def _lose(self, packets: Iterable[_Packet]) -> None:
        for packet in packets:
            packet.is_lost = True
            if not self._recovers:
                self._window = self._slow_from = max(_FEWEST, self._window * _SHRINKS)
            self._recovers_until = next(reversed(self._sent)) + 1

    def told(self, known: _Acknowledged) -> None:
        """Take in that these have arrived."""
        there = [it for it in self._sent.values() if it.number < known.before or it.number in known.beyond]
        for packet in there:
            del self._sent[packet.number]
        if there:
            self._trips.saw(self._loop.time() - self._sample(there, known.before))
            self._latest_there = max(self._latest_there, *(it.sent_at for it in there))
            self._doublings, self._has_probed = 0, False
            more = len(there) if self._window < self._slow_from else len(there) / self._window
            self._window = min(self._window + more, _MOST_UNDER_WAY)
            if known.before >= self._round_until:
                self._trips.round_over()
                self._round_until = next(reversed(self._sent), known.before) + 1
            self._lose([it for it in self._sent.values() if not it.is_lost and it.sent_at < self._latest_there])
            self._set_timer()
        self._push()

    @staticmethod
    def _sample(there: list[_Packet], before: int) -> float:
        """Return when that was sent by which a round trip is measured."""
        in_order = [it for it in there if it.number < before]
        if any(it.times_sent > 1 for it in in_order) or not in_order:
            in_order = [it for it in there if it.number >= before and it.times_sent == 1]
        if in_order:
            return min(it.sent_at for it in in_order)
        return max(it.sent_at for it in there)

    # the receiver

    def acknowledged(self) -> _Acknowledged:
        """Return what has arrived, for the other side to tell."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        return _Acknowledged(self._expected, frozenset(self._early))

    def _received(self, number: int, data: bytes | None, known: _Acknowledged | None) -> None:
        if known is not None and self.other is not None:
            self.other.told(known)
        in_order = number == self._expected and not self._early and self._late is None
        if number >= self._expected:
            self._early[number] = data
        if in_order:
            self._late = self._loop.call_later(_LATE_SECONDS, self._acknowledge)
        while self._expected in self._early:
            self._expected += 1
            self._arrive(self._early.pop(self._expected - 1))
        if not in_order:
            self._acknowledge()

    def _acknowledge(self) -> None:
        self._over(self._back(), self.told, self.acknowledged())
