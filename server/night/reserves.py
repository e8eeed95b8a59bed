"""A city's reserves as pages tell of them."""

import msgspec

from server.core.city import City
from server.fairness.allotment.reserves import LETTERS


class ReserveView(msgspec.Struct):
    """Doses of every site, in per cent, that go to a group's members first; `letter`: as result files call it."""

    letter: str
    name_zh: str
    name_en: str
    percent: int


def reserves_of(city: City) -> list[ReserveView]:
    """The reserves of the city file, in its order."""
    named = zip(LETTERS, city.reserves, strict=False)
    return [ReserveView(letter, it.name_zh, it.name_en, it.percent) for letter, it in named]
