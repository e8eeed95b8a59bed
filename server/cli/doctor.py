"""`jiaohao doctor`."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from server.cli.options import city_option, store_options, store_settings
from server.core.city import City, load_city
from server.core.settings import Settings
from server.operations.doctor import examine
from server.store.setup import open_store

_MARKS = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "bad": ("BAD ", "red")}


@click.command("doctor")
@click.option("--acl", is_flag=True, help="Print what users of the store need, ready for its ACL; look at nothing.")
@store_options
@city_option
def command(acl: bool, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """Say what is wrong with this set-up, and the cure.

    Looks at the city file, the secrets, each node of the store (version, durability, memory, clock, replicas), what has
    been imported, what is owed to residents, the sealed seeds of draws and nights, the beacon's relays, and this
    machine's limits. Changes nothing. What its user may not read is a note.

    Exit code: 0 when nothing is bad, 1 otherwise.
    """
    if acl:
        _print_acl()
        return
    city = load_city(city_file)
    click.echo(f"ok    city: {city.name_en}, {len(city.districts)} districts")
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        bad = asyncio.run(_examine(settings, city))
    if bad:
        click.echo(f"{bad} to mend", err=True)
        sys.exit(1)


def _print_acl() -> None:
    """Lines for the store's console, and why each of their rights is there."""
    from server.operations.acl import users

    for user in users():
        click.echo(f"# {user.name}: {user.what}")
        for grant in user.grants:
            click.echo(f"#   {grant.why}: {' '.join(grant.commands)}" + _of(grant.kinds))
        click.echo(f"{user.line()}\n")
    click.echo("# on each node of a cluster, replicas too; put in passwords of your own (openssl rand -hex 24)")
    click.echo("# +select as well where the address names a database: redis://jiaohao:PASSWORD@HOST:6379/1")


def _of(kinds: Sequence[str]) -> str:
    return f" ({', '.join(kinds)})" if kinds else ""


async def _examine(settings: Settings, city: City) -> int:
    connection = await open_store(settings)
    bad = 0
    try:
        async for finding in examine(settings, city, connection):
            mark, colour = _MARKS[finding.level]
            cure = f"  → {finding.cure}" if finding.cure else ""
            click.echo(f"{click.style(mark, fg=colour)}  {finding.what}{cure}")
            bad += finding.level == "bad"
    finally:
        await connection.close()
    return bad
