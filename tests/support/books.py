"""A city's books in plain Python: who waits, who has which slot, who must be told what, who is barred.

Written from the announcement, the contract and domain.md, and from nothing else: lists are searched from one end to the
other, and nothing is counted that can be looked at.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from tests.support.serving import Person

INTERVAL_DAYS = {"inactivated": 21, "cho": 28}  # domain.md, Vaccines
PRODUCTS = ("inactivated", "cho", "adenovirus")
LEAD_DAYS, HORIZON_DAYS = 2, 14
NO_SHOWS_BORNE = 2  # A9: more than two
NOTICE_HOURS = 4
TELL_AFTER = 3
_DAY = timedelta(days=1)


class Slot(NamedTuple):
    """Doses of a product at a site in a half of a day."""

    date: date
    site: str
    half: str
    product: str


@dataclass
class Registration:
    """One registration; `state` as in the contract. `told_at`: when the SMS about its appointment was accepted."""

    no: str
    receipt: str
    wishes: list[tuple[str, str]]
    any_site: bool
    not_before: date | None
    state: str = "proposed"
    slot: Slot | None = None
    booked_at: datetime | None = None
    told_at: datetime | None = None
    sent_back: bool = False
    charged: bool = False
    nights: int = 0

    @property
    def is_open(self) -> bool:
        """Neither closed nor used."""
        return self.state in ("proposed", "booked")


class Letter(NamedTuple):
    """An SMS that is owed; `slot`: the appointment it is about."""

    kind: str
    no: str
    slot: Slot | None = None
    not_before: datetime | None = None


@dataclass
class Resident:
    """Somebody, what the registry says of them, and what they have here.

    `haste`, `faith`: how likely they register on a day, and come to their appointment; `out_of_reach`: for any SMS.
    """

    who: Person
    district: str
    dose: date | None
    product: str
    haste: float
    faith: float
    out_of_reach: bool = False
    latest: Registration | None = None
    earlier: list[Registration] = field(default_factory=list)
    no_shows: int = 0
    barred: bool = False
    lifted: bool = False
    owed: list[Letter] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)

    @property
    def held(self) -> Registration:
        """Their latest registration, which they must have."""
        assert self.latest is not None
        return self.latest


class Missed(NamedTuple):
    """What closing a day brought in a district."""

    missed: int
    charged: int
    barred: int


class Given(NamedTuple):
    """A line of a night: who, their cohort, and the slot they got."""

    no: str
    cohort: int
    slot: Slot | None


def refusal(resident: Resident, district: str, day: date) -> tuple[str, int] | None:
    """Why somebody may not join on a day, as (code, HTTP status); None: they may."""
    held = resident.latest
    if held is not None and held.is_open:
        return "already-registered", 409
    if resident.barred:
        return "barred", 403
    if held is not None and held.state == "fulfilled":
        return "not-eligible", 403
    if resident.dose is None:
        return None if day >= date(2021, 7, 1) else ("not-eligible", 403)  # A4
    if resident.product not in INTERVAL_DAYS:
        return "not-eligible", 403
    if day < date(2021, 6, 22):
        due = (day - resident.dose).days > 35  # A1
    else:
        # A2: the interval is met on the day of the appointment, at the earliest the day after tomorrow.
        due = day + LEAD_DAYS * _DAY >= resident.dose + INTERVAL_DAYS[resident.product] * _DAY
    return None if due and resident.district == district else ("not-eligible", 403)


def cancel_before(slot: Slot, like: datetime) -> datetime:
    """20:00 of the day before (A8)."""
    return datetime.combine(slot.date - _DAY, time(20), like.tzinfo)


def open_hours(start: datetime, end: datetime) -> timedelta:
    """How much of this lies between 08:00 and 20:00."""
    total, day = timedelta(), start.date()
    while day <= end.date():
        opens, closes = (datetime.combine(day, time(hour), start.tzinfo) for hour in (8, 20))
        total += max(timedelta(), min(end, closes) - max(start, opens))
        day += _DAY
    return total


class Books:
    """The city: residents, capacity, closed sites."""

    def __init__(self, residents: list[Resident], sites: dict[str, tuple[str, ...]]) -> None:
        self.residents = residents
        self.sites = sites
        self.capacity: dict[Slot, int] = {}
        self.closed: set[tuple[date, str, str]] = set()

    def of(self, district: str) -> list[Resident]:
        """Those who belong to a district."""
        return [resident for resident in self.residents if resident.district == district]

    def taken(self) -> Counter[Slot]:
        """How many have each slot."""
        held = [r.latest for r in self.residents] + [old for r in self.residents for old in r.earlier]
        return Counter(it.slot for it in held if it is not None and it.slot is not None)

    def states(self) -> Counter[str]:
        """All registrations by state."""
        return Counter(
            it.state for r in self.residents for it in (*r.earlier, *([r.latest] if r.latest is not None else ()))
        )

    # What people and sites do

    def register(self, resident: Resident, registration: Registration) -> None:
        """A new registration takes the place of a closed one."""
        if resident.latest is not None:
            assert not resident.latest.is_open
            resident.earlier.append(resident.latest)
        resident.latest = registration
        resident.owed.append(Letter("registered", registration.no))

    def may_cancel(self, resident: Resident, now: datetime) -> bool:
        """While it waits, or before 20:00 of the day before (A8)."""
        held = resident.held
        return held.state == "proposed" or (held.slot is not None and now < cancel_before(held.slot, now))

    def cancel(self, resident: Resident) -> None:
        """The slot is free again."""
        resident.held.state, resident.held.slot = "cancelled", None
        resident.owed.append(Letter("cancelled", resident.held.no))

    def attend(self, resident: Resident) -> None:
        """The dose was given; a desk that was offline puts right what the night counted."""
        held = resident.held
        held.state = "fulfilled"
        if held.charged:
            held.charged = False
            resident.no_shows -= 1
            resident.barred = False

    def close(self, site: str, day: date, halves: Iterable[str]) -> int:
        """A site is closed: everyone on it waits again, before all others; how many."""
        sent_back = 0
        for half in halves:
            self.closed.add((day, site, half))
            for resident in self.residents:
                held = resident.latest
                if held is not None and held.state == "booked" and held.slot and held.slot[:3] == (day, site, half):
                    resident.owed.append(Letter("closed", held.no, held.slot))
                    held.state, held.slot, held.sent_back = "proposed", None, True
                    sent_back += 1
        return sent_back

    def lift(self, resident: Resident) -> None:
        """An operator lets them come again; the count begins anew."""
        resident.barred, resident.no_shows, resident.lifted = False, 0, True

    def due(self, resident: Resident, now: datetime) -> list[Letter]:
        """What is to be sent to somebody now, in the order of the events; it is owed no longer."""
        due = [letter for letter in resident.owed if letter.not_before is None or letter.not_before <= now]
        resident.owed = [letter for letter in resident.owed if letter not in due]
        # A reminder of what is no longer to be is of no use.
        found = [
            it
            for it in due
            if it.kind != "reminder" or (resident.held.state, resident.held.slot) == ("booked", it.slot)
        ]
        resident.letters += found
        held = resident.latest
        for letter in found:
            if letter.kind == "allotted" and held is not None and held.no == letter.no and not resident.out_of_reach:
                held.told_at = now
        return found

    # The night

    def close_day(self, district: str, day: date) -> Missed:
        """Who has not come has missed it; who was told in time is charged, and the third one bars (A9)."""
        missed = charged = barred = 0
        for resident in self.of(district):
            held = resident.latest
            if held is None or held.state != "booked" or held.slot is None or held.slot.date > day:
                continue
            held.state = "noshow"
            missed += 1
            told_at = held.told_at
            if told_at is None:
                continue
            if open_hours(told_at, cancel_before(held.slot, told_at)) < timedelta(hours=NOTICE_HOURS):
                continue
            held.charged = True
            resident.no_shows += 1
            charged += 1
            if resident.no_shows > NO_SHOWS_BORNE:
                resident.barred = True
                resident.owed.append(Letter("barred", held.no))
                barred += 1
        return Missed(missed, charged, barred)

    def offered(self, district: str, day: date) -> dict[Slot, int]:
        """What a night can give: slots and how many of each are free."""
        taken = self.taken()
        first, last = day + LEAD_DAYS * _DAY, day + HORIZON_DAYS * _DAY
        return {
            slot: 0 if slot[:3] in self.closed else max(0, capacity - taken[slot])
            for slot, capacity in self.capacity.items()
            if slot.site in self.sites[district] and first <= slot.date <= last
        }

    def over(self, district: str, day: date) -> int:
        """How many slots of the night's dates are given beyond a capacity that was lowered since."""
        taken = self.taken()
        return sum(taken[slot] > self.capacity[slot] for slot in self.offered(district, day))

    def waiting(self, district: str, day: date, seed: bytes) -> list[tuple[Resident, int]]:
        """Who waits tonight, in order, with their cohorts: (cohort, first-dose date, HMAC-SHA256(seed, number))."""

        def rank(resident: Resident) -> tuple[int, date, bytes]:
            no = resident.held.no.encode()
            return cohort(resident, day), resident.dose or date.max, hmac.new(seed, no, hashlib.sha256).digest()

        listed = [r for r in self.of(district) if r.latest is not None and r.latest.state == "proposed"]
        return [(resident, cohort(resident, day)) for resident in sorted(listed, key=rank)]

    def allot(self, district: str, day: date, seed: bytes, now: datetime) -> list[Given]:
        """Everybody in order takes the best free slot of their own ranking."""
        free = self.offered(district, day)
        given = []
        for resident, its_cohort in self.waiting(district, day, seed):
            held = resident.held
            slot = next((s for s in self.ranking(resident, free) if free[s] > 0), None)
            given.append(Given(held.no, its_cohort, slot))
            if slot is None:
                held.nights += 1
                if held.nights % TELL_AFTER == 0:
                    resident.owed.append(Letter("waiting", held.no))
                continue
            free[slot] -= 1
            held.state, held.slot, held.booked_at, held.told_at, held.nights = "booked", slot, now, None, 0
            resident.owed.append(Letter("allotted", held.no, slot))
        return given

    def ranking(self, resident: Resident, slots: Iterable[Slot]) -> list[Slot]:
        """The slots that somebody would take, best first: wish by wish, the earliest first; then any site's."""
        held = resident.held
        theirs = [s for s in slots if resident.dose is None or s.product == resident.product]
        theirs = [s for s in theirs if held.not_before is None or s.date >= held.not_before]
        if resident.dose is not None:
            theirs = [s for s in theirs if (s.date - (resident.dose or s.date)).days >= INTERVAL_DAYS[resident.product]]
        theirs.sort(key=lambda s: (s.date, s.site, s.half, PRODUCTS.index(s.product)))
        found = [s for site, half in held.wishes for s in theirs if s.site == site and half in (s.half, "any")]
        return found + (theirs if held.any_site else [])

    def remind(self, district: str, day: date, at: datetime, until: datetime) -> int:
        """Tomorrow is the last day to cancel: who has not been told tonight is reminded; how many."""
        count = 0
        for resident in self.of(district):
            held = resident.latest
            if held is None or held.state != "booked" or held.slot is None or held.booked_at is None:
                continue
            if held.slot.date == day + LEAD_DAYS * _DAY and held.booked_at <= until:
                resident.owed.append(Letter("reminder", held.no, held.slot, at))
                count += 1
        return count


def _is_of_use(letter: Letter, held: Registration | None) -> bool:
    """All but a reminder of what is no longer to be."""
    return letter.kind != "reminder" or (held is not None and (held.state, held.slot) == ("booked", letter.slot))


def cohort(resident: Resident, day: date) -> int:
    """0 sent back by a closed site, 1 priority of 22 to 30 June (A3), 2 second doses, 3 first doses (A4)."""
    if resident.held.sent_back:
        return 0
    if resident.dose is None:
        return 3
    return 1 if date(2021, 6, 22) <= day <= date(2021, 6, 30) and resident.dose < date(2021, 6, 9) else 2
