"""`python -m loadtests.bench`."""

import asyncio
import itertools
from pathlib import Path

import click
import msgspec

from loadtests.bench import costs as by_call
from loadtests.bench import http as over_http
from loadtests.bench import night as allotting
from loadtests.bench import night_store as in_the_night
from loadtests.bench import night_whole as whole_night
from loadtests.bench import scripts as in_the_store
from loadtests.bench import waiting as who_wait
from loadtests.bench.night_city import DEMAND


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Paired micro-benchmarks on this machine; quote the ratios, the absolute figures are noisy."""


@bench.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Of each side in each round.")
@click.option("--connections", default=1024, show_default=True)
@click.option(
    "--pin/--no-pin", default=True, help="Keep each server on core 0, the driver and the store on the others."
)
def polls(rounds: int, seconds: float, connections: int, pin: bool) -> None:
    """Polls against a bare ASGI answer, and against a store call for each poll."""
    with over_http.stage(130) as (settings, env, store):
        asyncio.run(over_http.prepare(settings, 1))
        _compare("Polls over HTTP", settings, env, store, rounds, seconds, connections, pin, joins=0)


@bench.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Of each side in each round.")
@click.option("--connections", default=1024, show_default=True)
@click.option("--residents", default=250_000, show_default=True, help="How many can join in all rounds together.")
@click.option(
    "--pin/--no-pin", default=True, help="Keep each server on core 0, the driver and the store on the others."
)
def joins(rounds: int, seconds: float, connections: int, residents: int, pin: bool) -> None:
    """Joins against a bare ASGI echo, and against store calls for each join."""
    with over_http.stage(130) as (settings, env, store):
        asyncio.run(over_http.prepare(settings, residents))
        _compare("Joins over HTTP", settings, env, store, rounds, seconds, connections, pin, joins=residents)


def _compare(  # type: ignore[no-untyped-def]
    title: str, settings, env, store, rounds: int, seconds: float, connections: int, pin: bool, *, joins: int
) -> None:
    import os

    if pin and (os.cpu_count() or 1) > 1:
        others = set(range(1, os.cpu_count() or 1))
        os.sched_setaffinity(0, others)
        os.sched_setaffinity(store.pid, others)
    core = 0 if pin else None
    bare = "bare_echo" if joins else "bare_answer"
    with (
        over_http.server("jiaohao", env, core) as (port, processes),
        over_http.server(bare, env, core) as (bare_port, bare_processes),
        over_http.server("store_call_per_request", env, core) as (naive_port, naive_processes),
    ):
        if joins:
            ready = [over_http.join_request(i) for i in range(joins)]
            ours, naive = iter(ready), iter(ready)
            sides: list[over_http.Side] = [
                ("jiaohao", lambda: ours, port, processes),
                (bare, lambda: itertools.cycle(ready[:1000]), bare_port, bare_processes),
                ("store call per request", lambda: naive, naive_port, naive_processes),
            ]
        else:
            asyncio.run(over_http.join_some(settings, 20_000))
            ready = [over_http.poll_request(settings, i) for i in range(10_000, 20_000)]
            sides = [
                ("jiaohao", lambda: itertools.cycle(ready), port, processes),
                (bare, lambda: itertools.cycle(ready), bare_port, bare_processes),
                ("store call per request", lambda: itertools.cycle(ready), naive_port, naive_processes),
            ]
        loads = over_http.paired(sides, rounds, seconds, connections, store)
    goals = {"store call per request": "≥ 4 ×" if joins else "≥ 6 ×", bare: "≥ 0.4 ×" if joins else "≥ 0.7 ×"}
    over_http.report(title, loads, "jiaohao", goals)


@bench.command()
@click.option("--largest", default=10_000_000, show_default=True)
@click.option("--batch", default=256, show_default=True, help="Residents in one call.")
@click.option("--rounds", default=3, show_default=True)
def scripts(largest: int, batch: int, rounds: int) -> None:
    """What a join costs in the store from 10⁴ to 10⁷ waiting, and bytes a resident."""
    in_the_store.run(largest, batch, rounds)


@bench.command()
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--largest", default=1_000_000, show_default=True)
def waiting(seconds: float, largest: int) -> None:
    """The server's CPU while 10⁴, 10⁵, 10⁶ people wait."""
    who_wait.run(seconds, largest)


@bench.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=1.5, show_default=True, help="Of a round of polls, look-ups, ...")
@click.option("--residents", default=8000, show_default=True, help="Who join, claim and register in a round.")
@click.option("--low", default=8, show_default=True, help="Connections of the quiet rounds.")
@click.option("--high", default=256, show_default=True, help="Connections of the busy rounds.")
@click.option("--json", "file", help="Where to write the figures, for `jiaohao plan --measured`.")
@click.option("--pin/--no-pin", default=True, help="Keep the worker on core 0, the driver and the store on the others.")
def costs(rounds: int, seconds: float, residents: int, low: int, high: int, file: str | None, pin: bool) -> None:
    """CPU of worker and store, and bytes, of each call by itself.

    One worker, a store that fsyncs. Calls that wait at the same moment share a call of the store: it is dear where
    there are few of them (--low) and cheap where there are many (--high). Takes some minutes.
    """
    found = by_call.measure(rounds, seconds, {"low": low, "high": high}, residents, pin=pin)
    by_call.show(found)
    if file:
        Path(file).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


@bench.command()
@click.option(
    "--part",
    "parts",
    type=click.Choice(["allot", "memory", "whole"]),
    multiple=True,
    default=["allot", "memory", "whole"],
    show_default=True,
    help="What to measure; give it several times for several.",
)
@click.option("--largest", default=DEMAND, show_default=True, help="Registrations of the largest allotment.")
@click.option("--one-list", is_flag=True, help="Allot all in one list, five times the largest district there is.")
@click.option("--waiting", default=100_000, show_default=True, help="Registrations whose memory is measured.")
@click.option("--listpack-bytes", type=int, help="For the memory: another hash-max-listpack-value.")
@click.option("--whole", default=50_000, show_default=True, help="Registrations of the night that is run end to end.")
@click.option("--doses", default=0.3, show_default=True, help="Doses on offer, as a share of those who wait.")
@click.option("--seed", default=1, show_default=True, help="Of the made-up city: same seed, same city.")
def night(
    parts: tuple[str, ...],
    largest: int,
    one_list: bool,
    waiting: int,
    listpack_bytes: int | None,
    whole: int,
    doses: float,
    seed: int,
) -> None:
    """The night: its allotment from 10⁴ to 4.8 M, memory a waiting registration, and `jiaohao night` end to end.

    All of it takes a quarter of an hour and 2 GB in the temporary folder. Window one's 1.55 M (--part whole --whole
    1550000) take half an hour and need 6 GB of memory and as much in the temporary folder.
    """
    if "allot" in parts:
        allotting.run(largest, doses, seed, one_list=one_list)
    if "memory" in parts:
        in_the_night.run(waiting, seed, listpack_bytes)
    if "whole" in parts:
        whole_night.run(whole, doses, seed)


if __name__ == "__main__":
    bench()
