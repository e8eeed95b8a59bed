"""What the operator on call looks at and does: the night, the openings, capacity, messages, calls, bars."""

import asyncio
import re
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal, TypeAlias

import msgspec
import structlog

from server.announced import State as AnnouncedState
from server.announced import state_of
from server.city import City, District
from server.clock import Clock, from_ms
from server.draw import commitment
from server.errors import Invalid, Refusal, SetupError
from server.importing import (
    CAPACITY_COLUMNS,
    Capacity,
    CsvFile,
    Fault,
    Lowered,
    capacity_reader,
    judge_rows,
    keep_capacity,
    known_sites,
)
from server.keys import opening_tag
from server.masks import mask_name
from server.opening import Opening
from server.opening import State as OpeningState
from server.seal import Seal, Unreadable
from server.store import Store
from server.store.outbox import Backlog
from server.store.slots import day_tag
from server.store.store import Change
from server.unreached import failed, put_back
from server.waiting_room import WaitingRoom

log = structlog.get_logger()

NightState = AnnouncedState | Literal["none"]

_Day: TypeAlias = date
_AHEAD_DAYS = 14
_NUMBER = re.compile(r"\d[\d\s-]{3,}\d")
# What is read of a night; its rules and the slots it offers are large, and nobody looks at them here.
_COUNTS = ("missed", "charged", "barred", "freed", "registrations", "given", "withdrawn", "reminded")
_TIMES = ("closed", "freed", "frozen", "allotted", "published", "told")
_NIGHT = ("seed", "fence", "list_root", "root", "counts", "reached", "over", *_COUNTS, *(f"{it}_ms" for it in _TIMES))


class OpeningNow(msgspec.Struct):
    """Today's opening of a district. `pending`: called and not yet claimed."""

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
    oldest_at: datetime | None


class OperationsView(msgspec.Struct):
    """`GET /operations`. `night`: the date of the latest night; `holder`: who runs it now, null = nobody."""

    now: datetime
    night: date
    holder: Holder | None
    totals: Totals
    districts: list[DistrictNow]


class Failed(msgspec.Struct):
    """A message that has not arrived: its kind, what became of it, and when."""

    kind: str
    outcome: str
    at: datetime


class Visit(msgspec.Struct):
    """The appointment to be told."""

    site: str
    date: date
    period: str


class Call(msgspec.Struct):
    """Somebody to be called. `phone`: in full, null where it cannot be read; `state`: null where it is not their latest
    registration any more."""

    registration_no: str
    district: str
    name: str
    phone: str | None
    lang: str
    state: str | None
    appointment: Visit | None
    failed: list[Failed]


class Bar(msgspec.Struct):
    """Somebody who is barred, by the registration that brought it about; `since`: null where it is not known."""

    registration_no: str
    district: str
    since: datetime | None


class DeadMessage(msgspec.Struct):
    """A message that was given up after many tries."""

    pointer: str
    district: str
    registration_no: str
    kind: str
    at: datetime
    tries: int
    why: str


class CapacityImported(msgspec.Struct):
    """What an upload did; `lowered`: slots of which more had been given than there are now."""

    rows: int
    slots: int
    lowered: list[Lowered]


class Operations:
    """The operator's look at the city, and what they put right.

    Args:
        city: its districts.
        store: the truth.
        clock: city time.
        seal: opens names and phones.
        room: today's openings.
    """

    def __init__(self, city: City, store: Store, clock: Clock, seal: Seal, room: WaitingRoom) -> None:
        self._city = city
        self._codes = [district.code for district in city.districts]
        self._store = store
        self._clock = clock
        self._seal = seal
        self._room = room

    # Looking

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
        pending = await self._store.count_pending(self._codes)
        backlogs = await self._store.backlogs(self._codes)
        to_call, bars = await self._store.to_call(self._codes), await self._store.bars(self._codes)
        districts = []
        for i, district in enumerate(self._city.districts):
            # One after the other: a hundred sites are work, and others wait for this worker.
            capacity, slots = await self._capacity(district.code, now.date(), slots_of)
            districts.append(
                DistrictNow(
                    district.code, district.name_zh, district.name_en, self._opening(district), nights[i], pending[i],
                    capacity, slots, self._outbox(backlogs[i]), len(to_call[i]), len(bars[i]),
                )
            )  # fmt: skip
        return OperationsView(now, night, await self._holder(), _totals(districts), districts)

    async def _nights(self, day: date) -> list[NightNow]:
        tags = [opening_tag(code, day) for code in self._codes]
        return [self._night(day, fields) for fields in await self._store.nights(tags, *_NIGHT)]

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
        opens_at, closes_at = self._city.opening_times(district, it.day) or (None, None)
        return OpeningNow(
            it.day, it.state(self._clock.now_ms()), opens_at, closes_at, it.issued, it.serving, it.waiting, it.pending,
            it.passes_alive, it.rate, it.max_active, it.paused, it.message or None,
        )  # fmt: skip

    async def _capacity(
        self, code: str, today: date, slots_of: Collection[str] | None
    ) -> tuple[list[DayUse], list[SlotUse]]:
        days = [today + timedelta(days=n) for n in range(_AHEAD_DAYS + 1)]
        used = await self._store.used([day_tag(code, day) for day in days])
        by_day = [
            DayUse(day, sum(capacity for capacity, _ in slots.values()), sum(taken for _, taken in slots.values()))
            for day, slots in zip(days, used, strict=True)
        ]
        if slots_of is not None and code not in slots_of:
            return by_day, []
        by_slot = [
            SlotUse(site, day, period, product, *slots[site, period, product])
            for day, slots in zip(days, used, strict=True)
            for site, period, product in sorted(slots)
        ]
        return by_day, by_slot

    def _outbox(self, it: Backlog) -> Outbox:
        # A stream's ids are the store's own time, without the city's offset.
        oldest_ms = it.oldest_ms + self._clock.offset_ms if it.oldest_ms is not None else 0
        return Outbox(it.codes, it.waiting, it.later, it.dead, self._at(oldest_ms))

    async def _holder(self) -> Holder | None:
        lease = await self._store.leased()
        if lease is None or lease.expires_ms <= self._clock.now_ms():
            return None
        tz = self._city.tz
        return Holder(lease.holder, from_ms(lease.since_ms, tz), from_ms(lease.expires_ms, tz))

    def _at(self, ms: int | float) -> datetime | None:
        return from_ms(ms, self._city.tz) if ms else None

    # Whom to call, who is barred

    async def calls(self) -> list[Call]:
        """Whom no message has reached, the next appointment first."""
        found = [
            (code, no, resident)
            for code, calls in zip(self._codes, await self._store.to_call(self._codes), strict=True)
            for no, resident in calls.items()
        ]
        residents = [resident for _, _, resident in found]
        kept = await self._store.registrations(residents)
        known = await self._store.residents(residents) if residents else []
        calls = []
        for (code, no, resident), fields, person in zip(found, kept, known, strict=True):
            name, phone = self._contact(resident, person.first_dose.contact if person.first_dose else b"")
            calls.append(self._call(code, no, fields if fields.get("no") == no else {}, name, phone))
        return sorted(calls, key=lambda it: (it.appointment.date if it.appointment else date.max, it.registration_no))

    def _call(self, code: str, no: str, fields: dict[str, str], name: str, phone: str | None) -> Call:
        missed = [Failed(kind, outcome, from_ms(ms, self._city.tz)) for kind, outcome, ms in failed(fields)]
        visit = None
        if fields.get("day") and fields["state"] != "cancelled":
            visit = Visit(fields["site"], date.fromisoformat(fields["day"]), fields["period"])
        return Call(no, code, name, phone, fields.get("lang", "zh"), fields.get("state"), visit, missed)

    def _contact(self, resident: bytes, contact: bytes) -> tuple[str, str | None]:
        try:
            opened = self._seal.open(resident, contact)
        except Unreadable as error:
            log.warning("contact cannot be read", why=str(error))
            return "*", None
        return mask_name(opened.name), opened.phone

    async def called(self, no: str, reason: str) -> None:
        """Somebody has been reached by phone, or need not be any more.

        Raises:
            Refusal: `not-found`: not on the list.
            Invalid: no reason.
        """
        if not reason.strip():
            raise Invalid(("reason", "empty"))
        for code, calls in zip(self._codes, await self._store.to_call(self._codes), strict=True):
            if no in calls:
                # A number that was typed into the reason may be a phone's.
                said = _NUMBER.sub("****", reason.strip())
                await self._store.called(Change(calls[no], no, "operator"), said)
                await self._store.forget_call(code, no)
                log.info("called", registration_no=no, actor="operator")
                return
        raise Refusal("not-found", reason="no-call")

    async def bars(self) -> list[Bar]:
        """Who is barred, the latest first."""
        found = [
            (code, no, resident)
            for code, bars in zip(self._codes, await self._store.bars(self._codes), strict=True)
            for no, resident in bars.items()
        ]
        bars = []
        kept = await self._store.registrations([resident for _, _, resident in found])
        for (code, no, _), fields in zip(found, kept, strict=True):
            is_it = fields.get("no") == no and fields.get("state") == "noshow"
            bars.append(Bar(no, code, self._at(int(fields.get("closed_ms", "0"))) if is_it else None))
        return sorted(bars, key=lambda it: (-it.since.timestamp() if it.since else 0.0, it.registration_no))

    # Messages that were given up

    async def dead(self) -> list[DeadMessage]:
        """Dead letters, the oldest first."""
        found = []
        for code, letters in zip(self._codes, await self._store.dead(self._codes), strict=True):
            for pointer, it in letters.items():
                at = from_ms(it.at_ms, self._city.tz)
                found.append(DeadMessage(pointer, code, it.no, it.kind, at, it.tries, it.why))
        return sorted(found, key=lambda it: (it.at, it.pointer))

    async def resend(self, pointer: str) -> None:
        """Let a message that was given up go out after all.

        Raises:
            Refusal: `not-found`: no such dead letter.
        """
        for code, letters in zip(self._codes, await self._store.dead(self._codes), strict=True):
            if (letter := letters.get(pointer)) is not None:
                await put_back(self._store, code, pointer, letter)
                log.info("resent", pointer=pointer, registration_no=letter.no, kind=letter.kind, actor="operator")
                return
        raise Refusal("not-found", reason="no-letter")

    # Capacity

    async def import_capacity(self, file: bytes) -> CapacityImported:
        """Keep a capacity file (contract, files), judged as `jiaohao import capacity` does: all of it or nothing.

        Raises:
            Invalid: rows that cannot be kept, the first of them by line and column; `bad_rows`: how many.
        """
        read = capacity_reader(self._city, await known_sites(self._store, self._city))

        def judge() -> list[Capacity | Fault]:
            return list(CsvFile(file, CAPACITY_COLUMNS, lambda _: None).rows(read))

        try:
            rows = await asyncio.to_thread(judge)  # a large file is work, and others wait for this worker
        except SetupError:
            raise _bad_rows([("line 1", "csv-header")], 1) from None
        outcome = judge_rows(rows)
        if outcome.bad:
            raise _bad_rows([_told(fault) for fault in outcome.first_bad], outcome.bad)
        kept = await keep_capacity(self._store, rows)
        log.info("capacity imported", slots=kept.slots, lowered=len(kept.lowered), actor="operator")
        return CapacityImported(outcome.kept, kept.slots, kept.lowered)


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
        oldest_at=min((it.oldest_at for it in outboxes if it.oldest_at), default=None),
    )


def _told(fault: Fault) -> tuple[str, str]:
    """(field, fault) as a refusal has them."""
    column = f", column {fault.column_no} ({fault.column})" if fault.column else ""
    return f"line {fault.line}{column}", f"csv-{fault.column or 'row'}"


def _bad_rows(fields: Sequence[tuple[str, str]], count: int) -> Invalid:
    refusal = Invalid(*fields)
    refusal.extras["bad_rows"] = count
    return refusal
