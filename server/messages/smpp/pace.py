"""How fast to hand messages over: up to a cap, slower as soon as the SMSC says that it is too fast."""

import random

# What was not used of the pace is made up for later, but not more of it than this.
_BURST_SECONDS = 0.05
# From half the pace back to all of it in ten seconds.
_GAIN_PER_SECOND = 0.05
_LEAST_OF_CAP = 0.01
_LONGEST_HOLD_SECONDS = 30.0


class Pace:
    """Messages a second: a bit more for each one taken, half of it and a pause where the SMSC throttles.

    All times are seconds of one monotonic clock.

    Args:
        most_per_second: the cap.
        hold_s: the pause after a throttling answer; each one in a row doubles it.
    """

    def __init__(self, most_per_second: float, hold_s: float) -> None:
        self.per_second = self._most_per_second = most_per_second
        self._first_hold_s = self._hold_s = hold_s
        self._next = self._held_until = self._cut_at = float("-inf")

    def wait_s(self, now: float) -> float:
        """0: hand one over now, it is counted. Otherwise ask again after so many seconds."""
        wait_s = max(self._held_until, self._next) - now
        if wait_s > 0:
            return wait_s
        self._next = max(self._next, now - _BURST_SECONDS) + 1 / self.per_second
        return 0.0

    def taken(self) -> None:
        """The SMSC has taken a message."""
        gain = _GAIN_PER_SECOND * self._most_per_second / self.per_second
        self.per_second = min(self._most_per_second, self.per_second + gain)
        self._hold_s = self._first_hold_s

    def throttled(self, sent_at: float, now: float) -> bool:
        """The SMSC has throttled a message sent then; whether the pace was cut for it.

        What was sent before the last cut says nothing about the pace since.
        """
        if sent_at <= self._cut_at:
            return False
        self.per_second = max(self._most_per_second * _LEAST_OF_CAP, self.per_second / 2)
        self._cut_at = now
        # Several senders that were throttled together do not come back together.
        self._held_until = now + self._hold_s * random.uniform(0.75, 1.25)  # noqa: S311
        self._hold_s = min(_LONGEST_HOLD_SECONDS, self._hold_s * 2)
        return True
