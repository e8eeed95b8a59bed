"""The scripts of a resident: what a person has, and why they may not join."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import NamedTuple

import msgspec
from redis.asyncio.cluster import RedisCluster

from server.core.errors import UnknownStatus
from server.core.keys import key, resident_tag
from server.store import statuses as st
from server.store.caller import Caller, fields_of
from server.store.connecting import Arg


class FirstDoseRecord(msgspec.Struct, frozen=True, array_like=True):
    """A resident's line of the registry, packed (about 90 bytes).

    `day`: proleptic ordinal of the first dose's date, 0 = none yet (somebody who joined for a first dose);
    `match`: keyed hash of name and phone; `contact`: both, encrypted; `earlier`: the resident key that
    versions before gave for these papers, where that was another.
    """

    day: int
    product: str
    district: str
    match: bytes
    contact: bytes = b""
    earlier: bytes = b""

    @property
    def date(self) -> date | None:
        """Date of the first dose, None before it."""
        return date.fromordinal(self.day) if self.day else None


class Resident(NamedTuple):
    """What the store knows of a person: registry line, and why they may not join ("open NO", "barred", "done DATE")."""

    first_dose: FirstDoseRecord | None
    stop: str | None

    @property
    def is_reachable(self) -> bool:
        """Whether we have their name and phone."""
        return self.first_dose is not None and self.first_dose.contact != b""


class NewRegistration(NamedTuple):
    """A registration to be stored; `first_dose`: its date as YYYY-MM-DD, empty where there is none."""

    resident: bytes
    pass_expires_ms: int
    no: str
    first_dose: str
    fields: dict[str, Arg]


class Kept(NamedTuple):
    """What came of a registration; `no`: its number, or that of the open one beside which it cannot be."""

    status: st.RegisterStatus
    registered_ms: int
    no: str
    no_shows: int


class Change(NamedTuple):
    """Who makes what of a registration: its resident, its number, the actor for the audit log."""

    resident: bytes
    no: str
    actor: str


class Correction(NamedTuple):
    """What the registry says of a registration's holder: `first_dose` as YYYY-MM-DD, its product; `record`: their
    packed line, to be kept in the same moment, empty where it is there."""

    change: Change
    first_dose: str
    product: str
    record: bytes = b""


class Appointment(NamedTuple):
    """A slot as a registration has it: code of the site, date as YYYY-MM-DD, am or pm."""

    site: str
    day: str
    period: str


class Booking(NamedTuple):
    """An appointment for a registration; `night` and `leaf`: the night that gave it, YYYY-MM-DD, and where its result
    says so, both empty where it was no night. `frozen_ms`: when that night read the wishes, 0 = whenever."""

    change: Change
    slot: Appointment
    cancel_before_ms: int
    night: str = ""
    leaf: int | str = ""
    frozen_ms: int = 0


class PassedOver(NamedTuple):
    """A registration for which a night had no slot, and why; `reached`: see `allotment.Outcome`, "" = none.

    `withdrawn`: it had one, which was taken away again in the same night. `frozen_ms`: as in `Booking`.
    """

    resident: bytes
    no: str
    night: str
    leaf: int
    why_not: str
    reached: str
    withdrawn: bool = False
    frozen_ms: int = 0


class Past(NamedTuple):
    """A line of a resident's history."""

    at_ms: int
    no: str
    state: str
    actor: str
    why: str


class Life(NamedTuple):
    """What happened to a resident's registrations, how many no-shows were charged, and whether these barred them."""

    past: list[Past]
    no_shows: int
    barred: bool


_record_encoder = msgspec.msgpack.Encoder()
record_decoder = msgspec.msgpack.Decoder(FirstDoseRecord)
_past = msgspec.json.Decoder(Past)


def pack(record: FirstDoseRecord) -> bytes:
    """A registry line as it is stored: octet for octet as versions before wrote it, where it says nothing new."""
    return _record_encoder.encode(record if record.earlier else msgspec.structs.astuple(record)[:5])


def unpack(stored: bytes) -> FirstDoseRecord:
    """A stored registry line."""
    return record_decoder.decode(stored)


class ResidentStore(Caller):
    """Each method runs the script of its name on the keys of one resident; the last ones only read or write."""

    async def register(self, requests: Sequence[NewRegistration]) -> list[Kept | UnknownStatus]:
        """What came of each."""
        calls = []
        for resident, expires_ms, no, first_dose, fields in requests:
            flat = [x for field in fields.items() for x in field]
            calls.append((resident_tag(resident), (*self._clock(), expires_ms, no, first_dose, *flat)))
        return self.read_each(
            await self._run_each("register", calls),
            lambda a: Kept(self.read(st.REGISTER, a[0]), a[1], a[2].decode(), a[3]),
        )

    async def amend(self, change: Change, fields: dict[str, Arg]) -> st.AmendStatus:
        """Other wishes for a registration; the status."""
        flat = [x for field in fields.items() for x in field]
        tag = resident_tag(change.resident)
        return self.read(st.AMEND, await self._run("amend", tag, *self._clock(), change.no, change.actor, *flat))

    async def correct(self, corrections: Sequence[Correction]) -> list[st.CorrectStatus | UnknownStatus]:
        """Put the registry's word into open registrations; the status of each."""
        calls = []
        for (resident, no, actor), first_dose, product, record in corrections:
            args = (*self._clock(), no, actor, first_dose, product, record)
            calls.append((resident_tag(resident), args))
        return self.read_each(await self._run_each("correct", calls), partial(self.read, st.CORRECT))

    async def cancel(self, change: Change, day: str, lives_ms: int, why: str = "") -> st.CancelStatus:
        """Close a registration whose appointment is on this day ("" = none), on its holder's wish or for the reason
        given; the status.

        What somebody typed for a first dose lives on for `lives_ms`.
        """
        args = (*self._clock(), change.no, change.actor, day, lives_ms, why)
        return self.read(st.CANCEL, await self._run("cancel", resident_tag(change.resident), *args))

    async def book(self, bookings: Sequence[Booking]) -> list[st.BookStatus | UnknownStatus]:
        """Give registrations their appointments; the status of each."""
        calls = []
        for (resident, no, actor), slot, cancel_before_ms, night, leaf, frozen_ms in bookings:
            args = (*self._clock(), no, *slot, cancel_before_ms, actor, night, leaf, frozen_ms)
            calls.append((resident_tag(resident), args))
        return self.read_each(await self._run_each("book", calls), partial(self.read, st.BOOK))

    async def pass_over(self, passed: Sequence[PassedOver], every: int) -> list[st.PassOverStatus | UnknownStatus]:
        """A night had no slot for these; the status of each. After `every` nights in vain a message is owed."""
        calls = []
        for resident, no, night, leaf, why_not, reached, withdrawn, frozen_ms in passed:
            args = (*self._clock(), no, night, leaf, why_not, reached, every, int(withdrawn), frozen_ms)
            calls.append((resident_tag(resident), args))
        return self.read_each(await self._run_each("pass_over", calls), partial(self.read, st.PASS_OVER))

    async def remind(
        self, expected: Sequence[tuple[str, bytes]], day: str, not_before_ms: int, booked_to_ms: int
    ) -> list[st.RemindStatus | UnknownStatus]:
        """Owe a reminder of their appointment on this day to each (number, resident key); the status of each.

        Who got it after `booked_to_ms` has just been told.
        """
        calls = [
            (resident_tag(resident), (*self._clock(), no, day, not_before_ms, booked_to_ms))
            for no, resident in expected
        ]
        return self.read_each(await self._run_each("remind", calls), partial(self.read, st.REMIND))

    async def attend(self, change: Change, site: str, day: str) -> tuple[st.AttendStatus, int, bool]:
        """(status, at_ms, whether a bar was lifted by it)."""
        args = (*self._clock(), change.no, site, day, change.actor)
        status, at_ms, unbarred = await self._run("attend", resident_tag(change.resident), *args)
        return self.read(st.ATTEND, status), at_ms, bool(unbarred)

    async def miss(
        self, missed: Sequence[tuple[Change, bool]], day: str, limit: int
    ) -> list[tuple[st.MissStatus, int] | UnknownStatus]:
        """For each (registration, whether it counts) that had an appointment on this day: (status, no-shows so far)."""
        calls = []
        for (resident, no, actor), charge in missed:
            calls.append((resident_tag(resident), (*self._clock(), no, day, int(charge), limit, actor)))
        return self.read_each(await self._run_each("miss", calls), lambda a: (self.read(st.MISS, a[0]), a[1]))

    async def reopen(self, change: Change, slot: Appointment, why: str) -> st.ReopenStatus:
        """Send a registration back to be allotted; the status."""
        args = (*self._clock(), change.no, *slot, change.actor, why)
        return self.read(st.REOPEN, await self._run("reopen", resident_tag(change.resident), *args))

    async def lift(self, change: Change, why: str) -> bool:
        """Lift a bar; False where there is none."""
        args = (*self._clock(), change.no, change.actor, why)
        return self.read(st.LIFT, await self._run("lift", resident_tag(change.resident), *args))

    async def called(self, change: Change, why: str) -> bool:
        """An operator has called a resident; False where that is not their latest registration."""
        args = (*self._clock(), change.no, change.actor, why)
        return self.read(st.CALLED, await self._run("called", resident_tag(change.resident), *args))

    async def enrol(self, records: Sequence[tuple[bytes, FirstDoseRecord]], lives_ms: int) -> list[FirstDoseRecord]:
        """Keep what people without a registry line typed, for a time; the record that holds for each of them."""
        calls = [(resident_tag(r), (pack(record), lives_ms)) for r, record in records]
        return [unpack(answer) for answer in await self._run_each("enrol", calls)]

    async def unenrol(self, resident: bytes) -> bool:
        """Forget what somebody typed for a first dose, unless they have registered; False where there is nothing."""
        return self.read(st.UNENROL, await self._run("unenrol", resident_tag(resident)))

    async def replace_record(self, changes: Sequence[tuple[str, bytes, bytes]]) -> list[bool]:
        """Put packed registry lines in the place of those that were read, for each (tag, old, new); False where a
        line has changed since."""
        calls = [(tag, (old, new)) for tag, old, new in changes]
        return [self.read(st.REPLACE_RECORD, answer) for answer in await self._run_each("replace_record", calls)]

    async def forget(self, found: Sequence[tuple[str, bytes, bytes, bytes, bytes]]) -> list[bool]:
        """Delete closed registrations, for each (tag, no, closed_ms, registry line, what stays of it); False where
        something has changed."""
        answers = await self._run_each("forget", [(tag, args) for tag, *args in found])
        return [self.read(st.FORGET, answer) for answer in answers]

    async def drop_record(self, tags: Sequence[str]) -> int:
        """Delete the registry lines of residents without a registration; how many."""
        answers = await self._run_each("drop_record", [(tag, ()) for tag in tags])
        return sum(self.read(st.DROP_RECORD, answer) for answer in answers)

    async def quota(self, tag: str, spans: Sequence[tuple[int, int]], *, count: bool) -> int:
        """Whether one more may be had of what may be had (most) times in each (length in ms): 0, or ms to wait."""
        flat = [x for span in spans for x in span]
        return int(await self._run("quota", tag, *self._clock(), int(count), *flat))

    async def keep_code(self, resident: bytes, digest: bytes, lives_ms: int) -> int:
        """A one-time code, replacing the one before; until when it is good, in ms."""
        return int(await self._run("keep_code", resident_tag(resident), *self._clock(), digest, lives_ms))

    async def try_code(self, resident: bytes, digest: bytes, most: int, *, spend: bool, attempt: bytes = b"") -> bool:
        """Whether a one-time code is right; with `spend` a right one is gone, a wrong one counts in any case.

        The `attempt` that spent it (a keyed hash, empty = none) finds it right once more for a minute.
        """
        args = (*self._clock(), digest, most, int(spend), attempt)
        return self.read(st.TRY_CODE, await self._run("try_code", resident_tag(resident), *args))

    # Reading

    async def residents(self, residents: Sequence[bytes]) -> list[Resident]:
        """What is known of each resident key."""
        wanted: list[tuple[bytes, bytes]] = []
        for resident in residents:
            tag = resident_tag(resident).encode()
            wanted.append((b"registry:{%b}" % tag, b"stop:{%b}" % tag))
        if isinstance(self._client, RedisCluster):  # a person's two keys share a slot, two persons do not
            pairs = await self._plain([("MGET", *pair) for pair in wanted])
        else:
            (flat,) = await self._plain([("MGET", *(k for pair in wanted for k in pair))])
            pairs = list(zip(flat[::2], flat[1::2], strict=True))
        decode = record_decoder.decode
        return [Resident(decode(record) if record else None, stop.decode() if stop else None) for record, stop in pairs]

    async def registrations(self, residents: Sequence[bytes]) -> list[dict[str, str]]:
        """The fields of each resident's latest registration; empty where there is none."""
        answers = await self._plain([("HGETALL", key("registration", resident_tag(r))) for r in residents])
        return [fields_of(answer) for answer in answers]

    async def read_registrations(self, residents: Sequence[bytes], *names: str) -> list[list[str]]:
        """These fields of each resident's latest registration; "" for what it has not."""
        answers = await self._plain([("HMGET", key("registration", resident_tag(r)), *names) for r in residents])
        return [[value.decode() if value else "" for value in answer] for answer in answers]

    async def registration(self, resident: bytes) -> dict[str, str]:
        """The fields of the resident's latest registration; empty where there is none."""
        return (await self.registrations([resident]))[0]

    async def no_shows(self, residents: Sequence[bytes]) -> list[int]:
        """How many no-shows were charged to each."""
        return [int(n or 0) for n in await self._plain([("GET", key("no_shows", resident_tag(r))) for r in residents])]

    async def history(self, resident: bytes) -> Life:
        """What happened to a resident's registrations."""
        tag = resident_tag(resident)
        lines, count, stop = await self._plain(
            [("LRANGE", key("history", tag), 0, -1), ("GET", key("no_shows", tag)), ("GET", key("stop", tag))]
        )
        return Life([_past.decode(line) for line in lines], int(count or 0), stop == b"barred")

    # Imported files

    async def keep_first_doses(self, records: Sequence[tuple[bytes, FirstDoseRecord]]) -> None:
        """Write registry lines; a later line of the same person replaces the earlier."""
        await self._plain([("SET", key("registry", resident_tag(r)), pack(record)) for r, record in records])
