"""The parts of a site's day as pages are told them: their hours, from the city file, and what they are called."""

import msgspec

from server.core.city import City
from server.core.wording import catalogue


class PeriodView(msgspec.Struct):
    """A part of a site's day."""

    opens: str
    closes: str
    name_zh: str
    name_en: str


def periods_of(city: City) -> dict[str, PeriodView]:
    """The periods by their code, in the order of the day; one that the catalogue does not name is called by that."""
    names = catalogue()["period"]
    return {
        code: PeriodView(f"{window.opens:%H:%M}", f"{window.closes:%H:%M}", *names.get(code, (code, code)))
        for code, window in city.period_windows.items()
    }
