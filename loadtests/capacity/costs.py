"""What a call costs: CPU of the worker and of the store, and bytes on the wire.

`python -m loadtests.bench costs --json FILE` measures each call alone and writes a `Costs`; a ramp's
own CPU then says how far these are from calls as they come together (`loadtests.capacity.calibration`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

FORMAT = 1
Level = Literal["low", "high"]
LEVELS: tuple[Level, ...] = ("low", "high")
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class CostsError(Exception):
    """A file of costs cannot be used; the message is one line."""


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that was measured in several rounds."""

    median: Amount
    least: Amount
    most: Amount

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Spread:
        """Of the rounds' figures."""
        figures = [max(0.0, figure) for figure in rounds]  # what is less than the background is nothing
        return cls(round(statistics.median(figures), 2), round(min(figures), 2), round(max(figures), 2))


class CallCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call, at few and at many connections.

    Attributes:
        worker_us, store_us: CPU microseconds a call, of one worker and of the store; background taken off.
        opening_us: of `store_us`, what is done under the opening's tag, so on the one shard that holds the opening.
        per_second: answers a second, from one worker.
        bytes_in, bytes_out: of one request and its answer, HTTP with headers; without TCP and TLS.
    """

    worker_us: dict[Level, Spread]
    store_us: dict[Level, Spread]
    opening_us: dict[Level, Amount]
    per_second: dict[Level, Spread]
    bytes_in: int
    bytes_out: int


class Background(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker costs that has nothing to do, by second: it looks at each open opening four times a second."""

    openings: Count
    worker_us: Amount
    store_us: Amount


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All calls, on one machine.

    Attributes:
        connections: how many at once at each level; about as many share a store call.
    """

    format: int
    measured_at: str
    command: str
    host: dict[str, str]
    rounds: Count
    connections: dict[Level, Count]
    background: Background
    calls: dict[str, CallCost]


def load_costs(data: bytes, name: str) -> Costs:
    """Read what `python -m loadtests.bench costs --json` has written.

    Args:
        data: the file.
        name: of the file, for the message.

    Raises:
        CostsError: it is no such file, or lacks a call that a plan needs.
    """
    try:
        costs = msgspec.json.decode(data, type=Costs)
    except msgspec.DecodeError as error:
        raise CostsError(f"{name}: not the --json of `python -m loadtests.bench costs`: {error}") from None
    if costs.format != FORMAT:
        raise CostsError(f"{name}: format {costs.format}, expected {FORMAT}: measure it again with this version")
    missing = [call for call in NEEDED if call not in costs.calls]
    if missing:
        raise CostsError(f"{name}: calls: expected {', '.join(missing)} too")
    for call, cost in costs.calls.items():
        for table in (cost.worker_us, cost.store_us, cost.opening_us, cost.per_second):
            if set(table) != set(LEVELS):
                raise CostsError(f"{name}: calls.{call}: expected figures for {' and '.join(LEVELS)}")
    return costs


NEEDED = ("join", "poll", "ready", "claim", "register", "look_up", "qr", "opening", "city")
"""Calls without which there is no plan; `ready` is the poll of somebody who has been called, which asks the store."""
