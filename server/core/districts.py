"""The districts of a city: their codes, numbers and daily windows, and what a file may say of them."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from server.core.policy import Policy
from server.core.values import Code, NotNegative, Positive, Rate, Text
from server.core.windows import Window, problems_of_windows


class District(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A district. ``no`` is its two digits in registration numbers; without a window nobody can join there.

    ``windows`` are in the order of the day, each with an opening of its own; the file may also say ``window`` where
    there is one. ``rate_per_second`` (calls) and ``max_active`` (passes alive), where set, override the policy.
    """

    code: Code
    no: Annotated[int, msgspec.Meta(ge=1, le=99)]
    name_zh: Text
    name_en: Text
    population: NotNegative = 0
    only_window: Window | None = msgspec.field(default=None, name="window")
    windows: tuple[Window, ...] = ()
    rate_per_second: Rate | None = None
    max_active: Positive | None = None

    def __post_init__(self) -> None:
        if self.only_window is None:
            return
        if self.windows not in ((), (self.only_window,)):
            raise ValueError("expected window or windows, got both")
        msgspec.structs.force_setattr(self, "windows", (self.only_window,))


def problems_of_districts(districts: Sequence[District], open_hours: Window, policy: Policy) -> Iterator[str]:
    """What a city's districts must not be, each as "districts[N].key: expected ..."."""
    codes: set[str] = set()
    numbers: set[int] = set()
    for index, district in enumerate(districts):
        key = f"districts[{index}]"
        if district.code in codes:
            yield f"{key}.code: expected a code of its own, got `{district.code}` again"
        if district.no in numbers:
            yield f"{key}.no: expected a number of its own, got {district.no} again"
        codes.add(district.code)
        numbers.add(district.no)
        where = f"{key}.windows{{}}" if district.only_window is None else f"{key}.window"
        yield from problems_of_windows(where, district.windows, open_hours, policy.draw_seconds, policy.grace_seconds)
