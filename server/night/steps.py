"""The six steps of a night, for a district at a time.

What a step has brought is noted in the district's night; until then it may be done again, and whatever it had done
already it finds done.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple, assert_never

import msgspec

from server.appointments.appointments import Appointments, GaveStatus, Giving
from server.appointments.slot_store import SlotStore
from server.core.city import City, District
from server.core.clock import Clock, to_ms
from server.core.errors import SetupError, UnknownStatus
from server.core.keys import day_tag
from server.fairness.allotment import Allotment, Rules, allot
from server.fairness.result_file import list_root
from server.messages.store import OutboxStore
from server.night.inputs import Free, Tonight, batches
from server.night.lease import Lease
from server.night.published import Published
from server.night.store import NightStore
from server.night.waiting_list import Listed, WaitingList, pack
from server.records.fields import Arg
from server.records.registration import PassedOver, PassOverStatus, RemindStatus
from server.records.slot import Overbooked, Taken
from server.records.statuses import known
from server.registry.store import RegistryStore
from server.store.connection import Connection
from server.store.pointers import Pointers
from server.store.registrations import RegistrationReader

STEPS: Final = {
    "close": "closed",
    "free": "freed",
    "freeze": "frozen",
    "allot": "allotted",
    "publish": "published",
    "tell": "told",
}
"""Step -> the word under which a district's night notes that it is done, and when (`closed_ms`, ...)."""

_FROZEN_LIVES_MS: Final = 8 * 86_400_000


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
    over: list[Overbooked] = msgspec.field(default_factory=list)
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


class Means(NamedTuple):
    """What a night works with."""

    city: City
    connection: Connection
    clock: Clock
    appointments: Appointments
    published: Published


class _Result(NamedTuple):
    rules: Rules
    seed: bytes
    offered: list[Free]
    list: Listed
    night: Allotment


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
        self._city, connection, self._clock, self._appointments, self._published = means
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
        self._results: dict[str, _Result] = {}
        self._fields: dict[str, dict[str, str]] = {}

    async def take(self, step: str, district: District) -> None:
        """One step of one district, unless it is done: its word may be there, and the answer to it have been lost.

        Raises:
            Superseded: another process runs the night.
            SetupError: the night cannot be finished, or its result not be written.
            StoreUnavailable: do it again.
        """
        fields = await self._night_store.enter_night(self._tag(district), self.lease.token, secrets.token_bytes(32))
        if fields is None:
            raise self.lease.lost()
        self._fields[district.code] = fields
        if f"{STEPS[step]}_ms" not in fields and (not self._too_late or "frozen_ms" in fields):
            await getattr(self, step)(district)

    def so_far(self) -> list[Outcome]:
        """What each district's night has brought."""
        return outcomes_of(self._fields)

    async def close(self, district: District) -> None:
        """Who had an appointment and neither came nor cancelled has missed it (A9); the third no-show bars."""
        # First of all: whose site was closed has missed nothing, also where that was left half done.
        await self._appointments.repair(districts=[district])
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
                kept = await self._reader.read_registrations(residents, "no", "state", "charged")
                stops = await self._registry_store.residents(residents)
                for slot, (no, state, was_charged), resident in zip(batch, kept, stops, strict=True):
                    if no == slot.no and state == "noshow":
                        missed += 1
                        charged += was_charged == "1"
                        barred += was_charged == "1" and resident.stop == "barred"
        await self._note(district, "close", missed=missed, charged=charged, barred=barred)
        await self._night_store.note_through(district.code, "closed", self._day.isoformat())

    async def free(self, district: District) -> None:
        """Slots of cancelled, closed and replaced appointments are free; they were freed at once, unless by a crash."""
        mended = await self._appointments.repair(districts=[district])
        await self._note(district, "free", freed=mended)

    async def freeze(self, district: District) -> None:
        """The list, the slots and the rules of the night stand from now on; the list's root is public."""
        tag, token = self._tag(district), self.lease.token
        await self._list.gather(district, self._day)
        people, parts = Listed(), 0
        async for part in self._list.parts(district):
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
        rules = self._tonight.rules(district, self._day)
        offered, over = await self._tonight.offered(rules)
        await self._night_store.note_through(district.code, "frozen", self._day.isoformat())
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
        fields = self._fields[district.code]
        given, withdrawn = int(fields.get("given", 0)), int(fields.get("withdrawn", 0))
        order = result.night.order.indices
        for batch in batches(order[given:]):
            self.lease.check()
            withdrawn += await self._give(district, result, given, batch)
            given += len(batch)
            await self._keep(district, given=given, withdrawn=withdrawn)
            self.watcher.going("allot", district.code, given, len(order))
        await self._note(district, "allot", given=given, withdrawn=withdrawn)

    async def _give(self, district: District, result: _Result, start: int, batch: Sequence[int]) -> int:
        """Tell a stretch of the order what it got; how many did not get it after all.

        Raises:
            UnknownStatus: of one of them; the others have been told.
        """
        date_of_night, every = self._day.isoformat(), self._city.policy.tell_after_nights
        frozen_ms = int(self._fields[district.code]["frozen_ms"])
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
        statuses: Sequence[GaveStatus | UnknownStatus]
        if self._too_late:
            statuses = ["full"] * len(wanted)
        else:
            statuses = await self._appointments.give(district.code, wanted, "night") if wanted else []
        booked = []
        lost = []
        for giving, status in zip(wanted, statuses, strict=True):
            if isinstance(status, UnknownStatus):
                continue
            match status:
                case "booked" | "again":
                    booked.append((giving.slot.no, giving.slot.resident))
                case "full" | "closed":  # the city took it away since the list was frozen
                    lost.append(_withdrawn(giving))
                case "other" | "absent":  # cancelled since, or with other wishes
                    pass
                case _:
                    assert_never(status)
        passed += lost
        told = await self._night_store.pass_over(passed, every) if passed else []
        await self._pointers.write_pointers(
            [(district.code, p.resident) for p, status in zip(passed, told, strict=True) if _owes(status)]
        )
        if booked:
            await self._list.forget(district, booked)
        # Whoever was not understood is looked at again, with this whole stretch: it is not kept as given.
        known(statuses)
        known(told)
        return len(lost)

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
        at = self._city.at(tomorrow, self._city.sms.reminder_at)
        new_since = self._city.at(self._day, self._city.open_hours.closes)
        reminded = 0
        await self._night_store.commit_nights({day_tag(district.code, tomorrow): secrets.token_bytes(32)})
        roster = await self._slot_store.roster(day_tag(district.code, appointment))
        for batch in batches(roster):
            expected = [(slot.no, slot.resident) for slot in batch]
            statuses = await self._night_store.remind(expected, appointment.isoformat(), to_ms(at), to_ms(new_since))
            due = [r for (_, r), status in zip(expected, statuses, strict=True) if _owes(status)]
            await self._pointers.write_pointers([(district.code, resident) for resident in due])
            known(statuses)
            reminded += len(due)
        await self._forget_calls(district.code)
        await self._note(district, "tell", reminded=reminded)

    async def _forget_calls(self, district: str) -> None:
        """Whom nobody need call any more: it is over, or they have registered anew."""
        (calls,) = await self._outbox.to_call([district])
        for batch in batches(list(calls.items())):
            residents = [resident for _, resident in batch]
            kept = await self._reader.read_registrations(residents, "no", "state")
            known = await self._registry_store.residents(residents)
            over = [
                no
                for (no, _), (latest, state), resident in zip(batch, kept, known, strict=True)
                if latest != no or (state not in ("proposed", "booked") and resident.stop != "barred")
            ]
            if over:
                await self._outbox.forget_call(district, *over)

    async def _result(self, district: District) -> _Result:
        """The allotment of what was frozen: the same, however often it is done again."""
        code = district.code
        if code not in self._results:
            fields = self._fields[code]
            rules = msgspec.json.decode(fields["rules"], type=Rules)
            offered = msgspec.json.decode(fields["offered"], type=list[Free])
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
        if not await self._night_store.note_night(self._tag(district), self.lease.token, brought):
            raise self.lease.lost()
        self._fields[district.code] |= {name: str(value) for name, value in brought.items()}

    def _tag(self, district: District) -> str:
        return day_tag(district.code, self._day)


def _withdrawn(giving: Giving) -> PassedOver:
    """What is told to somebody whose slot is not to be had any more."""
    resident, no = giving.slot.resident, giving.slot.no
    return PassedOver(resident, no, giving.night, int(giving.leaf), "withdrawn", "", withdrawn=True)


def _owes(status: PassOverStatus | RemindStatus | UnknownStatus) -> bool:
    """Whether a resident may be owed a message by it, now or since before a crash."""
    if isinstance(status, UnknownStatus):
        return False
    match status:
        case "told" | "reminded" | "again":
            return True
        case "passed" | "other" | "absent":
            return False
        case _:
            assert_never(status)


def outcome_of(district: str, fields: dict[str, str]) -> Outcome:
    """What a district's night says of itself."""

    def number(name: str) -> int:
        return int(fields.get(name, 0))

    offered = msgspec.json.decode(fields["offered"], type=list[Free]) if "offered" in fields else []
    return Outcome(
        district,
        number("missed"),
        number("charged"),
        number("barred"),
        msgspec.json.decode(fields.get("over", "[]"), type=list[Overbooked]),
        number("registrations"),
        sum(free for _, free in offered),
        msgspec.json.decode(fields.get("counts", "{}"), type=dict[str, int]),
        number("withdrawn"),
        number("reminded"),
        fields.get("root", ""),
    )


def outcomes_of(nights: Mapping[str, dict[str, str]]) -> list[Outcome]:
    """The same of each district, by its code."""
    return [outcome_of(code, fields) for code, fields in nights.items()]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
