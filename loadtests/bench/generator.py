"""What a request costs the load generator itself, in a rehearsal against a server that answers at once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec

from loadtests.run.ports import free_ports

_HERE = Path(__file__).resolve().parents[2]
_LEAD_SECONDS = 8
_SETTLED_SECONDS = 3
# every second counts, however busy the machine: it is CPU time that is compared
_UNJUDGED = """
[generator]
cpu_percent = 100000
late_p99_ms = 100000
[machine]
others_percent = 100000
full_percent = 100000
"""


@click.command()
@click.option("--residents", default=12_000, show_default=True, help="Who come evenly; each polls every five seconds.")
@click.option("--seconds", default=20, show_default=True, help="Of a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout, whose generator is measured beside this one, turn by turn.",
)
def generator(residents: int, seconds: int, rounds: int, against: Path | None) -> None:
    """CPU of the load generator a request, in a rehearsal against a responder of fixed answers."""
    sides: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    if against is not None:
        sides["the other checkout"] = against, {}
    sides["shared connections"] = _HERE, {"connections": "shared"}
    sides["own connections"] = _HERE, {"connections": "own"}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (home, options) in sides.items():
            cost_us, rate = _measured(home, options, residents, seconds)
            found[name].append(cost_us)
            click.echo(f"{name}: {cost_us:.0f} µs a request at {rate:,.0f} requests/s")
    click.echo(f"\nCPU of the generator a request, median of {rounds} (Python {sys.version.split()[0]}):")
    first = median(found[next(iter(sides))])
    for name, costs in found.items():
        click.echo(f"  {name:20} {median(costs):6.0f} µs  {median(costs) / first:5.2f} ×")


def _measured(home: Path, options: Mapping[str, Any], residents: int, seconds: int) -> tuple[float, float]:
    """Return the CPU microseconds a request, and the requests a second, once all have settled."""
    opens_at = datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(seconds=_LEAD_SECONDS)
    with tempfile.TemporaryDirectory(prefix="jiaohao-bench-") as folder:
        file, slo = Path(folder) / "run.json", Path(folder) / "slo.toml"
        slo.write_text(_UNJUDGED)
        with _responder(opens_at, seconds + _LEAD_SECONDS + 40) as host:
            given: dict[str, Any] = {"host": host, "residents": residents, "minutes": seconds / 60, "arrivals": "even"}
            given |= {
                "report": None,
                "json": str(file),
                "slo": str(slo),
                "opening": opens_at.isoformat(timespec="seconds"),
            } | dict(options)
            command = [sys.executable, "-m", "loadtests.cli.drive", msgspec.json.encode(given).decode()]
            done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=seconds + 120, check=False)
        if not file.exists():
            raise click.ClickException(f"the rehearsal was not held: {done.stdout[-500:]}{done.stderr[-500:]}")
        figures = msgspec.json.decode(file.read_bytes())
    (sample,) = (it for it in figures["samples"] if it["name"] == "CPU of generator")
    pairs = [pair for second, pair in sample["seconds"].items() if int(second) >= _SETTLED_SECONDS]
    cpu_s, thousands = (sum(pair[k] for pair in pairs) for k in (0, 1))
    return 1000 * cpu_s / thousands, 1000 * thousands / len(pairs)


@contextmanager
def _responder(opens_at: datetime, seconds: float) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "loadtests.bench.responder", str(port), opens_at.isoformat(), str(seconds)]
    process = subprocess.Popen(command, cwd=_HERE)
    try:
        time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
