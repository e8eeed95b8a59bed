"""`jiaohao front`."""

from pathlib import Path

import click

from server.cli.fronts import NAMES, Front, FrontName, configuration


@click.command("front")
@click.argument("name", type=click.Choice(NAMES))
@click.option("--to", "workers", multiple=True, default=["http://127.0.0.1:8000"], show_default=True,
              help="A server behind it; several times for several.")  # fmt: skip
@click.option("--listen", default="0.0.0.0:443", show_default=True, help="HOST:PORT that residents come to.")
@click.option("--certificate", type=click.Path(dir_okay=False, path_type=Path, resolve_path=True),
              help="PEM file with the chain and its key; without it, plain HTTP.")  # fmt: skip
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
              default=Path("/var/cache/jiaohao"), show_default=True,
              help="For its cache and its process's file.")  # fmt: skip
@click.option("--per-address", type=click.IntRange(0), default=512, show_default=True,
              help="Connections that one address may have; many residents share one. 0: no limit.")  # fmt: skip
@click.option("--connections", type=click.IntRange(64), default=16_384, show_default=True,
              help="Connections that it holds.")  # fmt: skip
def command(
    name: FrontName, workers: tuple[str, ...], listen: str, certificate: Path | None, folder: Path, per_address: int,
    connections: int,
) -> None:  # fmt: skip
    """Print the configuration of a proxy in front: nginx, HAProxy or Varnish.

    TLS, a cache for what is the same for everyone, the headers that the workers go by, and browsers let go where the
    wait is long. Tried by `jiaohao rehearse --front NAME`.

    \b
      jiaohao front nginx --certificate /etc/ssl/vaccine.pem > /etc/nginx/nginx.conf
    """
    click.echo(configuration(name, Front(listen, workers, folder, certificate, per_address, connections)), nl=False)
