"""`jiaohao repair`."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli.options import city_option, given_option, store_options, store_settings
from server.core.city import load_city

if TYPE_CHECKING:
    from server.operations.repairing import Repaired
    from server.store.connection import Connection

_SHOWN = 20


@click.command("repair")
@click.option("--dry-run", is_flag=True, help="Change nothing, say what is broken.")
@given_option("After a backup was restored: so many places had been given in this opening.")
@store_options
@city_option
def command(
    dry_run: bool, given: tuple[tuple[str, int], ...], redis_url: str | None, data_dir: Path, city_file: Path | None
) -> None:
    """Find and mend what a failover has broken that lost the last writes, or the restoring of a backup.

    \b
    Registrations that wait and that no night would see: from now on the next one does.
    Numbers that two residents have: one keeps it (who has an appointment, else who was first), the other
    gets a new one, with a message. Where both have an appointment it is named, and left to you.

    It looks at every registration of the store, runs beside the service, may be stopped at any point and be run
    again. The nights mend by themselves what they meet; this is for a store that was broken before.

    A backup that is restored while an opening is on knows of fewer places than were given. Nobody new must get
    one of those: before the service is started on it, say how many there were, as jiaohao_opening_issued in the
    monitoring or "issued" in the last public answer had it:

        jiaohao repair --given 440106:2021-06-19=12345
    """
    from server.cli.walking import over_all_keys
    from server.operations.repairing import repair
    from server.operations.restored import raise_given

    city = load_city(city_file)

    async def work(
        connection: "Connection", progress: Callable[[int], Any]
    ) -> "tuple[list[tuple[str, int]], Repaired]":
        raised = await raise_given(connection, given, dry_run=dry_run)
        return raised, await repair(city, connection, dry_run=dry_run, progress=progress)

    with ExitStack() as stack:
        raised, done = over_all_keys(store_settings(stack, redis_url, data_dir), "looking", work)
    for tag, forgotten in raised:
        said = "would be" if dry_run else "are"
        click.echo(f"{tag}: {forgotten} places that the store had forgotten {said} kept for who shows their tickets")
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
