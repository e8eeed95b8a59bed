"""The command `jiaohao`."""

import sys
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import click

from server import __version__
from server.core.city import CityError
from server.core.errors import Refusal, SetupError


class _Commands(click.Group):
    """Loads a command's module only when it is used, so that `--help` is quick."""

    _modules: ClassVar = {
        "up": "server.cli.up",
        "serve": "server.cli.serve",
        "import": "server.cli.imports",
        "city": "server.cli.city",
        "token": "server.cli.token",
        "night": "server.cli.night",
        "notify": "server.cli.notify",
        "outbox": "server.cli.outbox",
        "front": "server.cli.front",
        "kit": "server.cli.kit.command",
        "doctor": "server.cli.doctor",
        "config": "server.cli.config",
        "reseal": "server.cli.reseal",
        "purge": "server.cli.purge",
        "repair": "server.cli.repair",
        "backup": "server.cli.backup",
        "restore": "server.cli.restore",
        "verify": "server.cli.verify",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._modules, *self._joined]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self._modules:
            command: click.Command = import_module(self._modules[name]).command
            return command
        joined = self._joined.get(name)
        return joined.load() if joined is not None else None

    @cached_property
    def _joined(self) -> dict[str, EntryPoint]:
        """Commands of other packages: the rehearsal's, say. The server works without them."""
        return {joined.name: joined for joined in entry_points(group="jiaohao.commands")}


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="jiaohao")
def cli() -> None:
    """叫号 jiaohao: a reservation queue that keeps its promises under any crowd.

    \b
    A first look, everything embedded:
      jiaohao up --clock 2021-06-19T07:59:00+08:00      then open the address it prints
    Let a city in at its opening and see whether every promise held:
      jiaohao rehearse --residents 20000 --minutes 4
    """


def main() -> None:
    """Run a command; a failure is one clear line and a non-zero exit."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (SetupError, CityError) as error:
        click.echo(f"jiaohao: {error}", err=True)
        sys.exit(1)
    except Refusal as refusal:
        click.echo(f"jiaohao: the store did not answer ({refusal.code}); try again", err=True)
        sys.exit(1)
