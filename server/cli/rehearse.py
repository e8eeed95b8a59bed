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
@click.option("--fault", metavar="NAME", help="A fault in the middle of it: one of loadtests/README.md's.")
@click.option("--fault-at", default=0.35, show_default=True, help="When, as a share of the minutes.")
@click.option("--lines", default=400, show_default=True, help="Connections of the load generator.")
@click.option("--slo", "slo_file", help="What must hold, as TOML; default: loadtests/slo.toml, which explains itself.")
@click.option(
    "--warm-up", "warm_up_seconds", default=0, show_default=True,
    help="Seconds after the opening that are kept apart; what is before it always is.",
)  # fmt: skip
@click.option("--report", default="rehearsal.html", show_default=True, help="Where to write the report.")
@click.option("--json", "json_file", help="Where to write the figures as JSON, for --against.")
@click.option("--junit", "junit_file", help="Where to write the verdict as JUnit XML: one testcase an SLO and a check.")
@click.option("--against", help="The --json of an earlier run: each figure better, worse, or within noise.")
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
    slo_file: str | None,
    warm_up_seconds: int,
    report: str,
    json_file: str | None,
    junit_file: str | None,
    against: str | None,
) -> None:
    """Let a city log in at 08:00, in real time, and audit every promise.

    Makes a crowd with valid papers, imports it by the ordinary command, opens the doors, and at the end compares
    the store's truth with what each resident was told, and judges each line of the SLO file. Exit code: 0 when all
    checks are green and no SLO is broken, 1 when not, 2 when the rehearsal could not be held.

    \b
    The full size, on two cores, generator included:
      jiaohao rehearse --residents 600000 --minutes 10
    """
    from loadtests.options import CannotRehearse, Options
    from loadtests.rehearsal import run
    from loadtests.slo import SHIPPED_SLO

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
        slo=slo_file or str(SHIPPED_SLO),
        warm_up_seconds=warm_up_seconds,
        report=report,
        json=json_file,
        junit=junit_file,
        against=against,
    )
    try:
        sys.exit(run(options))
    except CannotRehearse as error:
        click.echo(f"jiaohao: {error}", err=True)
        sys.exit(2)
