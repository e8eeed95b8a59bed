"""What a rehearsal is asked to do."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec

from loadtests.audit.slo import SHIPPED_SLO, SloError, load_slo
from loadtests.crowd.arrivals import CurveError, parse_arrivals
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.traits import DEFAULT_CROWD, CrowdError, load_traits
from loadtests.faults.faults import FAULTS
from loadtests.report.against import AgainstError, load_run

_FILED_A_SECOND = 25_000
"""Arrivals that a generator files in a second, at the least."""


class Options(msgspec.Struct, kw_only=True):
    """Options of `jiaohao rehearse`.

    Attributes:
        scenario: whose settings these are (`loadtests.scenarios`).
        residents: how many people.
        minutes: for how long they come, from the opening; the run ends then.
        come_for: share of each window, or of the run where that is shorter, in which residents come; the rest is for
            those who still wait.
        ramp: raise the rate of arrivals in steps (`loadtests.run.ramp`) in place of a curve.
        rate: of the first step, residents a second.
        crowd: name or path of a crowd file (`loadtests.crowd.traits`).
        arrivals: the curve (`loadtests.crowd.arrivals`), where it is not to be the crowd's.
        host: `http(s)://HOST:PORT` of a running server whose registry holds this crowd (`python -m loadtests.crowd`
            writes it); None starts a server of its own in a temporary folder.
        redis_url: the store, for the audit of a `host`, or for the own server in place of its embedded store.
        used_store: a `redis_url` of the own server may hold keys already.
        seed: same seed, same crowd.
        districts: codes, where they are not to be the crowd's.
        city: city file for the own server.
        workers: of the own server; None is its default.
        fault: None, or a name of `loadtests.faults.faults`; only for the own server.
        fault_at: when, as a share of the minutes.
        night: hold the night once the crowd is gone, and audit it (`loadtests.audit.night_checks`); only on a server of
            our own with its embedded store.
        lines: connections of the generators together.
        processes: generators; more than one are a Locust master with so many workers.
        slo: the file that says what must hold (`loadtests/slo.toml` is the default).
        warm_up_seconds: how long after the opening what is seen is kept apart; what is before it always is.
        report, json, junit: where to write; None writes none.
        against: the `json` of an earlier run, to compare with.
        opening: RFC 3339 time of the opening that the own server is started for.
        lead_seconds: how long before it the own server is started; None: long enough to file everybody's arrival.
    """

    scenario: str = "opening"
    residents: int = 600_000
    minutes: float = 10.0
    come_for: float = 1.0
    ramp: bool = False
    rate: float = 100.0
    crowd: str = DEFAULT_CROWD
    arrivals: str | None = None
    host: str | None = None
    redis_url: str | None = None
    used_store: bool = False
    seed: int = 1
    districts: tuple[str, ...] | None = None
    city: str | None = None
    workers: int | None = None
    fault: str | None = None
    fault_at: float = 0.35
    night: bool = False
    lines: int = 400
    processes: int = 1
    slo: str = str(SHIPPED_SLO)
    warm_up_seconds: int = 0
    report: str | None = "rehearsal.html"
    json: str | None = None
    junit: str | None = None
    against: str | None = None
    opening: str = "2021-06-19T08:00:00+08:00"
    lead_seconds: float | None = None

    @property
    def lead(self) -> float:
        """How long before the opening the own server is started, in seconds."""
        return self.lead_seconds if self.lead_seconds is not None else 20 + self.residents / _FILED_A_SECOND

    def problem(self, *, faults_by_hand: bool = False) -> str | None:
        """What is wrong with these options, in one line; None when nothing is.

        Args:
            faults_by_hand: whoever runs it injects the fault, so that the server need not be our own.
        """
        if self.residents < 1:
            return "--residents: expected at least 1"
        if self.minutes <= 0:
            return "--minutes: expected more than 0"
        if not 0 < self.come_for <= 1:
            return "--come-for: expected a share between 0 and 1"
        if self.rate <= 0:
            return "--rate: expected more than 0"
        if self.processes < 1 or self.lines < self.processes:
            return "--processes: expected at least 1, and no more than --lines"
        if self.fault is not None and self.fault not in FAULTS:
            return f"--fault: expected one of {', '.join(FAULTS)}"
        if self.fault is not None and self.host is not None and not faults_by_hand:
            return "--fault harms processes: only those of a server of our own, so not together with --host"
        if self.fault is not None and not faults_by_hand and (why_not := FAULTS[self.fault].problem(self)) is not None:
            return why_not
        if self.night and (self.host is not None or self.redis_url is not None):
            return "--night puts the store's clock forward: only that of a server of our own, with its embedded store"
        if not 0 < self.fault_at < 1:
            return "--fault-at: expected a share between 0 and 1"
        if not 0 <= self.warm_up_seconds < self.minutes * 60:
            return "--warm-up: expected less than the run"
        if self.districts is not None and not self.districts:
            return "--district: expected at least one"
        try:
            load_traits(self.crowd)
            parse_arrivals(self.arrivals or "")
        except CrowdError as error:
            return f"--crowd: {error}"
        except CurveError as error:
            return f"--{error}"
        if self.host is not None and not self.host.startswith(("http://", "https://")):
            return "--host: expected http://HOST:PORT or https://HOST:PORT"
        for option in ("report", "json", "junit"):
            if (name := getattr(self, option)) is not None and not _can_be_written(Path(name)):
                return f"--{option}: {name} cannot be written"
        try:
            load_slo(Path(self.slo))
        except SloError as error:
            return f"--slo: {error}"
        try:
            if self.against is not None:
                load_run(Path(self.against))
        except AgainstError as error:
            return f"--against: {error}"
        return None


def _can_be_written(path: Path) -> bool:
    """Whether a file can be put here, its folders made where they are missing: asked before a run, not after it."""
    if path.exists():
        return path.is_file() and os.access(path, os.W_OK)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    return folder.is_dir() and os.access(folder, os.W_OK)


class CannotRehearse(Exception):
    """The rehearsal could not begin; the message says why and the cure, in one line."""


def crowd_of(options: Options) -> Crowd:
    """The crowd that these options describe.

    Raises:
        CannotRehearse: its file, or what is asked of it, makes no crowd.
    """
    day = datetime.fromisoformat(options.opening).date()
    try:
        traits = load_traits(options.crowd)
        return Crowd(options.residents, options.districts or traits.come, day, options.seed, traits)
    except CrowdError as error:
        raise CannotRehearse(f"--crowd: {error}") from None
    except ValueError as error:
        raise CannotRehearse(f"--{error}") from None
