"""The residents, and bots, that one generator process plays, and the lines that serve them."""

from __future__ import annotations

import gc
import random
import socket
import time
from collections.abc import Callable
from typing import Any

import gevent
import msgspec
import psutil

from loadtests.acts import SECOND_US, Act, Pace, Stretch
from loadtests.agenda import Agenda
from loadtests.answers import Requests
from loadtests.audit.registrations import RECEIPTS_SAMPLE
from loadtests.bots import Fleet
from loadtests.crowd import EVERYONE, Crowd, Share
from loadtests.journey import Journey
from loadtests.lines import Switchboard
from loadtests.measure import Meters
from loadtests.options import Options
from loadtests.setting import Setting, curves_of
from loadtests.told import Fact

_LAST_ANSWERS_SECONDS = 15


class Part(msgspec.Struct):
    """What one cast has to say at the end of a run, as it travels between processes.

    Attributes:
        told, meters: encoded.
        unserved: events that were due when the run ended, and had not been sent.
        machine: host name.
        cpu: of the generator's process, in percent of one core, by second.
        clock_doubt_us: how far its clock may be from the master's.
    """

    index: int
    told: bytes
    meters: bytes
    unserved: int
    machine: str
    cpu: dict[int, float]
    clock_doubt_us: int = 0


class Cast:
    """A share of the crowd, ready to play.

    Args:
        fire: Locust's request event.

    Raises:
        CannotRehearse: the crowd's curve does not fit the openings.
    """

    def __init__(self, options: Options, crowd: Crowd, setting: Setting, fire: Any, share: Share = EVERYONE) -> None:
        self.crowd, self.share, self.clock = crowd, share, setting.clock
        self.meters, self.agenda = Meters(), Agenda()
        curves = curves_of(options, crowd, setting.grounds)
        pace = pace_of(options, crowd, setting)
        requests = Requests("{}:{}".format(*setting.address))
        self.journey = Journey(crowd, setting.grounds, curves, pace, requests, self.agenda, self.meters, share)
        self.fleet = Fleet(self.journey, requests)
        self.switchboard = Switchboard(self.journey, self.fleet, self.clock, setting.address, fire)
        Switchboard.of_this_process = self.switchboard
        self._cpu: dict[int, float] = {}
        self._watching: Any = None
        self.unserved = 0

    def begin(self, *, everyone: bool) -> None:
        """Start to hand out what is due; file every arrival first, unless they are to be filed stretch by stretch."""
        gc.collect()
        if everyone:
            self.journey.everyone_arrives(self.clock.now_us() + SECOND_US)
        self.fleet.begin(self.clock.now_us() + SECOND_US)
        gc.freeze()  # the crowd stays: looking through it again and again is time taken from the server
        self._watching = gevent.spawn(self._watch)
        self.switchboard.start()

    def arrive(self, stretch: Stretch) -> None:
        """File the arrivals of a stretch."""
        chance = random.Random(f"{self.crowd.seed} {stretch.first}")
        for i in range(stretch.first, stretch.last):
            at_us = int(chance.uniform(stretch.from_us, stretch.until_us))
            if i % self.share.of == self.share.index:
                self.journey.arrives(i, at_us)

    def end(self) -> None:
        """Stop the crowd, hear the last answers, then let a sample of residents look their registrations up."""
        told = self.journey.told
        self.unserved = self.agenda.overdue(self.clock.now_us() - SECOND_US)
        self._wait_until(self._finished)
        registered = [i for i in self.share.of_all(told.residents) if told.has(i, Fact.REGISTERED)]
        step = max(1, len(registered) // RECEIPTS_SAMPLE)
        now_us = self.clock.now_us()
        for k, i in enumerate(registered[::step][:RECEIPTS_SAMPLE]):
            self.agenda.file(now_us + k * 2000, i, Act.LOOK_UP)
            if k % 10 == 0:
                self.agenda.file(now_us + k * 2000, i, Act.CALENDAR)
        lines = [gevent.spawn(self.switchboard.serve) for _ in range(8)]  # Locust may have ended its own
        self._wait_until(self.switchboard.quiet)
        gevent.killall(lines)
        self.switchboard.stop()
        if self._watching is not None:
            self._watching.kill()

    def part(self) -> Part:
        """Everything that was told and measured here."""
        index, of = self.share.index, self.share.of
        told = self.journey.told.encoded(index, of)
        return Part(index, told, self.meters.encoded(), self.unserved, socket.gethostname(), self._cpu)

    def _finished(self) -> bool:
        self.agenda.clear()  # what the last answers lead to is beyond the end
        return self.switchboard.quiet()

    def _wait_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _LAST_ANSWERS_SECONDS
        while not done() and time.monotonic() < deadline:
            gevent.sleep(0.05)

    def _watch(self) -> None:
        """Note how busy this process is, once a second."""
        process = psutil.Process()
        before, at = _cpu_seconds(process), time.monotonic()
        second = self.clock.now_us() // SECOND_US
        while True:
            gevent.sleep(1)
            now, busy = time.monotonic(), _cpu_seconds(process)
            reached = self.clock.now_us() // SECOND_US
            percent = 100 * (busy - before) / max(now - at, 0.001)
            # a look that comes late speaks for all the seconds since the last
            self._cpu.update((since, percent) for since in range(min(second + 1, reached), reached + 1))
            before, at, second = busy, now, reached


def pace_of(options: Options, crowd: Crowd, setting: Setting) -> Pace:
    """How fast residents live in this run: as the crowd's file says where their opening lasts ten minutes or more."""
    lasts = [ground.closes_us - max(ground.opens_us, 0) for ground in setting.grounds]
    return Pace.of(min(options.minutes * 60, min(lasts) / SECOND_US), crowd.traits)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
