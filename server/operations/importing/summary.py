"""What an import found, in lines for the terminal."""

from collections.abc import Iterator, Mapping
from datetime import tzinfo

from server.core.city import City
from server.core.clock import from_ms
from server.operations.importing.capacity import CapacityFound
from server.operations.importing.last import LastImport
from server.operations.importing.registry import RegistryFound
from server.operations.importing.sites import SitesFound


def of_registry(city: City, found: RegistryFound, last: LastImport | None) -> Iterator[str]:
    """Rows and residents, against the store; then a table by district and product, against the last import."""
    rows = found.outcome.kept + found.outcome.bad
    yield (
        f"{rows:,} rows: {found.count:,} residents, {found.residents.duplicates:,} duplicates, "
        f"{found.outcome.bad:,} bad rows"
    )
    same = found.count - found.new - found.changed
    yield f"{found.new:,} are new, {found.changed:,} changed since last time, {same:,} as before"
    if found.days:
        day, most = found.days.most_common(1)[0]
        share = 100 * most / found.count
        yield f"first doses from {min(found.days)} to {max(found.days)}; most on one day: {share:.1f} % on {day}"
    yield _heading("residents", last, city.tz)
    for district in city.districts:
        if counts := _counts(found.districts, last.districts if last else {}, district.code):
            now, before = counts
            yield f"  {district.code:<12} {district.name_en:<14}{now:>12,}{before:>14}{district.population:>14,}"
    for product in city.products:
        if counts := _counts(found.products, last.products if last else {}, product):
            yield f"  {product:<27}{counts[0]:>12,}{counts[1]:>14}"


def of_sites(found: SitesFound) -> Iterator[str]:
    """Sites against those in the store."""
    same = len(found.sites) - found.new - found.changed
    yield (
        f"{len(found.sites):,} sites, {found.duplicates:,} duplicates: "
        f"{found.new:,} are new, {found.changed:,} changed, {same:,} as before"
    )


def of_capacity(city: City, found: CapacityFound, last: LastImport | None) -> Iterator[str]:
    """Slots and doses, against those in the store for the same days; then by district, against the last import."""
    if not found.slots:
        return
    same = len(found.slots) - found.new - found.changed
    yield (
        f"{len(found.slots):,} slots, {found.duplicates:,} duplicates: "
        f"{found.new:,} are new, {found.changed:,} changed, {same:,} as before"
    )
    doses, before = sum(found.slots.values()), sum(found.before.values())
    yield (
        f"{doses:,} doses on {len(found.days)} days from {found.days[0]} to {found.days[-1]}, "
        f"where the store has {before:,}"
    )
    yield _heading("slots", last, city.tz)
    now: dict[str, int] = {}
    for slot in found.slots:
        now[slot.district] = now.get(slot.district, 0) + 1
    for district in city.districts:
        if counts := _counts(now, last.districts if last else {}, district.code):
            yield f"  {district.code:<12} {district.name_en:<14}{counts[0]:>12,}{counts[1]:>14}"


def _heading(what: str, last: LastImport | None, tz: tzinfo) -> str:
    before = f"last import {from_ms(last.at_ms, tz):%Y-%m-%d %H:%M}" if last else "no import before"
    population = f"{'population':>14}" if what == "residents" else ""
    return f"  {'':<27}{what:>12}{'before':>14}{population}   ({before})"


def _counts(now: Mapping[str, int], before: Mapping[str, int], name: str) -> tuple[int, str] | None:
    """(now, before), None where both are nothing."""
    if not now.get(name) and not before.get(name):
        return None
    return now.get(name, 0), f"{before[name]:,}" if name in before else "-"
