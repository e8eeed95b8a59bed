"""`jiaohao repair`."""

from contextlib import ExitStack
from pathlib import Path

import click

from server.cli.options import city_option, store_options, store_settings
from server.core.city import load_city

_SHOWN = 20


@click.command("repair")
@click.option("--dry-run", is_flag=True, help="Change nothing, say what is broken.")
@store_options
@city_option
def command(dry_run: bool, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """Find and mend what a failover has broken that lost the last writes.

    \b
    Registrations that wait and that no night would see: from now on the next one does.
    Numbers that two residents have: one keeps it (who has an appointment, else who was first), the other
    gets a new one, with a message. Where both have an appointment it is named, and left to you.

    It looks at every registration of the store, runs beside the service, may be stopped at any point and be run
    again. The nights mend by themselves what they meet; this is for a store that was broken before.
    """
    from server.cli.walking import over_all_keys
    from server.operations.repairing import repair

    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        done = over_all_keys(
            settings,
            "looking",
            lambda connection, progress: repair(city, connection, dry_run=dry_run, progress=progress),
        )
    click.echo(f"{done.registrations} registrations looked at")
    for what, numbers in (
        ("would be seen by no night" if dry_run else "were seen by no night, and are now", done.unseen),
        (
            "share a number with another one" if dry_run else "shared a number with another one, and have their own",
            [no if dry_run else f"{no} -> {new_no}" for no, new_no in done.renumbered],
        ),
        ("share a number, each with an appointment: to be settled by hand", done.left),
    ):
        more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
        click.echo(f"{len(numbers)} {what}" + (f": {', '.join(numbers[:_SHOWN])}{more}" if numbers else ""))
    if done.left:
        raise click.exceptions.Exit(1)
