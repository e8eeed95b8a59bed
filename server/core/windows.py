"""The windows of a district: daily hours, each with an opening of its own, and what a city file may say of them."""

from collections.abc import Iterator, Sequence
from datetime import time, timedelta

import msgspec

from server.core.keys import MOST_WINDOWS


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of a day in the city's time, half-open: ``opens <= t < closes`` (announcement A6)."""

    opens: time
    closes: time

    def __contains__(self, t: time) -> bool:
        return self.opens <= t < self.closes

    @property
    def seconds(self) -> float:
        """How long it is, on a day without a clock change."""
        return (_since_midnight(self.closes) - _since_midnight(self.opens)).total_seconds()


def problems_of_windows(
    key: str, windows: Sequence[Window], open_hours: Window, draw_seconds: int, grace_seconds: int
) -> Iterator[str]:
    """What a district's windows must not be, each as "key: expected ...".

    Args:
        key: where they stand in the file; `{}` in it is for the index.
        windows: in the file's order.
        open_hours: when residents can log in.
        draw_seconds: an opening must be longer.
        grace_seconds: the passes of an opening outlive it so long, and must be gone before the next begins.
    """
    if len(windows) > MOST_WINDOWS:
        yield f"{key.format('')}: expected at most {MOST_WINDOWS} windows a day"
    for i, window in enumerate(windows):
        here = key.format(f"[{i}]")
        if window.opens >= window.closes:
            yield f"{here}: expected opens before closes"
        if window.opens < open_hours.opens or window.closes > open_hours.closes:
            yield f"{here}: expected hours inside open_hours"
        if draw_seconds >= window.seconds:
            yield f"{here}: expected a window longer than policy.draw_seconds"
        if i and Window(windows[i - 1].closes, window.opens).seconds <= grace_seconds:
            yield (
                f"{here}.opens: expected a time more than policy.grace_seconds ({grace_seconds}) after the window "
                "before it closes, so that its last passes are gone"
            )


def _since_midnight(t: time) -> timedelta:
    return timedelta(hours=t.hour, minutes=t.minute, seconds=t.second, microseconds=t.microsecond)
