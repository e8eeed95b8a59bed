"""`jiaohao config`."""

import json
import os
from collections.abc import Mapping

import click
from rich.console import Console
from rich.table import Table

from server.core.settings import from_environment
from server.core.variables import VARIABLES, Variable

_NONE = "(none)"


@click.command("config")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, one object a setting.")
@click.option(
    "--check", is_flag=True, help="Also say whether a server would start with this environment; exit code 1 if not."
)
def command(as_json: bool, check: bool) -> None:
    """Print every setting that comes from the environment, with its default and what it is here.

    Options of a command go before the environment. What a city decides (windows, rates, phases, messages) is in the
    city file: `jiaohao city` prints one, with a comment to each key. Of secrets only that they are set is shown.
    """
    if as_json:
        click.echo(json.dumps([_described(it, os.environ) for it in VARIABLES], ensure_ascii=False, indent=1))
    else:
        table = Table("setting", "default", "here", "what it is for", "commands", show_lines=True)
        for it in VARIABLES:
            table.add_row(it.name, it.default or _NONE, _here(it, os.environ) or "", it.what, it.of)
        Console(width=None if os.isatty(1) else 160).print(table)
    if check:
        from_environment()
        click.echo("a server would start with this environment", err=True)


def _here(it: Variable, env: Mapping[str, str]) -> str | None:
    value = env.get(it.name)
    return "(set)" if value and it.kind == "secret" else value


def _described(it: Variable, env: Mapping[str, str]) -> dict[str, str | None]:
    here = _here(it, env)
    return {"name": it.name, "default": it.default, "here": here, "what": it.what, "commands": it.of, "kind": it.kind}
