"""`jiaohao token staff SITE`."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import click

from server.city import City, load_city
from server.cli.options import city_option, store_options, store_settings
from server.clock import Clock, from_ms
from server.errors import Refusal, SetupError
from server.settings import Settings
from server.setup import open_store
from server.sites import Sites
from server.staff import Role, StaffTokens
from server.tokens import Signer


@click.group("token")
def command() -> None:
    """Give out a token."""


@command.command("staff")
@click.argument("site")
@click.option(
    "--role",
    type=click.Choice(["manager", "desk"]),
    default="manager",
    show_default=True,
    help="desk: the roster and attendance; manager: may close the site as well.",
)
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="For how long it is good.")
@store_options
@city_option
def staff(site: str, role: str, days: int, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """A token for the staff of one site, to sign in at /staff.

    Give every desk its own: the audit log names the token's holder by the eight digits that are printed
    beside it (on standard error; the token itself is the only line on standard output). A token cannot be
    taken back before its time, except by changing JIAOHAO_SECRET.

    \b
    The sites' codes are those of the imported file; the demo has 440106-1, 440106-2, ...
    """
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        token, actor = asyncio.run(_token(settings, city, site, Role[role.upper()], days))
    click.echo(f"audit name: {actor}", err=True)
    click.echo(token)


async def _token(settings: Settings, city: City, site: str, role: Role, days: int) -> tuple[str, str]:
    store = await open_store(settings)
    sites = Sites(city, store)
    try:
        await sites.find(site)
        clock = Clock(await store.follow_offset())
    except Refusal as refusal:
        if refusal.code != "not-found":
            raise
        raise SetupError(f"there is no site {site}; import it first (jiaohao import sites FILE)") from None
    finally:
        await store.close()
    tokens = StaffTokens(Signer(settings.secrets), clock, sites, settings.operator_token)
    now_s = clock.now_ms() // 1000
    return tokens.token(site, role, from_ms(now_s * 1000, city.tz).date(), now_s + days * 86_400)
