"""Doses that met no appointment: kept for the operator (tag: `district`), reconciled with what the resident has."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, assert_never

import msgspec

from server.core.keys import key, resident_tag
from server.store.caller import Caller, items_of
from server.store.residents import Appointment, Change
from server.store.statuses import RECONCILE, ReconcileStatus


class KeptAttendance(msgspec.Struct, array_like=True, frozen=True):
    """What a desk has said: the resident's key, the site, the dose's date and half ("" = not known), who and when.

    `state`: `unmatched` or `reconciled`; `fulfilled_no`: of the registration that was fulfilled by it, "" = none.
    """

    resident: bytes
    site: str
    day: str
    period: str
    actor: str
    at_ms: int
    state: str = "unmatched"
    fulfilled_no: str = ""


class Reconciled(NamedTuple):
    """What came of reconciling; `no`: of the registration that is fulfilled; `unbarred`: a bar was lifted by it."""

    status: ReconcileStatus
    at_ms: int
    no: str
    unbarred: bool

    @property
    def is_fulfilled(self) -> bool:
        """Whether a registration is fulfilled by it, now or since before."""
        match self.status:
            case "reconciled" | "again":
                return True
            case "other" | "moved" | "absent":
                return False
            case _:
                assert_never(self.status)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptAttendance).decode


class AttendanceStore(Caller):
    """One script; the other methods only read or write."""

    async def reconcile_attendance(self, change: Change, slot: Appointment, why: str, held_day: str) -> Reconciled:
        """Let a resident's latest registration be fulfilled by a dose given under one of their numbers."""
        args = (*self._clock(), change.no, *slot, change.actor, why, held_day)
        status, at_ms, no, unbarred = await self._run("reconcile_attendance", resident_tag(change.resident), *args)
        return Reconciled(self.read(RECONCILE, status), at_ms, no.decode(), bool(unbarred))

    async def is_number_of(self, resident: bytes, no: str) -> bool:
        """Whether a registration number is, or was, this resident's."""
        tag = resident_tag(resident)
        latest, is_past = await self._plain(
            [("HGET", key("registration", tag), "no"), ("SISMEMBER", key("past", tag), no)]
        )
        return bool(is_past) or latest == no.encode()

    async def keep_attendance(self, district: str, no: str, kept: KeptAttendance, *, replace: bool = False) -> None:
        """Keep what a desk has said; the first word about a number and a date stands, unless replaced."""
        command = "HSET" if replace else "HSETNX"
        await self._plain([(command, key("attendances", district), f"{no}|{kept.day}", _encode(kept))])

    async def attendances(self, districts: Sequence[str]) -> list[list[tuple[str, KeptAttendance]]]:
        """(registration number, what was said) in each district."""
        answers = await self._plain([("HGETALL", key("attendances", district)) for district in districts])
        return [[(name.decode().partition("|")[0], _decode(it)) for name, it in items_of(answer)] for answer in answers]

    async def count_attendances(self, districts: Sequence[str]) -> list[int]:
        """How many are kept in each district."""
        return [int(n) for n in await self._plain([("HLEN", key("attendances", district)) for district in districts])]

    async def settle_attendance(self, district: str, no: str, day: date, audit_tag: str, **said: str | int) -> None:
        """The operator has looked at it: it goes from the list, and into the audit log."""
        flat = [x for each in said.items() for x in each]
        await self._plain(
            [
                ("XADD", key("audit", audit_tag), "*", *flat),
                ("HDEL", key("attendances", district), f"{no}|{day.isoformat()}"),
            ]
        )
