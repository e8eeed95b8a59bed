"""What the city file says of the openings to come: so that a run which does not fit them is refused at once.

The server's own word comes later and counts (`run/setting.py`), but before it the papers of a whole city are written
and imported, and nobody should wait that long to hear that a minute is too short.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from loadtests.crowd.crowd import Crowd
from loadtests.resident.acts import SECOND_US
from loadtests.resident.run_opening import RunOpening
from loadtests.run.city_file import CityFileError, Window, read_city
from loadtests.run.holdable import holdable, needed, refuse_too_many
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.setting import curves_of, opens_too_late


def check_city(options: Options, crowd: Crowd) -> None:
    """Hold the run against the city file that the own server will have.

    Raises:
        CannotRehearse: the file cannot be used, has no such opening, the run does not fit its windows or draws, or this
            machine cannot hold the crowd's connections.
    """
    try:
        city = read_city(Path(options.city) if options.city is not None else None)
    except CityFileError as error:
        raise CannotRehearse(f"--city: {error}") from None
    starts = datetime.fromisoformat(options.opening) - timedelta(seconds=options.lead)
    found: list[tuple[str, datetime, datetime]] = []
    for code in crowd.districts:
        district = city.district(code)
        if district is None:
            raise CannotRehearse(f"--district {code}: the city file has none of that code")
        if not district.windows:
            raise CannotRehearse(f"--district {code}: has no window in the city file, so nobody can join there")
        found.append((code, *_opening(district.windows, starts)))
    first = min(opens for _, opens, _ in found)
    if (problem := opens_too_late((first - starts).total_seconds())) is not None:
        raise CannotRehearse(f"{problem}: {', '.join(crowd.districts)} opens at {first.isoformat()}")
    openings = tuple(
        RunOpening(
            code, f"{opens:%Y-%m-%d}", opens, _us(opens - first), float(city.policy.draw_seconds), "", (),
            _us(closes - first),
        )
        for code, opens, closes in found
    )  # fmt: skip
    need = needed(crowd, openings, curves_of(options, crowd, openings))
    refuse_too_many(options, holdable("127.0.0.1", options.processes), need, options.processes)


def _opening(windows: Sequence[Window], at: datetime) -> tuple[datetime, datetime]:
    """Return the opening that is on at this time, or else the next one of that day, or the last one."""
    times = sorted(
        (datetime.combine(at, window.opens, at.tzinfo), datetime.combine(at, window.closes, at.tzinfo))
        for window in windows
    )
    return next(((opens, closes) for opens, closes in times if at < closes), times[-1])


def _us(span: timedelta) -> int:
    return int(span.total_seconds() * SECOND_US)
