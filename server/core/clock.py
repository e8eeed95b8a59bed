"""The one clock: the store's TIME moved by the city's offset (`--clock`)."""

import time
from datetime import UTC, date, datetime, timezone, tzinfo
from datetime import time as time_of_day

# Python compares and subtracts two datetimes of one zone by the wall clock, which is an hour off across a clock change.
# So every instant of ours carries the fixed offset that its zone has at that moment, never the zone itself: then all
# arithmetic is right. What makes instants is here, and nowhere else.


def to_ms(t: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime."""
    return round(t.timestamp() * 1000)


def from_ms(ms: int | float, tz: tzinfo = UTC) -> datetime:
    """The instant, to the second, of milliseconds since the epoch, as the clocks of a zone show it."""
    t = datetime.fromtimestamp(int(ms // 1000), tz)
    return t if tz is UTC else _fixed(t)


def in_zone(t: datetime, tz: tzinfo) -> datetime:
    """The same instant as the clocks of a zone show it.

    Raises:
        ValueError: `t` is naive; guessing the machine's zone would open doors at the wrong hour.
    """
    if t.tzinfo is None:
        raise ValueError("expected an aware datetime, got a naive one")
    return _fixed(t.astimezone(tz))


def at(day: date, t: time_of_day, tz: tzinfo) -> datetime:
    """The instant at which the clocks of a zone show this time of this day.

    As in calendars (RFC 5545, 3.3.5): of a time that comes twice it is the first, and one that is skipped is as long
    after the hour before it as it would have been: 02:30 is 03:30 by the new time.
    """
    return in_zone(datetime.combine(day, t, tz).astimezone(UTC), tz)


def _fixed(t: datetime) -> datetime:
    offset = t.utcoffset()
    assert offset is not None  # noqa: S101  (it is aware)
    return t.replace(tzinfo=timezone(offset), fold=0)


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
