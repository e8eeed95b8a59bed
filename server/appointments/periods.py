"""The parts of a site's day as pages are told them: their hours, from the city file, and their names."""

import msgspec

from server.core.city import City


class PeriodView(msgspec.Struct):
    """A part of a site's day."""

    opens: str
    closes: str
    name_zh: str
    name_en: str


def periods_of(city: City) -> dict[str, PeriodView]:
    """The periods by their code, in the order of the day."""
    return {
        code: PeriodView(f"{it.opens:%H:%M}", f"{it.closes:%H:%M}", it.name_zh, it.name_en)
        for code, it in city.periods.items()
    }
