"""`jiaohao plan`."""

from __future__ import annotations

import json
import sys
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from loadtests.capacity.demand import Timetable
    from loadtests.capacity.plan_request import PlanRequest
    from loadtests.run.city_file import CityFile

_DAY_SECONDS = 86_400
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Rate(click.ParamType[float | Literal["enough"]]):
    """Calls a second, or `enough`."""

    name = "RATE"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | Literal["enough"]:
        """Return it as it was typed."""
        if value == "enough":
            return "enough"
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither calls a second nor enough", param, ctx)


@click.command("plan")
@click.option("--residents", type=float, help="How many come in a day, of all districts that are planned for.")
@click.option("--joins-per-second", type=float, help="In place of --residents: the peak of those that open together.")
@click.option("--district", "districts", multiple=True, help="Code, once for each; default: all that have a window.")
@click.option("--door", default=0.13, show_default=True, help="Share who are there when it opens (an assumption).")
@click.option("--minutes", type=float, help="In which the others come, fewer and fewer; default: the window.")
@click.option("--city", type=_file, help="City file; default: Guangzhou's.")
@click.option(
    "--rate",
    "rate_per_second",
    type=_Rate(),
    help="Calls a second of each opening in place of the city "
    "file's, or `enough`: so many that everyone is called in the window.",
)
@click.option("--openings", type=int, help="In place of the districts: so many equal ones that open together.")
@click.option(
    "--cities", default=1, show_default=True, help="So many equal set-ups, each with its own store and workers."
)
@click.option("--told", default=0.6, show_default=True, help="Share who have themselves called by SMS (an assumption).")
@click.option("--cache", is_flag=True, help="A cache in front carries the public answer (jiaohao front).")
@click.option("--utilisation", type=float, default=0.6, show_default=True, help="Of a core, at the peak.")
@click.option(
    "--measured",
    multiple=True,
    type=_file,
    help="Figures of your machine: --json of `python -m loadtests.bench "
    "costs`, or of `jiaohao rehearse ramp`, once for each; default: the shipped ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--table", "as_table", is_flag=True, help="Print the table of loadtests/README.md: Guangzhou, Shanghai, the planet."
)
@click.option("--predict", type=_file, help="A ramp's --json: what another number of workers holds, said from it ...")
@click.option("--against", type=_file, help="... and the ramp's --json that has measured it.")
def command(
    residents: float | None,
    joins_per_second: float | None,
    districts: tuple[str, ...],
    door: float,
    minutes: float | None,
    city: Path | None,
    rate_per_second: float | Literal["enough"] | None,
    openings: int | None,
    cities: int,
    told: float,
    cache: bool,
    utilisation: float,
    measured: tuple[Path, ...],
    as_json: bool,
    as_table: bool,
    predict: Path | None,
    against: Path | None,
) -> None:
    """Say what a city needs: workers, store shards, memory, network, SMS, and what residents wait.

    Arrivals and the city file's policy give the calls a second; measured costs of each call give CPU, bytes and memory.
    Each figure says how it comes about, and whether as much has been measured or it is extrapolated.

    \b
    For a city, with the figures of this machine:
      python -m loadtests.bench costs --json costs.json
      jiaohao plan --residents 4836000 --measured costs.json
    One district of it, a third at the door:
      jiaohao plan --residents 970000 --district 440111 --door 0.33
    How far a ramp with one worker foretold the one with two:
      jiaohao plan --predict ramp-1.json --against ramp-2.json

    Exit code: 0; 2 where the question cannot be answered.
    """
    from loadtests.capacity.known import KnownError, load_known, read_ramp
    from loadtests.capacity.plan import Plan, make
    from loadtests.capacity.plan_request import PlanError, PlanRequest
    from loadtests.capacity.words import checked, foretold, page, table
    from loadtests.run.city_file import CityFileError, read_city

    try:
        if (predict is None) != (against is None):
            raise PlanError("--predict and --against: expected both")
        if predict is not None and against is not None:
            click.echo("\n".join(foretold(read_ramp(predict), read_ramp(against))))
            return
        known = load_known(measured)
        if as_table:
            rows: list[tuple[str, str, Plan | PlanError]] = []
            for name, words, file, asked in _cases():
                try:
                    found: Plan | PlanError = make(_timetable(read_city(file), ()), asked, known)
                except PlanError as error:  # this set-up does not carry it; the others may
                    found = error
                rows.append((name, f"jiaohao plan {' '.join(words)}", found))
            click.echo("\n".join(table(rows, known)))
            return
        asked = PlanRequest(
            residents=residents,
            joins_per_second=joins_per_second,
            door=door,
            minutes=minutes,
            utilisation=utilisation,
            openings=openings,
            cities=cities,
            rate_per_second=rate_per_second,
            cache=cache,
            told=told,
        )
        asked.check()  # before the city file, which takes a process to read
        plan = make(_timetable(read_city(city), districts), asked, known)
    except (KnownError, PlanError) as error:
        click.echo(f"jiaohao: {error}", err=True)
        sys.exit(2)
    except CityFileError as error:
        click.echo(f"jiaohao: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(plan.plain(), ensure_ascii=False, indent=1))
        return
    click.echo("\n".join([*page(plan), *checked(known)]))


def _cases() -> list[tuple[str, tuple[str, ...], Path | None, PlanRequest]]:
    """Return (name, the options that ask it, city file, question) of the README's table."""
    import loadtests
    from loadtests.capacity.plan_request import PlanRequest

    shanghai = Path(loadtests.__file__).parent / "cities" / "shanghai.toml"
    return [
        ("Guangzhou", ("--residents 4836000", "--cache"), None, PlanRequest(4_836_000, cache=True)),
        (
            "Shanghai",
            ("--residents 25000000", "--cache", "--city loadtests/cities/shanghai.toml"),
            shanghai,
            PlanRequest(25_000_000, cache=True),
        ),
        (
            "the planet",
            ("--joins-per-second 1000000", "--cache", "--cities 100", "--openings 4", "--rate enough"),
            None,
            PlanRequest(None, 1_000_000, cities=100, openings=4, rate_per_second="enough", cache=True),
        ),
    ]


def _timetable(city: CityFile, codes: tuple[str, ...]) -> Timetable:
    """Say what the model needs of a city file.

    Raises:
        PlanError: no such district, or one without a window.
    """
    from loadtests.capacity.demand import PlannedDistrict, Timetable
    from loadtests.capacity.plan_request import PlanError

    for code in codes:
        district = city.district(code)
        if district is None or not district.windows:
            what = "no such district in the city file" if district is None else "has no window, so it never opens"
            raise PlanError(f"--district {code}: {what}")
    policy, quiet = city.policy, city.sms.quiet_hours
    return Timetable(
        name=city.name_en,
        districts=tuple(
            PlannedDistrict(
                code=it.code,
                name=it.name_en if len(it.windows) == 1 else f"{it.name_en} ({window.opens:%H:%M})",
                population=it.population // len(it.windows),  # they come in one as in another
                opens_s=_seconds(window.opens),
                closes_s=_seconds(window.closes),
                rate_per_second=policy.rate_per_second if it.rate_per_second is None else it.rate_per_second,
                max_active=policy.max_active if it.max_active is None else it.max_active,
            )
            for it in city.districts
            if not codes or it.code in codes
            for window in it.windows
        ),
        draw_seconds=policy.draw_seconds,
        claim_seconds=policy.claim_seconds,
        pass_seconds=policy.pass_seconds,
        poll_floor_seconds=policy.poll_floor_seconds,
        poll_ceiling_seconds=policy.poll_ceiling_seconds,
        poll_budget_per_second=policy.poll_budget_per_second,
        look_budget_per_second=policy.look_budget_per_second,
        sms_per_second=city.sms.per_second,
        places_told=city.calls.places_per_opening if city.calls.sms else 0,
        sms_begins_s=_seconds(quiet.ends) if quiet.ends else 0,
        sms_ends_s=_seconds(quiet.begins) if quiet.begins else _DAY_SECONDS,
        night_seconds=(_seconds(city.open_hours.opens) - _seconds(city.open_hours.closes)) % _DAY_SECONDS
        - policy.grace_seconds,
    )


def _seconds(t: time) -> int:
    return t.hour * 3600 + t.minute * 60 + t.second
