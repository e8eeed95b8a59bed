"""One loop serves one heap of due residents, over their connections.

A Locust user per resident collapses at twenty thousand (`design.md`), and so does a greenlet; callbacks of gevent's
loop do not, and they keep the workload open: a resident is due when the curve or the server says so, not when an
earlier answer has come. Latency counts from that moment.
"""

from __future__ import annotations

from typing import Any

import gevent
from gevent.hub import get_hub

from loadtests.client.answers import METHODS, Call
from loadtests.client.channel import Channel
from loadtests.client.http import Answer, Broken
from loadtests.client.wire import Address
from loadtests.generator.channels import ChannelFactory
from loadtests.generator.connections import Connections, OwnConnections, SharedConnections
from loadtests.generator.locust_statistics import LocustStatistics
from loadtests.history.record import Flag
from loadtests.resident.acts import CALL_OF, Act
from loadtests.resident.bots import Fleet
from loadtests.resident.facts import RequestContext
from loadtests.resident.journey import Journey
from loadtests.resident.recording import Recording
from loadtests.run.clock import RunClock

_TICK_SECONDS = 0.002
"""How often it looks who is due: a look costs a tenth of a request, and who is due waits half of this for it."""
_TURN_US = 5_000
"""After so long the loop's other callbacks have their turn: answers have come meanwhile."""
PATIENCE_SECONDS = 30.0
"""How long a page waits for an answer before it tries again."""

_NAMES = {call: f"{call.name.lower()} (from due)" for call in Call}
_ACTS = list(Act)
_CALLS = [CALL_OF[act] for act in Act]


class _Exchange:
    """A request on its way."""

    __slots__ = ("act", "asked", "due_us", "i", "repeated", "request", "sent_us")

    def __init__(
        self, due_us: int, sent_us: int, i: int, act: Act, asked: RequestContext | None, request: bytes
    ) -> None:
        self.due_us, self.sent_us, self.i, self.act, self.asked = due_us, sent_us, i, act, asked
        self.request, self.repeated = request, False

    @property
    def entry(self) -> int:
        """Return the place that it is about; below 0 where there was none."""
        return -1 if self.asked is None else self.asked.entry


class Dispatcher:
    """Sends the requests of due residents, and bots, and hands on their answers.

    Args:
        own: each has a connection of their own; else as many as there are Locust users are shared.
        most: own connections that may be open.
    """

    def __init__(
        self, journey: Journey, fleet: Fleet, clock: RunClock, address: Address, statistics: LocustStatistics, *,
        own: bool, most: int,
    ) -> None:  # fmt: skip
        self.journey, self.fleet, self._clock, self._statistics = journey, fleet, clock, statistics
        self._meters, self._residents = journey.meters, journey.crowd.residents
        self._recording = Recording(journey, fleet)
        self._loop = get_hub().loop
        factory = ChannelFactory(address, self, own=own)
        self.target, make = factory.target, factory.make
        self.connections: Connections = (
            OwnConnections(journey.crowd, self._meters, make, most, journey.share.index)
            if own
            else SharedConnections(make)
        )
        self._exchanges: dict[Channel, _Exchange] = {}  # the longest on its way first
        self._starved = False
        self._timer: Any = None
        self._each_second: Any = None

    def start(self) -> None:
        """Begin to hand out what is due."""
        self._each_second = gevent.spawn(self._look_after)
        self._timer = self._loop.timer(_TICK_SECONDS, _TICK_SECONDS)
        self._timer.start(self._serve_due)

    def stop(self) -> None:
        """Hand out nothing any more; what is on its way may still be answered."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if self._each_second is not None:
            self._each_second.kill()
        self.journey.agenda.clear()
        for exchange in self._exchanges.values():
            self._record_unanswered(exchange)
        self._statistics.hand_over()
        self.connections.close()

    def quiet(self) -> bool:
        """Return whether nothing is filed and nothing waits for an answer."""
        return not len(self.journey.agenda) and not self._exchanges

    def serve(self) -> None:
        """Be a line, until killed: where connections are shared, there is one for each."""
        self.connections.line_came()
        try:
            while True:
                gevent.sleep(3600)
        finally:
            self.connections.line_left()

    # what is due

    def _serve_due(self) -> None:
        """Send what is due, for a while."""
        agenda, meters, connections, now = self.journey.agenda, self._meters, self.connections, self._clock.now_us
        began_us = now_us = now()
        while now_us - began_us < _TURN_US:
            if not connections.has_room():
                self._starved = True
                break
            event = agenda.take(now_us)
            if event is None:
                self._starved = False
                break
            due_us, i, act_no = event
            if self._starved:
                meters.count("lines busy", now_us)
            else:
                meters.late(now_us - due_us, now_us)
            self._send(due_us, now_us, i, _ACTS[act_no])
            now_us = now()

    def _send(self, due_us: int, now_us: int, i: int, act: Act) -> None:
        if i < self._residents:
            asked = self.journey.asks(i, now_us)
            request = self.journey.request(i, act, now_us)
        else:
            asked = None
            request = self.fleet.request(i, act, now_us)
        if request is None:
            return
        channel = self.connections.take(i, act, due_us, now_us)
        self._exchanges[channel] = _Exchange(due_us, now_us, i, act, asked, request)
        channel.ask(request)

    # what becomes of it (`ChannelHolder`)

    def connected(self, channel: Channel) -> None:
        self._meters.connected("connect", channel.needed_us, self._clock.now_us())

    def secured(self, channel: Channel, *, resumed: bool) -> None:
        now_us = self._clock.now_us()
        self._meters.connected("handshake", channel.needed_us, now_us)
        if resumed:
            self._meters.count("sessions resumed", now_us)

    def answered(self, channel: Channel, answer: Answer) -> None:
        exchange, now_us = self._exchanges.pop(channel), self._clock.now_us()
        self.connections.give_back(channel, now_us)
        if not channel.is_open:
            self._meters.count("connections let go", now_us)
        i, act, meters, due_us = exchange.i, exchange.act, self._meters, exchange.due_us
        call = _CALLS[act]
        meters.last_error = None
        if i < self._residents:
            meters.answered(call, due_us, exchange.sent_us, now_us)
            self.journey.observations.exchanged(i, len(exchange.request), answer.size)
            self.journey.answered(i, act, answer, now_us, exchange.asked)
            flags = Flag.SENT_TWICE if exchange.repeated else 0
            self._recording.answered(i, act, exchange.entry, exchange.sent_us, now_us, exchange.request, answer, flags)
        else:
            meters.count("bot requests", now_us)
            self._record_of_a_bot(exchange, now_us, answer)
            self.fleet.answered(i, act, answer, now_us)
        self._log(exchange, call, now_us, len(answer.body))
        if self._starved:
            self._serve_due()

    def broke(self, channel: Channel, broken: Broken) -> None:
        exchange, now_us = self._exchanges.pop(channel), self._clock.now_us()
        self.connections.closed(channel)
        if broken.kept and not exchange.repeated:
            # as any client would: every call is idempotent, so connect and repeat
            self._meters.count("reconnects", now_us)
            exchange.repeated = True
            again = self.connections.take_new(channel, now_us)
            self._exchanges[again] = exchange
            again.ask(exchange.request)
            return
        self._meters.last_error = None
        self._record_unanswered(exchange)
        if exchange.i < self._residents:
            self.journey.observations.exchanged(exchange.i, len(exchange.request), 0)
            self.journey.unanswered(exchange.i, exchange.act, str(broken), now_us)
        else:
            self.fleet.unanswered(exchange.i, exchange.act, str(broken), now_us)
        self._log(exchange, _CALLS[exchange.act], now_us, 0)

    def ended(self, channel: Channel) -> None:
        self.connections.closed(channel)
        self._meters.count("connections ended", self._clock.now_us())

    def _record_of_a_bot(self, exchange: _Exchange, now_us: int, answer: Answer) -> None:
        sent = self._recording.of_a_bot(exchange.i)
        if sent is not None:
            flags = Flag.BY_A_BOT | (Flag.SENT_TWICE if exchange.repeated else 0)
            self._recording.answered(
                sent.owner, sent.act, sent.entry, exchange.sent_us, now_us, exchange.request, answer, flags
            )

    def _record_unanswered(self, exchange: _Exchange) -> None:
        flags = Flag.SENT_TWICE if exchange.repeated else 0
        if exchange.i < self._residents:
            self._recording.unanswered(
                exchange.i, exchange.act, exchange.entry, exchange.sent_us, exchange.request, flags
            )
        elif (sent := self._recording.of_a_bot(exchange.i)) is not None:
            self._recording.unanswered(
                sent.owner, sent.act, sent.entry, exchange.sent_us, exchange.request, flags | Flag.BY_A_BOT
            )

    def _log(self, exchange: _Exchange, call: Call, now_us: int, length: int) -> None:
        i = exchange.i
        name = _NAMES[call] if i < self._residents else f"bots: {self.fleet.kind(i)}"
        self._statistics.answered(METHODS[call], name, now_us - exchange.due_us, length, self._meters.last_error)

    # once a second

    def _look_after(self) -> None:
        while True:
            gevent.sleep(1)
            now_us = self._clock.now_us()
            limit_us = now_us - int(PATIENCE_SECONDS * 1e6)
            for channel in [c for c, exchange in self._exchanges.items() if exchange.sent_us < limit_us]:
                channel.give_up("timeout")
            self.connections.look_after(now_us)
            self._meters.holds_open(self.connections.open, now_us)
            self._statistics.hand_over()
