"""`jiaohao rehearse`."""

import sys
from typing import Any

import click

_TO_TRY = {"residents": 20_000, "minutes": 4.0}


class _Command(click.Command):
    """Lists scenarios and faults below the options, each with its question."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from loadtests import scenarios
        from loadtests.faults.catalogue import FAULTS

        with formatter.section("Scenarios"):
            formatter.write_dl([(name, scenarios.load(name).question) for name in scenarios.names()])
        with formatter.section("Faults"):
            formatter.write_dl([(name, _question(fault.__doc__)) for name, fault in FAULTS.items()])


def _question(doc: str | None) -> str:
    """Return the beginning of a docstring, up to its question mark."""
    words = " ".join((doc or "").split())
    return words[: words.find("?") + 1] or words


@click.command("rehearse", cls=_Command)
@click.argument("scenario", required=False)
@click.option("--residents", type=int, help="How many people come.")
@click.option("--minutes", type=float, help="For how long they come, from the opening on.")
@click.option("--crowd", help="What they are like: name of a file in loadtests/crowds, or a file like those.")
@click.option(
    "--arrivals",
    help="Another curve than the crowd's: door:SHARE (that share is there at the opening and, as the page does, "
    "spreads its joins over the draw; the others come later, fewer and fewer), or stampede (everyone in the first "
    "second).",
)
@click.option("--rate", type=float, help="Of a ramp's first step: residents a second.")
@click.option(
    "--host",
    help="Rehearse against this server (http://HOST:PORT, or https:// with a certificate that the system knows or "
    "SSL_CERT_FILE names); default: one of its own.",
)
@click.option("--redis-url", help="The store: for the audit of --host, or for the own server.")
@click.option(
    "--used-store", is_flag=True, default=None,
    help="The own server's --redis-url may hold keys already; else one that does is refused.",
)  # fmt: skip
@click.option("--seed", type=int, help="The same seed makes the same crowd; default 1.")
@click.option(
    "--district", "districts", multiple=True, help="Code of a district, once for each; default: those of the crowd."
)
@click.option(
    "--city", type=click.Path(exists=True, dir_okay=False, resolve_path=True), help="City file of the own server."
)
@click.option("--workers", type=click.IntRange(1), help="Workers of the own server.")
@click.option(
    "--front", help="A proxy in front of the own server, as `jiaohao front` sets it up: nginx or haproxy (by TLS), or "
    "varnish.",
)  # fmt: skip
@click.option(
    "--beacon", type=click.Choice(["own", "silent"]),
    help="own: draws and night of the own server are bound to a beacon as well, of a network that the rehearsal has "
    "for itself, with a relay on this machine; silent: its relay does not answer.",
)  # fmt: skip
@click.option("--fault", help="What fails in the middle of it, on the own server: see below.")
@click.option("--fault-at", type=float, help="When, as a share of the minutes; default 0.35.")
@click.option("--night", is_flag=True, default=None, help="Hold the night as well, and audit slots, ranks and SMS.")
@click.option(
    "--asleep", type=click.FloatRange(0, 1),
    help="Share of the crowd whose phones sleep while they wait; default: the crowd's. They have themselves called by "
    "SMS, which only a server of our own writes where the rehearsal can read it.",
)  # fmt: skip
@click.option(
    "--messages/--no-messages", default=None, help="Whether those have themselves called by SMS; default: they do."
)
@click.option(
    "--connections", type=click.Choice(["own", "shared"]),
    help="own: each resident and each second device has one, kept as browsers do; shared: a few that all use. "
    "Default own.",
)  # fmt: skip
@click.option(
    "--tls", is_flag=True, default=None, help="Insist on TLS: of --front nginx or haproxy, or of --host https://…"
)
@click.option("--lines", type=int, help="How many shared connections the load generators have together; default 400.")
@click.option("--processes", type=int, help="Load generators; default 1. More share the crowd and audit together.")
@click.option("--slo", help="What must hold, as TOML; default: loadtests/slo.toml, which explains itself.")
@click.option(
    "--warm-up", "warm_up_seconds", type=int,
    help="Seconds after the opening that are kept apart; what is before it always is.",
)  # fmt: skip
@click.option("--report", help="Where to write the report; default rehearsal.html.")
@click.option("--json", help="Where to write the figures as JSON, for --against and `jiaohao plan`.")
@click.option("--junit", help="Where to write the verdict as JUnit XML: one testcase an SLO and a check.")
@click.option("--against", help="The --json of an earlier run: each figure better, worse, or within noise.")
def command(scenario: str | None, **given: Any) -> None:
    """Let a city log in at an opening, in real time, and audit every promise.

    Makes a crowd with valid papers, imports it by the ordinary command, opens the doors, and at the end compares
    the store's truth with what each resident was told, and judges each line of the SLO file. Exit code: 0, green; 1,
    red: a check failed or an SLO was broken; 3, inconclusive: nothing was found broken, but not everything could be
    judged (others took the CPU, say: hold it again); 2, the rehearsal could not be held.

    A SCENARIO asks one question, with its own settings, which the options override. Without one it is an opening of a
    size to try: 20,000 residents in 4 minutes. The full size, on two cores, generator included:

    \b
      jiaohao rehearse opening
    """
    from loadtests import scenarios
    from loadtests.cli.rehearsal import run_all
    from loadtests.run.options import CannotRehearse

    settings = {name: value for name, value in given.items() if value not in (None, ())}
    name = scenario or scenarios.DEFAULT_SCENARIO
    if scenario is None:
        settings = _TO_TRY | settings
    try:
        if name not in scenarios.names():
            raise CannotRehearse(f"no scenario {name!r}; there are {', '.join(scenarios.names())}")
        sys.exit(run_all(scenarios.load(name).runs(settings)))
    except CannotRehearse as error:
        click.echo(f"jiaohao: {error}", err=True)
        sys.exit(2)
