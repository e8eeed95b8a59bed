"""The six steps of a night, for a district at a time.

What a step has brought is noted in the district's night; until then it may be done again, and whatever it had done
already it finds done.
"""

import asyncio
from datetime import date, timedelta
from typing import Any, Final, assert_never

import msgspec

from server.appointments.slot_store import SlotStore
from server.core.clock import to_ms
from server.core.districts import District
from server.core.errors import SetupError
from server.core.keys import day_tag
from server.fairness.allotment import Rules, allot
from server.messages.store import OutboxStore
from server.night.giving import Means, Result, Stretches, may_owe
from server.night.inputs import Free, Tonight, batches
from server.night.lease import Lease
from server.night.listed import Listed, pack
from server.night.outcome import NightOutcome, outcomes_of
from server.night.store import NightStore
from server.night.waiting_list import WaitingList
from server.records.night import NightRecord, Step
from server.records.registration_views import Latest
from server.records.statuses import known
from server.registry.store import RegistryStore
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

STEPS: Final[tuple[Step, ...]] = ("close", "free", "freeze", "allot", "publish", "tell")

_FROZEN_LIVES_MS: Final = 8 * 86_400_000


class Watcher:
    """Told how a night goes; this one keeps it to itself."""

    def going(self, step: Step, district: str, done: int, total: int) -> None:
        """Within a step: so many are done of so many, 0 = nobody knows."""

    def done(self, step: Step, so_far: list[NightOutcome]) -> None:
        """A step is done in all districts."""


class Steps:
    """The steps of one run of a night, each a method: `close`, `free`, `freeze`, `allot`, `publish`, `tell`.

    Args:
        means: what they work with.
        day: the night's date.
        lease: the right to run it.
        watcher: told how it goes.
        too_late: it gives nothing any more, to nobody: those who were given a slot before have it, the others go first
            in the next night; and everybody can check what was published.
    """

    def __init__(self, means: Means, day: date, lease: Lease, watcher: Watcher, *, too_late: bool = False) -> None:
        self._means = means
        self._city, connection, self._clock, self._appointments, self._published, self._lottery = means
        self._night_store = NightStore(connection)
        self._slot_store = SlotStore(connection)
        self._reader = RegistrationReader(connection)
        self._registry_store = RegistryStore(connection)
        self._pointers = Pointers(connection)
        self._outbox = OutboxStore(connection)
        self._list = WaitingList(self._city, connection, self._appointments)
        self._tonight = Tonight(self._city, connection)
        self._day = day
        self.lease = lease
        self.watcher = watcher
        self._too_late = too_late
        self._results: dict[str, Result] = {}
        self._nights: dict[str, NightRecord] = {}

    async def take(self, step: Step, district: District) -> None:
        """One step of one district, unless it is done: its word may be there, and the answer to it have been lost.

        Raises:
            Superseded: another process runs the night.
            SetupError: the night cannot be finished, or its result not be written.
            StoreUnavailable: do it again.
        """
        promise = self._lottery.promise(district.code, self._day)
        night = await self._night_store.enter_night(self._tag(district), self.lease.token, *promise)
        if night is None:
            raise self.lease.lost()
        self._nights[district.code] = night
        if night.is_done(step) or (self._too_late and not night.is_done("freeze")):
            return
        match step:
            case "close":
                await self.close(district)
            case "free":
                await self.free(district)
            case "freeze":
                await self.freeze(district)
            case "allot":
                await self.allot(district)
            case "publish":
                await self.publish(district)
            case "tell":
                await self.tell(district)
            case _:
                assert_never(step)

    def so_far(self) -> list[NightOutcome]:
        """What each district's night has brought."""
        return outcomes_of(self._nights)

    async def close(self, district: District) -> None:
        """Who had an appointment and neither came nor cancelled has missed it (A9); the third no-show bars."""
        # First of all: whose site was closed has missed nothing, also where that was left half done.
        await self._appointments.reconcile(districts=[district])
        days = set()
        async for day, lines in self._tonight.closing(district, self._day):
            await self._appointments.miss(district.code, day, [(line.slot, line.charge) for line in lines])
            days.add(day)
        # Counted from what is there, so that a night that was interrupted counts everybody once.
        missed = charged = barred = 0
        for day in days | {self._day}:
            slots = await self._slot_store.roster(day_tag(district.code, day))
            for batch in batches(slots):
                residents = [slot.resident for slot in batch]
                kept = await self._reader.states(residents)
                stops = await self._registry_store.residents(residents)
                for slot, latest, resident in zip(batch, kept, stops, strict=True):
                    if isinstance(latest, Latest) and latest.no == slot.no and latest.state == "noshow":
                        missed += 1
                        charged += latest.is_charged
                        barred += latest.is_charged and resident.stop == "barred"
        await self._note(
            district, NightRecord(missed=missed, charged=charged, barred=barred, closed_ms=self._clock.now_ms())
        )
        await self._night_store.note_through(district.code, "closed", self._day)

    async def free(self, district: District) -> None:
        """Slots of cancelled, closed and replaced appointments are free; they were freed at once, unless by a crash."""
        reconciled = await self._appointments.reconcile(districts=[district])
        await self._note(district, NightRecord(freed=reconciled, freed_ms=self._clock.now_ms()))

    async def freeze(self, district: District) -> None:
        """The list, the slots and the rules of the night stand from now on; the list's root is public."""
        from server.fairness.result_lines import list_root  # with numpy, which no worker of the web needs

        tag, token = self._tag(district), self.lease.token
        await self._list.gather(district, self._day)
        rules = self._tonight.rules(district, self._day)
        people, parts = Listed(rules.periods), 0
        async for part in self._list.parts(district, self._day):
            status = await self._night_store.freeze(tag, token, parts, pack(part), _FROZEN_LIVES_MS)
            match status:
                case "kept":
                    parts += 1
                case "frozen" | "stale":
                    raise self.lease.lost()
                case _:
                    assert_never(status)
            people.add(part)
            self.watcher.going("freeze", district.code, len(people.people), 0)
        if rules.reserves:
            await asyncio.to_thread(people.hide, self._published.numbers, tag)
        offered, over = await self._tonight.offered(rules)
        await self._night_store.note_through(district.code, "frozen", self._day)
        frozen = NightRecord(
            rules=_json(rules),
            offered=_json(offered),
            over=over,
            registrations=len(people.people),
            parts=parts,
            list_root=await asyncio.to_thread(list_root, rules, people.people),
        )
        await self._note(district, frozen.with_news(self._lottery.bind(self._clock.now_ms())))

    async def allot(self, district: District) -> None:
        """Everybody in order takes the best free slot of their own ranking; the store gives it, or says why not."""
        heard = await self._lottery.hear(self._nights[district.code])
        if heard is not None:  # noted before anything is given: whoever goes on goes by it
            await self._note(district, heard)
        result = await self._result(district)
        night = self._nights[district.code]
        given, withdrawn = night.given or 0, night.withdrawn or 0
        stretches = Stretches(self._means, district, night, self._day, too_late=self._too_late)
        order = result.night.order.indices
        for batch in batches(order[given:]):
            self.lease.check()
            withdrawn += await stretches.give(result, given, batch)
            given += len(batch)
            await self._note(district, NightRecord(given=given, withdrawn=withdrawn))
            self.watcher.going("allot", district.code, given, len(order))
        await self._note(district, NightRecord(given=given, withdrawn=withdrawn, allotted_ms=self._clock.now_ms()))

    async def publish(self, district: District) -> None:
        """The result file is on disk, then its root and the seed are public."""
        result, listed = await self._result(district), self._nights[district.code].list_root
        try:
            root = await asyncio.to_thread(
                self._published.write, result.rules, result.lots, result.offered, result.night, listed
            )
        except OSError as error:
            raise SetupError(
                f"the result of {district.code} cannot be written: {error}; slots are given, run the night again"
            ) from None
        seed = result.lots.seed.hex()
        brought = NightRecord(seed=seed, root=root, counts=result.night.counts(), reached=result.night.reached)
        if result.rules.reserves:
            brought = msgspec.structs.replace(brought, by_reserve=result.night.counts_by_reserve())
        await self._note(district, msgspec.structs.replace(brought, published_ms=self._clock.now_ms()))
        del self._results[district.code]

    async def tell(self, district: District) -> None:
        """Every event has owed its message already; added are the reminders for whom tomorrow is the last day to
        cancel."""
        appointment, tomorrow = self._day + timedelta(days=2), self._day + timedelta(days=1)
        at = self._city.at(tomorrow, self._city.sms.reminder_at)
        new_since = self._city.at(self._day, self._city.open_hours.closes)
        reminded = 0
        promise = self._lottery.promise(district.code, tomorrow)
        await self._night_store.commit_night(day_tag(district.code, tomorrow), *promise)
        roster = await self._slot_store.roster(day_tag(district.code, appointment))
        for batch in batches(roster):
            expected = [(slot.no, slot.resident) for slot in batch]
            statuses = await self._night_store.remind(expected, appointment.isoformat(), to_ms(at), to_ms(new_since))
            due = [r for (_, r), status in zip(expected, statuses, strict=True) if may_owe(status)]
            await self._pointers.write_pointers([(district.code, resident) for resident in due])
            known(statuses)
            reminded += len(due)
        await self._forget_calls(district.code)
        await self._note(district, NightRecord(reminded=reminded, told_ms=self._clock.now_ms()))

    async def _forget_calls(self, district: str) -> None:
        """Whom nobody need call any more: it is over, or they have registered anew."""
        (calls,) = await self._outbox.to_call([district])
        for batch in batches(list(calls.items())):
            residents = [resident for _, resident in batch]
            kept = await self._reader.states(residents)
            known = await self._registry_store.residents(residents)
            over = [
                no
                for (no, _), latest, resident in zip(batch, kept, known, strict=True)
                if isinstance(latest, Latest)
                and (latest.no != no or (latest.state not in ("proposed", "booked") and resident.stop != "barred"))
            ]
            if over:
                await self._outbox.forget_call(district, *over)

    async def _result(self, district: District) -> Result:
        """The allotment of what was frozen: the same, however often it is done again."""
        code = district.code
        if code not in self._results:
            kept = self._nights[code]
            if kept.rules is None or kept.offered is None or kept.parts is None or kept.list_root is None:
                raise SetupError(f"the night of {self._day} in {code} cannot be finished: it was not frozen whole")
            rules = msgspec.json.decode(kept.rules, type=Rules)
            offered = msgspec.json.decode(kept.offered, type=list[Free])
            try:
                people = await self._list.thaw(self._tag(district), kept.parts, rules.periods)
            except LookupError as error:
                raise SetupError(f"the night of {self._day} in {code} cannot be finished: {error}") from None
            if rules.reserves:
                await asyncio.to_thread(people.hide, self._published.numbers, self._tag(district))
            lots = self._lottery.lots(code, self._day, kept)
            key = lots.key(self._tag(district), kept.list_root)
            night = await asyncio.to_thread(allot, rules, offered, people.people, key)
            self._results[code] = Result(rules, lots, offered, people, night)
        return self._results[code]

    async def _note(self, district: District, news: NightRecord) -> None:
        """Keep what a step has brought, and that it is done where its time is among it."""
        if not await self._night_store.note_night(self._tag(district), self.lease.token, news):
            raise self.lease.lost()
        self._nights[district.code] = self._nights[district.code].with_news(news)

    def _tag(self, district: District) -> str:
        return day_tag(district.code, self._day)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
