"""A made-up city of many districts, whose windows open one after the other, and the people who come to each."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from loadtests.crowd.files import REGISTRY_COLUMNS, SITES_COLUMNS
from loadtests.crowd.papers import made_up_name, resident_id_number

DAY = "2021-06-19"
OPENS_AT = datetime.fromisoformat(f"{DAY}T08:00:00+08:00")
DRAW_SECONDS = 3
CLAIM_SECONDS = 15
MAX_ACTIVE = 12
RATE_PER_SECOND = 10.0
PERIODS = ("am", "pm")

_HEAD = f"""name_zh = "风暴市"
name_en = "Stormtown"
timezone = "Asia/Shanghai"
open_hours = {{ opens = 07:30:00, closes = 20:00:00 }}

[policy]
draw_seconds = {DRAW_SECONDS}
claim_seconds = {CLAIM_SECONDS}
pass_seconds = 40
grace_seconds = 10
rate_per_second = {RATE_PER_SECOND}
max_active = {MAX_ACTIVE}
poll_floor_seconds = 1
poll_ceiling_seconds = 5
poll_budget_per_second = 300
no_show_limit = 2
lead_days = 2
"""
_TAIL = """
[[phases]]
name = "phase 1"
rule_zh = "专门面向接种第一剂已超过35天、尚未接种第二剂的居民。"
rule_en = "For residents more than 35 days past their first dose."
starts = 2021-06-19
ends = 2021-06-21
min_days_since_first_dose = 36

[products.inactivated]
name_zh = "灭活疫苗"
name_en = "Inactivated vaccine"
doses = 2
min_interval_days = 21

[products.cho]
name_zh = "重组蛋白疫苗"
name_en = "Recombinant subunit vaccine"
doses = 3
min_interval_days = 28

[products.adenovirus]
name_zh = "腺病毒载体疫苗"
name_en = "Adenovirus vector vaccine"
doses = 1
"""


class Person(NamedTuple):
    """Somebody with valid papers."""

    id_number: str
    name: str
    phone: str

    def join_body(self) -> bytes:
        """Return what they join with."""
        papers = {"id_type": "resident_id", "id_number": self.id_number, "name": self.name, "phone": self.phone}
        return json.dumps(papers).encode()


def code(district: int) -> str:
    """Return the code of the so-manyth district."""
    return f"44{10 + district:04d}"


def opens_at(district: int, cadence_seconds: float) -> datetime:
    """Say when its window opens."""
    return OPENS_AT + timedelta(seconds=round(district * cadence_seconds))


def people(district: int, count: int) -> list[Person]:
    """Return those who come to a district."""
    return [
        Person(
            resident_id_number(
                f"{440100 + district % 90:06d}", f"{1950 + i % 50}{1 + i // 1000:02d}{11 + district // 90}", i % 1000
            ),
            made_up_name(district * 131 + i * 7),
            f"139{district:04d}{i:04d}",
        )
        for i in range(count)
    ]


def write_city(folder: Path, districts: int, cadence_seconds: float, residents: int) -> None:
    """Write `city.toml`, `registry.csv`, `sites.csv` and `capacity.csv` into this folder."""
    parts = [_HEAD]
    for i in range(districts):
        opens = opens_at(i, cadence_seconds).time()
        parts.append(
            f'\n[[districts]]\ncode = "{code(i)}"\nno = {i + 1}\n'
            f'name_zh = "第{i + 1}区"\nname_en = "District {i + 1}"\n'
            f"population = 10_000\nwindow = {{ opens = {opens}, closes = 19:30:00 }}\n"
        )
    (folder / "city.toml").write_text("".join([*parts, _TAIL]), encoding="utf-8")
    _write(folder / "registry.csv", REGISTRY_COLUMNS, _registry(districts, residents))
    sites = ((site(i), f"{i + 1} 接种点", f"site {i + 1}", code(i), f"大道 {i + 1} 号") for i in range(districts))
    _write(folder / "sites.csv", SITES_COLUMNS, sites)
    slots = ((site(i), "2021-06-22", half, "inactivated", "3") for i in range(districts) for half in PERIODS)
    _write(folder / "capacity.csv", ("site", "date", "period", "product", "capacity"), slots)


def site(district: int) -> str:
    """Return the one site of a district."""
    return f"{code(district)}001"


def _registry(districts: int, residents: int) -> Iterator[tuple[str, ...]]:
    for i in range(districts):
        for who in people(i, residents):
            yield "resident_id", who.id_number, who.name, who.phone, "2021-05-01", "inactivated", code(i)


def _write(file: Path, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(rows)
