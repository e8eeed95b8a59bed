"""Options that commands share."""

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from server.core.errors import SetupError
from server.core.settings import Settings, from_environment, local_secrets
from server.store.embedded import store_url

_OPENING = re.compile(r"([0-9]{6}:[0-9]{4}-[0-9]{2}-[0-9]{2}(?::[23])?)=([0-9]{1,7})")


class OperationsAddress(NamedTuple):
    """Where operators are listened to; no host: nowhere."""

    host: str
    port: int


class _HostPort(click.ParamType[OperationsAddress]):
    """HOST:PORT, or `off`."""

    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> OperationsAddress:
        """Parse; a bare port would be open to whoever is near, so a host is asked for."""
        if isinstance(value, OperationsAddress):
            return value
        if value == "off":
            return OperationsAddress("", 0)
        host, _, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or int(port) > 65535:
            self.fail(f"{value!r} is neither an address like 127.0.0.1:9088 nor `off`", param, ctx)
        return OperationsAddress(host, int(port))


OPERATIONS = OperationsAddress("127.0.0.1", 9088)
F = TypeVar("F", bound=Callable[..., Any])


class Instant(click.ParamType[datetime]):
    """An RFC 3339 time with its offset."""

    name = "RFC3339"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse; a time without an offset would be a guess, so it is refused."""
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            self.fail(f"{value!r} is not a time like 2021-06-19T08:00:00+08:00", param, ctx)
        return at


class _GivenPlaces(click.ParamType[tuple[str, int]]):
    """An opening, as the log names it, and how many places were given in it."""

    name = "given"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """The tag and the number."""
        found = _OPENING.fullmatch(value)
        if found is None:
            self.fail(f"{value!r}: expected DISTRICT:DATE=N, e.g. 440106:2021-06-19=12345", param, ctx)
        return found[1], int(found[2])


def given_option(help_: str) -> Callable[[F], F]:
    """--given, several times for several openings."""
    return click.option("--given", type=_GivenPlaces(), multiple=True, metavar="DISTRICT:DATE=N", help=help_)


def store_options(command: F) -> F:
    """--redis-url and --data-dir."""
    command = click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".jiaohao"),
        show_default=True,
        help="Where the embedded store, its data and made secrets are kept.",
    )(command)
    return click.option(
        "--redis-url",
        envvar="JIAOHAO_REDIS_URL",
        show_envvar=True,
        help="A Redis >= 7 or Valkey, standalone or cluster, instead of the embedded store "
        "(redis://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...], rediss://, unix://; see README, Store).",
    )(command)


def store_settings(stack: ExitStack, redis_url: str | None, data_dir: Path, *, make: bool = False) -> Settings:
    """Settings of a command that works on the store: what --redis-url and --data-dir mean, until `stack` ends.

    With a store of one's own the secrets come from the environment; else from the data dir, as for `up`.

    Args:
        make: begin a new data dir where there is none.

    Raises:
        SetupError: there is neither a store nor a data dir (a cron job without its environment, say).
    """
    data_dir = data_dir.resolve()
    if redis_url is None and not make and not (data_dir / "secrets.json").exists():
        raise SetupError(
            f"no data in {data_dir}: give --redis-url (or set JIAOHAO_REDIS_URL), or the --data-dir of `jiaohao up`"
        )
    url = stack.enter_context(store_url(redis_url, data_dir))
    if redis_url is None:
        return from_environment(local_secrets(data_dir) | {"JIAOHAO_REDIS_URL": url})
    # Nothing here needs the operator's token.
    return from_environment({"JIAOHAO_OPERATOR_TOKEN": "-" * 16, **os.environ, "JIAOHAO_REDIS_URL": url})


def city_option(command: F) -> F:
    """--city."""
    return click.option(
        "--city",
        "city_file",
        envvar="JIAOHAO_CITY",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="City file (TOML); default: Guangzhou, June 2021. `jiaohao city` prints it, to copy and change.",
    )(command)


def serving_options(command: F) -> F:
    """--host, --port, --operations, --workers, --clock, --reset-clock."""
    command = click.option(
        "--operations",
        type=_HostPort(),
        envvar="JIAOHAO_OPERATIONS",
        show_envvar=True,
        help="A listener for operators and monitoring, with a worker of its own that the crowd cannot keep busy: "
        "/healthz, /readyz (do the workers answer too?), /metrics, /ops. Keep it private; port 0: a free one; `off`: "
        f"none. Default: {OPERATIONS.host}:{OPERATIONS.port} for `serve` (a free port where that is taken), "
        "none for `up`.",
    )(command)
    command = click.option(
        "--reset-clock",
        is_flag=True,
        help="Set the city's clock of this store anew, for all who work on it: by --clock, or to now.",
    )(command)
    command = click.option(
        "--clock",
        type=Instant(),
        help="Start the city's clock here, e.g. 2021-06-19T07:59:00+08:00; it runs in real time. Default: now. "
        "Where the store has a clock already, that one is followed.",
    )(command)
    command = click.option("--workers", type=click.IntRange(1, 512), help="Worker processes; default: one a core.")(
        command
    )
    command = click.option(
        "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: a free one."
    )(command)
    return click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")(command)
