"""The night: the day is closed, the slots are allotted in an order that anyone can check, and everybody is told.

Six steps, each for all districts before the next one begins. What a step has brought is noted in the district's
night; until then it may be done again, and whatever it had done already it finds done. So a night that was killed is
run again, by anyone, and comes to the same result: the list, the slots and the rules are frozen before anything is
given, and the seed has been committed to since the morning.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import structlog

from server.allotment import Allotment, Rules, Slot, allot
from server.appointments import Appointments, Giving, half_of
from server.city import City, District
from server.clock import Clock, from_ms, to_ms
from server.errors import SetupError, StoreUnavailable
from server.lease import Lease
from server.published import Published
from server.results import list_root
from server.store import Store
from server.store.slots import day_tag, holds_slot
from server.store.store import Arg, PassedOver, Taken
from server.waiting_list import Listed, WaitingList, days_after, pack

log = structlog.get_logger()

T = TypeVar("T")

STEPS: Final = {
    "close": "closed",
    "free": "freed",
    "freeze": "frozen",
    "allot": "allotted",
    "publish": "published",
    "tell": "told",
}
"""Step -> the word under which a district's night notes that it is done, and when (`closed_ms`, ...)."""

_BATCH: Final = 500
_FROZEN_LIVES_MS: Final = 8 * 86_400_000
_RETRY_SECONDS: Final = 1.0
"""A store that is away is waited for, not given up at three in the morning."""


class Outcome(msgspec.Struct):
    """What a night brought in a district, or would bring (`Night.foresee`).

    `missed` appointments of the day, of those `charged` as no-shows, of whose residents `barred`; `over`: slots given
    beyond a capacity that was lowered since (nobody is thrown out); `registrations` on the list; `offered` doses;
    `counts` by outcome (`allotment.Allotment.counts`); `withdrawn`: given, but taken away by the city in that very
    moment; `reminded`; `root` of the result.
    """

    district: str
    missed: int = 0
    charged: int = 0
    barred: int = 0
    over: list[tuple[str, str, str, str, int, int]] = msgspec.field(default_factory=list)
    registrations: int = 0
    offered: int = 0
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    withdrawn: int = 0
    reminded: int = 0
    root: str = ""


class Watcher:
    """Told how a night goes; this one keeps it to itself."""

    def going(self, step: str, district: str, done: int, total: int) -> None:
        """Within a step: so many are done of so many, 0 = nobody knows."""

    def done(self, step: str, so_far: list[Outcome]) -> None:
        """A step is done in all districts."""


class _Result(NamedTuple):
    rules: Rules
    seed: bytes
    offered: list[tuple[Slot, int]]
    list: Listed
    night: Allotment


class _Closing(NamedTuple):
    """A line of a day's roster whose holder has not come; `known`: an interrupted run has said so already."""

    slot: Taken
    charge: bool
    known: bool


class Night:
    """Runs nights.

    Args:
        city: districts, hours, policy.
        store: where everything is.
        clock: city time.
        appointments: gives slots, counts what was missed.
        published: writes the result files.
    """

    def __init__(
        self, city: City, store: Store, clock: Clock, appointments: Appointments, published: Published
    ) -> None:
        self._city = city
        self._store = store
        self._clock = clock
        self._appointments = appointments
        self._published = published
        self._list = WaitingList(city, store)

    def now(self) -> datetime:
        """City time."""
        return from_ms(self._clock.now_ms(), self._city.tz)

    async def due(self) -> date:
        """The date of the night that is on, or was the last, by the store's clock."""
        now_ms, _ = await self._store.passes_alive(self._tags(date.min)[0])
        self._clock.follow(now_ms)
        return self._city.latest_night(self.now())

    async def is_done(self, day: date) -> bool:
        """Whether a night has come to its end in every district."""
        return all("told_ms" in fields for fields in await self._store.nights(self._tags(day), "told_ms"))

    async def run(self, day: date, watcher: Watcher | None = None, patience_s: float = 900.0) -> list[Outcome]:
        """Run a night, or the rest of it; what it brought, by district. Once more changes nothing.

        Args:
            day: its date, that of the day before the small hours.
            watcher: told how it goes.
            patience_s: for how long to wait for a store that is away.

        Raises:
            SetupError: the day is not over yet, the next night has begun, or the result cannot be written.
            Superseded: another process runs the night.
            StoreUnavailable: the store was away for too long; run it again.
        """
        if not self._published.has_folder:
            raise SetupError("there is no folder for the results: give one, every server has to see it")
        watcher, patience = watcher or Watcher(), _Patience(patience_s)
        if await patience.with_store(partial(self.is_done, day)):
            return [_outcome(d.code, f) for d, f in zip(self._city.districts, await self._nights(day), strict=True)]
        await patience.with_store(partial(self._check, day))
        async with self._leased(patience) as lease:
            for late in await patience.with_store(partial(self._left_behind, day)):
                log.warning("an earlier night is brought to its end, without giving more", date=late.isoformat())
                await _Run(self, late, lease, Watcher(), too_late=True).take_steps(patience)
            run = _Run(self, day, lease, watcher)
            await run.take_steps(patience)
            return run.so_far()

    async def foresee(self, day: date) -> list[Outcome]:
        """What the rest of a night would bring if it were run now; changes nothing.

        Raises:
            SetupError: as `run`.
            StoreUnavailable: the store did not answer.
        """
        await self._check(day)
        found = []
        for district, fields in zip(self._city.districts, await self._nights(day), strict=True):
            outcome = _outcome(district.code, fields)
            if "closed_ms" not in fields:
                async for _, lines in self.closing(district, day):
                    new = [line for line in lines if not line.known]
                    outcome.missed += len(new)
                    outcome.charged += sum(line.charge for line in new)
                    outcome.barred += await self._would_be_barred([line.slot for line in new if line.charge])
            rules = self.rules(district, day)
            if "frozen_ms" not in fields:
                people = Listed()
                async for page in self._list.foreseen(district, day):
                    people.add(page)
                offered, outcome.over = await self.offered(rules)
                seed = bytes.fromhex(fields["seed"]) if "seed" in fields else secrets.token_bytes(32)
                night = await asyncio.to_thread(allot, rules, offered, people.people, seed)
                outcome.registrations, outcome.counts = len(people.people), night.counts()
                outcome.offered = sum(free for _, free in offered)
            found.append(outcome)
        return found

    async def _check(self, day: date) -> None:
        due = await self.due()
        begins, ends = self._city.night_begins(day), self._city.night_ends(day)
        if day > due:
            raise SetupError(f"the day of {day} is not over: its night begins at {begins:%Y-%m-%d %H:%M}")
        if self.now() >= ends:
            following = self._city.night_begins(max(due, day + timedelta(days=1)))
            raise SetupError(
                f"it is too late for the night of {day}: what it would give could not be cancelled in time any more; "
                f"the night of {following:%Y-%m-%d}, from {following:%H:%M} on, takes everybody over"
            )

    async def _left_behind(self, day: date) -> list[date]:
        """Earlier nights that were frozen, perhaps gave something, and did not come to their end in time."""
        frozen = {fields.get("frozen", "") for fields in await self._store.through(self._codes())}
        days = sorted(date.fromisoformat(each) for each in frozen if each and date.fromisoformat(each) < day)
        return [each for each in days if not await self.is_done(each)]

    @asynccontextmanager
    async def _leased(self, patience: "_Patience") -> AsyncIterator[Lease]:
        lease = Lease(self._store, self._city.tz)
        await patience.with_store(lease.__aenter__)
        try:
            yield lease
        finally:
            await lease.__aexit__(None, None, None)

    def _codes(self) -> list[str]:
        return [district.code for district in self._city.districts]

    def _tags(self, day: date) -> list[str]:
        return [day_tag(district.code, day) for district in self._city.districts]

    async def _nights(self, day: date) -> list[dict[str, str]]:
        return await self._store.nights(self._tags(day))

    # What the steps look at

    def rules(self, district: District, day: date) -> Rules:
        """The rules of a district's night, as the city file says now."""
        return Rules.of(self._city, district.code, day, self._city.policy.horizon_days)

    async def closing(self, district: District, day: date) -> AsyncIterator[tuple[date, list[_Closing]]]:
        """Who has not come to their appointments of the days that are not closed yet, up to `day`: some at a time."""
        (through,) = await self._store.through([district.code])
        for each in days_after(through.get("closed", ""), day):
            roster = await self._store.roster(day_tag(district.code, each))
            for batch in _batches(roster):
                kept = await self._store.registrations([slot.resident for slot in batch])
                yield (
                    each,
                    [
                        _Closing(slot, self._may_charge(fields), known=fields["state"] == "noshow")
                        for slot, fields in zip(batch, kept, strict=True)
                        if holds_slot(fields, slot.no, each.isoformat()) and fields["state"] in ("booked", "noshow")
                    ],
                )

    def _may_charge(self, kept: dict[str, str]) -> bool:
        """Whether they were told, and early enough to cancel (announcement A9, decision)."""
        state, told_ms, event_ms = (kept.get("sms:allotted") or "none 0 0").split()
        if state not in ("accepted", "delivered") or event_ms != kept.get("booked_ms"):
            return False
        told, deadline = from_ms(int(told_ms)), from_ms(int(kept["cancel_before_ms"]))
        return self._city.open_time(told, deadline) >= timedelta(hours=self._city.policy.cancel_notice_hours)

    async def _would_be_barred(self, charged: Sequence[Taken]) -> int:
        counts = await self._store.no_shows([slot.resident for slot in charged]) if charged else []
        return sum(count + 1 > self._city.policy.no_show_limit for count in counts)

    async def offered(self, rules: Rules) -> tuple[list[tuple[Slot, int]], list[tuple[str, str, str, str, int, int]]]:
        """(the slots of the night with how many of each are free, those given beyond their capacity)."""
        days = [rules.first_day + timedelta(days=n) for n in range(rules.days)]
        tags = [day_tag(rules.district, day) for day in days]
        rows, over = [], []
        closures = await self._store.closures(tags)
        for day, used, closed in zip(days, await self._store.used(tags), closures, strict=True):
            for (site, period, product), (capacity, taken) in sorted(used.items()):
                free = 0 if (site, period) in closed else max(0, capacity - taken)
                rows.append((Slot(day, site, half_of(period), product), free))
                if taken > capacity:
                    over.append((day.isoformat(), site, period, product, capacity, taken))
        return rules.offered(rows), over


class _Run:
    """One run of a night: the steps. `fields`: what each district's night says, as last read or written.

    One that is `too_late` gives nothing any more, to nobody: those who were given a slot before have it, the others go
    first in the next night; and everybody can check what was published.
    """

    def __init__(self, night: Night, day: date, lease: Lease, watcher: Watcher, *, too_late: bool = False) -> None:
        self._night = night
        self._city, self._store, self._clock = night._city, night._store, night._clock
        self._appointments, self._published, self._list = night._appointments, night._published, night._list
        self._day = day
        self._lease = lease
        self._watcher = watcher
        self._too_late = too_late
        self._results: dict[str, _Result] = {}
        self.fields: dict[str, dict[str, str]] = {}

    async def take_steps(self, patience: "_Patience") -> None:
        """All that are not done yet."""
        for step in STEPS:
            for district in self._city.districts:
                self._lease.check()
                await patience.with_store(partial(self._take, step, district))
            self._watcher.done(step, self.so_far())

    async def _take(self, step: str, district: District) -> None:
        """One step of one district, unless it is done: its word may be there, and the answer to it have been lost."""
        fields = await self._store.enter_night(self._tag(district), self._lease.token, secrets.token_bytes(32))
        if fields is None:
            raise self._lease.lost()
        self.fields[district.code] = fields
        if f"{STEPS[step]}_ms" not in fields and (not self._too_late or "frozen_ms" in fields):
            await getattr(self, step)(district)

    def so_far(self) -> list[Outcome]:
        """What each district's night has brought."""
        return [_outcome(code, fields) for code, fields in self.fields.items()]

    async def close(self, district: District) -> None:
        """Who had an appointment and neither came nor cancelled has missed it (A9); the third no-show bars."""
        # First of all: whose site was closed has missed nothing, also where that was left half done.
        await self._appointments.repair(districts=[district])
        days = set()
        async for day, lines in self._night.closing(district, self._day):
            await self._appointments.miss(district.code, day, [(line.slot, line.charge) for line in lines])
            days.add(day)
        # Counted from what is there, so that a night that was interrupted counts everybody once.
        missed = charged = barred = 0
        for day in days | {self._day}:
            slots = await self._store.roster(day_tag(district.code, day))
            for batch in _batches(slots):
                residents = [slot.resident for slot in batch]
                kept = await self._store.read_registrations(residents, "no", "state", "charged")
                stops = await self._store.residents(residents)
                for slot, (no, state, was_charged), resident in zip(batch, kept, stops, strict=True):
                    if no == slot.no and state == "noshow":
                        missed += 1
                        charged += was_charged == "1"
                        barred += was_charged == "1" and resident.stop == "barred"
        await self._note(district, "close", missed=missed, charged=charged, barred=barred)
        await self._store.note_through(district.code, "closed", self._day.isoformat())

    async def free(self, district: District) -> None:
        """Slots of cancelled, closed and replaced appointments are free; they were freed at once, unless by a crash."""
        mended = await self._appointments.repair(districts=[district])
        await self._note(district, "free", freed=mended)

    async def freeze(self, district: District) -> None:
        """The list, the slots and the rules of the night stand from now on; the list's root is public."""
        tag, token = self._tag(district), self._lease.token
        await self._list.gather(district, self._day)
        people, parts = Listed(), 0
        async for part in self._list.parts(district):
            status = await self._store.freeze(tag, token, parts, pack(part), _FROZEN_LIVES_MS)
            if status != "kept":
                raise self._lease.lost()
            parts += 1
            people.add(part)
            self._watcher.going("freeze", district.code, len(people.people), 0)
        rules = self._night.rules(district, self._day)
        offered, over = await self._night.offered(rules)
        await self._store.note_through(district.code, "frozen", self._day.isoformat())
        await self._note(
            district,
            "freeze",
            rules=_json(rules),
            offered=_json(offered),
            over=_json(over),
            registrations=len(people.people),
            parts=parts,
            list_root=await asyncio.to_thread(list_root, rules, people.people),
        )

    async def allot(self, district: District) -> None:
        """Everybody in order takes the best free slot of their own ranking; the store gives it, or says why not."""
        result = await self._result(district)
        fields = self.fields[district.code]
        given, withdrawn = int(fields.get("given", 0)), int(fields.get("withdrawn", 0))
        order = result.night.order.indices
        for start in range(given, len(order), _BATCH):
            self._lease.check()
            withdrawn += await self._give(district, result, start, order[start : start + _BATCH])
            given = min(start + _BATCH, len(order))
            await self._keep(district, given=given, withdrawn=withdrawn)
            self._watcher.going("allot", district.code, given, len(order))
        await self._note(district, "allot", given=given, withdrawn=withdrawn)

    async def _give(self, district: District, result: _Result, start: int, batch: Sequence[int]) -> int:
        """Tell a stretch of the order what it got; how many did not get it after all."""
        date_of_night, every = self._day.isoformat(), self._city.policy.tell_after_nights
        frozen_ms = int(self.fields[district.code]["frozen_ms"])
        wanted: list[Giving] = []
        passed: list[PassedOver] = []
        for leaf, i in enumerate(batch, start + 1):  # the head is leaf 0
            outcome, resident = result.night.outcome(i), result.list.resident(i)
            if outcome.slot is not None:
                day, site, period, product = outcome.slot
                taken = Taken(outcome.no, resident, site, period, product)
                wanted.append(Giving(taken, day, date_of_night, leaf, frozen_ms))
            else:
                reached = outcome.reached.isoformat() if outcome.reached else ""
                why = outcome.reason or ""
                passed.append(PassedOver(resident, outcome.no, date_of_night, leaf, why, reached, frozen_ms=frozen_ms))
        if self._too_late:
            statuses = ["full"] * len(wanted)
        else:
            statuses = await self._appointments.give(district.code, wanted, "night") if wanted else []
        booked = []
        withdrawn = 0
        for giving, status in zip(wanted, statuses, strict=True):
            if status in ("booked", "again"):
                booked.append((giving.slot.no, giving.slot.resident))
            elif status in ("full", "closed"):  # the city took it away since the list was frozen
                withdrawn += 1
                lost = PassedOver(
                    giving.slot.resident,
                    giving.slot.no,
                    date_of_night,
                    int(giving.leaf),
                    "withdrawn",
                    "",
                    withdrawn=True,
                )
                passed.append(lost)
        told = await self._store.pass_over(passed, every) if passed else []
        await self._store.point(
            [(district.code, p.resident) for p, status in zip(passed, told, strict=True) if status in ("told", "again")]
        )
        if booked:
            await self._list.forget(district, booked)
        return withdrawn

    async def publish(self, district: District) -> None:
        """The result file is on disk, then its root and the seed are public."""
        result = await self._result(district)
        try:
            root = await asyncio.to_thread(
                self._published.write, result.rules, result.seed, result.offered, result.night
            )
        except OSError as error:
            raise SetupError(
                f"the result of {district.code} cannot be written: {error}; slots are given, run the night again"
            ) from None
        counts, reached = _json(result.night.counts()), _json(result.night.reached)
        await self._note(district, "publish", root=root, counts=counts, reached=reached)
        del self._results[district.code]

    async def tell(self, district: District) -> None:
        """Every event has owed its message already; added are the reminders for whom tomorrow is the last day to
        cancel."""
        appointment, tomorrow = self._day + timedelta(days=2), self._day + timedelta(days=1)
        at = datetime.combine(tomorrow, self._city.sms.reminder_at, self._city.tz)
        new_since = datetime.combine(self._day, self._city.open_hours.closes, self._city.tz)
        reminded = 0
        await self._store.commit_nights({day_tag(district.code, tomorrow): secrets.token_bytes(32)})
        roster = await self._store.roster(day_tag(district.code, appointment))
        for batch in _batches(roster):
            expected = [(slot.no, slot.resident) for slot in batch]
            statuses = await self._store.remind(expected, appointment.isoformat(), to_ms(at), to_ms(new_since))
            due = [r for (_, r), status in zip(expected, statuses, strict=True) if status in ("reminded", "again")]
            await self._store.point([(district.code, resident) for resident in due])
            reminded += len(due)
        await self._forget_calls(district.code)
        await self._note(district, "tell", reminded=reminded)

    async def _forget_calls(self, district: str) -> None:
        """Whom nobody need call any more: it is over, or they have registered anew."""
        (calls,) = await self._store.to_call([district])
        for batch in _batches(list(calls.items())):
            residents = [resident for _, resident in batch]
            kept = await self._store.read_registrations(residents, "no", "state")
            known = await self._store.residents(residents)
            over = [
                no
                for (no, _), (latest, state), resident in zip(batch, kept, known, strict=True)
                if latest != no or (state not in ("proposed", "booked") and resident.stop != "barred")
            ]
            if over:
                await self._store.forget_call(district, *over)

    async def _result(self, district: District) -> _Result:
        """The allotment of what was frozen: the same, however often it is done again."""
        code = district.code
        if code not in self._results:
            fields = self.fields[code]
            rules = msgspec.json.decode(fields["rules"], type=Rules)
            offered = msgspec.json.decode(fields["offered"], type=list[tuple[Slot, int]])
            try:
                people = await self._list.thaw(self._tag(district), int(fields["parts"]))
            except LookupError as error:
                raise SetupError(f"the night of {self._day} in {code} cannot be finished: {error}") from None
            seed = bytes.fromhex(fields["seed"])
            night = await asyncio.to_thread(allot, rules, offered, people.people, seed)
            self._results[code] = _Result(rules, seed, offered, people, night)
        return self._results[code]

    async def _note(self, district: District, step: str, **brought: Arg) -> None:
        """A step is done."""
        await self._keep(district, **brought, **{f"{STEPS[step]}_ms": self._clock.now_ms()})

    async def _keep(self, district: District, **brought: Arg) -> None:
        if not await self._store.note_night(self._tag(district), self._lease.token, brought):
            raise self._lease.lost()
        self.fields[district.code] |= {name: str(value) for name, value in brought.items()}

    def _tag(self, district: District) -> str:
        return day_tag(district.code, self._day)


class _Patience:
    """Waits for a store that is away, but not for ever."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def with_store(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do something that may be done again from its beginning.

        Raises:
            StoreUnavailable: the store was away for too long.
        """
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while True:
            try:
                return await work()
            except StoreUnavailable:
                deadline = loop.time() + self._seconds if deadline is None else deadline
                if loop.time() >= deadline:
                    raise
                log.warning("the night waits for the store")
                await asyncio.sleep(_RETRY_SECONDS)


def _outcome(district: str, fields: dict[str, str]) -> Outcome:
    def number(name: str) -> int:
        return int(fields.get(name, 0))

    offered = msgspec.json.decode(fields["offered"], type=list[tuple[Slot, int]]) if "offered" in fields else []
    return Outcome(
        district,
        number("missed"),
        number("charged"),
        number("barred"),
        msgspec.json.decode(fields.get("over", "[]"), type=list[tuple[str, str, str, str, int, int]]),
        number("registrations"),
        sum(free for _, free in offered),
        msgspec.json.decode(fields.get("counts", "{}"), type=dict[str, int]),
        number("withdrawn"),
        number("reminded"),
        fields.get("root", ""),
    )


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
