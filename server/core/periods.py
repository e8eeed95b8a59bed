"""The periods of a site's day, in which appointments are: the city file's table `[periods]`."""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import time
from typing import Annotated, Final

import msgspec

from server.core.windows import Window
from server.core.wording import catalogue

_CODE: Final = "[a-z][a-z0-9_-]{0,11}"
PeriodCode = Annotated[str, msgspec.Meta(pattern=f"^{_CODE}$")]
"""What a period is called in the city file, in imported files, over HTTP and in the store."""

ANY: Final = "any"
"""What a resident wishes to whom every period is the same."""

MORNING_AND_AFTERNOON: Final = ("am", "pm")
"""The periods of a city whose file names no other ones."""


class Period(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the appointments of a period begin and end, and what it is called."""

    opens: time
    closes: time
    name_zh: str = ""
    name_en: str = ""

    @property
    def hours(self) -> Window:
        """From when to when."""
        return Window(self.opens, self.closes)


_EVERY_CITY: Final = {
    "am": Period(time(8, 30), time(12)),
    "pm": Period(time(14), time(17)),
}


def day_periods(in_file: Mapping[str, Period]) -> dict[str, Period]:
    """The periods of a city by their codes, in the order of the day: those of its file, and `am` and `pm` in any case.

    What the file does not name is called as the catalogue of words does.
    """
    names_zh, names_en = (catalogue(language)["period"] for language in ("zh", "en"))
    found = {}
    for code, it in (_EVERY_CITY | dict(in_file)).items():
        zh, en = it.name_zh or names_zh.get(code, ""), it.name_en or names_en.get(code, "")
        found[code] = msgspec.structs.replace(it, name_zh=zh, name_en=en)
    return dict(sorted(found.items(), key=lambda item: item[1].opens))


def in_words(codes: Collection[str]) -> str:
    """The codes, one of which is expected: "am or pm"."""
    *others, last = codes
    return f"{', '.join(others)} or {last}" if others else last


def problems_of_periods(periods: Mapping[str, Period]) -> Iterator[str]:
    """What a city's periods must not be, each as "periods.CODE...: expected ..."."""
    before: tuple[str, Period] | None = None
    codes = list(periods)
    if codes.index("pm") < codes.index("am"):
        yield "periods.pm.opens: expected a time not before periods.am.closes"
    for code, period in periods.items():
        if not re.fullmatch(_CODE, code):
            yield f"periods: expected codes of small letters and digits, up to 12, got `{code}`"
        if code == ANY:
            yield f"periods.{ANY}: expected another code, as residents who wish for {ANY} mean every period"
        for name, value in (("name_zh", period.name_zh), ("name_en", period.name_en)):
            if not value:
                yield f"periods.{code}.{name}: expected a value, got none"
        if period.opens >= period.closes:
            yield f"periods.{code}: expected opens before closes"
        if before is not None and period.opens < before[1].closes:
            yield f"periods.{code}.opens: expected a time not before periods.{before[0]}.closes"
        before = code, period
