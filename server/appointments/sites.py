"""Vaccination sites of the districts."""

import asyncio
import time

import msgspec

from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.errors import Refusal
from server.store.connection import Connection

_FRESH_SECONDS = 10.0
_MISSED_SECONDS = 0.5


class Site(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place where doses are given.

    `removed`: it is in the city's file no more (`jiaohao import sites --replace`). Nobody can wish for it, and
    nothing of it is given; whoever has an appointment there still finds its name, and its desk the roster.
    `phone`: of the site; `way_in_zh`, `way_in_en`: the entrance, the bus; `latitude`, `longitude`: degrees of WGS 84.
    What is not known is empty, or None.
    """

    site: str
    name_zh: str
    name_en: str
    district: str
    address: str
    removed: bool = False
    phone: str = ""
    way_in_zh: str = ""
    way_in_en: str = ""
    latitude: float | None = None
    longitude: float | None = None


class Sites:
    """All sites, read again every few seconds; an import is seen without a restart.

    Args:
        city: its districts.
        connection: where sites are kept.
    """

    def __init__(self, city: City, connection: Connection) -> None:
        self._codes = [district.code for district in city.districts]
        self._slot_store = SlotStore(connection)
        self._sites: dict[str, dict[str, Site]] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def of(self, district: str, *, removed: bool = False) -> dict[str, Site]:
        """Sites of a district by code; with `removed` those as well that were removed.

        Raises:
            Refusal: `not-found`, `store-unavailable`.
        """
        if district not in self._codes:
            raise Refusal("not-found")
        await self._read(_FRESH_SECONDS)
        return {code: site for code, site in self._sites[district].items() if removed or not site.removed}

    async def find(self, site: str) -> Site:
        """A site of the city, or one that was removed.

        Raises:
            Refusal: `not-found`, `store-unavailable`.
        """
        for fresh_seconds in (_FRESH_SECONDS, _MISSED_SECONDS):  # it may have been imported a moment ago
            await self._read(fresh_seconds)
            found = [sites[site] for sites in self._sites.values() if site in sites]
            if found:
                return min(found, key=lambda it: it.removed)  # one that has moved is in two districts
        raise Refusal("not-found")

    async def _read(self, fresh_seconds: float) -> None:
        if time.monotonic() - self._read_at <= fresh_seconds:
            return
        async with self._reading:  # everyone who comes meanwhile waits for the one who reads
            if time.monotonic() - self._read_at <= fresh_seconds:
                return
            answers = await self._slot_store.sites(self._codes)
            for code, answer in zip(self._codes, answers, strict=True):
                self._sites[code] = {s: msgspec.json.decode(text, type=Site) for s, text in sorted(answer.items())}
            self._read_at = time.monotonic()
