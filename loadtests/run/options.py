"""What a rehearsal is asked to do."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from loadtests.audit.slo import SHIPPED_SLO
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.crowd_file import DEFAULT_CROWD, CrowdError, load_profile
from loadtests.crowd.profile import CrowdProfile

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
        crowd: name or path of a crowd file (`loadtests.crowd.profile`).
        arrivals: the curve (`loadtests.crowd.arrivals`), where it is not to be the crowd's.
        host: `http(s)://HOST:PORT` of a running server whose registry holds this crowd (`python -m loadtests.crowd`
            writes it); None starts a server of its own in a temporary folder.
        redis_url: the store, for the audit of a `host`, or for the own server in place of its embedded store.
        used_store: a `redis_url` of the own server may hold keys already.
        seed: same seed, same crowd.
        districts: codes, where they are not to be the crowd's.
        city: city file for the own server.
        workers: of the own server; None is its default.
        fault: None, or a name of `loadtests.faults`; only for the own server.
        front: None, or a name of `loadtests.run.front`: a proxy in front of the own server.
        fault_at: when, as a share of the minutes.
        beacon: None, or `own`: the own server's city is bound to a beacon of the rehearsal's own, with a relay on this
            machine; `silent`: to one whose relays do not answer.
        night: hold the night once the crowd is gone, and audit it (`run/night.py`); only on a server of
            our own with its embedded store.
        connections: `own`, one for each resident and each second device, or `shared`, `lines` for everybody.
        tls: nothing is begun but by TLS, of what is in front of the own server or of a `host`.
        lines: shared connections of the generators together.
        processes: generators; more than one are a Locust master with so many workers.
        slo: the file that says what must hold (`loadtests/slo.toml` is the default).
        warm_up_seconds: how long after the opening what is seen is kept apart; what is before it always is.
        asleep: share of the crowd whose phones sleep while they wait, where it is not to be the crowd's.
        messages: those are called by SMS, as they wish; else nobody is.
        sms_file: where the own server writes its messages; for who drives the run to say.
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
    front: str | None = None
    beacon: Literal["own", "silent"] | None = None
    night: bool = False
    connections: Literal["own", "shared"] = "own"
    tls: bool = False
    lines: int = 400
    processes: int = 1
    slo: str = str(SHIPPED_SLO)
    warm_up_seconds: int = 0
    asleep: float | None = None
    messages: bool = True
    sms_file: str | None = None
    report: str | None = "rehearsal.html"
    json: str | None = None
    junit: str | None = None
    against: str | None = None
    opening: str = "2021-06-19T08:00:00+08:00"
    lead_seconds: float | None = None

    @property
    def users(self) -> int:
        """Say how many users Locust has: one for each shared connection, else one for each generator."""
        return self.lines if self.connections == "shared" else self.processes

    @property
    def lead(self) -> float:
        """Say how long before the opening the own server is started, in seconds."""
        return self.lead_seconds if self.lead_seconds is not None else 20 + self.residents / _FILED_A_SECOND


class CannotRehearse(Exception):
    """The rehearsal could not begin; the message says why and the cure, in one line."""


def crowd_of(options: Options) -> Crowd:
    """Return the crowd that these options describe.

    Raises:
        CannotRehearse: its file, or what is asked of it, makes no crowd.
    """
    day = datetime.fromisoformat(options.opening).date()
    try:
        profile = _as_they_sleep(load_profile(options.crowd), options)
        return Crowd(options.residents, options.districts or profile.come, day, options.seed, profile)
    except CrowdError as error:
        raise CannotRehearse(f"--crowd: {error}") from None
    except ValueError as error:
        raise CannotRehearse(f"--{error}") from None


def _as_they_sleep(profile: CrowdProfile, options: Options) -> CrowdProfile:
    """Return the crowd as these options have it sleep."""
    asleep = profile.asleep
    if options.asleep is not None:
        asleep = msgspec.structs.replace(asleep, share=options.asleep)
    if not options.messages:
        asleep = msgspec.structs.replace(asleep, asks_for_sms=0.0)
    return msgspec.structs.replace(profile, asleep=asleep)
