"""`jiaohao serve`."""

import os
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import click

from server.cli.options import OPERATIONS, OperationsAddress, city_option, serving_options
from server.core import logs
from server.core.city import load_city
from server.core.settings import from_environment


@click.command("serve")
@serving_options
@click.option(
    "--redis-url", envvar="JIAOHAO_REDIS_URL", required=True, help="Redis >= 7 or Valkey, standalone or cluster."
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="JIAOHAO_RESULTS",
    show_envvar=True,
    help="Folder of the nights' result files, as for `jiaohao night`; without it residents see no proofs here.",
)
@city_option
def command(
    host: str,
    port: int,
    operations: OperationsAddress | None,
    workers: int | None,
    clock: datetime | None,
    reset_clock: bool,
    redis_url: str,
    results: Path | None,
    city_file: Path | None,
) -> None:
    """Serve against a store of your own, on as many machines as you like.

    Secrets come from the environment and have no default: JIAOHAO_SECRET (32 bytes hex; the same on
    every machine) and JIAOHAO_OPERATOR_TOKEN. The store must be durable: `appendonly yes`,
    `appendfsync always`, `maxmemory-policy noeviction`. The night and the messages are commands of their
    own: see `jiaohao night --help` for the line in cron, and `jiaohao notify --help`.
    """
    from server.cli.serving import CityClock, bound, bound_for_operations, check_beacon, look_at_store, serve

    logs.configure()
    city = load_city(city_file)
    check_beacon(city)
    env = dict(os.environ, JIAOHAO_REDIS_URL=redis_url)
    env.pop("JIAOHAO_OFFSET_MS", None)
    if results is not None:
        env["JIAOHAO_RESULTS"] = str(results.resolve())
    if city_file is not None:
        env["JIAOHAO_CITY"] = str(city_file.resolve())
    with bound(host, port) as listener, bound_for_operations(operations, OPERATIONS) or nullcontext() as aside:
        settings = look_at_store(from_environment(env), city, CityClock(clock, reset_clock))
        serve(settings, listener, workers, aside)
