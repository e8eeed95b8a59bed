"""`jiaohao night`."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path

import click
import msgspec
from rich.progress import TaskID

from server.appointments.appointments import Appointments
from server.cli.options import city_option, store_options, store_settings
from server.cli.progress import progress_bar
from server.core import logs
from server.core.city import City, load_city
from server.core.settings import Settings
from server.fairness.line_numbers import LineNumbers
from server.night.outcome import NightOutcome
from server.night.published import Published
from server.night.run import Night
from server.night.steps import STEPS, Watcher
from server.services import lottery_of
from server.store.connection import Connection
from server.store.setup import city_clock, open_store, patiently

_START_SECONDS = 15.0
_TITLES = {
    "close": "close the day",
    "free": "free what was given back",
    "freeze": "freeze the list",
    "allot": "allot",
    "publish": "publish",
    "tell": "tell",
}


@click.command("night")
@click.option(
    "--date",
    "day_at",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The night of this day, which ends the next morning. Default: the one that is on, or was the last.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing, say what would happen.")
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="JIAOHAO_RESULTS",
    show_envvar=True,
    help="Folder of the result files, one that the servers see as well. Default: results in --data-dir.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=900.0,
    show_default=True,
    help="Seconds to wait for a store that is away.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what it brought as JSON, one line a district.")
@store_options
@city_option
def command(
    day_at: datetime | None,
    dry_run: bool,
    results: Path | None,
    patience: float,
    as_json: bool,
    redis_url: str | None,
    data_dir: Path,
    city_file: Path | None,
) -> None:
    """Close the day, allot the slots, publish the result, put the SMS into the outbox.

    \b
    It may be killed at any point, and run again: what is done is found done, and the result is the same.
    Only one runs at a time; a second one says who does. `jiaohao up` runs it by the city's clock. With
    `jiaohao serve` leave it to cron, in the city's time, often enough that a killed one is soon resumed:

    \b
      CRON_TZ=Asia/Shanghai
      */10 * * * *  jiaohao night --redis-url URL --results DIR >>night.log 2>&1

    By day, and until closing time and the grace of those who were let finish are over, that is the night before:
    it is done, and nothing happens. The messages go out with `jiaohao notify`.

    Anybody can check a result: `jiaohao verify allotment RESULTS/DATE/DISTRICT.jsonl`.

    Exit codes: 0 done, 1 not (one line says why; run it again).
    """
    logs.configure()
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        folder = results or (data_dir / "results" if redis_url is None else None)
        settings = msgspec.structs.replace(settings, results_dir=folder.resolve() if folder else None)
        asyncio.run(_night(settings, city, day_at.date() if day_at else None, dry_run, patience, as_json))


async def _night(
    settings: Settings, city: City, day: date | None, dry_run: bool, patience_s: float, as_json: bool
) -> None:
    # A wrong address is not waited for longer than that.
    connection, night, due = await patiently(lambda: _begin(settings, city), min(patience_s, _START_SECONDS))
    day = day or due
    try:
        if dry_run:
            brought = await night.foresee(day)
            heading = f"the night of {day}, if it were run now"
        else:
            lines = _Lines(as_json)
            with lines.bar:
                brought = await night.run(day, lines, patience_s)
            heading = f"the night of {day} {'is done' if lines.said else 'was done already'}"
    finally:
        await connection.close()
    if as_json:
        for each in brought:
            click.echo(msgspec.json.encode(each))
        return
    click.echo(heading)
    _table(brought)
    if dry_run:
        click.echo("nothing has been changed")


async def _begin(settings: Settings, city: City) -> tuple[Connection, Night, date]:
    """The store, what runs the night, and which one is due."""
    connection = await open_store(settings)
    try:
        clock = await city_clock(connection)
        appointments = Appointments(city, connection, clock)
        lottery = lottery_of(settings, city, clock)
        published = Published(settings.results_dir, LineNumbers(settings.pepper))
        night = Night(city, connection, clock, appointments, published, lottery)
        return connection, night, await night.due()
    except BaseException:
        await connection.close()
        raise


class _Lines(Watcher):
    """A line for each step, and a bar on a terminal; `said`: whether there was anything to do."""

    def __init__(self, quiet: bool) -> None:
        self.bar = progress_bar()
        self.said = False
        self._quiet = quiet
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def going(self, step: str, district: str, done: int, total: int) -> None:
        """Move the bar."""
        key = step, district
        if key not in self._tasks:
            self._tasks[key] = self.bar.add_task(f"{_TITLES[step]} {district}", total=total or None)
        self.bar.update(self._tasks[key], completed=done)

    def done(self, step: str, so_far: list[NightOutcome]) -> None:
        """Print the step's line."""
        for key in [key for key in self._tasks if key[0] == step]:
            self.bar.remove_task(self._tasks.pop(key))
        self.said = True
        if not self._quiet:
            place = STEPS.index(step) + 1
            click.echo(f"{place}/{len(STEPS)} {_TITLES[step]}: {_brought(step, so_far)}")


def _brought(step: str, so_far: list[NightOutcome]) -> str:
    def total(of: Callable[[NightOutcome], int]) -> str:
        return f"{sum(map(of, so_far)):,}"

    if step == "close":
        missed, charged = total(lambda it: it.missed), total(lambda it: it.charged)
        return f"{missed} missed, {charged} of them no-shows, {total(lambda it: it.barred)} residents barred"
    if step == "free":
        return "done"
    if step == "freeze":
        return f"{total(lambda it: it.registrations)} wait, {total(lambda it: it.offered)} doses are free"
    if step == "allot":
        return f"done; {total(lambda it: it.withdrawn)} were taken away again by the city in that moment"
    if step == "publish":
        return f"{total(lambda it: it.counts.get('allotted', 0))} have a slot; roots and seeds are public"
    return f"{total(lambda it: it.reminded)} reminders; all messages are in the outbox, `jiaohao notify` sends them"


def _table(brought: list[NightOutcome]) -> None:
    click.echo(f"{'district':<10}{'missed':>8}{'no-show':>8}{'barred':>8}{'wait':>10}{'doses':>10}{'allotted':>10}")
    for each in brought:
        click.echo(
            f"{each.district:<10}{each.missed:>8,}{each.charged:>8,}{each.barred:>8,}{each.registrations:>10,}"
            f"{each.offered:>10,}{each.counts.get('allotted', 0):>10,}"
        )
    why: dict[str, int] = {}
    for each in brought:
        for reason, count in each.counts.items():
            why[reason] = why.get(reason, 0) + count
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in why.items() if count and reason != "allotted")
    if reasons:
        click.echo(f"without a slot: {reasons}")
    for each in brought:
        for day, site, period, product, capacity, taken in each.over:
            click.echo(
                f"capacity lowered below what is given, nobody is thrown out: {site} {day} {period} {product}: "
                f"{taken:,} given of {capacity:,}"
            )
