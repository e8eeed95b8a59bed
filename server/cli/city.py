"""`jiaohao city`."""

from pathlib import Path

import click
import msgspec

from server.cli.options import city_option
from server.core.city import SHIPPED_CITY, load_city


@click.command("city")
@city_option
@click.option("--json", "as_json", is_flag=True, help="Print every value in force as JSON, defaults included.")
def command(city_file: Path | None, as_json: bool) -> None:
    """Print the city file in force, checked, to copy and change."""
    city = load_city(city_file)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(city), indent=1).decode())
        return
    click.echo((city_file or SHIPPED_CITY).read_text(encoding="utf-8"), nl=False)
