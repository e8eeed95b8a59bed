"""What a night looks at before it changes anything: its rules, who has not come, which slots are free."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple, TypeAlias, TypeVar

from server.appointments.slot_store import SlotStore
from server.core.city import City
from server.core.clock import from_ms
from server.core.districts import District
from server.core.keys import day_tag
from server.fairness.allotment import OfferedSlot, Rules
from server.night.registered import days_after
from server.night.store import NightStore
from server.records.registration import Registration
from server.records.slot import Overbooked, RosterEntry, SitePeriod
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

T = TypeVar("T")

Free: TypeAlias = tuple[OfferedSlot, int]
"""A slot, and how many doses of it are free."""

_BATCH: Final = 500


class NotCome(NamedTuple):
    """A line of a day's roster whose holder has not come; `known`: an interrupted run has said so already."""

    slot: RosterEntry
    charge: bool
    known: bool


class Tonight:
    """Looks, and changes nothing.

    Args:
        city: hours, policy.
        connection: where everything is.
    """

    def __init__(self, city: City, connection: Connection) -> None:
        self._city = city
        self._night_store = NightStore(connection)
        self._slot_store = SlotStore(connection)
        self._reader = RegistrationReader(connection)

    def rules(self, district: District, day: date) -> Rules:
        """The rules of a district's night, as the city file says now."""
        return Rules.of(self._city, district.code, day, self._city.policy.horizon_days)

    async def closing(self, district: District, day: date) -> AsyncIterator[tuple[date, list[NotCome]]]:
        """Who has not come to their appointments of the days that are not closed yet, up to `day`: some at a time."""
        (through,) = await self._night_store.through([district.code])
        for each in days_after(through.closed, day):
            roster = await self._slot_store.roster(day_tag(district.code, each))
            for batch in batches(roster):
                kept = await self._reader.registrations([slot.resident for slot in batch])
                yield (
                    each,
                    [
                        NotCome(slot, self._may_charge(it), known=it.state == "noshow")
                        for slot, it in zip(batch, kept, strict=True)
                        if isinstance(it, Registration)
                        and it.holds_slot(slot.no, each)
                        and it.state in ("booked", "noshow")
                    ],
                )

    def _may_charge(self, kept: Registration) -> bool:
        """Whether they were told, and early enough to cancel (announcement A9, decision)."""
        message = kept.messages.get("allotted")
        if message is None or message.state not in ("accepted", "delivered") or message.event_ms != kept.booked_ms:
            return False
        if kept.cancel_before_ms is None:  # a desk has settled it
            return False
        told, deadline = from_ms(message.told_ms), from_ms(kept.cancel_before_ms)
        return self._city.open_time(told, deadline) >= timedelta(hours=self._city.policy.cancel_notice_hours)

    async def would_be_barred(self, charged: Sequence[RosterEntry]) -> int:
        """How many of these no-shows bar their resident."""
        counts = await self._reader.no_shows([slot.resident for slot in charged]) if charged else []
        return sum(count + 1 > self._city.policy.no_show_limit for count in counts)

    async def offered(self, rules: Rules) -> tuple[list[Free], list[Overbooked]]:
        """(the slots of the night with how many of each are free, those given beyond their capacity)."""
        days = [rules.first_day + timedelta(days=n) for n in range(rules.days)]
        tags = [day_tag(rules.district, day) for day in days]
        rows, over = [], []
        closures = await self._slot_store.closures(tags)
        for day, used, closed in zip(days, await self._slot_store.used(tags), closures, strict=True):
            for (site, period, product), (capacity, taken) in sorted(used.items()):
                free = 0 if SitePeriod(site, period) in closed else max(0, capacity - taken)
                rows.append((OfferedSlot(day, site, period, product), free))
                if taken > capacity:
                    over.append(Overbooked(day, site, period, product, capacity, taken))
        return rules.offered(rows), over


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as one call of the store is given."""
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
