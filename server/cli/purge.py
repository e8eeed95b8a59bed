"""`jiaohao purge`."""

import asyncio
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import click

from server.cli.options import city_option, store_options, store_settings
from server.core.city import City, load_city
from server.core.clock import from_ms
from server.core.settings import Settings
from server.store.setup import city_clock, open_store


@click.command("purge")
@click.option(
    "--before",
    "before_at",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="First day that stays. Default: today less the city file's policy.retention_days.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing, say how much it would be.")
@click.option(
    "--registry",
    is_flag=True,
    help="At the end of the campaign: also delete the registry lines of everybody without a registration.",
)
@click.option("--by-day", is_flag=True, help="Also in the hours in which residents can log in.")
@click.option("--yes", is_flag=True, help="Do not ask before --registry deletes.")
@store_options
@city_option
def command(
    before_at: datetime | None,
    dry_run: bool,
    registry: bool,
    by_day: bool,
    yes: bool,
    redis_url: str | None,
    data_dir: Path,
    city_file: Path | None,
) -> None:
    """Delete what is no longer needed (Personal Information Protection Law, article 19).

    \b
    Of openings and days that are over: who had which place, number, pass and appointment. The counts,
    the capacities and the audit log stay; they name nobody.
    Of residents whose latest registration was cancelled, fulfilled or missed by then: registrations,
    history, no-shows, name and phone. Who is barred stays until the bar is lifted. Who is eligible stays
    known by a keyed hash, until --registry.

    It runs beside the service, in the hours in which nobody can log in (who is in line just then would lose name
    and phone), may be stopped at any point, and be run again; once a night is a good habit.
    """
    from server.cli.walking import over_all_keys
    from server.operations.retention import first_day_that_stays, purge, refuse_by_day

    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        now = asyncio.run(_now(settings, city))
        if not dry_run and not by_day:
            refuse_by_day(city, now)
        try:
            before = first_day_that_stays(city, now, before_at.date() if before_at else None)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--before") from None
        if registry and not dry_run and not yes:
            click.confirm(
                "Everybody without a registration is forgotten, and cannot join before the registry is imported "
                "again. Delete?",
                abort=True,
            )
        done = over_all_keys(
            settings,
            "purging",
            lambda connection, progress: purge(
                connection, before, city.tz, registry=registry, dry_run=dry_run, progress=progress
            ),
        )
    lines = f", {done.lines} registry lines" if done.lines else ""
    barred = f"; {done.barred} stay, being barred" if done.barred else ""
    click.echo(
        f"{'would delete' if dry_run else 'deleted'} what was over before {before}: "
        f"{done.openings} days of districts, {done.residents} residents' registrations{lines}{barred}"
    )


async def _now(settings: Settings, city: City) -> datetime:
    connection = await open_store(settings)
    try:
        return from_ms((await city_clock(connection)).now_ms(), city.tz)
    finally:
        await connection.close()
