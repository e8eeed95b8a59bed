"""What an import found, in lines for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Final

from server.appointments.corrections import Counts
from server.core.city import City
from server.core.clock import from_ms
from server.operations.importing.affected import AtSites
from server.operations.importing.capacity import CapacityFound, DaySlot, Lowered
from server.operations.importing.last import LastImport
from server.operations.importing.registry import Going, RegistryFound
from server.operations.importing.sites import SitesFound
from server.operations.importing.steps import FileScope

_MOST_TOLD: Final = 10


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


def of_missing_residents(
    found: RegistryFound, last: LastImport | None, going: Going | None, *, partial: bool
) -> Iterator[str]:
    """Who is not in the file: what goes with them, or about how many stay."""
    if going is not None:
        yield from _going(going)
    elif last is not None and (staying := last.count - (found.count - found.new)) > 0 and not partial:
        yield f"about {staying:,} residents of the registry are not in the file and stay (--replace takes them away)"


def of_followers(counts: Counts) -> Iterator[str]:
    """Open registrations that have followed their residents' lines."""
    if changed := counts.corrected + counts.closed:
        late = f" ({counts.late:,} with an appointment too near to cancel stay)" if counts.late else ""
        yield (f"{changed:,} open registrations follow: {counts.corrected:,} corrected, {counts.closed:,} closed{late}")


def of_missing_sites(found: SitesFound, affected: AtSites, scope: FileScope) -> Iterator[str]:
    """Sites that are not in the file: what hangs on them where they go, or how many stay."""
    if scope.replace and found.going():
        yield from _hanging(len(found.missing), affected)
    elif found.missing and not scope.partial:
        yield f"{len(found.missing):,} sites are not in the file and stay (--replace takes them away)"


def of_missing_slots(found: CapacityFound, missing: Sequence[DaySlot], scope: FileScope) -> Iterator[str]:
    """Slots of the file's days that are not in it."""
    if missing and not scope.partial:
        given = sum(found.given.get(slot, 0) for slot in missing)
        told = f"{len(missing):,} slots of these days are not in the file and "
        yield told + (f"go; {given:,} doses of them have been given and stay" if scope.replace else "stay")


def kept(kept: int, what: str, bad: int, removed: int) -> str:
    """What the import has done, in the end."""
    told = f"{kept} {what} kept"
    told += f", {bad} bad rows left out" if bad else ""
    return told + (f", {removed} removed" if removed else "")


def of_lowered(lowered: Sequence[Lowered]) -> Iterator[str]:
    """Where more has been given than there is now: nobody loses theirs, but the site must know."""
    for it in lowered[:_MOST_TOLD]:
        slot = f"{it.site} {it.date} {it.period} {it.product}"
        yield f"warning: {slot}: capacity {it.capacity}, but {it.taken} have been given and stay"
    if len(lowered) > _MOST_TOLD:
        yield f"... and {len(lowered) - _MOST_TOLD} more slots"


def _going(going: Going) -> list[str]:
    lines = [f"{going.lines:,} of {going.of:,} lines of the registry are not in the file and go"]
    booked = [it for it in going.registrations if it[1] == "booked"]
    if going.registrations:
        lines.append(
            f"{len(going.registrations):,} of these residents have open registrations, {len(booked):,} with an "
            "appointment; they are closed and told:"
        )
        for no, state, day in sorted(going.registrations)[:_MOST_TOLD]:
            lines.append(f"  {no} {state}{f' for {day}' if day else ''}")
        if len(going.registrations) > _MOST_TOLD:
            lines.append(f"  ... and {len(going.registrations) - _MOST_TOLD:,} more")
    return lines


def _hanging(missing: int, found: AtSites) -> list[str]:
    offered = len(found.slots)
    lines = [f"{missing:,} sites are not in the file and go, with {offered:,} slots from today on"]
    if found.appointments:
        lines.append("appointments there stay; to have them allotted anew, close the site on /staff for the day:")
        at = sorted(found.appointments.items())
        lines += [f"  {site} {day}: {count:,}" for (site, day), count in at[:_MOST_TOLD]]
        if len(at) > _MOST_TOLD:
            lines.append(f"  ... and {len(at) - _MOST_TOLD:,} more")
    if found.wish:
        told = f"{found.wish:,} who wait wish for one of them"
        if found.wish_no_other:
            numbers = ", ".join(sorted(found.wish_no_other)[:_MOST_TOLD])
            more = len(found.wish_no_other) - _MOST_TOLD
            told += f", {len(found.wish_no_other):,} for no other site: {numbers}"
            told += f" and {more:,} more" if more > 0 else ""
        lines.append(told)
    return lines


def _heading(what: str, last: LastImport | None, tz: tzinfo) -> str:
    before = f"last import {from_ms(last.at_ms, tz):%Y-%m-%d %H:%M}" if last else "no import before"
    population = f"{'population':>14}" if what == "residents" else ""
    return f"  {'':<27}{what:>12}{'before':>14}{population}   ({before})"


def _counts(now: Mapping[str, int], before: Mapping[str, int], name: str) -> tuple[int, str] | None:
    """(now, before), None where both are nothing."""
    if not now.get(name) and not before.get(name):
        return None
    return now.get(name, 0), f"{before[name]:,}" if name in before else "-"
