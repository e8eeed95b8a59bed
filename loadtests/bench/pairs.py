"""Several servers driven in turn, and their medians and ratios."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import psutil
from rich.console import Console
from rich.table import Table

from loadtests.bench.drive import DriveResult, drive

Side = tuple[str, Callable[[], Iterator[bytes]], int, list[psutil.Process]]


def paired(
    sides: list[Side], rounds: int, seconds: float, connections: int, store: psutil.Process
) -> dict[str, list[DriveResult]]:
    """Run all sides in turn, round after round, so that what disturbs the machine disturbs them alike."""
    loads: dict[str, list[DriveResult]] = {name: [] for name, *_ in sides}
    for turn in range(rounds + 1):
        for name, requests, port, processes in sides if turn % 2 else reversed(sides):
            load = drive(port, requests(), connections=connections, seconds=seconds, server=processes, store=store)
            if not load.answers:
                raise RuntimeError(f"{name}: nobody is left to call; take more --residents, or fewer --rounds")
            if turn:  # the first round warms up
                loads[name].append(load)
    return loads


def report(title: str, loads: dict[str, list[DriveResult]], subject: str, against: dict[str, str]) -> None:
    """Print medians, and the median of the round-by-round ratios."""
    table = Table(title=title, title_justify="left")
    for column in ("", "answers/s", "server CPU µs", "store CPU µs", "driver's core", "statuses"):
        table.add_column(column, justify="left" if column in ("", "statuses") else "right")
    for name, runs in loads.items():
        rate, server_us, store_us, busy = (median(runs, f) for f in _FIGURES)
        table.add_row(name, f"{rate:,.0f}", f"{server_us:.1f}", f"{store_us:.1f}", f"{busy:.0%}", str(statuses(runs)))
    console = Console(width=120)
    console.print(table)
    for other, goal in against.items():
        rates, cpu = ratios(loads[subject], loads[other])
        console.print(
            f"  {subject} / {other}: {statistics.median(rates):.2f} × answers/s "
            f"(rounds {rates[0]:.2f}-{rates[-1]:.2f}), {cpu:.2f} × by CPU a request; goal {goal}"
        )


CPU_FIGURES = ("server_cpu_us", "store_cpu_us")
_FIGURES = ("per_second", *CPU_FIGURES, "driver_cpu")


def median(runs: Sequence[DriveResult], figure: str) -> float:
    """Of one of a load's figures."""
    return float(statistics.median(getattr(run, figure) for run in runs))


def statuses(runs: Sequence[DriveResult]) -> dict[int, int]:
    """Say how many answers had which status, in all of them."""
    total: Counter[int] = Counter()
    for run in runs:
        total.update(run.statuses)
    return dict(total)


def ratios(ours: Sequence[DriveResult], others: Sequence[DriveResult]) -> tuple[list[float], float]:
    """Return (answers a second, of each round, ascending; CPU of the server a request, median): how many times the
    others'."""
    rates = sorted(a.per_second / b.per_second for a, b in zip(ours, others, strict=True))
    cpu = statistics.median(b.server_cpu_us / a.server_cpu_us for a, b in zip(ours, others, strict=True))
    return rates, cpu
