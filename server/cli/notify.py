"""`jiaohao notify`."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import click

from server.appointments.sites import Sites
from server.cli.options import city_option, store_options, store_settings
from server.core import logs
from server.core.city import City, load_city
from server.core.encryption import Cipher
from server.core.errors import SetupError
from server.core.keys import Pepper
from server.core.settings import Settings
from server.messages.gateways import FileGateway, Gateway
from server.messages.sender import Sender
from server.store.setup import city_clock, keep_time, open_store

# For receipts that came before their answer.
_RECEIPTS_SECONDS = 2.0


@click.command("notify")
@click.option(
    "--gateway",
    type=click.Choice(["file", "smpp"]),
    default="file",
    show_default=True,
    help="smpp: an SMSC, from JIAOHAO_SMPP_URL (smpps://SYSTEM_ID@HOST:PORT?source=...&rate=...; also "
    "bind=transceiver|pair, receipt_ids=same|decimal|hex, where it does not find that out by itself) and "
    "JIAOHAO_SMPP_PASSWORD.",
)
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With the file gateway: write each message there as a line of JSON (phone numbers and codes: keep it safe).",
)
@click.option("--once", is_flag=True, help="Send what is due now and end; exit code 1 where something is still owed.")
@store_options
@city_option
def command(
    gateway: str, file: Path | None, once: bool, redis_url: str | None, data_dir: Path, city_file: Path | None
) -> None:
    """Send the outbox, until SIGTERM or Ctrl-C.

    \b
    Codes go at any time and before all else; the other messages not in the city file's sms.quiet_hours, and all
    senders together no faster than sms.per_second. What the gateway does not take is tried again, later and later,
    and becomes a dead letter in the end: see `jiaohao outbox`.

    As many as you like may run at the same time; a message that one of them died with is sent by another
    after a minute. `jiaohao up` does this by itself, into a file.
    """
    if gateway == "file" and file is None:
        raise click.UsageError("the file gateway needs --file; or choose --gateway smpp")
    if file is not None and not os.access(file if file.exists() else file.resolve().parent, os.W_OK):
        raise SetupError(f"{file}: cannot be written")
    logs.configure()
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        click.echo(asyncio.run(_notify(settings, city, file if gateway == "file" else None, once)))


async def _notify(settings: Settings, city: City, file: Path | None, once: bool) -> str:
    connection = await open_store(settings)
    try:
        clock, sites = await city_clock(connection), Sites(city, connection)
        sender = Sender(city, connection, clock, Cipher(settings.secrets), Pepper(settings.pepper), sites)
        async with _gateway(file, sender) as gateway:
            consumer = f"{socket.gethostname()}-{os.getpid()}"
            if once:
                return await _send_once(sender, gateway, consumer)
            sending = asyncio.create_task(sender.run(gateway, consumer))
            loop = asyncio.get_running_loop()
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(each, sending.cancel)
            following = asyncio.create_task(keep_time(connection, clock))
            await asyncio.gather(sending, return_exceptions=True)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await sender.receipts.settled(_RECEIPTS_SECONDS)
        return "stopped"
    finally:
        await connection.close()


async def _send_once(sender: Sender, gateway: Gateway, consumer: str) -> str:
    sent, owed, quiet = await sender.send_once(gateway, consumer)
    if owed:
        raise SetupError(f"{sent} messages sent, {owed} still owed; see the log above, and try again in a minute")
    return f"{sent} messages sent" + (f", {quiet} wait for the end of the quiet hours" if quiet else "")


@contextlib.asynccontextmanager
async def _gateway(file: Path | None, sender: Sender) -> AsyncIterator[Gateway]:
    if file is not None:
        yield FileGateway(file)
        return
    from server.messages.smpp import smpp_from_environment
    from server.messages.smpp_gateway import smpp_gateway

    async with smpp_gateway(smpp_from_environment(), sender.receipts) as gateway:
        yield gateway
