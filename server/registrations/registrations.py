"""Registrations: a pass becomes one, once; its receipt finds, changes and cancels it."""

from collections.abc import Callable
from datetime import timedelta
from typing import assert_never

import structlog

from server.appointments.appointments import Appointments
from server.appointments.sites import Sites
from server.core.city import City
from server.core.clock import Clock, from_ms
from server.core.errors import Refusal, StoreUnavailable
from server.core.keys import window_of
from server.core.tokens import Signer, Token
from server.fairness.checkpoint import SignedHead
from server.night.published import Published
from server.records.registration import Registration, Wishes, wishes_fields
from server.records.registration_changes import CancelStatus, Change
from server.registrations.receipts import Receipts, Registered
from server.registrations.registering import Registering
from server.registrations.store import RegistrationStore
from server.registrations.views import RegistrationView, Views
from server.registrations.wishes import WishRules
from server.registry.registry import Registry
from server.store.connection import Connection
from server.store.registrations import RegistrationReader
from server.waiting_room.room import WaitingRoom

log = structlog.get_logger()

_MOST_MOVES = 3


class Registrations:
    """Takes registrations, finds and changes them. Taking one is `Registering`'s, called there directly.

    Args:
        city: districts, time zone.
        connection: where registrations are.
        clock: city time.
        signer: signs receipts.
        registry: first-dose dates.
        room: frees the pass.
        sites: the districts' sites.
        appointments: frees the slot of a cancelled one.
        published: the nights' results.
        log_head: gives the head of the public log, which goes with every receipt.
    """

    def __init__(
        self,
        city: City,
        connection: Connection,
        clock: Clock,
        signer: Signer,
        registry: Registry,
        room: WaitingRoom,
        sites: Sites,
        appointments: Appointments,
        published: Published,
        log_head: Callable[[], SignedHead],
    ) -> None:
        self._city = city
        self._clock = clock
        self._room = room
        self._reader = RegistrationReader(connection)
        self._registration_store = RegistrationStore(connection)
        self._appointments = appointments
        self._rules = WishRules(city, clock, sites)
        self._views = Views(city, connection, published, log_head)
        self._receipts = Receipts(city, clock, signer)
        registering = Registering(city, connection, registry, room, self._rules, self._views, self._receipts)
        self.register = registering.register
        self.settled = registering.settled
        self.at_the_store = registering.at_the_store

    async def find(self, no: str, text: str | bytes) -> RegistrationView:
        """A registration by its number and receipt.

        Raises:
            Refusal: `maintenance`, `forged`, `expired`, `not-found` (another one's receipt, a later registration has
                replaced it, or it is `lost`).
        """
        token = self._receipts.read(no, text)[0]
        try:
            return await self._views.show(no, token.resident)
        except Refusal as refusal:
            raise await self._missing_or(refusal, no, token) from None

    async def of(self, resident: bytes) -> Registered | None:
        """A resident's latest registration with a new receipt, for one who has shown who they are; None without any."""
        latest = await self._reader.registration(resident)
        if latest is None:
            return None
        no = latest.no
        token = Token(latest.district, latest.opening_day, latest.entry, resident, 0, window=window_of(no))
        return self._receipts.add(await self._views.show(no, resident), token, self._clock.now_ms())

    async def amend(self, no: str, text: str | bytes, wishes: Wishes) -> RegistrationView:
        """Other wishes, while there is no appointment.

        Raises:
            Refusal: as `find`; `too-late` once allotted or closed.
            Invalid: what is wrong with the wishes.
        """
        self._rules.check_periods(wishes)
        token, district = self._receipts.read(no, text)
        kept = await self._rules.checked(district, no, wishes)
        status = await self._registration_store.amend(Change(token.resident, no, "resident"), wishes_fields(kept))
        match status:
            case "amended" | "same":
                return await self._views.show(no, token.resident)
            case "absent":
                raise await self._missing(no, token)
            case "other":
                found, _ = await self._views.find(no, token.resident)
                raise Refusal("too-late", reason="allotted" if found.state == "booked" else "closed")
            case _:
                assert_never(status)

    async def cancel(self, no: str, text: str | bytes) -> RegistrationView:
        """Give the registration up, and its slot if it has one (announcement A8); again changes nothing.

        Raises:
            Refusal: as `find`; `too-late` with `cancel_before`.
        """
        token, _ = self._receipts.read(no, text)
        change = Change(token.resident, no, "resident")
        status: CancelStatus = "moved"
        for _ in range(_MOST_MOVES):
            if status == "moved":  # given or taken back in this very moment
                found = await self._found(no, token)
                status = await self._appointments.cancel(change, found.district, found.day)
        match status:
            case "moved":
                raise StoreUnavailable
            case "absent":
                raise Refusal("not-found")
            case "late" | "closed":
                found, _ = await self._views.find(no, token.resident)
                raise Refusal("too-late", cancel_before=self._views.cancel_before(found))
            case "cancelled" | "again":
                return await self._views.show(no, token.resident)
            case _:
                assert_never(status)

    async def _found(self, no: str, token: Token) -> Registration:
        """Raises Refusal `not-found`: see `_missing`."""
        try:
            return (await self._views.find(no, token.resident))[0]
        except Refusal as refusal:
            raise await self._missing_or(refusal, no, token) from None

    async def _missing_or(self, refusal: Refusal, no: str, token: Token) -> Refusal:
        """The refusal itself, but for `not-found`: of one that cannot be read nobody knows whether it is there."""
        return await self._missing(no, token) if refusal.code == "not-found" else refusal

    async def _missing(self, no: str, token: Token) -> Refusal:
        """Why a registration of which there is a receipt is not the resident's latest one.

        A later one has taken its place, or it was deleted when its time was over. Else it was acknowledged and the
        store has forgotten it, as one that was restored from a backup has: that is said (`lost`), and its entry is
        given to nobody else.
        """
        oldest = from_ms(self._clock.now_ms(), self._city.tz).date() - timedelta(days=self._city.policy.retention_days)
        if token.day <= oldest or await self._reader.is_number_of(token.resident, no):
            return Refusal("not-found")
        self._room.note_given(token)
        log.error("registration lost", district=token.district, day=token.day.isoformat())
        return Refusal("not-found", reason="lost")
