"""For how long nothing is written while a fault lasts, and how much of what is asked is answered.

Writers join, one person after the other, through both hosts while the fault is injected and healed. What is measured:
the longest time from one acknowledged join to the next, from the fault to some seconds after its end, and the share of
the requests meanwhile that were answered 2xx.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import monotonic

import gevent

from loadtests.client.answers import Requests
from loadtests.client.wire import Broken, Connection
from loadtests.faults.catalogue import CLUSTER_FAULTS
from loadtests.nemesis.papers import code, people
from loadtests.nemesis.world import World

_WRITERS_A_HOST = 4
_BETWEEN_SECONDS = 0.1
_ANSWER_SECONDS = 10.0
_BEFORE_SECONDS = 2.0
_AFTER_SECONDS = 4.0
PEOPLE = 1600


@dataclass
class Measured:
    """What a fault cost.

    Attributes:
        name: of the fault.
        seconds_without: the longest between two writes that were acknowledged, on any host.
        on_a_host: the longest on the host that fared worst.
        asked, answered: requests while it lasted, and those that were answered 2xx.
        said: how often each status was told, before and after too; 0: no answer.
    """

    name: str
    seconds_without: float
    on_a_host: float
    asked: int
    answered: int
    said: dict[int, int]


class Writers:
    """Join, one person after the other, through each host."""

    def __init__(self, world: World, district: int) -> None:
        self._world, self._district = world, code(district)
        self._people = iter(people(district, PEOPLE))
        self.written: list[list[float]] = [[] for _ in world.hosts]
        self.asked: list[tuple[float, bool]] = []
        self.said: Counter[int] = Counter()
        self._lives = [
            gevent.spawn_later(0.02 * n, self._live, host)
            for n in range(_WRITERS_A_HOST)
            for host in range(len(world.hosts))
        ]

    def stop(self) -> None:
        """Ask no more."""
        gevent.killall(self._lives)

    def _live(self, host: int) -> None:
        where = self._world.hosts[host]
        connection, requests = Connection(*where), Requests(f"{where[0]}:{where[1]}")
        for who in self._people:
            while not self._joins(connection, requests.join(self._district, who.join_body()), host):
                gevent.sleep(_BETWEEN_SECONDS)
            gevent.sleep(_BETWEEN_SECONDS)

    def _joins(self, connection: Connection, request: bytes, host: int) -> bool:
        sent, done = monotonic(), False
        try:
            with gevent.Timeout(_ANSWER_SECONDS):
                status = connection.exchange(request).status
                done = status in (200, 201)
        except (Broken, gevent.Timeout):
            status = 0
        self.said[status] += 1
        if done:
            self.written[host].append(monotonic())
        self.asked.append((sent, done))
        return done


def measure(world: World, name: str, district: int) -> Measured:
    """Measure one fault at one district's opening."""
    world.harm(district)
    gevent.sleep(max(0.0, world.seconds_until(district)))
    fault = CLUSTER_FAULTS[name]()
    writers = Writers(world, district)
    gevent.sleep(_BEFORE_SECONDS)
    began = monotonic()
    fault.inject(world)
    while not fault.over(world, monotonic() - began):
        gevent.sleep(0.02)
    fault.heal(world)
    gevent.sleep(_AFTER_SECONDS)
    ended = monotonic()
    writers.stop()
    world.cluster.await_whole()
    each = [_longest(times, began, ended) for times in writers.written]
    during = [done for sent, done in writers.asked if began <= sent < ended - _AFTER_SECONDS]
    everything = sorted(time for times in writers.written for time in times)
    return Measured(name, _longest(everything, began, ended), max(each), len(during), sum(during), dict(writers.said))


def _longest(times: list[float], began: float, ended: float) -> float:
    """Return the longest time without a write in this span; a moment without any before it begins with the span."""
    marks = [began, *(time for time in sorted(times) if began < time < ended), ended]
    return max(later - earlier for earlier, later in pairwise(marks))


def table(found: list[Measured]) -> list[str]:
    """Return a line for each fault: how often it was measured, median and worst."""
    lines = ["| nemesis | runs | seconds without a write: median | worst | on the worse host | answered |"]
    lines.append("|---|---|---|---|---|---|")
    for name in dict.fromkeys(it.name for it in found):
        of = [it for it in found if it.name == name]
        without, on_a_host = sorted(it.seconds_without for it in of), sorted(it.on_a_host for it in of)
        share = sum(it.answered for it in of) / max(sum(it.asked for it in of), 1)
        lines.append(
            f"| `{name}` | {len(of)} | {median(without):.1f} | {without[-1]:.1f} | "
            f"{median(on_a_host):.1f}, {on_a_host[-1]:.1f} | {share:.0%} |"
        )
    return lines
