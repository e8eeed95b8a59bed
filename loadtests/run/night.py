"""The night after a run: a capacity is imported, the night is held, messages are sent, and all three are audited."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from loadtests.audit.evidence import Check
from loadtests.audit.night_checks import audit_night, messages_single
from loadtests.audit.night_store import Message, NightTruth, read_night, sent_messages
from loadtests.audit.truth import connect
from loadtests.resident.run_opening import RunOpening
from loadtests.run.city_file import HOME

_CAPACITY_COLUMNS = ("site", "date", "period", "product", "capacity")
_NIGHT_AT = "20:30:00"
_MESSAGES_SECONDS = 30.0


class NoNight(Exception):
    """The night could not be held; the message is its last words."""


def hold_night(
    data_dir: Path,
    openings: Iterable[RunOpening],
    city: Path | None = None,
    per_slot: int = 2,
    beacon: str | None = None,
) -> list[Check]:
    """Import a capacity, hold the night of the openings' day, wait for its messages, and audit all three.

    For a server of our own, when the crowd is gone: the store's clock, which the night goes by, is put forward to the
    evening, while the server's own stays where it is.

    Args:
        data_dir: of the running `jiaohao up`.
        openings: of the run.
        city: the city file in force.
        per_slot: doses of each product at each site in each half of a day, of one day: fewer than are asked for, so
            that the order of the night decides.
        beacon: what is known of the relays (`Options.beacon`).

    Raises:
        NoNight: a command failed.
    """
    openings = list(openings)
    common = ["--data-dir", str(data_dir), *(["--city", str(city)] if city is not None else [])]
    rows = [row for opening in openings for row in _capacity_rows(opening, per_slot)]
    file = data_dir / "capacity.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([_CAPACITY_COLUMNS, *rows])
    _run("import", "capacity", str(file), *common)
    client, day = connect((data_dir / "store.url").read_text().strip()), openings[0].date
    evening = datetime.fromisoformat(f"{day}T{_NIGHT_AT}").replace(tzinfo=openings[0].opens_at.tzinfo)
    client.set("clock:{clock}", round((evening.timestamp() - time.time()) * 1000))
    _run("night", "--date", day, "--results", str(data_dir / "results"), *common)
    nights = [night for opening in openings if (night := read_night(client, opening.district, day)) is not None]
    if len(nights) < len(openings):
        raise NoNight("the night has not come to its end")
    messages = sent_messages(data_dir / "sms.jsonl")
    deadline = time.monotonic() + _MESSAGES_SECONDS
    while time.monotonic() < deadline and any(not check.ok for check in _of_messages(nights, messages)):
        time.sleep(1)
        messages = sent_messages(data_dir / "sms.jsonl")
    return [check for night in nights for check in audit_night(night, messages, beacon)]


def _of_messages(nights: list[NightTruth], messages: Sequence[Message]) -> list[Check]:
    return [messages_single(night, messages) for night in nights]


def _capacity_rows(opening: RunOpening, per_slot: int) -> Iterator[tuple[str, ...]]:
    day = (date.fromisoformat(opening.date) + timedelta(days=3)).isoformat()
    for site in opening.sites:
        for period in ("am", "pm"):
            for product in ("inactivated", "cho"):
                yield site, day, period, product, str(per_slot)


def _run(*command: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")}
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", *command], env=env, cwd=HOME,
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    if done.returncode:
        words = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise NoNight(f"jiaohao {' '.join(command[:2])} failed: {words}")
