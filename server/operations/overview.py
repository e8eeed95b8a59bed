"""How the city stands, as the operator on call looks at it: openings, nights, capacity, messages."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal, TypeAlias

import msgspec

from server.appointments.periods import PeriodView, periods_of
from server.appointments.slot_store import SlotStore
from server.appointments.store import AttendanceStore
from server.core.city import City, District
from server.core.clock import Clock, from_ms
from server.core.keys import day_tag
from server.fairness.draw import commitment
from server.messages.store import OutboxStore
from server.night.status import State as AnnouncedState
from server.night.status import state_of
from server.night.store import NightStore
from server.operations.importing import Lowered
from server.records.message import Backlog
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.waiting_room.opening import Opening
from server.waiting_room.opening import State as OpeningState
from server.waiting_room.room import WaitingRoom

NightState = AnnouncedState | Literal["none"]

_Day: TypeAlias = date
_AHEAD_DAYS = 14
# What is read of a night; its rules and the slots it offers are large, and nobody looks at them here.
_COUNTS = ("missed", "charged", "barred", "freed", "registrations", "given", "withdrawn", "reminded")
_TIMES = ("closed", "freed", "frozen", "allotted", "published", "told")
_NIGHT = ("seed", "fence", "list_root", "root", "counts", "reached", "over", *_COUNTS, *(f"{it}_ms" for it in _TIMES))


class OpeningNow(msgspec.Struct):
    """The current one of a district's openings of today. `pending`: called and not yet claimed; `window`: which one of
    the day's, from 1."""

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


class NightNow(msgspec.Struct):
    """A district's latest night; what has not happened yet is null.

    `given`: how many of the `registrations` have been gone through; `withdrawn`: those among them whose slot the city
    took away in that very moment; `counts`: `allotted`, and why the others got nothing; `reached`: cohort 0 to 3 ->
    first-dose date of the last one who got a slot; `over`: slots given beyond a capacity that was lowered. The seed is
    told once the root is there.
    """

    date: date
    state: NightState
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


class Overview:
    """Looks, and changes nothing.

    Args:
        city: its districts.
        connection: the truth.
        clock: city time.
        room: today's openings.
    """

    def __init__(self, city: City, connection: Connection, clock: Clock, room: WaitingRoom) -> None:
        self._city = city
        self._codes = [district.code for district in city.districts]
        self._night_store = NightStore(connection)
        self._outbox_store = OutboxStore(connection)
        self._slot_store = SlotStore(connection)
        self._attendance_store = AttendanceStore(connection)
        self._registry_store = RegistryStore(connection)
        self._clock = clock
        self._room = room

    async def view(self, slots_of: Collection[str] | None = None) -> OperationsView:
        """How everything stands.

        Args:
            slots_of: codes of the districts whose slots are listed one by one; None = all.

        Raises:
            Refusal: `store-unavailable`.
        """
        now = self._room.now()
        night = self._city.latest_night(now)
        nights = await self._nights(night)
        pending = await self._night_store.count_pending(self._codes)
        backlogs = await self._outbox_store.backlogs(self._codes)
        to_call, bars = await self._outbox_store.to_call(self._codes), await self._slot_store.bars(self._codes)
        attendances = await self._attendance_store.count_attendances(self._codes)
        guessed = await self._registry_store.guessed(self._codes, self._clock.now_ms())
        districts = []
        for i, district in enumerate(self._city.districts):
            # One after the other: a hundred sites are work, and others wait for this worker.
            capacity, slots = await self._capacity(district.code, now.date(), slots_of)
            districts.append(
                DistrictNow(
                    district.code, district.name_zh, district.name_en, self._opening(district), nights[i], pending[i],
                    capacity, slots, self._outbox(backlogs[i]), len(to_call[i]), len(bars[i]), attendances[i],
                    WrongPapers(*guessed[i]),
                )
            )  # fmt: skip
        return OperationsView(now, night, await self._holder(), _totals(districts), districts, periods_of(self._city))

    async def _nights(self, day: date) -> list[NightNow]:
        tags = [day_tag(code, day) for code in self._codes]
        return [self._night(day, fields) for fields in await self._night_store.nights(tags, *_NIGHT)]

    def _night(self, day: date, fields: dict[str, str]) -> NightNow:
        published = "root" in fields
        seed = fields.get("seed")
        known: dict[str, Any] = {name: int(fields[name]) if name in fields else None for name in _COUNTS}
        known |= {f"{name}_at": self._at(int(fields.get(f"{name}_ms", "0"))) for name in _TIMES}
        return NightNow(
            date=day,
            state=state_of(fields) or "none",
            commitment=commitment(bytes.fromhex(seed)) if seed else None,
            seed=seed if published else None,
            list_root=fields.get("list_root"),
            root=fields.get("root"),
            counts=msgspec.json.decode(fields["counts"], type=dict[str, int]) if "counts" in fields else None,
            reached=msgspec.json.decode(fields["reached"], type=list[date | None]) if "reached" in fields else None,
            over=[Lowered(*it) for it in msgspec.json.decode(fields.get("over", "[]"), type=list[_Over])],
            **known,
        )

    def _opening(self, district: District) -> OpeningNow:
        it: Opening = self._room.opening(district.code)
        opens_at, closes_at = it.times() or (None, None)
        return OpeningNow(
            it.day, it.state(self._clock.now_ms()), opens_at, closes_at, it.issued, it.serving, it.waiting, it.pending,
            it.passes_alive, it.rate, it.max_active, it.paused, it.message or None, it.window,
        )  # fmt: skip

    async def _capacity(
        self, code: str, today: date, slots_of: Collection[str] | None
    ) -> tuple[list[DayUse], list[SlotUse]]:
        days = [today + timedelta(days=n) for n in range(_AHEAD_DAYS + 1)]
        used = await self._slot_store.used([day_tag(code, day) for day in days])
        by_day = [
            DayUse(day, sum(capacity for capacity, _ in slots.values()), sum(taken for _, taken in slots.values()))
            for day, slots in zip(days, used, strict=True)
        ]
        if slots_of is not None and code not in slots_of:
            return by_day, []
        by_slot = [
            SlotUse(site, day, period, product, capacity, taken)
            for day, slots in zip(days, used, strict=True)
            for (site, period, product), (capacity, taken) in sorted(slots.items())
        ]
        return by_day, by_slot

    def _outbox(self, it: Backlog) -> Outbox:
        # A stream's ids are the store's own time, without the city's offset.
        oldest_ms = it.oldest_ms + self._clock.offset_ms if it.oldest_ms is not None else 0
        return Outbox(it.codes, it.waiting, it.later, it.dead, self._at(oldest_ms))

    async def _holder(self) -> Holder | None:
        lease = await self._night_store.leased()
        if lease is None or lease.expires_ms <= self._clock.now_ms():
            return None
        tz = self._city.tz
        return Holder(lease.holder, from_ms(lease.since_ms, tz), from_ms(lease.expires_ms, tz))

    def _at(self, ms: int | float) -> datetime | None:
        return from_ms(ms, self._city.tz) if ms else None


_Over = tuple[date, str, str, str, int, int]


def _totals(districts: Sequence[DistrictNow]) -> Totals:
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
