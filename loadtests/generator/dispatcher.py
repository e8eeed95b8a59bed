"""Few Locust users act as lines that serve one heap of due residents.

A Locust user per resident collapses at twenty thousand (`design.md`); lines do not, and they keep the workload
open: a resident is due when the curve or the server says so, not when an earlier answer has come. Latency counts
from that moment.
"""

from __future__ import annotations

from typing import Any

import gevent
from gevent.hub import Waiter, get_hub

from loadtests.client.answers import METHODS, Call
from loadtests.client.wire import Address, Broken, Connection, Stuck
from loadtests.client.wire_tls import connection_to
from loadtests.resident.acts import CALL_OF, Act
from loadtests.resident.bots import Fleet
from loadtests.resident.journey import Journey
from loadtests.run.clock import RunClock

_TICK_SECONDS = 0.005
_SHORTEST_NAP_SECONDS = 0.001
PATIENCE_SECONDS = 30.0
"""How long a page waits for an answer before it tries again."""

_NAMES = {call: f"{call.name.lower()} (from due)" for call in Call}
_ACTS = list(Act)


class Dispatcher:
    """Hands due residents, and bots, to free lines.

    Args:
        fire: Locust's `environment.events.request.fire`, so that its statistics, UI and CSV work.
    """

    def __init__(self, journey: Journey, fleet: Fleet, clock: RunClock, address: Address, fire: Any) -> None:
        self.fleet, self._residents = fleet, journey.crowd.residents
        self.journey, self.clock, self._address, self._fire = journey, clock, address, fire
        self._idle: list[Any] = []
        self._busy: dict[Any, int] = {}  # line -> since when it waits for an answer, in run microseconds
        self._helpers: list[Any] = []

    def start(self) -> None:
        """Begin to hand out what is due."""
        self._helpers = [gevent.spawn(self._hand_out), gevent.spawn(self._free_stuck_lines)]

    def stop(self) -> None:
        """Hand out nothing any more; what is on its way may still be answered."""
        gevent.killall(self._helpers)
        self.journey.agenda.clear()

    def quiet(self) -> bool:
        """Return whether nothing is filed and no line waits for an answer."""
        return not len(self.journey.agenda) and not self._busy

    def serve(self) -> None:
        """Be a line: serve who is due, one after the other, until killed."""
        connection = connection_to(self._address)
        this = gevent.getcurrent()
        try:
            while True:
                due_us, i, act_no = self._next()
                self._serve(connection, this, due_us, i, _ACTS[act_no])
        finally:
            self._busy.pop(this, None)
            connection.close()

    def _serve(self, connection: Connection, this: Any, due_us: int, i: int, act: Act) -> None:
        journey, meters, now = self.journey, self.journey.meters, self.clock.now_us
        sent_us = now()
        is_bot = i >= self._residents
        actors: Journey | Fleet = self.fleet if is_bot else journey
        asked = None if is_bot else journey.asks(i, sent_us)
        request = actors.request(i, act, sent_us)
        if request is None:
            return
        call = CALL_OF[act]
        meters.last_error = None
        length = 0
        self._busy[this] = sent_us
        try:
            try:
                answer = connection.exchange(request)
            except Broken as broken:
                if not broken.kept:
                    raise
                # as any client would: every call is idempotent, so connect and repeat
                meters.count("reconnects", now())
                answer = connection.exchange(request)
        except Broken as broken:
            now_us = now()
            meters.last_error = None
            if not is_bot:
                journey.observations.exchanged(i, len(request), 0)
            actors.unanswered(i, act, str(broken), now_us)
        else:
            now_us = now()
            if is_bot:
                meters.count("bot requests", now_us)
            else:
                meters.answered(call, due_us, sent_us, now_us)
                journey.observations.exchanged(i, len(request), answer.size)
            meters.last_error = None
            length = len(answer.body)
            if asked is None:
                self.fleet.answered(i, act, answer, now_us)
            else:
                journey.answered(i, act, answer, now_us, asked)
        finally:
            self._busy.pop(this, None)
        self._fire(
            request_type=METHODS[call],
            name=f"bots: {self.fleet.kind(i)}" if is_bot else _NAMES[call],
            response_time=(now_us - due_us) / 1000,
            response_length=length,
            exception=meters.last_error and Exception(meters.last_error),
            context={},
        )

    def _next(self) -> tuple[int, int, int]:
        now_us = self.clock.now_us()
        event = self.journey.agenda.take(now_us)
        if event is not None:
            if self._idle:
                self.journey.meters.late(now_us - event[0], now_us)
            else:
                self.journey.meters.count("lines busy", now_us)
            return event
        waiter = Waiter()
        self._idle.append(waiter)
        try:
            given: tuple[int, int, int] = waiter.get()
        except BaseException:  # killed while idle
            if waiter in self._idle:
                self._idle.remove(waiter)
            raise
        return given

    def _hand_out(self) -> None:
        agenda, meters, hand_to = self.journey.agenda, self.journey.meters, get_hub().loop.run_callback
        while True:
            now_us = self.clock.now_us()
            while self._idle and (event := agenda.take(now_us)) is not None:
                meters.late(now_us - event[0], now_us)
                hand_to(self._idle.pop().switch, event)
            nap_seconds = (agenda.next_due_us(now_us + 1_000_000) - now_us) / 1e6
            gevent.sleep(min(max(nap_seconds, _SHORTEST_NAP_SECONDS), _TICK_SECONDS))

    def _free_stuck_lines(self) -> None:
        while True:
            gevent.sleep(1)
            limit_us = self.clock.now_us() - int(PATIENCE_SECONDS * 1e6)
            for line in [line for line, since_us in self._busy.items() if since_us < limit_us]:
                self._busy.pop(line, None)
                get_hub().loop.run_callback(line.throw, Stuck())
