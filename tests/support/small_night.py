"""A night of a handful of registrations, held step by step from a test: what the pages and the public see of it."""

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any, NamedTuple

from server.core.city import load_city
from server.core.keys import day_tag, key
from server.fairness.allotment import Allotment, Candidate, Candidates, OfferedSlot, Rules, allot
from server.fairness.lots import Lots
from server.fairness.result_lines import list_root
from server.night.published import Published
from server.records.night import NightRecord
from server.records.registration import Appointment
from server.records.registration_changes import Booking, Change, PassedOver
from server.records.slot import RosterEntry
from server.records.slot import Slot as SlotName
from server.records.statuses import known
from tests.support.serving import TIANHE
from tests.support.stores import Store

STEPS = ("closing", "frozen", "allotted", "published", "done")
_TOKEN = 1


class Waiting(NamedTuple):
    """Somebody on the list, and their resident key."""

    resident: bytes
    candidate: Candidate


class SmallNight:
    """A district's night, a step at a time.

    Args:
        store: where the registrations are.
        published: writes the result.
        day: of the night.
        people: the list.
        table: the slots and how many are free.
    """

    def __init__(
        self,
        store: Store,
        published: Published,
        day: date,
        people: Sequence[Waiting],
        table: Sequence[tuple[OfferedSlot, int]],
    ) -> None:
        self.store, self.published, self.day, self.people = store, published, day, people
        self.rules = Rules.of(load_city(), TIANHE, day, 14)
        self.offered = self.rules.offered(table)
        self.candidates = Candidates([candidate for _, candidate in people], self.rules.periods)
        self.tag = day_tag(TIANHE, day)
        self.seed = bytes(range(32))
        self.root = ""
        self.list_root = list_root(self.rules, self.candidates)

    async def hold(self, upto: str = "done") -> None:
        """All steps up to this one."""
        for step in STEPS[: STEPS.index(upto) + 1]:
            await self.step(step)

    async def promise(self) -> None:
        """Commit to the night's seed: over what an opening has promised, with a seed that is secret here."""
        client: Any = self.store.client
        await client.hset(key("night", self.tag), "commitment", sha256(self.seed).hexdigest())

    async def step(self, name: str) -> None:
        """One of them, after the ones before it."""
        if name == "closing":
            await self.promise()
            assert await self.store.enter_night(self.tag, _TOKEN, "", "") is not None
        elif name == "frozen":
            await self._note(
                NightRecord(list_root=self.list_root, registrations=len(self.people), frozen_ms=1, version=2)
            )
        elif name == "allotted":
            await self._tell(self._allot())
            await self._note(NightRecord(allotted_ms=2))
        elif name == "published":
            night = self._allot()
            self.root = self.published.write(self.rules, self.lots, self.offered, night)
            await self._note(
                NightRecord(
                    root=self.root, seed=self.seed.hex(), counts=night.counts(), reached=night.reached, published_ms=3
                )
            )
        else:
            await self._note(NightRecord(told_ms=4))

    def _allot(self) -> Allotment:
        return allot(self.rules, self.offered, self.candidates, self.lots.key(self.tag, self.list_root))

    @property
    def lots(self) -> Lots:
        """What decides among equals."""
        return Lots(self.seed, 2, 1)

    async def _note(self, brought: NightRecord) -> None:
        assert await self.store.note_night(self.tag, _TOKEN, brought)

    async def _tell(self, night: Allotment) -> None:
        day = self.day.isoformat()
        for leaf, i in enumerate(night.order.indices, 1):
            (resident, candidate), outcome = self.people[i], night.outcome(i)
            if outcome.slot is None:
                reached = outcome.reached.isoformat() if outcome.reached else ""
                passed = PassedOver(resident, candidate.no, day, leaf, str(outcome.reason), reached)
                assert await self.store.pass_over([passed], 3) == ["passed"]
                continue
            on, site, period, product = outcome.slot
            await self.store.keep_capacity(day_tag(TIANHE, on), {SlotName(site, period, product): 9})
            taken = RosterEntry(candidate.no, resident, site, period, product)
            assert [s for s, _ in known(await self.store.take([(day_tag(TIANHE, on), taken)]))] == ["taken"]
            change, place = Change(resident, candidate.no, "night"), Appointment(site, on.isoformat(), period)
            assert await self.store.book([Booking(change, place, 1_900_000_000_000, day, leaf)]) == ["booked"]
