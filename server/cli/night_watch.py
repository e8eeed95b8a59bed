"""Runs the nights by the city's clock, for `jiaohao up`."""

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from datetime import date
from types import TracebackType

import structlog

from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import Refusal, SetupError
from server.core.settings import Settings
from server.night.status import is_owed
from server.store.setup import open_store

log = structlog.get_logger()

_LOOK_SECONDS = 3.0
_AGAIN_SECONDS = 10.0


class NightWatch(AbstractContextManager[None]):
    """From `with` to its end: each night is run in a process of its own, and again where it was killed.

    A night that nobody prepared for (this city was not served on its day) is left to the next one.

    Args:
        settings: with a folder for the results.
        city: its hours.
    """

    def __init__(self, settings: Settings, city: City) -> None:
        self._settings = settings
        self._city = city
        self._clock = Clock(settings.offset_ms)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="night watch", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            now = from_ms(self._clock.now_ms(), self._city.tz)
            day = self._city.latest_night(now)
            try:
                if now < self._city.night_ends(day) and asyncio.run(self._is_owed(day)) and not self._run(day):
                    self._stopping.wait(_AGAIN_SECONDS)
            except (Refusal, SetupError, OSError) as error:
                log.warning("the night cannot begin", error=type(error).__name__)

    async def _is_owed(self, day: date) -> bool:
        connection = await open_store(self._settings)
        try:
            return await is_owed(self._city, connection, day)
        finally:
            await connection.close()

    def _run(self, day: date) -> bool:
        command = [sys.executable, "-m", "server.cli", "night", "--date", day.isoformat(), "--patience", "60"]
        self._process = subprocess.Popen(command, env=os.environ | self._settings.environment())  # noqa: S603
        code = self._process.wait()
        if code != 0 and not self._stopping.is_set():
            log.error("the night did not come to its end, and is run again", date=day.isoformat(), exit_code=code)
        return code == 0
