"""The reserves of a city file: doses of every site that go to the members of named groups first."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import Annotated, Literal

import msgspec

from server.core.values import Code, Text

MOST_RESERVES = 8
_ALL_PERCENT = 100


class Reserve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many percent of every site's doses are for its members first; what they do not want goes to everybody.

    A member is who is ``min_age`` or older on the night's date, by the birth date in their ID number, and whoever has
    one of the ``groups`` in the registry's column `groups`. ``order`` among the members: the night's (`first-dose`),
    or by `lot`.
    """

    name_zh: Text
    name_en: Text
    percent: Annotated[int, msgspec.Meta(ge=1, le=_ALL_PERCENT)]
    min_age: Annotated[int, msgspec.Meta(ge=1, le=120)] | None = None
    groups: tuple[Code, ...] = ()
    order: Literal["first-dose", "lot"] = "first-dose"

    def has(self, born: date | None, groups: Collection[str], day: date) -> bool:
        """Whether somebody is a member on a day. Of whom no birth date is known, no age is."""
        is_of_age = self.min_age is not None and born is not None and age_on(born, day) >= self.min_age
        return is_of_age or not set(groups).isdisjoint(self.groups)


def ask_ages(reserves: Sequence[Reserve]) -> bool:
    """Whether anybody's birth date matters; else none is kept."""
    return any(reserve.min_age is not None for reserve in reserves)


def groups_asked(reserves: Sequence[Reserve]) -> list[str]:
    """The groups that matter, each once, by name."""
    return sorted({group for reserve in reserves for group in reserve.groups})


def age_on(born: date, day: date) -> int:
    """Full years; who is born on 29 February has their birthday on 1 March in the years without one."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def memberships(reserves: Sequence[Reserve], born: date | None, groups: Collection[str], day: date) -> int:
    """Of which reserves somebody is a member on a day, as bits: bit 0 is the first of the file."""
    return sum(1 << bit for bit, reserve in enumerate(reserves) if reserve.has(born, groups, day))


def problems_of_reserves(reserves: Sequence[Reserve]) -> Iterator[str]:
    """What a city's reserves must not be, each as "reserves[N].key: expected ..."."""
    if len(reserves) > MOST_RESERVES:
        yield f"reserves: expected {MOST_RESERVES} at most, got {len(reserves)}"
    total = 0
    for i, reserve in enumerate(reserves):
        total += reserve.percent
        if reserve.min_age is None and not reserve.groups:
            yield f"reserves[{i}]: expected min_age or groups, so that it has members"
        if total > _ALL_PERCENT:
            yield f"reserves[{i}].percent: expected no more than {_ALL_PERCENT} in all reserves together, got {total}"
