"""What a connection to the store has counted, until the metrics take it over."""

from collections import Counter, deque
from typing import Final

_MOST_SAMPLES: Final = 4096


class StoreTallies:
    """Of one connection; commands that have no metrics leave it as it is, so it is bounded.

    Attributes:
        unknown_statuses: answers that nobody knows, by script.
        broken_records: records that cannot be read, by what they are of.
        failures: round trips that were not answered in time, or refused, by script.
        seconds: (script, how long it took) of the latest round trips that were answered.
    """

    def __init__(self) -> None:
        self.unknown_statuses: Counter[str] = Counter()
        self.broken_records: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.seconds: deque[tuple[str, float]] = deque(maxlen=_MOST_SAMPLES)
