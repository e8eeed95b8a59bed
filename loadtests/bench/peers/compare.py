"""Our server and a hand-written room, one core each, by turns: answers a second and CPU an answer."""

import asyncio
import contextlib
import itertools
import statistics

from rich.console import Console
from rich.table import Table

from loadtests.bench import http as over_http
from loadtests.bench import pairs
from loadtests.bench.drive import DriveResult
from loadtests.bench.peers import nginx_lua

_GOALS = {"poll": "≥ 1.3 ×", "join": "≥ 1.5 ×"}
_PEER = "nginx + Lua"


def run(rounds: int, seconds: float, connections: list[int], residents: int, *, pin: bool) -> None:
    """Measure polls and joins of both, on the same store, and print medians and the ratios of adjacent pairs."""
    console = Console(width=120)
    console.print("One worker each, on the same store, which fsyncs before it answers.")
    with contextlib.ExitStack() as stack:
        settings, env, store = stack.enter_context(over_http.stage(130))
        if pin:
            over_http.keep_off_the_first_core(store)
        core = 0 if pin else None
        asyncio.run(over_http.prepare(settings, residents))
        nginx_lua.fill(settings.redis_url, residents)
        ours = stack.enter_context(over_http.server("jiaohao", env, core))
        theirs = stack.enter_context(nginx_lua.room(settings.redis_url, core))
        far = asyncio.run(over_http.places_far_behind(settings))
        polls = [over_http.poll_request(settings, entry) for entry in far], [nginx_lua.poll_request(it) for it in far]
        joins = iter(map(over_http.join_request, range(residents))), iter(map(over_http.join_request, range(residents)))
        for call in _GOALS:
            for lines in connections:
                # a poll can be asked again and again, a place is given once
                supplies = [itertools.cycle(it) for it in polls] if call == "poll" else list(joins)
                sides: list[pairs.Side] = [
                    ("jiaohao", lambda it=supplies[0]: it, *ours),  # type: ignore[misc]
                    (_PEER, lambda it=supplies[1]: it, *theirs),  # type: ignore[misc]
                ]
                loads = pairs.paired(sides, rounds, seconds, lines, store)
                _show(console, call, lines, loads)


def _show(console: Console, call: str, lines: int, loads: dict[str, list[DriveResult]]) -> None:
    table = Table(title=f"{call}s, {lines} connections", title_justify="left")
    for column in ("", "answers/s", "CPU µs", "store CPU µs", "driver's core", "statuses"):
        table.add_column(column, justify="left" if column in ("", "statuses") else "right")
    for name, runs in loads.items():
        rate, server_us, store_us, busy = (
            pairs.median(runs, it) for it in ("per_second", *pairs.CPU_FIGURES, "driver_cpu")
        )
        words = f"{rate:,.0f}", f"{server_us:.1f}", f"{store_us:.1f}", f"{busy:.0%}"
        table.add_row(name, *words, str(pairs.statuses(runs)))
    console.print(table)
    rates, cpu = pairs.ratios(loads["jiaohao"], loads[_PEER])
    console.print(
        f"  jiaohao / {_PEER}: {statistics.median(rates):.2f} × answers/s (pairs {rates[0]:.2f}-{rates[-1]:.2f}), "
        f"{cpu:.2f} × by CPU a call; goal {_GOALS[call]}"
    )
