"""The phases of a city: who may register from when to when, and what a file may say of them."""

from collections.abc import Iterator, Sequence
from datetime import date

import msgspec

from server.core.values import NotNegative, Text


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may register from ``starts`` to ``ends``, both inclusive; ``ends`` None is an open end (A1-A4)."""

    name: Text
    rule_zh: Text
    rule_en: Text
    starts: date
    ends: date | None = None
    min_days_since_first_dose: NotNegative = 0
    first_doses: bool = False
    priority_first_dose_before: date | None = None

    def __contains__(self, day: date) -> bool:
        return self.starts <= day and (self.ends is None or day <= self.ends)


def problems_of_phases(phases: Sequence[Phase]) -> Iterator[str]:
    """What a city's phases must not be, each as "phases[N].key: expected ..."."""
    last_end = date.min
    for index, phase in enumerate(phases):
        key = f"phases[{index}]"
        if phase.ends is not None and phase.ends < phase.starts:
            yield f"{key}.ends: expected a day not before starts"
        if index and phase.starts <= last_end:
            yield f"{key}.starts: expected a day after the end of the phase before it"
        last_end = phase.ends or date.max
