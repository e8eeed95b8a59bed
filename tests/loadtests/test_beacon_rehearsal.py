"""A rehearsal with a beacon of its own: a whole opening and its night are bound to rounds, and audited for it."""

from pathlib import Path

import msgspec
import pytest

from loadtests.cli.checks import problem_of
from loadtests.run.options import CannotRehearse, Options
from loadtests.run.own_beacon import OwnBeacon, problem_of_beacon
from tests.broken.rehearsing import HERE, OPENS_AT, found

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(problem_of_beacon() is not None, reason=str(problem_of_beacon())),
]


def test_an_opening_and_its_night_are_bound_to_rounds(tmp_path: Path) -> None:
    # What is felt is not the point here, on a machine that does other things too.
    slo = (HERE / "slo.toml").read_text("utf-8").partition("[p99_ms]")[0] + "[generator]\ncpu_percent = 1000\n"
    slo += "late_p99_ms = 5000\n[machine]\nothers_percent = 1000\nfull_percent = 1000\n"
    (tmp_path / "slo.toml").write_text(slo, "utf-8")
    options = Options(
        residents=90, minutes=20 / 60, crowd=str(HERE / "crowd.toml"), city=str(HERE / "city.toml"), workers=1,
        slo=str(tmp_path / "slo.toml"), report=None, json=str(tmp_path / "run.json"), lead_seconds=12, night=True,
        connections="shared", lines=60, beacon="own",
    )  # fmt: skip
    figures = found(options, "-m", "loadtests.cli.drive", msgspec.json.encode(options).decode())
    checks = {check["name"]: check for check in figures["checks"]}
    assert [name for name, check in checks.items() if not check["ok"]] == []
    for name in ("draw bound", "lots 440106"):
        assert "verified" in checks[name]["detail"] and "missing" not in checks[name]["detail"]
    assert "proofs lead to the root" in checks["listed in the draw"]["detail"]


def test_a_beacon_is_the_own_servers_and_a_city_file_that_names_one_keeps_it(tmp_path: Path) -> None:
    assert "--host" in (problem_of(Options(beacon="own", host="http://127.0.0.1:1")) or "")
    it = OwnBeacon(OPENS_AT)
    try:
        file = it.city_file(HERE / "city.toml", tmp_path / "city.toml")
        with pytest.raises(CannotRehearse, match="names one already"):
            it.city_file(file, tmp_path / "other.toml")
    finally:
        it.stop()
