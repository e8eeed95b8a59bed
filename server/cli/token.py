"""`jiaohao token staff SITE`."""

import asyncio
import io
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import click
import segno

from server.appointments.sites import Sites
from server.appointments.staff import Role, StaffTokens
from server.cli.options import city_option, store_options, store_settings
from server.core.city import City, load_city
from server.core.clock import from_ms
from server.core.errors import Refusal, SetupError
from server.core.settings import Settings
from server.core.tokens import Signer
from server.store.setup import city_clock, open_store


@click.group("token")
def command() -> None:
    """Give out a token."""


@command.command("staff")
@click.argument("site")
@click.option(
    "--role",
    type=click.Choice(["desk", "manager"]),
    default="desk",
    show_default=True,
    help="desk: the roster and attendance; manager: may close the site as well.",
)
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="For how long it is good.")
@click.option(
    "--url",
    envvar="JIAOHAO_URL",
    show_envvar=True,
    default="http://127.0.0.1:8000",
    show_default=True,
    help="Address of the service as the desk's phone reaches it, for the link and the QR code.",
)
@click.option(
    "--link/--no-link",
    default=None,
    help="Print the sign-in link and its QR code as well; default: on a terminal only.",
)
@store_options
@city_option
def staff(
    site: str,
    role: str,
    days: int,
    url: str,
    link: bool | None,
    redis_url: str | None,
    data_dir: Path,
    city_file: Path | None,
) -> None:
    """A token for the staff of one site, to sign in at /staff.

    On a terminal it prints the sign-in link and its QR code below the token; elsewhere the token is the only
    line on standard output. Whoever has one of the three can sign in: none belongs in a mail or a chat.

    Give every desk its own: the audit log names the token's holder by the eight digits that are printed
    beside it, on standard error. A token cannot be taken back before its time, except by changing
    JIAOHAO_SECRET.

    \b
    The sites' codes are those of the imported file; the demo has 440106-1, 440106-2, ...
    """
    page = _staff_page(url)
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        token, actor = asyncio.run(_token(settings, city, site, Role[role.upper()], days))
    click.echo(f"audit name: {actor}; role: {role}; good for {days} days", err=True)
    click.echo(token)
    if sys.stdout.isatty() if link is None else link:
        # The fragment stays on the phone: no server, no proxy and no log ever sees it.
        _show(f"{page}#token={token}")


def _staff_page(url: str) -> str:
    """The address of the staff's page.

    Raises:
        SetupError: this is no address of the service.
    """
    wrong = SetupError(f"--url {url}: expected the service's address, like https://vaccine.example.org")
    try:
        parts = urlsplit(url)
        is_port = parts.port is None or parts.port > 0
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or not is_port:
        raise wrong
    if parts.path.strip("/") or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
        raise wrong
    return f"{parts.scheme}://{parts.netloc}/staff"


def _show(link: str) -> None:
    """The link, and its QR code as far as the terminal can draw it."""
    click.echo(link)
    drawn = io.StringIO()
    segno.make_qr(link, error="l").terminal(drawn, compact=True)
    try:
        drawn.getvalue().encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        click.echo("no QR code: this terminal is not in UTF-8", err=True)
    else:
        click.echo(drawn.getvalue())


async def _token(settings: Settings, city: City, site: str, role: Role, days: int) -> tuple[str, str]:
    connection = await open_store(settings)
    sites = Sites(city, connection)
    try:
        await sites.find(site)
        clock = await city_clock(connection)
    except Refusal as refusal:
        if refusal.code != "not-found":
            raise
        raise SetupError(f"there is no site {site}; import it first (jiaohao import sites FILE)") from None
    finally:
        await connection.close()
    tokens = StaffTokens(Signer(settings.secrets), clock, sites, settings.operator_token)
    now_s = clock.now_ms() // 1000
    return tokens.token(site, role, from_ms(now_s * 1000, city.tz).date(), now_s + days * 86_400)
