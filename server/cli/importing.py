"""What `jiaohao import` does with each kind of file, step by step: judge, compare, say, ask, keep, note."""

import hashlib
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import msgspec
from rich.progress import Progress

from server.appointments.appointments import Appointments
from server.cli.progress import progress_bar
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import Seal
from server.core.errors import SetupError
from server.core.keys import Pepper
from server.core.settings import Settings
from server.operations.importing import (
    CAPACITY_COLUMNS,
    REGISTRY_COLUMNS,
    SITES_COLUMNS,
    CsvFile,
    Lowered,
    Outcome,
    RegistryKeeper,
    capacity_reader,
    judge_registry,
    keep_capacity,
    keep_sites,
    known_sites,
    registry_reader,
    summary,
)
from server.operations.importing.affected import AtSites, at_sites, remove_sites
from server.operations.importing.capacity import Capacity, compare_capacity, judge_capacity, remove_slots
from server.operations.importing.last import Kind, LastImport, last_import, note_import
from server.operations.importing.plausible import doubts_of_capacity, doubts_of_registry, doubts_of_sites, names_rule
from server.operations.importing.registry import Going, compare_registry
from server.operations.importing.sites import judge_sites
from server.store.agreed import Agreement
from server.store.connection import Connection
from server.store.setup import city_clock, open_store

_MOST_TOLD: Final = 10
_MOST_DOUBTS: Final = 5


class Choices(msgspec.Struct, frozen=True):
    """The flags of `jiaohao import`."""

    skip_bad: bool = False
    replace: bool = False
    dry_run: bool = False
    yes: bool = False
    partial: bool = False


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

    @property
    def today(self) -> date:
        """The city's date."""
        return from_ms(self.clock.now_ms(), self.city.tz).date()

    @property
    def appointments(self) -> Appointments:
        """The appointments of the city."""
        return Appointments(self.city, self.connection, self.clock)

    def task(self, what: str, total: int | None) -> Callable[[int], Any]:
        """A line of the progress bar; to be told how far it is."""
        task = self.bar.add_task(what, total=total)
        return lambda done: self.bar.update(task, completed=done)

    def source(self, what: str, columns: Sequence[str]) -> CsvFile:
        """The file, with a line of the progress bar for its reading."""
        return CsvFile(self.file, columns, self.task(what, self.file.stat().st_size))

    def say(self, lines: Iterable[str]) -> None:
        """Print lines, below the bar's."""
        for line in lines:
            click.echo(line)

    def check_rows(self, outcome: Outcome) -> None:
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

    async def note(self, kind: Kind, this: LastImport) -> None:
        """It has come to its end; a file of only some rows is not what the next one is compared with."""
        if not self.choices.partial:
            await note_import(self.connection, kind, this)

    def digest(self) -> str:
        """Of the file."""
        with self.file.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()


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
        read = registry_reader(city, Pepper(settings.pepper, city.papers.same_name), run.today)
        found = judge_registry(city, run.source("checking", REGISTRY_COLUMNS), read)
        run.check_rows(found.outcome)
        await compare_registry(run.connection, found, run.task("comparing", found.count))
        last = await last_import(run.connection, "registry")
        run.say(summary.of_registry(city, found, last))
        keeper = RegistryKeeper(run.connection, city, Seal(settings.secrets), run.appointments)
        going = None
        if choices.replace:
            going = await keeper.going(found.residents, run.task("looking for what goes", None))
            run.say(_going(going))
        elif last is not None and (staying := last.count - (found.count - found.new)) > 0 and not choices.partial:
            click.echo(
                f"about {staying:,} residents of the registry are not in the file and stay (--replace takes them away)"
            )
        if not run.may_keep(doubts_of_registry(city, found, last, going, partial=choices.partial)):
            return
        async for _ in keeper.keep(run.source("keeping", REGISTRY_COLUMNS).rows(read), found.residents.at_odds):
            pass
        removed = await keeper.remove(found.residents, run.task("removing", None)) if choices.replace else 0
        this = LastImport(
            run.clock.now_ms(), run.digest(), found.count, found.districts, found.products, names=names_rule(city)
        )
        await run.note("registry", this)
        if changed := keeper.counts.corrected + keeper.counts.closed:
            late = (
                f" ({keeper.counts.late:,} with an appointment too near to cancel stay)" if keeper.counts.late else ""
            )
            click.echo(
                f"{changed:,} open registrations follow: {keeper.counts.corrected:,} corrected, "
                f"{keeper.counts.closed:,} closed{late}"
            )
        click.echo(_kept(found.count, "residents", found.outcome.bad, removed))
        if await Agreement(run.connection).is_demo():  # asked after writing: see there
            click.echo(_INTO_THE_DEMO, err=True)


async def import_sites(settings: Settings, city: City, file: Path, choices: Choices) -> None:
    """Vaccination sites."""
    async with _running(settings, city, file, choices) as run:
        found = await judge_sites(run.connection, city, run.source("checking", SITES_COLUMNS), replace=choices.replace)
        run.check_rows(found.outcome)
        run.say(summary.of_sites(found))
        doubts = [] if choices.partial else doubts_of_sites(city, found, replace=choices.replace)
        hanging, going = AtSites(), found.going() if choices.replace else []
        if going:
            hanging = await at_sites(run.connection, city, run.appointments, going, run.today)
            run.say(_hanging(len(found.missing), hanging))
            if count := hanging.appointments.total():
                doubts.append(f"{count:,} appointments are at sites that go")
        elif found.missing and not choices.partial:
            click.echo(f"{len(found.missing):,} sites are not in the file and stay (--replace takes them away)")
        if not run.may_keep(doubts):
            return
        kept = await keep_sites(run.connection, found.sites.values())
        await remove_sites(run.connection, going, hanging.slots)
        districts = Counter(site.district for site in found.sites.values())
        await run.note("sites", LastImport(run.clock.now_ms(), run.digest(), kept, districts))
        click.echo(_kept(kept, "sites", found.outcome.bad, len(found.missing) if choices.replace else 0))


async def import_capacity(settings: Settings, city: City, file: Path, choices: Choices) -> None:
    """Doses a site can give."""
    async with _running(settings, city, file, choices) as run:
        read = capacity_reader(city, await known_sites(run.connection, city), run.today)
        found = judge_capacity(run.source("checking", CAPACITY_COLUMNS), read)
        run.check_rows(found.outcome)
        await compare_capacity(run.connection, city, found)
        last = await last_import(run.connection, "capacity")
        run.say(summary.of_capacity(city, found, last))
        missing = found.missing(run.today)
        if missing and not choices.partial:
            given = sum(found.given.get(slot, 0) for slot in missing)
            told = f"{len(missing):,} slots of these days are not in the file and "
            told += f"go; {given:,} doses of them have been given and stay" if choices.replace else "stay"
            click.echo(told)
        doubts = doubts_of_capacity(city, found, last, replace=choices.replace, partial=choices.partial)
        if not run.may_keep(doubts):
            return
        kept = await keep_capacity(run.connection, [Capacity(*slot, doses) for slot, doses in found.slots.items()])
        going = missing if choices.replace else []
        lowered = kept.lowered + await remove_slots(run.connection, going)
        slots = Counter(slot.district for slot in found.slots)
        doses, days = sum(found.slots.values()), len(found.days)
        this = LastImport(run.clock.now_ms(), run.digest(), kept.slots, slots, doses=doses, days=days)
        await run.note("capacity", this)
        click.echo(_kept(kept.slots, "slots", found.outcome.bad, len(going)))
        _warn(lowered)


def _kept(kept: int, what: str, bad: int, removed: int) -> str:
    told = f"{kept} {what} kept"
    told += f", {bad} bad rows left out" if bad else ""
    return told + (f", {removed} removed" if removed else "")


def _going(going: Going) -> list[str]:
    lines = [f"{going.lines:,} of {going.of:,} lines of the registry are not in the file and go"]
    booked = [it for it in going.registrations if it[1] == "booked"]
    if going.registrations:
        lines.append(
            f"{len(going.registrations):,} of these residents have open registrations, {len(booked):,} with an "
            "appointment; they are closed and told:"
        )
        for no, state, day in sorted(going.registrations)[:_MOST_TOLD]:
            lines.append(f"  {no} {state}{f' for {day}' if day else ''}")
        if len(going.registrations) > _MOST_TOLD:
            lines.append(f"  ... and {len(going.registrations) - _MOST_TOLD:,} more")
    return lines


def _hanging(missing: int, found: AtSites) -> list[str]:
    offered = len(found.slots)
    lines = [f"{missing:,} sites are not in the file and go, with {offered:,} slots from today on"]
    if found.appointments:
        lines.append("appointments there stay; to have them allotted anew, close the site on /staff for the day:")
        at = sorted(found.appointments.items())
        lines += [f"  {site} {day}: {count:,}" for (site, day), count in at[:_MOST_TOLD]]
        if len(at) > _MOST_TOLD:
            lines.append(f"  ... and {len(at) - _MOST_TOLD:,} more")
    if found.wish:
        told = f"{found.wish:,} who wait wish for one of them"
        if found.wish_no_other:
            numbers = ", ".join(sorted(found.wish_no_other)[:_MOST_TOLD])
            more = len(found.wish_no_other) - _MOST_TOLD
            told += f", {len(found.wish_no_other):,} for no other site: {numbers}"
            told += f" and {more:,} more" if more > 0 else ""
        lines.append(told)
    return lines


def _warn(lowered: Sequence[Lowered]) -> None:
    """Where more has been given than there is now: nobody loses theirs, but the site must know."""
    for it in lowered[:_MOST_TOLD]:
        slot = f"{it.site} {it.date} {it.period} {it.product}"
        click.echo(f"warning: {slot}: capacity {it.capacity}, but {it.taken} have been given and stay", err=True)
    if len(lowered) > _MOST_TOLD:
        click.echo(f"... and {len(lowered) - _MOST_TOLD} more slots", err=True)
