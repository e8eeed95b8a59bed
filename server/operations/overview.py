"""How the city stands, as the operator on call looks at it: openings, nights, capacity, messages."""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from server.appointments.periods import periods_of
from server.appointments.slot_store import SlotStore
from server.appointments.store import AttendanceStore
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.districts import District
from server.core.keys import day_tag
from server.messages.store import OutboxStore
from server.night.reserves import reserves_of
from server.night.status import state_of
from server.night.store import NightStore
from server.operations.importing import Lowered
from server.operations.overview_views import (
    DayUse,
    DistrictNow,
    Holder,
    NightNow,
    OpeningNow,
    OperationsView,
    Outbox,
    SlotUse,
    WrongPapers,
    totals_of,
)
from server.records.message import Backlog
from server.records.night import NightRecord
from server.records.slot import Slot, SlotCount
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.waiting_room.opening import Opening
from server.waiting_room.room import WaitingRoom

_AHEAD_DAYS = 14


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
        return OperationsView(
            now, night, await self._holder(), totals_of(districts), districts, periods_of(self._city),
            reserves_of(self._city),
        )  # fmt: skip

    async def _nights(self, day: date) -> list[NightNow]:
        tags = [day_tag(code, day) for code in self._codes]
        return [self._night(day, night) for night in await self._night_store.nights(tags)]

    def _night(self, day: date, it: NightRecord) -> NightNow:
        return NightNow(
            date=day,
            state=state_of(it) or "none",
            commitment=it.promise,
            closed_at=self._at(it.closed_ms),
            missed=it.missed,
            charged=it.charged,
            barred=it.barred,
            freed_at=self._at(it.freed_ms),
            freed=it.freed,
            frozen_at=self._at(it.frozen_ms),
            list_root=it.list_root,
            registrations=it.registrations,
            allotted_at=self._at(it.allotted_ms),
            given=it.given,
            withdrawn=it.withdrawn,
            published_at=self._at(it.published_ms),
            root=it.root,
            seed=it.seed if it.root else None,
            counts=it.counts,
            by_reserve=it.by_reserve,
            reached=it.reached,
            told_at=self._at(it.told_ms),
            reminded=it.reminded,
            over=[Lowered(*slot) for slot in it.over or ()],
        )

    def _opening(self, district: District) -> OpeningNow:
        it: Opening = self._room.opening(district.code)
        opens_at, closes_at = it.times() or (None, None)
        return OpeningNow(
            it.day, it.state(self._clock.now_ms()), opens_at, closes_at, it.issued, it.serving, it.waiting, it.pending,
            it.passes_alive, it.rate, it.max_active, it.paused, it.message or None, it.window,
            it.floors.forgotten,
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
            for (site, period, product), (capacity, taken) in sorted(slots.items(), key=self._in_order)
        ]
        return by_day, by_slot

    def _in_order(self, item: tuple[Slot, SlotCount]) -> tuple[str, int, str]:
        slot, _ = item
        return slot.site, self._city.place_in_day(slot.period), slot.product

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

    def _at(self, ms: int | None) -> datetime | None:
        return from_ms(ms, self._city.tz) if ms else None
