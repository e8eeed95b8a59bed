"""A registration as its holder sees it."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from server.core.city import City
from server.core.clock import from_ms
from server.core.errors import Refusal
from server.core.keys import day_tag
from server.fairness.checkpoint import SignedHead
from server.fairness.merkle import Proof, check
from server.fairness.pace import NIGHTS_BACK, Pace, pace_of
from server.fairness.result_file import Line
from server.night.published import ProvedLine, Published
from server.night.status import NightBeaconView, announced
from server.night.store import NightStore
from server.records.history import History
from server.records.registration import Preference, Registration
from server.store.connection import Connection
from server.store.registrations import RegistrationReader

_line = msgspec.json.Decoder(Line)
_Date = date  # a field of that name hides it
_line_no = re.compile(rb'\{"no":"([0-9]{15})"')


class Event(msgspec.Struct):
    """One line of a registration's history; `why`: a reason that was given, where there was one."""

    at: datetime
    state: str
    why: str | None = None


class AppointmentView(msgspec.Struct):
    """Where and when the dose is given."""

    site: str
    date: date
    period: str
    starts_at: datetime
    ends_at: datetime


class NightView(msgspec.Struct):
    """The last night that a registration was in, and how its holder can check it.

    `reason`: why it got nothing; `reached`: the first-dose date that the slots came to, where they were all given;
    `nights`: how many were in vain so far. `line`: its line of the result file, octet by octet, `leaf` (from 0 with the
    head) and `proof`: that it is under `root`; null where the result is not public yet, or not on this machine.
    `blind`: in a night with reserves, what makes the line's number of this registration's (32 hex digits).
    `seed`, `key`: null as long as there is no root. `pace`: of who was not reached, where something can be said.
    `suited`: how many slots of that night would have suited, all of them given to people ahead; where `reason` is
    `full`, the file is on this machine, and the city has no reserves.
    """

    date: date
    reason: str | None
    reached: _Date | None
    nights: int
    line: str | None
    leaf: int | None
    root: str | None
    proof: Proof | None
    blind: str | None
    pace: Pace | None
    suited: int | None
    list_root: str | None
    commitment: str | None
    seed: str | None
    file_url: str | None
    version: int | None
    beacon: NightBeaconView | None
    key: str | None


class MessageView(msgspec.Struct, omit_defaults=True):
    """What became of an SMS: `accepted` by the provider, `delivered`, `undelivered`, `refused`, or `unsent`; `at`: when
    the provider took it, or would not; `why`: see `delivery_failures.Missed`, left out where nothing is to be said."""

    kind: str
    state: str
    at: datetime
    why: str | None = None


class LogHeadView(msgspec.Struct):
    """How far the city's public log was when this was answered: its entries, their Merkle root (hex), and both signed.

    Whoever keeps it can show, with `GET /log/growth` or the entries, that nothing before it was changed since.
    """

    size: int
    root: str
    checkpoint: str


class RegistrationView(msgspec.Struct):
    """A registration as its holder sees it (contract, `GET /registrations/{no}`)."""

    registration_no: str
    state: str
    district: str
    registered_at: datetime
    priority: dict[str, Any]
    preferences: list[Preference]
    accept_any_site: bool
    not_before: date | None
    together: str | None
    consent: str | None
    appointment: AppointmentView | None
    cancel_before: datetime | None
    history: list[Event]
    night: NightView | None
    messages: list[MessageView]
    no_shows: int
    barred: bool
    log: LogHeadView


class Views:
    """Finds registrations, and puts them into the words of the API.

    Args:
        city: hours, time zone.
        connection: where they are.
        published: the nights' results.
        log_head: gives the head of the public log.
    """

    def __init__(
        self, city: City, connection: Connection, published: Published, log_head: Callable[[], SignedHead]
    ) -> None:
        self._city = city
        self._connection = connection
        self._reader = RegistrationReader(connection)
        self._published = published
        self._night_store = NightStore(connection)
        self._log_head = log_head

    async def find(self, no: str, resident: bytes) -> tuple[Registration, History]:
        """The resident's latest registration, which is to be this one, and what happened to it.

        Raises:
            Refusal: `not-found`: it is not.
        """
        found, history = await self._reader.with_history(resident)
        if found is None or found.no != no:
            raise Refusal("not-found")
        return found, history._replace(events=[event for event in history.events if event.no == no])

    async def show(self, no: str, resident: bytes) -> RegistrationView:
        """The same as its holder sees it.

        Raises:
            Refusal: as `find`.
        """
        return await self.of(*await self.find(no, resident))

    async def of(self, it: Registration, history: History) -> RegistrationView:
        """A registration that has been read."""
        registered_at = from_ms(it.registered_ms, self._city.tz)
        events = [Event(from_ms(e.at_ms, self._city.tz), e.state, e.why or None) for e in history.events]
        return RegistrationView(
            registration_no=it.no,
            state=it.state,
            district=it.district,
            registered_at=registered_at,
            priority={
                "first_dose_date": it.first_dose.isoformat() if it.first_dose else None,
                "product": it.product or None,
            },
            preferences=it.preferences,
            accept_any_site=it.accept_any_site,
            not_before=it.not_before,
            together=it.together,
            consent=it.consent,
            appointment=self._appointment(it),
            cancel_before=self.cancel_before(it),
            history=[Event(registered_at, "proposed"), *events],
            night=await self._night(it),
            messages=self._messages(it),
            no_shows=history.no_shows,
            barred=history.barred,
            log=LogHeadView(*self._log_head()),
        )

    def cancel_before(self, it: Registration) -> datetime | None:
        """Until when it may be cancelled; None where there is nothing to cancel, or any time will do."""
        if not it.cancel_before_ms or it.state == "cancelled":
            return None
        return from_ms(it.cancel_before_ms, self._city.tz)

    def _appointment(self, it: Registration) -> AppointmentView | None:
        held = it.appointment
        if held is None or it.day is None or it.state == "cancelled":  # its slot is somebody else's
            return None
        return AppointmentView(held.site, it.day, held.period, *self._city.period_times(it.day, held.period))

    async def _night(self, it: Registration) -> NightView | None:
        if it.night is None:
            return None
        public = await announced(self._connection, self._published, it.district, it.night)
        root = public.root if public else None
        entry = None
        if root is not None and it.leaf is not None:
            entry = self._published.entry(it.night, it.district, it.leaf)
        blind = self._blind(it, entry) if entry else None
        if entry is not None and not (
            (blind is not None or entry.line.startswith(f'{{"no":"{it.no}"'.encode()))
            and check(str(root), entry.line, entry.proof)
        ):
            entry = None  # a file that is not the published one proves nothing
        line = _line.decode(entry.line) if entry and not blind else None
        return NightView(
            date=it.night,
            reason=it.why_not,
            reached=it.reached,
            nights=it.nights,
            line=entry.line.decode() if entry else None,
            leaf=it.leaf,
            root=root,
            proof=entry.proof if entry else None,
            blind=blind.hex() if entry and blind else None,
            pace=await self._pace(it, line) if line else None,
            suited=self._suited(it, line, str(root)) if line else None,
            list_root=public.list_root if public else None,
            commitment=public.commitment if public else None,
            seed=public.seed if public else None,
            file_url=public.file_url if public else None,
            version=public.version if public else None,
            beacon=public.beacon if public else None,
            key=public.key if public else None,
        )

    def _suited(self, it: Registration, line: Line, root: str) -> int | None:
        """How many slots the people ahead got that the holder would have taken."""
        if it.state != "proposed" or it.night is None or it.why_not != "full":
            return None
        slots = self._published.slots(it.night, it.district, root)
        return slots.suiting(line) if slots else None

    async def _pace(self, it: Registration, line: Line) -> Pace | None:
        """How many nights more it takes, as the nights before say; with reserves a date does not say it."""
        mine, reached = it.first_dose, it.reached
        if it.state != "proposed" or it.night is None or mine is None or reached is None or mine <= reached:
            return None
        days = [it.night - timedelta(days=n) for n in range(NIGHTS_BACK, 0, -1)]
        nights = await self._night_store.nights([day_tag(it.district, day) for day in days])
        came_to = [night.reached[line.cohort] if night.root and night.reached else None for night in nights]
        return pace_of(mine, it.night, reached, list(zip(days, came_to, strict=True)))

    def _blind(self, it: Registration, entry: ProvedLine) -> bytes | None:
        """What makes the number of a line in a night with reserves this registration's."""
        head = _line_no.match(entry.line)
        if it.night is None or head is None or head[1].decode() == it.no:
            return None
        return self._published.numbers.blind_of_line(day_tag(it.district, it.night), it.no, head[1].decode())

    def _messages(self, it: Registration) -> list[MessageView]:
        """In the order of what they tell of."""
        told = sorted(it.messages.items(), key=lambda each: (each[1].event_ms, each[1].told_ms))
        return [MessageView(kind, m.state, from_ms(m.told_ms, self._city.tz), m.why) for kind, m in told]
