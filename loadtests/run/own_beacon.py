"""A beacon for a rehearsal alone: a relay on this machine, and the city file that names it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path

from loadtests.run.city_file import HOME
from loadtests.run.options import CannotRehearse

_DAY_S = 86_400
_WAIT_SECONDS = 20


def problem_of_beacon() -> str | None:
    """Say why this Python can have no beacon of its own; None where it can."""
    if importlib.util.find_spec("py_arkworks_bls12381") is None:
        return "--beacon: what signs its rounds is not installed: pip install 'jiaohao[test]'"
    if importlib.util.find_spec("drand_verify") is None:
        return "--beacon: they are verified with drand-verify, which there is up to Python 3.12"
    return None


class OwnBeacon:
    """A network of drand's kind with one member, whose key was made for it.

    Args:
        opens_at: of the first opening, in the city's time: its rounds are due from a day before.
        silent: its relay takes requests and never answers.

    Attributes:
        chain: its name, as a city file has it.
        url: of its relay.
    """

    def __init__(self, opens_at: datetime, *, silent: bool = False) -> None:
        command = [sys.executable, "-m", "loadtests.run.beacon_relay", str(int(opens_at.timestamp()) - _DAY_S)]
        # it ends with its standard input, whatever becomes of us
        self._process = subprocess.Popen(
            [*command, *(["--silent"] if silent else [])], cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None  # noqa: S101 (for the type checker)
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise CannotRehearse("--beacon: its relay did not start")
        told = json.loads(line)
        self.chain, self.url = str(told["chain"]), str(told["url"])

    @property
    def table(self) -> str:
        """Return what names it in a city file."""
        waits = "ask_seconds = 1.0\ndeadline_seconds = 4.0"
        return f'\n[beacon]\nchain = "{self.chain}"\nrelays = ["{self.url}"]\n{waits}\n'

    def city_file(self, city: Path | None, file: Path) -> Path:
        """Write a city file, or the shipped one, that names this beacon.

        Raises:
            CannotRehearse: it names one already.
        """
        text = city.read_text("utf-8") if city is not None else _shipped()
        if "beacon" in tomllib.loads(text):
            raise CannotRehearse("--beacon: the city file names one already")
        file.write_text(text.rstrip("\n") + "\n" + self.table, "utf-8")
        return file

    def stop(self) -> None:
        """End it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _shipped() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "city"], cwd=HOME, capture_output=True, text=True, check=True,
        encoding="utf-8", timeout=_WAIT_SECONDS,
    )  # fmt: skip
    return done.stdout
