"""Whether a file can be what it is said to be: what is in it, against the last import and the city. Each doubt is a
line."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from server.core.city import City
from server.operations.importing.capacity import CapacityFound
from server.operations.importing.last import LastImport
from server.operations.importing.registry import Going, RegistryFound
from server.operations.importing.sites import SitesFound

_FEW_SITES: Final = 10
"""Of fewer sites than these it says nothing that a third of them are gone."""


def doubts_of_registry(
    city: City, found: RegistryFound, last: LastImport | None, going: Going | None, *, partial: bool = False
) -> list[str]:
    """What is not plausible in a file of the registry; `partial`: it does not claim to be the whole of it."""
    if not found.count:
        return ["no residents at all"]
    doubts = list(_crowded_districts(city, found.districts))
    rules = city.imports
    if not partial and found.count >= rules.judged_from_rows:
        doubts += _missing_districts(city, found.districts, last)
        day, most = found.days.most_common(1)[0]
        if _percent(most, found.count) > rules.one_day_percent:
            doubts.append(f"{_percent(most, found.count):g} % of the first doses are on one day, {day}")
    if not partial and last is not None:
        doubts += _fewer(city, found.count, found.districts, last, "residents")
        for product, before in last.products.items():
            now = found.products[product]
            if before >= rules.judged_from_rows and _lost(now, before) > rules.fewer_percent:
                doubts.append(f"{product}: {_against(now, before)}")
    known = found.count - found.new
    if known >= rules.judged_from_rows and _percent(found.changed, known) > rules.changed_percent:
        doubts.append(f"{_percent(found.changed, known):g} % of the residents who are known say otherwise than before")
    if going is not None and going.of >= rules.judged_from_rows:
        if (share := _percent(going.lines, going.of)) > rules.fewer_percent:
            doubts.append(f"{going.lines:,} lines, {share:g} % of the registry, go")
    return doubts


def names_rule(city: City) -> str:
    """By which rule names are compared, to be told apart from another."""
    return msgspec.json.encode(city.papers.same_name).decode()


def doubts_of_sites(city: City, found: SitesFound, *, replace: bool) -> list[str]:
    """What is not plausible in a file of sites."""
    if not found.sites:
        return ["no sites at all"]
    doubts: list[str] = []
    if not replace:
        return doubts
    before, gone = len(found.before), len(found.missing)
    if before >= _FEW_SITES and _percent(gone, before) > city.imports.fewer_percent:
        doubts.append(f"{gone:,} of {before:,} sites go")
    left = {site.district for site in found.sites.values()}
    for district in city.districts:
        if district.code not in left and any(site.district == district.code for site in found.before.values()):
            doubts.append(f"{district.code} {district.name_en}: all its sites go")
    return doubts


def doubts_of_capacity(
    city: City, found: CapacityFound, last: LastImport | None, *, replace: bool = False, partial: bool = False
) -> list[str]:
    """What is not plausible in a file of capacities."""
    if not found.slots:
        return ["no slots at all"]
    doubts: list[str] = []
    rules, most = city.imports, city.imports.capacity_fewer_percent
    if last is not None and last.count >= rules.judged_from_rows and not partial:
        days, before_days = len(found.days), max(1, last.days)
        slots, doses = len(found.slots) // days, sum(found.slots.values()) // days
        if _lost(slots, last.count // before_days) > most:
            doubts.append(f"slots a day: {_against(slots, last.count // before_days)}")
        elif _lost(doses, last.doses // before_days) > most:
            doubts.append(f"doses a day: {_against(doses, last.doses // before_days)}")
        named = {slot.district for slot in found.slots}
        doubts += [
            f"{_name(city, code)}: no slots, though it had {before:,}"
            for code, before in last.districts.items()
            if before and code not in named
        ]
    if len(found.before) >= rules.judged_from_rows:
        before = sum(found.before.values())
        staying = 0 if replace else sum(found.before[slot] for slot in found.missing())
        after = sum(found.slots.values()) + staying
        if _lost(after, before) > most:
            doubts.append(
                f"doses of these days: {after:,}, {_lost(after, before):g} % fewer than the {before:,} in the store"
            )
    return doubts


def _crowded_districts(city: City, counts: Mapping[str, int]) -> Iterator[str]:
    for district in city.districts:
        if district.population and counts.get(district.code, 0) > district.population:
            yield (
                f"{district.code} {district.name_en}: {counts[district.code]:,} residents, more than its population of "
                f"{district.population:,}"
            )


def _missing_districts(city: City, counts: Mapping[str, int], last: LastImport | None) -> Iterator[str]:
    for district in city.districts:
        was_missing = last is not None and not last.districts.get(district.code)
        if district.windows and district.population and not counts.get(district.code) and not was_missing:
            yield f"{district.code} {district.name_en}: no residents"


def _fewer(city: City, count: int, districts: Mapping[str, int], last: LastImport, what: str) -> Iterator[str]:
    """In all; or else in a district."""
    rules = city.imports
    if last.count >= rules.judged_from_rows and _lost(count, last.count) > rules.fewer_percent:
        yield f"{count:,} {what}: {_against(count, last.count)}"
        return
    for code, before in last.districts.items():
        now = districts.get(code, 0)
        if before >= rules.judged_from_rows and now and _lost(now, before) > rules.fewer_percent:
            yield f"{_name(city, code)}: {_against(now, before)}"


def _against(now: int, before: int) -> str:
    return f"{_lost(now, before):g} % fewer than the {before:,} of the last import"


def _name(city: City, code: str) -> str:
    district = city.district(code)
    return f"{code} {district.name_en}" if district else code


def _percent(part: int, whole: int) -> float:
    """To one place, never rounded down to a bound."""
    return -(-1000 * part // whole) / 10 if whole else 0.0


def _lost(now: int, before: int) -> float:
    return _percent(max(0, before - now), before)
