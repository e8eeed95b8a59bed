"""What a night's allotment costs by itself, without a store, from ten thousand registrations to a whole city's."""

import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, product
from multiprocessing import get_context
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from loadtests.bench.night_city import ASSUMED, DEMAND, NIGHT, capacity, shares, sites_of, waiting
from server.core.city import City, load_city
from server.core.districts import District
from server.core.keys import day_tag
from server.fairness.allotment import Candidates, Rules, allot, in_order
from server.fairness.allotment.reserves import LETTERS, ReserveRule
from server.fairness.draw import commitment
from server.fairness.line_numbers import LineNumbers
from server.fairness.lots import Lots
from server.fairness.result_lines import list_root
from server.fairness.verification import MadePublic, verify_allotment
from server.night.published import Published

_SEED = bytes(range(32))
_FROZEN_MS = 1_625_148_000_000
_CHUNK = 5_000  # as many as a night reads at a time
_STEPS = ("take in", "number", "order", "allot", "list root", "write", "verify")
_GIB = 1 << 30


class Cost(msgspec.Struct):
    """What the nights of all districts of a city cost.

    `cpu`: step -> CPU seconds; `wall`: seconds in all; `peak`: memory of the process before verifying and with it,
    bytes; `file_bytes`: result files without their proofs.
    """

    registrations: int
    districts: int
    cpu: dict[str, float]
    wall: float
    peak: int
    peak_verified: int
    file_bytes: int
    allotted: int

    def us(self, *steps: str) -> float:
        """Return the CPU microseconds a registration of these steps."""
        return sum(self.cpu[step] for step in steps) / self.registrations * 1e6


class _Watch:
    """CPU time by step; what is not in a step (making the city up) is not counted."""

    def __init__(self) -> None:
        self.cpu = dict.fromkeys(_STEPS, 0.0)
        self.wall = 0.0

    def __call__(self, step: str) -> "_Watch":
        self._step = step
        return self

    def __enter__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu[self._step] += time.process_time() - self._cpu
        self.wall += time.perf_counter() - self._wall


def nights(total: int, doses: float, seed: int, *, one_list: bool, reserves: Sequence[ReserveRule] = ()) -> Cost:
    """Make a city up and allot each district's night, one after the other as `jiaohao night` does.

    Args:
        total: registrations that wait.
        doses: the offered doses' share of them.
        seed: of the made-up city.
        one_list: all in one district, five times the largest there is.
        reserves: of every night.
    """
    city, watch = load_city(), _Watch()
    places = shares(city, total)
    places = [(places[0][0], total)] if one_list else places
    allotted = file_bytes = 0
    public: list[tuple[Path, MadePublic]] = []
    with tempfile.TemporaryDirectory() as folder:
        results = Published(Path(folder), LineNumbers(_SEED))
        for district, count in places:
            rules = Rules.of(city, district.code, NIGHT, city.policy.horizon_days)
            rules = msgspec.structs.replace(rules, reserves=tuple(reserves))
            given, file, known = _night(city, rules, district, count, doses, seed, results, watch)
            allotted += given
            public.append((file, known))
            file_bytes += file.stat().st_size
        peak = _peak_bytes()
        for file, known in public:
            with watch("verify"):
                verify_allotment(file, known)
    return Cost(total, len(places), watch.cpu, watch.wall, peak, _peak_bytes(), file_bytes, allotted)


def _night(
    city: City, rules: Rules, district: District, count: int, doses: float, seed: int, results: Published, watch: _Watch
) -> tuple[int, Path, MadePublic]:
    offered = rules.offered(capacity(rules, sites_of(district, count), round(count * doses), seed))
    candidates = Candidates()
    coming = waiting(city, district, count, seed, reserves=len(rules.reserves))
    while chunk := list(islice(coming, _CHUNK)):
        with watch("take in"):
            candidates.extend(chunk)
    if rules.reserves:
        with watch("number"):
            numbers = results.numbers.numbers(day_tag(district.code, NIGHT), candidates.no, 0)
            candidates.renumber(numbers, {})
    with watch("list root"):
        listed = list_root(rules, candidates)
    lots = Lots(_SEED, 2, _FROZEN_MS) if rules.reserves else Lots(_SEED)
    key = lots.key(day_tag(district.code, NIGHT), listed)
    with watch("order"):
        order = in_order(rules, candidates, key)
    with watch("allot"):
        night = allot(rules, offered, candidates, key, order)
    with watch("write"):
        root = results.write(rules, lots, offered, night, listed)
    file = results.path(NIGHT, district.code)
    if file is None:
        raise RuntimeError("no result file")
    return night.counts()["allotted"], file, MadePublic(commitment(_SEED), listed, root)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def _sizes(largest: int) -> Iterator[int]:
    yield from (size for size in (10_000, 100_000, 1_000_000) if size < largest)
    yield largest


def run(
    largest: int = DEMAND, doses: float = 0.3, seed: int = 1, *, one_list: bool = False, percents: Sequence[int] = ()
) -> None:
    """Allot cities of growing size, each in a process of its own, and print what each step cost.

    With `percents` each twice: without reserves, and with reserves of so many percent.
    """
    title = "The night's allotment, " + ("all in one list" if one_list else "district by district")
    table = Table(title=title, title_justify="left")
    columns = ("registrations", *(f"{step} µs" for step in _STEPS), "night µs", "file B", "peak MB", "verifying MB")
    for column in columns:
        table.add_column(column, justify="right")
    costs = []
    reserved = [ReserveRule(letter, percent) for letter, percent in zip(LETTERS, percents, strict=False)]
    for size, reserves in product(_sizes(largest), [[], reserved] if reserved else [[]]):
        # Of its own: the peak of a process never goes down again.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            cost = process.submit(nights, size, doses, seed, one_list=one_list, reserves=reserves).result()
        costs.append(cost)
        table.add_row(
            f"{cost.registrations:,}" + (", reserves" if reserves else ""),
            *(f"{cost.us(step):.2f}" for step in _STEPS), f"{cost.us(*_STEPS[:-1]):.2f}",
            f"{cost.file_bytes / cost.registrations:.0f}",
            f"{cost.peak / 1e6:,.0f}", f"{cost.peak_verified / 1e6:,.0f}",
        )  # fmt: skip
    console = Console(width=140)
    console.print(table)
    night = _STEPS[:-1]
    if reserved:
        for without, with_them in zip(costs[::2], costs[1::2], strict=True):
            console.print(
                f"  CPU a registration of {without.registrations:,}, with reserves of "
                f"{' and '.join(f'{percent} %' for percent in percents)} / without: "
                f"{with_them.us(*night) / without.us(*night):.2f} ×; goal ≤ 1.2 ×"
            )
        costs = costs[::2]
    first, last = costs[0], costs[-1]
    console.print(
        f"  CPU a registration, {last.registrations:,} / {first.registrations:,}: "
        f"{last.us(*night) / first.us(*night):.2f} ×; goal ≤ 1.3 ×"
    )
    console.print(f"  peak memory: {last.peak / _GIB:.2f} GiB; goal ≤ 2 GiB")
    console.print(
        f"  {last.registrations:,}: {sum(last.cpu[s] for s in night):.0f} s of CPU, result files "
        f"{last.file_bytes / 1e6:,.0f} MB, {last.allotted:,} allotted; verifying all {last.cpu['verify']:.0f} s"
    )
    busy = sum(last.cpu.values()) / last.wall
    console.print(f"  machine: {os.cpu_count()} cores, one process, {busy:.0%} of a core while it worked")
    console.print(f"  assumed: {ASSUMED}; doses for {doses:.0%} of those who wait; seed {seed}")
