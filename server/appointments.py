"""What becomes of an appointment: given, missed, cancelled, or taken back because the site is closed.

The resident's registration is the authority; a day's roster is derived from it. Between the two there is no
transaction: what is being given or freed is noted first (`unsettled`, `closures`), and `repair` finishes what a crash
left.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal

import msgspec
import structlog

from server.city import City
from server.clock import Clock, from_ms, to_ms
from server.errors import Invalid, Refusal
from server.keys import parts_of
from server.sites import Site
from server.staff import Staff
from server.store import Store
from server.store.slots import day_tag, holds_slot
from server.store.store import Appointment, Change, Closure, Taken

log = structlog.get_logger()

HalfDay = Literal["am", "pm"]
HALVES: tuple[HalfDay, HalfDay] = ("am", "pm")
# The furthest date that the repair looks at; the night allots nothing further ahead.
_HORIZON_DAYS = 35
# What somebody typed who came for a first dose and cancelled: long enough to come again, not to keep anybody out.
_TYPED_LIVES_MS = 12 * 3_600_000


class Closed(msgspec.Struct):
    """What the site is told (contract, `POST /sites/{site}/closures`); `sent_back`: how many are allotted anew."""

    site: str
    date: date
    period: HalfDay | None
    reason: str
    sent_back: int


class Appointments:
    """Appointments of all sites.

    Args:
        city: districts, hours, no-show limit.
        store: registrations and rosters.
        clock: city time.
    """

    def __init__(self, city: City, store: Store, clock: Clock) -> None:
        self._city = city
        self._store = store
        self._clock = clock

    # Giving and freeing

    async def give(self, slot: Taken, district: str, day: date, actor: str) -> str:
        """Take a slot and give it to a registration; `booked`, `again`, or why not (`full`, `closed`, `other`).

        Args:
            slot: registration number, resident and what they get.
            district: code of the site's district.
            day: the appointment's date.
            actor: who, for the audit log.
        """
        tag = day_tag(district, day)
        status = await self._store.take(tag, slot)
        if status not in ("taken", "again"):
            return status
        change = Change(slot.resident, slot.no, actor)
        appointment = Appointment(slot.site, day.isoformat(), slot.period)
        booked = await self._store.book(change, appointment, to_ms(self._city.cancel_before(day)))
        await self._settle(tag, slot.no, slot.resident, day)
        if booked != "booked":
            return booked
        # Between the two the site may have been closed, and has left this one to us; or we were so long that a repair
        # has freed the slot.
        closure = await self._store.closure(tag, slot.site, slot.period)
        if closure is not None:
            waiting = [(slot.no, slot.resident)]
            await self._send_back(tag, slot.site, day, slot.period, closure.actor, closure.reason, waiting)
            return "closed"
        if await self._store.on_roster(tag, slot.no) is None:
            await self._store.reopen(change, appointment, "")
            return "other"
        return booked

    async def cancel(self, resident: bytes, no: str, kept: dict[str, str], actor: str) -> str:
        """Close a registration and free its slot; the status of `cancel`.

        Args:
            resident: whose.
            no: its number.
            kept: its fields, as just read; where they have changed meanwhile (`moved`), read them and ask again.
            actor: who.
        """
        day = kept.get("day", "")
        tag = day_tag(kept["district"], date.fromisoformat(day)) if day else None
        if tag is not None:
            await self._store.unsettle(tag, no, resident)
        status = await self._store.cancel(Change(resident, no, actor), day, _TYPED_LIVES_MS)
        if tag is not None:
            await self._settle(tag, no, resident, date.fromisoformat(day))
        return status

    async def _settle(self, tag: str, no: str, resident: bytes, day: date) -> None:
        """Let a slot follow its registration: it stays with one that has its appointment then, else it is free."""
        kept = await self._store.registration(resident)
        holds = holds_slot(kept, no, day.isoformat())
        await (self._store.settle(tag, no) if holds else self._store.vacate(tag, no))

    async def miss(self, slot: Taken, district: str, day: date, *, charge: bool) -> str:
        """Count an appointment as missed (announcement A9); the status of `miss`.

        Args:
            slot: a line of the day's roster.
            district: code of its district.
            day: its date.
            charge: whether it counts as a no-show.
        """
        change = Change(slot.resident, slot.no, "night")
        limit = self._city.policy.no_show_limit
        status, _ = await self._store.miss(change, day.isoformat(), charge=charge, limit=limit)
        if status == "barred" or (status == "again" and await self._is_barred(slot.resident)):
            await self._store.note_bar(district, slot.no, slot.resident)
        return status

    # The site

    async def close(self, staff: Staff, site: Site, day: date, period: HalfDay | None, reason: str) -> Closed:
        """Close a site for a period of a day, or the whole day: everyone on it is allotted anew, with priority.

        Raises:
            Invalid: a day that is over, or no reason.
        """
        if day < self._today():
            raise Invalid(("date", "past"))
        if not reason.strip():
            raise Invalid(("reason", "empty"))
        tag = day_tag(site.district, day)
        sent_back = 0
        told = reason.strip()
        for half in (period,) if period else HALVES:
            status, waiting = await self._store.close_site(tag, staff.actor, site.site, half, told)
            closure = await self._store.closure(tag, site.site, half)
            if closure is not None:
                told = closure.reason  # the first word stands
            sent_back += await self._send_back(tag, site.site, day, half, staff.actor, told, waiting)
            if status == "closed":
                log.info("site closed", site=site.site, date=day.isoformat(), period=half, actor=staff.actor)
        return Closed(site.site, day, period, told, sent_back)

    async def _send_back(
        self, tag: str, site: str, day: date, period: str, actor: str, why: str, waiting: Sequence[tuple[str, bytes]]
    ) -> int:
        count = 0
        for no, resident in waiting:
            slot = Appointment(site, day.isoformat(), period)
            status = await self._store.reopen(Change(resident, no, actor), slot, why)
            if status == "reopened":
                count += 1
                await self._store.vacate(tag, no)
                continue
            kept = await self._store.registration(resident)
            # Who came or was missed stays on the roster: it did happen. What is just being given is `give`'s to mend.
            if kept.get("no") != no or kept["state"] == "cancelled":
                await self._store.vacate(tag, no)
        return count

    async def expected(self, staff: Staff, no: str, day: date) -> tuple[str, bytes]:
        """(site, resident key) of somebody on the day's roster, or whom a closure has taken off it.

        Raises:
            Refusal: `not-found`: neither of the two, or at another site.
        """
        district = self._district_of(no)
        taken = await self._store.on_roster(day_tag(district, day), no) if district else None
        if taken is not None and staff.site in (None, taken.site):
            return taken.site, taken.resident
        resident = await self._holder(no) if taken is None and staff.site is not None else None
        if resident is None or staff.site is None:
            raise Refusal("not-found", reason="not-on-roster")
        return staff.site, resident

    # The operator

    async def lift_bar(self, no: str, reason: str) -> None:
        """Let a barred resident use this channel again (announcement A9).

        Raises:
            Refusal: `not-found`: no such registration, or no bar.
            Invalid: no reason.
        """
        if not reason.strip():
            raise Invalid(("reason", "empty"))
        district = self._district_of(no)
        resident = await self._holder(no)
        if resident is None or not await self._store.lift(Change(resident, no, "operator"), reason.strip()):
            raise Refusal("not-found", reason="no-bar")
        await self._store.forget_bar(district, no)
        log.info("bar lifted", registration_no=no, actor="operator")

    # After a crash

    async def repair(self, older_than_ms: int = 60_000) -> int:
        """Finish what a crash left between a registration and its slot; how many slots that concerned.

        Looks at what was noted, not at the city: the work is in proportion to what was under way.

        Args:
            older_than_ms: what is younger than this may be under way, and is left alone.
        """
        today = self._today()
        days = [today + timedelta(days=n) for n in range(-1, _HORIZON_DAYS)]
        places = [(district.code, day) for district in self._city.districts for day in days]
        tags = [day_tag(*place) for place in places]
        before_ms = self._clock.now_ms() - older_than_ms
        mended = 0
        for (_, day), tag, unsettled in zip(places, tags, await self._store.unsettled(tags), strict=True):
            for slot in unsettled:
                if slot.since_ms <= before_ms:
                    await self._settle(tag, slot.no, slot.resident, day)
                    mended += 1
        for (_, day), tag, closures in zip(places, tags, await self._store.closures(tags), strict=True):
            mended += await self._repair_closures(tag, day, closures)
        if mended:
            log.info("repaired", slots=mended)
        return mended

    async def _repair_closures(self, tag: str, day: date, closures: dict[tuple[str, str], Closure]) -> int:
        mended = 0
        for (site, period), closure in closures.items():
            _, waiting = await self._store.close_site(tag, closure.actor, site, period, closure.reason)
            mended += await self._send_back(tag, site, day, period, closure.actor, closure.reason, waiting)
        return mended

    def _today(self) -> date:
        return from_ms(self._clock.now_ms(), self._city.tz).date()

    def _district_of(self, no: str) -> str:
        parts = parts_of(no, self._today())
        number = parts.district_no if parts else 0
        return next((district.code for district in self._city.districts if district.no == number), "")

    async def forget_bar(self, no: str) -> None:
        """A bar that came of this registration is gone."""
        await self._store.forget_bar(self._district_of(no), no)

    async def _holder(self, no: str) -> bytes | None:
        """The resident behind a registration number."""
        parts, district = parts_of(no, self._today()), self._district_of(no)
        if parts is None or not district:
            return None
        return await self._store.holder(day_tag(district, parts.day), parts.entry, district, no)

    async def _is_barred(self, resident: bytes) -> bool:
        return (await self._store.residents([resident]))[0].stop == "barred"


def half_of(period: str) -> HalfDay:
    """A stored period as what it is."""
    return "am" if period == "am" else "pm"
