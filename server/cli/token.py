"""`jiaohao token staff SITE`, `jiaohao token assist ORGANISATION`."""

import asyncio
import io
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import segno

from server.access.helpers import ORGANISATION, HelperTokens
from server.appointments.sites import Sites
from server.appointments.staff import Role, StaffTokens
from server.cli.options import city_option, store_options, store_settings
from server.core.city import City, load_city
from server.core.clock import from_ms
from server.core.errors import Refusal, SetupError
from server.core.settings import Settings
from server.core.tokens import Signer
from server.store.setup import city_clock, open_store

_F = TypeVar("_F", bound=Callable[..., Any])
_good_for = click.option(
    "--days", type=click.IntRange(1, 366), default=30, show_default=True, help="For how long it is good."
)


def _linked(command: _F) -> _F:
    """Its options of the sign-in link."""
    for option in (
        click.option(
            "--link/--no-link",
            default=None,
            help="Print the sign-in link and its QR code as well; default: on a terminal only.",
        ),
        click.option(
            "--url",
            envvar="JIAOHAO_URL",
            show_envvar=True,
            default="http://127.0.0.1:8000",
            show_default=True,
            help="Address of the service as whoever signs in reaches it, for the link and the QR code.",
        ),
    ):
        command = option(command)
    return command


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
@_good_for
@_linked
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
    page = _page(url, "staff")
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        token, actor = asyncio.run(_token(settings, city, site, Role[role.upper()], days))
    click.echo(f"audit name: {actor}; role: {role}; good for {days} days", err=True)
    _give(token, page, link)


@command.command("assist")
@click.argument("organisation")
@_good_for
@_linked
@store_options
@city_option
def assist(
    organisation: str,
    days: int,
    url: str,
    link: bool | None,
    redis_url: str | None,
    data_dir: Path,
    city_file: Path | None,
) -> None:
    """A token for somebody who helps residents at /assist: a neighbourhood worker, the hotline.

    ORGANISATION is a name for the log, like shamian or hotline-12345: small letters, digits and hyphens. Give every
    helper a token of their own: what they do is noted under it, and so are the limits of the city file's [assist].
    Who has the token can help whoever gives them their papers; it does not belong in a mail or a chat.
    """
    page = _page(url, "assist")
    if not ORGANISATION.fullmatch(organisation):
        raise SetupError(f"{organisation}: expected small letters, digits and hyphens, 32 at most, like hotline-12345")
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        token, actor = asyncio.run(_helper_token(settings, city, organisation, days))
    click.echo(f"audit name: {actor}; good for {days} days", err=True)
    _give(token, page, link)


def _give(token: str, page: str, link: bool | None) -> None:
    """The token, and where it is asked for the link that signs in with it."""
    click.echo(token)
    if sys.stdout.isatty() if link is None else link:
        # The fragment stays on the phone: no server, no proxy and no log ever sees it.
        _show(f"{page}#token={token}")


def _page(url: str, name: str) -> str:
    """The address of the staff's or the helpers' page.

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
    return f"{parts.scheme}://{parts.netloc}/{name}"


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


async def _helper_token(settings: Settings, city: City, organisation: str, days: int) -> tuple[str, str]:
    connection = await open_store(settings)
    try:
        clock = await city_clock(connection)
    finally:
        await connection.close()
    now_s = clock.now_ms() // 1000
    today = from_ms(now_s * 1000, city.tz).date()
    return HelperTokens(Signer(settings.secrets), clock).token(organisation, today, now_s + days * 86_400)
