"""What anyone may know of a district's night: before it the promise, after it what came out."""

import datetime as dt
from datetime import date
from typing import Literal

import msgspec

from server.core.city import City
from server.core.keys import day_tag
from server.fairness.beacon import randomness_of
from server.night.lottery import lots_of
from server.night.published import Published
from server.night.store import NightStore
from server.records.night import NightRecord
from server.store.connection import Connection

NightState = Literal["committed", "closing", "frozen", "allotted", "published", "done"]


def state_of(night: NightRecord) -> NightState | None:
    """How far a district's night has come; None where there is none."""
    reached: tuple[tuple[object, NightState], ...] = (
        (night.told_ms, "done"),
        (night.root, "published"),
        (night.allotted_ms, "allotted"),
        (night.list_root, "frozen"),
        (night.fence, "closing"),
        (night.promise, "committed"),
    )
    return next((state for field, state in reached if field is not None), None)


async def is_owed(city: City, connection: Connection, day: date) -> bool:
    """Whether the night of a day has been prepared for, by an opening, and has not come to its end everywhere."""
    tags = [day_tag(district.code, day) for district in city.districts]
    nights = await NightStore(connection).nights(tags)
    return any(night.promise is not None and not night.is_done("tell") for night in nights)


class NightBeaconView(msgspec.Struct):
    """The beacon's round that the lots are bound to; where it has no signature in the end, `missing` says why."""

    chain: str
    round: int
    randomness: str | None
    signature: str | None
    missing: str | None


class Announced(msgspec.Struct):
    """`GET /allotments/{district}/{date}`; what is not known yet is null.

    `commitment`: SHA-256 of the seed, from the day's opening on. `registrations`, `list_root`: of the list as it was
    frozen, before the seed is known. `seed`, `root`, `counts`, `reached`: of the result, once it is published;
    `reached`: cohort 0 to 3 -> first-dose date of the last one in it who got a slot, where the city has reserves an
    open one; `by_reserve`: letter of a reserve -> how many it gave, null without reserves. `file_url`: of the result
    file, where this machine has it. Hashes, seed and key are 64 hex digits. `version`, `beacon`: of what decides among
    equals, known when the list is frozen (without a beacon the city names none); `key`: of the tie-breaks, once the
    seed is known.
    """

    district: str
    date: dt.date
    state: NightState
    commitment: str
    registrations: int | None
    list_root: str | None
    seed: str | None
    root: str | None
    counts: dict[str, int] | None
    by_reserve: dict[str, int] | None
    reached: list[dt.date | None] | None
    file_url: str | None
    version: int | None
    beacon: NightBeaconView | None
    key: str | None


async def announced(connection: Connection, published: Published, district: str, day: dt.date) -> Announced | None:
    """What is public of a night; None where there is none."""
    (night,) = await NightStore(connection).nights([day_tag(district, day)])
    if night.promise is None:
        return None
    root, list_root = night.root, night.list_root
    is_here = root is not None and published.path(day, district) is not None
    return Announced(
        district=district,
        date=day,
        state=state_of(night) or "committed",
        commitment=night.promise,
        registrations=night.registrations if list_root else None,
        list_root=list_root,
        seed=night.seed if root else None,  # with it, whoever could still register would know their rank
        root=root,
        counts=night.counts if root else None,
        by_reserve=night.by_reserve if root else None,
        reached=night.reached if root else None,
        file_url=f"/api/v1/allotments/{district}/{day.isoformat()}/file" if is_here else None,
        version=(night.version or 1) if list_root else None,
        beacon=_beacon(night),
        key=_key(district, day, night),
    )


def _beacon(night: NightRecord) -> NightBeaconView | None:
    if night.beacon is None or night.round is None:
        return None
    randomness = randomness_of(night.signature).hex() if night.signature else None
    return NightBeaconView(night.beacon, night.round, randomness, night.signature, night.no_beacon)


def _key(district: str, day: dt.date, night: NightRecord) -> str | None:
    if night.root is None or night.seed is None or night.list_root is None:
        return None
    return lots_of(night, bytes.fromhex(night.seed)).key(day_tag(district, day), night.list_root).hex()
