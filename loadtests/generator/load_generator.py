"""The residents, and bots, that one generator process plays, and the lines that serve them."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from loadtests.audit.registrations import RECEIPTS_SAMPLE
from loadtests.client.answers import Requests
from loadtests.client.measure import Meters
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.shares import EVERYONE, CrowdShare
from loadtests.generator.connection_bots import ConnectionBots
from loadtests.generator.dispatcher import Dispatcher
from loadtests.generator.locust_statistics import LocustStatistics
from loadtests.generator.phones import Phones
from loadtests.resident.acts import SECOND_US, Act
from loadtests.resident.agenda import Agenda
from loadtests.resident.bots import Fleet
from loadtests.resident.facts import Fact
from loadtests.resident.journey import Journey
from loadtests.run.generators import ArrivalBatch
from loadtests.run.holdable import check_connections
from loadtests.run.options import Options
from loadtests.run.setting import Setting, curves_of, pace_of

if TYPE_CHECKING:
    from locust.env import Environment

_LAST_ANSWERS_SECONDS = 15


class LoadGenerator:
    """A share of the crowd, ready to play.

    Args:
        environment: Locust's; its users are the lines.

    Raises:
        CannotRehearse: the crowd's curve does not fit the openings, or this machine cannot hold its connections.
    """

    def __init__(
        self, options: Options, crowd: Crowd, setting: Setting, environment: Environment, share: CrowdShare = EVERYONE
    ) -> None:
        self.crowd, self.share, self.clock = crowd, share, setting.clock
        self.meters, self.agenda = Meters(), Agenda()
        curves = curves_of(options, crowd, setting.openings)
        pace = pace_of(options, crowd, setting)
        requests = Requests(setting.address.authority)
        self.journey = Journey(crowd, setting.openings, curves, pace, requests, self.agenda, self.meters, share)
        self.fleet = Fleet(self.journey, requests)
        most = check_connections(options, crowd, setting, share)
        self.dispatcher = Dispatcher(
            self.journey, self.fleet, self.clock, setting.address, LocustStatistics(environment),
            own=options.connections == "own", most=most,
        )  # fmt: skip
        self.connection_bots = ConnectionBots(
            self.journey, self.clock, self.dispatcher.target, setting.address.authority, tls=setting.address.tls
        )
        sms_file = options.sms_file if crowd.profile.asleep.share else None
        self.phones = Phones(Path(sms_file), self.journey.queueing.sleeping, self.clock) if sms_file else None
        users: Any = environment.user_classes
        for user in users:
            user.dispatcher = self.dispatcher
        self.unserved = 0

    def begin(self, *, everyone: bool) -> None:
        """Start to hand out what is due; file every arrival first, unless they are to be filed batch by batch."""
        gc.collect()
        if everyone:
            self.journey.everyone_arrives(self.clock.now_us() + SECOND_US)
        self.fleet.begin(self.clock.now_us() + SECOND_US)
        gc.freeze()  # the crowd stays: looking through it again and again is time taken from the server
        self.dispatcher.start()
        self.connection_bots.begin()
        if self.phones is not None:
            self.phones.begin()

    def arrive(self, batch: ArrivalBatch) -> None:
        """File the arrivals of a batch."""
        chance = random.Random(f"{self.crowd.seed} {batch.first}")
        for i in range(batch.first, batch.last):
            at_us = int(chance.uniform(batch.from_us, batch.until_us))
            if i % self.share.of == self.share.index:
                self.journey.arrives(i, at_us)

    def end(self) -> None:
        """Stop the crowd, hear the last answers, then let a sample of residents look their registrations up."""
        observations = self.journey.observations
        self.connection_bots.end()
        if self.phones is not None:
            self.phones.end()
        self.unserved = self.agenda.overdue(self.clock.now_us() - SECOND_US)
        self._wait_until(self._finished)
        registered = [i for i in self.share.of_all(observations.residents) if observations.has(i, Fact.REGISTERED)]
        step = max(1, len(registered) // RECEIPTS_SAMPLE)
        now_us = self.clock.now_us()
        for k, i in enumerate(registered[::step][:RECEIPTS_SAMPLE]):
            self.agenda.file(now_us + k * 2000, i, Act.LOOK_UP)
            if k % 10 == 0:
                self.agenda.file(now_us + k * 2000, i, Act.CALENDAR)
        lines = [gevent.spawn(self.dispatcher.serve) for _ in range(8)]  # Locust may have ended its own
        self._wait_until(self.dispatcher.quiet)
        gevent.killall(lines)
        self.dispatcher.stop()

    def _finished(self) -> bool:
        self.agenda.clear()  # what the last answers lead to is beyond the end
        return self.dispatcher.quiet()

    def _wait_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _LAST_ANSWERS_SECONDS
        while not done() and time.monotonic() < deadline:
            gevent.sleep(0.05)
