"""`jiaohao purge`."""

from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path

import click

from server.city import City, load_city
from server.cli.options import city_option, store_options, store_settings


@click.command("purge")
@click.option(
    "--before",
    "before_at",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day that stays. Default: today less the city file's policy.retention_days.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing, say how much it would be.")
@click.option(
    "--registry",
    is_flag=True,
    help="At the end of the campaign: also delete the registry lines of everybody without a registration.",
)
@click.option("--yes", is_flag=True, help="Do not ask before --registry deletes.")
@store_options
@city_option
def command(
    before_at: datetime | None,
    dry_run: bool,
    registry: bool,
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

    It may run beside the service, be stopped at any point, and be run again; once a day is a good habit.
    """
    from server.cli.walking import over_all_keys
    from server.retention import purge

    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        today = _today(city, settings.offset_ms)
        before = before_at.date() if before_at else today - timedelta(days=city.policy.retention_days)
        if before > today:
            raise click.BadParameter(f"expected a day not after today, {today}", param_hint="--before")
        if registry and not dry_run and not yes:
            click.confirm(
                "Everybody without a registration is forgotten, and cannot join before the registry is imported "
                "again. Delete?",
                abort=True,
            )
        done = over_all_keys(
            settings,
            "purging",
            lambda store, progress: purge(
                store, before, city.tz, registry=registry, dry_run=dry_run, progress=progress
            ),
        )
    lines = f", {done.lines} registry lines" if done.lines else ""
    barred = f"; {done.barred} stay, being barred" if done.barred else ""
    click.echo(
        f"{'would delete' if dry_run else 'deleted'} what was over before {before}: "
        f"{done.openings} days of districts, {done.residents} residents' registrations{lines}{barred}"
    )


def _today(city: City, offset_ms: int) -> date:
    return (datetime.now(city.tz) + timedelta(milliseconds=offset_ms)).date()
