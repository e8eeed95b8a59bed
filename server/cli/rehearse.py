"""`jiaohao rehearse`."""

import sys
from pathlib import Path

import click


@click.command("rehearse")
@click.option("--residents", default=20_000, show_default=True, help="How many people come.")
@click.option("--minutes", default=4.0, show_default=True, help="For how long they come, from the opening on.")
@click.option(
    "--crowd",
    default="guangzhou",
    show_default=True,
    help="What they are like: guangzhou, phones, stampede, bots, or a file like those in loadtests/crowds.",
)
@click.option(
    "--arrivals",
    help="Another curve than the crowd's: door:SHARE (that share is there at the opening and, as the page does, "
    "spreads its joins over the draw; the others come later, fewer and fewer), or stampede (everyone in the first "
    "second).",
)
@click.option("--host", help="Rehearse against this server (http://127.0.0.1:PORT); default: one of its own.")
@click.option("--redis-url", help="The store: for the audit of --host, or for the own server.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same crowd.")
@click.option(
    "--district", "districts", multiple=True, help="Code of a district, once for each; default: those of the crowd."
)
@click.option("--city", type=click.Path(exists=True, dir_okay=False), help="City file of the own server.")
@click.option("--workers", type=click.IntRange(1), help="Workers of the own server.")
@click.option("--fault", type=click.Choice(["kill-store", "kill-worker"]), help="kill -9 in the middle of it.")
@click.option("--fault-at", default=0.35, show_default=True, help="When, as a share of the minutes.")
@click.option("--lines", default=400, show_default=True, help="Connections of the load generator.")
@click.option("--slo-p99", default=1.0, show_default=True, help="Seconds, from due time, for joins and polls.")
@click.option("--report", default="rehearsal.html", show_default=True, help="Where to write the report.")
@click.option("--json", "json_file", help="Where to write the figures as JSON.")
def command(
    residents: int,
    minutes: float,
    crowd: str,
    arrivals: str | None,
    host: str | None,
    redis_url: str | None,
    seed: int,
    districts: tuple[str, ...],
    city: str | None,
    workers: int | None,
    fault: str | None,
    fault_at: float,
    lines: int,
    slo_p99: float,
    report: str,
    json_file: str | None,
) -> None:
    """Let a city log in at 08:00, in real time, and audit every promise.

    Makes a crowd with valid papers, imports it by the ordinary command, opens the doors, and at the end compares
    the store's truth with what each resident was told. Exit code: 0 when all checks are green, 1 when one is
    not, 2 when the rehearsal could not be held.

    \b
    The full size, on two cores, generator included:
      jiaohao rehearse --residents 600000 --minutes 10
    """
    from loadtests.options import CannotRehearse, Options
    from loadtests.rehearsal import run

    options = Options(
        residents=residents,
        minutes=minutes,
        crowd=crowd,
        arrivals=arrivals,
        host=host,
        redis_url=redis_url,
        seed=seed,
        districts=districts or None,
        city=str(Path(city).resolve()) if city else None,
        workers=workers,
        fault=fault,
        fault_at=fault_at,
        lines=lines,
        slo_p99_seconds=slo_p99,
        report=report,
        json=json_file,
    )
    try:
        sys.exit(run(options))
    except CannotRehearse as error:
        click.echo(f"jiaohao: {error}", err=True)
        sys.exit(2)
