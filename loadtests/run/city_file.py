"""What the load tests need of a city file, as `jiaohao city --json` says it: checked, with every default filled in."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import time
from pathlib import Path

import msgspec

HOME = Path(__file__).resolve().parents[2]
"""The folder that the server's code is in."""
_PATIENCE_SECONDS = 60


class CityFileError(Exception):
    """The file cannot be used; the message is the server's own, in one line."""


class Window(msgspec.Struct, frozen=True):
    opens: time
    closes: time


class CityDistrict(msgspec.Struct, frozen=True):
    """A district; `rate_per_second` and `max_active`, where set, override the policy."""

    code: str
    name_en: str
    population: int
    windows: tuple[Window, ...]
    rate_per_second: float | None
    max_active: int | None


class Policy(msgspec.Struct, frozen=True):
    rate_per_second: float
    max_active: int
    draw_seconds: int
    claim_seconds: int
    pass_seconds: int
    poll_floor_seconds: int
    poll_ceiling_seconds: int
    poll_budget_per_second: int
    look_budget_per_second: int
    grace_seconds: int


class QuietHours(msgspec.Struct, frozen=True):
    begins: time | None
    ends: time | None


class Sms(msgspec.Struct, frozen=True):
    per_second: int
    quiet_hours: QuietHours
    near_zh: str = ""
    turn_zh: str = ""
    missed_zh: str = ""
    uncalled_zh: str = ""

    def call_words(self) -> dict[str, str]:
        """Return what the messages about calls say, by kind, as the crowd's browsers ask for it."""
        return {"near": self.near_zh, "turn": self.turn_zh, "missed": self.missed_zh, "uncalled": self.uncalled_zh}


class Calls(msgspec.Struct, frozen=True):
    """How residents are called by SMS; a city file of a server without it calls nobody."""

    sms: bool = False
    places_per_opening: int = 0


class CityFile(msgspec.Struct, frozen=True):
    """A city file's keys, of those that the load tests read."""

    name_en: str
    districts: tuple[CityDistrict, ...]
    open_hours: Window
    policy: Policy
    sms: Sms
    calls: Calls = Calls()

    def district(self, code: str) -> CityDistrict | None:
        """Return the district with this code; None where there is none."""
        return next((district for district in self.districts if district.code == code), None)


def read_city(path: Path | None) -> CityFile:
    """Have `jiaohao city` read and check a file; None is the shipped one.

    Raises:
        CityFileError: it cannot be used.
    """
    command = [sys.executable, "-m", "server.cli", "city", "--json"]
    if path is not None:
        command += ["--city", str(path.resolve())]
    # as for the own server: a production city that happens to be set in this shell is none of ours
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JIAOHAO_")}
    done = subprocess.run(
        command, cwd=HOME, env=environment, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False,
        encoding="utf-8",
    )  # fmt: skip
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["it said nothing"]
        raise CityFileError(words[-1].removeprefix("jiaohao: "))
    return msgspec.json.decode(done.stdout, type=CityFile)
