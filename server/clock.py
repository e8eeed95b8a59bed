"""The one clock: the store's TIME moved by the city's offset (`--clock`)."""

import time
from datetime import UTC, datetime, tzinfo


def to_ms(t: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime."""
    return round(t.timestamp() * 1000)


def from_ms(ms: int | float, tz: tzinfo = UTC) -> datetime:
    """The aware datetime, to the second, of milliseconds since the epoch."""
    return datetime.fromtimestamp(int(ms // 1000), tz)


class Clock:
    """City time in a worker, kept in step with the store so that all machines agree.

    Args:
        offset_ms: city time minus wall-clock time; 0 unless `--clock` was given.
    """

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms
        # Between two looks at the store the monotonic clock carries on: a
        # stepped wall clock must not close a draw early.
        self._base_ms = time.time() * 1000 + offset_ms - time.monotonic() * 1000

    def now_ms(self) -> int:
        """City time in milliseconds since the epoch."""
        return int(self._base_ms + time.monotonic() * 1000)

    def follow(self, store_now_ms: int) -> None:
        """Take over the city time that a script of the store just reported."""
        self._base_ms = store_now_ms - time.monotonic() * 1000
