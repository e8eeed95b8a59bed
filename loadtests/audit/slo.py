"""SLOs as a file: what an opening must hold, typed (`loadtests/slo.toml` is the shipped one and explains each line)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from loadtests.client.answers import Call
from loadtests.toml_file import TomlError, read_toml, typed

SHIPPED_SLO = Path(__file__).parent.parent / "slo.toml"

Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class Errors(_Table, frozen=True):
    share: Share


class Connections(_Table, frozen=True):
    """Of new connections, from when the first request on one was due: until it is there, and until TLS is agreed on."""

    connect_p99_ms: Positive | None = None
    handshake_p99_ms: Positive | None = None


class Lateness(_Table, frozen=True):
    p99_ms: Positive


class Eta(_Table, frozen=True):
    median_error_seconds: Positive | None = None
    p90_error_seconds: Positive | None = None


class Interval(_Table, frozen=True):
    """Of the times between which a turn was promised: how many were right, and how wide they were, of the wait.

    Of fewer than `fewest` neither is judged.
    """

    kept_share: Share | None = None
    width_share: Share | None = None
    fewest: Count = 300


class Fairness(_Table, frozen=True):
    kendall: Share


class Recovery(_Table, frozen=True):
    """After any fault, and after those of which another time is asked."""

    seconds: Positive
    of: dict[str, Positive] = {}


class Memory(_Table, frozen=True):
    workers_mb_an_hour: Positive


class Audit(_Table, frozen=True):
    red: Count = 0
    unjudged: Count = 0


class Generator(_Table, frozen=True):
    """What marks a second as the generator's, and how many may be before the run proves too little."""

    cpu_percent: Positive = 95.0
    late_p99_ms: Positive = 250.0
    marked_share: Share = 0.1


class Machine(_Table, frozen=True):
    """When a second was the machine's rather than the server's, and how many such make a run inconclusive.

    In percent of all cores together: `others_percent`, what was taken by processes that are no part of the rehearsal,
    or by the machine's host; `full_percent`, by everybody.
    """

    others_percent: Positive = 15.0
    full_percent: Positive = 97.0
    marked_share: Share = 0.1


class Slo(_Table, frozen=True):
    """The file. A table that is not there is not judged; `generator` and `machine` have defaults, for marking is always
    done."""

    p99_ms: dict[str, Positive] = {}
    errors: Errors | None = None
    connections: Connections | None = None
    lateness: Lateness | None = None
    eta: Eta | None = None
    interval: Interval | None = None
    fairness: Fairness | None = None
    recovery: Recovery | None = None
    memory: Memory | None = None
    audit: Audit | None = None
    generator: Generator = Generator()
    machine: Machine = Machine()

    def p99_us(self, call: Call) -> float | None:
        """Return the objective of a call, in microseconds; None where it has none."""
        limit_ms = self.p99_ms.get(call.name.lower())
        return None if limit_ms is None else limit_ms * 1000


_TABLES: dict[str, type[msgspec.Struct]] = {
    "": Slo,
    "errors": Errors,
    "connections": Connections,
    "lateness": Lateness,
    "eta": Eta,
    "interval": Interval,
    "fairness": Fairness,
    "recovery": Recovery,
    "memory": Memory,
    "audit": Audit,
    "generator": Generator,
    "machine": Machine,
}


class SloError(Exception):
    """The file cannot be used; the message is one line."""


def load_slo(path: Path) -> Slo:
    """Read and check a file.

    Raises:
        SloError: it cannot be read, is no TOML, or a value is not what was expected. One line, as
            "slo.toml: p99_ms.join: expected `float`, got `str`".
    """
    try:
        tree = read_toml(path)
    except OSError as error:
        raise SloError(f"{path.name}: cannot be read: {error.strerror}") from error
    except TomlError as error:
        raise SloError(f"{path.name}: {error}") from error
    # names of calls first: msgspec says of a bad value in a dict only that it is in some value
    table = tree.get("p99_ms", {})
    calls = {call.name.lower() for call in Call}
    for name, limit in table.items() if isinstance(table, dict) else ():
        if name not in calls:
            raise SloError(f"{path.name}: p99_ms.{name}: no such call; expected one of {', '.join(sorted(calls))}")
        try:
            typed(limit, Positive, _keys_of)
        except TomlError as error:
            raise SloError(f"{path.name}: p99_ms.{name}: {error}") from error
    try:
        return typed(tree, Slo, _keys_of)
    except TomlError as error:
        raise SloError(f"{path.name}: {error}") from error


def _keys_of(table: str) -> tuple[str, ...]:
    """Return the keys of a table of the file."""
    return _TABLES[table].__struct_fields__
