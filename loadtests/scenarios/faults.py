"""What do residents notice when a worker, the store, the disk or a clock fails in the middle of an opening?

One run for each fault (`loadtests.faults`), each with a server and a report of its own.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from loadtests.faults.catalogue import FAULTS
from loadtests.run.options import Options
from loadtests.scenarios import CITIES, Scenario


def _each_fault(options: Options) -> Iterator[Options]:
    """Return each fault, or the one that was asked for."""
    for fault in FAULTS if options.fault is None else (options.fault,):
        files = {name: _named(getattr(options, name), fault) for name in ("report", "json", "junit")}
        yield msgspec.structs.replace(options, fault=fault, **files)


def _named(file: str | None, fault: str) -> str | None:
    if file is None:
        return None
    path = Path(file)
    return str(path.with_name(f"{path.stem}-{fault}{path.suffix}"))


SCENARIO = Scenario(
    "faults", __doc__, {"city": str(CITIES / "short.toml"), "residents": 6_000, "minutes": 1.5}, _each_fault
)
