"""What `jiaohao import` shows of an import, step by step, and what it asks."""

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec
from rich.progress import Progress

from server.cli import import_summary as summary
from server.cli.progress import progress_bar
from server.core.city import City
from server.core.clock import Clock
from server.core.errors import SetupError
from server.core.settings import Settings
from server.operations.importing import RowsKept
from server.operations.importing.steps import (
    CapacityImport,
    FileScope,
    RegistryImport,
    SitesImport,
    capacity_file,
    sites_file,
)
from server.store.agreed import Agreement
from server.store.connection import Connection
from server.store.setup import city_clock, open_store

_MOST_DOUBTS: Final = 5


class Choices(msgspec.Struct, frozen=True):
    """The flags of `jiaohao import`."""

    skip_bad: bool = False
    replace: bool = False
    dry_run: bool = False
    yes: bool = False
    partial: bool = False

    @property
    def scope(self) -> FileScope:
        """What the file claims."""
        return FileScope(replace=self.replace, partial=self.partial)


_INTO_THE_DEMO = (
    "warning: this store has the demo's made-up residents (jiaohao up); for a real city begin with an empty one"
)


class _Run(NamedTuple):
    """An import that goes on: the store is open, and it is this time in the city."""

    connection: Connection
    city: City
    file: Path
    choices: Choices
    bar: Progress
    clock: Clock

    def task(self, what: str, total: int | None, *, shown: bool = True) -> Callable[[int], Any]:
        """A line of the progress bar; to be told how far it is."""
        task = self.bar.add_task(what, total=total, visible=shown)
        return lambda done: self.bar.update(task, completed=done)

    def reading(self, what: str) -> Callable[[int], Any]:
        """A line of the progress bar for a reading of the file."""
        return self.task(what, self.file.stat().st_size)

    def say(self, lines: Iterable[str]) -> None:
        """Print lines, below the bar's."""
        for line in lines:
            click.echo(line)

    def check_rows(self, outcome: RowsKept) -> None:
        """Say which rows are bad.

        Raises:
            SetupError: there are some, and nothing shall be kept then.
        """
        for fault in outcome.first_bad:
            click.echo(f"{self.file.name}: {fault}", err=True)
        if outcome.bad > len(outcome.first_bad):
            click.echo(f"... and {outcome.bad - len(outcome.first_bad)} more bad rows", err=True)
        if outcome.bad and not self.choices.skip_bad:
            raise SetupError(f"{outcome.bad} bad rows, nothing kept; mend them, or keep the others with --skip-bad")
        if outcome.bad and self.choices.replace:
            raise SetupError(
                f"{outcome.bad} bad rows, nothing kept; --replace needs a file without any, else theirs would go"
            )

    def may_keep(self, doubts: Sequence[str]) -> bool:
        """Whether the file is to be kept.

        Raises:
            SetupError: it is not plausible, and nobody has said that it is right.
        """
        if doubts and not self.choices.yes:
            told = "; ".join(doubts[:_MOST_DOUBTS])
            told += f"; and {len(doubts) - _MOST_DOUBTS} more" if len(doubts) > _MOST_DOUBTS else ""
            refusal = SetupError(f"{self.file.name}: not plausible: {told}: nothing kept; --yes keeps it all the same")
            if self.choices.dry_run or not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise refusal
            self.bar.stop()
            for doubt in doubts:
                click.echo(f"not plausible: {doubt}", err=True)
            if not click.confirm("Keep it all the same?", err=True):
                raise refusal
            self.bar.start()
        if self.choices.dry_run:
            click.echo("nothing has been changed")
        return not self.choices.dry_run


@asynccontextmanager
async def _running(settings: Settings, city: City, file: Path, choices: Choices) -> AsyncIterator[_Run]:
    connection = await open_store(settings)
    try:
        with progress_bar() as bar:
            yield _Run(connection, city, file, choices, bar, await city_clock(connection))
    finally:
        await connection.close()


async def import_registry(settings: Settings, city: City, file: Path, choices: Choices) -> None:
    """First-dose records."""
    async with _running(settings, city, file, choices) as run:
        work = RegistryImport(city, run.connection, run.clock, settings, choices.scope)
        judged = work.judge(file, run.reading("checking"))
        run.check_rows(judged.outcome)
        found, last = await work.compare(judged, run.task("comparing", judged.count))
        run.say(summary.of_registry(city, found, last))
        going = await work.going(found, run.task("looking for what goes", None, shown=choices.replace))
        run.say(summary.of_missing_residents(found, last, going, partial=choices.partial))
        if not run.may_keep(work.doubts(found, last, going)):
            return
        removing = run.task("removing", None, shown=choices.replace)
        kept = await work.keep(file, found, run.reading("keeping"), removing)
        run.say(summary.of_followers(kept.counts))
        click.echo(summary.kept(found.count, "residents", found.outcome.bad, kept.removed))
        if await Agreement(run.connection).is_demo():  # asked after writing: see there
            click.echo(_INTO_THE_DEMO, err=True)


async def import_sites(settings: Settings, city: City, file: Path, choices: Choices) -> None:
    """Vaccination sites."""
    async with _running(settings, city, file, choices) as run:
        work = SitesImport(city, run.connection, run.clock, choices.scope)
        source = sites_file(file, run.reading("checking"))
        found = await work.judge(source)
        run.check_rows(found.outcome)
        run.say(summary.of_sites(found))
        affected = await work.affected(found)
        run.say(summary.of_missing_sites(found, affected, choices.scope))
        if not run.may_keep(work.doubts(found, affected)):
            return
        kept = await work.keep(source, found, affected)
        removed = len(found.missing) if choices.replace else 0
        click.echo(summary.kept(kept, "sites", found.outcome.bad, removed))


async def import_capacity(settings: Settings, city: City, file: Path, choices: Choices) -> None:
    """Doses a site can give."""
    async with _running(settings, city, file, choices) as run:
        work = CapacityImport(city, run.connection, run.clock, choices.scope)
        source = capacity_file(file, run.reading("checking"))
        judged = work.judge(source, await work.reader())
        run.check_rows(judged.outcome)
        found, last = await work.compare(judged)
        run.say(summary.of_capacity(city, found, last))
        run.say(summary.of_missing_slots(found, work.missing(found), choices.scope))
        if not run.may_keep(work.doubts(found, last)):
            return
        kept = await work.keep(source, found)
        click.echo(summary.kept(kept.slots, "slots", found.outcome.bad, kept.removed))
        for line in summary.of_lowered(kept.lowered):
            click.echo(line, err=True)
