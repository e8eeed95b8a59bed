"""What the master and its workers send each other over Locust's own connection."""

from __future__ import annotations

from typing import Any

import msgspec

from loadtests.crowd.shares import CrowdShare
from loadtests.run.options import Options

# From the master to its workers.
BEGIN = "jiaohao begin"
TELL = "jiaohao tell"
"""What time it is, to who asked."""
ARRIVE = "jiaohao arrive"
LOOK = "jiaohao look"
"""Say what you have measured so far."""
END = "jiaohao end"

# From a worker to its master.
ASK = "jiaohao ask"
"""What time is it?"""
SEEN = "jiaohao seen"
PIECE = "jiaohao piece"
"""A piece of all that its residents were told, once it is over."""
FAILED = "jiaohao failed"

ANSWER_SECONDS = 180
"""How long one waits for the other."""


class WorkerMeasurements(msgspec.Struct):
    """What one generator has measured so far, as it travels to the master.

    Attributes:
        index: of its share.
        meters: encoded.
        machine: host name.
        percent: CPU of the generator's process, of one core, by second.
    """

    index: int
    meters: bytes
    machine: str
    percent: dict[int, float]


class WorkerResult(msgspec.Struct):
    """What one generator has to say at the end of a run.

    Attributes:
        observations: encoded.
        unserved: events that were due when the run ended, and had not been sent.
        clock_doubt_us: how far its clock may be from the master's.
    """

    measured: WorkerMeasurements
    observations: bytes
    unserved: int
    clock_doubt_us: int


class StartOrder(msgspec.Struct):
    """What a worker is told to begin with."""

    options: Options
    host: str
    origin_s: float
    share: CrowdShare
    everyone: bool


def plain(order: msgspec.Struct) -> Any:
    """Return it as Locust can send it."""
    return msgspec.to_builtins(order, builtin_types=(bytes,))
