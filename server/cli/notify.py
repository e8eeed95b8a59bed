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
import structlog

from server import logs
from server.city import City, load_city
from server.cli.options import city_option, store_options, store_settings
from server.clock import Clock
from server.errors import SetupError
from server.notices import FileGateway, Gateway, Notices
from server.seal import Seal
from server.settings import Settings
from server.setup import open_store

log = structlog.get_logger()


@click.command("notify")
@click.option(
    "--gateway",
    type=click.Choice(["file", "smpp"]),
    default="file",
    show_default=True,
    help="smpp: an SMSC, from JIAOHAO_SMPP_URL (smpps://SYSTEM_ID@HOST:PORT?source=...&rate=...) and "
    "JIAOHAO_SMPP_PASSWORD.",
)
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With the file gateway: write each message there as a line of JSON (phone numbers and codes: keep it safe).",
)
@click.option("--once", is_flag=True, help="Send what is owed now and end.")
@store_options
@city_option
def command(
    gateway: str, file: Path | None, once: bool, redis_url: str | None, data_dir: Path, city_file: Path | None
) -> None:
    """Send the outbox, until SIGTERM or Ctrl-C.

    As many as you like may run at the same time; a message that one of them died with is sent by another
    after half a minute. `jiaohao up` does this by itself, into a file.
    """
    if gateway == "file" and file is None:
        raise click.UsageError("the file gateway needs --file; or choose --gateway smpp")
    if file is not None and not os.access(file if file.exists() else file.resolve().parent, os.W_OK):
        raise SetupError(f"{file}: cannot be written")
    logs.configure()
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        sent = asyncio.run(_notify(settings, city, file if gateway == "file" else None, once))
    click.echo(f"{sent} messages sent" if once else "stopped")


async def _notify(settings: Settings, city: City, file: Path | None, once: bool) -> int:
    async with _gateway(file) as gateway:
        store = await open_store(settings)
        notices = Notices(city, store, Clock(await store.follow_offset()), Seal(settings.secrets))
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        try:
            if once:
                districts = [district.code for district in city.districts]
                await store.open_outbox(districts)
                sent = await notices.send_owed(gateway, consumer)
                if owed := await store.owed(districts):
                    raise SetupError(
                        f"{sent} messages sent, {owed} still owed; see the log above, and try again in a minute"
                    )
                return sent
            sending = asyncio.create_task(notices.run(gateway, consumer))
            loop = asyncio.get_running_loop()
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(each, sending.cancel)
            await asyncio.gather(sending, return_exceptions=True)
            return 0
        finally:
            await store.close()


@contextlib.asynccontextmanager
async def _gateway(file: Path | None) -> AsyncIterator[Gateway]:
    if file is not None:
        yield FileGateway(file)
        return
    from server.smpp import Delivery, SmppGateway, smpp_from_environment

    async def on_receipt(message_id: str, state: Delivery) -> None:
        log.info("sms receipt", id=message_id, state=str(state))

    async with SmppGateway(smpp_from_environment(), on_receipt) as gateway:
        yield gateway
