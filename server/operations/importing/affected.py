"""Who is affected by what `--replace` takes away: appointments at sites that go, and wishes for them."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, timedelta

import msgspec

from server.appointments.appointments import Appointments
from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.keys import day_tag
from server.night.waiting_list import WaitingList
from server.operations.importing.capacity import DaySlot, remove_slots
from server.store.connection import Connection


class AtSites(msgspec.Struct):
    """What hangs on sites that go: appointments from today on (site, date -> how many), how many of those who wait
    wish for one of them, how many of these for no other site; and the slots that are offered no longer."""

    appointments: Counter[tuple[str, date]] = msgspec.field(default_factory=Counter)
    wish: int = 0
    wish_no_other: list[str] = msgspec.field(default_factory=list)
    slots: list[DaySlot] = msgspec.field(default_factory=list)


async def at_sites(
    connection: Connection, city: City, appointments: Appointments, going: Sequence[Site], today: date
) -> AtSites:
    """Look up what hangs on these sites; changes nothing."""
    found = AtSites()
    days = [today + timedelta(days=n) for n in range(city.imports.capacity_days_ahead + 1)]
    for district in city.districts:
        code = district.code
        here = {site.site for site in going if site.district == code}
        fresh = {site.site for site in going if site.district == code and not site.removed}  # of the others it is known
        if not here:
            continue
        tags = [day_tag(code, day) for day in days]
        for day, tag, used in zip(days, tags, await SlotStore(connection).used(tags), strict=True):
            taken = 0
            for (site, period, product), (_, given) in used.items():
                if site in here:
                    found.slots.append(DaySlot(code, site, day, period, product))
                if site in fresh:
                    taken += given
            if taken:
                for line in await SlotStore(connection).roster(tag):
                    if line.site in fresh:
                        found.appointments[line.site, day] += 1
        async for page in WaitingList(city, connection, appointments).foreseen(district, today):
            for waiting in page:
                wanted = {site for site, _ in waiting.wishes}
                if wanted & fresh:
                    found.wish += 1
                    if not waiting.any_site and wanted <= here:
                        found.wish_no_other.append(waiting.no)
    return found


async def remove_sites(connection: Connection, going: Collection[Site], slots: Sequence[DaySlot]) -> None:
    """Nobody can wish for these sites any more, and nothing more of them is given. Appointments stay, so do the sites'
    names; done again, it comes to the same."""
    for site in going:
        gone = msgspec.structs.replace(site, removed=True)
        await SlotStore(connection).keep_sites(site.district, {site.site: msgspec.json.encode(gone)})
    await remove_slots(connection, slots)
