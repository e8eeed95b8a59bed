"""What has been measured, for plans: the shipped figures (`measured/`), or those of files that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec

from loadtests.capacity.calibration import MeasuredRamp, Part, RampError, correction, load_ramp
from loadtests.capacity.costs import Costs, CostsError, load_costs
from loadtests.capacity.usl import Fit, fit

SHIPPED = Path(__file__).parent / "measured"
Positive = Annotated[float, msgspec.Meta(gt=0)]


class KnownError(Exception):
    """A file of measurements cannot be used; the message is one line."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of `sizes.toml`, which explains each figure."""


class StoreBytes(_Table, frozen=True):
    place: Positive
    after_night: Positive


class Night(_Table, frozen=True):
    registrations: Positive
    seconds: Positive


class Polls(_Table, frozen=True):
    of_budget: Positive


class Largest(_Table, frozen=True):
    residents: Positive


class Connections(_Table, frozen=True):
    bytes_each: Positive
    kept_seconds: Positive
    tls_us: Positive
    new_per_second: Positive


class Sizes(_Table, frozen=True):
    store_bytes: StoreBytes
    night: Night
    polls: Polls
    largest: Largest
    connections: Connections


@dataclass(frozen=True)
class Known:
    """All of it.

    Attributes:
        costs: of each call, by itself.
        ramps: what so many workers held, each; may be none.
        sizes: bytes, the night, and how far they were measured.
    """

    costs: Costs
    ramps: tuple[MeasuredRamp, ...]
    sizes: Sizes

    @cached_property
    def law(self) -> Fit | None:
        """Say how workers add up; None where no ramp says it."""
        return fit([ramp.point() for ramp in self.telling]) if self.telling else None

    @property
    def telling(self) -> list[MeasuredRamp]:
        """Return the ramps in which the workers were the limit: of the others one knows only that they might carry
        more."""
        return [ramp for ramp in self.ramps if ramp.ramp.limit in (None, "workers")]

    @cached_property
    def corrections(self) -> dict[Part, float]:
        """Say by what the single calls' costs are multiplied, as the ramps' CPU says; 1 where there are none."""
        return {
            "workers": correction(self.costs, self.ramps, "workers") or 1.0,
            "store": correction(self.costs, self.ramps, "store") or 1.0,
        }

    @property
    def most_workers(self) -> int:
        """So many have been measured."""
        return max((ramp.workers for ramp in self.ramps), default=1)

    def worker_us(self, call: str) -> float:
        """Return the CPU of a worker for a call, at few connections, corrected."""
        return self.costs.calls[call].worker_us["low"].median * self.corrections["workers"]

    def spread_us(self, call: str) -> float:
        """Return the CPU of the store for what a call does under the resident's tag, so on any shard."""
        cost = self.costs.calls[call]
        return max(0.0, cost.store_us["low"].median - cost.opening_us["low"]) * self.corrections["store"]

    def in_opening_us(self, call: str) -> tuple[float, float]:
        """Return the CPU of the store under the opening's tag: (of each call, of each batch of calls besides).

        From the two levels, whose batches are taken to be as large as there were connections.
        """
        cost, sizes = self.costs.calls[call], self.costs.connections
        few, many = 1 / sizes["low"], 1 / sizes["high"]
        batch = max(0.0, (cost.opening_us["low"] - cost.opening_us["high"]) / (few - many))
        each = max(0.0, cost.opening_us["high"] - batch * many)
        return each * self.corrections["store"], batch * self.corrections["store"]

    def per_second(self, call: str) -> float:
        """Return the most that has been measured of one worker."""
        return self.costs.calls[call].per_second["high"].median


def load_known(files: Sequence[Path] = ()) -> Known:
    """Return the shipped measurements, or those of the files where they say the same thing.

    Args:
        files: `--json` of `python -m loadtests.bench costs` (one) or of ramps. Ramps that are given replace all shipped
            ones: they are of another machine.

    Raises:
        KnownError: a file cannot be used.
    """
    costs: list[tuple[str, bytes]] = []
    ramps: list[tuple[str, bytes]] = []
    for file in files:
        data = _read(file)
        (ramps if _is_ramp(data, file.name) else costs).append((file.name, data))
    if len(costs) > 1:
        raise KnownError(f"{costs[1][0]}: expected one file of costs, got {costs[0][0]} too")
    costs = costs or [("costs.json", _read(SHIPPED / "costs.json"))]
    shipped = sorted(SHIPPED.glob("ramp-*.json")) if not files else []
    ramps = ramps or [(file.name, _read(file)) for file in shipped]
    try:
        sizes = msgspec.toml.decode(_read(SHIPPED / "sizes.toml"), type=Sizes)
        return Known(load_costs(costs[0][1], costs[0][0]), tuple(load_ramp(d, name) for name, d in ramps), sizes)
    except (CostsError, RampError) as error:
        raise KnownError(str(error)) from None


def read_ramp(file: Path) -> MeasuredRamp:
    """Return one ramp.

    Raises:
        KnownError: it is none.
    """
    try:
        return load_ramp(_read(file), file.name)
    except RampError as error:
        raise KnownError(str(error)) from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KnownError(f"{file.name}: cannot be read: {error.strerror}") from None


class _Kind(msgspec.Struct):
    ramp: Any = None
    calls: Any = None


def _is_ramp(data: bytes, name: str) -> bool:
    try:
        kind = msgspec.json.decode(data, type=_Kind)
    except msgspec.DecodeError as error:
        raise KnownError(f"{name}: not JSON of a ramp or of costs: {error}") from None
    if (kind.ramp is None) == (kind.calls is None):
        raise KnownError(f"{name}: expected the --json of a ramp or of `python -m loadtests.bench costs`")
    return kind.ramp is not None
