"""`jiaohao up`."""

import asyncio
import os
from contextlib import ExitStack, nullcontext
from datetime import datetime
from pathlib import Path

import click

from server.cli.options import OperationsAddress, city_option, serving_options, store_options
from server.core import logs
from server.core.city import load_city
from server.core.settings import OF_CONNECTIONS, from_environment, local_secrets


@click.command("up")
@serving_options
@store_options
@city_option
@click.option("--no-demo", is_flag=True, help="Do not add demo residents and sites.")
def command(
    host: str,
    port: int,
    operations: OperationsAddress | None,
    workers: int | None,
    clock: datetime | None,
    reset_clock: bool,
    redis_url: str | None,
    data_dir: Path,
    city_file: Path | None,
    no_demo: bool,
) -> None:
    """Serve with everything embedded: store, workers, demo residents and sites.

    Guangzhou's windows are 08-12, 12-16 and 16-20 (Asia/Shanghai); outside them the doors are closed.
    To see an opening at once, start the city's clock just before one:

        jiaohao up --clock 2021-06-19T07:59:00+08:00

    Data and secrets are kept in --data-dir. SIGTERM and Ctrl-C end it cleanly.
    """
    from server.cli.night_watch import NightWatch
    from server.cli.serving import CityClock, bound, bound_for_operations, check_beacon, look_at_store, serve, shown
    from server.operations.demo import add_demo, describe
    from server.store.embedded import EmbeddedStore

    logs.configure()
    city = load_city(city_file)
    check_beacon(city)
    data_dir = data_dir.resolve()
    with ExitStack() as stack:
        listener = stack.enter_context(bound(host, port))
        aside = stack.enter_context(bound_for_operations(operations, None) or nullcontext())
        is_ours = redis_url is None
        if redis_url is None:
            redis_url = stack.enter_context(EmbeddedStore(data_dir)).url
        env = local_secrets(data_dir) | {"JIAOHAO_REDIS_URL": redis_url}
        env["JIAOHAO_REPLICAS"] = os.environ.get("JIAOHAO_REPLICAS") or "all"
        env["JIAOHAO_SMS_FILE"] = os.environ.get("JIAOHAO_SMS_FILE") or str(data_dir / "sms.jsonl")
        env |= {name: os.environ.get(name, "") for name in OF_CONNECTIONS}
        if city_file is not None:
            env["JIAOHAO_CITY"] = str(city_file.resolve())
        env["JIAOHAO_RESULTS"] = os.environ.get("JIAOHAO_RESULTS") or str(data_dir / "results")
        # nobody else serves on a store of our own
        asked = CityClock(clock, anew=is_ours or reset_clock)
        settings = look_at_store(from_environment(env), city, asked)
        if not no_demo:
            if asyncio.run(add_demo(settings, city)):
                click.echo(describe(city))
            else:
                click.echo("no demo residents: this store holds others, or may", err=True)
        click.echo(f"messages: see {settings.sms_file}")
        url = f"http://{shown(host)}:{listener.getsockname()[1]}"
        click.echo(f"staff sign in at /staff with: jiaohao token staff SITE --data-dir {data_dir} --url {url}")
        secrets_at = "JIAOHAO_OPERATOR_TOKEN" if os.environ.get("JIAOHAO_OPERATOR_TOKEN") else data_dir / "secrets.json"
        click.echo(f"operator token: see {secrets_at}")
        click.echo(f"nights' results: see {settings.results_dir}")
        serve(settings, listener, workers, aside, nights=NightWatch(settings, city))
