"""A rehearsal of a quarter of a minute against a server with a fault, and what it found."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copytree
from types import MappingProxyType
from typing import Any

import msgspec
import psutil

from loadtests.crowd.crowd import Crowd
from loadtests.crowd.crowd_file import load_profile
from loadtests.crowd.files import write_files
from loadtests.resident.run_opening import RunOpening
from loadtests.run.night import hold_night
from loadtests.run.options import Options
from tests.support.serving import REPO, TIANHE, Up, end_store, environment, run_cli

HERE = Path(__file__).parent
OPENS_AT = datetime.fromisoformat("2021-06-19T08:00:00+08:00")
RESIDENTS = 220
LEAD_SECONDS = 6
RUN_SECONDS = 14
SEED = 1


def _crowd() -> Crowd:
    return Crowd(RESIDENTS, (TIANHE,), OPENS_AT.date(), SEED, load_profile(str(HERE / "crowd.toml")))


def prepare(folder: Path) -> Path:
    """A data dir with the crowd's registry and sites, to be copied for each run."""
    data_dir, crowd = folder / "data", _crowd()
    registry, sites = write_files(crowd, folder)
    for kind, file in (("registry", registry), ("sites", sites)):
        done = run_cli("import", kind, str(file), "--data-dir", str(data_dir), "--city", str(HERE / "city.toml"))
        assert done.returncode == 0, done.stderr
    return data_dir


def rehearse(
    prepared: Path, folder: Path, fault: str, changes: Mapping[str, Mapping[str, str]], *, night: bool = False
) -> dict[str, str]:
    """Serve with a fault, rehearse, and say what was not green: name of the check or SLO -> what was found.

    Args:
        prepared, folder, fault, changes: as of `serving`.
        night: hold the night as well, and say what was not green of it.
    """
    with serving(prepared, folder, fault, changes) as options:
        red = red_of(held(options))
        if night:
            sites = tuple(row[0] for row in _crowd().sites_rows())
            opening = RunOpening(TIANHE, f"{OPENS_AT:%Y-%m-%d}", OPENS_AT, 0, 0, "", sites)
            checks = hold_night(folder / "data", [opening], folder / "city.toml")
            red |= {check.name: check.detail for check in checks if not check.ok}
        return red


@contextmanager
def serving(
    prepared: Path,
    folder: Path,
    fault: str = "none",
    changes: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    lead_seconds: int = LEAD_SECONDS,
) -> Iterator[Options]:
    """A server with a fault, shortly before the opening; the options of a rehearsal against it.

    Args:
        prepared: from `prepare`.
        folder: new; everything of this run is put there.
        fault: one of `tests.broken.faults.FAULTS`.
        changes: what is different in `city.toml`, `crowd.toml`, `slo.toml`: text -> what is there instead.
        lead_seconds: how long before.
    """
    data_dir = copytree(prepared, folder / "data")
    city, crowd, slo = (
        _changed(name, folder, changes.get(name, {})) for name in ("city.toml", "crowd.toml", "slo.toml")
    )
    clock = OPENS_AT - timedelta(seconds=lead_seconds)
    arguments = ["up", "--no-demo", "--workers", "1", "--port", "0", "--data-dir", str(data_dir)]
    arguments += ["--city", str(city), "--clock", clock.isoformat()]
    with ExitStack() as stack:
        out, err = (stack.enter_context((folder / name).open("wb")) for name in ("out", "err"))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.broken", *arguments],
            cwd=REPO, env=environment(BROKEN=fault), stdout=out, stderr=err,
        )  # fmt: skip
        server = Up(process, folder, data_dir)
        stack.callback(end_store, data_dir)
        stack.callback(_end, process)
        server.await_ready()
        yield Options(
            residents=RESIDENTS, minutes=RUN_SECONDS / 60, crowd=str(crowd), host=server.url,
            redis_url=(data_dir / "store.url").read_text(), seed=SEED, lines=200, slo=str(slo),
            report=None, json=str(folder / "run.json"),
        )  # fmt: skip


def held(options: Options) -> dict[str, Any]:
    """Hold a rehearsal; its figures."""
    return found(options, "-m", "loadtests.cli.drive", msgspec.json.encode(options).decode())


def found(options: Options, *command: str) -> dict[str, Any]:
    """The figures of a rehearsal that a Python command holds, whose exit code says the same."""
    done = subprocess.run(
        [sys.executable, *command], cwd=REPO, env=environment(), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), f"{done.stdout}{done.stderr}"
    assert options.json is not None
    figures: dict[str, Any] = msgspec.json.decode(Path(options.json).read_bytes())
    red = red_of(figures)
    assert bool(red) == bool(done.returncode), f"{red}: exit {done.returncode}"
    return figures


def red_of(figures: Mapping[str, Any]) -> dict[str, str]:
    """What was not green, check or SLO, and what was found."""
    red = {check["name"]: check["detail"] for check in figures["checks"] if not check["ok"]}
    return red | {
        line["name"]: f"{line['figure']}: {line['detail']}" for line in figures["objectives"] if line["state"] != "held"
    }


def _changed(name: str, folder: Path, changes: Mapping[str, str]) -> Path:
    """One of our files with other text here and there."""
    text = (HERE / name).read_text("utf-8")
    for before, after in changes.items():
        assert text.count(before) == 1, f"{name}: {before}"
        text = text.replace(before, after)
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def _end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
    for child in psutil.wait_procs(family, timeout=3)[1]:
        child.kill()
