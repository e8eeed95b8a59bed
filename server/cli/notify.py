"""`jiaohao notify`."""

import asyncio
import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import click

from server import logs
from server.city import City, load_city
from server.cli.options import city_option, store_options, store_settings
from server.clock import Clock
from server.notices import FileGateway, Notices
from server.seal import Seal
from server.settings import Settings
from server.store import Store, connect


@click.command("notify")
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Write each message there as a line of JSON (phone numbers and codes: keep it safe).",
)
@click.option("--once", is_flag=True, help="Send what is owed now and end.")
@store_options
@city_option
def command(file: Path, once: bool, redis_url: str | None, data_dir: Path, city_file: Path | None) -> None:
    """Send the outbox, until SIGTERM or Ctrl-C.

    As many as you like may run at the same time; a message that one of them died with is sent by another
    after half a minute. `jiaohao up` does this by itself. The gateway writes to a file; SMPP comes later.
    """
    logs.configure()
    city = load_city(city_file)
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        sent = asyncio.run(_notify(settings, city, file, once))
    click.echo(f"{sent} messages sent" if once else "stopped")


async def _notify(settings: Settings, city: City, file: Path, once: bool) -> int:
    store = Store(await connect(settings.redis_url))
    notices = Notices(city, store, Clock(await store.follow_offset()), Seal(settings.secrets))
    consumer, gateway = f"{socket.gethostname()}-{os.getpid()}", FileGateway(file)
    try:
        if once:
            await store.open_outbox([district.code for district in city.districts])
            return await notices.send_owed(gateway, consumer)
        sending = asyncio.create_task(notices.run(gateway, consumer))
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, sending.cancel)
        await asyncio.gather(sending, return_exceptions=True)
        return 0
    finally:
        await store.close()
