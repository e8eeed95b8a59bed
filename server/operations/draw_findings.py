"""Whether draws and nights can come to their end: their seeds can be opened, and the beacon's relays answer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.encryption import SeedCipher, Unreadable
from server.core.keys import day_tag, opening_tags
from server.core.settings import Settings
from server.fairness.beacon import BeaconUnverifiable, can_verify, chain_named
from server.operations.key_rotation import SEALED_KINDS
from server.operations.store import OperationStore
from server.operations.store_findings import Finding
from server.store.agreed import Agreement
from server.store.connection import Connection

# A night may still go on after midnight, and tomorrow's openings may be there already.
_DAYS: Final = (-1, 0, 1)


async def seed_findings(settings: Settings, city: City, connection: Connection) -> AsyncIterator[Finding]:
    """Whether our secrets open the seeds of the draws and nights of these days that are not revealed yet."""
    today = from_ms(await Agreement(connection).city_ms(), city.tz).date()
    names = []
    for day in (today + timedelta(days=n) for n in _DAYS):
        for district in city.districts:
            names += [("opening", tag) for tag in opening_tags(district.code, day)]
            names.append(("night", day_tag(district.code, day)))
    seeds, opened, closed = SeedCipher(settings.secrets), 0, []
    for (kind, tag), sealed in zip(names, await OperationStore(connection).sealed_seeds(names), strict=True):
        if sealed is None:
            continue
        of = f"{SEALED_KINDS[kind]} {tag}"
        try:
            seeds.unseal(of, sealed)
            opened += 1
        except Unreadable:
            closed.append(of)
    if closed:
        which = closed[0] + (f" and {len(closed) - 1} more" if len(closed) > 1 else "")
        what = f"seeds: our secrets do not open that of {which}: no places are given there, and no numbers"
        yield Finding("bad", what, "name the secret that sealed it in JIAOHAO_PREVIOUS_SECRETS")
    else:
        yield Finding("ok", f"seeds: {opened} sealed ones can be opened")


async def beacon_findings(city: City) -> AsyncIterator[Finding]:
    """Whether the beacon that the city names can be verified here, and its relays serve it."""
    if city.beacon is None:
        yield Finding("ok", "beacon: none is named")
        return
    if not can_verify():
        yield Finding("bad", f"beacon: {BeaconUnverifiable()}", "run that, or leave [beacon] out of the city file")
        return
    chain = chain_named(city.beacon.chain)
    if chain is None or not chain.has_valid_key():
        yield Finding("bad", "beacon: the public key in its name is none", "see beacon.chain in the city file")
        return
    from server.waiting_room.relays import Relays  # with a client for HTTP

    faults = await Relays(city.beacon, Clock()).look()
    good = [host for host, fault in faults.items() if not fault]
    cure = "see beacon.relays in the city file, and this machine's way to them"
    for host, fault in faults.items():
        if fault:
            yield Finding("note" if good else "bad", f"beacon: {host}: {fault}", cure)
    if good:
        yield Finding("ok", f"beacon: {len(good)} of {len(faults)} relays serve its chain")
