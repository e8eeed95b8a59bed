"""What the city file says of the openings to come: so that a run which does not fit them is refused at once.

The server's own word comes later and counts (`run/setting.py`), but before it the papers of a whole city are written
and imported, and nobody should wait that long to hear that a minute is too short.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loadtests.crowd.crowd import Crowd
from loadtests.resident.acts import SECOND_US, Ground
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.setting import curves_of, opens_too_late

_HOME = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 60


def check_city(options: Options, crowd: Crowd) -> None:
    """Hold the run against the city file that the own server will have.

    Raises:
        CannotRehearse: the file cannot be used, has no such opening, or the run does not fit its windows or draws.
    """
    city = _city(options)
    policy = city.get("policy", {})
    if "draw_seconds" not in policy:  # left to the server, which will say so
        return
    districts = {district["code"]: district for district in city["districts"]}
    starts = datetime.fromisoformat(options.opening) - timedelta(seconds=options.lead)
    found: list[tuple[str, datetime, datetime]] = []
    for code in crowd.districts:
        if code not in districts:
            raise CannotRehearse(f"--district {code}: the city file has none of that code")
        windows = _windows(districts[code])
        if not windows:
            raise CannotRehearse(f"--district {code}: has no window in the city file, so nobody can join there")
        found.append((code, *_opening(windows, starts)))
    first = min(opens for _, opens, _ in found)
    if (problem := opens_too_late((first - starts).total_seconds())) is not None:
        raise CannotRehearse(f"{problem}: {', '.join(crowd.districts)} opens at {first.isoformat()}")
    grounds = tuple(
        Ground(
            code, f"{opens:%Y-%m-%d}", opens, _us(opens - first), float(policy["draw_seconds"]), "", (),
            _us(closes - first),
        )
        for code, opens, closes in found
    )  # fmt: skip
    curves_of(options, crowd, grounds)


def _city(options: Options) -> Mapping[str, Any]:
    """The file as `jiaohao city` prints it, once it has checked it."""
    command = [sys.executable, "-m", "server.cli", "city"]
    if options.city is not None:
        command += ["--city", str(Path(options.city).resolve())]
    done = subprocess.run(
        command, cwd=_HOME, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False, encoding="utf-8"
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise CannotRehearse(f"--city: {words[-1].removeprefix('jiaohao: ')}")
    return tomllib.loads(done.stdout.removeprefix("\ufeff"))


def _windows(district: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return district.get("windows") or [window for window in [district.get("window")] if window]


def _opening(windows: Sequence[Mapping[str, Any]], at: datetime) -> tuple[datetime, datetime]:
    """The opening that is on at this time, or else the next one of that day, or the last one."""
    times = sorted(
        (datetime.combine(at, window["opens"], at.tzinfo), datetime.combine(at, window["closes"], at.tzinfo))
        for window in windows
    )
    return next(((opens, closes) for opens, closes in times if at < closes), times[-1])


def _us(span: timedelta) -> int:
    return int(span.total_seconds() * SECOND_US)
