"""What the operator on call is shown: `GET /operations`, a struct for each part of it."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, TypeAlias

import msgspec

from server.appointments.periods import PeriodView
from server.night.reserves import ReserveView
from server.night.status import NightState
from server.operations.importing import Lowered
from server.waiting_room.opening import OpeningState

NightStateOrNone = NightState | Literal["none"]

_Day: TypeAlias = date


class OpeningNow(msgspec.Struct):
    """The current one of a district's openings of today. `pending`: called and not yet claimed; `window`: which one of
    the day's, from 1; `forgotten`: places of which a roll-back of the store has forgotten who has them."""

    date: date
    state: OpeningState
    opens_at: datetime | None
    closes_at: datetime | None
    issued: int
    serving: int
    waiting: int
    pending: int
    passes_alive: int
    rate_per_second: float
    max_active: int
    paused: bool
    message: str | None
    window: int
    forgotten: int


class NightNow(msgspec.Struct):
    """A district's latest night; what has not happened yet is null.

    `given`: how many of the `registrations` have been gone through; `withdrawn`: those among them whose slot the city
    took away in that very moment; `counts`: `allotted`, and why the others got nothing; `reached`: cohort 0 to 3 ->
    first-dose date of the last one who got a slot; `by_reserve`: letter -> how many that reserve gave, null without
    reserves; `over`: slots given beyond a capacity that was lowered. The seed is told once the root is there.
    """

    date: date
    state: NightStateOrNone
    commitment: str | None
    closed_at: datetime | None
    missed: int | None
    charged: int | None
    barred: int | None
    freed_at: datetime | None
    freed: int | None
    frozen_at: datetime | None
    list_root: str | None
    registrations: int | None
    allotted_at: datetime | None
    given: int | None
    withdrawn: int | None
    published_at: datetime | None
    root: str | None
    seed: str | None
    counts: dict[str, int] | None
    by_reserve: dict[str, int] | None
    reached: list[_Day | None] | None
    told_at: datetime | None
    reminded: int | None
    over: list[Lowered]


class DayUse(msgspec.Struct):
    """All slots of a district on a day."""

    date: date
    capacity: int
    taken: int


class SlotUse(msgspec.Struct):
    """A slot of a site."""

    site: str
    date: date
    period: str
    product: str
    capacity: int
    taken: int


class Outbox(msgspec.Struct):
    """Messages by state: one-time codes, others to go now, put off for later, dead letters; `oldest_at`: since when the
    oldest of the first two waits."""

    codes: int
    waiting: int
    later: int
    dead: int
    oldest_at: datetime | None


class WrongPapers(msgspec.Struct):
    """Names and phones that were `wrong` in ten minutes, or `refused` unseen, as too many had been; people who are
    `locked` out by that now, until they show a code by SMS."""

    wrong: int
    refused: int
    locked: int


class DistrictNow(msgspec.Struct):
    """A district. `pending`: who waits for a slot; `capacity`: today and two weeks ahead; `slots`: the same by slot."""

    code: str
    name_zh: str
    name_en: str
    opening: OpeningNow
    night: NightNow
    pending: int
    capacity: list[DayUse]
    slots: list[SlotUse]
    outbox: Outbox
    to_call: int
    barred: int
    attendances: int
    papers: WrongPapers


class Holder(msgspec.Struct):
    """Who runs the night right now."""

    name: str
    since: datetime
    expires_at: datetime


class Totals(msgspec.Struct):
    """The districts' numbers, added up."""

    issued: int
    waiting: int
    passes_alive: int
    pending: int
    capacity: int
    taken: int
    codes: int
    messages: int
    later: int
    dead: int
    to_call: int
    barred: int
    attendances: int
    oldest_at: datetime | None
    papers: WrongPapers


class OperationsView(msgspec.Struct):
    """`GET /operations`. `night`: the date of the latest night; `holder`: who runs it now, null = nobody."""

    now: datetime
    night: date
    holder: Holder | None
    totals: Totals
    districts: list[DistrictNow]
    periods: dict[str, PeriodView]
    reserves: list[ReserveView]


def totals_of(districts: Sequence[DistrictNow]) -> Totals:
    """The sums over all districts."""
    openings, outboxes = [it.opening for it in districts], [it.outbox for it in districts]
    days = [day for it in districts for day in it.capacity]
    return Totals(
        issued=sum(it.issued for it in openings),
        waiting=sum(it.waiting for it in openings),
        passes_alive=sum(it.passes_alive for it in openings),
        pending=sum(it.pending for it in districts),
        capacity=sum(it.capacity for it in days),
        taken=sum(it.taken for it in days),
        codes=sum(it.codes for it in outboxes),
        messages=sum(it.waiting for it in outboxes),
        later=sum(it.later for it in outboxes),
        dead=sum(it.dead for it in outboxes),
        to_call=sum(it.to_call for it in districts),
        barred=sum(it.barred for it in districts),
        attendances=sum(it.attendances for it in districts),
        oldest_at=min((it.oldest_at for it in outboxes if it.oldest_at), default=None),
        papers=WrongPapers(
            wrong=sum(it.papers.wrong for it in districts),
            refused=sum(it.papers.refused for it in districts),
            locked=sum(it.papers.locked for it in districts),
        ),
    )
