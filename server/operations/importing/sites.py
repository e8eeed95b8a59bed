"""The file of sites: judged, compared with the sites there are, kept."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from server.appointments.sites import Site
from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.operations.importing.cells import NO_DISTRICT, BadRow
from server.operations.importing.csv_file import CsvFile, RowFault, RowsKept
from server.operations.importing.twice import agreeing
from server.store.connection import Connection

SITES_COLUMNS: Final = ("site", "name_zh", "name_en", "district", "address")
SITES_MAY_HAVE: Final = ("phone", "way_in_zh", "way_in_en", "latitude", "longitude")
"""Columns that a file of sites may have beside those of the contract."""
_PHONE = re.compile(r"\+?[0-9][0-9 ()/-]{2,39}")
_SITE_CODE = re.compile(r"[\w-]+")


def site_reader(city: City, district_of: dict[str, str] | None = None) -> Callable[[Sequence[str]], Site]:
    """Makes a site of a row; it raises BadRow. A site's code is its own in the whole city.

    Args:
        city: its districts.
        district_of: known sites, each with its district, from which none may move away.
    """
    districts = {district.code for district in city.districts}
    district_of = dict(district_of or {})

    def read(row: Sequence[str]) -> Site:
        site, name_zh, name_en, district, address, phone, way_in_zh, way_in_en, *where = row
        for column, value in (("site", site), ("name_zh", name_zh), ("name_en", name_en)):
            if not value or len(value) > 64:
                raise BadRow(column, "expected 1 to 64 characters")
        if not _SITE_CODE.fullmatch(site):
            raise BadRow("site", "expected a code of letters, digits, - and _ (it stands in addresses)")
        if district not in districts:
            raise BadRow("district", NO_DISTRICT)
        if district_of.setdefault(site, district) != district:
            raise BadRow("site", "expected a code of its own, there is one in another district")
        if phone and not _PHONE.fullmatch(phone):
            raise BadRow("phone", "expected a telephone number, such as 020-12345678, or nothing")
        for column, value in (("way_in_zh", way_in_zh), ("way_in_en", way_in_en)):
            if len(value) > 200:
                raise BadRow(column, "expected at most 200 characters")
        latitude, longitude = _degrees("latitude", where[0], 90), _degrees("longitude", where[1], 180)
        if (latitude is None) != (longitude is None):
            raise BadRow("latitude", "expected both latitude and longitude, or neither")
        return Site(
            site, name_zh, name_en, district, address, phone=phone, way_in_zh=way_in_zh, way_in_en=way_in_en,
            latitude=latitude, longitude=longitude,
        )  # fmt: skip

    return read


def _degrees(column: str, cell: str, most: int) -> float | None:
    """Degrees of WGS 84, five places of them (a metre); None where nothing is given."""
    if not cell:
        return None
    try:
        degrees = round(float(cell), 5)
    except ValueError:
        degrees = float("nan")
    if not -most <= degrees <= most:
        raise BadRow(column, f"expected degrees from -{most} to {most}, such as 23.12911, or nothing")
    return degrees


class SitesFound(msgspec.Struct, frozen=True):
    """What a file of sites says, beside those in the store.

    `sites` by code; `before`: those that are offered; `removed`: those that were.
    """

    outcome: RowsKept
    sites: dict[str, Site]
    duplicates: int
    before: dict[str, Site]
    removed: list[Site]

    @property
    def new(self) -> int:
        """Sites that were not offered before."""
        return sum(code not in self.before for code in self.sites)

    @property
    def changed(self) -> int:
        """Sites of which the file says otherwise."""
        return sum(code in self.before and site != self.before[code] for code, site in self.sites.items())

    @property
    def missing(self) -> list[Site]:
        """Sites that are offered, and not in the file."""
        return [site for code, site in self.before.items() if code not in self.sites]

    def going(self) -> list[Site]:
        """Sites that go when all are replaced: missing, or in another district now, or removed before (a crash may have
        left something of them)."""
        moved = [site for code, site in self.before.items() if code in self.sites and self._moves(site)]
        return (
            self.missing + moved + [site for site in self.removed if site.site not in self.sites or self._moves(site)]
        )

    def _moves(self, site: Site) -> bool:
        return self.sites[site.site].district != site.district


async def judge_sites(connection: Connection, city: City, source: CsvFile, *, replace: bool) -> SitesFound:
    """Read a file of sites; keeps nothing. A site may move to another district only where all are replaced."""
    kept = await all_sites(connection, city)
    before = {site.site: site for site in kept if not site.removed}
    read = site_reader(city, None if replace else {code: site.district for code, site in before.items()})
    column = "site", source.place_of("site")
    rows = agreeing(source.numbered(read), lambda site: site.site, "site", column)
    return SitesFound(rows.outcome, rows.kept, rows.duplicates, before, [site for site in kept if site.removed])


async def keep_sites(connection: Connection, rows: Iterable[Site | RowFault]) -> int:
    """Write the good rows; how many."""
    by_district: dict[str, dict[str, bytes]] = {}
    for row in rows:
        if not isinstance(row, RowFault):
            by_district.setdefault(row.district, {})[row.site] = msgspec.json.encode(row)
    for district, sites in by_district.items():
        await SlotStore(connection).keep_sites(district, sites)
    return sum(len(sites) for sites in by_district.values())


async def all_sites(connection: Connection, city: City) -> list[Site]:
    """The sites in the store, those that were removed among them."""
    codes = [district.code for district in city.districts]
    return [
        msgspec.json.decode(text, type=Site)
        for sites in await SlotStore(connection).sites(codes)
        for text in sites.values()
    ]


async def known_sites(connection: Connection, city: City) -> dict[str, str]:
    """District of each site that is offered."""
    return {site.site: site.district for site in await all_sites(connection, city) if not site.removed}
