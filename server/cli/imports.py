"""`jiaohao import registry|sites|capacity`."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import click

from server.cli.importing import Choices, import_capacity, import_registry, import_sites
from server.cli.options import city_option, store_options, store_settings
from server.core.city import load_city

F = TypeVar("F", bound=Callable[..., Any])


def _import_options(command: F) -> F:
    """The file, and what may be done with it."""
    for option in (
        click.option(
            "--partial", is_flag=True, help="The file has only some of the rows: compare it with no last import."
        ),
        click.option(
            "--yes", is_flag=True, help="Keep a file that is not plausible, or that takes away what is in use."
        ),
        click.option(
            "--dry-run", is_flag=True, help="Say what the file has, what would go, who is affected; keep nothing."
        ),
        click.option("--replace", is_flag=True, help="What is not in the file goes; without this it stays."),
        click.option("--skip-bad", is_flag=True, help="Keep the good rows of a file that has bad ones."),
        click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):
        command = option(command)
    return city_option(store_options(command))


@click.group("import")
def command() -> None:
    """Read a CSV file (UTF-8, header row) into the store.

    \b
    All rows are judged first: a bad one is reported with its line and column, and nothing of the file is kept
    unless --skip-bad. Then it is said what the file has, beside what is there. A file that is not plausible (the
    city file's table [imports]: a third fewer rows than the last time, a district missing, ...) is kept only with
    --yes, or when a terminal is there and somebody says so.

    What is not in the file stays, unless --replace. Importing again is safe, also after a crash: a row replaces the
    earlier one of the same person, site or slot. Semicolons or tabs, GBK or UTF-16, another order of the columns and
    what spreadsheets add are read as well, where they can mean one thing only.
    """


@command.command("registry")
@_import_options
def registry(**options: Any) -> None:
    """First-dose records: id_type,id_number,name,phone,first_dose_date,product,district.

    Where a reserve of the city file is for groups, also: groups (those of the resident, with semicolons between them).

    ID numbers are kept as keyed hashes only, names and phone numbers encrypted. An open registration follows what the
    file says of its holder: another date changes their place in the night's order, and who needs no second dose does
    not wait any longer; both stand in its history. With --replace who is not in the file any more does not wait either.
    """
    _run(import_registry, **options)


@command.command("sites")
@_import_options
def sites(**options: Any) -> None:
    """Vaccination sites: site,name_zh,name_en,district,address.

    \b
    A file may also have phone,way_in_zh,way_in_en,latitude,longitude (degrees of
    WGS 84): residents see them at their choice and their appointment.

    With --replace nobody can wish for a site that is not in the file, and nothing more of it is given; appointments
    there stay, and it keeps its name and its roster. Where there are some, that takes --yes; close the site on /staff
    for those days, and everybody is allotted anew.
    """
    _run(import_sites, **options)


@command.command("capacity")
@_import_options
def capacity(**options: Any) -> None:
    """Doses a site can give: site,date,period,product,capacity (period: a code of the city file, as am or pm).

    The sites must have been imported. A row replaces what an earlier file said of the same site, date, period and
    product; who has a slot keeps it, even where the capacity is now smaller (which is told). With --replace the slots
    between the file's first and last day that are not in it go, from today on.
    """
    _run(import_capacity, **options)


def _run(
    work: Callable[..., Coroutine[Any, Any, None]],
    file: Path,
    redis_url: str | None,
    data_dir: Path,
    city_file: Path | None,
    **flags: bool,
) -> None:
    choices = Choices(**flags)
    if choices.partial and choices.replace:
        raise click.UsageError("--partial and --replace contradict each other")
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir, make=True)
        asyncio.run(work(settings, city, file, choices))
