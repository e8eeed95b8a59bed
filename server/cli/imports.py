"""`jiaohao import registry|sites|capacity`."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from server.city import load_city
from server.cli.options import city_option, store_options, store_settings
from server.cli.progress import progress_bar
from server.errors import SetupError
from server.importing import (
    CAPACITY_COLUMNS,
    REGISTRY_COLUMNS,
    SITES_COLUMNS,
    CsvFile,
    Lowered,
    Outcome,
    capacity_reader,
    judge_rows,
    keep_capacity,
    keep_registry,
    keep_sites,
    known_sites,
    registry_reader,
    site_reader,
)
from server.keys import Pepper
from server.seal import Seal
from server.settings import Settings
from server.setup import open_store
from server.store import Store

_MOST_TOLD = 10
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_SKIP = click.option("--skip-bad", is_flag=True, help="Keep the good rows of a file that has bad ones.")


@click.group("import")
def command() -> None:
    """Read a CSV file (UTF-8, header row) into the store.

    All rows are judged first: a bad one is reported with its line and column, and nothing of the file is kept
    unless --skip-bad. Importing again is safe: a row replaces the earlier one of the same person or site.
    """


@command.command("registry")
@_FILE
@_SKIP
@store_options
@city_option
def registry(file: Path, skip_bad: bool, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """First-dose records: id_type,id_number,name,phone,first_dose_date,product,district.

    ID numbers are kept as keyed hashes only, names and phone numbers encrypted.
    """
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir, make=True)
        read = registry_reader(city, Pepper(settings.pepper, city.papers.same_name), Seal(settings.secrets))

        async def keep(store: Store, source: CsvFile) -> int:
            return sum([n async for n in keep_registry(store, source.rows(read))])

        _report(_import(file, REGISTRY_COLUMNS, read, keep, settings, skip_bad), file, "residents")


@command.command("sites")
@_FILE
@_SKIP
@store_options
@city_option
def sites(file: Path, skip_bad: bool, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """Vaccination sites: site,name_zh,name_en,district,address."""
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir, make=True)
        read = site_reader(city)

        async def keep(store: Store, source: CsvFile) -> int:
            return await keep_sites(store, source.rows(read))

        _report(_import(file, SITES_COLUMNS, read, keep, settings, skip_bad), file, "sites")


@command.command("capacity")
@_FILE
@_SKIP
@store_options
@city_option
def capacity(file: Path, skip_bad: bool, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """Doses a site can give: site,date,period,product,capacity (period: am or pm).

    The sites must have been imported. A later row of the same site, date, period and product replaces the
    earlier one; who has a slot keeps it, even where the capacity is now smaller (which is told).
    """
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir, make=True)

        async def sites() -> dict[str, str]:
            store = await open_store(settings)
            try:
                return await known_sites(store, city)
            finally:
                await store.close()

        read = capacity_reader(city, asyncio.run(sites()))

        lowered: list[Lowered] = []

        async def keep(store: Store, source: CsvFile) -> int:
            kept = await keep_capacity(store, source.rows(read))
            lowered.extend(kept.lowered)
            return kept.slots

        _report(_import(file, CAPACITY_COLUMNS, read, keep, settings, skip_bad), file, "slots")
        _warn(lowered)


def _warn(lowered: Sequence[Lowered]) -> None:
    """Where more has been given than there is now: nobody loses theirs, but the site must know."""
    for it in lowered[:_MOST_TOLD]:
        slot = f"{it.site} {it.date} {it.period} {it.product}"
        click.echo(f"warning: {slot}: capacity {it.capacity}, but {it.taken} have been given and stay", err=True)
    if len(lowered) > _MOST_TOLD:
        click.echo(f"... and {len(lowered) - _MOST_TOLD} more slots", err=True)


def _import(
    file: Path,
    columns: tuple[str, ...],
    read: Callable[..., Any],
    keep: Callable[[Store, CsvFile], Any],
    settings: Settings,
    skip_bad: bool,
) -> Outcome:
    with progress_bar() as bar:
        judging = bar.add_task("checking", total=None)
        source = CsvFile(file, columns, lambda n: bar.update(judging, completed=n))
        bar.update(judging, total=source.bytes)
        outcome = judge_rows(source.rows(read))
        if outcome.bad and not skip_bad:
            return outcome
        keeping = bar.add_task("keeping", total=source.bytes)
        second = CsvFile(file, columns, lambda n: bar.update(keeping, completed=n))

        async def run() -> None:
            store = await open_store(settings)
            try:
                outcome.kept = await keep(store, second)
            finally:
                await store.close()

        asyncio.run(run())
        outcome.done = True
    return outcome


def _report(outcome: Outcome, file: Path, what: str) -> None:
    for fault in outcome.first_bad:
        click.echo(f"{file.name}: {fault}", err=True)
    if outcome.bad > len(outcome.first_bad):
        click.echo(f"... and {outcome.bad - len(outcome.first_bad)} more bad rows", err=True)
    if not outcome.done:
        raise SetupError(f"{outcome.bad} bad rows, nothing kept; mend them, or keep the others with --skip-bad")
    left_out = f", {outcome.bad} bad rows left out" if outcome.bad else ""
    click.echo(f"{outcome.kept} {what} kept{left_out}")
