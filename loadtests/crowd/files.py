"""The files that a server under test must import: the crowd's registry and its sites."""

from __future__ import annotations

import argparse
import csv
from datetime import date
from pathlib import Path

from loadtests.crowd.crowd import Crowd
from loadtests.crowd.crowd_file import DEFAULT_CROWD, CrowdError, load_profile

REGISTRY_COLUMNS = ("id_type", "id_number", "name", "phone", "first_dose_date", "product", "district")
SITES_COLUMNS = ("site", "name_zh", "name_en", "district", "address")


def write_files(crowd: Crowd, folder: Path) -> tuple[Path, Path]:
    """Write `registry.csv` and `sites.csv` (contract "Files") into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    registry, sites = folder / "registry.csv", folder / "sites.csv"
    for path, columns, rows in (
        (registry, REGISTRY_COLUMNS, crowd.registry_rows()),
        (sites, SITES_COLUMNS, crowd.sites_rows()),
    ):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
    return registry, sites


def main() -> None:
    """`python -m loadtests.crowd`: write the files that a server under test must import."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--residents", type=int, default=600_000)
    parser.add_argument("--crowd", default=DEFAULT_CROWD, help="name of a crowd, or its file")
    parser.add_argument("--districts", default="", help="codes with commas; default: those of the crowd")
    parser.add_argument("--day", type=date.fromisoformat, default=date(2021, 6, 19))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        profile = load_profile(options.crowd)
    except CrowdError as error:
        parser.error(f"--crowd: {error}")
    districts = tuple(filter(None, options.districts.split(","))) or profile.come
    crowd = Crowd(options.residents, districts, options.day, options.seed, profile)
    for path in write_files(crowd, options.folder):
        print(path)
