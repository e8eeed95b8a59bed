"""How many connections this machine can hold open, and how many the crowd will need at the least."""

from __future__ import annotations

import math
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.crowd.arrivals import Curve
from loadtests.crowd.crowd import Crowd
from loadtests.crowd.shares import EVERYONE, CrowdShare
from loadtests.resident.acts import SECOND_US
from loadtests.resident.run_opening import RunOpening
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.setting import Setting, curves_of
from loadtests.run.sources import sources_to

_OTHER_FILES = 300
"""A generator's own: the store, the watch, Locust, its report."""
_ENDLESS_FILES = 1_000_000
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_IANA_PORTS = (49_152, 65_535)


@dataclass(frozen=True)
class Holdable:
    """How many connections one generator can hold, and what that follows from."""

    connections: int
    files: int
    ports: int
    sources: int

    def in_words(self, generators: int = 1) -> str:
        """Say it in a line."""
        sources = f"{self.sources:,} addresses" if self.sources > 1 else "one address"
        return (
            f"{self.connections * generators:,} connections at once ({self.files:,} open files a generator; "
            f"{self.ports:,} ports of {sources})"
        )


def holdable(address: str, generators: int = 1) -> Holdable:
    """Say how many connections to an address one of so many generators on this machine can hold.

    The process's limit of open files is raised as far as it goes first.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _ENDLESS_FILES if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    sources = sources_to(address)
    try:
        first, last = map(int, _PORT_RANGE.read_text().split())
    except (OSError, ValueError):  # not Linux
        first, last = _IANA_PORTS
    ports = (last - first + 1) * sources
    return Holdable(max(0, min(files - _OTHER_FILES, ports // generators)), files, ports, sources)


def needed(crowd: Crowd, openings: Sequence[RunOpening], curves: Sequence[Curve]) -> int:
    """Say how many connections must be open at once, at the least: those that the busiest second opens.

    How long a server keeps them after the answer is its own business; it may let all of them go.
    """
    begins_s = [max(opening.opens_us, 0) / SECOND_US for opening in openings]
    moments = {at_s + part.from_seconds for at_s, curve in zip(begins_s, curves, strict=True) for part in curve.parts}
    busiest = max(
        sum(
            crowd.share_at(home) * curve.share_between(moment - at_s, moment - at_s + 1)
            for home, (at_s, curve) in enumerate(zip(begins_s, curves, strict=True))
        )
        for moment in moments | set(begins_s)
    )
    each = 1 + crowd.profile.habits.second_device + crowd.profile.browsers.spare
    return math.ceil(busiest * crowd.residents * each)


def check_connections(options: Options, crowd: Crowd, setting: Setting, share: CrowdShare = EVERYONE) -> int:
    """Return how many connections this generator may hold open.

    Raises:
        CannotRehearse: its share of the crowd needs more than this machine can hold.
    """
    can = holdable(setting.address.host, options.processes)
    curves = curves_of(options, crowd, setting.openings)
    refuse_too_many(options, can, needed(crowd, setting.openings, curves), share.of)
    return can.connections


def refuse_too_many(options: Options, can: Holdable, need: int, generators: int) -> None:
    """Refuse a crowd whose connections cannot be held.

    Raises:
        CannotRehearse: and what helps.
    """
    if options.connections == "shared" or options.ramp or need <= can.connections * generators:
        return
    raise CannotRehearse(
        f"the crowd opens {need:,} connections in its busiest second, and this machine holds "
        f"{can.in_words(generators)}: take more --processes, raise the limit of open files (ulimit -Hn), let fewer "
        "--residents come, or share them (--connections shared)"
    )
