"""`jiaohao rehearse`."""

import click


@click.command("rehearse")
def command() -> None:
    """Let a city log in at 08:00."""
    raise click.ClickException("being wired")
