"""`jiaohao verify draw|allotment|inclusion|log`."""

import re
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from server.core.errors import SetupError
from server.fairness.beacon import BeaconUnverifiable, chain_named
from server.fairness.verification import (
    LogFiles,
    MadePublic,
    Printed,
    Published,
    WrongFile,
    is_of_a_draw,
    night_in_log,
    verify_allotment,
    verify_draw,
    verify_entry,
    verify_inclusion,
    verify_log,
)

_SIZE, _START_OF_ROOT = re.compile("[1-9][0-9]{0,11}"), re.compile("[0-9a-f]{16,64}")
_saved = click.Path(exists=True, dir_okay=False, path_type=Path)
_file = click.argument("file", type=_saved)


class _Hash(click.ParamType[str]):
    """64 hexadecimal digits."""

    name = "HEX"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """In lower case."""
        text = value.strip().lower()
        if len(text) != 64 or set(text) - set("0123456789abcdef"):
            self.fail(f"{value!r} is not 64 hexadecimal digits", param, ctx)
        return text


class _Receipt(click.ParamType[Printed]):
    """What a receipt has in print of the log: how many entries, and 16 or more digits of their root."""

    name = "SIZE:ROOT"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Printed:
        """Commas in the size and spaces in the root are how people read them."""
        size, _, root = "".join(value.split()).replace(",", "").lower().partition(":")
        if not _SIZE.fullmatch(size) or not _START_OF_ROOT.fullmatch(root):
            self.fail(f"{value!r} is not as on a receipt, 1,234:9f3a61c20b4d77e0", param, ctx)
        return Printed(int(size), root)


@click.group("verify")
def command() -> None:
    """Replay a draw or a night's allotment from what was published, or find one's own line; needs no store.

    Prints "yes" with the counts, or the first thing that is wrong, and then exits with 1.
    """


@command.command("allotment")
@_file
@click.option("--commitment", type=_Hash(), help="The seed's commitment, as published before the night.")
@click.option("--list-root", type=_Hash(), help="The frozen list's root, as published before the seed.")
@click.option("--root", type=_Hash(), help="The root of the whole file, as published or as on a resident's status.")
@click.option("--log", type=_saved, help="Entries of the public log, saved, that have all of these.")
def allotment(file: Path, commitment: str | None, list_root: str | None, root: str | None, log: Path | None) -> None:
    """Allot a night's registrations anew from its result file and compare every line.

    A file that somebody has written anew from beginning to end is consistent in itself: give what was
    published (--commitment, --list-root, --root, or --log) to know that it is the night's own.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    try:
        with bar:
            task = bar.add_task("verify", total=2 * file.stat().st_size)
            held = verify_allotment(
                file, MadePublic(commitment, list_root, root), lambda n: bar.update(task, completed=n)
            )
        if log is not None:
            rules = held.head.rules
            held.compare(night_in_log(log, rules.district, rules.date.isoformat()))
    except (WrongFile, OSError) as error:
        raise SetupError(f"no: {file}: {error}") from None
    except BeaconUnverifiable as error:
        raise SetupError(str(error)) from None
    counts = ", ".join(f"{name} {count:,}" for name, count in held.foot.counts.items() if count)
    click.echo(f"yes: {held.head.rules.district} {held.head.rules.date}: {held.head.registrations:,} registrations")
    if counts:
        click.echo(counts)
    if (beacon := held.head.beacon) is not None:
        missing = f" is missing: {beacon.missing}" if beacon.missing else ""
        chain = chain_named(beacon.chain)
        click.echo(f"round {beacon.round} of {chain.in_words if chain else beacon.chain}{missing}")
    click.echo(f"root {held.foot.root}")


@command.command("inclusion")
@_file
@click.option("--root", type=_Hash(), help="The root, as published (GET .../allotments/DISTRICT/DATE, or a draw's).")
@click.option(
    "--draw", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A saved GET .../openings/DISTRICT."
)
@click.option("--result", type=_saved, help="The night's result file: counts in it who got what would have suited.")
def inclusion(file: Path, root: str | None, draw: Path | None, result: Path | None) -> None:
    """Check that one's own line is in a night's result, or one's own entry in a draw.

    FILE is a saved answer of GET /api/v1/registrations/NO, as the page's "check it yourself" saves it, or one of
    GET /api/v1/ticket/proof; then --draw checks the draw as well and says the number. Everybody must have the same
    root: give the one that others see (--root).
    """
    try:
        if is_of_a_draw(file):
            return _say_entry(file, root, draw)
        found = verify_inclusion(file, root, result)
    except (WrongFile, BeaconUnverifiable, OSError) as error:
        raise SetupError(f"no: {file}: {error}") from None
    line = found.line
    rank = f"number {found.number - 1:,} of {found.registrations:,}"
    click.echo(f"yes: {line.no} is line {found.number:,} of the result, {rank}")
    click.echo(" ".join(str(part) for part in line.slot) if line.slot else f"no slot: {line.reason}")
    if found.suited is not None:
        counted = "as the result has it" if found.is_counted else "not counted: that takes --result"
        click.echo(f"slots that would have suited it, all given to people ahead: {found.suited:,} ({counted})")
    click.echo(f"root {found.root}")
    if root is None:
        click.echo(
            f"compare the root, and how many there are, with what is published for {found.district} {found.date}"
        )


def _say_entry(file: Path, root: str | None, draw: Path | None) -> None:
    found = verify_entry(file, root, draw)
    click.echo(f"yes: entry {found.entry} was in the draw of {found.entries:,}")
    if found.number is not None:
        click.echo(f"it has number {found.number}")
    click.echo(f"root {found.root}")


@command.command("draw")
@_file
@click.option("--commitment", type=_Hash(), help="The commitment, as published before the opening.")
@click.option("--root", type=_Hash(), help="The root over the entries, as published before the seed.")
@click.option(
    "--leaves", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="GET .../draw/leaves, saved."
)
@click.option(
    "--log", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="GET /api/v1/log/entries, saved."
)
@click.option("--entry", type=click.IntRange(min=0), help="Say this entry's number as well.")
def draw(
    file: Path, commitment: str | None, root: str | None, leaves: Path | None, log: Path | None, entry: int | None
) -> None:
    """Check an opening's draw: that its key follows from the seed that was committed to, from the root over all entries
    and from the beacon's round, and each number from the key.

    \b
    FILE is a saved answer of GET /api/v1/openings/DISTRICT once the draw is done, or
      {"seed": HEX, "commitment": HEX, "entries": N, "numbers": {"ENTRY": NUMBER, ...}}
    where the numbers, if there are any, are compared too. With --leaves the root is worked out anew, with --log the
    whole is compared with the public log.
    """
    try:
        drawn = verify_draw(file, Published(commitment, root, leaves, log))
    except (WrongFile, BeaconUnverifiable, OSError) as error:
        raise SetupError(f"no: {file}: {error}") from None
    click.echo(f"yes: {drawn.draw.entries:,} entries, {drawn.compared:,} numbers compared")
    if drawn.root:
        click.echo(f"root {drawn.root}" + ("" if leaves else ", not worked out anew: that takes --leaves"))
    if drawn.bound_to:
        click.echo(f"beacon {drawn.bound_to}" + (f", without its randomness: {drawn.missing}" if drawn.missing else ""))
    if entry is not None:
        click.echo(f"entry {entry} has number {drawn.draw.number(entry)}")


@command.command("log")
@click.argument("head", type=_saved)
@click.option("--key", required=True, help="The log's key, NAME+ID+KEY, as it was published.")
@click.option("--entries", type=_saved, help="All entries up to HEAD.")
@click.option("--earlier", type=_saved, help="A head kept from before.")
@click.option("--growth", type=_saved, help="GET /log/growth, saved.")
@click.option("--printed", type=_Receipt(), help="As a receipt has it: entries and the first digits of the root.")
def log(
    head: Path, key: str, entries: Path | None, earlier: Path | None, growth: Path | None, printed: Printed | None
) -> None:
    """Check the city's public log: who signed its head, that the entries are its, and that it has only grown.

    \b
    HEAD is a saved answer of GET /api/v1/log/head. To see that nothing was changed since an earlier one:
      curl -s SITE/api/v1/log/entries > entries       (1,000 lines; further ones with ?start=1000 and so on)
      jiaohao verify log HEAD --key KEY --earlier OLD --entries entries
    or, without the entries, with the proof that GET /api/v1/log/growth?first=M&second=N gives (--growth).
    What a receipt has in print is compared by the entries:
      jiaohao verify log HEAD --key KEY --entries entries --printed "1,234:9f3a 61c2 0b4d 77e0"
    """
    try:
        found = verify_log(LogFiles(head, earlier, entries, growth), key, printed)
    except (WrongFile, OSError) as error:
        raise SetupError(f"no: {error}") from None
    except ValueError as error:
        raise SetupError(str(error)) from None
    click.echo(f"yes: {found.head.origin} has {found.head.size:,} entries, root {found.head.root}")
    if found.kinds:
        click.echo(", ".join(f"{kind} {count:,}" for kind, count in sorted(found.kinds.items())))
    if found.earlier is not None:
        click.echo(f"it begins with what it was when it had {found.earlier.size:,}")
    if printed is not None:
        click.echo(f"its first {printed.size:,} are those that the receipt stands for")
