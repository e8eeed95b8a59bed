"""What anyone may know of a district's night: before it the promise, after it what came out."""

import datetime as dt
from collections.abc import Mapping
from datetime import date
from typing import Final, Literal

import msgspec

from server.core.city import City
from server.core.keys import day_tag
from server.fairness.draw import commitment
from server.night.published import Published
from server.night.store import NightStore
from server.store.connection import Connection

State = Literal["committed", "closing", "frozen", "allotted", "published", "done"]

# A field that is there once the night has come so far; the latest first.
_STEPS: Final[tuple[tuple[str, State], ...]] = (
    ("told_ms", "done"),
    ("root", "published"),
    ("allotted_ms", "allotted"),
    ("list_root", "frozen"),
    ("fence", "closing"),
    ("seed", "committed"),
)


# Not the slots: a large city's table of them is far too much to read for each who looks at their status.
_PUBLIC: Final = (*(field for field, _ in _STEPS), "registrations", "counts", "reached")


def state_of(night: Mapping[str, str]) -> State | None:
    """How far a district's night has come, by its fields; None where there is none."""
    return next((state for field, state in _STEPS if field in night), None)


async def is_owed(city: City, connection: Connection, day: date) -> bool:
    """Whether the night of a day has been prepared for, by an opening, and has not come to its end everywhere."""
    tags = [day_tag(district.code, day) for district in city.districts]
    nights = await NightStore(connection).nights(tags, "seed", "told_ms")
    return any("seed" in fields and "told_ms" not in fields for fields in nights)


class Announced(msgspec.Struct):
    """`GET /allotments/{district}/{date}`; what is not known yet is null.

    `commitment`: SHA-256 of the seed, from the day's opening on. `registrations`, `list_root`: of the list as it was
    frozen, before the seed is known. `seed`, `root`, `counts`, `reached`: of the result, once it is published;
    `reached`: cohort 0 to 3 -> first-dose date of the last one in it who got a slot. `file_url`: of the result file,
    where this machine has it. Hashes and seed are 64 hex digits.
    """

    district: str
    date: dt.date
    state: State
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
    (night,) = await NightStore(connection).nights([day_tag(district, day)], *_PUBLIC)
    seed = night.get("seed")
    if seed is None:
        return None
    root, list_root = night.get("root"), night.get("list_root")
    is_here = root is not None and published.path(day, district) is not None
    return Announced(
        district=district,
        date=day,
        state=state_of(night) or "committed",
        commitment=commitment(bytes.fromhex(seed)),
        registrations=int(night["registrations"]) if list_root and "registrations" in night else None,
        list_root=list_root,
        seed=seed if root else None,  # with it, whoever could still register would know their rank
        root=root,
        counts=msgspec.json.decode(night["counts"], type=dict[str, int]) if root and "counts" in night else None,
        reached=_dates(night["reached"]) if root and "reached" in night else None,
        file_url=f"/api/v1/allotments/{district}/{day.isoformat()}/file" if is_here else None,
    )


def _dates(text: str) -> list[dt.date | None]:
    return msgspec.json.decode(text, type=list[dt.date | None])
