"""`jiaohao restore`."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import click

from server.cli.options import given_option, store_options, store_settings
from server.cli.progress import progress_bar
from server.core.clock import from_ms
from server.core.settings import Settings
from server.store.setup import open_store


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@given_option("So many places had been given in this opening, which is on: nobody else may get one of those.")
@store_options
def command(file: Path, given: tuple[tuple[str, int], ...], redis_url: str | None, data_dir: Path) -> None:
    """Put a backup into an empty store, of any kind, under the secrets with which it was made.

    \b
    All of the file is decrypted and loaded first: one that was cut short or changed is refused, and nothing is
    written. What came after the backup is gone; who has a receipt of it is told so. No number is given twice: where an
    opening is on, it says what it needs to know (--given). Messages whose
    time is over are not sent. Start the service on the new store once this has ended; if it was broken off, empty the
    store and begin again. Its user must be one who may do anything.
    """
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        click.echo(asyncio.run(_restore(settings, file, dict(given))))


async def _restore(settings: Settings, file: Path, given: dict[str, int]) -> str:
    from server.operations.backup.restoring import restore_backup

    connection = await open_store(settings)
    try:
        with progress_bar() as bar:
            task = bar.add_task("restoring", total=None)
            done = await restore_backup(settings, connection, file, given, lambda more: bar.advance(task, more))
    finally:
        await connection.close()
    at = from_ms(done.created_ms).isoformat(timespec="seconds")
    kept = "".join(
        f"\n{tag}: {many} places since then are kept for who shows their tickets" for tag, many in done.forgotten
    )
    return f"{done.keys} keys as of {at} are in the store{kept}"
