"""`jiaohao backup`."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import click

from server.cli.options import store_options, store_settings
from server.cli.progress import progress_bar
from server.core.clock import from_ms
from server.core.settings import Settings
from server.store.setup import open_store


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@store_options
def command(file: Path, redis_url: str | None, data_dir: Path) -> None:
    """Write the whole store, as it is at this moment, into FILE, sealed with JIAOHAO_SECRET.

    \b
    The service goes on meanwhile: the store forks, as it does for a new replica. Then the file is read again,
    decrypted and loaded into a store of our own; exit code 0 says that it could be restored. What was there is
    replaced once the new one is whole. Keep it on another machine, and the secrets on a third: without them nobody can
    read it, we neither.

    \b
      set -a; . /etc/jiaohao/jiaohao.env; . /etc/jiaohao/backup.env
      jiaohao backup /backup/jiaohao-$(date +%F-%H).backup
    """
    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        click.echo(asyncio.run(_backup(settings, file)))


async def _backup(settings: Settings, file: Path) -> str:
    from server.operations.backup.making import make_backup

    connection = await open_store(settings)
    try:
        with progress_bar() as bar:
            task = bar.add_task("writing", total=None)
            made = await make_backup(settings, connection, file, lambda more: bar.advance(task, more))
    finally:
        await connection.close()
    at = from_ms(made.created_ms).isoformat(timespec="seconds")
    return f"{file}: {made.keys} keys of {made.nodes} nodes as of {at}, {made.size_bytes} bytes; read again and loaded"
