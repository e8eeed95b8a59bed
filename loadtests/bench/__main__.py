"""`python -m loadtests.bench`."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from loadtests.bench import assisting as who_helps
from loadtests.bench import connections, pairs
from loadtests.bench import costs as by_call
from loadtests.bench import generator as of_the_generator
from loadtests.bench import guessing as who_guesses
from loadtests.bench import histories as of_an_opening
from loadtests.bench import http as over_http
from loadtests.bench import night as allotting
from loadtests.bench import night_store as in_the_night
from loadtests.bench import night_whole as whole_night
from loadtests.bench import replicas as with_replicas
from loadtests.bench import scripts as in_the_store
from loadtests.bench import settling as of_a_draw
from loadtests.bench import steady as one_by_one
from loadtests.bench import waiting as who_wait
from loadtests.bench.drive import DriveResult
from loadtests.bench.night_city import DEMAND
from loadtests.bench.peers import compare as beside_peers
from loadtests.report.host import python_build


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Paired micro-benchmarks on this machine; quote the ratios, the absolute figures are noisy."""
    click.echo(python_build())


# What each call of a resident is compared with. "store call per request" is the same service in the ordinary way.
_NAIVE = "store call per request"
_GOALS = {
    "join": {_NAIVE: "≥ 4 ×", "bare_echo": "≥ 0.7 ×"},
    "poll": {_NAIVE: "≥ 6 ×", "bare_answer": "≥ 0.85 ×"},
    "called_poll": {"bare_answer": "none"},
    "claim": {"bare_answer": "none"},
    "register": {"bare_echo": "≥ 0.45 ×"},
    "qr": {"bare_answer": "none"},
}
_ONCE = ("join", "claim", "register")  # by each resident: more of these need more residents

Command = TypeVar("Command", bound=Callable[..., None])


def _paired(command: Command) -> Command:
    """The flags of what is measured over HTTP."""
    for option in (
        click.option("--rounds", default=5, show_default=True),
        click.option("--seconds", default=2.0, show_default=True, help="Of each side in each round."),
        click.option("--connections", default=1024, show_default=True),
        click.option("--residents", default=150_000, show_default=True, help="How many there are for each call."),
        click.option(
            "--pin/--no-pin", default=True, help="Keep each server on core 0, the driver and the store on the others."
        ),
    ):
        command = option(command)
    return command


@bench.command()
@_paired
def polls(**options: Any) -> None:
    """Polls against a bare RSGI answer, and against a store call for each poll."""
    _compare(["poll"], **options)


@bench.command()
@_paired
def joins(**options: Any) -> None:
    """Joins against a bare RSGI echo, and against store calls for each join."""
    _compare(["join"], **options)


@bench.command()
@_paired
def claims(**options: Any) -> None:
    """Claims, and polls of who has been called, which ask the store too, against a bare RSGI answer."""
    _compare(["called_poll", "claim"], **options)


@bench.command()
@_paired
def registrations(**options: Any) -> None:
    """Registrations, on disk before the answer, and the image of their number, against bare RSGI."""
    _compare(["register", "qr"], **options)


@bench.command()
@_paired
def journey(**options: Any) -> None:
    """All calls of a resident, one after the other, and what one resident costs."""
    loads = _compare(list(_GOALS), **options)
    worker, store = (sum(pairs.median(runs, figure) for runs in loads) for figure in pairs.CPU_FIGURES)
    click.echo(f"One resident: {worker:.0f} µs of CPU in the worker, {store:.0f} µs in the store.")


@bench.command()
@click.option("--rate", default=1200.0, show_default=True, help="Requests a second.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each call in each round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--connections", default=64, show_default=True, help="Under way at once, at most.")
@click.option("--pin/--no-pin", default=True, help="Keep the worker on core 0, the driver and the store on the others.")
def steady(rate: float, seconds: float, rounds: int, connections: int, pin: bool) -> None:
    """CPU of each call where few come at once, as in an opening; the closed loops of the other benches see a crowd."""
    most = round(rate * seconds * rounds * 1.2)
    with contextlib.ExitStack() as stack:
        settings, env, store = stack.enter_context(over_http.stage(130))
        if pin:
            over_http.keep_off_the_first_core(store)
        asyncio.run(over_http.prepare(settings, 3 * most))
        port, worker = stack.enter_context(over_http.server("jiaohao", env, 0 if pin else None))
        requests = asyncio.run(over_http.journey(settings, most, most, most))._asdict()
        calls = {call: _supply("jiaohao", requests[call], once=call in _ONCE) for call in _GOALS}
        one_by_one.report(
            calls, port, worker, store, per_second=rate, connections=connections, seconds=seconds, rounds=rounds
        )


@bench.command()
@click.option("--rounds", default=5, show_default=True, help="Pairs; one more warms up.")
@click.option("--seconds", default=2.0, show_default=True, help="Of each side in each round.")
@click.option(
    "--connections", default=[256, 1024], show_default=True, multiple=True, help="Several for several tables."
)
@click.option("--residents", default=300_000, show_default=True, help="Who join.")
@click.option(
    "--pin/--no-pin", default=True, help="Keep both servers on core 0, the driver and the store on the others."
)
def peers(rounds: int, seconds: float, connections: tuple[int, ...], residents: int, pin: bool) -> None:
    """Polls and joins beside a waiting room written by hand in nginx and Lua, on the same store."""
    beside_peers.run(rounds, seconds, list(connections), residents, pin=pin)


def _compare(
    calls: list[str], rounds: int, seconds: float, connections: int, residents: int, pin: bool
) -> list[list[DriveResult]]:
    """Measure calls of residents and print what came out; the loads of ours, by call."""
    with contextlib.ExitStack() as stack:
        settings, env, store = stack.enter_context(over_http.stage(130))
        if pin:
            over_http.keep_off_the_first_core(store)
        counts = {call: residents if call in calls else 0 for call in _ONCE}
        if "called_poll" in calls:
            counts["claim"] = residents
        asyncio.run(over_http.prepare(settings, sum(counts.values())))
        names = ["jiaohao", *dict.fromkeys(name for call in calls for name in _GOALS[call])]
        servers = {
            name: stack.enter_context(over_http.server(name.replace(" ", "_"), env, 0 if pin else None))
            for name in names
        }
        requests = asyncio.run(over_http.journey(settings, counts["join"], counts["claim"], counts["register"]))
        found = []
        for call in calls:
            ready: list[bytes] = getattr(requests, call)
            sides = [
                (name, _supply(name, ready, once=call in _ONCE), *servers[name]) for name in ("jiaohao", *_GOALS[call])
            ]
            loads = pairs.paired(sides, rounds, seconds, connections, store)
            pairs.report(call.replace("_", " "), loads, "jiaohao", _GOALS[call])
            found.append(loads["jiaohao"])
    return found


def _supply(name: str, ready: list[bytes], *, once: bool) -> Callable[[], Iterator[bytes]]:
    """Return the requests of one side, from the first one each round, or onwards where each can be sent once only."""
    if once and not name.startswith("bare"):
        rest = iter(ready)
        return lambda: rest
    return lambda: itertools.cycle(ready[:10_000])


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
@click.option("--minutes", default=2.0, show_default=True, help="Of attack, and as many without.")
@click.option("--slice", "slice_seconds", default=10.0, show_default=True, help="Seconds of each, by turns.")
@click.option("--rate", default=100.0, show_default=True, help="Honest joins a second.")
@click.option("--victims", default=20, show_default=True, help="Whose ID numbers, names and masked phones have leaked.")
@click.option("--connections", default=8, show_default=True, help="Of the attacker.")
def guessing(minutes: float, slice_seconds: float, rate: float, victims: int, connections: int) -> None:
    """A guesser of phones, by every call that tells: what they find, and what honest joins beside it feel."""
    who_guesses.run(minutes, slice_seconds, rate, victims, connections)


@bench.command()
@click.option("--minutes", default=3.0, show_default=True)
@click.option("--slice", "slice_seconds", default=15.0, show_default=True, help="Seconds of each turn.")
@click.option("--rate", default=100.0, show_default=True, help="Joins a second of those who come by themselves.")
@click.option("--helpers", default=50, show_default=True)
def assisting(minutes: float, slice_seconds: float, rate: float, helpers: int) -> None:
    """The helpers' lane: what those who join by themselves feel of it."""
    who_helps.run(minutes, slice_seconds, rate, helpers)


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
@click.option(
    "--reserves",
    "percents",
    type=click.IntRange(1, 100),
    multiple=True,
    help="Allot each size with reserves too: percent of the doses; the first for a fifth of the people, the second for "
    "a fiftieth.",
)
def night(
    parts: tuple[str, ...],
    largest: int,
    one_list: bool,
    waiting: int,
    listpack_bytes: int | None,
    whole: int,
    doses: float,
    seed: int,
    percents: tuple[int, ...],
) -> None:
    """The night: its allotment from 10⁴ to 4.8 M, memory a waiting registration, and `jiaohao night` end to end.

    All of it takes a quarter of an hour and 2 GB in the temporary folder. Window one's 1.55 M (--part whole --whole
    1550000) take half an hour and need 6 GB of memory and as much in the temporary folder.
    """
    if "allot" in parts:
        allotting.run(largest, doses, seed, one_list=one_list, percents=percents)
    if "memory" in parts:
        in_the_night.run(waiting, seed, listpack_bytes)
    if "whole" in parts:
        whole_night.run(whole, doses, seed)


bench.add_command(connections.idle)
bench.add_command(with_replicas.replicas)
bench.add_command(connections.visitors)
bench.add_command(of_an_opening.histories)
bench.add_command(of_the_generator.generator)
bench.add_command(of_a_draw.settling)


if __name__ == "__main__":
    bench()
