"""One run against one server: the generators that play it, what is watched meanwhile, and the evidence at the end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import gevent

from loadtests.audit.call_messages import call_messages
from loadtests.audit.evidence import Evidence
from loadtests.audit.seen import CallMessage
from loadtests.audit.slo import load_slo
from loadtests.audit.truth import connect, read_truth
from loadtests.crowd.crowd import Crowd
from loadtests.resident.acts import SECOND_US
from loadtests.run.city_file import read_city
from loadtests.run.generators import GeneratorPool
from loadtests.run.load_shape import LoadShape, WholeCrowd
from loadtests.run.options import Options
from loadtests.run.proofs import ask_for_proofs
from loadtests.run.ramp import RampShape
from loadtests.run.setting import Setting, curves_of, pace_of
from loadtests.run.watch import Watch


class Run:
    """A run holds one crowd against one server: it begins, is over, and yields the evidence.

    Args:
        redis_url: the store, for the audit; None where it cannot be reached.
        pids: who is who, for CPU.

    Raises:
        CannotRehearse: crowd and openings do not fit each other.
    """

    def __init__(
        self,
        options: Options,
        crowd: Crowd,
        setting: Setting,
        pool: GeneratorPool,
        redis_url: str | None,
        pids: Callable[[], dict[str, list[int]]],
    ) -> None:
        self.options, self.crowd, self.setting, self.pool = options, crowd, setting, pool
        self.slo = load_slo(Path(options.slo))
        self.curves = curves_of(options, crowd, setting.openings)
        self.pace = pace_of(options, crowd, setting)
        self.end_us = int(options.minutes * 60 * SECOND_US)
        self.load_shape: LoadShape = RampShape(options, self.slo) if options.ramp else WholeCrowd()
        self.store = connect(redis_url) if redis_url else None
        this = "generator" if pool.alone else "master"
        self.watch = Watch(setting.openings, setting.address, self.now_us, self.store, pids, this)
        self.began = datetime.now(UTC)
        self.fault_second: int | None = None
        self.fault_end_second: int | None = None
        self._ended = False

    def now_us(self) -> int:
        """Return the run's time."""
        return self.setting.clock.now_us()

    def begin(self) -> None:
        """File arrivals, start watching and handing out."""
        self.pool.begin(everyone=self.load_shape.everyone)
        self.watch.start()

    def over(self) -> bool:
        """Return whether the run is over; to be asked a few times a second."""
        return self.load_shape.over(self)

    def seconds_left(self) -> float:
        """Return the seconds until the run must end."""
        return (self.end_us - self.now_us()) / SECOND_US

    def end(self) -> None:
        """Stop the crowd and hear the last answers; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self.end_us = min(self.end_us, self.now_us())
        self.pool.end()
        gevent.sleep(1.1)  # one more look at the openings after the last answer
        self.watch.stop()

    def progress(self) -> str:
        """Say how far it is, in a line."""
        second = self.now_us() // SECOND_US
        if second < 0:
            return f"opens in {-second} s"
        told = self.pool.progress()
        looks = [looks[-1] for looks in self.watch.seen.openings.values() if looks]
        line = (
            f"{told.arrivals:,} arrived, {sum(look.waiting for look in looks):,} waiting, "
            f"{sum(look.serving for look in looks):,} called, {told.requests_a_second:,} requests/s, "
            f"{told.errors:,} errors"
        )
        return ", ".join(filter(None, (self.load_shape.words(), line)))

    def evidence(self) -> Evidence:
        """Return everything the audit looks at, the store's truth included."""
        truth = read_truth(self.store, self.setting.openings) if self.store is not None else None
        observations, meters, unserved = self.pool.observed()
        seen = replace(self.watch.seen, cpu=self.cpu(), call_messages=self._call_messages())
        evidence = Evidence(
            self.crowd,
            self.setting.openings,
            observations,
            meters,
            seen,
            truth,
            self.end_us // SECOND_US,
            self.load_shape.judged_by(self.slo),
            fault=self.options.fault,
            fault_second=self.fault_second,
            fault_end_second=self.fault_end_second,
            unserved=unserved,
            warm_up_seconds=self.options.warm_up_seconds,
            expected=self.load_shape.expected(self.crowd),
            clock_doubt_ms=self.pool.clock_doubt_ms,
            ramp=self.load_shape.found,
            began=self.began,
            beacon=self.options.beacon,
        )
        for opening in self.setting.openings:
            looks = evidence.looks(opening)
            told = ask_for_proofs(self.setting.address, observations, evidence.people(opening), looks)
            seen.proofs[opening.district] = told
        return evidence

    def _call_messages(self) -> list[CallMessage]:
        """Return what the gateway was given about calls, where anybody sleeps and its file can be read."""
        options = self.options
        if options.sms_file is None or not self.crowd.profile.asleep.share:
            return []
        city = read_city(Path(options.city) if options.city is not None else None)
        return call_messages(Path(options.sms_file), city.sms.call_words())

    def in_words(self) -> tuple[str, str]:
        """Say when residents come, and how fast they live, in words for the report."""
        by_curve: dict[str, list[str]] = {}
        for opening, curve in zip(self.setting.openings, self.curves, strict=True):
            by_curve.setdefault(curve.describe(), []).append(opening.district)
        if len(by_curve) == 1:
            words = next(iter(by_curve))
        else:
            words = "; ".join(f"{', '.join(districts)}: {curve}" for curve, districts in by_curve.items())
        return words, self.pace.describe()

    def cpu(self) -> dict[str, dict[int, float]]:
        """Return percent of one core by who and second: as watched here, and of the generators elsewhere as last
        heard."""
        cpu = {who: dict(percents) for who, percents in self.watch.seen.cpu.items()}
        others = cpu.get("others", {})
        for who, (machine, percents) in self.pool.cpu().items():
            cpu[who] = percents
            if machine == socket.gethostname():  # what they took of this machine was taken for that of others
                for second in percents.keys() & others.keys():
                    others[second] = max(0.0, others[second] - percents[second])
        return cpu
