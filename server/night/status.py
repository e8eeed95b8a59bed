"""What anyone may know of a district's night: before it the promise, after it what came out."""

import datetime as dt
from datetime import date
from typing import Literal

import msgspec

from server.core.city import City
from server.core.keys import day_tag
from server.fairness.draw import commitment
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
        (night.seed, "committed"),
    )
    return next((state for field, state in reached if field is not None), None)


async def is_owed(city: City, connection: Connection, day: date) -> bool:
    """Whether the night of a day has been prepared for, by an opening, and has not come to its end everywhere."""
    tags = [day_tag(district.code, day) for district in city.districts]
    nights = await NightStore(connection).nights(tags)
    return any(night.seed is not None and not night.is_done("tell") for night in nights)


class Announced(msgspec.Struct):
    """`GET /allotments/{district}/{date}`; what is not known yet is null.

    `commitment`: SHA-256 of the seed, from the day's opening on. `registrations`, `list_root`: of the list as it was
    frozen, before the seed is known. `seed`, `root`, `counts`, `reached`: of the result, once it is published;
    `reached`: cohort 0 to 3 -> first-dose date of the last one in it who got a slot. `file_url`: of the result file,
    where this machine has it. Hashes and seed are 64 hex digits.
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
    reached: list[dt.date | None] | None
    file_url: str | None


async def announced(connection: Connection, published: Published, district: str, day: dt.date) -> Announced | None:
    """What is public of a night; None where there is none."""
    (night,) = await NightStore(connection).nights([day_tag(district, day)])
    if night.seed is None or night.seed_bytes is None:
        return None
    root, list_root = night.root, night.list_root
    is_here = root is not None and published.path(day, district) is not None
    return Announced(
        district=district,
        date=day,
        state=state_of(night) or "committed",
        commitment=commitment(night.seed_bytes),
        registrations=night.registrations if list_root else None,
        list_root=list_root,
        seed=night.seed if root else None,  # with it, whoever could still register would know their rank
        root=root,
        counts=night.counts if root else None,
        reached=night.reached if root else None,
        file_url=f"/api/v1/allotments/{district}/{day.isoformat()}/file" if is_here else None,
    )
