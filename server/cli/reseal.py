"""`jiaohao reseal`."""

import os
from contextlib import ExitStack
from pathlib import Path

import click

from server.cli.options import store_options, store_settings
from server.core.errors import SetupError


@click.command("reseal")
@store_options
def command(redis_url: str | None, data_dir: Path) -> None:
    """Change the secret that names, phone numbers and seeds are encrypted with.

    \b
    1. Make a new secret (openssl rand -hex 32). On every machine set JIAOHAO_SECRET to it, put the one
       before into JIAOHAO_PREVIOUS_SECRETS (several: with commas), and keep JIAOHAO_PEPPER as it is; where
       it was never set, set it to the very first secret: residents are known by it.
    2. Start the service again: it encrypts with the new secret and still reads the one before.
    3. Run `jiaohao reseal` with the same variables. It may run beside the service and beside imports, be
       stopped at any point, and be run again.

    Exit code: 0 when nothing needs an earlier secret any more, 1 when something cannot be read.
    """
    from server.cli.walking import over_all_keys
    from server.core.encryption import Cipher, SeedCipher
    from server.operations.key_rotation import reseal

    with ExitStack() as stack:
        settings = store_settings(stack, redis_url, data_dir)
        cipher, seeds = Cipher(settings.secrets), SeedCipher(settings.secrets)
        done = over_all_keys(settings, "resealing", lambda store, progress: reseal(store, cipher, seeds, progress))
    click.echo(f"{done.resealed} contacts resealed, {done.current} had the current secret already")
    if done.seeds:
        click.echo(f"{done.seeds} seeds of draws and nights to come sealed anew")
    if done.unreadable:
        ids = ", ".join(map(str, sorted(done.unreadable_ids)))
        raise SetupError(
            f"{done.unreadable} contacts cannot be read (key id {ids}): put the secret they were sealed with into "
            "JIAOHAO_PREVIOUS_SECRETS and run this again, or import their registry again"
        )
    if len(settings.secrets) == 1:
        return
    if done.owed:
        click.echo(f"{done.owed} messages wait to be sent and may need an earlier secret: run this again after them")
        return
    click.echo("contacts need no earlier secret any more; receipts signed with one end with it")
    if settings.pepper in settings.secrets[1:] and not os.environ.get("JIAOHAO_PEPPER"):
        click.echo("before you drop JIAOHAO_PREVIOUS_SECRETS, keep its last secret as JIAOHAO_PEPPER: see --help")
