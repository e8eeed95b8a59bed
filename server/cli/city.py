"""`jiaohao city`."""

from pathlib import Path

import click

from server.cli.options import city_option
from server.core.city import SHIPPED_CITY, load_city


@click.command("city")
@city_option
def command(city_file: Path | None) -> None:
    """Print the city file in force, checked, to copy and change."""
    load_city(city_file)
    click.echo((city_file or SHIPPED_CITY).read_text(encoding="utf-8"), nl=False)
