"""Everything of one run put together: the openings as found, the crowd, lines, watch; begun, ended, audited."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent

from loadtests import answers
from loadtests.acts import SECOND_US, Act, Ground, Pace
from loadtests.agenda import Agenda
from loadtests.answers import Requests
from loadtests.arrivals import Curve, CurveError, curve_of, parse_arrivals
from loadtests.audit_registrations import RECEIPTS_SAMPLE
from loadtests.bots import Fleet
from loadtests.crowd import Crowd
from loadtests.evidence import Evidence
from loadtests.journey import Journey
from loadtests.lines import RunClock, Switchboard
from loadtests.measure import Meters
from loadtests.options import CannotRehearse, Options
from loadtests.slo import load_slo
from loadtests.told import Fact
from loadtests.truth import connect, read_truth
from loadtests.watch import Watch
from loadtests.wire import Broken, Connection

_LONGEST_WAIT_SECONDS = 15 * 60
_LAST_ANSWERS_SECONDS = 15


@dataclass(frozen=True)
class Openings:
    """The openings of a run, and how long until they open (negative: they are open)."""

    grounds: tuple[Ground, ...]
    opens_in_seconds: float


def find_openings(host: str, districts: tuple[str, ...]) -> Openings:
    """Ask a server about its openings, as the page does.

    Raises:
        CannotRehearse: no answer, no such opening, or not one that begins within a quarter of an hour.
    """
    address = address_of(host)
    requests, connection = Requests(f"{address[0]}:{address[1]}"), Connection(*address)

    def get(path: str) -> bytes:
        try:
            answer = connection.exchange(requests.get(path))
        except Broken as broken:
            raise CannotRehearse(f"{host}: no answer ({broken})") from None
        if answer.status != 200:
            raise CannotRehearse(f"{host}: GET {path}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    city_is_ahead_seconds = _city_ahead_seconds(lambda: answers.decode_city(get("/city")).now)
    found = [answers.decode_opening(get(f"/openings/{code}")) for code in districts]
    grounds = []
    opens = [datetime.fromisoformat(o.opens_at) for o in found if o.opens_at]
    if len(opens) != len(found) or len(set(opens)) != 1:
        raise CannotRehearse(f"{host}: the districts {', '.join(districts)} do not open at the same time")
    opens_in = opens[0].timestamp() - city_is_ahead_seconds - time.monotonic()
    if opens_in > _LONGEST_WAIT_SECONDS:
        raise CannotRehearse(f"{host}: opens in {opens_in:.0f} s; start it with --clock shortly before {opens[0]}")
    over = ("ended", "unassigned") if opens_in > 0 else ("ended", "closed", "unassigned")  # closed: not open yet
    if any(o.state in over for o in found):
        raise CannotRehearse(f"{host}: {found[0].district} is {found[0].state}")
    # an opening that has begun is taken from now on
    begins_in = max(opens_in, 1.0)
    for o, at in zip(found, opens, strict=True):
        sites = answers.decode_sites(get(f"/sites?district={o.district}")).sites
        if not sites:
            raise CannotRehearse(f"{host}: no sites in {o.district}; import some")
        opens_us = int((opens_in - begins_in) * SECOND_US)
        names = tuple(site.site for site in sites)
        grounds.append(Ground(o.district, o.date, at, opens_us, o.draw.seconds, o.draw.commitment, names))
    return Openings(tuple(grounds), begins_in)


class Stage:
    """One run against one server.

    Args:
        fire: Locust's request event.
        redis_url: the store, for the audit; None where it cannot be reached.
        pids: who is who, for CPU.
    """

    def __init__(
        self,
        options: Options,
        crowd: Crowd,
        host: str,
        fire: Any,
        redis_url: str | None,
        pids: Callable[[], dict[str, list[int]]],
    ) -> None:
        self.options, self.crowd, self.host = options, crowd, host
        self.slo = load_slo(Path(options.slo))
        openings = find_openings(host, crowd.districts)
        self.clock = RunClock(openings.opens_in_seconds)
        self.grounds = openings.grounds
        self.end_us = int(options.minutes * 60 * SECOND_US)
        self.pace = Pace.of(options.minutes * 60, crowd.traits)
        closes_seconds = openings.grounds[0].opens_us / SECOND_US + openings.grounds[0].draw_seconds
        if options.minutes * 60 < closes_seconds + 3:
            raise CannotRehearse(
                f"--minutes {options.minutes:g}: the draw takes {closes_seconds:g} s, and calls begin only after it; "
                f"take at least {(closes_seconds + 60) / 60:.1f}"
            )
        self.meters = Meters()
        ground = openings.grounds[0]
        draw_seconds = max(ground.draw_seconds + ground.opens_us / SECOND_US, 0.0)
        self.curve: Curve = self._curve(draw_seconds, ground.opens_at)
        address = address_of(host)
        requests = Requests(f"{address[0]}:{address[1]}")
        self.journey = Journey(crowd, self.grounds, self.curve, self.pace, requests, Agenda(), self.meters)
        self.fleet = Fleet(self.journey, requests)
        self.switchboard = Switchboard(self.journey, self.fleet, self.clock, address, fire)
        self.store = connect(redis_url) if redis_url else None
        self.watch = Watch(self.grounds, address, self.clock.now_us, self.store, pids)
        self.fault_second: int | None = None
        self.fault_end_second: int | None = None
        self.unserved = 0
        self._ended = False

    def _curve(self, draw_seconds: float, opens_at: datetime) -> Curve:
        traits, seconds = self.crowd.traits, self.options.minutes * 60
        parts = traits.arrivals if self.options.arrivals is None else parse_arrivals(self.options.arrivals)
        try:
            return curve_of(parts, traits.door, seconds, draw_seconds, opens_at.time())
        except CurveError as error:
            raise CannotRehearse(str(error)) from None

    def begin(self) -> None:
        """File every arrival, start watching and handing out."""
        gc.collect()
        self.journey.everyone_arrives(self.clock.now_us() + SECOND_US)
        self.fleet.begin(self.clock.now_us() + SECOND_US)
        gc.freeze()  # the crowd stays: looking through it again and again is time taken from the server
        self.watch.start()
        self.switchboard.start()

    def seconds_left(self) -> float:
        """Until the end of the run."""
        return (self.end_us - self.clock.now_us()) / SECOND_US

    def end(self) -> None:
        """Stop the crowd, hear the last answers, then let a sample of residents look their registrations up.

        Again does nothing.
        """
        if self._ended:
            return
        self._ended = True
        agenda, told = self.journey.agenda, self.journey.told
        self.unserved = agenda.overdue(self.clock.now_us() - SECOND_US)
        self._let_finish()
        registered = [i for i in range(told.residents) if told.has(i, Fact.REGISTERED)]
        step = max(1, len(registered) // RECEIPTS_SAMPLE)
        now_us = self.clock.now_us()
        for k, i in enumerate(registered[::step][:RECEIPTS_SAMPLE]):
            agenda.file(now_us + k * 2000, i, Act.LOOK_UP)
            if k % 10 == 0:
                agenda.file(now_us + k * 2000, i, Act.CALENDAR)
        lines = [gevent.spawn(self.switchboard.serve) for _ in range(8)]  # Locust may have ended its own
        self._wait_until(self.switchboard.quiet)
        gevent.killall(lines)
        self.switchboard.stop()
        gevent.sleep(1.1)  # one more look at the openings after the last answer
        self.watch.stop()

    def evidence(self) -> Evidence:
        """Everything the audit looks at, the store's truth included."""
        truth = read_truth(self.store, self.grounds) if self.store is not None else None
        return Evidence(
            self.crowd,
            self.grounds,
            self.journey.told,
            self.meters,
            self.watch.seen,
            truth,
            self.end_us // SECOND_US,
            self.slo,
            self.options.fault,
            self.fault_second,
            self.unserved,
            self.options.warm_up_seconds,
            self.fault_end_second,
        )

    def _let_finish(self) -> None:
        def done() -> bool:
            self.journey.agenda.clear()  # what the last answers lead to is beyond the end
            return self.switchboard.quiet()

        self._wait_until(done)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _LAST_ANSWERS_SECONDS
        while not done() and time.monotonic() < deadline:
            gevent.sleep(0.05)


def address_of(host: str) -> tuple[str, int]:
    """Host and port of `http://HOST:PORT`."""
    parts = urlsplit(host)
    if parts.scheme != "http" or not parts.hostname:
        raise CannotRehearse(f"{host}: expected http://HOST:PORT")
    return parts.hostname, parts.port or 80


def _city_ahead_seconds(now: Callable[[], str]) -> float:
    """City time minus our monotonic clock. The city may tell whole seconds only, so look for just over one."""
    best, deadline = float("-inf"), time.monotonic() + 1.1
    while time.monotonic() < deadline:
        told = datetime.fromisoformat(now()).timestamp()
        best = max(best, told - time.monotonic())
        gevent.sleep(0.02)
    return best
